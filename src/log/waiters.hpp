#pragma once
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "millrace/base/wakeup.hpp"

namespace millrace::log {

/// Coroutines that wait for a log's count of stored bytes to reach a mark. The putter compares one number; only when
/// the lowest mark is reached does it take the lock.
///
/// No wake-up is lost: a waiter announces its mark and then looks at the count again, the putter raises the count and
/// then looks at the marks, all in one order (sequentially consistent), so one of the two sees the other.
class Waiters {
 public:
  /// Stands in the list from construction until woken or destroyed.
  class Registration {
   public:
    Registration(Waiters& waiters, std::uint64_t mark, const WakeUp& wake)
        : waiters_(waiters), key_(waiters.add(mark, wake)) {}
    ~Registration() { waiters_.remove(key_); }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;

   private:
    Waiters& waiters_;
    std::pair<std::uint64_t, std::uint64_t> key_;
  };

  /// Whether somebody waits for `count` or less; to be asked after the count was stored with memory_order_seq_cst.
  bool due(std::uint64_t count) const noexcept { return lowest_.load(std::memory_order_seq_cst) <= count; }
  /// Wakes those whose mark is at most `count`.
  void wake(std::uint64_t count) noexcept;
  void wake_all() noexcept { wake(UINT64_MAX); }

 private:
  std::pair<std::uint64_t, std::uint64_t> add(std::uint64_t mark, const WakeUp& wake);
  void remove(const std::pair<std::uint64_t, std::uint64_t>& key) noexcept;
  void set_lowest() noexcept;

  std::atomic<std::uint64_t> lowest_{UINT64_MAX};
  std::mutex mutex_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, WakeUp> waiting_;  // by mark, then by arrival
  std::uint64_t next_id_ = 0;
};

}  // namespace millrace::log
