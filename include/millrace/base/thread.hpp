#pragma once

namespace millrace {

/// Asks the scheduler to let the calling thread run soon after it wakes, for one that does little and that others wait
/// for: on busy cores a thread whose disk has answered waits for the next tick otherwise, some milliseconds. It gets
/// no larger share of the CPU. Where the kernel has no such thing, nothing happens.
void run_soon_after_waking() noexcept;

}  // namespace millrace
