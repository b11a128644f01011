#pragma once
#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>
#include <vector>

#include "millrace/base/awaitable.hpp"

namespace millrace::test {

/// How long a coroutine may take before a test says that it hangs. Never waited for when nothing is wrong. A fuzzer has
/// a limit of its own, and may run where others go first.
#if defined(MILLRACE_FUZZ)
inline constexpr std::chrono::seconds kPatience{3600};
#else
inline constexpr std::chrono::seconds kPatience{20};
#endif

/// A coroutine started on an io_context: ask whether it has ended, then take what it returned or threw.
template <class T>
class Started {
 public:
  bool done() const noexcept { return state_->done; }
  T result() {
    if (!state_->done) throw std::logic_error("the coroutine has not ended");
    if (state_->error) std::rethrow_exception(state_->error);
    if constexpr (!std::is_void_v<T>) return std::move(*state_->value);
  }

 private:
  struct Nothing {};
  struct State {
    bool done = false;
    std::exception_ptr error;
    std::optional<std::conditional_t<std::is_void_v<T>, Nothing, T>> value;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();

  static awaitable<void> keep(awaitable<T> task, std::shared_ptr<State> state) {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
    } else {
      state->value.emplace(co_await std::move(task));
    }
  }
  template <class U>
  friend Started<U> start(boost::asio::io_context& io, awaitable<U> task);
};

/// Starts `task` on `io` without running anything: drive it with settle() and a manual clock.
template <class T>
Started<T> start(boost::asio::io_context& io, awaitable<T> task) {
  Started<T> started;
  boost::asio::co_spawn(io.get_executor(), Started<T>::keep(std::move(task), started.state_),
                        [state = started.state_](std::exception_ptr error) {
                          state->error = error;
                          state->done = true;
                        });
  return started;
}

/// Runs what is ready now on `io`, and what that makes ready; bounded, so that a busy loop fails.
inline void settle(boost::asio::io_context& io, std::size_t steps_max = 1'000'000) {
  io.restart();
  while (io.poll_one()) {
    if (--steps_max == 0) throw std::runtime_error("the io_context does not come to rest");
  }
}

/// Runs `io` until `done()`; other threads may be the ones that make it true by posting to `io`.
template <class Done>
void run_until(boost::asio::io_context& io, Done done) {
  io.restart();
  auto work = boost::asio::make_work_guard(io);
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (!done()) {
    if (!io.run_one_until(deadline)) throw std::runtime_error("a coroutine hangs");
  }
}

/// Runs `task` to its end on `io`; gives what it returns, throws what it throws, and throws when it hangs.
template <class T>
T run(boost::asio::io_context& io, awaitable<T> task) {
  Started<T> started = start(io, std::move(task));
  run_until(io, [&] { return started.done(); });
  return started.result();
}

/// An io_context for a test whose coroutines other threads resume. A thread that has posted the last of them may still
/// be on its way out of the io_context when the test is over: handlers go with this, the memory at the end of the
/// program.
class SharedContext {
 public:
  SharedContext() : context_(std::make_unique<Context>()) {}
  ~SharedContext() {
    context_->shutdown();
    static std::mutex mutex;
    static std::vector<std::unique_ptr<Context>> retired;
    std::lock_guard lock(mutex);
    retired.push_back(std::move(context_));
  }
  SharedContext(const SharedContext&) = delete;
  SharedContext& operator=(const SharedContext&) = delete;
  boost::asio::io_context& operator*() noexcept { return *context_; }

 private:
  struct Context : boost::asio::io_context {
    Context() : boost::asio::io_context(1) {}
    using boost::asio::io_context::shutdown;
  };
  std::unique_ptr<Context> context_;
};

/// The same on an io_context of its own.
template <class T>
T run(awaitable<T> task) {
  SharedContext io;
  return run(*io, std::move(task));
}

}  // namespace millrace::test
