#include "streams/reshard.hpp"

#include <algorithm>

#include "millrace/streams/stream_record.hpp"

namespace millrace::streams {
namespace {

// A range's rounding errors add up to less than a key a shard.
constexpr std::uint64_t kNear = 2 * kShardCountMax;

bool is_near(Uint128 a, Uint128 b) {
  return a < b ? as_integer(b) - as_integer(a) <= kNear : as_integer(a) - as_integer(b) <= kNear;
}

Uint128 after(Uint128 value) { return {value.high + (value.low == ~std::uint64_t{0}), value.low + 1}; }
Uint128 before(Uint128 value) { return {value.high - (value.low == 0), value.low - 1}; }

std::vector<std::shared_ptr<const Shard>>::iterator find(Stream& stream, std::uint32_t index) {
  return std::lower_bound(stream.shards.begin(), stream.shards.end(), index,
                          [](const auto& shard, std::uint32_t wanted) { return shard->index < wanted; });
}

Result<const Shard*> open_shard(const Stream& stream, std::uint32_t index) {
  const Shard* const shard = stream.shard(index);
  if (!shard) return Error{Errc::shard_not_found, shard_id(index)};
  if (shard->ended_s) return Error{Errc::shard_closed, shard->id};
  return shard;
}

std::shared_ptr<Shard> new_shard(std::uint32_t index, HashRange range, std::int64_t created_s) {
  auto shard = std::make_shared<Shard>();
  shard->index = index;
  shard->id = shard_id(index);
  shard->range = range;
  shard->created_s = created_s;
  shard->numbers = SequenceNumbers(index, created_s);
  return shard;
}

// Closes a shard of the stream; a short-lived one that is of a later second already, in that.
const Shard& close(Stream& stream, std::uint32_t index, std::int64_t now_s) {
  auto& slot = *find(stream, index);
  auto closed = std::make_shared<Shard>(*slot);
  closed->ended_s = std::max(now_s, closed->created_s);
  slot = std::move(closed);
  return *slot;
}

}  // namespace

Result<ReshardStep> plan_split(const Stream& stream, std::uint32_t index, Uint128 at) {
  const Result<const Shard*> shard = open_shard(stream, index);
  if (!shard) return shard.error();
  const HashRange& range = (*shard)->range;
  if (at <= range.first || at <= after(range.first) || at >= range.last) return Error{Errc::split_point, (*shard)->id};
  return ReshardStep{index, std::nullopt, at};
}

Result<ReshardStep> plan_merge(const Stream& stream, std::uint32_t index, std::uint32_t adjacent) {
  for (const std::uint32_t one : {index, adjacent})
    if (!stream.shard(one)) return Error{Errc::shard_not_found, shard_id(one)};
  const Result<const Shard*> left = open_shard(stream, index);
  if (!left) return left.error();
  const Result<const Shard*> right = open_shard(stream, adjacent);
  if (!right) return right.error();
  const Uint128 first = (*right)->range.first;
  if (first == Uint128{0, 0} || (*left)->range.last != before(first)) return Error{Errc::not_adjacent, (*left)->id};
  return ReshardStep{index, adjacent, {}};
}

std::vector<ReshardStep> plan_equal_ranges(const Stream& stream, std::uint32_t target) {
  std::vector<const Shard*> open;
  for (const auto& shard : stream.shards)
    if (!shard->ended_s) open.push_back(shard.get());
  std::sort(open.begin(), open.end(), [](const Shard* a, const Shard* b) { return a->range.first < b->range.first; });
  // Ranges of so many shards are rounded down, those of twice as many too, but not to the same keys. What is a few keys
  // away stays where it is, or doubling would have to split and merge for the sake of one key in 2^100.
  std::vector<Uint128> wanted;  // first keys
  std::size_t near = 0;
  for (const HashRange& range : equal_ranges(target)) {
    while (near < open.size() && open[near]->range.first < range.first &&
           !is_near(open[near]->range.first, range.first))
      ++near;
    const bool there = near < open.size() && is_near(open[near]->range.first, range.first);
    wanted.push_back(there ? open[near]->range.first : range.first);
  }
  std::vector<ReshardStep> steps;
  std::uint32_t next = stream.shards.back()->index + 1;

  // Every shard is cut where a wanted range begins inside it.
  struct Piece {
    std::uint32_t index;
    Uint128 last;
  };
  std::vector<Piece> pieces;
  std::size_t cut = 0;
  for (const Shard* shard : open) {
    std::uint32_t rest = shard->index;
    for (; cut < wanted.size() && wanted[cut] <= shard->range.last; ++cut) {
      if (wanted[cut] <= shard->range.first) continue;
      steps.push_back({rest, std::nullopt, wanted[cut]});
      pieces.push_back({next, before(wanted[cut])});
      rest = next + 1;
      next += 2;
    }
    pieces.push_back({rest, shard->range.last});
  }
  // And what lies in one wanted range becomes one shard.
  std::size_t at = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const Uint128 last = i + 1 < wanted.size() ? before(wanted[i + 1]) : pieces.back().last;
    std::uint32_t whole = pieces[at].index;
    for (; pieces[at].last < last; ++at) {
      steps.push_back({whole, pieces[at + 1].index, {}});
      whole = next++;
    }
    ++at;
  }
  return steps;
}

std::int64_t growth(std::span<const ReshardStep> steps) noexcept {
  std::int64_t more = 0;
  for (const ReshardStep& step : steps) more += step.adjacent ? -1 : 1;
  return more;
}

std::uint32_t take_steps(Stream& stream, std::span<const ReshardStep> steps, std::int64_t now_s) {
  const std::uint32_t first_new = stream.shards.back()->index + 1;
  std::uint32_t next = first_new;
  for (const ReshardStep& step : steps) {
    const Shard parent = close(stream, step.shard, now_s);
    if (step.adjacent) {
      const Shard adjacent = close(stream, *step.adjacent, now_s);
      const std::int64_t created_s = std::max(*parent.ended_s, *adjacent.ended_s) + 1;
      auto child = new_shard(next++, {parent.range.first, adjacent.range.last}, created_s);
      child->parent = parent.index;
      child->adjacent_parent = adjacent.index;
      stream.shards.push_back(std::move(child));
      continue;
    }
    for (const HashRange range :
         {HashRange{parent.range.first, before(step.at)}, HashRange{step.at, parent.range.last}}) {
      auto child = new_shard(next++, range, *parent.ended_s + 1);
      child->parent = parent.index;
      stream.shards.push_back(std::move(child));
    }
  }
  return first_new;
}

}  // namespace millrace::streams
