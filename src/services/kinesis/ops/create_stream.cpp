// CreateStream: a new stream of so many shards with equal hash ranges.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::string_view kDistributions[] = {"AUTO", "USER_PARTITION_KEY"};

struct Input {
  std::optional<std::int32_t> shard_count;
  std::string name;
  std::optional<StreamModeInput> mode;
  std::optional<std::map<std::string, std::string>> tags;
  std::optional<std::int32_t> warm_mibps, record_kib_max;
  std::optional<std::string> distribution;
};
constexpr auto kInput =
    fields(field<&Input::shard_count>("ShardCount", at_least(1)),
           field<&Input::name>("StreamName", length(1, 128), pattern(kNamePattern)),
           field<&Input::mode>("StreamModeDetails", of(kStreamModeInput)),
           field<&Input::tags>("Tags", length(1, 200), keys(length(1, 128)), items(length(0, 256))),
           field<&Input::warm_mibps>("WarmThroughputMiBps", at_least(0)),
           field<&Input::record_kib_max>("MaxRecordSizeInKiB", within(streams::kRecordKibMin, streams::kRecordKibMax)),
           field<&Input::distribution>("RecordDistributionStrategy", one_of(kDistributions)));

// The mode that is meant, with its shards: AWS makes an on-demand stream of a request that names neither.
Outcome<streams::CreateStream> shards_wanted(const Input& in) {
  streams::CreateStream spec;
  spec.settings.mode = in.mode          ? in.mode->value()
                       : in.shard_count ? streams::Mode::provisioned
                                        : streams::Mode::on_demand;
  if (spec.settings.mode == streams::Mode::on_demand) {
    if (in.shard_count) return invalid_argument("ShardCount is not expected when StreamMode=ON_DEMAND");
    spec.shard_count = streams::kOnDemandShards;
    return spec;
  }
  if (!in.shard_count)
    return ServiceError{"ValidationException", 400,
                        "1 validation error detected: Value null at 'shardCount' failed to satisfy constraint: "
                        "Member must not be null"};
  spec.shard_count = static_cast<std::uint32_t>(*in.shard_count);
  return spec;
}

awaitable<Outcome<NoOutput>> create_stream(Context& context, Input in) {
  const Environment& environment = context.environment;
  if (auto refused = check_rate(context, streams::Call::create_stream, in.name)) co_return *refused;
  if (in.distribution && *in.distribution == "AUTO")
    co_return invalid_argument("RecordDistributionStrategy AUTO is not supported yet.");
  Outcome<streams::CreateStream> wanted = shards_wanted(in);
  if (!wanted) co_return wanted.error();
  streams::CreateStream spec = std::move(*wanted);
  spec.name = in.name;
  spec.declared = context.declared;
  if (in.record_kib_max) spec.settings.record_kib_max = static_cast<std::uint32_t>(*in.record_kib_max);
  if (in.warm_mibps) {
    if (auto refused = check_warm_throughput_bounds(*in.warm_mibps)) co_return *refused;
    const bool committed = environment.streams.account().committed();
    if (auto refused = streams::check_warm_throughput(spec.settings.mode, committed))
      co_return to_service_error(*refused, environment, {.stream = in.name});
    spec.settings.warm_mibps = static_cast<std::uint32_t>(*in.warm_mibps);
  }
  if (in.tags) {
    if (auto refused = check_tags(environment, in.name, *in.tags)) co_return *refused;
    spec.tags = std::move(*in.tags);
  }
  const Subject subject{.stream = in.name};
  streams::Result<streams::StreamRef> created = co_await environment.streams.create(std::move(spec));
  if (!created) co_return to_service_error(created.error(), environment, subject);
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation create_stream_operation = operation<create_stream, kInput>("CreateStream");

}  // namespace millrace::services::kinesis
