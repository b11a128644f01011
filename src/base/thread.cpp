#include "millrace/base/thread.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace millrace {
namespace {

// The kernel's struct sched_attr, of which the headers of Debian 12 know nothing.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = 0;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;  // since Linux 6.12: the time slice; shorter ones are due earlier
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};
constexpr std::uint64_t kShortestSliceNs = 100'000;

}  // namespace

void run_soon_after_waking() noexcept {
  SchedulingAttributes attributes;
  if (::syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) != 0) return;  // policy and nice stay
  attributes.size = sizeof attributes;
  attributes.runtime_ns = kShortestSliceNs;
  (void)::syscall(SYS_sched_setattr, 0, &attributes, 0);
}

}  // namespace millrace
