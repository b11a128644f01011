#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "log/chunk_pool.hpp"
#include "millrace/log/record.hpp"

namespace millrace::log {

/// Consecutive records of one shard in one block. One writer at a time (the shard's tail mutex); any number of readers,
/// which see what was published when they asked and take no lock.
class Chunk {
 public:
  /// What a reader may look at: the first `count` records, the first `bytes` bytes.
  struct Published {
    std::uint32_t count;
    std::uint32_t bytes;
  };

  /// @param bytes_max  of the block, what records may use
  Chunk(Block block, std::size_t bytes_max);

  std::uint32_t capacity() const noexcept { return capacity_; }
  std::uint64_t base() const noexcept { return base_; }
  const char* bytes() const noexcept { return bytes_; }
  Published published() const noexcept {
    const std::uint64_t both = published_.load(std::memory_order_acquire);
    return {static_cast<std::uint32_t>(both >> 32), static_cast<std::uint32_t>(both)};
  }
  std::uint64_t end() const noexcept { return base_ + published().count; }
  /// Of a chunk that has records. The newest may be later than what the caller saw published, never earlier.
  std::int64_t first_arrival() const noexcept { return first_arrival_; }
  std::int64_t last_arrival() const noexcept { return last_arrival_.load(std::memory_order_relaxed); }

  /// Where record `index` (< count) begins.
  std::uint32_t offset_of(std::uint32_t index) const noexcept;
  /// The first of `seen` records that arrived at or after `arrival_ms`; seen.count when none did.
  std::uint32_t first_at_or_after(std::int64_t arrival_ms, Published seen) const noexcept;
  /// Arrival of the last of `seen` records, of which there is one.
  std::int64_t arrival_of_last(Published seen) const noexcept;
  /// How far a read from record `first` at `offset` gets within the limits. One record at least when `one_at_least`.
  struct Taken {
    std::uint32_t records;
    std::uint32_t bytes;  ///< heads too
  };
  Taken take(Published seen, std::uint32_t first, std::uint32_t offset, std::size_t records_max, std::size_t bytes_max,
             bool one_at_least) const noexcept;

  /// For the writer. Before the first reader can see it:
  void set_base(std::uint64_t base) noexcept { base_ = base; }
  /// Room is the caller's care: `ends` are ends of records relative to `bytes - skipped`.
  void append(const char* bytes, std::size_t size, std::span<const std::uint32_t> ends, std::uint32_t skipped,
              std::int64_t arrival_ms) noexcept;
  /// Takes back the records from `count` on, which no reader has seen: their write failed.
  void cut(std::uint32_t count) noexcept;
  /// Gives back the unused end. Nothing is appended after this.
  void close() noexcept { block_.shrink(published().bytes); }
  /// Of the budget.
  std::size_t bytes_held() const noexcept { return block_.size(); }

 private:
  static constexpr std::uint32_t kStride = 32;  // records from one entry of the index to the next

  Block block_;
  char* bytes_;
  std::uint32_t capacity_;
  std::uint64_t base_ = 0;
  std::int64_t first_arrival_ = 0;
  std::unique_ptr<std::uint32_t[]> index_;  // offset of every kStride-th record
  // The writer's line: apart from what readers count references in.
  alignas(64) std::atomic<std::uint64_t> published_{0};  // count and bytes
  std::atomic<std::int64_t> last_arrival_{0};
};

}  // namespace millrace::log
