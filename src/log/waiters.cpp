#include "log/waiters.hpp"

namespace millrace::log {

void Waiters::set_lowest() noexcept {
  lowest_.store(waiting_.empty() ? UINT64_MAX : waiting_.begin()->first.first, std::memory_order_seq_cst);
}

std::pair<std::uint64_t, std::uint64_t> Waiters::add(std::uint64_t mark, const WakeUp& wake) {
  std::lock_guard lock(mutex_);
  const std::pair key{mark, next_id_++};
  waiting_.emplace(key, wake);
  set_lowest();
  return key;
}

void Waiters::remove(const std::pair<std::uint64_t, std::uint64_t>& key) noexcept {
  std::lock_guard lock(mutex_);
  if (waiting_.erase(key)) set_lowest();
}

void Waiters::wake(std::uint64_t count) noexcept {
  decltype(waiting_) due;
  {
    std::lock_guard lock(mutex_);
    while (!waiting_.empty() && waiting_.begin()->first.first <= count) {
      auto node = waiting_.extract(waiting_.begin());
      due.insert(due.end(), std::move(node));
    }
    set_lowest();
  }
  for (const auto& entry : due) entry.second.notify();
}

}  // namespace millrace::log
