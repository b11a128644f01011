#include "millrace/streams/limits.hpp"

#include <algorithm>

namespace millrace::streams {
namespace {

using std::chrono::milliseconds;

// Times are counted from here: far enough from either end for 2 MiB a second to last a century.
constexpr TimePoint kBase{milliseconds{1'767'225'600'000}};  // 2026-01-01
constexpr std::int64_t kThousandths = 1000;
// No bucket owes more: twice what a record of the largest size leaves. Where one seems to, the clock has been set back,
// and it is full.
constexpr std::int64_t kOwedSecondsMax = 20;

// A second has 1000 milliseconds and a bucket 1000 thousandths of each thing: in thousandths, a millisecond fills in
// just `per_second`.
std::int64_t filled(std::uint64_t per_second, TimePoint at) noexcept {
  return (at - kBase).count() * static_cast<std::int64_t>(per_second);
}

std::int64_t full_at(std::int64_t seen, std::int64_t now_at, std::int64_t room) noexcept {
  return seen > now_at + room * kOwedSecondsMax ? now_at : std::max(seen, now_at);
}

bool matches(std::string_view pattern, std::string_view name) noexcept {
  if (!pattern.ends_with('*')) return pattern == name;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

bool any_matches(const std::vector<std::string>& patterns, std::string_view name) noexcept {
  return std::any_of(patterns.begin(), patterns.end(), [name](const auto& pattern) { return matches(pattern, name); });
}

}  // namespace

Quotas quotas_in(std::string_view region) noexcept {
  Quotas quotas;
  if (region == "us-east-1" || region == "us-west-2" || region == "eu-west-1") {
    quotas.shards = 20'000;
    quotas.on_demand_shards_max = 10'000;
  }
  return quotas;
}

bool LimitOptions::applies_to(std::string_view stream) const noexcept {
  return enforce ? !any_matches(exempt, stream) : any_matches(streams, stream);
}

bool Bucket::take(std::uint64_t per_second, TimePoint now, std::uint64_t amount) noexcept {
  const std::int64_t now_at = filled(per_second, now);
  const std::int64_t room = static_cast<std::int64_t>(per_second) * kThousandths;
  const std::int64_t wanted = static_cast<std::int64_t>(amount) * kThousandths;
  std::int64_t seen = full_at_.load(std::memory_order_relaxed);
  for (;;) {
    const std::int64_t at = full_at(seen, now_at, room);
    if (at - now_at + std::min(wanted, room) > room) return false;
    if (full_at_.compare_exchange_weak(seen, at + wanted, std::memory_order_relaxed)) return true;
  }
}

TimePoint Bucket::charge(std::uint64_t per_second, TimePoint now, std::uint64_t amount) noexcept {
  const std::int64_t now_at = filled(per_second, now);
  const auto rate = static_cast<std::int64_t>(per_second), room = rate * kThousandths;
  std::int64_t seen = full_at_.load(std::memory_order_relaxed), next = 0;
  do {
    next = full_at(seen, now_at, room) + static_cast<std::int64_t>(amount) * kThousandths;
    next = std::min(next, now_at + room * kOwedSecondsMax);
  } while (!full_at_.compare_exchange_weak(seen, next, std::memory_order_relaxed));
  return now + milliseconds{(next - now_at + rate - 1) / rate};
}

void Bucket::give_back(std::uint64_t amount) noexcept {
  full_at_.fetch_sub(static_cast<std::int64_t>(amount) * kThousandths, std::memory_order_relaxed);
}

bool ShardLimits::take_write(TimePoint now, std::uint64_t records, std::uint64_t bytes) noexcept {
  // Only a record that is too large by itself may be more than a second's: see Bucket::take.
  if (records > 1 && (records > kWrittenRecords || bytes > kWrittenBytes)) return false;
  if (!written_records_.take(kWrittenRecords, now, records)) return false;
  if (written_bytes_.take(kWrittenBytes, now, bytes)) return true;
  written_records_.give_back(records);
  return false;
}

void ShardLimits::count_refused_writes(std::uint64_t records) noexcept {
  refused_writes_.fetch_add(records, std::memory_order_relaxed);
}

bool ShardLimits::begin_read(TimePoint now) noexcept {
  // A pause is never longer than its bucket's: else the clock has been set back meanwhile.
  const milliseconds pause = milliseconds{no_reads_until_ms_.load(std::memory_order_relaxed)} - now.time_since_epoch();
  const bool paused = pause.count() > 0 && pause <= std::chrono::seconds{kOwedSecondsMax};
  if (!paused && reads_.take(kReads, now, 1)) return true;
  refused_reads_.fetch_add(1, std::memory_order_relaxed);
  return false;
}

void ShardLimits::end_read(TimePoint now, std::uint64_t bytes) noexcept {
  const TimePoint level_at = read_bytes_.charge(kReadBytes, now, bytes);
  if (level_at - now > std::chrono::seconds{1})
    no_reads_until_ms_.store(level_at.time_since_epoch().count(), std::memory_order_relaxed);
}

bool ShardLimits::take_iterator(TimePoint now) noexcept { return iterators_.take(kIterators, now, 1); }

std::uint64_t calls_per_second(Call call) noexcept {
  switch (call) {
    case Call::describe_limits:
      return 1;
    case Call::add_tags_to_stream:
    case Call::create_stream:
    case Call::decrease_stream_retention_period:
    case Call::delete_stream:
    case Call::deregister_stream_consumer:
    case Call::describe_account_settings:
    case Call::disable_enhanced_monitoring:
    case Call::enable_enhanced_monitoring:
    case Call::increase_stream_retention_period:
    case Call::list_stream_consumers:
    case Call::list_streams:
    case Call::list_tags_for_stream:
    case Call::merge_shards:
    case Call::register_stream_consumer:
    case Call::remove_tags_from_stream:
    case Call::split_shard:
    case Call::update_account_settings:
    case Call::update_stream_warm_throughput:
      return 5;
    case Call::describe_stream:
    case Call::update_shard_count:
      return 10;
    case Call::describe_stream_consumer:
    case Call::describe_stream_summary:
      return 20;
    case Call::list_shards:
      return 1'000;
  }
  return 0;
}

}  // namespace millrace::streams
