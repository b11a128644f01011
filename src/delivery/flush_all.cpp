#include "millrace/delivery/flush_all.hpp"

#include <utility>

namespace millrace::delivery {

awaitable<std::vector<FlushFailure>> flush_all(std::vector<Named> all, std::chrono::steady_clock::time_point deadline) {
  std::vector<FlushFailure> failures;
  for (std::size_t left = all.size(); left > 0; --left) {
    const Named& one = all[all.size() - left];
    const auto now = std::chrono::steady_clock::now();
    const auto until = now + (deadline - now) / static_cast<std::ptrdiff_t>(left);
    std::vector<FlushFailure> failed = co_await one.delivery->flush(until);
    for (FlushFailure& failure : failed)
      failures.push_back({one.prefix + failure.delivery_stream, std::move(failure.reason)});
  }
  co_return failures;
}

}  // namespace millrace::delivery
