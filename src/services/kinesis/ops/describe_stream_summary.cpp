// DescribeStreamSummary: a stream without its shards.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamSummary.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  StreamSelector stream;
};
constexpr auto kInput = fields(stream_selector<&Input::stream>());

struct Summary {
  std::string name, arn, status;
  SettingsOutput settings;
  std::int32_t retention_hours = 0;
  TimePoint created;
  std::int32_t open_shards = 0;
  std::int32_t consumers = 0;
  std::optional<WarmThroughputOutput> warm;
  std::int32_t record_kib_max = 0;
};
constexpr auto kSummary = fields(
    field<&Summary::name>("StreamName"), field<&Summary::arn>("StreamARN"), field<&Summary::status>("StreamStatus"),
    field<&Summary::settings, &SettingsOutput::mode>("StreamModeDetails", of(kStreamModeFields)),
    field<&Summary::retention_hours>("RetentionPeriodHours"), field<&Summary::created>("StreamCreationTimestamp"),
    field<&Summary::settings, &SettingsOutput::monitoring>("EnhancedMonitoring", of(kEnhancedMonitoringFields)),
    field<&Summary::settings, &SettingsOutput::encryption>("EncryptionType"),
    field<&Summary::settings, &SettingsOutput::key_id>("KeyId"), field<&Summary::open_shards>("OpenShardCount"),
    field<&Summary::consumers>("ConsumerCount"), field<&Summary::warm>("WarmThroughput", of(kWarmThroughputFields)),
    field<&Summary::record_kib_max>("MaxRecordSizeInKiB"));
struct Output {
  Summary summary;
};
constexpr auto kOutput = fields(field<&Output::summary>("StreamDescriptionSummary", of(kSummary)));

awaitable<Outcome<Output>> describe_stream_summary(Context& context, Input in) {
  const Outcome<streams::StreamRef> found = find_stream(context, in.stream, streams::Call::describe_stream_summary);
  if (!found) co_return found.error();
  const streams::Stream& stream = **found;
  const TimePoint now = context.environment.clock.now();
  const streams::Status status = stream.status(now);
  Output out;
  Summary& summary = out.summary;
  summary.name = stream.name;
  summary.arn = stream_arn(context.environment, stream.name);
  summary.status = streams::status_name(status);
  summary.retention_hours = static_cast<std::int32_t>(stream.retention.count());
  summary.created = stream.created;
  summary.settings = settings_output(stream, now);
  summary.warm = warm_throughput_output(stream, now);
  summary.record_kib_max = static_cast<std::int32_t>(stream.settings.record_kib_max);
  summary.consumers = static_cast<std::int32_t>(stream.consumers.count(now));
  if (status != streams::Status::creating) summary.open_shards = static_cast<std::int32_t>(stream.open_shards());
  co_return out;
}

}  // namespace

extern constinit const Operation describe_stream_summary_operation =
    operation<describe_stream_summary, kInput, kOutput>("DescribeStreamSummary");

}  // namespace millrace::services::kinesis
