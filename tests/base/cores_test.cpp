#include "millrace/base/cores.hpp"

#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <future>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

#include "millrace/base/on.hpp"
#include "support/run.hpp"

namespace millrace {
namespace {

std::thread::id thread_of(Cores& cores, std::size_t core) {
  std::promise<std::thread::id> id;
  auto known = id.get_future();
  boost::asio::post(cores.executor(core), [&id] { id.set_value(std::this_thread::get_id()); });
  return known.get();
}

TEST(Cores, EachCoreRunsOnOneThreadOfItsOwn) {
  Cores cores(3);
  cores.start();
  std::set<std::thread::id> ids;
  for (std::size_t core = 0; core < cores.size(); ++core) {
    const auto id = thread_of(cores, core);
    EXPECT_EQ(thread_of(cores, core), id);
    ids.insert(id);
  }
  EXPECT_EQ(ids.size(), 3u);
  cores.stop();
  cores.stop();
  cores.join();
}

TEST(Cores, AThrowingHandlerDoesNotEndItsCore) {
  ::testing::internal::CaptureStderr();
  Cores cores(1);
  cores.start();
  boost::asio::post(cores.executor(0), [] { throw std::runtime_error("a bug"); });
  const bool alive = thread_of(cores, 0) != std::thread::id{};
  const std::string written = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(alive);
  EXPECT_NE(written.find("a bug"), std::string::npos);
}

TEST(Cores, NeverStartedCoresDropTheirHandlersWhicheverCoreTheseBelongTo) {
  auto held = std::make_shared<int>(1);
  {
    Cores cores(2);
    // Each handler keeps work on the other core.
    for (std::size_t core = 0; core < 2; ++core)
      boost::asio::post(cores.executor(core), [held, work = boost::asio::make_work_guard(cores.context(1 - core))] {});
    EXPECT_EQ(held.use_count(), 3);
  }
  EXPECT_EQ(held.use_count(), 1);
}

struct NoDefault {
  explicit NoDefault(int v) : value(v) {}
  int value;
};

awaitable<std::string> nested() { co_return "awaited"; }

awaitable<void> hop(Cores& cores, std::thread::id there, int& checks) {
  const auto home = std::this_thread::get_id();
  const NoDefault plain =
      co_await on(cores.executor(0), [there] { return NoDefault(std::this_thread::get_id() == there ? 7 : 0); });
  if (plain.value == 7) ++checks;
  if (std::this_thread::get_id() == home) ++checks;
  const std::string text = co_await on(cores.executor(0), [] { return nested(); });
  if (text == "awaited") ++checks;
  bool ran = false;
  co_await on(cores.executor(0), [&ran] { ran = true; });
  if (ran && std::this_thread::get_id() == home) ++checks;
  try {
    co_await on(cores.executor(0), [] { throw std::runtime_error("over there"); });
  } catch (const std::runtime_error&) {
    if (std::this_thread::get_id() == home) ++checks;
  }
}

TEST(On, RunsThereResumesHereAndBringsValuesAndExceptionsBack) {
  Cores cores(1);
  cores.start();
  int checks = 0;
  test::run(hop(cores, thread_of(cores, 0), checks));
  EXPECT_EQ(checks, 5);
}

}  // namespace
}  // namespace millrace
