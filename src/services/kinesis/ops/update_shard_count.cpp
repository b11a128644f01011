// UpdateShardCount: splits and merges until a stream has so many shards with equal hash ranges.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateShardCount.html
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::string_view kScalingTypes[] = {"UNIFORM_SCALING"};

struct Input {
  std::int32_t target = 0;
  std::string scaling;
  StreamSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::target>("TargetShardCount", at_least(1)),
           field<&Input::scaling>("ScalingType", one_of(kScalingTypes)), stream_selector<&Input::stream>());

struct Output {
  std::string name;
  std::int32_t current = 0, target = 0;
  std::string arn;
};
constexpr auto kOutput = fields(field<&Output::name>("StreamName"), field<&Output::current>("CurrentShardCount"),
                                field<&Output::target>("TargetShardCount"), field<&Output::arn>("StreamARN"));

awaitable<Outcome<Output>> update_shard_count(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, streams::Call::update_shard_count);
  if (!stream) co_return stream.error();
  const std::string name = (*stream)->name;
  const auto before = co_await environment.streams.set_shard_count(name, static_cast<std::uint32_t>(in.target));
  if (!before)
    co_return to_service_error(before.error(), environment,
                               {.stream = name, .operation = "UpdateShardCount", .target_shards = in.target});
  co_return Output{name, static_cast<std::int32_t>(*before), in.target, stream_arn(environment, name)};
}

}  // namespace

extern constinit const Operation update_shard_count_operation =
    operation<update_shard_count, kInput, kOutput>("UpdateShardCount");

}  // namespace millrace::services::kinesis
