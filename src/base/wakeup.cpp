#include "millrace/base/wakeup.hpp"

#include <boost/asio/associated_cancellation_slot.hpp>
#include <mutex>
#include <optional>

#include "millrace/base/suspend.hpp"

namespace millrace {

// A wait is numbered, so that a timer or a stop that comes late for one wait cannot end the next.
struct WakeUp::Shared {
  std::mutex mutex;
  bool notified = false;
  std::uint64_t wait_number = 0;
  std::optional<Why> ended_early;  // the wait's end, come before its coroutine was suspended
  Resume<Why> waiter;

  void notify() {
    Resume<Why> resume;
    {
      std::lock_guard lock(mutex);
      if (!waiter) {
        notified = true;
        return;
      }
      resume = std::move(waiter);
    }
    resume(Why::notified);
  }

  void end(std::uint64_t number, Why why) {
    Resume<Why> resume;
    {
      std::lock_guard lock(mutex);
      if (number != wait_number) return;
      if (!waiter) {
        if (!ended_early) ended_early = why;
        return;
      }
      resume = std::move(waiter);
    }
    resume(why);
  }

  void park(Resume<Why> resume) {
    Why why;
    {
      std::lock_guard lock(mutex);
      if (notified) {
        notified = false;
        why = Why::notified;
      } else if (ended_early) {
        why = *ended_early;
      } else {
        waiter = std::move(resume);
        return;
      }
    }
    resume(why);
  }
};

WakeUp::WakeUp() : shared_(std::make_shared<Shared>()) {}

void WakeUp::notify() const noexcept { shared_->notify(); }

awaitable<WakeUp::Why> WakeUp::wait(Clock& clock, TimePoint deadline, std::stop_token stop) const {
  std::shared_ptr<Shared> shared = shared_;
  std::uint64_t number = 0;
  {
    std::lock_guard lock(shared->mutex);
    if (shared->notified) {
      shared->notified = false;
      co_return Why::notified;
    }
    number = ++shared->wait_number;
    shared->ended_early.reset();
  }
  if (stop.stop_requested()) co_return Why::stopped;
  const bool timed = deadline != TimePoint::max();
  if (timed && deadline <= clock.now()) co_return Why::deadline;

  std::stop_callback on_stop(std::move(stop), [shared, number] { shared->end(number, Why::stopped); });
  Clock::TimerId timer = 0;
  if (timed) timer = clock.call_at(deadline, [shared, number] { shared->end(number, Why::deadline); });

  const Why why = co_await boost::asio::async_initiate<decltype(use_awaitable), void(Why)>(
      [](auto handler, std::shared_ptr<Shared> s, std::uint64_t n) {
        auto slot = boost::asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
          slot.assign([s, n](boost::asio::cancellation_type) { s->end(n, Why::stopped); });
        }
        s->park(Resume<Why>::of(std::move(handler)));
      },
      use_awaitable, shared, number);

  if (timed && why != Why::deadline) clock.cancel(timer);
  co_return why;
}

awaitable<bool> sleep_until(Clock& clock, TimePoint at, std::stop_token stop) {
  WakeUp nobody_notifies;
  co_return co_await nobody_notifies.wait(clock, at, std::move(stop)) == WakeUp::Why::deadline;
}

}  // namespace millrace
