#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "millrace/delivery/delivery.hpp"

namespace millrace::delivery {

struct Named {
  std::string prefix;  ///< before the names of its delivery streams, where several are told of
  Delivery* delivery;
};
/// Delivery::flush of each, one after the other, with an equal share of the time that is left.
awaitable<std::vector<FlushFailure>> flush_all(std::vector<Named> all, std::chrono::steady_clock::time_point deadline);

}  // namespace millrace::delivery
