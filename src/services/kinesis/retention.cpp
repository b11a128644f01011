#include "services/kinesis/retention.hpp"

namespace millrace::services::kinesis {
namespace {
constexpr std::int32_t kHoursMin = 24, kHoursMax = 8'760;
}

awaitable<Outcome<NoOutput>> change_retention(Context& context, RetentionInput in,
                                              streams::Streams::RetentionChange change) {
  const Environment& environment = context.environment;
  const auto call = change == streams::Streams::RetentionChange::increase
                        ? streams::Call::increase_stream_retention_period
                        : streams::Call::decrease_stream_retention_period;
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, call);
  if (!stream) co_return stream.error();
  const std::string requested = "Requested retention period (" + std::to_string(in.hours) + " hours) is too ";
  if (in.hours < kHoursMin)
    co_return invalid_argument("Minimum allowed retention period is 24 hours. " + requested + "short.");
  if (in.hours > kHoursMax)
    co_return invalid_argument("Maximum allowed retention period is 8760 hours. " + requested + "long.");
  const std::string name = (*stream)->name;
  const std::chrono::hours wanted{in.hours};
  streams::Result<> changed = co_await environment.streams.set_retention(name, wanted, change);
  if (changed) co_return NoOutput{};
  const streams::StreamRef now = environment.streams.find(name);
  const Subject subject{.stream = name,
                        .retention_wanted = wanted,
                        .retention_now = now ? now->retention : (*stream)->retention,
                        .retention_increase = change == streams::Streams::RetentionChange::increase};
  co_return to_service_error(changed.error(), environment, subject);
}

}  // namespace millrace::services::kinesis
