#include "millrace/streams/subscription.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "millrace/base/cores.hpp"
#include "millrace/base/task_group.hpp"
#include "millrace/streams/control.hpp"
#include "support/run.hpp"

namespace millrace::streams {
namespace {

using namespace std::chrono_literals;
using Next = std::variant<SubscriptionEvent, SubscriptionEnd>;

void collect(const log::ReadBatch& batch, std::vector<std::string>& out) {
  for (const log::RecordRun& run : batch.runs) {
    const char* at = run.bytes.data();
    for (std::uint32_t i = 0; i < run.count; ++i) {
      log::RecordView record;
      at = log::read_record(at, record);
      out.emplace_back(record.data);
    }
  }
}

enum class Kind { memory, spilling, durable };

class Subscribed : public ::testing::TestWithParam<Kind> {
 protected:
  static constexpr std::size_t kMemory = 8u << 20;

  void SetUp() override {
    start();
    CreateStream spec;
    spec.name = "s";
    ASSERT_TRUE(run(streams->create(spec)));
    ASSERT_TRUE(run(register_consumer(*streams, "s", "reader", {})));
  }
  ~Subscribed() override { end_life(); }

  void end_life() {
    streams.reset();
    engine.reset();
    store.reset();
  }
  void start() {
    end_life();
    log::SpillOptions spill;
    spill.directory = "spill";
    spill.file_bytes = 1u << 20;
    log::DurableEngineOptions durable;
    durable.directory = "log";
    durable.file_bytes = 1u << 20;
    if (GetParam() == Kind::durable) {
      engine = std::move(*log::make_durable_engine(clock, budget, *files, threads, std::move(durable)));
      store = std::move(state::make_journal_store(*files, clock, {.directory = "state"})->store);
    } else {
      engine = GetParam() == Kind::memory ? log::make_memory_engine(clock, budget)
                                          : log::make_spilling_engine(clock, budget, *files, threads, std::move(spill));
      store = state::make_memory_store();
    }
    streams = run(make_streams(clock, *random, *store, *engine, {}));
    engine->forget_unopened();
  }
  template <class T>
  T run(awaitable<T> task) {
    return test::run(io, std::move(task));
  }
  StreamRef stream() { return streams->find("s"); }
  const Shard& shard() { return *stream()->shards.front(); }

  void put(std::string data) {
    if (engine->short_of_room()) run(engine->wait_for_room());
    log::BatchBuilder batch;
    batch.reset(log::batch_bytes_needed(1, data.size() + 1));
    batch.begin_batch();
    batch.add("k", data);
    auto staged = shard().log->stage(shard().log->epoch(), batch.batch());
    ASSERT_TRUE(staged);
    const log::Ticket tickets[] = {staged->ticket};
    ASSERT_TRUE(run(engine->committed(tickets)));
    sent.push_back(std::move(data));
  }
  std::unique_ptr<Subscription> subscribe(log::Position from = {}) {
    const StreamRef now = stream();
    const Consumer* const consumer = now->consumers.find("reader", clock.now());
    auto made = streams->subscriptions().begin({now, 0, "reader", consumer->created_s, from});
    EXPECT_TRUE(made) << made.error().detail;
    return made ? std::move(*made) : nullptr;
  }
  SubscriptionEvent event(Subscription& subscription) {
    Next next = run(subscription.next());
    EXPECT_TRUE(std::holds_alternative<SubscriptionEvent>(next));
    return std::holds_alternative<SubscriptionEvent>(next) ? std::move(std::get<SubscriptionEvent>(next))
                                                           : SubscriptionEvent{};
  }
  /// Where a subscription goes on that begins behind this number.
  static log::Position behind(const std::string& number) {
    const auto fields = decode_sequence_number(number);
    EXPECT_TRUE(fields) << number;
    return log::Position{fields ? fields->counter : 0};
  }

