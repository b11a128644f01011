#include "millrace/base/memory_budget.hpp"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(MemoryBudget, RecordsLeaveTheLastOfItToEverythingElse) {
  MemoryBudget budget(1000, 200);
  EXPECT_TRUE(budget.try_take(Account::chunks, 800));
  EXPECT_FALSE(budget.try_take(Account::chunks, 1));
  EXPECT_TRUE(budget.try_take(Account::replies, 200));
  EXPECT_FALSE(budget.try_take(Account::connections, 1));
  EXPECT_EQ(budget.refused(), 2u);
  EXPECT_EQ(budget.refused(Account::chunks), 1u);
  EXPECT_EQ(budget.refused(Account::connections), 1u);
  EXPECT_EQ(budget.kept_from_chunks(), 200u);
  budget.give_back(Account::chunks, 300);
  EXPECT_EQ(budget.used(), 700u);
  EXPECT_TRUE(budget.try_take(Account::chunks, 100));
  EXPECT_FALSE(budget.try_take(Account::chunks, 1));
}

TEST(MemoryBudget, ReservationGivesBackExactlyOnce) {
  MemoryBudget budget(1000);
  {
    Reservation first = Reservation::take(budget, Account::bodies, 600);
    ASSERT_TRUE(first);
    Reservation refused = Reservation::take(budget, Account::bodies, 600);
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.bytes(), 0u);
    Reservation second = std::move(first);
    EXPECT_EQ(second.bytes(), 600u);
    EXPECT_EQ(budget.used(Account::bodies), 600u);
  }
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace millrace
