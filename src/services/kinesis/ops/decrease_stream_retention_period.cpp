// DecreaseStreamRetentionPeriod: keep records shorter; what is older than the new period is gone at once.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DecreaseStreamRetentionPeriod.html
#include "services/kinesis/retention.hpp"

namespace millrace::services::kinesis {
namespace {

awaitable<Outcome<NoOutput>> decrease_stream_retention_period(Context& context, RetentionInput in) {
  return change_retention(context, std::move(in), streams::Streams::RetentionChange::decrease);
}

}  // namespace

extern constinit const Operation decrease_stream_retention_period_operation =
    operation<decrease_stream_retention_period, kRetentionInput>("DecreaseStreamRetentionPeriod");

}  // namespace millrace::services::kinesis
