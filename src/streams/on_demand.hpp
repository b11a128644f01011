#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "millrace/streams/streams.hpp"

/// How streams on demand follow what is put to them, as AWS says of its own: to twice the highest throughput of the
/// last 30 days, and a shard that takes more than half of what one can is split. Without logs, clocks and state.
/// Source: https://docs.aws.amazon.com/streams/latest/dev/how-do-i-size-a-stream.html
namespace millrace::streams {

/// Put to a shard since some start: data and keys.
struct ShardTotals {
  std::uint64_t bytes = 0, records = 0;
};
/// The same, in a second, of late.
struct ShardLoad {
  std::uint32_t shard = 0;
  std::uint64_t bytes_per_s = 0, records_per_s = 0;
};
/// Of the shards in `now`, by index, over the time between; a shard that was not in `before` began with nothing.
std::vector<ShardLoad> loads_between(const std::map<std::uint32_t, ShardTotals>& before,
                                     const std::map<std::uint32_t, ShardTotals>& now,
                                     std::chrono::milliseconds between);

/// Enters what all shards take together, and forgets what is too long ago. False: it is not worth being kept.
bool note_peak(History& history, std::span<const ShardLoad> loads, TimePoint now);

/// What the stream is to do now; nothing where it is as it should be.
/// @param most  shards
std::vector<ReshardStep> plan_scaling(const Stream& stream, std::span<const ShardLoad> loads, std::uint32_t most,
                                      TimePoint now);

}  // namespace millrace::streams
