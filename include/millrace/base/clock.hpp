#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>

#include "millrace/base/awaitable.hpp"

namespace millrace {

/// Domain time: UTC with the millisecond AWS uses on the wire.
using TimePoint = std::chrono::sys_time<std::chrono::milliseconds>;

/// The domain clock: arrival, retention, iterators, buffers, retries and states live by it. Network deadlines do not:
/// they use std::chrono::steady_clock. Thread-safe.
class Clock {
 public:
  using TimerId = std::uint64_t;
  virtual ~Clock() = default;
  virtual TimePoint now() const noexcept = 0;
  /// Calls `fire` once, at or after `at` (at once when that is past), from the clock's own thread with no lock held.
  /// `fire` must be short: it posts work elsewhere.
  virtual TimerId call_at(TimePoint at, std::function<void()> fire) = 0;
  /// After return `fire` has either run, is running, or never will. Unknown ids are ignored.
  virtual void cancel(TimerId id) noexcept = 0;
};

/// Time that only a test moves. call_at callbacks run inside advance(), in order of time, then of registration; one
/// whose time is past runs inside call_at() itself.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(TimePoint start = TimePoint{
                           std::chrono::milliseconds{1'767'225'600'000}});  // 2026-01-01T00:00:00Z
  ~ManualClock() override;
  TimePoint now() const noexcept override;
  TimerId call_at(TimePoint at, std::function<void()> fire) override;
  void cancel(TimerId id) noexcept override;
  /// Moves time forward; at each due timer now() is that timer's time.
  void advance(std::chrono::milliseconds by);
  /// Timers not yet fired.
  std::size_t pending() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The system's time. Timers fire on the thread that runs `executor`; the clock must be destroyed before its context.
class SystemClock final : public Clock {
 public:
  explicit SystemClock(Executor executor);
  ~SystemClock() override;
  TimePoint now() const noexcept override;
  TimerId call_at(TimePoint at, std::function<void()> fire) override;
  void cancel(TimerId id) noexcept override;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// Suspends until domain time `at` or until `stop`; true when the time came. Resumes on the coroutine's own executor.
awaitable<bool> sleep_until(Clock& clock, TimePoint at, std::stop_token stop = {});

}  // namespace millrace
