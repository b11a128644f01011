// DescribeLimits: the account's quotas, and what is used of them.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeLimits.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {};
constexpr auto kInput = fields();

struct Output {
  std::int32_t shard_limit = 0, open_shards = 0, on_demand_streams = 0, on_demand_limit = 0;
};
constexpr auto kOutput =
    fields(field<&Output::shard_limit>("ShardLimit"), field<&Output::open_shards>("OpenShardCount"),
           field<&Output::on_demand_streams>("OnDemandStreamCount"),
           field<&Output::on_demand_limit>("OnDemandStreamCountLimit"));

awaitable<Outcome<Output>> describe_limits(Context& context, Input) {
  if (auto refused = check_rate(context, streams::Call::describe_limits)) co_return *refused;
  streams::Streams& streams = context.environment.streams;
  Output out;
  out.shard_limit = static_cast<std::int32_t>(streams.options().shards_max);
  out.on_demand_limit = static_cast<std::int32_t>(streams.options().limits.quotas.on_demand_streams);
  out.open_shards = static_cast<std::int32_t>(streams.open_shards());
  for (const streams::StreamRef& stream : streams.list({}, SIZE_MAX))
    out.on_demand_streams += stream->settings.mode == streams::Mode::on_demand;
  co_return out;
}

}  // namespace

extern constinit const Operation describe_limits_operation =
    operation<describe_limits, kInput, kOutput>("DescribeLimits");

}  // namespace millrace::services::kinesis
