#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "log/chunk_pool.hpp"
#include "millrace/log/engine.hpp"
#include "support/run.hpp"

namespace millrace::log {
namespace {

using namespace std::chrono_literals;

constexpr auto kNoSweep = 100'000h;

struct Records {
  BatchBuilder builder;
  BatchView make(std::size_t count, std::string_view key, std::string_view data) {
    builder.reset(batch_bytes_needed(count, count * (key.size() + data.size())));
    builder.begin_batch();
    for (std::size_t i = 0; i < count; ++i) builder.add(key, data);
    return builder.batch();
  }
};

class MemoryEngine : public testing::Test {
 protected:
  void make(std::size_t budget_bytes = std::size_t{512} << 20, std::chrono::milliseconds sweep_every = kNoSweep) {
    engine_.reset();
    budget_.emplace(budget_bytes);
    engine_ = make_memory_engine(clock_, *budget_, {.sweep_every = sweep_every});
  }
  std::shared_ptr<Log> create(std::uint64_t id = 1, LogOptions options = {.retention = 1h}) {
    return *test::run(engine_->create(LogId{id}, options));
  }
  Result<Staged> stage(Log& log, std::size_t count, std::size_t data_bytes) {
    return log.stage(log.epoch(), records_.make(count, "key", std::string(data_bytes, 'd')));
  }
  ReadBatch read(Log& log, std::uint64_t from = 0) {
    return *test::run(log.read({.from = Position{from}, .bytes_max = std::size_t{1} << 30}));
  }
  std::size_t used() const { return budget_->used(Account::chunks); }

