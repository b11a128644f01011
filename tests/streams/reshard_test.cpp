#include "streams/reshard.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/multiprecision/cpp_int.hpp>
#include <map>
#include <random>
#include <set>
#include <thread>

#include "streams/world.hpp"
#include "support/run.hpp"

namespace millrace::streams {
namespace {

using namespace std::chrono_literals;
using boost::multiprecision::cpp_int;
using test::run;

cpp_int wide(Uint128 v) { return (cpp_int(v.high) << 64) + v.low; }
Uint128 narrow(const cpp_int& v) {
  const cpp_int mask = (cpp_int(1) << 64) - 1;
  return {static_cast<std::uint64_t>(v >> 64), static_cast<std::uint64_t>(v & mask)};
}
const cpp_int kAll = cpp_int(1) << 128;

struct Record {
  std::string key, data;
};
std::vector<Record> records_of(const log::ReadBatch& batch) {
  std::vector<Record> found;
  for (const log::RecordRun& run : batch.runs) {
    const char* at = run.bytes.data();
    for (std::uint32_t i = 0; i < run.count; ++i) {
      log::RecordView record;
      at = log::read_record(at, record);
      found.push_back({std::string(record.key), std::string(record.data)});
    }
  }
  return found;
}

struct Resharding : World {
  Options options;
  std::unique_ptr<Streams> streams;

