#pragma once
#include <deque>
#include <memory>
#include <utility>

#include "millrace/base/guarded.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/wakeup.hpp"

namespace millrace::delivery {

/// How many objects are being written at once, and so the memory that writing takes. That memory is reserved once, when
/// the budget is still empty: delivery goes on when stored records have used it up. First come, first served;
/// thread-safe.
class WriterSlots : public std::enable_shared_from_this<WriterSlots> {
 public:
  static constexpr std::size_t kWriters = 8;
  static constexpr std::size_t kWriterBytes = 128 * 1024;  ///< slices of one gather write, and the views made of them

  WriterSlots(MemoryBudget& budget)
      : reservation_(Reservation::take(budget, Account::delivery, kWriters * kWriterBytes)) {}

  class Slot {
   public:
    Slot() = default;
    explicit Slot(std::shared_ptr<WriterSlots> slots) : slots_(std::move(slots)) {}
    Slot(Slot&&) = default;
    Slot& operator=(Slot&& other) noexcept {
      std::swap(slots_, other.slots_);
      return *this;
    }
    ~Slot() {
      if (slots_) slots_->give_back();
    }
    explicit operator bool() const noexcept { return slots_ != nullptr; }

   private:
    std::shared_ptr<WriterSlots> slots_;
  };

  /// Empty when `stop` came first.
  awaitable<Slot> acquire(Clock& clock, std::stop_token stop);

 private:
  struct Waiter {
    WakeUp wake;
    bool granted = false;
  };
  struct State {
    std::size_t free = kWriters;
    std::deque<std::shared_ptr<Waiter>> waiting;
  };
  void give_back();

  Reservation reservation_;
  Guarded<State> state_;
};

}  // namespace millrace::delivery
