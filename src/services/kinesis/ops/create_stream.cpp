// CreateStream: a new stream of so many shards with equal hash ranges.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_CreateStream.html
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::string_view kModes[] = {"PROVISIONED", "ON_DEMAND"};
struct ModeDetails {
  std::string mode;
};
constexpr auto kModeDetails = fields(field<&ModeDetails::mode>("StreamMode", one_of(kModes)));

struct Input {
  std::optional<std::int32_t> shard_count;
  std::string name;
  std::optional<ModeDetails> mode;
  std::optional<std::map<std::string, std::string>> tags;
};
constexpr auto kInput =
    fields(field<&Input::shard_count>("ShardCount", at_least(1)),
           field<&Input::name>("StreamName", length(1, 128), pattern(kNamePattern)),
           field<&Input::mode>("StreamModeDetails", of(kModeDetails)),
           field<&Input::tags>("Tags", length(1, 200), keys(length(1, 128)), items(length(0, 256))),
           refused("WarmThroughputMiBps", "WarmThroughputMiBps is not supported yet."),
           refused("MaxRecordSizeInKiB", "MaxRecordSizeInKiB is not supported yet: a record has at most 1,024 KiB."));

awaitable<Outcome<NoOutput>> create_stream(Context& context, Input in) {
  const Environment& environment = context.environment;
  if (in.mode && in.mode->mode == "ON_DEMAND") co_return invalid_argument("StreamMode ON_DEMAND is not supported yet.");
  if (!in.shard_count) {
    // AWS makes an on-demand stream of a request that names neither.
    if (!in.mode)
      co_return invalid_argument(
          "ShardCount must be given: without it the stream would be ON_DEMAND, which is not supported yet.");
    co_return ServiceError{"ValidationException", 400,
                           "1 validation error detected: Value null at 'shardCount' failed to satisfy constraint: "
                           "Member must not be null"};
  }
  streams::CreateStream spec;
  spec.name = in.name;
  spec.shard_count = static_cast<std::uint32_t>(*in.shard_count);
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
