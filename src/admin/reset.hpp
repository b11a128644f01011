#pragma once
#include <atomic>
#include <string_view>

#include "admin/answer.hpp"
#include "millrace/admin/admin.hpp"

namespace millrace::admin {

/// Forgets what the daemon holds and declares again: one at a time and under one set of rules, whichever page asks.
class Reset {
 public:
  explicit Reset(const Dependencies& dependencies) : dependencies_(dependencies) {}

  /// Refuses, or resets and says whether objects went too. The method is checked here as well.
  awaitable<Answer> run(const http::Request& request);

 private:
  bool enabled() const noexcept;
  awaitable<Answer> reset_all(bool objects);

  const Dependencies& dependencies_;
  std::atomic<bool> running_{false};
};

}  // namespace millrace::admin
