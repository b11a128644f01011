#include "millrace/streams/limits.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>
#include <vector>

namespace millrace::streams {
namespace {

using namespace std::chrono_literals;
constexpr std::uint64_t kMiB = 1u << 20;

struct Buckets : testing::Test {
  ManualClock clock;
  Bucket bucket;
  bool take(std::uint64_t rate, std::uint64_t amount) { return bucket.take(rate, clock.now(), amount); }
  std::uint64_t take_all(std::uint64_t rate) {
    std::uint64_t taken = 0;
    while (take(rate, 1)) ++taken;
    return taken;
  }
};

TEST_F(Buckets, HoldASecondsWorthAndFillEvenly) {
  for (const std::uint64_t rate : {1u, 3u, 5u, 7u, 1000u}) {
    EXPECT_EQ(take_all(rate), rate);
    clock.advance(std::chrono::milliseconds((1000 + rate - 1) / rate - 1));
    EXPECT_FALSE(take(rate, 1)) << rate;
    clock.advance(1ms);
    EXPECT_TRUE(take(rate, 1)) << rate;
    clock.advance(1h);
    EXPECT_EQ(take_all(rate), rate) << "no more than a second's, after whatever time";
    clock.advance(1h);
  }
}

TEST_F(Buckets, LoseNothingByRounding) {
  // 2^20 bytes a second are 1048.576 in a millisecond: in each whole second just 2^20.
  ASSERT_TRUE(take(kMiB, kMiB));
  std::uint64_t taken = 0;
  for (int ms = 0; ms < 2000; ++ms) {
    clock.advance(1ms);
    while (take(kMiB, 1)) ++taken;
  }
  EXPECT_EQ(taken, 2 * kMiB);
}

TEST_F(Buckets, GiveMoreThanTheyHoldOnlyWhenFullAndOweIt) {
  ASSERT_TRUE(take(kMiB, 1));
  EXPECT_FALSE(take(kMiB, 10 * kMiB));
  clock.advance(1ms);
  ASSERT_TRUE(take(kMiB, 10 * kMiB));
  clock.advance(8999ms);
  EXPECT_FALSE(take(kMiB, 10'000));
  clock.advance(1s);
  EXPECT_TRUE(take(kMiB, kMiB - 2000));
}

TEST_F(Buckets, TakeWhatWasGivenBack) {
  ASSERT_TRUE(take(5, 5));
  bucket.give_back(2);
  EXPECT_EQ(take_all(5), 2u);
}

TEST_F(Buckets, AreNotStuckWhenTheClockIsSetBack) {
  ASSERT_TRUE(bucket.take(5, clock.now() + 24h, 5));
  EXPECT_EQ(take_all(5), 5u);
  ASSERT_TRUE(bucket.take(5, clock.now() + 10s, 5));
  EXPECT_FALSE(take(5, 1));
  clock.advance(11s);
  EXPECT_TRUE(take(5, 1));
}

TEST_F(Buckets, SayWhenAllWillHaveBeenFilledUp) {
  EXPECT_EQ(bucket.charge(2 * kMiB, clock.now(), 10 * kMiB), clock.now() + 5s);
  clock.advance(4s);
  EXPECT_EQ(bucket.charge(2 * kMiB, clock.now(), 1), clock.now() + 1001ms) << "to the end of the millisecond";
}

TEST(Limits, OfAShardsWritesAreItsRecordsAndItsBytes) {
  ManualClock clock;
  ShardLimits limits;
  EXPECT_FALSE(limits.take_write(clock.now(), 1001, 1));
  EXPECT_FALSE(limits.take_write(clock.now(), 2, kMiB + 1));
  ASSERT_TRUE(limits.take_write(clock.now(), 400, kMiB - 100));
  EXPECT_FALSE(limits.take_write(clock.now(), 1, 101)) << "too many bytes";
  EXPECT_FALSE(limits.take_write(clock.now(), 601, 1)) << "too many records";
  EXPECT_TRUE(limits.take_write(clock.now(), 600, 100)) << "what was refused has taken nothing";
  EXPECT_FALSE(limits.take_write(clock.now(), 1, 0));
  clock.advance(1ms);
  EXPECT_TRUE(limits.take_write(clock.now(), 1, 1048));
  EXPECT_FALSE(limits.take_write(clock.now(), 1, 0));
}

TEST(Limits, OfAShardsReadsAreItsCallsAndItsBytes) {
  ManualClock clock;
  ShardLimits limits;
  const auto read = [&](std::uint64_t bytes) {
    if (!limits.begin_read(clock.now())) return false;
    limits.end_read(clock.now(), bytes);
    return true;
  };
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(read(0)) << i;
  EXPECT_FALSE(read(0));
  clock.advance(199ms);
  EXPECT_FALSE(read(0));
  clock.advance(1ms);
  EXPECT_TRUE(read(0));
  EXPECT_FALSE(read(0));
  EXPECT_EQ(limits.refused_reads(), 3u);

  clock.advance(1h);
  EXPECT_TRUE(read(10 * kMiB));
  clock.advance(4999ms);
  EXPECT_FALSE(read(0)) << "10 MiB are followed by 5 s";
  clock.advance(1ms);
  EXPECT_TRUE(read(2 * kMiB));
  EXPECT_TRUE(read(1)) << "2 MiB in a second are allowed";
  EXPECT_FALSE(read(0)) << "and no more";
  clock.advance(1s);
  EXPECT_FALSE(read(0));
  clock.advance(1ms);
  EXPECT_TRUE(read(0));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(limits.take_iterator(clock.now()));
  EXPECT_FALSE(limits.take_iterator(clock.now()));
}

TEST(Limits, ManyThreadsGetWhatThereIsAndNoMore) {
  ManualClock clock;
  ShardLimits limits;
  std::atomic<std::uint64_t> records{0}, bytes{0};
  const auto write = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (int i = 0; i < 4000; ++i) {
      const std::uint64_t size = 1 + random() % 3000;
      if (!limits.take_write(clock.now(), 1, size)) continue;
      records += 1;
      bytes += size;
    }
  };
  for (int second = 0; second < 3; ++second) {
    const std::uint64_t records_before = records, bytes_before = bytes;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < 4; ++i) threads.emplace_back(write, i + 4 * static_cast<unsigned>(second));
    for (std::thread& thread : threads) thread.join();
    EXPECT_LE(records - records_before, 1000u);
    EXPECT_LE(bytes - bytes_before, kMiB);
    EXPECT_GE(bytes - bytes_before, kMiB - 3000) << "nothing is lost between them";
    clock.advance(1s);
  }

  Bucket calls;
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) taken += calls.take(1000, clock.now(), 1);
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(taken, 1000);
}

TEST(Limits, ApplyToAllStreamsButSomeOrToSome) {
  LimitOptions some{.streams = {"orders", "test-*"}, .exempt = {"orders"}};
  EXPECT_TRUE(some.applies_to("orders"));
  EXPECT_TRUE(some.applies_to("test-"));
  EXPECT_TRUE(some.applies_to("test-1"));
  EXPECT_FALSE(some.applies_to("orders2"));
  EXPECT_FALSE(some.applies_to("tes"));
  LimitOptions all{.enforce = true, .streams = {}, .exempt = {"bulk*"}};
  EXPECT_TRUE(all.applies_to("orders"));
  EXPECT_FALSE(all.applies_to("bulk"));
  EXPECT_FALSE(LimitOptions{}.any());
}

}  // namespace
}  // namespace millrace::streams
