#include "net/block_pool.hpp"

#include <sys/mman.h>

#include <algorithm>

namespace millrace::net {

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kMayMap = false;  // the sanitizer watches over the ends of what the allocator gives
#else
constexpr bool kMayMap = true;
#endif

std::unique_ptr<char[], BlockPool::Free> allocate(std::size_t bytes, bool mapped) {
  if (!mapped || !kMayMap) return {new char[bytes], BlockPool::Free{}};
  void* const data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return {};
  return {static_cast<char*>(data), BlockPool::Free{bytes}};
}

}  // namespace

void BlockPool::Free::operator()(char* data) const noexcept {
  if (mapped_bytes)
    ::munmap(data, mapped_bytes);
  else
    delete[] data;
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
  block.capacity = (bytes + limits_.unit - 1) / limits_.unit * limits_.unit;
  block.reservation = Reservation::take(budget_, account_, block.capacity);
  if (!block.reservation && !idle_.empty()) {
    // Idle blocks that are too small may be all that stands in the way.
    clear();
    block.reservation = Reservation::take(budget_, account_, block.capacity);
  }
  if (!block.reservation) return {};
  block.data = allocate(block.capacity, limits_.mapped);
  if (!block.data) return {};
  return {*this, std::move(block)};
}

void BlockPool::put(Block block) noexcept {
  if (block.capacity <= limits_.block_bytes_kept_max && idle_.size() < limits_.blocks_kept_max)
    idle_.push_back(std::move(block));
  if (returned_) returned_();
}

void BlockPool::trim() noexcept {
  // The front holds those that lay idle longest.
  idle_.erase(idle_.begin(), idle_.begin() + static_cast<std::ptrdiff_t>(std::min(idle_least_, idle_.size())));
  idle_least_ = idle_.size();
}

void BlockPool::clear() noexcept {
  idle_.clear();
  idle_least_ = 0;
}

}  // namespace millrace::net
