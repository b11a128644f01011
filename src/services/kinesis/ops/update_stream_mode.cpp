// UpdateStreamMode: provisioned or on demand; the shards stay as they are.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateStreamMode.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  StreamModeInput mode;
  std::optional<std::int32_t> warm_mibps;
  StreamArnSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::mode>("StreamModeDetails", of(kStreamModeInput)),
           field<&Input::warm_mibps>("WarmThroughputMiBps", at_least(0)), stream_arn_selector<&Input::stream>());

awaitable<Outcome<NoOutput>> update_stream_mode(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream);
  if (!stream) co_return stream.error();
  std::optional<std::uint32_t> warm;
  if (in.warm_mibps) {
    if (auto refused = check_warm_throughput_bounds(*in.warm_mibps)) co_return *refused;
    warm = static_cast<std::uint32_t>(*in.warm_mibps);
  }
  const std::string name = (*stream)->name;
  auto changed = co_await streams::set_mode(environment.streams, name, in.mode.value(), warm);
  if (!changed)
    co_return to_service_error(changed.error(), environment, {.stream = name, .operation = "UpdateStreamMode"});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation update_stream_mode_operation =
    operation<update_stream_mode, kInput>("UpdateStreamMode");

}  // namespace millrace::services::kinesis
