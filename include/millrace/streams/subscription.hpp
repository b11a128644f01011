#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <variant>

#include "millrace/streams/streams.hpp"

/// A consumer's subscription to a shard: its records as they come, and signs of life between them. Source:
/// https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SubscribeToShard.html
namespace millrace::streams {

struct SubscriptionEvent {
  log::ReadBatch batch;      ///< none in it: a sign of life
  std::int64_t behind_ms;    ///< how far its last record is behind the newest one; 0: there is no newer one
  std::string continuation;  ///< number after which the next subscription goes on; empty when the shard has ended
  StreamRef stream;          ///< where the shard has ended, the one that has its children; else null
};

/// What subscriptions to one shard have made of the records they read, for each other: they read much the same at much
/// the same time. The last few, as long as records come. Thread-safe.
class SharedEvents {
 public:
  enum class Form : std::uint8_t { json, cbor };
  struct Made {
    log::Position first, next;  ///< of all records from one up to the other
    std::int64_t behind_ms = 0;
    std::shared_ptr<const void> what;  ///< who makes them knows
  };
  /// What was made of records that begin at `first`; `what` is null when nothing was.
  Made find(Form form, log::Position first) const;
  void leave(Form form, Made made);
  void clear();

 private:
  static constexpr std::size_t kForms = 2, kKept = 2;
  struct Kept {
    std::array<Made, kKept> made;
    std::size_t next = 0;
  };
  mutable std::mutex mutex_;
  std::array<Kept, kForms> kept_;
};

enum class SubscriptionEnd {
  over,           ///< its life is, or the shard's last record has been given
  taken_over,     ///< the same consumer has subscribed again
  stream_gone,    ///< deleted
  shard_gone,     ///< all of it past the retention
  consumer_gone,  ///< deregistered
  failed,         ///< records cannot be read; it was logged
  cancelled,      ///< the coroutine that waits was
};

/// One subscription; one coroutine at a time asks it. May outlive Subscriptions, its streams and their engine.
class Subscription {
 public:
  virtual ~Subscription() = default;
  /// Waits for records, at most until the next sign of life is due. The first event comes at once. After an end, the
  /// same one again.
  virtual awaitable<std::variant<SubscriptionEvent, SubscriptionEnd>> next() = 0;
  /// The peer is given more than the last event had: it goes on at `next`.
  virtual void skip_to(log::Position next) noexcept = 0;
  virtual SharedEvents& shared() noexcept = 0;
};

/// All subscriptions that there are: one for each consumer and shard. Thread-safe.
class Subscriptions {
 public:
  static constexpr std::chrono::milliseconds kLife = std::chrono::minutes{5};
  /// So long after it was made, no other one takes it over, even if its peer has gone meanwhile.
  static constexpr std::chrono::milliseconds kUncontested = std::chrono::seconds{5};
  /// Between events.
  static constexpr std::chrono::milliseconds kSignOfLife = std::chrono::seconds{3};
  static constexpr std::size_t kEventBytesMax = 1u << 20, kEventRecordsMax = 10'000;

  /// @param streams  outlives it
  explicit Subscriptions(Streams& streams);
  ~Subscriptions();
  Subscriptions(const Subscriptions&) = delete;

  struct Wanted {
    StreamRef stream;
    std::uint32_t shard = 0;  ///< one of the stream's
    std::string consumer;     ///< one of its consumers, ACTIVE
    std::int64_t consumer_created_s = 0;
    log::Position from;
  };
  /// Ends the one that there is for this consumer and shard, unless it is too young.
  /// @error consumer_subscribed: it is. failed: stop() was called
  Result<std::unique_ptr<Subscription>> begin(Wanted wanted);
  /// Something was changed of the stream's consumers.
  void look_again(std::uint64_t incarnation) noexcept;
  /// Every subscription is over, and no other one is made.
  void stop() noexcept;
  std::size_t active() const;

  struct Registry;

 private:
  Streams& streams_;
  std::shared_ptr<Registry> registry_;
};

}  // namespace millrace::streams
