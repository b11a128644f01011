#pragma once
#include <boost/asio/io_context.hpp>
#include <memory>
#include <string>
#include <vector>

#include "millrace/base/cores.hpp"
#include "millrace/telemetry/metrics.hpp"

namespace millrace::front {

/// A block of OperationStats for each core, so that each has one writer.
class CoreStats {
 public:
  CoreStats(Cores& cores, std::size_t per_core) {
    for (std::size_t core = 0; core < cores.size(); ++core) {
      contexts_.push_back(&cores.context(core));
      stats_.push_back(std::make_unique<telemetry::OperationStats[]>(per_core));
    }
  }
  /// The counts of the core that `executor` runs on; of the first one for anything else.
  telemetry::OperationStats& at(const Executor& executor, std::size_t index) noexcept {
    for (std::size_t core = 0; core < contexts_.size(); ++core)
      if (contexts_[core] == &executor.context()) return stats_[core][index];
    return stats_[0][index];
  }
  std::vector<const telemetry::OperationStats*> of(std::size_t index) const {
    std::vector<const telemetry::OperationStats*> all;
    for (const auto& core : stats_) all.push_back(&core[index]);
    return all;
  }

 private:
  std::vector<const boost::asio::io_context*> contexts_;
  std::vector<std::unique_ptr<telemetry::OperationStats[]>> stats_;
};

}  // namespace millrace::front
