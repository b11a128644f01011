// DeleteStream: the stream and all its records go.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DeleteStream.html
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::optional<bool> enforce_consumer_deletion;
  StreamSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::enforce_consumer_deletion>("EnforceConsumerDeletion"), stream_selector<&Input::stream>());

awaitable<Outcome<NoOutput>> delete_stream(Context& context, Input in) {
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, streams::Call::delete_stream);
  if (!stream) co_return stream.error();
  const std::string name = (*stream)->name;
  const TimePoint now = context.environment.clock.now();
  if (!in.enforce_consumer_deletion.value_or(false) && (*stream)->consumers.count(now) != 0)
    co_return ServiceError{"ResourceInUseException", 400,
                           "Stream " + name + " under account " + context.environment.account_id +
                               " has registered consumers; EnforceConsumerDeletion deletes them too."};
  streams::Result<> removed = co_await context.environment.streams.remove(name);
  if (!removed) co_return to_service_error(removed.error(), context.environment, {.stream = name});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation delete_stream_operation = operation<delete_stream, kInput>("DeleteStream");

}  // namespace millrace::services::kinesis
