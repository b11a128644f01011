#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "millrace/base/memory_budget.hpp"

namespace millrace::log {

/// The smallest chunk; all blocks are whole granules.
inline constexpr std::size_t kGranuleBytes = 16 * 1024;
/// The largest chunk but for one that holds a single larger record.
inline constexpr std::size_t kChunkBytesMax = 1024 * 1024;

class ChunkPool;

/// Memory of one chunk, touched and accounted; goes back to the pool when this ends. Move-only. Keeps the pool alive.
class Block {
 public:
  Block() = default;
  Block(Block&& o) noexcept
      : pool_(std::move(o.pool_)),
        bytes_(std::exchange(o.bytes_, nullptr)),
        size_(std::exchange(o.size_, 0)),
        id_(o.id_),
        account_(o.account_) {}
  Block& operator=(Block&& o) noexcept {
    if (this != &o) {
      release();
      pool_ = std::move(o.pool_);
      bytes_ = std::exchange(o.bytes_, nullptr);
      size_ = std::exchange(o.size_, 0);
      id_ = o.id_;
      account_ = o.account_;
    }
    return *this;
  }
  ~Block() { release(); }
  explicit operator bool() const noexcept { return bytes_ != nullptr; }
  char* data() const noexcept { return bytes_; }
  std::size_t size() const noexcept { return size_; }
  /// Gives back the granules behind the first `bytes`.
  void shrink(std::size_t bytes) noexcept;
  void release() noexcept;

 private:
  friend class ChunkPool;
  std::shared_ptr<ChunkPool> pool_;
  char* bytes_ = nullptr;
  std::size_t size_ = 0;
  std::uint32_t id_ = 0;  // region and granule, or kLargeId
  Account account_ = Account::chunks;
};

/// Where chunk memory comes from: 1 MiB pieces of large regions, halved and merged again as buddies, so that what big
/// chunks leave serves small ones and the other way round. What was in use before is taken first: it needs no page
/// faults. Memory is touched by the thread that asks, with no lock held. Only what is in use counts in Account::chunks,
/// but free memory stays with the pool while all of its memory and what other accounts hold are within the budget:
/// blocks of one size leave gaps where those of another do not fit, and such gaps go back to the kernel then.
/// Thread-safe.
class ChunkPool : public std::enable_shared_from_this<ChunkPool> {
 public:
  /// `budget` outlives every block.
  explicit ChunkPool(MemoryBudget& budget);
  ~ChunkPool();
  ChunkPool(const ChunkPool&) = delete;
  ChunkPool& operator=(const ChunkPool&) = delete;

  /// At least `bytes`: a power of two of granules up to kChunkBytesMax, whole granules above. Empty when the budget or
  /// the system refuses. What is not for records is accounted elsewhere: it may take what records leave to others.
  Block allocate(std::size_t bytes, Account account = Account::chunks);

  /// Whether allocate() would find room in the budget now.
  bool fits(std::size_t bytes) const noexcept { return budget_.used() + bytes <= budget_.bytes_max(Account::chunks); }
  /// Of the budget, by all accounts: what others hold is missing here.
  std::size_t used_by_all() const noexcept { return budget_.used(); }
  /// What records leave to others.
  std::size_t kept_from_records() const noexcept { return budget_.kept_from_chunks(); }
  std::size_t bytes_max() const noexcept { return budget_.bytes_max(Account::chunks); }

  struct Stats {
    std::size_t touched_bytes = 0;  ///< of regions, faulted in: in use, or free and kept
    std::size_t regions = 0;
    std::size_t large_kept_bytes = 0;
  };
  Stats stats() const;

  /// Gives free memory back to the kernel while the pool holds too much. Done when more is taken; for what other
  /// accounts have taken since then, somebody has to ask now and then.
  void trim();

  /// A put is refused for want of memory: said in the log, at most once a minute.
  void tell_refused(std::int64_t now_ms);

 private:
  friend class Block;
  static constexpr unsigned kOrders = 7;  // 16 KiB .. 1 MiB
  static constexpr std::uint32_t kGranulesATop = 1u << (kOrders - 1);
  static_assert(kGranulesATop == 64);  // a bit each
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::uint32_t kLargeId = UINT32_MAX;
  static constexpr unsigned kGranuleBits = 12;  // of an id; the region's number is above

  struct Region {
    char* base = nullptr;
    std::uint32_t granules = 0;
    std::uint32_t carved = 0;           // granules handed to the free lists so far
    std::vector<std::uint8_t> free_as;  // a free block's first granule: its order + 1
    std::vector<std::uint32_t> next, previous;
    std::vector<std::uint64_t> touched;  // a bit a granule, a number a 1 MiB piece
  };
  using FreeLists = std::array<std::uint32_t, kOrders>;
  struct Large {
    char* bytes;
    std::size_t size;
  };

  Block allocate_large(std::size_t bytes, Account account);
  bool take(Account account, std::size_t bytes) noexcept;
  void give_to_budget(Account account, std::size_t bytes) noexcept;
  Region map_region(bool first) const;
  void free_range(std::uint32_t id, std::uint32_t granules) noexcept;
  void free_block(std::uint32_t id, unsigned order) noexcept;
  std::uint32_t take_block(unsigned order) noexcept;
  void link(std::uint32_t id, unsigned order) noexcept;
  void unlink(std::uint32_t id, unsigned order) noexcept;
  /// Which of a block's granules are touched, at their places in its 1 MiB piece.
  std::uint64_t touched_in(std::uint32_t id, std::uint32_t granules) noexcept;
  FreeLists& list_of(std::uint32_t id, unsigned order) noexcept;
  /// Memory of the kernel's, in use or kept.
  std::size_t held_bytes() const noexcept {
    return touched_granules_ * kGranuleBytes + large_used_bytes_ + large_bytes_;
  }
  bool holds_too_much() const noexcept {
    const std::size_t used = budget_.used();
    const std::size_t chunks = budget_.used(Account::chunks) + elsewhere_bytes_.load(std::memory_order_relaxed);
    const std::size_t others = used > chunks ? used - chunks : 0;
    return held_bytes() >
           std::min(budget_.bytes_max(Account::chunks), budget_.bytes_max() - std::min(budget_.bytes_max(), others));
  }
  Region& region(std::uint32_t id) noexcept { return regions_[id >> kGranuleBits]; }
  static std::uint32_t granule(std::uint32_t id) noexcept { return id & ((1u << kGranuleBits) - 1); }
  void give_back(std::uint32_t id, char* bytes, std::size_t size, Account account) noexcept;
  void give_back_tail(std::uint32_t id, std::size_t kept, std::size_t size, Account account) noexcept;

  MemoryBudget& budget_;
  std::atomic<std::size_t> elsewhere_bytes_{0};  // of blocks that are not accounted as chunks
  std::atomic<std::int64_t> tell_again_at_{std::numeric_limits<std::int64_t>::min()};
  mutable std::mutex mutex_;
  std::vector<Region> regions_;
  // Blocks that are partly or wholly touched, and those that are not at all.
  FreeLists warm_{kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  FreeLists cold_ = warm_;
  std::vector<Large> large_;
  std::size_t large_bytes_ = 0, large_used_bytes_ = 0;
  std::size_t touched_granules_ = 0;
};

}  // namespace millrace::log
