// DisableEnhancedMonitoring: metrics of each shard, turned off.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DisableEnhancedMonitoring.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

awaitable<Outcome<MonitoringOutput>> disable_enhanced_monitoring(Context& context, MonitoringInput in) {
  return change_monitoring(context, std::move(in), false);
}

}  // namespace

extern constinit const Operation disable_enhanced_monitoring_operation =
    operation<disable_enhanced_monitoring, kMonitoringInput, kMonitoringOutput>("DisableEnhancedMonitoring");

}  // namespace millrace::services::kinesis
