#include "delivery/writer_slots.hpp"

namespace millrace::delivery {

awaitable<WriterSlots::Slot> WriterSlots::acquire(Clock& clock, std::stop_token stop) {
  auto self = shared_from_this();
  auto waiter = std::make_shared<Waiter>();
  const bool at_once = state_.with([&](State& state) {
    if (state.free > 0) {
      --state.free;
      return true;
    }
    state.waiting.push_back(waiter);
    return false;
  });
  if (at_once) co_return Slot(std::move(self));
  for (;;) {
    const WakeUp::Why why = co_await waiter->wake.wait(clock, TimePoint::max(), stop);
    const bool granted = state_.with([&](State& state) {
      if (!waiter->granted && why == WakeUp::Why::stopped) std::erase(state.waiting, waiter);
      return waiter->granted;
    });
    if (granted) co_return Slot(std::move(self));
    if (why == WakeUp::Why::stopped) co_return Slot();
  }
}

void WriterSlots::give_back() {
  auto next = state_.with([&](State& state) -> std::shared_ptr<Waiter> {
    if (state.waiting.empty()) {
      ++state.free;
      return nullptr;
    }
    auto first = std::move(state.waiting.front());
    state.waiting.pop_front();
    first->granted = true;
    return first;
  });
  if (next) next->wake.notify();
}

}  // namespace millrace::delivery
