#include "millrace/base/task_group.hpp"

#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <mutex>
#include <variant>
#include <vector>

#include "millrace/base/log.hpp"
#include "millrace/base/suspend.hpp"

namespace millrace {

struct TaskGroup::Impl {
  mutable std::mutex mutex;
  std::size_t running = 0;
  std::vector<Resume<std::monostate>> joiners;
  std::stop_source stop;

  void ended() {
    std::vector<Resume<std::monostate>> woken;
    {
      std::lock_guard lock(mutex);
      if (--running == 0) woken.swap(joiners);
    }
    for (Resume<std::monostate>& joiner : woken) joiner({});
  }
};

namespace {
void log_failure(const std::string& name, std::exception_ptr failure) {
  try {
    std::rethrow_exception(std::move(failure));
  } catch (const std::exception& e) {
    logging::error("a background task failed", {{"task", name}, {"error", e.what()}});
  } catch (...) {
    logging::error("a background task failed", {{"task", name}, {"error", "not a std::exception"}});
  }
}
}  // namespace

TaskGroup::TaskGroup() : impl_(std::make_shared<Impl>()) {}
TaskGroup::~TaskGroup() = default;

void TaskGroup::spawn(Executor executor, std::string name, awaitable<void> task) {
  {
    std::lock_guard lock(impl_->mutex);
    ++impl_->running;
  }
  boost::asio::co_spawn(executor, std::move(task), [impl = impl_, name = std::move(name)](std::exception_ptr failure) {
    if (failure) log_failure(name, std::move(failure));
    impl->ended();
  });
}

std::stop_token TaskGroup::stop_token() const noexcept { return impl_->stop.get_token(); }
void TaskGroup::stop() noexcept { impl_->stop.request_stop(); }

awaitable<void> TaskGroup::join() {
  auto wait_for_last = [impl = impl_](Resume<std::monostate> joiner) {
    {
      std::lock_guard lock(impl->mutex);
      if (impl->running > 0) {
        impl->joiners.push_back(std::move(joiner));
        return;
      }
    }
    joiner({});
  };
  co_await suspend<std::monostate>(wait_for_last);
}

std::size_t TaskGroup::running() const noexcept {
  std::lock_guard lock(impl_->mutex);
  return impl_->running;
}

}  // namespace millrace
