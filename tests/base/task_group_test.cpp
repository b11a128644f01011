#include "millrace/base/task_group.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <stdexcept>

#include "millrace/base/cores.hpp"
#include "millrace/base/log.hpp"
#include "millrace/base/wakeup.hpp"
#include "support/run.hpp"

namespace millrace {
namespace {

awaitable<void> until_notified(WakeUp wakeup, Clock& clock, std::stop_token stop) {
  co_await wakeup.wait(clock, TimePoint::max(), stop);
}

awaitable<void> failing() {
  throw std::runtime_error("disk on fire");
  co_return;
}

awaitable<void> count(std::atomic<int>& counter) {
  ++counter;
  co_return;
}

TEST(TaskGroup, JoinReturnsForEveryJoinerWhenAllTasksHaveEnded) {
  ManualClock clock;
  boost::asio::io_context io;
  TaskGroup group;
  WakeUp a, b;
  group.spawn(io.get_executor(), "a", until_notified(a, clock, group.stop_token()));
  group.spawn(io.get_executor(), "b", until_notified(b, clock, group.stop_token()));
  auto first = test::start(io, group.join());
  auto second = test::start(io, group.join());
  test::settle(io);
  EXPECT_EQ(group.running(), 2u);
  a.notify();
  test::settle(io);
  EXPECT_EQ(group.running(), 1u);
  EXPECT_FALSE(first.done());
  b.notify();
  test::settle(io);
  EXPECT_TRUE(first.done());
  EXPECT_TRUE(second.done());
  EXPECT_NO_THROW(test::run(io, group.join())) << "an idle group joins at once";
}

TEST(TaskGroup, StopReachesTheTasks) {
  ManualClock clock;
  boost::asio::io_context io;
  TaskGroup group;
  group.spawn(io.get_executor(), "waits", until_notified(WakeUp(), clock, group.stop_token()));
  auto joined = test::start(io, group.join());
  test::settle(io);
  EXPECT_FALSE(joined.done());
  group.stop();
  test::settle(io);
  EXPECT_TRUE(joined.done());
}

TEST(TaskGroup, AnExceptionIsLoggedWithTheTasksName) {
  boost::asio::io_context io;
  TaskGroup group;
  logging::configure(logging::Level::info, logging::Format::json);
  ::testing::internal::CaptureStderr();
  group.spawn(io.get_executor(), "sweeper", failing());
  test::run(io, group.join());
  const std::string written = ::testing::internal::GetCapturedStderr();
  logging::configure(logging::Level::info, logging::Format::automatic);
  EXPECT_NE(written.find(R"("level":"error")"), std::string::npos) << written;
  EXPECT_NE(written.find(R"("task":"sweeper","error":"disk on fire")"), std::string::npos) << written;
}

TEST(TaskGroup, TasksOnSeveralCoresAreAllJoined) {
  Cores cores(3);
  std::atomic<int> ran{0};
  TaskGroup group;
  cores.start();
  for (int i = 0; i < 300; ++i) group.spawn(cores.executor(static_cast<std::size_t>(i) % 3), "count", count(ran));
  test::run(group.join());
  EXPECT_EQ(ran, 300);
  EXPECT_EQ(group.running(), 0u);
}

}  // namespace
}  // namespace millrace
