#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "millrace/streams/streams.hpp"

/// What a reshard does to a map of shards: closes some and opens others, step by step. Without logs, clocks and state.
namespace millrace::streams {

/// For arithmetic.
constexpr unsigned __int128 as_integer(Uint128 value) noexcept {
  return static_cast<unsigned __int128>(value.high) << 64 | value.low;
}

/// As AWS asks of SplitShard.
/// @error shard_not_found, shard_closed, split_point
Result<ReshardStep> plan_split(const Stream& stream, std::uint32_t shard, Uint128 at);
/// `shard` ends where `adjacent` begins.
/// @error shard_not_found, shard_closed, not_adjacent
Result<ReshardStep> plan_merge(const Stream& stream, std::uint32_t shard, std::uint32_t adjacent);
/// Splits and merges that leave `target` open shards with the ranges of equal_ranges(target); none where they are
/// there. Shards that one step opens and another closes are short-lived: nothing is ever put to them.
std::vector<ReshardStep> plan_equal_ranges(const Stream& stream, std::uint32_t target);

/// How many open shards there are more after the steps.
std::int64_t growth(std::span<const ReshardStep> steps) noexcept;

/// Takes the steps: parents are closed in second `now_s`, children begin a second after their parents' end. Routing is
/// not indexed, and the new shards have no logs.
/// @return index of the first new shard
std::uint32_t take_steps(Stream& stream, std::span<const ReshardStep> steps, std::int64_t now_s);

}  // namespace millrace::streams
