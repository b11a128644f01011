#include "millrace/base/wakeup.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

#include "support/run.hpp"

namespace millrace {
namespace {

using namespace std::chrono_literals;
using Why = WakeUp::Why;

TEST(WakeUp, NotifyBeforeWaitIsRememberedOnce) {
  ManualClock clock;
  WakeUp wakeup;
  wakeup.notify();
  wakeup.notify();
  EXPECT_EQ(test::run(wakeup.wait(clock, TimePoint::max())), Why::notified);
  boost::asio::io_context io;
  auto second = test::start(io, wakeup.wait(clock, clock.now() + 1ms));
  test::settle(io);
  EXPECT_FALSE(second.done());
  clock.advance(1ms);
  test::settle(io);
  ASSERT_TRUE(second.done());
  EXPECT_EQ(second.result(), Why::deadline);
}

TEST(WakeUp, NotifyEndsAWaitAndItsTimer) {
  ManualClock clock;
  boost::asio::io_context io;
  WakeUp wakeup;
  auto waiting = test::start(io, wakeup.wait(clock, clock.now() + 1h));
  test::settle(io);
  EXPECT_EQ(clock.pending(), 1u);
  WakeUp(wakeup).notify();
  EXPECT_FALSE(waiting.done()) << "resumes on its own executor, not inside notify()";
  test::settle(io);
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(waiting.result(), Why::notified);
  EXPECT_EQ(clock.pending(), 0u);
}

TEST(WakeUp, PastDeadlineReturnsAtOnceButANotifyComesFirst) {
  ManualClock clock;
  WakeUp wakeup;
  EXPECT_EQ(test::run(wakeup.wait(clock, clock.now())), Why::deadline);
  wakeup.notify();
  EXPECT_EQ(test::run(wakeup.wait(clock, clock.now())), Why::notified);
}

TEST(WakeUp, StopEndsAWaitAlsoWhenItCameBefore) {
  ManualClock clock;
  boost::asio::io_context io;
  WakeUp wakeup;
  std::stop_source stop;
  auto waiting = test::start(io, wakeup.wait(clock, TimePoint::max(), stop.get_token()));
  test::settle(io);
  EXPECT_FALSE(waiting.done());
  stop.request_stop();
  test::settle(io);
  ASSERT_TRUE(waiting.done());
  EXPECT_EQ(waiting.result(), Why::stopped);
  EXPECT_EQ(test::run(io, wakeup.wait(clock, TimePoint::max(), stop.get_token())), Why::stopped);
}

TEST(WakeUp, TimerOfAnEarlierWaitDoesNotEndALaterOne) {
  ManualClock clock;
  boost::asio::io_context io;
  WakeUp wakeup;
  auto first = test::start(io, wakeup.wait(clock, clock.now() + 10ms));
  test::settle(io);
  wakeup.notify();
  test::settle(io);
  ASSERT_TRUE(first.done());
  auto second = test::start(io, wakeup.wait(clock, clock.now() + 20ms));
  test::settle(io);
  clock.advance(10ms);
  test::settle(io);
  EXPECT_FALSE(second.done());
  clock.advance(10ms);
  test::settle(io);
  EXPECT_TRUE(second.done());
}

TEST(WakeUp, CancellingTheCoroutineEndsItsWait) {
  ManualClock clock;
  boost::asio::io_context io;
  WakeUp wakeup;
  boost::asio::cancellation_signal signal;
  std::optional<Why> ended;
  boost::asio::co_spawn(
      io, wakeup.wait(clock, clock.now() + 1h),
      boost::asio::bind_cancellation_slot(signal.slot(), [&](std::exception_ptr, Why why) { ended = why; }));
  test::settle(io);
  EXPECT_FALSE(ended);
  signal.emit(boost::asio::cancellation_type::terminal);
  test::settle(io);
  EXPECT_EQ(ended, Why::stopped);
  EXPECT_EQ(clock.pending(), 0u);
}

awaitable<int> count_until(WakeUp wakeup, Clock& clock, const std::atomic<int>& produced, int total,
                           std::thread::id own_thread) {
  int wrong_thread = 0;
  while (produced.load() < total) {
    co_await wakeup.wait(clock, TimePoint::max());
    if (std::this_thread::get_id() != own_thread) ++wrong_thread;
  }
  co_return wrong_thread;
}

TEST(WakeUp, LosesNoNotifyOfAnotherThread) {
  ManualClock clock;
  boost::asio::io_context io;
  WakeUp wakeup;
  std::atomic<int> produced{0};
  constexpr int kTotal = 20'000;
  std::thread producer([&] {
    for (int i = 0; i < kTotal; ++i) {
      ++produced;
      wakeup.notify();
    }
  });
  EXPECT_EQ(test::run(io, count_until(wakeup, clock, produced, kTotal, std::this_thread::get_id())), 0);
  producer.join();
}

awaitable<void> wait_often(WakeUp wakeup, Clock& clock, std::stop_token stop, int times) {
  for (int i = 0; i < times; ++i) co_await wakeup.wait(clock, clock.now() + 1ms, stop);
}

TEST(WakeUp, TimersNotifiesAndStopsOfThreeThreadsMayMeet) {
  ManualClock clock;
  boost::asio::io_context io;
  WakeUp wakeup;
  std::stop_source stop;
  std::atomic<bool> over{false};
  std::thread advancing([&] {
    for (int i = 0; !over; ++i) {
      clock.advance(1ms);
      if (i == 500) stop.request_stop();
      std::this_thread::yield();
    }
  });
  std::thread notifying([&] {
    while (!over) {
      wakeup.notify();
      std::this_thread::yield();
    }
  });
  EXPECT_NO_THROW(test::run(io, wait_often(wakeup, clock, stop.get_token(), 5'000)));
  over = true;
  advancing.join();
  notifying.join();
}

}  // namespace
}  // namespace millrace
