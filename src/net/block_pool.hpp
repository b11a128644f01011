#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "millrace/base/memory_budget.hpp"

namespace millrace::net {

/// Memory blocks of one core, lent and reused: fresh memory is the dearest part of a large body. Each block's bytes are
/// reserved from the budget for as long as it exists. One thread.
class BlockPool {
 public:
  struct Limits {
    std::size_t blocks_kept_max;
    std::size_t block_bytes_kept_max;  ///< larger blocks are freed when they come back
    std::size_t unit = 64 * 1024;      ///< capacities are multiples of it
    /// Each block has a mapping of its own, so that freed it goes back to the system whole: between what lives as long
    /// as a connection, the allocator could give back none of its pages.
    bool mapped = false;
  };
  struct Free {
    Free() noexcept : mapped_bytes(0) {}
    explicit Free(std::size_t mapped) noexcept : mapped_bytes(mapped) {}
    void operator()(char* data) const noexcept;
    std::size_t mapped_bytes;  // 0: the allocator's
  };
  struct Block {
    std::unique_ptr<char[], Free> data;
    std::size_t capacity = 0;
    Reservation reservation;
  };
  BlockPool(MemoryBudget& budget, Account account, Limits limits)
      : budget_(budget), account_(account), limits_(limits) {
    idle_.reserve(limits.blocks_kept_max);
  }

  /// A lent block; goes back to its pool at the end. Empty when the budget or the system refused. Move-only.
  class Lent {
   public:
    Lent() = default;
    Lent(BlockPool& pool, Block block) noexcept : pool_(&pool), block_(std::move(block)) {}
    Lent(Lent&& o) noexcept : pool_(std::exchange(o.pool_, nullptr)), block_(std::move(o.block_)) {}
    Lent& operator=(Lent&& o) noexcept {
      if (this != &o) {
        give_back();
        pool_ = std::exchange(o.pool_, nullptr);
        block_ = std::move(o.block_);
      }
      return *this;
    }
    ~Lent() { give_back(); }
    explicit operator bool() const noexcept { return pool_ != nullptr; }
    char* data() const noexcept { return block_.data.get(); }
    std::size_t capacity() const noexcept { return pool_ ? block_.capacity : 0; }
    void give_back() noexcept {
      if (pool_) std::exchange(pool_, nullptr)->put(std::move(block_));
    }

   private:
    BlockPool* pool_ = nullptr;
    Block block_;
  };

  /// At least `bytes` long, contents undefined.
  Lent take(std::size_t bytes);
  /// Called whenever a block comes back.
  void on_return(std::function<void()> returned) { returned_ = std::move(returned); }
  /// Frees what was not needed since the last trim().
  void trim() noexcept;
  /// Frees all that is not lent.
  void clear() noexcept;
  std::size_t idle() const noexcept { return idle_.size(); }

 private:
  void put(Block block) noexcept;

  MemoryBudget& budget_;
  const Account account_;
  const Limits limits_;
  std::vector<Block> idle_;
  std::size_t idle_least_ = 0;  // fewest idle blocks since the last trim
  std::function<void()> returned_;
};

}  // namespace millrace::net
