#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "log/chunk.hpp"

namespace millrace::log {

/// A shard's chunks, oldest first: grows at the back, shrinks at the front, found by number. Room is made ahead so that
/// adding one, which happens under the tail mutex, allocates nothing.
class ChunkRing {
 public:
  std::size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  const std::shared_ptr<Chunk>& operator[](std::size_t i) const noexcept {
    return slots_[(first_ + i) & (slots_.size() - 1)];
  }
  const std::shared_ptr<Chunk>& front() const noexcept { return (*this)[0]; }
  const std::shared_ptr<Chunk>& back() const noexcept { return (*this)[size_ - 1]; }

  /// Makes room for `more` beyond what there is.
  void reserve(std::size_t more) {
    if (size_ + more <= slots_.size()) return;
    std::size_t grown = slots_.empty() ? 8 : slots_.size();
    while (grown < size_ + more) grown *= 2;
    std::vector<std::shared_ptr<Chunk>> fresh(grown);
    for (std::size_t i = 0; i < size_; ++i) fresh[i] = std::move(slots_[(first_ + i) & (slots_.size() - 1)]);
    slots_ = std::move(fresh);
    first_ = 0;
  }
  void push_back(std::shared_ptr<Chunk> chunk) {
    reserve(1);
    slots_[(first_ + size_++) & (slots_.size() - 1)] = std::move(chunk);
  }
  std::shared_ptr<Chunk> pop_back() noexcept { return std::move(slots_[(first_ + --size_) & (slots_.size() - 1)]); }
  std::shared_ptr<Chunk> pop_front() noexcept {
    std::shared_ptr<Chunk> chunk = std::move(slots_[first_]);
    first_ = (first_ + 1) & (slots_.size() - 1);
    --size_;
    return chunk;
  }

 private:
  std::vector<std::shared_ptr<Chunk>> slots_;  // a power of two
  std::size_t first_ = 0, size_ = 0;
};

}  // namespace millrace::log
