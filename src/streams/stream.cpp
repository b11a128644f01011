#include <algorithm>
#include <cassert>
#include <charconv>

#include "millrace/streams/streams.hpp"

namespace millrace::streams {

std::string_view status_name(Status status) noexcept {
  switch (status) {
    case Status::creating:
      return "CREATING";
    case Status::active:
      return "ACTIVE";
    case Status::updating:
      return "UPDATING";
    case Status::deleting:
      return "DELETING";
  }
  return "";
}

namespace {

constexpr Uint128 kLastHash{~std::uint64_t{0}, ~std::uint64_t{0}};

Uint128 add(Uint128 a, Uint128 b) {
  Uint128 sum{a.high + b.high, a.low + b.low};
  if (sum.low < a.low) ++sum.high;
  return sum;
}
Uint128 before(Uint128 value) { return {value.low ? value.high : value.high - 1, value.low - 1}; }

}  // namespace

std::vector<HashRange> equal_ranges(std::uint32_t n) {
  assert(n > 0);
  if (n == 1) return {HashRange{Uint128{0, 0}, kLastHash}};
  // floor(2^128 / n) by long division in base 2^64: 2^128 has the digits 1, 0, 0.
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  const std::uint64_t high = kMax / n + (kMax % n == n - 1 ? 1 : 0);
  const std::uint64_t rest = (kMax % n + 1) % n;
  const auto low = static_cast<std::uint64_t>((static_cast<unsigned __int128>(rest) << 64) / n);
  const Uint128 step{high, low};
  std::vector<HashRange> ranges(n);
  Uint128 first{0, 0};
  for (std::uint32_t i = 0; i < n; ++i) {
    const Uint128 next = add(first, step);
    ranges[i] = {first, i + 1 == n ? kLastHash : before(next)};
    first = next;
  }
  return ranges;
}

Status Stream::status(TimePoint now) const noexcept {
  if (deleting) return Status::deleting;
  if (now >= settled && reshard.empty()) return Status::active;
  return created_settled ? Status::updating : Status::creating;
}

const Shard& Stream::route(Uint128 hash) const noexcept {
  const auto found = std::lower_bound(open_last_.begin(), open_last_.end(), hash);
  assert(found != open_last_.end());  // open ranges cover all hashes
  return *shards[open_index_[static_cast<std::size_t>(found - open_last_.begin())]];
}

const Shard* Stream::find_shard(std::string_view id) const noexcept {
  if (const auto dash = id.find('-'); dash != std::string_view::npos) id.remove_prefix(dash + 1);
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), index);
  if (error != std::errc{} || end != id.data() + id.size() || index > 2'147'483'647) return nullptr;
  return shard(index);
}

const Shard* Stream::shard(std::uint32_t index) const noexcept {
  const auto at = std::lower_bound(shards.begin(), shards.end(), index,
                                   [](const auto& s, std::uint32_t i) { return s->index < i; });
  return at != shards.end() && (*at)->index == index ? at->get() : nullptr;
}

bool Stream::expired(const Shard& shard, TimePoint now) const noexcept {
  if (!shard.ended_s) return false;
  return *shard.ended_s < std::chrono::floor<std::chrono::seconds>(now - retention).time_since_epoch().count();
}

void Stream::index_routing() {
  open_index_.clear();
  for (std::uint32_t i = 0; i < shards.size(); ++i)
    if (!shards[i]->ended_s) open_index_.push_back(i);
  std::sort(open_index_.begin(), open_index_.end(),
            [this](std::uint32_t a, std::uint32_t b) { return shards[a]->range.first < shards[b]->range.first; });
  open_last_.clear();
  for (const std::uint32_t i : open_index_) open_last_.push_back(shards[i]->range.last);
}

}  // namespace millrace::streams
