#include "delivery/batch_planner.hpp"

#include <gtest/gtest.h>

#include <random>

namespace millrace::delivery {
namespace {

using log::Position;

struct Record {
  std::int64_t arrival_ms;
  std::size_t data_bytes;
};
/// A shard's records from position 100 on; a page holds up to `page_records`.
struct FakeShard {
  std::vector<Record> records;
  std::size_t page_records = 3;
  std::uint64_t first = 100;
  std::uint64_t end() const { return first + records.size(); }

  log::ReadBatch read(Position from) const {
    log::ReadBatch batch;
    std::uint64_t at = std::max(from.get(), first);
    auto bytes = std::make_shared<std::string>();
    const std::uint64_t begin = at;
    while (at < end() && at - begin < page_records) {
      const Record& record = records[at - first];
      const log::RecordHead head{record.arrival_ms, static_cast<std::uint32_t>(record.data_bytes), 1, 0};
      bytes->append(reinterpret_cast<const char*>(&head), sizeof head).append("k").append(record.data_bytes, 'd');
      ++at;
    }
    batch.records = static_cast<std::uint32_t>(at - begin);
    if (batch.records > 0) batch.runs.push_back({bytes, Position{begin}, batch.records, *bytes});
    batch.next = Position{at};
    return batch;
  }
};

std::optional<Plan> plan(BatchPlanner& planner, const std::vector<FakeShard>& shards, std::uint64_t from = 100) {
  for (std::uint32_t i = 0; i < shards.size(); ++i) planner.add_shard(i, Position{from}, Position{shards[i].end()});
  while (auto wanted = planner.advance()) planner.page(wanted->slot, shards[wanted->slot].read(wanted->from));
  return planner.plan(1);
}
std::int64_t ms(const Plan& plan) { return plan.instant.time_since_epoch().count(); }
using Ranges = std::vector<ShardRange>;
ShardRange range(std::uint32_t shard, std::uint64_t from, std::uint64_t to) {
  return {shard, Position{from}, Position{to}};
}

TEST(BatchPlanner, TakesAllThatIsThereWhenItFits) {
  BatchPlanner planner(1000, 1);
  const auto made = plan(planner, {{{{10, 5}, {12, 5}, {13, 5}, {20, 5}}}, {{{11, 7}}}, {}});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->ranges, (Ranges{range(0, 100, 104), range(1, 100, 101)}));
  EXPECT_EQ(ms(*made), 10);
  EXPECT_EQ(planner.bytes(), 4u * 6 + 8);
  EXPECT_FALSE(planner.full());
  EXPECT_TRUE(planner.exhausted(0) && planner.exhausted(1));
  EXPECT_EQ(planner.taken(0).records, 4u);
  EXPECT_EQ(planner.taken(0).data_bytes, 20u);
}

TEST(BatchPlanner, EndsWithTheRecordThatReachesTheSize) {
  BatchPlanner exact(12, 1);
  EXPECT_EQ(plan(exact, {{{{1, 5}, {2, 5}, {3, 5}}}})->ranges, Ranges{range(0, 100, 102)});
  EXPECT_TRUE(exact.full());
  EXPECT_FALSE(exact.exhausted(0));
  BatchPlanner beyond(13, 1);
  EXPECT_EQ(plan(beyond, {{{{1, 5}, {2, 5}, {3, 5}}}})->ranges, Ranges{range(0, 100, 103)});
  BatchPlanner large(10, 0);
  EXPECT_EQ(plan(large, {{{{1, 500}, {2, 5}}}})->ranges, Ranges{range(0, 100, 101)});
}

TEST(BatchPlanner, TakesTheOldestRecordsOfAllShards) {
  BatchPlanner planner(6, 0);
  const auto made =
      plan(planner, {{{{10, 1}, {20, 1}, {30, 1}, {40, 1}}}, {{{15, 1}, {16, 1}, {35, 1}, {36, 1}}}, {{{50, 1}}}});
  EXPECT_EQ(made->ranges, (Ranges{range(0, 100, 103), range(1, 100, 103)}));
  EXPECT_EQ(ms(*made), 10);
}

TEST(BatchPlanner, TakesNoRecordBeforeThoseThatItsShardComesAfter) {
  // The clock was set back when the second shard followed the first; a third has nothing to do with them.
  const std::vector<FakeShard> shards{{{{10, 1}, {20, 1}, {30, 1}}}, {{{5, 1}, {30, 1}, {31, 1}}}, {{{6, 1}, {29, 1}}}};
  for (const auto& [bytes, ranges] : std::vector<std::pair<std::uint64_t, Ranges>>{
           {3, {range(0, 100, 102), range(2, 100, 101)}},
           {4, {range(0, 100, 102), range(2, 100, 102)}},
           {5, {range(0, 100, 103), range(2, 100, 102)}},
           {7, {range(0, 100, 103), range(1, 100, 102), range(2, 100, 102)}}}) {
    BatchPlanner planner(bytes, 0);
    planner.add_shard(0, Position{100}, Position{shards[0].end()});
    planner.add_shard(1, Position{100}, Position{shards[1].end()}, 30);
    planner.add_shard(2, Position{100}, Position{shards[2].end()});
    while (auto wanted = planner.advance()) planner.page(wanted->slot, shards[wanted->slot].read(wanted->from));
    EXPECT_EQ(planner.plan(1)->ranges, ranges) << bytes;
  }
}

TEST(BatchPlanner, GoesOnWhereReadableRecordsBegin) {
  BatchPlanner planner(1000, 0);
  FakeShard shard{{{10, 1}, {20, 1}}};
  shard.first = 150;
  const auto made = plan(planner, {shard}, 100);
  EXPECT_EQ(made->ranges, Ranges{range(0, 150, 152)});
  EXPECT_EQ(planner.first_readable(0), Position{150});
}

TEST(BatchPlanner, HasNoPlanWhenNothingCanBeRead) {
  BatchPlanner planner(1000, 0);
  planner.add_shard(0, Position{5}, Position{9});
  planner.add_shard(1, Position{5}, Position{9});
  while (auto wanted = planner.advance()) {
    if (wanted->slot == 0)
      planner.gone(0);
    else
      planner.page(1, {});
  }
  EXPECT_FALSE(planner.plan(1));
  EXPECT_EQ(planner.first_readable(0), Position{9});
  EXPECT_TRUE(planner.exhausted(1));
}

TEST(BatchPlanner, NeverTakesRecordsPastTheLimitGiven) {
  BatchPlanner planner(1000, 0);
  const FakeShard shard{{{10, 1}, {20, 1}, {30, 1}}};
  planner.add_shard(0, Position{100}, Position{102});
  while (auto wanted = planner.advance()) planner.page(0, shard.read(wanted->from));
  EXPECT_EQ(planner.plan(1)->ranges, Ranges{range(0, 100, 102)});
  EXPECT_TRUE(planner.exhausted(0));
}

TEST(BatchPlanner, CutsAnyBacklogIntoBatchesThatHoldEveryRecordOnce) {
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::vector<FakeShard> shards(random() % 5 + 1);
    std::size_t total = 0;
    for (FakeShard& shard : shards) {
      shard.page_records = random() % 4 + 1;
      std::int64_t now = 0;
      for (auto n = random() % 40; n > 0; --n) shard.records.push_back({now += random() % 3, random() % 20});
      total += shard.records.size();
    }
    std::vector<std::uint64_t> next(shards.size(), 100);
    std::size_t taken = 0;
    std::int64_t newest_before = -1;
    for (;;) {
      BatchPlanner planner(random() % 60 + 1, 1);
      for (std::uint32_t i = 0; i < shards.size(); ++i)
        planner.add_shard(i, Position{next[i]}, Position{shards[i].end()});
      while (auto wanted = planner.advance()) planner.page(wanted->slot, shards[wanted->slot].read(wanted->from));
      const auto made = planner.plan(1);
      if (!made) break;
      ASSERT_GE(ms(*made), newest_before) << "an older record was left behind";
      for (const ShardRange& each : made->ranges) {
        ASSERT_EQ(each.from.get(), next[each.shard]);
        ASSERT_LT(each.from, each.to);
        taken += each.to.get() - each.from.get();
        next[each.shard] = each.to.get();
        newest_before = std::max(newest_before, shards[each.shard].records[each.to.get() - 101].arrival_ms);
      }
    }
    ASSERT_EQ(taken, total);
  }
}

}  // namespace
}  // namespace millrace::delivery
