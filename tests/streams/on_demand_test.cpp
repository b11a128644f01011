#include "streams/on_demand.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "millrace/streams/control.hpp"
#include "streams/world.hpp"
#include "support/run.hpp"

namespace millrace::streams {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;

/// A stream on demand whose account has limits.
struct OnDemand : World {
  Options options;
  std::unique_ptr<Streams> streams;

  OnDemand() { options.limits.enforce = true; }

  template <class T>
  T run(awaitable<T> task) {
    return test::run(context, std::move(task));
  }
  void start() {
    streams.reset();
    test::settle(context);
    streams = run(make_streams(clock, *random, *store, *engine, options));
  }
  Result<StreamRef> create(std::string name, Mode mode = Mode::on_demand, std::optional<std::uint32_t> warm = {}) {
    CreateStream spec;
    spec.name = std::move(name);
    spec.settings.mode = mode;
    spec.settings.warm_mibps = warm;
    spec.shard_count = kOnDemandShards;
    return run(streams->create(spec));
  }
  StreamRef stream() { return streams->find("s"); }
  std::size_t open() { return stream()->open_shards(); }
  void wait(std::chrono::milliseconds time) {
    clock.advance(time);
    test::settle(context);
  }
  /// So many small records to a shard.
  void put(const Shard& shard, int records, std::size_t bytes = 1) {
    const std::string data(bytes, 'x');
    while (records > 0) {
      log::BatchBuilder batch;
      const int some = std::clamp(static_cast<int>(40'000 / (bytes + 20)), 1, records);
      batch.reset(
          log::batch_bytes_needed(static_cast<std::size_t>(some), static_cast<std::size_t>(some) * (bytes + 1)));
      batch.begin_batch();
      for (int i = 0; i < some; ++i) batch.add("k", data);
      ASSERT_TRUE(shard.log->stage(shard.log->epoch(), batch.batch()));
      records -= some;
    }
  }
  void put_to_all(int records) {
    for (const auto& shard : stream()->shards)
      if (!shard->ended_s) put(*shard, records);
  }
};

TEST_F(OnDemand, AStreamDoublesWithWhatIsPutToIt) {
  start();
  ASSERT_TRUE(create("s"));
  EXPECT_EQ(open(), 4u);
  wait(10s);
  put_to_all(5'000);  // 500 a second
  wait(10s);
  EXPECT_EQ(open(), 4u) << "twice of it, and no more, fits";
  put_to_all(5'010);
  wait(10s);
  EXPECT_EQ(open(), 8u);
  for (const HashRange& range : equal_ranges(8)) EXPECT_EQ(stream()->route(range.first).range.first, range.first);
  put_to_all(9'000);
  wait(10s);
  EXPECT_EQ(open(), 16u);
  EXPECT_EQ(stream()->status(clock.now()), Status::active);
  wait(1h);
  EXPECT_EQ(open(), 16u);
  EXPECT_EQ(streams->open_shards(), 16u);
}

TEST_F(OnDemand, BytesCountWithTheirKeys) {
  start();
  ASSERT_TRUE(create("s"));
  wait(10s);
  put(*stream()->shards[2], 50, 99'999);  // with a key of one: 5,000,000 in ten seconds
  wait(10s);
  EXPECT_EQ(open(), 4u);
  put(*stream()->shards[2], 51, 99'999);
  wait(10s);
  ASSERT_EQ(open(), 5u) << "the one that is hot is split in its middle";
  EXPECT_EQ(stream()->shards[4]->parent, 2u);
  EXPECT_EQ(stream()->shards[5]->parent, 2u);
  EXPECT_EQ(stream()->shards[5]->range.first, equal_ranges(8)[5].first);
}

TEST_F(OnDemand, OneWithoutLimitsStaysAsItIs) {
  options.limits = {};
  for (const bool exempt : {false, true}) {
    if (exempt) options.limits = {.enforce = true, .exempt = {"s"}};
    start();
    ASSERT_TRUE(create("s"));
    EXPECT_FALSE(stream()->limits);
    EXPECT_FALSE(stream()->shards[0]->limits);
    wait(10s);
    put_to_all(9'000);
    wait(10s);
    EXPECT_EQ(open(), 4u);
    EXPECT_EQ(stream()->history, History{});
    ASSERT_TRUE(run(streams->remove("s")));
  }
}

TEST_F(OnDemand, AProvisionedOneStaysAsItIsUntilItsModeIsAnother) {
  start();
  ASSERT_TRUE(create("s", Mode::provisioned));
  wait(10s);
  put_to_all(9'000);
  wait(10s);
  EXPECT_EQ(open(), 4u);
  ASSERT_TRUE(run(set_mode(*streams, "s", Mode::on_demand, {})));
  wait(10s);
  EXPECT_EQ(open(), 4u) << "what was put before may have taken any time";
  put_to_all(9'000);
  wait(10s);
  EXPECT_EQ(open(), 8u);
  ASSERT_TRUE(run(set_mode(*streams, "s", Mode::provisioned, {})));
  EXPECT_TRUE(stream()->history.peaks.empty());
}

TEST_F(OnDemand, TheRegionsCeilingAndTheQuotaHold) {
  options.limits.quotas.on_demand_shards_max = 6;
  start();
  ASSERT_TRUE(create("s"));
  for (int i = 0; i < 4; ++i) {
    put_to_all(9'000);
    wait(10s);
  }
  EXPECT_EQ(open(), 6u);
  options.limits.quotas.on_demand_shards_max = 200;
  options.shards_max = 7;
  start();
  for (int i = 0; i < 3; ++i) {
    put_to_all(9'000);
    wait(10s);
  }
  EXPECT_EQ(open(), 6u) << "all of those that are hot, or none";
}

TEST_F(OnDemand, CapacityIsTwiceTheHighestOf30Days) {
  start();
  ASSERT_TRUE(create("s"));
  wait(10s);
  for (int i = 0; i < 3; ++i) {
    put_to_all(9'000);
    wait(10s);
  }
  ASSERT_EQ(open(), 32u);
  // Two days later less is put: 6,400 a second need 13.
  wait(days{2});
  wait(10s);
  put_to_all(2'000);
  wait(10s);
  EXPECT_EQ(stream()->history.peaks.size(), 2u);
  wait(days{27});
  EXPECT_EQ(open(), 32u) << "the first peak counts";
  options.limits.enforce = true;
  start();
  EXPECT_EQ(stream()->history.peaks.size(), 2u) << "after a start too";
  wait(10s);
  EXPECT_EQ(open(), 32u);
  wait(days{2});
  EXPECT_EQ(open(), 16u);
  EXPECT_EQ(stream()->history.peaks.size(), 1u);
  wait(days{3});
  EXPECT_EQ(open(), 16u) << "nothing is left of the second one, but that was soon after";
  EXPECT_TRUE(stream()->history.peaks.empty());
  wait(days{27});
  EXPECT_EQ(open(), 8u);
  wait(days{30});
  EXPECT_EQ(open(), 4u);
  wait(days{90});
  EXPECT_EQ(open(), 4u);
}

TEST_F(OnDemand, PeaksAreFewHoweverLong) {
  start();
  ASSERT_TRUE(create("s"));
  for (int day = 0; day < 40; ++day) {
    wait(days{1});
    wait(10s);
    put_to_all(10 + day % 7);
    wait(10s);
  }
  EXPECT_EQ(stream()->history.peaks.size(), 31u);
  EXPECT_EQ(open(), 4u);
}

TEST_F(OnDemand, WarmThroughputIsReadyFromTheBeginning) {
  start();
  ASSERT_TRUE(run(streams->account().commit(true)));
  ASSERT_TRUE(create("s", Mode::on_demand, 7));
  EXPECT_EQ(open(), 7u);
  ASSERT_TRUE(run(set_warm_throughput(*streams, "s", 9)));
  wait(10s);
  wait(10s);
  EXPECT_EQ(open(), 9u);
}

TEST_F(OnDemand, ScalingGoesOnWhileAnUpdateTakesItsTime) {
  options.update_delay = 25s;
  start();
  ASSERT_TRUE(create("s"));
  wait(10s);
  put_to_all(9'000);
  wait(10s);
  EXPECT_EQ(stream()->status(clock.now()), Status::updating);
  EXPECT_EQ(open(), 4u);
  put_to_all(9'500);
  wait(10s);
  EXPECT_EQ(stream()->history.peaks[0].records_per_s, 4u * 950);
  wait(20s);
  EXPECT_EQ(open(), 8u);
  EXPECT_EQ(stream()->status(clock.now()), Status::active);
}

TEST_F(OnDemand, AnAccountHasSoManyOfThem) {
  options.limits.quotas.on_demand_streams = 2;
  start();
  ASSERT_TRUE(create("a"));
  ASSERT_TRUE(create("b"));
  EXPECT_EQ(create("c").error().code, Errc::on_demand_streams);
  ASSERT_TRUE(create("c", Mode::provisioned));
  EXPECT_EQ(run(set_mode(*streams, "c", Mode::on_demand, {})).error().code, Errc::on_demand_streams);
  EXPECT_TRUE(run(set_mode(*streams, "a", Mode::on_demand, {}))) << "one that is";
  ASSERT_TRUE(run(set_mode(*streams, "a", Mode::provisioned, {})));
  EXPECT_TRUE(run(set_mode(*streams, "c", Mode::on_demand, {})));
}

TEST_F(OnDemand, WhatIsAllowedSoOftenADayIsCountedOverStarts) {
  start();
  ASSERT_TRUE(create("s", Mode::provisioned));
  std::uint32_t target = 5;
  for (std::size_t i = 0; i < kShardCountsADay; ++i) {
    ASSERT_TRUE(run(streams->set_shard_count("s", target))) << i;
    target = 9 - target;
    wait(1h);
    if (i == 4) start();
  }
  EXPECT_EQ(run(streams->set_shard_count("s", target)).error().code, Errc::too_often);
  wait(14h - 1ms);
  EXPECT_EQ(run(streams->set_shard_count("s", target)).error().code, Errc::too_often);
  wait(1ms);
  EXPECT_TRUE(run(streams->set_shard_count("s", target))) << "the first was 24 hours ago";
  EXPECT_EQ(run(streams->set_shard_count("s", 9 - target)).error().code, Errc::too_often);
  EXPECT_EQ(stream()->history.shard_counts.size(), kShardCountsADay);

  for (const Mode mode : {Mode::on_demand, Mode::provisioned}) ASSERT_TRUE(run(set_mode(*streams, "s", mode, {})));
  EXPECT_TRUE(run(set_mode(*streams, "s", Mode::provisioned, {}))) << "it changes nothing";
  start();
  const auto refused = run(set_mode(*streams, "s", Mode::on_demand, {}));
  EXPECT_EQ(refused.error().code, Errc::too_often);
  EXPECT_EQ(refused.error().detail, "2");

  for (std::size_t i = 0; i < kEncryptionsADay; ++i) {
    ASSERT_TRUE(run(start_encryption(*streams, "s", "alias/aws/kinesis")));
    ASSERT_TRUE(run(stop_encryption(*streams, "s")));
  }
  EXPECT_EQ(run(start_encryption(*streams, "s", "alias/aws/kinesis")).error().code, Errc::too_often);
  EXPECT_EQ(run(stop_encryption(*streams, "s")).error().code, Errc::too_often);
  wait(24h);
  EXPECT_TRUE(run(start_encryption(*streams, "s", "alias/aws/kinesis")));
}

TEST(ScalingPlan, PeaksAreEnteredWhenTheyAreWorthIt) {
  History history;
  const TimePoint now{days{20'000}};
  const auto note = [&](std::uint64_t bytes, std::uint64_t records, TimePoint at) {
    const ShardLoad loads[] = {{0, bytes, records}, {1, bytes, 0}};
    return note_peak(history, loads, at);
  };
  EXPECT_FALSE(note(0, 0, now));
  EXPECT_TRUE(note(1000, 10, now));
  EXPECT_FALSE(note(1040, 10, now)) << "not much more";
  EXPECT_TRUE(note(1060, 9, now));
  EXPECT_EQ(history.peaks, (std::vector<History::Peak>{{20'000, 2120, 10}}));
  EXPECT_TRUE(note(1, 1, now + days{1}));
  EXPECT_FALSE(note(5, 5, now)) << "of a clock that was set back";
  EXPECT_EQ(history.peaks.size(), 2u);
  EXPECT_FALSE(note(0, 0, now + days{30}));
  EXPECT_TRUE(note(0, 0, now + days{31}));
  EXPECT_EQ(history.peaks, (std::vector<History::Peak>{{20'001, 2, 1}}));
}

}  // namespace
}  // namespace millrace::streams
