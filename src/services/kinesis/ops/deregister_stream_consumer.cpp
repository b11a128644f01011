// DeregisterStreamConsumer: the consumer goes.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DeregisterStreamConsumer.html
#include "millrace/streams/control.hpp"
#include "services/kinesis/resource.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  ConsumerSelector consumer;
};
constexpr auto kInput = fields(consumer_selector<&Input::consumer>());

awaitable<Outcome<NoOutput>> deregister_stream_consumer(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<Resource> found = find_consumer(environment, in.consumer);
  if (!found) co_return found.error();
  if (auto refused = check_rate(context, streams::Call::deregister_stream_consumer, *found->stream)) co_return *refused;
  const std::string stream = found->stream->name, name = found->consumer->name;
  auto gone = co_await streams::deregister_consumer(environment.streams, stream, name, found->consumer->created_s);
  if (!gone) co_return to_service_error(gone.error(), environment, {.stream = stream, .consumer = name});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation deregister_stream_consumer_operation =
    operation<deregister_stream_consumer, kInput>("DeregisterStreamConsumer");

}  // namespace millrace::services::kinesis
