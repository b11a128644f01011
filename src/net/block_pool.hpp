#pragma once
#include <cstddef>
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
  };
  struct Block {
    std::unique_ptr<char[]> data;
    std::size_t capacity = 0;
    Reservation reservation;
  };
  BlockPool(MemoryBudget& budget, Account account, Limits limits)
      : budget_(budget), account_(account), limits_(limits) {
    idle_.reserve(limits.blocks_kept_max);
  }

  /// A lent block; goes back to its pool at the end. Empty when the budget refused. Move-only.
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
  /// Frees what was not needed since the last trim().
  void trim() noexcept;
  std::size_t idle() const noexcept { return idle_.size(); }

 private:
  void put(Block block) noexcept;

  MemoryBudget& budget_;
  const Account account_;
  const Limits limits_;
  std::vector<Block> idle_;
  std::size_t idle_least_ = 0;  // fewest idle blocks since the last trim
};

}  // namespace millrace::net
