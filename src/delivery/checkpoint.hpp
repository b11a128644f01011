#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/clock.hpp"
#include "millrace/delivery/delivery.hpp"
#include "millrace/log/record.hpp"

namespace millrace::delivery {

/// Records [from, to) of one source shard.
struct ShardRange {
  std::uint32_t shard = 0;
  log::Position from, to;
  friend bool operator==(const ShardRange&, const ShardRange&) = default;
};

/// What one object will hold, fixed before its write begins: a repeat writes the same records under the same name.
struct Plan {
  TimePoint instant;  ///< arrival of its oldest record
  std::uint32_t version = 1;
  std::vector<ShardRange> ranges;
};

/// How far one source shard is delivered: all below `next`, and the finished ranges above it.
class ShardProgress {
 public:
  ShardProgress() = default;
  explicit ShardProgress(log::Position next) : next_(next) {}
  /// Lowest undelivered position.
  log::Position next() const noexcept { return next_; }
  void finish(log::Position from, log::Position to);
  /// Records below `position` are gone from the source: they will never be delivered.
  void skip_to(log::Position position);
  /// Finished above next(): from -> to, apart from each other.
  const std::map<std::uint64_t, std::uint64_t>& finished() const noexcept { return finished_; }

 private:
  void join_next();
  log::Position next_;
  std::map<std::uint64_t, std::uint64_t> finished_;
};

/// All that is lasting about one delivery stream: the value of its key in the state store.
struct Stored {
  DeliveryStreamSpec spec;
  std::uint64_t incarnation = 0;         ///< of the delivery stream: a re-created one never repeats object names
  std::uint64_t source_incarnation = 0;  ///< a re-created source is another stream
  std::uint32_t version = 1;
  TimePoint created, active_at;
  std::map<std::uint32_t, ShardProgress> shards;  ///< those that were wholly delivered and ended, too
  std::optional<Plan> planned;                    ///< an object whose write was not confirmed
};

std::string write_stored(const Stored& stored);
/// Nothing when `text` is not what write_stored() makes.
std::optional<Stored> read_stored(const std::string& text);

/// The same for the same records of the same delivery stream, other for any others.
std::string object_uuid(std::uint64_t incarnation, const Plan& plan);

}  // namespace millrace::delivery
