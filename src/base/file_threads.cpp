#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "millrace/base/files.hpp"
#include "millrace/base/suspend.hpp"
#include "millrace/base/thread.hpp"

namespace millrace {

struct FileThreads::Impl {
  struct Outcome {
    std::exception_ptr failure;
  };
  struct Job {
    std::function<void()> work;
    Resume<Outcome> caller;
  };

  std::size_t queue_max = 0;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<Job> queue;    // at most queue_max
  std::deque<Job> no_room;  // callers that came when the queue was full, in order
  bool closing = false;
  std::vector<std::thread> threads;

  void submit(Job job) {
    {
      std::lock_guard lock(mutex);
      (queue.size() < queue_max ? queue : no_room).push_back(std::move(job));
    }
    changed.notify_one();
  }

  void serve() {
    run_soon_after_waking();
    for (;;) {
      Job job;
      {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return closing || !queue.empty(); });
        if (queue.empty()) return;
        job = std::move(queue.front());
        queue.pop_front();
        if (!no_room.empty()) {
          queue.push_back(std::move(no_room.front()));
          no_room.pop_front();
        }
      }
      Outcome outcome;
      try {
        job.work();
      } catch (...) {
        outcome.failure = std::current_exception();
      }
      // What the work holds goes before its caller does: it may refer to the caller's frame.
      job.work = nullptr;
      if (job.caller) job.caller(std::move(outcome));
    }
  }
};

FileThreads::FileThreads(std::size_t threads, std::size_t queue_max) : impl_(std::make_shared<Impl>()) {
  impl_->queue_max = queue_max == 0 ? 1 : queue_max;
  for (std::size_t i = 0; i < (threads == 0 ? 1 : threads); ++i) {
    impl_->threads.emplace_back([impl = impl_.get()] { impl->serve(); });
    ::pthread_setname_np(impl_->threads.back().native_handle(), "files");
  }
}

FileThreads::~FileThreads() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->closing = true;
  }
  impl_->changed.notify_all();
  for (std::thread& thread : impl_->threads) thread.join();
}

void FileThreads::post(std::function<void()> work) { impl_->submit({std::move(work), {}}); }

awaitable<void> FileThreads::run_work(std::function<void()> work) {
  auto submit = [impl = impl_, w = std::move(work)](Resume<Impl::Outcome> caller) mutable {
    impl->submit({std::move(w), std::move(caller)});
  };
  Impl::Outcome outcome = co_await suspend<Impl::Outcome>(submit);
  if (outcome.failure) std::rethrow_exception(std::move(outcome.failure));
}

}  // namespace millrace
