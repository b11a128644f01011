#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/clock.hpp"

/// AWS's rates and account quotas, where they apply. Rates are counted by the domain clock, in memory: a start begins
/// with all of them unused. Source: https://docs.aws.amazon.com/streams/latest/dev/service-sizes-and-limits.html
namespace millrace::streams {

/// What a region allows an account, unless AWS was asked for more.
struct Quotas {
  std::uint32_t shards = 6'000;              ///< open ones of all streams
  std::uint32_t on_demand_streams = 50;      ///< at once
  std::uint32_t on_demand_shards_max = 200;  ///< that one on-demand stream scales to: 1 MiB/s each
};
Quotas quotas_in(std::string_view region) noexcept;

/// Which streams have limits.
struct LimitOptions {
  bool enforce = false;                ///< of the account, and of every stream but `exempt`
  std::vector<std::string> streams{};  ///< limited though `enforce` is off; a `*` at the end stands for any rest
  std::vector<std::string> exempt{};   ///< the same way, not limited though it is on
  Quotas quotas{};

  bool applies_to(std::string_view stream) const noexcept;
  bool any() const noexcept { return enforce || !streams.empty(); }
};

/// A bucket that holds what may be used in one second, and fills again evenly, by the millisecond. One number, changed
/// by compare and swap: cores share it without waiting for each other. Exact: no amount is rounded.
class Bucket {
 public:
  /// Takes `amount`, all or nothing. An amount beyond the second's is taken when the bucket is full, and what it is too
  /// much is filled up before anything else is taken.
  bool take(std::uint64_t per_second, TimePoint now, std::uint64_t amount) noexcept;
  /// Takes `amount` whatever there is. Gives when it will all have been filled up.
  TimePoint charge(std::uint64_t per_second, TimePoint now, std::uint64_t amount) noexcept;
  void give_back(std::uint64_t amount) noexcept;

 private:
  std::atomic<std::int64_t> full_at_{INT64_MIN};  // in thousandths of what is counted, since kBase
};

/// What one shard takes and gives. Thread-safe.
class ShardLimits {
 public:
  static constexpr std::uint64_t kWrittenBytes = 1u << 20, kWrittenRecords = 1'000;  ///< a second
  static constexpr std::uint64_t kReadBytes = 2u << 20, kReads = 5, kIterators = 5;  ///< the same

  /// Whether these may be written now: data and keys of one record, or of several together.
  bool take_write(TimePoint now, std::uint64_t records, std::uint64_t bytes) noexcept;
  /// Whether a GetRecords may be made now. What it gives is told by end_read().
  bool begin_read(TimePoint now) noexcept;
  /// `bytes` were given. More than a second's in a second: nothing more is, until the rate is held again. So 10 MiB at
  /// once are followed by 5 seconds.
  void end_read(TimePoint now, std::uint64_t bytes) noexcept;
  bool take_iterator(TimePoint now) noexcept;

  /// Records and calls that were refused: AWS's Write- and ReadProvisionedThroughputExceeded.
  void count_refused_writes(std::uint64_t records) noexcept;
  std::uint64_t refused_writes() const noexcept { return refused_writes_.load(std::memory_order_relaxed); }
  std::uint64_t refused_reads() const noexcept { return refused_reads_.load(std::memory_order_relaxed); }

 private:
  // Writers and readers are often on different cores.
  alignas(64) Bucket written_records_;
  Bucket written_bytes_;
  std::atomic<std::uint64_t> refused_writes_{0};
  alignas(64) Bucket reads_;
  Bucket read_bytes_, iterators_;
  std::atomic<std::int64_t> no_reads_until_ms_{0};
  std::atomic<std::uint64_t> refused_reads_{0};
};

/// Operations that AWS counts by themselves.
enum class Call : std::uint8_t {
  add_tags_to_stream,
  create_stream,
  decrease_stream_retention_period,
  delete_stream,
  deregister_stream_consumer,
  describe_account_settings,
  describe_limits,
  describe_stream,
  describe_stream_consumer,
  describe_stream_summary,
  disable_enhanced_monitoring,
  enable_enhanced_monitoring,
  increase_stream_retention_period,
  list_shards,
  list_stream_consumers,
  list_streams,
  list_tags_for_stream,
  merge_shards,
  register_stream_consumer,
  remove_tags_from_stream,
  split_shard,
  update_account_settings,
  update_shard_count,
  update_stream_warm_throughput,
};
inline constexpr std::size_t kCalls = static_cast<std::size_t>(Call::update_stream_warm_throughput) + 1;
std::uint64_t calls_per_second(Call call) noexcept;
/// Whether they are counted for each stream; else for the account.
constexpr bool per_stream(Call call) noexcept {
  return call == Call::list_shards || call == Call::list_stream_consumers || call == Call::describe_stream_consumer ||
         call == Call::deregister_stream_consumer;
}

/// Calls of the account, or of one stream. Thread-safe.
class CallLimits {
 public:
  bool take(Call call, TimePoint now) noexcept {
    return calls_[static_cast<std::size_t>(call)].take(calls_per_second(call), now, 1);
  }

 private:
  std::array<Bucket, kCalls> calls_;
};

}  // namespace millrace::streams