  void open(std::uint32_t shards = 1) {
    restart();
    CreateStream spec;
    spec.name = "s";
    spec.shard_count = shards;
    ASSERT_TRUE(run(context, streams->create(spec)));
  }
  void restart() {
    end_life();
    streams = run(context, make_streams(clock, *random, *store, *engine, options));
  }
  void end_life() {
    streams.reset();
    test::settle(context);  // what waited goes
  }
  StreamRef stream() { return streams->find("s"); }
  Result<> split(std::uint32_t shard, Uint128 at) { return run(context, streams->split("s", shard, at)); }
  Result<> merge(std::uint32_t a, std::uint32_t b) { return run(context, streams->merge("s", a, b)); }
  Result<std::uint32_t> scale(std::uint32_t target) { return run(context, streams->set_shard_count("s", target)); }
  /// As a put goes: false when the log has ended since the stream was looked up.
  static bool put(const Stream& stream, const std::string& key, const std::string& data) {
    log::BatchBuilder batch;
    batch.reset(log::batch_bytes_needed(1, data.size() + key.size()));
    batch.begin_batch();
    batch.add(key, data);
    log::Log& log = *stream.route(md5(key)).log;
    const auto staged = log.stage(log.epoch(), batch.batch());
    if (!staged) {
      EXPECT_EQ(staged.error().code, log::Errc::ended);
    }
    return staged.has_value();
  }
  void put(const std::string& key, const std::string& data) {
    for (int attempt = 0; attempt < 4; ++attempt)
      if (put(*stream(), key, data)) return;
    FAIL() << "no shard takes it";
  }
  log::ReadBatch read(const Shard& shard) {
    log::ReadRequest request;
    request.records_max = 1'000'000;
    request.bytes_max = SIZE_MAX;
    auto batch = run(context, shard.log->read(request));
    EXPECT_TRUE(batch);
    return std::move(*batch);
  }
  /// Every record, parents before their children, as consumers read; by key.
  std::map<std::string, std::vector<std::string>> read_all() {
    std::map<std::string, std::vector<std::string>> by_key;
    const StreamRef now = stream();
    for (const auto& shard : now->shards) {  // parents have lower indices
      const log::ReadBatch batch = read(*shard);
      EXPECT_EQ(batch.ended, shard->ended_s.has_value()) << shard->id;
      for (Record& record : records_of(batch)) {
        const cpp_int hash = wide(md5(record.key));
        EXPECT_TRUE(wide(shard->range.first) <= hash && hash <= wide(shard->range.last)) << shard->id;
        by_key[record.key].push_back(std::move(record.data));
      }
    }
    return by_key;
  }
};

void expect_sound(const Stream& stream) {
  std::map<cpp_int, cpp_int> open;
  std::int64_t index = -1;
  for (const auto& shard : stream.shards) {
    ASSERT_GT(std::int64_t{shard->index}, index);
    index = shard->index;
    ASSERT_TRUE(shard->log);
    if (!shard->ended_s) open[wide(shard->range.first)] = wide(shard->range.last);
    if (!shard->parent) {
      EXPECT_FALSE(shard->adjacent_parent);
      continue;
    }
    const Shard* const parent = stream.shard(*shard->parent);
    if (!parent) continue;  // past the retention
    ASSERT_TRUE(parent->ended_s);
    EXPECT_LT(parent->index, shard->index);
    EXPECT_LT(*parent->ended_s, shard->created_s);
    if (shard->adjacent_parent) {
      const Shard* const adjacent = stream.shard(*shard->adjacent_parent);
      ASSERT_TRUE(adjacent && adjacent->ended_s);
      EXPECT_EQ(wide(parent->range.last) + 1, wide(adjacent->range.first));
      EXPECT_EQ(wide(shard->range.first), wide(parent->range.first));
      EXPECT_EQ(wide(shard->range.last), wide(adjacent->range.last));
    } else {
      EXPECT_TRUE(wide(shard->range.first) == wide(parent->range.first) ||
                  wide(shard->range.last) == wide(parent->range.last));
      EXPECT_GE(wide(shard->range.first), wide(parent->range.first));
      EXPECT_LE(wide(shard->range.last), wide(parent->range.last));
    }
  }
  cpp_int next = 0;
  for (const auto& [first, last] : open) {
    ASSERT_EQ(first, next);
    ASSERT_LE(first, last);
    next = last + 1;
  }
  EXPECT_EQ(next, kAll);
  EXPECT_EQ(stream.open_shards(), open.size());
}

void expect_equal_ranges(const Stream& stream, std::uint32_t count) {
  ASSERT_EQ(stream.open_shards(), count);
  for (const HashRange& range : equal_ranges(count)) {
    const Shard& shard = stream.route(narrow((wide(range.first) + wide(range.last)) / 2));
    EXPECT_LE(abs(wide(shard.range.first) - wide(range.first)), 20'000);
    EXPECT_LE(abs(wide(shard.range.last) - wide(range.last)), 20'000);
  }
}

TEST_F(Resharding, ASplitDividesTheRangeAtTheKeyGiven) {
  open(2);
  const Uint128 at = narrow(kAll / 4);
  const std::int64_t now_s = std::chrono::floor<std::chrono::seconds>(clock.now()).time_since_epoch().count();
  ASSERT_TRUE(split(0, at));
  const StreamRef now = stream();
  expect_sound(*now);
  ASSERT_EQ(now->shards.size(), 4u);
  EXPECT_EQ(now->status(clock.now()), Status::active);
  EXPECT_EQ(now->shards[0]->ended_s, now_s);
  EXPECT_FALSE(now->shards[1]->ended_s);
  EXPECT_EQ(wide(now->shards[2]->range.last), kAll / 4 - 1);
  EXPECT_EQ(now->shards[3]->range.first, at);
  EXPECT_EQ(now->shards[3]->range.last, now->shards[0]->range.last);
  for (std::size_t child : {2u, 3u}) {
    EXPECT_EQ(now->shards[child]->parent, 0u);
    EXPECT_FALSE(now->shards[child]->adjacent_parent);
    EXPECT_EQ(now->shards[child]->created_s, now_s + 1);
  }
  EXPECT_EQ(streams->open_shards(), 3u);
}

TEST_F(Resharding, AMergeTakesTheLowerShardFirst) {
  open(3);
  ASSERT_TRUE(merge(1, 2));
  const StreamRef now = stream();
  expect_sound(*now);
  ASSERT_EQ(now->shards.size(), 4u);
  EXPECT_EQ(now->shards[3]->parent, 1u);
  EXPECT_EQ(now->shards[3]->adjacent_parent, 2u);
  EXPECT_EQ(streams->open_shards(), 2u);
  EXPECT_EQ(merge(3, 0).error().code, Errc::not_adjacent);
  EXPECT_EQ(merge(0, 0).error().code, Errc::not_adjacent);
  EXPECT_EQ(merge(0, 1).error().code, Errc::shard_closed);
  EXPECT_EQ(merge(0, 9).error().code, Errc::shard_not_found);
  EXPECT_TRUE(merge(0, 3));
  EXPECT_EQ(merge(4, 4).error().code, Errc::not_adjacent);
}

TEST_F(Resharding, ASplitPointIsBeyondOnePlusTheFirstAndBelowTheLast) {
  open(2);
  const HashRange range = stream()->shards[1]->range;
  const cpp_int first = wide(range.first), last = kAll - 1;
  for (const cpp_int& bad : std::vector<cpp_int>{0, first - 1, first, first + 1, last})
    EXPECT_EQ(split(1, narrow(bad)).error().code, Errc::split_point) << bad;
  EXPECT_EQ(split(7, range.first).error().code, Errc::shard_not_found);
  EXPECT_TRUE(split(1, narrow(wide(range.first) + 2)));
  EXPECT_EQ(split(1, narrow(wide(range.first) + 9)).error().code, Errc::shard_closed);
  EXPECT_TRUE(split(3, narrow(kAll - 2)));
  expect_sound(*stream());
}

TEST_F(Resharding, ScalingGivesEqualRangesFromHalfToTwice) {
  for (const std::uint32_t from : {1u, 2u, 3u, 4u, 5u, 7u, 10u, 16u})
    for (std::uint32_t to = (from + 1) / 2; to <= 2 * from; ++to) {
      end_life();
      store = state::make_memory_store();
      open(from);
      const auto before = scale(to);
      ASSERT_TRUE(before) << from << " to " << to;
      EXPECT_EQ(*before, from);
      expect_sound(*stream());
      expect_equal_ranges(*stream(), to);
      EXPECT_EQ(streams->open_shards(), to);
      // Doubling and halving make no short-lived shards.
      const std::size_t made = stream()->shards.size() - from;
      if (to == 2 * from || 2 * to == from || to == from) {
        EXPECT_EQ(made, to == from ? 0 : to);
      }
      ASSERT_TRUE(run(context, streams->remove("s")));
    }
}

TEST_F(Resharding, AKeyOrTwoBesideWhereItShouldBeABoundaryStays) {
  open(4);
  ASSERT_TRUE(scale(6));  // whose middle is two keys before 2^127
  for (const auto& shard : stream()->shards)
    EXPECT_GT(wide(shard->range.last) - wide(shard->range.first), kAll / 100) << shard->id;
}

TEST_F(Resharding, ScalingIsBoundedByHalfAndTwiceOfTheOpenShards) {
  open(5);
  EXPECT_EQ(scale(11).error().code, Errc::scale_up);
  EXPECT_EQ(scale(2).error().code, Errc::scale_down);
  EXPECT_EQ(scale(2).error().detail, "5");
  EXPECT_EQ(scale(10'001).error().code, Errc::scale_limit);
  EXPECT_TRUE(scale(3));
  EXPECT_EQ(scale(7).error().code, Errc::scale_up) << "closed shards do not count";
}

TEST_F(Resharding, WhatItOpensCountsTowardsTheLimit) {
  options.shards_max = 5;
  options.update_delay = 10s;
  open(3);
  EXPECT_EQ(scale(6).error().code, Errc::shard_limit);
  EXPECT_EQ(scale(6).error().detail, "3");
  ASSERT_TRUE(scale(5));
  EXPECT_EQ(streams->open_shards(), 5u) << "while it is UPDATING too";
  CreateStream other;
  other.name = "other";
  EXPECT_EQ(run(context, streams->create(other)).error().code, Errc::shard_limit);
  restart();
  EXPECT_EQ(streams->open_shards(), 5u);
  clock.advance(10s);
  test::settle(context);
  ASSERT_TRUE(scale(3));
  EXPECT_EQ(streams->open_shards(), 5u) << "until the merges are over";
  clock.advance(10s);
  test::settle(context);
  EXPECT_EQ(streams->open_shards(), 3u);
  ASSERT_TRUE(scale(5));
  ASSERT_TRUE(run(context, streams->remove("s")));
  EXPECT_EQ(streams->open_shards(), 0u);
  clock.advance(10s);
  test::settle(context);
  EXPECT_EQ(streams->open_shards(), 0u);
}

TEST_F(Resharding, TheParentsTakeRecordsUntilUpdatingIsOver) {
  options.update_delay = 10s;
  open(1);
  put("k", "1");
  ASSERT_TRUE(split(0, narrow(kAll / 2)));
  EXPECT_EQ(stream()->status(clock.now()), Status::updating);
  EXPECT_EQ(stream()->shards.size(), 1u);
  const StreamRef before = stream();
  put("k", "2");
  EXPECT_EQ(split(0, narrow(kAll / 3)).error().code, Errc::not_active);
  EXPECT_EQ(split(0, narrow(kAll / 3)).error().detail, "UPDATING");
  clock.advance(10s);
  EXPECT_EQ(stream()->status(clock.now()), Status::updating) << "until it has happened";
  test::settle(context);
  EXPECT_EQ(stream()->status(clock.now()), Status::active);
  EXPECT_FALSE(put(*before, "k", "late")) << "the parent has ended";
  put("k", "3");
  EXPECT_EQ(read_all(), (std::map<std::string, std::vector<std::string>>{{"k", {"1", "2", "3"}}}));
  EXPECT_EQ(records_of(read(*stream()->shards[0])).size(), 2u);
}

TEST_F(Resharding, AStreamDeletedWhileUpdatingLeavesNothing) {
  options.update_delay = 10s;
  open(2);
  const std::uint64_t incarnation = stream()->incarnation;
  ASSERT_TRUE(scale(4));
  ASSERT_TRUE(run(context, streams->remove("s")));
  clock.advance(10s);
  test::settle(context);
  for (std::uint32_t index = 0; index < 6; ++index)
    EXPECT_EQ(run(context, engine->open(log::LogId{incarnation << 32 | index})).error().code, log::Errc::not_found);
}

TEST_F(Resharding, AStartCompletesWhatWasBegunAndEndsWhatWasClosed) {
  options.update_delay = 10s;
  open(2);
  put("a", "1");
  ASSERT_TRUE(scale(3));
  clock.advance(4s);
  restart();
  EXPECT_EQ(stream()->status(clock.now()), Status::updating);
  put("a", "2");
  clock.advance(6s);
  test::settle(context);
  EXPECT_EQ(stream()->status(clock.now()), Status::active);
  expect_equal_ranges(*stream(), 3);
  put("a", "3");
  // An engine that has forgotten which logs had ended.
  end_life();
  engine = log::make_memory_engine(clock, budget);
  restart();
  expect_sound(*stream());
  expect_equal_ranges(*stream(), 3);
  for (const auto& shard : stream()->shards) EXPECT_EQ(shard->log->progress().ended, shard->ended_s.has_value());
}

TEST_F(Resharding, ClosedShardsGoWhenTheirRecordsAreOld) {
  open(1);
  put("k", "1");
  clock.advance(1h);
  ASSERT_TRUE(split(0, narrow(kAll / 2)));
  const log::LogId parent = stream()->shards[0]->log->id();
  put("k", "2");
  clock.advance(24h - 1s);
  test::settle(context);
  EXPECT_EQ(stream()->shards.size(), 3u);
  EXPECT_FALSE(stream()->expired(*stream()->shards[0], clock.now()));
  clock.advance(2s);
  EXPECT_TRUE(stream()->expired(*stream()->shards[0], clock.now()));
  clock.advance(1h);
  test::settle(context);
  ASSERT_EQ(stream()->shards.size(), 2u);
  EXPECT_EQ(stream()->shards[0]->index, 1u);
  EXPECT_EQ(stream()->shards[0]->parent, 0u);
  EXPECT_EQ(run(context, engine->open(parent)).error().code, log::Errc::not_found);
  expect_sound(*stream());
  ASSERT_TRUE(merge(1, 2));
  EXPECT_EQ(stream()->shards.back()->index, 3u) << "no index is given twice";
  restart();
  EXPECT_EQ(stream()->shards.size(), 3u);
  clock.advance(30h);
  test::settle(context);
  EXPECT_EQ(stream()->shards.size(), 1u) << "a later run looks after them too";
}

TEST_F(Resharding, RandomReshardsPartitionAllKeysAndKeepEachKeysOrder) {
  std::mt19937 chance(20'240'601);
  const auto below = [&](std::size_t n) { return static_cast<std::uint32_t>(chance() % n); };
  for (int round = 0; round < 4; ++round) {
    end_life();
    store = state::make_memory_store();
    options.update_delay = round % 2 ? 5s : 0s;
    open(1 + below(4));
    std::map<std::string, std::vector<std::string>> sent;
    int number = 0;
    for (int step = 0; step < 60; ++step) {
      for (int i = 0; i < 20; ++i) {
        const std::string key = "key-" + std::to_string(below(40)), data = std::to_string(number++);
        put(key, data);
        sent[key].push_back(data);
      }
      const StreamRef now = stream();
      std::vector<const Shard*> open_now;
      for (const auto& shard : now->shards)
        if (!shard->ended_s) open_now.push_back(shard.get());
      const Shard& some = *open_now[below(open_now.size())];
      switch (below(3)) {
        case 0: {
          const cpp_int width = wide(some.range.last) - wide(some.range.first) + 1;
          (void)split(some.index, narrow(wide(some.range.first) + width * (1 + below(7)) / 8));
          break;
        }
        case 1:
          if (some.range.last < Uint128{~std::uint64_t{0}, ~std::uint64_t{0}})
            (void)merge(some.index, now->route(narrow(wide(some.range.last) + 1)).index);
          break;
        case 2: {
          const auto count = static_cast<std::uint32_t>(open_now.size());
          const std::uint32_t least = (count + 1) / 2, target = least + below(2 * count - least + 1);
          if (target > 24) break;
          const auto begun = scale(target);
          if (!begun || round % 2) break;
          expect_equal_ranges(*stream(), target);
          break;
        }
      }
      expect_sound(*stream());
      clock.advance(3s);
      test::settle(context);
      if (step % 20 == 19) restart();
    }
    clock.advance(5s);
    test::settle(context);
    expect_sound(*stream());
    EXPECT_EQ(read_all(), sent);
    EXPECT_GT(stream()->shards.size(), 40u);
    EXPECT_EQ(streams->open_shards(), stream()->open_shards());
    ASSERT_TRUE(run(context, streams->remove("s")));
  }
}

TEST_F(Resharding, PutsThatRaceWithItAreInOrderAndOnce) {
  open(4);
  constexpr int kWriters = 3;
  std::atomic<bool> stop{false};
  std::array<int, kWriters> sent{};
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kWriters; ++writer)
    writers.emplace_back([&, writer] {
      for (int i = 0; !stop || i < 200; ++i) {
        const std::string key = "writer-" + std::to_string(writer) + "-" + std::to_string(i % 16);
        put(key, std::to_string(i));
        sent[static_cast<std::size_t>(writer)] = i + 1;
        if (i % 64 == 63) std::this_thread::yield();
        if (i > 200'000) break;
      }
    });
  for (const std::uint32_t target : {8u, 6u, 3u, 5u, 10u, 20u, 11u, 6u}) EXPECT_TRUE(scale(target));
  stop = true;
  for (std::thread& writer : writers) writer.join();
  std::size_t total = 0;
  for (const auto& [key, values] : read_all()) {
    total += values.size();
    int last = -1;
    for (const std::string& value : values) {
      ASSERT_GT(std::stoi(value), last) << key;
      last = std::stoi(value);
    }
  }
  EXPECT_EQ(total, static_cast<std::size_t>(sent[0] + sent[1] + sent[2]));
}

}  // namespace
}  // namespace millrace::streams
