// IncreaseStreamRetentionPeriod: keep records longer; records already past the old period do not come back.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_IncreaseStreamRetentionPeriod.html
#include "services/kinesis/retention.hpp"

namespace millrace::services::kinesis {
namespace {

awaitable<Outcome<NoOutput>> increase_stream_retention_period(Context& context, RetentionInput in) {
  return change_retention(context, std::move(in), streams::Streams::RetentionChange::increase);
}

}  // namespace

extern constinit const Operation increase_stream_retention_period_operation =
    operation<increase_stream_retention_period, kRetentionInput>("IncreaseStreamRetentionPeriod");

}  // namespace millrace::services::kinesis