  ManualClock clock_;
  std::optional<MemoryBudget> budget_;
  std::unique_ptr<Engine> engine_;
  Records records_;
};

TEST_F(MemoryEngine, TicketsAreCommittedAtOnce) {
  make();
  auto log = create();
  const auto staged = stage(*log, 1, 10);
  ASSERT_TRUE(staged.has_value());
  EXPECT_TRUE(staged->ticket.committed);
  EXPECT_EQ(read(*log).records, 1u);
}

TEST_F(MemoryEngine, SmallStreamHoldsOneSmallChunkAndAnIdleOneNothing) {
  make();
  auto log = create();
  EXPECT_EQ(used(), 0u);
  ASSERT_TRUE(stage(*log, 1, 100).has_value());
  EXPECT_EQ(used(), 16u * 1024);
}

TEST_F(MemoryEngine, ChunksDoubleToAMebibyte) {
  make();
  auto log = create();
  std::vector<std::size_t> sizes;
  std::size_t before = 0;
  for (int i = 0; i < 4000; ++i) {
    ASSERT_TRUE(stage(*log, 1, 1000).has_value());
    if (used() != before) sizes.push_back((used() - before) / 1024);
    before = used();
  }
  EXPECT_EQ(sizes, (std::vector<std::size_t>{16, 32, 64, 128, 256, 512, 1024, 1024, 1024}));
}

TEST_F(MemoryEngine, RecordsCostAtMostSixtyFourBytesOverKeyAndData) {
  make();
  auto log = create();
  constexpr std::size_t kCount = 200'000;
  for (std::size_t i = 0; i < kCount; i += 100) ASSERT_TRUE(stage(*log, 100, 100).has_value());
  const double over = (static_cast<double>(used()) - kCount * 103.0) / kCount;
  EXPECT_GE(over, 16);
  EXPECT_LT(over, 24);
}

TEST_F(MemoryEngine, ChunkThatALargeRecordDoesNotFitInGivesItsTailBack) {
  make();
  auto log = create();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(stage(*log, 1, 600 * 1024).has_value());
  EXPECT_LE(used(), 19 * (608u * 1024) + kChunkBytesMax);
  EXPECT_EQ(read(*log).records, 20u);
}

TEST_F(MemoryEngine, OneLargeRecordTakesAnExactChunkAndLeavesGrowthAsItWas) {
  make();
  auto log = create();
  ASSERT_TRUE(stage(*log, 1, 100).has_value());
  ASSERT_TRUE(stage(*log, 1, 3u << 20).has_value());
  EXPECT_EQ(used(), 16u * 1024 + (3u << 20) + 16 * 1024);
  ASSERT_TRUE(stage(*log, 1, 100).has_value());
  EXPECT_EQ(used(), 16u * 1024 + (3u << 20) + 16 * 1024 + 32 * 1024);
  const ReadBatch batch = read(*log);
  EXPECT_EQ(batch.runs.size(), 3u);
  EXPECT_EQ(batch.records, 3u);
}

TEST_F(MemoryEngine, BatchIsSplitOverAChunksEnd) {
  make();
  auto log = create();
  ASSERT_TRUE(stage(*log, 150, 80).has_value());  // 14,850 of 16,384 bytes: room for 15 more
  ASSERT_TRUE(stage(*log, 40, 80).has_value());
  const ReadBatch batch = read(*log);
  ASSERT_EQ(batch.runs.size(), 2u);
  EXPECT_EQ(batch.runs[0].count, 165u);
  EXPECT_EQ(batch.runs[1].count, 25u);
  EXPECT_EQ(batch.runs[1].first, Position{165});
  for (std::uint64_t from : {149, 150, 164, 165, 166, 189}) {
    const ReadBatch one = *test::run(log->read({.from = Position{from}, .records_max = 1}));
    EXPECT_EQ(one.runs.at(0).first, Position{from});
    EXPECT_EQ(one.next, Position{from + 1});
  }
}

TEST_F(MemoryEngine, FullStagesNothingAndTheLogStaysUsable) {
  make(100 * 1024);
  auto log = create();
  Result<Staged> last = stage(*log, 10, 100);
  std::uint64_t staged = 0;
  for (; last.has_value(); last = stage(*log, 10, 100)) staged += 10;
  EXPECT_EQ(last.error().code, Errc::full);
  EXPECT_EQ(used(), 96u * 1024) << "smaller chunks use up the budget's last";
  EXPECT_EQ(log->progress().tip, Position{staged});
  EXPECT_EQ(read(*log).records, staged);
  EXPECT_GT(budget_->refused(), 0u);
  // A batch of which a part would fit is refused as a whole.
  EXPECT_EQ(stage(*log, 300, 50).error().code, Errc::full);
  EXPECT_EQ(log->progress().tip, Position{staged});
  while (stage(*log, 1, 1).has_value()) ++staged;
  EXPECT_EQ(read(*log).records, staged);
}

TEST_F(MemoryEngine, RefusalSweepsWhatHasExpiredFirst) {
  make(200 * 1024);
  auto old = create(1), other = create(2);
  while (stage(*old, 10, 100).has_value()) {
  }
  EXPECT_EQ(stage(*other, 1, 100).error().code, Errc::full);
  clock_.advance(1h);
  EXPECT_EQ(stage(*other, 1, 100).error().code, Errc::full) << "not expired yet";
  clock_.advance(1ms);
  EXPECT_TRUE(stage(*other, 1, 100).has_value());
  EXPECT_EQ(used(), 16u * 1024);
}

TEST_F(MemoryEngine, ShorterRetentionIsSeenByTheNextRefusal) {
  make(200 * 1024);
  auto old = create(1), other = create(2);
  while (stage(*old, 10, 100).has_value()) {
  }
  clock_.advance(30min);
  EXPECT_EQ(stage(*other, 1, 100).error().code, Errc::full);
  old->set_retention(30min);
  EXPECT_EQ(stage(*other, 1, 100).error().code, Errc::full);
  clock_.advance(1ms);
  EXPECT_TRUE(stage(*other, 1, 100).has_value());
}

// A clock that says how often it was asked: each log that is looked at asks once.
class AskedClock final : public Clock {
 public:
  mutable std::size_t asked = 0;
  ManualClock inner;
  TimePoint now() const noexcept override { return ++asked, inner.now(); }
  TimerId call_at(TimePoint at, std::function<void()> fire) override { return inner.call_at(at, std::move(fire)); }
  void cancel(TimerId id) noexcept override { inner.cancel(id); }
};

TEST(MemoryEngineExpiry, ARefusalLooksOnlyAtLogsThatHaveSomethingExpired) {
  constexpr std::size_t kLogs = 500;
  AskedClock clock;
  MemoryBudget budget{kLogs * kGranuleBytes};
  const auto engine = make_memory_engine(clock, budget, {.sweep_every = kNoSweep});
  Records records;
  std::vector<std::shared_ptr<Log>> logs;
  const auto create = [&] {
    logs.push_back(*test::run(engine->create(LogId{logs.size()}, {.retention = 1h})));
    return logs.back();
  };
  for (std::size_t i = 0; i < kLogs; ++i) {  // one granule each, filled a millisecond after the other
    auto log = create();
    ASSERT_TRUE(log->stage(log->epoch(), records.make(1, "key", "data")).has_value());
    clock.inner.advance(1ms);
  }
  auto late = create();
  const auto put = [&] { return late->stage(late->epoch(), records.make(1, "key", std::string(16'000, 'd'))); };
  ASSERT_EQ(put().error().code, Errc::full);
  clock.inner.advance(1h - std::chrono::milliseconds{kLogs});
  for (int i = 0; i < 100; ++i) {
    clock.asked = 0;
    ASSERT_EQ(put().error().code, Errc::full) << "records as old as the retention are kept, log " << i;
    EXPECT_LT(clock.asked, 10u) << i;
    clock.inner.advance(1ms);
    clock.asked = 0;
    ASSERT_TRUE(put().has_value()) << i;
    EXPECT_LT(clock.asked, 10u) << i;
  }
}

TEST_F(MemoryEngine, OneTimerSweepsAllLogs) {
  make(std::size_t{64} << 20, 1min);
  EXPECT_EQ(clock_.pending(), 0u);
  auto a = create(1), b = create(2);
  EXPECT_EQ(clock_.pending(), 1u);
  ASSERT_TRUE(stage(*a, 100, 1000).has_value());
  ASSERT_TRUE(stage(*b, 100, 1000).has_value());
  clock_.advance(1h);
  EXPECT_GT(used(), 0u);
  clock_.advance(1min);
  EXPECT_EQ(used(), 0u) << "the tail chunks too";
  EXPECT_EQ(a->progress().stored_bytes, 0u);
  EXPECT_EQ(a->progress().tip, Position{100});
  EXPECT_EQ(a->progress().horizon, Position{100});
  EXPECT_EQ(clock_.pending(), 1u);
  ASSERT_TRUE(stage(*a, 1, 10).has_value());
  EXPECT_EQ(read(*a).runs.at(0).first, Position{100});

  (void)test::run(engine_->remove(LogId{1}));
  EXPECT_EQ(clock_.pending(), 1u);
  (void)test::run(engine_->remove(LogId{2}));
  EXPECT_EQ(clock_.pending(), 0u) << "no log, no timer";
  auto c = create(3);
  EXPECT_EQ(clock_.pending(), 1u);
  engine_.reset();
  EXPECT_EQ(clock_.pending(), 0u);
}

TEST_F(MemoryEngine, PinnedMemoryIsAccountedUntilTheLastReaderLetsGo) {
  make();
  auto log = create();
  ASSERT_TRUE(stage(*log, 20, 1000).has_value());
  ReadBatch batch = read(*log);
  (void)test::run(engine_->remove(LogId{1}));
  EXPECT_EQ(used(), 32u * 1024);
  RecordView record;
  read_record(batch.runs[0].bytes.data(), record);
  EXPECT_EQ(record.data, std::string(1000, 'd'));
  batch.runs.clear();
  EXPECT_EQ(used(), 0u);
}

TEST_F(MemoryEngine, DroppedChunksStayReadableForThoseWhoHoldThem) {
  make();
  auto log = create();
  ASSERT_TRUE(stage(*log, 60, 1000).has_value());
  const ReadBatch batch = read(*log);
  (void)test::run(log->trim(Position{60}));
  EXPECT_GT(used(), 0u);
  ASSERT_TRUE(stage(*log, 60, 1).has_value());
  RecordView record;
  read_record(batch.runs[0].bytes.data(), record);
  EXPECT_EQ(record.data, std::string(1000, 'd'));
}

TEST_F(MemoryEngine, TrimmedLogHoldsNothing) {
  make();
  auto log = create();
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(stage(*log, 50, 1000).has_value());
  (void)test::run(log->trim(Position{2499}));
  EXPECT_GT(used(), 0u);
  EXPECT_LE(used(), 1u << 20);
  (void)test::run(log->trim(Position{2500}));
  EXPECT_EQ(used(), 0u);
  EXPECT_EQ(log->progress().stored_bytes, 0u);
}

TEST_F(MemoryEngine, EndedLogGivesTheUnusedEndOfItsLastChunkBack) {
  make();
  auto log = create();
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(stage(*log, 50, 1000).has_value());
  const std::size_t open = used();
  (void)test::run(log->end(log->epoch()));
  EXPECT_LT(used(), open);
  EXPECT_LT(used(), log->progress().stored_bytes + 16 * 1024 + 7 * 1019);
  EXPECT_EQ(read(*log).records, 1500u);
}

TEST_F(MemoryEngine, LogsOutliveTheEngineAsRemovedOnes) {
  make();
  auto log = create();
  ASSERT_TRUE(stage(*log, 5, 10).has_value());
  boost::asio::io_context io{1};
  auto reading = test::start(io, log->read({.from = Position{5}, .wait_until = TimePoint::max()}));
  test::settle(io);
  engine_.reset();
  test::settle(io);
  ASSERT_TRUE(reading.done());
  EXPECT_EQ(reading.result().error().code, Errc::not_found);
  EXPECT_EQ(stage(*log, 1, 1).error().code, Errc::ended);
  log->set_retention(5min);
  EXPECT_EQ(used(), 0u);
}

// A clock that is set back, as the system's may be.
class SetClock final : public Clock {
 public:
  TimePoint now() const noexcept override { return TimePoint{std::chrono::milliseconds{ms.load()}}; }
  TimerId call_at(TimePoint, std::function<void()>) override { return 1; }
  void cancel(TimerId) noexcept override {}
  std::atomic<std::int64_t> ms{1'000'000};
};

TEST(MemoryLog, ArrivalNeverDecreasesWhenTheClockIsSetBack) {
  SetClock clock;
  MemoryBudget budget{1 << 20};
  auto engine = make_memory_engine(clock, budget);
  auto log = *test::run(engine->create(LogId{1}, {}));
  Records records;
  EXPECT_EQ(log->stage(log->epoch(), records.make(1, "k", "1"))->arrival_ms, 1'000'000);
  clock.ms = 999'000;
  EXPECT_EQ(log->stage(log->epoch(), records.make(2, "k", "2"))->arrival_ms, 1'000'000);
  clock.ms = 1'000'500;
  EXPECT_EQ(log->stage(log->epoch(), records.make(1, "k", "3"))->arrival_ms, 1'000'500);
  const ReadBatch batch = *test::run(log->read({.from = Position{0}}));
  std::vector<std::int64_t> arrivals;
  const char* at = batch.runs.at(0).bytes.data();
  for (int i = 0; i < 4; ++i) {
    RecordView record;
    at = read_record(at, record);
    arrivals.push_back(record.arrival_ms);
  }
  EXPECT_EQ(arrivals, (std::vector<std::int64_t>{1'000'000, 1'000'000, 1'000'000, 1'000'500}));
  EXPECT_EQ(log->progress().tip_arrival_ms, 1'000'500);
}

// Every record says who put it and which of the putter's it is: a reader must see each putter's in order, none missing,
// at dense positions, with arrival times that never decrease.
struct Checker {
  explicit Checker(std::size_t writers) : seen(writers, 0) {}
  std::vector<std::uint64_t> seen;
  std::uint64_t next = 0;
  std::int64_t arrival = 0;
  std::string wrong;

  void check(const ReadBatch& batch) {
    for (const RecordRun& run : batch.runs) {
      if (run.first.get() != next) wrong = "gap at " + std::to_string(next);
      const char* at = run.bytes.data();
      for (std::uint32_t i = 0; i < run.count; ++i) {
        RecordView record;
        at = read_record(at, record);
        const std::size_t writer = static_cast<std::size_t>(record.key[0] - '0');
        const std::uint64_t number = std::stoull(std::string(record.data.substr(0, 10)));
        if (record.data.find_first_not_of(record.key[0], 10) != record.data.npos) wrong = "foreign bytes";
        if (number != seen[writer]++) wrong = "writer's record " + std::to_string(number) + " out of order";
        if (record.arrival_ms < arrival) wrong = "arrival decreased";
        arrival = record.arrival_ms;
      }
      if (at != run.bytes.data() + run.bytes.size()) wrong = "run's bytes do not end with its records";
      next += run.count;
    }
  }
};

void write_numbered(Log& log, unsigned writer, std::uint64_t count, ManualClock* clock = nullptr) {
  BatchBuilder builder;
  std::uint32_t random = writer + 1;
  const std::string key(1, static_cast<char>('0' + writer));
  for (std::uint64_t number = 0; number < count;) {
    builder.reset(0);
    builder.begin_batch();
    random = random * 1664525 + 1013904223;
    for (std::uint32_t i = 0; i <= random >> 28 && number < count; ++i, ++number) {
      std::string data = std::to_string(number);
      data.insert(0, 10 - data.size(), '0');
      data.append((random >> 8) % 300, key[0]);
      builder.add(key, data);
    }
    ASSERT_TRUE(log.stage(log.epoch(), builder.batch()).has_value());
    if (clock && (random >> 20) % 16 == 0) clock->advance(1ms);
  }
}

TEST(MemoryLogStress, ReadersSeeEveryWritersRecordsInOrderWhileOthersWriteAndSweep) {
  ManualClock clock;
  MemoryBudget budget{std::size_t{256} << 20};
  auto engine = make_memory_engine(clock, budget, {.sweep_every = 5ms});
  auto log = *test::run(engine->create(LogId{1}, {}));
  constexpr std::uint64_t kEach = 6'000;
  std::atomic<bool> done{false}, horizon_beyond_tip{false};
  boost::asio::io_context contexts[2];  // outlive whoever may still be waking a reader that has gone on
  std::vector<std::thread> threads;
  Checker checkers[] = {Checker{2}, Checker{2}};
  for (unsigned i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      while (checkers[i].next < 2 * kEach && checkers[i].wrong.empty()) {
        const ReadRequest request{.from = Position{checkers[i].next},
                                  .records_max = i ? std::size_t{10'000} : std::size_t{77},
                                  .wait_until = TimePoint::max()};
        checkers[i].check(*test::run(contexts[i], log->read(request)));
      }
    });
  }
  threads.emplace_back([&] {
    while (!done) {
      const Progress p = log->progress();
      if (p.horizon > p.tip) horizon_beyond_tip = true;
      (void)test::run(log->seek(clock.now()));
      log->set_retention(24h);
      std::this_thread::yield();
    }
  });
  std::thread writer([&] { write_numbered(*log, 1, kEach, &clock); });
  write_numbered(*log, 0, kEach);
  writer.join();
  threads[0].join();
  threads[1].join();
  done = true;
  threads[2].join();
  EXPECT_FALSE(horizon_beyond_tip);
  for (const Checker& checker : checkers) {
    EXPECT_EQ(checker.wrong, "");
    EXPECT_EQ(checker.next, 2 * kEach);
  }
}

TEST(MemoryLogStress, ConsumerThatTrimsBehindItselfLosesNothing) {
  ManualClock clock;
  MemoryBudget budget{std::size_t{64} << 20};
  auto engine = make_memory_engine(clock, budget);
  auto log = *test::run(engine->create(LogId{1}, {}));
  constexpr std::uint64_t kEach = 6'000;
  Checker checker{2};
  boost::asio::io_context io;
  std::thread consumer([&] {
    while (checker.next < 2 * kEach && checker.wrong.empty()) {
      const ReadRequest request{.from = Position{checker.next}, .wait_until = TimePoint::max()};
      checker.check(*test::run(io, log->read(request)));
      (void)test::run(io, log->trim(Position{checker.next}));
    }
  });
  std::thread writer([&] { write_numbered(*log, 1, kEach); });
  write_numbered(*log, 0, kEach);
  writer.join();
  consumer.join();
  EXPECT_EQ(checker.wrong, "");
  EXPECT_EQ(budget.used(), 0u);
}

TEST(MemoryLogStress, EveryPutWakesAWaitingReader) {
  ManualClock clock;
  MemoryBudget budget{std::size_t{64} << 20};
  auto engine = make_memory_engine(clock, budget);
  auto there = *test::run(engine->create(LogId{1}, {})), back = *test::run(engine->create(LogId{2}, {}));
  constexpr std::uint64_t kTimes = 3'000;
  // Each answers the other's record: a lost wake-up stops both, and run() says that it hangs.
  boost::asio::io_context contexts[2];  // both outlive the other's last wake-up
  const auto answer = [&](boost::asio::io_context& io, Log& from, Log& to, bool first) {
    Records records;
    const BatchView batch = records.make(1, "k", "ball");
    if (first) {
      ASSERT_TRUE(to.stage(to.epoch(), batch).has_value());
    }
    for (std::uint64_t i = 0; i < kTimes; ++i) {
      const ReadRequest request{.from = Position{i}, .wait_until = TimePoint::max()};
      ASSERT_EQ(test::run(io, from.read(request))->records, 1u);
      ASSERT_TRUE(*test::run(io, from.wait_stored((i + 1) * 21, TimePoint::max(), {})));
      ASSERT_TRUE(to.stage(to.epoch(), batch).has_value());
    }
  };
  std::thread other([&] { answer(contexts[0], *there, *back, false); });
  answer(contexts[1], *back, *there, true);
  other.join();
}

TEST(MemoryLogStress, EndSeparatesWhatIsInFromWhatIsRefused) {
  ManualClock clock;
  for (int round = 0; round < 20; ++round) {
    MemoryBudget budget{std::size_t{64} << 20};
    auto engine = make_memory_engine(clock, budget);
    auto log = *test::run(engine->create(LogId{1}, {}));
    std::atomic<std::uint64_t> accepted{0};
    const auto put = [&] {
      Records records;
      const BatchView batch = records.make(7, "k", std::string(300, 'd'));
      for (;;) {
        const auto staged = log->stage(log->epoch(), batch);
        if (staged) {
          accepted += 7;
          continue;
        }
        if (staged.error().code == Errc::ended) return;
        EXPECT_EQ(staged.error().code, Errc::full);  // the end came late: the budget did before
        std::this_thread::yield();
      }
    };
    std::thread a(put), b(put);
    while (accepted < 500) std::this_thread::yield();
    const Position end = *test::run(log->end(log->epoch()));
    a.join();
    b.join();
    EXPECT_EQ(end.get(), accepted.load());
    const ReadBatch batch = *test::run(log->read({.from = Position{0}, .records_max = 1 << 20, .bytes_max = 1 << 30}));
    EXPECT_EQ(batch.records, accepted.load());
    EXPECT_TRUE(batch.ended);
  }
}

TEST(MemoryLogStress, FullBudgetIsSharedWithoutLosingAny) {
  ManualClock clock;
  MemoryBudget budget{std::size_t{2} << 20};
  auto engine = make_memory_engine(clock, budget);
  std::vector<std::shared_ptr<Log>> logs;
  for (std::uint64_t id = 1; id <= 3; ++id) logs.push_back(*test::run(engine->create(LogId{id}, {.retention = 10ms})));
  const auto put = [&](unsigned seed) {
    Records records;
    const BatchView batch = records.make(10, "k", std::string(500, 'd'));
    for (int i = 0; i < 2'000; ++i) {
      Log& log = *logs[(i + seed) % 3];
      const auto staged = log.stage(log.epoch(), batch);
      if (!staged) {
        EXPECT_EQ(staged.error().code, Errc::full);
        clock.advance(11ms);
      }
    }
  };
  std::thread a(put, 0u), b(put, 1u);
  a.join();
  b.join();
  EXPECT_LE(budget.used(), budget.bytes_max());
  EXPECT_GT(budget.refused(), 0u);
  for (std::uint64_t id = 1; id <= 3; ++id) (void)test::run(engine->remove(LogId{id}));
  EXPECT_EQ(budget.used(), 0u);
}

}  // namespace
}  // namespace millrace::log
