// DescribeStream: a stream and its shards, a page of shards at a time.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStream.html
#include <algorithm>

#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::int32_t kPageMax = 100;  // asking for more, up to 10,000, is allowed and gives 100

struct Input {
  std::optional<std::int32_t> limit;
  std::optional<std::string> after;
  StreamSelector stream;
};
constexpr auto kInput = fields(field<&Input::limit>("Limit", within(1, 10'000)),
                               field<&Input::after>("ExclusiveStartShardId", length(1, 128), pattern(kNamePattern)),
                               stream_selector<&Input::stream>());

struct Description {
  std::string name, arn, status;
  SettingsOutput settings;
  std::vector<ShardOutput> shards;
  bool more = false;
  std::int32_t retention_hours = 0;
  TimePoint created;
};
constexpr auto kDescription = fields(
    field<&Description::name>("StreamName"), field<&Description::arn>("StreamARN"),
    field<&Description::status>("StreamStatus"),
    field<&Description::settings, &SettingsOutput::mode>("StreamModeDetails", of(kStreamModeFields)),
    field<&Description::shards>("Shards", of(kShardFields)), field<&Description::more>("HasMoreShards"),
    field<&Description::retention_hours>("RetentionPeriodHours"),
    field<&Description::created>("StreamCreationTimestamp"),
    field<&Description::settings, &SettingsOutput::monitoring>("EnhancedMonitoring", of(kEnhancedMonitoringFields)),
    field<&Description::settings, &SettingsOutput::encryption>("EncryptionType"),
    field<&Description::settings, &SettingsOutput::key_id>("KeyId"));
struct Output {
  Description description;
};
constexpr auto kOutput = fields(field<&Output::description>("StreamDescription", of(kDescription)));

awaitable<Outcome<Output>> describe_stream(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> found = find_stream(context, in.stream, streams::Call::describe_stream);
  if (!found) co_return found.error();
  const streams::Stream& stream = **found;
  std::optional<std::uint32_t> after;
  if (in.after) {
    after = shard_index(*in.after);
    if (!after) co_return shard_id_unknown(environment, stream.name, *in.after);
  }
  const TimePoint now = environment.clock.now();
  Output out;
  Description& description = out.description;
  description.name = stream.name;
  description.arn = stream_arn(environment, stream.name);
  description.status = streams::status_name(stream.status(now));
  description.retention_hours = static_cast<std::int32_t>(stream.retention.count());
  description.created = stream.created;
  description.settings = settings_output(stream, now);
  const auto limit = static_cast<std::size_t>(std::min(in.limit.value_or(kPageMax), kPageMax));
  const auto add = [&](const streams::Shard& shard) {
    description.more = description.shards.size() == limit;
    if (!description.more) description.shards.push_back(shard_output(shard));
    return !description.more;
  };
  visit_listed_shards(stream, after ? std::int64_t{*after} : -1, now, add);
  co_return out;
}

}  // namespace

extern constinit const Operation describe_stream_operation =
    operation<describe_stream, kInput, kOutput>("DescribeStream");

}  // namespace millrace::services::kinesis
