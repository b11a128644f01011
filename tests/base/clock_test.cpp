#include "millrace/base/clock.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <thread>
#include <vector>

#include "millrace/base/cores.hpp"
#include "support/run.hpp"

namespace millrace {
namespace {

using namespace std::chrono_literals;

TEST(ManualClock, FiresDueTimersInOrderOfTimeThenOfRegistration) {
  ManualClock clock;
  const TimePoint start = clock.now();
  std::vector<std::pair<char, std::chrono::milliseconds>> fired;
  const auto note = [&](char name) {
    return [&fired, &clock, start, name] { fired.emplace_back(name, clock.now() - start); };
  };
  clock.call_at(start + 20ms, note('c'));
  clock.call_at(start + 10ms, note('a'));
  clock.call_at(start + 10ms, note('b'));
  clock.call_at(start + 21ms, note('d'));
  clock.advance(20ms);
  EXPECT_EQ(fired, (std::vector<std::pair<char, std::chrono::milliseconds>>{{'a', 10ms}, {'b', 10ms}, {'c', 20ms}}));
  EXPECT_EQ(clock.now(), start + 20ms);
  EXPECT_EQ(clock.pending(), 1u);
}

TEST(ManualClock, TimerSetByATimerFiresInTheSameAdvance) {
  ManualClock clock;
  const TimePoint start = clock.now();
  std::vector<std::chrono::milliseconds> ticks;
  std::function<void()> tick = [&] {
    ticks.push_back(clock.now() - start);
    clock.call_at(clock.now() + 10ms, tick);
  };
  clock.call_at(start + 10ms, tick);
  clock.advance(35ms);
  EXPECT_EQ(ticks, (std::vector<std::chrono::milliseconds>{10ms, 20ms, 30ms}));
}

TEST(ManualClock, PastTimerFiresAtOnceAndCancelledOneNever) {
  ManualClock clock;
  int fired = 0;
  clock.call_at(clock.now(), [&] { ++fired; });
  EXPECT_EQ(fired, 1);
  const Clock::TimerId id = clock.call_at(clock.now() + 1ms, [&] { ++fired; });
  clock.cancel(id);
  clock.cancel(id);
  clock.cancel(4711);
  clock.advance(1s);
  EXPECT_EQ(fired, 1);
}

TEST(ManualClock, TakesTimersFromManyThreadsWhileItAdvances) {
  ManualClock clock;
  constexpr int kThreads = 4, kTimers = 500;
  std::atomic<int> fired{0}, cancelled{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kTimers; ++i) {
        const Clock::TimerId id = clock.call_at(clock.now() + std::chrono::milliseconds{i % 7}, [&] { ++fired; });
        if (t == 0) {
          clock.cancel(id);
          ++cancelled;
        }
      }
    });
  }
  for (int i = 0; i < 200; ++i) clock.advance(1ms);
  for (std::thread& thread : threads) thread.join();
  clock.advance(10ms);
  EXPECT_EQ(clock.pending(), 0u);
  EXPECT_GE(fired, (kThreads - 1) * kTimers);
  EXPECT_LE(fired, kThreads * kTimers);
}

TEST(SleepUntil, EndsWhenTheTimeComesOrWithStop) {
  ManualClock clock;
  boost::asio::io_context io;
  auto slept = test::start(io, sleep_until(clock, clock.now() + 10ms));
  std::stop_source stop;
  auto stopped = test::start(io, sleep_until(clock, clock.now() + 10ms, stop.get_token()));
  test::settle(io);
  clock.advance(9ms);
  stop.request_stop();
  test::settle(io);
  EXPECT_FALSE(slept.done());
  ASSERT_TRUE(stopped.done());
  EXPECT_FALSE(stopped.result());
  EXPECT_EQ(clock.pending(), 1u) << "a stopped sleep leaves no timer behind";
  clock.advance(1ms);
  test::settle(io);
  ASSERT_TRUE(slept.done());
  EXPECT_TRUE(slept.result());
  EXPECT_TRUE(test::run(io, sleep_until(clock, clock.now())));
}

TEST(SystemClock, FiresInOrderOnItsExecutorAndNotBeforeItsTime) {
  boost::asio::io_context io;
  SystemClock clock(io.get_executor());
  std::vector<int> fired;
  const TimePoint at = clock.now() + 5ms;
  TimePoint second_at{};
  clock.call_at(at, [&] {
    fired.push_back(2);
    second_at = clock.now();
  });
  clock.call_at(at - 3ms, [&] { fired.push_back(1); });
  const Clock::TimerId cancelled = clock.call_at(at - 1ms, [&] { fired.push_back(9); });
  clock.cancel(cancelled);
  test::run_until(io, [&] { return fired.size() == 2; });
  EXPECT_EQ(fired, (std::vector<int>{1, 2}));
  EXPECT_GE(second_at, at);
}

TEST(SystemClock, TimersFromOtherThreadsAllFireOnce) {
  Cores cores(1);
  cores.start();
  std::atomic<int> fired{0};
  constexpr int kThreads = 3, kTimers = 200;
  {
    SystemClock clock(cores.executor(0));
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < kTimers; ++i) {
          clock.call_at(clock.now() + std::chrono::milliseconds{i % 3}, [&] { ++fired; });
          clock.cancel(clock.call_at(clock.now() + 1h, [&] { fired += 1'000'000; }));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
    while (fired < kThreads * kTimers && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  }
  cores.stop();
  cores.join();
  EXPECT_EQ(fired, kThreads * kTimers);
}

TEST(SystemClock, DestroyedWithTimersPendingFiresNoneOfThem) {
  boost::asio::io_context io;
  bool fired = false;
  {
    SystemClock clock(io.get_executor());
    clock.call_at(clock.now(), [&] { fired = true; });
    clock.call_at(clock.now() + 1h, [&] { fired = true; });
  }
  test::settle(io);
  EXPECT_FALSE(fired);
  EXPECT_EQ(io.poll(), 0u);
}

}  // namespace
}  // namespace millrace
