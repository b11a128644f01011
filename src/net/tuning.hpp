#pragma once
#include <chrono>
#include <functional>
#include <memory>

#include "millrace/net/server.hpp"

namespace millrace::net {

using SteadyTime = std::chrono::steady_clock::time_point;

/// What tests turn: where deadlines take their time from, and how often they are looked at.
struct Tuning {
  std::function<SteadyTime()> now = [] { return std::chrono::steady_clock::now(); };
  std::chrono::milliseconds sweep_interval{1000};
};

std::unique_ptr<Server> make_server(Cores& cores, MemoryBudget& budget, Tuning tuning);

}  // namespace millrace::net
