#pragma once
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <utility>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/clock.hpp"

/// What the measuring programs of single layers share.
namespace millrace::bench {

using Watch = std::chrono::steady_clock;

inline double seconds_since(Watch::time_point start) {
  return std::chrono::duration<double>(Watch::now() - start).count();
}

/// No timers fire: a load ends long before the first one would.
class WallClock final : public Clock {
 public:
  TimePoint now() const noexcept override {
    return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  }
  TimerId call_at(TimePoint, std::function<void()>) override { return 1; }
  void cancel(TimerId) noexcept override {}
};

template <class T>
T run(awaitable<T> task) {
  boost::asio::io_context io{1};
  std::optional<T> out;
  boost::asio::co_spawn(
      io, [&]() -> awaitable<void> { out.emplace(co_await std::move(task)); }, boost::asio::detached);
  io.run();
  return std::move(*out);
}

}  // namespace millrace::bench
