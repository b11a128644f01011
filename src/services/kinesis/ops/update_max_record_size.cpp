// UpdateMaxRecordSize: how large a record that is put may be; those that are there stay.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateMaxRecordSize.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::int32_t kib = 0;
  StreamSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::kib>("MaxRecordSizeInKiB", within(streams::kRecordKibMin, streams::kRecordKibMax)),
           field<&Input::stream, &StreamSelector::arn>("StreamARN", length(1, 2048), pattern(kStreamArnPattern)),
           field<&Input::stream, &StreamSelector::id>("StreamId"));

awaitable<Outcome<NoOutput>> update_max_record_size(Context& context, Input in) {
  const Environment& environment = context.environment;
  if (!in.stream.arn) co_return invalid_argument("StreamARN must be provided.");
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream);
  if (!stream) co_return stream.error();
  const std::string name = (*stream)->name;
  auto changed = co_await streams::set_record_size(environment.streams, name, static_cast<std::uint32_t>(in.kib));
  if (!changed) co_return to_service_error(changed.error(), environment, {.stream = name});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation update_max_record_size_operation =
    operation<update_max_record_size, kInput>("UpdateMaxRecordSize");

}  // namespace millrace::services::kinesis
