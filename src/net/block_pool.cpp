#include "net/block_pool.hpp"

#include <algorithm>

namespace millrace::net {

namespace {
constexpr std::size_t kBlockUnit = 64 * 1024;
}

BlockPool::Lent BlockPool::take(std::size_t bytes) {
  // Latest first: its memory is the likeliest to be in the cache.
  for (auto found = idle_.rbegin(); found != idle_.rend(); ++found) {
    if (found->capacity < bytes) continue;
    Block block = std::move(*found);
    idle_.erase(std::next(found).base());
    idle_least_ = std::min(idle_least_, idle_.size());
    return {*this, std::move(block)};
  }
  Block block;
  block.capacity = (bytes + kBlockUnit - 1) / kBlockUnit * kBlockUnit;
  block.reservation = Reservation::take(budget_, account_, block.capacity);
  if (!block.reservation && !idle_.empty()) {
    // Idle blocks that are too small may be all that stands in the way.
    idle_.clear();
    idle_least_ = 0;
    block.reservation = Reservation::take(budget_, account_, block.capacity);
  }
  if (!block.reservation) return {};
  block.data.reset(new char[block.capacity]);
  return {*this, std::move(block)};
}

void BlockPool::put(Block block) noexcept {
  if (block.capacity > limits_.block_bytes_kept_max || idle_.size() >= limits_.blocks_kept_max) return;
  idle_.push_back(std::move(block));
}

void BlockPool::trim() noexcept {
  // The front holds those that lay idle longest.
  idle_.erase(idle_.begin(), idle_.begin() + static_cast<std::ptrdiff_t>(std::min(idle_least_, idle_.size())));
  idle_least_ = idle_.size();
}

}  // namespace millrace::net
