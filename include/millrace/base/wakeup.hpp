#pragma once
#include <memory>
#include <stop_token>

#include "millrace/base/clock.hpp"

namespace millrace {

/// One waiting coroutine and whoever wakes it, from any thread. notify() before wait() is remembered once; several
/// notifies before a wait count as one. Copyable handle; at most one coroutine waits at a time.
class WakeUp {
 public:
  enum class Why { notified, deadline, stopped };
  WakeUp();
  void notify() const noexcept;
  /// Resumes on the awaiting coroutine's own executor. TimePoint::max() waits without a deadline.
  awaitable<Why> wait(Clock& clock, TimePoint deadline, std::stop_token stop = {}) const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace millrace