  boost::asio::io_context io{1};
  ManualClock clock;
  MemoryBudget budget{kMemory};
  std::unique_ptr<Random> random = make_seeded_random(1);
  std::unique_ptr<MemoryFiles> files = make_memory_files();
  FileThreads threads{2};
  std::unique_ptr<state::Store> store;
  std::unique_ptr<log::Engine> engine;
  std::unique_ptr<Streams> streams;
  std::vector<std::string> sent;
};

INSTANTIATE_TEST_SUITE_P(Engines, Subscribed, ::testing::Values(Kind::memory, Kind::spilling, Kind::durable),
                         [](const auto& kind) {
                           return kind.param == Kind::memory     ? "memory"
                                  : kind.param == Kind::spilling ? "spilling"
                                                                 : "durable";
                         });

TEST_P(Subscribed, ReadsWhatThereIsThenWhatComes) {
  // Where there are files, more than memory holds.
  const std::size_t bytes = GetParam() == Kind::memory ? kMemory / 4 : 2 * kMemory;
  for (std::size_t i = 0; i * 40'000 < bytes; ++i) put(std::to_string(i) + std::string(40'000, 'd'));
  const auto subscription = subscribe();
  std::vector<std::string> got;
  log::Position from{};
  while (got.size() < sent.size()) {
    const SubscriptionEvent one = event(*subscription);
    ASSERT_GT(one.batch.records, 0u);
    EXPECT_EQ(behind(one.continuation), one.batch.next);
    EXPECT_GT(one.batch.next, from);
    from = one.batch.next;
    collect(one.batch, got);
  }
  EXPECT_EQ(got, sent);
  EXPECT_EQ(engine->status().file_reads > 0, GetParam() != Kind::memory);
  auto waiting = test::start(io, subscription->next());
  test::settle(io);
  EXPECT_FALSE(waiting.done());
  put("late");
  test::run_until(io, [&] { return waiting.done(); });
  got.clear();
  collect(std::get<SubscriptionEvent>(waiting.result()).batch, got);
  EXPECT_EQ(got, std::vector<std::string>{"late"});
}

class SubscribedDurably : public Subscribed {};
INSTANTIATE_TEST_SUITE_P(Engines, SubscribedDurably, ::testing::Values(Kind::durable));

TEST_P(SubscribedDurably, NumbersGoOnAlsoBehindAStart) {
  std::vector<std::string> numbers;  // each with what had been read before
  std::vector<std::size_t> read;
  const auto follow = [&](log::Position from, std::size_t so_far) {
    const auto subscription = subscribe(from);
    std::vector<std::string> got(sent.begin(), sent.begin() + static_cast<std::ptrdiff_t>(so_far));
    for (int i = 0; i < 2; ++i) {
      auto waiting = test::start(io, subscription->next());
      test::settle(io);
      if (!waiting.done()) clock.advance(Subscriptions::kSignOfLife);
      test::run_until(io, [&] { return waiting.done(); });
      const SubscriptionEvent one = std::get<SubscriptionEvent>(waiting.result());
      collect(one.batch, got);
      EXPECT_GT(one.continuation, numbers.empty() ? "" : numbers.back()) << "they only grow";
      numbers.push_back(one.continuation);
      read.push_back(got.size());
    }
    EXPECT_EQ(got, sent);
  };
  follow({}, 0);  // nothing is there
  for (int life = 0; life < 3; ++life) {
    for (int i = 0; i < 3; ++i) put(std::to_string(life) + "-" + std::to_string(i));
    clock.advance(Subscriptions::kUncontested);
    follow(behind(numbers.back()), read.back());
    start();
    clock.advance(1s);
    follow(behind(numbers.back()), read.back());
  }
  // Each of them, from any life, names the same place.
  const std::vector<std::string> all = numbers;
  const std::vector<std::size_t> read_before = read;
  for (std::size_t i = 0; i < all.size(); ++i) {
    clock.advance(Subscriptions::kUncontested);
    const auto subscription = subscribe(behind(all[i]));
    std::vector<std::string> got;
    collect(event(*subscription).batch, got);
    EXPECT_EQ(got, std::vector<std::string>(sent.begin() + static_cast<std::ptrdiff_t>(read_before[i]), sent.end()))
        << all[i];
  }
}

TEST_P(Subscribed, WhatTheServerHasEndedMayBeginAtOnce) {
  {
    const auto subscription = subscribe();
    event(*subscription);
    EXPECT_EQ(streams->subscriptions().active(), 1u);
    ASSERT_TRUE(run(streams->split("s", 0, Uint128{1, 0})));
    const SubscriptionEvent last = event(*subscription);
    ASSERT_TRUE(last.stream);
    EXPECT_EQ(last.continuation, "");
    EXPECT_EQ(std::get<SubscriptionEnd>(run(subscription->next())), SubscriptionEnd::over);
  }
  EXPECT_EQ(streams->subscriptions().active(), 0u);
  { const auto again = subscribe(); }  // its peer goes
  const StreamRef now = stream();
  const Consumer* const consumer = now->consumers.find("reader", clock.now());
  const Subscriptions::Wanted wanted{now, 0, "reader", consumer->created_s, {}};
  const auto third = streams->subscriptions().begin(wanted);
  ASSERT_FALSE(third);
  EXPECT_EQ(third.error().code, Errc::consumer_subscribed);
  clock.advance(Subscriptions::kUncontested);
  EXPECT_TRUE(streams->subscriptions().begin(wanted));
}

TEST_P(Subscribed, AStreamThatGoesEndsIt) {
  const auto subscription = subscribe();
  put("a");
  event(*subscription);
  auto waiting = test::start(io, subscription->next());
  test::settle(io);
  ASSERT_TRUE(run(streams->remove("s")));
  test::run_until(io, [&] { return waiting.done(); });
  EXPECT_EQ(std::get<SubscriptionEnd>(waiting.result()), SubscriptionEnd::stream_gone);
}

TEST(SubscriptionThreads, PutsTakeoversAndQuestionsAtOnceLoseAndRepeatNothing) {
  constexpr int kConsumers = 6, kRecords = 4000;
  ManualClock clock;
  MemoryBudget budget{256u << 20};
  const auto random = make_seeded_random(1);
  const auto store = state::make_memory_store();
  const auto engine = log::make_memory_engine(clock, budget);
  std::unique_ptr<Streams> streams;
  Cores cores{2};
  boost::asio::io_context io{1};
  streams = test::run(io, make_streams(clock, *random, *store, *engine, {}));
  CreateStream spec;
  spec.name = "s";
  ASSERT_TRUE(test::run(io, streams->create(spec)));
  std::vector<std::int64_t> created;
  for (int i = 0; i < kConsumers; ++i)
    created.push_back(test::run(io, register_consumer(*streams, "s", "c" + std::to_string(i), {}))->created_s);
  const std::shared_ptr<log::Log> log = streams->find("s")->shards.front()->log;

  std::atomic<int> done{0};
  std::vector<std::vector<std::string>> got(kConsumers);
  // Reads to the end, over as many subscriptions as others let it have.
  auto follow = [&](int i) -> awaitable<void> {
    std::string number;
    while (got[static_cast<std::size_t>(i)].size() < kRecords) {
      log::Position from{};
      if (!number.empty()) from = log::Position{decode_sequence_number(number)->counter};
      auto made = streams->subscriptions().begin(
          {streams->find("s"), 0, "c" + std::to_string(i), created[static_cast<std::size_t>(i)], from});
      if (!made) {
        co_await sleep_until(clock, clock.now() + 100ms);
        continue;
      }
      for (;;) {
        Next next = co_await (*made)->next();
        const SubscriptionEvent* const event = std::get_if<SubscriptionEvent>(&next);
        if (!event) break;
        collect(event->batch, got[static_cast<std::size_t>(i)]);
        number = event->continuation;
        if (got[static_cast<std::size_t>(i)].size() == kRecords) break;
      }
    }
    ++done;
  };
  TaskGroup tasks;
  for (int i = 0; i < kConsumers; ++i)
    tasks.spawn(cores.executor(static_cast<std::size_t>(i) % 2), "follow", follow(i));
  cores.start();
  std::thread putter([&] {
    log::BatchBuilder batch;
    for (int i = 0; i < kRecords; ++i) {
      const std::string data = std::to_string(i);
      batch.reset(log::batch_bytes_needed(1, data.size() + 1));
      batch.begin_batch();
      batch.add("k", data);
      if (!log->stage(log->epoch(), batch.batch())) std::abort();
      if (i % 16 == 0) std::this_thread::yield();
    }
  });
  std::thread meddler([&] {
    for (int i = 0; done < kConsumers; ++i) {
      clock.advance(500ms);
      streams->subscriptions().look_again(streams->find("s")->incarnation);
      // Another client of the same consumer, which goes at once.
      const auto one = static_cast<std::size_t>(i) % kConsumers;
      (void)streams->subscriptions().begin({streams->find("s"), 0, "c" + std::to_string(one), created[one], {}});
      (void)streams->subscriptions().active();
      std::this_thread::yield();
    }
  });
  putter.join();
  meddler.join();
  cores.stop();
  cores.join();
  std::vector<std::string> expected;
  for (int i = 0; i < kRecords; ++i) expected.push_back(std::to_string(i));
  for (const auto& one : got) EXPECT_EQ(one, expected);
  EXPECT_EQ(tasks.running(), 0u);
}

}  // namespace
}  // namespace millrace::streams
