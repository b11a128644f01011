#pragma once
#include <memory>
#include <stop_token>
#include <string>

#include "millrace/base/awaitable.hpp"

namespace millrace {

/// Background coroutines with one owner. An exception that leaves one is logged with its name; nothing is detached.
/// Thread-safe. Destroyed only after join() has returned or the contexts have stopped.
class TaskGroup {
 public:
  TaskGroup();
  ~TaskGroup();
  void spawn(Executor executor, std::string name, awaitable<void> task);
  /// Tasks watch this and end soon after stop().
  std::stop_token stop_token() const noexcept;
  void stop() noexcept;
  /// Returns when every task has ended.
  awaitable<void> join();
  std::size_t running() const noexcept;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace millrace
