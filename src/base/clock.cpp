#include "millrace/base/clock.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace millrace {
namespace {

// Timers in order of time, then of registration. Guarded by its user.
class TimerHeap {
 public:
  Clock::TimerId add(TimePoint at, std::function<void()> fire) {
    const Clock::TimerId id = ++last_id_;
    by_time_.emplace(std::pair{at, id}, std::move(fire));
    time_of_.emplace(id, at);
    return id;
  }
  // What it returns must be destroyed with no lock held: it may own what calls the clock again.
  std::function<void()> remove(Clock::TimerId id) {
    auto found = time_of_.find(id);
    if (found == time_of_.end()) return {};
    auto timer = by_time_.find({found->second, id});
    std::function<void()> fire = std::move(timer->second);
    by_time_.erase(timer);
    time_of_.erase(found);
    return fire;
  }
  bool empty() const { return by_time_.empty(); }
  std::size_t size() const { return by_time_.size(); }
  TimePoint first() const { return by_time_.begin()->first.first; }
  std::function<void()> take_first() {
    auto timer = by_time_.begin();
    std::function<void()> fire = std::move(timer->second);
    time_of_.erase(timer->first.second);
    by_time_.erase(timer);
    return fire;
  }

 private:
  std::map<std::pair<TimePoint, Clock::TimerId>, std::function<void()>> by_time_;
  std::unordered_map<Clock::TimerId, TimePoint> time_of_;
  Clock::TimerId last_id_ = 0;
};

}  // namespace

struct ManualClock::Impl {
  std::atomic<TimePoint> now;
  mutable std::mutex mutex;
  TimerHeap timers;
};

ManualClock::ManualClock(TimePoint start) : impl_(std::make_unique<Impl>()) { impl_->now = start; }
ManualClock::~ManualClock() = default;

TimePoint ManualClock::now() const noexcept { return impl_->now.load(std::memory_order_acquire); }

Clock::TimerId ManualClock::call_at(TimePoint at, std::function<void()> fire) {
  {
    std::lock_guard lock(impl_->mutex);
    if (at > now()) return impl_->timers.add(at, std::move(fire));
  }
  fire();
  return 0;
}

void ManualClock::cancel(TimerId id) noexcept {
  std::function<void()> dropped;
  std::lock_guard lock(impl_->mutex);
  dropped = impl_->timers.remove(id);
}

void ManualClock::advance(std::chrono::milliseconds by) {
  const TimePoint until = now() + by;
  for (;;) {
    std::function<void()> fire;
    {
      std::lock_guard lock(impl_->mutex);
      const bool due = !impl_->timers.empty() && impl_->timers.first() <= until;
      const TimePoint next = due ? impl_->timers.first() : until;
      // A callback, or another thread, may have advanced further: time never goes back.
      impl_->now.store(std::max(now(), next), std::memory_order_release);
      if (!due) return;
      fire = impl_->timers.take_first();
    }
    fire();
  }
}

std::size_t ManualClock::pending() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->timers.size();
}

namespace {
TimePoint system_now() noexcept {
  return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
}
// How late a timer can be after somebody has set the wall clock forward: the steady timer below it never sleeps longer.
constexpr std::chrono::milliseconds kLongestSleep{1000};
}  // namespace

// One Asio timer sleeps for the earliest of all. It is touched on the executor only.
struct SystemClock::Impl : std::enable_shared_from_this<Impl> {
  explicit Impl(Executor e) : executor(e), timer(e) {}

  void arm() {
    std::chrono::milliseconds sleep;
    {
      std::lock_guard lock(mutex);
      if (closed || timers.empty()) return;
      armed_for = timers.first();
      sleep = std::clamp(armed_for - system_now(), std::chrono::milliseconds{0}, kLongestSleep);
    }
    timer.expires_after(sleep);
    timer.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (!error) self->fire_due();
    });
  }

  void fire_due() {
    const TimePoint now = system_now();
    for (;;) {
      std::function<void()> fire;
      {
        std::lock_guard lock(mutex);
        armed_for = TimePoint::max();
        if (closed || timers.empty() || timers.first() > now) break;
        fire = timers.take_first();
      }
      fire();
    }
    arm();
  }

  const Executor executor;
  boost::asio::steady_timer::rebind_executor<Executor>::other timer;
  std::mutex mutex;
  TimerHeap timers;
  TimePoint armed_for = TimePoint::max();
  bool closed = false;
};

SystemClock::SystemClock(Executor executor) : impl_(std::make_shared<Impl>(executor)) {}

SystemClock::~SystemClock() {
  TimerHeap dropped;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->closed = true;
    std::swap(dropped, impl_->timers);
  }
  boost::asio::post(impl_->executor, [impl = impl_] { impl->timer.cancel(); });
}

TimePoint SystemClock::now() const noexcept { return system_now(); }

Clock::TimerId SystemClock::call_at(TimePoint at, std::function<void()> fire) {
  TimerId id = 0;
  {
    std::lock_guard lock(impl_->mutex);
    id = impl_->timers.add(at, std::move(fire));
    if (at >= impl_->armed_for) return id;
    impl_->armed_for = at;
  }
  boost::asio::post(impl_->executor, [impl = impl_] { impl->arm(); });
  return id;
}

void SystemClock::cancel(TimerId id) noexcept {
  std::function<void()> dropped;
  std::lock_guard lock(impl_->mutex);
  dropped = impl_->timers.remove(id);
}

}  // namespace millrace
