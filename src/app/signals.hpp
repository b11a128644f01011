#pragma once
#include <pthread.h>

#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <utility>

#include "millrace/base/awaitable.hpp"

namespace millrace::app {

/// The main thread between signals: SIGINT, SIGTERM and SIGHUP are blocked from construction on, in every thread
/// started later too, and taken only here. Coroutines run on the cores meanwhile.
class Signals {
 public:
  Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  /// Which signal asked to stop; nothing when `done` came true, or the deadline passed, first.
  std::optional<int> wait(const std::function<bool()>& done,
                          std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt);

  /// Called within wait(): `hangup` on each SIGHUP, which otherwise nobody hears; `hourly` about once an hour.
  void meanwhile(std::function<void()> hangup, std::function<void()> hourly) {
    hangup_ = std::move(hangup);
    hourly_ = std::move(hourly);
  }

  /// wait() looks at `done` again. From any thread.
  void wake() const noexcept;

  /// Starts `task`; wait() is woken when the future is ready.
  template <class T>
  std::future<T> start(Executor executor, awaitable<T> task) {
    auto promise = std::make_shared<std::promise<T>>();
    std::future<T> future = promise->get_future();
    boost::asio::co_spawn(executor, keep(std::move(task), promise), [this, promise](std::exception_ptr error) {
      if (error) promise->set_exception(error);
      wake();
    });
    return future;
  }
  template <class T>
  static bool ready(const std::future<T>& future) {
    return future.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }

 private:
  template <class T>
  static awaitable<void> keep(awaitable<T> task, std::shared_ptr<std::promise<T>> promise) {
    if constexpr (std::is_void_v<T>) {
      co_await std::move(task);
      promise->set_value();
    } else {
      promise->set_value(co_await std::move(task));
    }
  }

  pthread_t main_;
  std::function<void()> hangup_, hourly_;
  std::chrono::steady_clock::time_point next_hour_;
};

}  // namespace millrace::app
