// UpdateStreamWarmThroughput: what an on-demand stream is ready to take at once.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateStreamWarmThroughput.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::int32_t mibps = 0;
  StreamSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::mibps>("WarmThroughputMiBps", at_least(0)), stream_selector<&Input::stream>());

struct Output {
  std::string arn, name;
  std::optional<WarmThroughputOutput> warm;
};
constexpr auto kOutput = fields(field<&Output::arn>("StreamARN"), field<&Output::name>("StreamName"),
                                field<&Output::warm>("WarmThroughput", of(kWarmThroughputFields)));

awaitable<Outcome<Output>> update_stream_warm_throughput(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> stream =
      find_stream(context, in.stream, streams::Call::update_stream_warm_throughput);
  if (!stream) co_return stream.error();
  if (auto refused = check_warm_throughput_bounds(in.mibps)) co_return *refused;
  const std::string name = (*stream)->name;
  auto changed = co_await streams::set_warm_throughput(environment.streams, name, static_cast<std::uint32_t>(in.mibps));
  if (!changed) co_return to_service_error(changed.error(), environment, {.stream = name});
  co_return Output{stream_arn(environment, name), name, warm_throughput_output(**changed, environment.clock.now())};
}

}  // namespace

extern constinit const Operation update_stream_warm_throughput_operation =
    operation<update_stream_warm_throughput, kInput, kOutput>("UpdateStreamWarmThroughput");

}  // namespace millrace::services::kinesis
