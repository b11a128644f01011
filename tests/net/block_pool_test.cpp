#include "net/block_pool.hpp"

#include <gtest/gtest.h>

namespace millrace::net {
namespace {

constexpr BlockPool::Limits kLimits{.blocks_kept_max = 2, .block_bytes_kept_max = 256 * 1024};

TEST(BlockPool, LendsABlockAgain) {
  MemoryBudget budget(1u << 20);
  BlockPool pool(budget, Account::bodies, kLimits);
  BlockPool::Lent block = pool.take(100);
  ASSERT_TRUE(block);
  EXPECT_GE(block.capacity(), 100u);
  const char* const data = block.data();
  const std::size_t used = budget.used(Account::bodies);
  EXPECT_EQ(used, block.capacity());
  block.give_back();
  EXPECT_FALSE(block);
  EXPECT_EQ(budget.used(), used);
  EXPECT_EQ(pool.take(50).data(), data);
  EXPECT_EQ(budget.used(), used);
}

TEST(BlockPool, RefusesBeyondTheBudget) {
  MemoryBudget budget(200 * 1024);
  BlockPool pool(budget, Account::bodies, kLimits);
  const BlockPool::Lent first = pool.take(128 * 1024);
  EXPECT_TRUE(first);
  EXPECT_FALSE(pool.take(128 * 1024));
}

TEST(BlockPool, GivesIdleBlocksUpForALargerOne) {
  MemoryBudget budget(200 * 1024);
  BlockPool pool(budget, Account::bodies, kLimits);
  pool.take(64 * 1024).give_back();
  EXPECT_EQ(pool.idle(), 1u);
  EXPECT_TRUE(pool.take(190 * 1024));
}

TEST(BlockPool, KeepsNoMoreThanItsLimits) {
  MemoryBudget budget(4u << 20);
  BlockPool pool(budget, Account::bodies, kLimits);
  pool.take(512 * 1024).give_back();
  EXPECT_EQ(pool.idle(), 0u);
  { const BlockPool::Lent a = pool.take(1), b = pool.take(1), c = pool.take(1); }
  EXPECT_EQ(pool.idle(), 2u);
  EXPECT_EQ(budget.used(), 2u * 64 * 1024);
}

TEST(BlockPool, RoundsToItsUnit) {
  MemoryBudget budget(1u << 20);
  BlockPool pool(budget, Account::connections, {.blocks_kept_max = 2, .block_bytes_kept_max = 4096, .unit = 1024});
  EXPECT_EQ(pool.take(1).capacity(), 1024u);
  EXPECT_EQ(pool.take(1025).capacity(), 2048u);
}

TEST(BlockPool, LendsMappingsOfTheirOwn) {
  MemoryBudget budget(1u << 20);
  BlockPool pool(budget, Account::connections,
                 {.blocks_kept_max = 1, .block_bytes_kept_max = 64 * 1024, .mapped = true});
  BlockPool::Lent a = pool.take(1), b = pool.take(1);
  for (BlockPool::Lent* block : {&a, &b}) {
    block->data()[0] = 'x';
    block->data()[block->capacity() - 1] = 'x';
  }
  a.give_back();
  b.give_back();  // one is kept, the other freed
  EXPECT_EQ(budget.used(), 64u * 1024);
  pool.clear();
  EXPECT_EQ(budget.used(), 0u);
}

TEST(BlockPool, SaysThatABlockHasComeBack) {
  MemoryBudget budget(1u << 20);
  BlockPool pool(budget, Account::bodies, kLimits);
  int returned = 0;
  pool.on_return([&] { ++returned; });
  BlockPool::Lent kept = pool.take(1);
  pool.take(512 * 1024).give_back();
  EXPECT_EQ(returned, 1);
  kept.give_back();
  EXPECT_EQ(returned, 2);
}

TEST(BlockPool, TrimFreesWhatLayIdleSinceTheLast) {
  MemoryBudget budget(4u << 20);
  BlockPool pool(budget, Account::bodies, kLimits);
  { const BlockPool::Lent a = pool.take(1), b = pool.take(1); }
  pool.trim();
  EXPECT_EQ(pool.idle(), 2u);
  pool.take(1).give_back();
  pool.trim();
  EXPECT_EQ(pool.idle(), 1u);
  pool.trim();
  EXPECT_EQ(pool.idle(), 0u);
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace millrace::net
