#pragma once
#include "millrace/streams/control.hpp"
#include "services/kinesis/resource.hpp"

/// A stream's settings as they are asked for and shown.
namespace millrace::services::kinesis {

inline constexpr std::string_view kStreamModes[] = {"PROVISIONED", "ON_DEMAND"};
struct StreamModeInput {
  std::string mode;
  streams::Mode value() const noexcept {
    return mode == streams::mode_name(streams::Mode::on_demand) ? streams::Mode::on_demand : streams::Mode::provisioned;
  }
};
inline constexpr auto kStreamModeInput = fields(field<&StreamModeInput::mode>("StreamMode", one_of(kStreamModes)));

/// InvalidArgumentException over what a stream can have.
std::optional<ServiceError> check_warm_throughput_bounds(std::int32_t mibps);

struct WarmThroughputOutput {
  std::int32_t target = 0, current = 0;
};
inline constexpr auto kWarmThroughputFields =
    fields(field<&WarmThroughputOutput::target>("TargetMiBps"), field<&WarmThroughputOutput::current>("CurrentMiBps"));
std::optional<WarmThroughputOutput> warm_throughput_output(const streams::Stream& stream, TimePoint now);

/// The members that DescribeStream and DescribeStreamSummary share.
struct SettingsOutput {
  StreamModeOutput mode;
  std::vector<EnhancedMonitoringOutput> monitoring;
  std::string encryption = "NONE";
  std::optional<std::string> key_id;
};
SettingsOutput settings_output(const streams::Stream& stream, TimePoint now);

/// In AWS's order.
std::vector<std::string> metric_names(streams::ShardMetrics metrics);

struct MonitoringInput {
  std::vector<std::string> metrics;
  StreamSelector stream;
};
inline constexpr std::string_view kMetricNames[] = {
    streams::kShardMetrics[0], streams::kShardMetrics[1], streams::kShardMetrics[2], streams::kShardMetrics[3],
    streams::kShardMetrics[4], streams::kShardMetrics[5], streams::kShardMetrics[6], "ALL"};
inline constexpr auto kMonitoringInput =
    fields(field<&MonitoringInput::metrics>("ShardLevelMetrics", length(1, 7), items(one_of(kMetricNames))),
           stream_selector<&MonitoringInput::stream>());
struct MonitoringOutput {
  std::string name;
  std::vector<std::string> before, after;
  std::string arn;
};
inline constexpr auto kMonitoringOutput =
    fields(field<&MonitoringOutput::name>("StreamName"), field<&MonitoringOutput::before>("CurrentShardLevelMetrics"),
           field<&MonitoringOutput::after>("DesiredShardLevelMetrics"), field<&MonitoringOutput::arn>("StreamARN"));
/// What turning metrics on and off share: all but the direction.
awaitable<Outcome<MonitoringOutput>> change_monitoring(Context& context, MonitoringInput in, bool on);

/// Start- and StopStreamEncryption's.
inline constexpr std::string_view kEncryptionTypes[] = {"NONE", "KMS"};
struct EncryptionInput {
  std::string type, key_id;
  StreamSelector stream;
};
inline constexpr auto kEncryptionInput =
    fields(field<&EncryptionInput::type>("EncryptionType", one_of(kEncryptionTypes)),
           field<&EncryptionInput::key_id>("KeyId", length(1, 2048)), stream_selector<&EncryptionInput::stream>());
/// The stream, whose name is to be taken, if all of the input is good.
Outcome<streams::StreamRef> check_encryption(Context& context, const EncryptionInput& in);

/// The account's commitment as it is shown.
struct CommitmentOutput {
  std::string status;
  std::optional<TimePoint> started, ended, earliest_end;
};
inline constexpr auto kCommitmentFields =
    fields(field<&CommitmentOutput::status>("Status"), field<&CommitmentOutput::started>("StartedAt"),
           field<&CommitmentOutput::ended>("EndedAt"), field<&CommitmentOutput::earliest_end>("EarliestAllowedEndAt"));
CommitmentOutput commitment_output(const streams::Commitment& commitment, TimePoint now);
struct AccountSettingsOutput {
  CommitmentOutput commitment;
};
inline constexpr auto kAccountSettingsOutput =
    fields(field<&AccountSettingsOutput::commitment>("MinimumThroughputBillingCommitment", of(kCommitmentFields)));

}  // namespace millrace::services::kinesis
