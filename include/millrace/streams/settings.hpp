#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/result.hpp"

/// What is set of a stream beside its shards and retention, and its registered consumers: parts of the stream's value,
/// so that they are kept, copied and removed with it.
namespace millrace::streams {

enum class Mode : std::uint8_t { provisioned, on_demand };
std::string_view mode_name(Mode mode) noexcept;  ///< PROVISIONED, ON_DEMAND
/// What an on-demand stream begins with.
inline constexpr std::uint32_t kOnDemandShards = 4;

inline constexpr std::uint32_t kRecordKibMin = 1024, kRecordKibMax = 10'240;
inline constexpr std::uint32_t kWarmMibpsMax = 10'240;

/// Metrics of each shard, as bits; in the order in which AWS lists them.
inline constexpr std::array<std::string_view, 7> kShardMetrics{"IncomingBytes",
                                                               "IncomingRecords",
                                                               "OutgoingBytes",
                                                               "OutgoingRecords",
                                                               "WriteProvisionedThroughputExceeded",
                                                               "ReadProvisionedThroughputExceeded",
                                                               "IteratorAgeMilliseconds"};
using ShardMetrics = std::uint8_t;
inline constexpr ShardMetrics kAllShardMetrics = (1u << kShardMetrics.size()) - 1;

/// Of a stream, or of a consumer.
inline constexpr std::size_t kTagsMax = 50;

struct Settings {
  Mode mode = Mode::provisioned;
  std::uint32_t record_kib_max = kRecordKibMin;  ///< of one record, KiB: data and partition key
  std::optional<std::uint32_t> warm_mibps;       ///< on demand only
  std::uint32_t warm_mibps_before = 0;           ///< what it was until the stream is ACTIVE again
  ShardMetrics metrics = 0;
  /// Of the key that records are sealed by, in the caller's words; until `key_until` where encryption was stopped.
  std::optional<std::string> key_id;
  std::optional<TimePoint> key_until;
  std::string policy;  ///< JSON as it was given; empty: none

  bool encrypts(TimePoint now) const noexcept { return key_id && (!key_until || now < *key_until); }
  std::size_t record_bytes_max() const noexcept { return std::size_t{record_kib_max} * 1024; }
  friend bool operator==(const Settings&, const Settings&) = default;
};

/// What AWS allows so often in any 24 hours of one stream.
inline constexpr std::size_t kShardCountsADay = 10, kModesADay = 2, kEncryptionsADay = 25;

/// What has been of a stream that has limits, as far as they go by it; empty where it has none.
struct History {
  /// Of the last 24 hours, in order: UpdateShardCount, UpdateStreamMode, StartStreamEncryption, StopStreamEncryption.
  std::vector<TimePoint> shard_counts, modes, encryptions, encryption_stops;
  /// The most that was put on a day. Of streams on demand, for as long as their capacity goes by it.
  struct Peak {
    std::int64_t day = 0;  ///< since 1970
    std::uint64_t bytes_per_s = 0, records_per_s = 0;
    friend bool operator==(const Peak&, const Peak&) = default;
  };
  std::vector<Peak> peaks;  ///< by day, those without records left out
  /// When a stream on demand was last scaled, or became one.
  std::optional<TimePoint> scaled;
  friend bool operator==(const History&, const History&) = default;
};

enum class ConsumerStatus : std::uint8_t { creating, active, deleting };
std::string_view status_name(ConsumerStatus status) noexcept;  ///< CREATING, ...

/// That a stream can have at once, as AWS allows: with 50 for on-demand streams of an account with a commitment.
inline constexpr std::size_t kConsumersMax = 20, kConsumersMaxCommitted = 50, kConsumersCreatingMax = 5;

struct Consumer {
  std::string name;
  /// Epoch seconds; part of its ARN, so no other consumer of that name has it.
  std::int64_t created_s = 0;
  TimePoint active_at;               ///< CREATING until then
  std::optional<TimePoint> gone_at;  ///< DELETING until then, afterwards as if it were not there
  std::map<std::string, std::string> tags;
  std::string policy;  ///< as Settings::policy

  bool gone(TimePoint now) const noexcept { return gone_at && now >= *gone_at; }
  ConsumerStatus status(TimePoint now) const noexcept {
    return gone_at ? ConsumerStatus::deleting : now < active_at ? ConsumerStatus::creating : ConsumerStatus::active;
  }
  friend bool operator==(const Consumer&, const Consumer&) = default;
};
/// By name; those that are gone may still be in it.
struct Consumers {
  std::map<std::string, Consumer, std::less<>> by_name;
  std::int64_t gone_s = 0;  ///< the highest creation second of one that went

  const Consumer* find(std::string_view name, TimePoint now) const noexcept;  ///< null: there is none, or it is gone
  std::size_t count(TimePoint now) const noexcept;
  friend bool operator==(const Consumers&, const Consumers&) = default;
};

}  // namespace millrace::streams
