#include "streams/on_demand.hpp"

#include <algorithm>

#include "streams/reshard.hpp"

namespace millrace::streams {
namespace {

using std::chrono::days;

constexpr std::int64_t kPeakDays = 30;
// Of one shard; half of what it can take.
constexpr std::uint64_t kHotBytes = 500'000, kHotRecords = ShardLimits::kWrittenRecords / 2;

std::int64_t day_of(TimePoint now) { return std::chrono::floor<days>(now).time_since_epoch().count(); }

std::uint64_t divided_up(std::uint64_t value, std::uint64_t by) { return (value + by - 1) / by; }

// Twice the highest peak, and what is to be kept warm.
std::uint32_t shards_wanted(const Stream& stream, std::uint32_t most) {
  std::uint64_t bytes = 0, records = 0;
  for (const History::Peak& peak : stream.history.peaks) {
    bytes = std::max(bytes, peak.bytes_per_s);
    records = std::max(records, peak.records_per_s);
  }
  const std::uint64_t wanted = std::max(
      {std::uint64_t{kOnDemandShards}, std::uint64_t{stream.settings.warm_mibps.value_or(0)},
       divided_up(2 * bytes, ShardLimits::kWrittenBytes), divided_up(2 * records, ShardLimits::kWrittenRecords)});
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(wanted, most));
}

Uint128 middle(const HashRange& range) {
  const unsigned __int128 first = as_integer(range.first), at = first + (as_integer(range.last) - first) / 2 + 1;
  return {static_cast<std::uint64_t>(at >> 64), static_cast<std::uint64_t>(at)};
}

}  // namespace

std::vector<ShardLoad> loads_between(const std::map<std::uint32_t, ShardTotals>& before,
                                     const std::map<std::uint32_t, ShardTotals>& now,
                                     std::chrono::milliseconds between) {
  const auto ms = static_cast<std::uint64_t>(std::max<std::int64_t>(between.count(), 1));
  std::vector<ShardLoad> loads;
  loads.reserve(now.size());
  for (const auto& [shard, totals] : now) {
    const auto at = before.find(shard);
    const ShardTotals was = at == before.end() ? ShardTotals{} : at->second;
    const auto rate = [ms](std::uint64_t is, std::uint64_t had) { return (std::max(is, had) - had) * 1000 / ms; };
    loads.push_back({shard, rate(totals.bytes, was.bytes), rate(totals.records, was.records)});
  }
  return loads;
}

bool note_peak(History& history, std::span<const ShardLoad> loads, TimePoint now) {
  History::Peak all{day_of(now)};
  for (const ShardLoad& load : loads) {
    all.bytes_per_s += load.bytes_per_s;
    all.records_per_s += load.records_per_s;
  }
  const std::size_t before = history.peaks.size();
  std::erase_if(history.peaks, [&](const History::Peak& peak) { return peak.day < all.day - kPeakDays; });
  const bool forgotten = history.peaks.size() != before;
  if (all.bytes_per_s == 0 && all.records_per_s == 0) return forgotten;
  const auto today = std::find_if(history.peaks.begin(), history.peaks.end(),
                                  [&](const History::Peak& peak) { return peak.day == all.day; });
  if (today == history.peaks.end()) {
    history.peaks.push_back(all);
    return true;
  }
  // A day's peak is kept a few dozen times at most, however slowly it grows.
  const auto higher = [](std::uint64_t is, std::uint64_t was) { return is > was + was / 20; };
  if (!higher(all.bytes_per_s, today->bytes_per_s) && !higher(all.records_per_s, today->records_per_s))
    return forgotten;
  today->bytes_per_s = std::max(today->bytes_per_s, all.bytes_per_s);
  today->records_per_s = std::max(today->records_per_s, all.records_per_s);
  return true;
}

std::vector<ReshardStep> plan_scaling(const Stream& stream, std::span<const ShardLoad> loads, std::uint32_t most,
                                      TimePoint now) {
  const auto open = static_cast<std::uint32_t>(stream.open_shards());
  std::vector<ReshardStep> steps;
  for (const ShardLoad& load : loads) {
    if (open + steps.size() >= most) break;
    if (load.bytes_per_s <= kHotBytes && load.records_per_s <= kHotRecords) continue;
    const Shard* const shard = stream.shard(load.shard);
    if (!shard) continue;
    // Refused: it is closed by now, or of too few keys.
    if (const Result<ReshardStep> step = plan_split(stream, load.shard, middle(shard->range))) steps.push_back(*step);
  }
  if (!steps.empty()) return steps;
  const std::uint32_t wanted = shards_wanted(stream, most);
  if (open < wanted) return plan_equal_ranges(stream, wanted);
  // Down only after as long a time as peaks count for: a shard that was split for itself is not merged and split again.
  if (open >= 2 * wanted && now - stream.history.scaled.value_or(stream.created) >= days{kPeakDays})
    return plan_equal_ranges(stream, std::max(wanted, (open + 1) / 2));
  return {};
}

}  // namespace millrace::streams
