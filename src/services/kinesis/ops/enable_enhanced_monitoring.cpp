// EnableEnhancedMonitoring: metrics of each shard, turned on.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_EnableEnhancedMonitoring.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

awaitable<Outcome<MonitoringOutput>> enable_enhanced_monitoring(Context& context, MonitoringInput in) {
  return change_monitoring(context, std::move(in), true);
}

}  // namespace

extern constinit const Operation enable_enhanced_monitoring_operation =
    operation<enable_enhanced_monitoring, kMonitoringInput, kMonitoringOutput>("EnableEnhancedMonitoring");

}  // namespace millrace::services::kinesis
