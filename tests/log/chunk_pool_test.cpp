#include "log/chunk_pool.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <thread>
#include <vector>

namespace millrace::log {
namespace {

struct Pool {
  MemoryBudget budget{std::size_t{1} << 30};
  std::shared_ptr<ChunkPool> pool = std::make_shared<ChunkPool>(budget);
  std::size_t used() const { return budget.used(Account::chunks); }
};

TEST(ChunkPool, BlocksArePowersOfTwoOfGranulesAndAccounted) {
  Pool p;
  EXPECT_EQ(p.pool->stats().regions, 0u) << "nothing is mapped before it is needed";
  Block one = p.pool->allocate(1);
  EXPECT_EQ(one.size(), 16u * 1024);
  EXPECT_EQ(p.used(), 16u * 1024);
  Block forty = p.pool->allocate(40 * 1024);
  EXPECT_EQ(forty.size(), 64u * 1024);
  EXPECT_EQ(p.used(), 80u * 1024);
  one.release();
  EXPECT_EQ(p.used(), 64u * 1024);
  forty = Block{};
  EXPECT_EQ(p.used(), 0u);
}

TEST(ChunkPool, FirstSmallBlocksTouchOnlyThemselves) {
  Pool p;
  std::vector<Block> blocks;
  for (int i = 0; i < 8; ++i) blocks.push_back(p.pool->allocate(kGranuleBytes));
  EXPECT_EQ(p.pool->stats().touched_bytes, 8 * kGranuleBytes);
  EXPECT_EQ(p.pool->stats().regions, 1u);
}

TEST(ChunkPool, FreedMemoryIsTakenBeforeFreshMemory) {
  Pool p;
  for (int round = 0; round < 50; ++round) {
    std::vector<Block> blocks;
    for (int i = 0; i < 6; ++i) blocks.push_back(p.pool->allocate(kChunkBytesMax));
  }
  EXPECT_EQ(p.pool->stats().touched_bytes, 6 * kChunkBytesMax);
  EXPECT_EQ(p.pool->stats().regions, 2u);
}

TEST(ChunkPool, WhatBigBlocksLeaveServesSmallOnesAndMergesBack) {
  Pool p;
  p.pool->allocate(kChunkBytesMax).release();
  std::vector<Block> small;
  for (int i = 0; i < 64; ++i) small.push_back(p.pool->allocate(kGranuleBytes));
  EXPECT_EQ(p.pool->stats().touched_bytes, kChunkBytesMax);
  // In an order that merges late.
  for (int i = 0; i < 64; i += 2) small[i].release();
  for (int i = 1; i < 64; i += 2) small[i].release();
  Block big = p.pool->allocate(kChunkBytesMax);
  EXPECT_TRUE(big);
  EXPECT_EQ(p.pool->stats().touched_bytes, kChunkBytesMax);
}

TEST(ChunkPool, ShrinkGivesTheTailBack) {
  Pool p;
  Block block = p.pool->allocate(kChunkBytesMax);
  block.shrink(600 * 1024);
  EXPECT_EQ(block.size(), 608u * 1024);
  EXPECT_EQ(p.used(), 608u * 1024);
  std::vector<Block> rest;
  for (int i = 0; i < 26; ++i) rest.push_back(p.pool->allocate(kGranuleBytes));
  EXPECT_EQ(p.pool->stats().touched_bytes, kChunkBytesMax) << "the tail serves others";
  block.release();
  rest.clear();
  EXPECT_EQ(p.used(), 0u);
  Block whole = p.pool->allocate(kChunkBytesMax);
  EXPECT_EQ(p.pool->stats().touched_bytes, kChunkBytesMax) << "all parts have merged";
}

TEST(ChunkPool, BudgetRefusesAndRecovers) {
  MemoryBudget budget{100 * 1024};
  auto pool = std::make_shared<ChunkPool>(budget);
  Block a = pool->allocate(64 * 1024);
  ASSERT_TRUE(a);
  EXPECT_FALSE(pool->allocate(64 * 1024));
  EXPECT_FALSE(pool->allocate(2 * kChunkBytesMax));
  EXPECT_EQ(budget.used(), 64u * 1024);
  a.release();
  EXPECT_TRUE(pool->allocate(64 * 1024));
}

// Each size finds only gaps that are too small for it; what the pool keeps of the kernel's memory stays within the
// limit.
TEST(ChunkPool, GapsGoBackToTheKernelBeforeMoreThanTheLimitIsHeld) {
  constexpr std::size_t kLimit = 32 * kChunkBytesMax;
  MemoryBudget budget{kLimit + kChunkBytesMax, kChunkBytesMax};
  auto pool = std::make_shared<ChunkPool>(budget);
  std::vector<Block> kept;
  for (std::size_t size = kGranuleBytes; size <= kChunkBytesMax; size *= 2) {
    std::vector<Block> all;
    while (Block block = pool->allocate(size)) {
      std::memset(block.data(), 'x', block.size());
      EXPECT_LE(pool->stats().touched_bytes, kLimit);
      all.push_back(std::move(block));
    }
    ASSERT_GE(all.size(), 8u) << size;
    for (std::size_t i = 0; i < all.size(); i += 2) {
      all[i].shrink(1);
      kept.push_back(std::move(all[i]));
    }
  }
  for (const Block& block : kept) EXPECT_EQ(block.data()[kGranuleBytes - 1], 'x');
  kept.clear();
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ChunkPool, WhatWentBackToTheKernelComesAnew) {
  MemoryBudget budget{4 * kChunkBytesMax};
  auto pool = std::make_shared<ChunkPool>(budget);
  std::vector<Block> blocks;
  for (int i = 0; i < 4; ++i) {
    blocks.push_back(pool->allocate(kChunkBytesMax));
    std::memset(blocks.back().data(), 'x', kChunkBytesMax);
  }
  char* const first = blocks[0].data();
  blocks.erase(blocks.begin());
  EXPECT_EQ(pool->stats().touched_bytes, 4 * kChunkBytesMax) << "free memory is kept";
  blocks.erase(blocks.begin());
  Block large = pool->allocate(2 * kChunkBytesMax);  // memory of its own: what is free must make room for it
  ASSERT_TRUE(large);
  EXPECT_EQ(pool->stats().touched_bytes, 2 * kChunkBytesMax);
  large.release();
  Block again = pool->allocate(kChunkBytesMax);
  Block more = pool->allocate(kChunkBytesMax);
  EXPECT_EQ(pool->stats().large_kept_bytes, 0u) << "a free large block makes room first";
  EXPECT_TRUE(again.data() == first || more.data() == first);
  for (const Block* block : {&again, &more})
    for (std::size_t i = 0; i < block->size(); i += 4096) ASSERT_EQ(block->data()[i], 0);
}

TEST(ChunkPool, FreeMemoryMakesRoomForWhatOthersHoldOfTheBudget) {
  MemoryBudget budget{8 * kChunkBytesMax, kChunkBytesMax};
  auto pool = std::make_shared<ChunkPool>(budget);
  std::vector<Block> blocks;
  for (int i = 0; i < 7; ++i) blocks.push_back(pool->allocate(kChunkBytesMax));
  blocks.resize(2);
  pool->trim();
  EXPECT_EQ(pool->stats().touched_bytes, 7 * kChunkBytesMax);
  const Reservation bodies = Reservation::take(budget, Account::bodies, 4 * kChunkBytesMax);
  ASSERT_TRUE(bodies);
  pool->trim();
  EXPECT_EQ(pool->stats().touched_bytes, 4 * kChunkBytesMax);
  const Reservation replies = Reservation::take(budget, Account::replies, 2 * kChunkBytesMax);
  ASSERT_TRUE(replies);
  pool->trim();
  EXPECT_EQ(pool->stats().touched_bytes, 2 * kChunkBytesMax) << "what is in use stays";
}

TEST(ChunkPool, LargeBlocksAreExactAndKeptForTheNext) {
  Pool p;
  Block large = p.pool->allocate(kChunkBytesMax + 1);
  EXPECT_EQ(large.size(), kChunkBytesMax + kGranuleBytes);
  char* const at = large.data();
  std::memset(at, 7, large.size());
  large.release();
  EXPECT_EQ(p.used(), 0u);
  EXPECT_EQ(p.pool->stats().large_kept_bytes, kChunkBytesMax + kGranuleBytes);
  Block again = p.pool->allocate(kChunkBytesMax + 1);
  EXPECT_EQ(again.data(), at);
  EXPECT_EQ(p.pool->stats().large_kept_bytes, 0u);
  EXPECT_EQ(p.used(), kChunkBytesMax + kGranuleBytes);
}

TEST(ChunkPool, LargeBlocksKeptAreBounded) {
  Pool p;
  std::vector<Block> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back(p.pool->allocate(10 * kChunkBytesMax));
  blocks.clear();
  EXPECT_EQ(p.pool->stats().large_kept_bytes, 60 * kChunkBytesMax);
}

TEST(ChunkPool, BlockOutlivesTheLastOtherOwnerOfThePool) {
  Pool p;
  Block block = p.pool->allocate(kGranuleBytes);
  p.pool.reset();
  std::memset(block.data(), 1, block.size());
  block.release();
  EXPECT_EQ(p.used(), 0u);
}

// Every block is filled with a mark of its own and checked before it goes: blocks never overlap.
void churn(ChunkPool& pool, unsigned seed, int steps) {
  std::mt19937 random(seed);
  struct Held {
    Block block;
    unsigned char mark;
  };
  std::vector<Held> held;
  const auto intact = [](const Held& h) {
    for (std::size_t i = 0; i < h.block.size(); i += kGranuleBytes) {
      if (static_cast<unsigned char>(h.block.data()[i]) != h.mark) return false;
    }
    return static_cast<unsigned char>(h.block.data()[h.block.size() - 1]) == h.mark;
  };
  for (int step = 0; step < steps; ++step) {
    const unsigned choice = random() % 8;
    if (choice < 4 || held.empty()) {
      Held h{pool.allocate((std::size_t{1} << (random() % 22)) + random() % 4096),
             static_cast<unsigned char>(random())};
      if (!h.block) continue;
      for (std::size_t i = 0; i < h.block.size(); i += kGranuleBytes) h.block.data()[i] = static_cast<char>(h.mark);
      h.block.data()[h.block.size() - 1] = static_cast<char>(h.mark);
      held.push_back(std::move(h));
    } else {
      const std::size_t i = random() % held.size();
      ASSERT_TRUE(intact(held[i]));
      if (choice == 4) {
        held[i].block.shrink(random() % held[i].block.size());
        held[i].block.data()[held[i].block.size() - 1] = static_cast<char>(held[i].mark);
      } else {
        std::swap(held[i], held.back());
        held.pop_back();
      }
    }
  }
}

TEST(ChunkPool, BlocksNeverOverlapUnderRandomUse) {
  MemoryBudget budget{24u << 20};
  auto pool = std::make_shared<ChunkPool>(budget);
  churn(*pool, 1, 20'000);
  EXPECT_EQ(budget.used(), 0u);
}

TEST(ChunkPool, ThreadsShareIt) {
  MemoryBudget budget{24u << 20};
  auto pool = std::make_shared<ChunkPool>(budget);
  std::vector<std::thread> threads;
  for (unsigned seed = 1; seed <= 3; ++seed) threads.emplace_back([&, seed] { churn(*pool, seed, 3'000); });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace millrace::log
