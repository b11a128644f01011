// RegisterStreamConsumer: a consumer that may subscribe to the stream's shards.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RegisterStreamConsumer.html
#include "millrace/streams/control.hpp"
#include "services/kinesis/resource.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::string name;
  StreamArnSelector stream;
  std::optional<std::map<std::string, std::string>> tags;
};
constexpr auto kInput = fields(
    stream_arn_selector<&Input::stream>(), field<&Input::name>("ConsumerName", length(1, 128), pattern(kNamePattern)),
    field<&Input::tags>("Tags", length(1, 200), keys(length(1, 128)), items(length(0, 256))));

struct Output {
  ConsumerOutput consumer;
};
constexpr auto kOutput = fields(field<&Output::consumer>("Consumer", of(kConsumerFields)));

awaitable<Outcome<Output>> register_stream_consumer(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, streams::Call::register_stream_consumer);
  if (!stream) co_return stream.error();
  const std::string name = (*stream)->name;
  streams::Tags tags = in.tags ? std::move(*in.tags) : streams::Tags{};
  const std::string subject = "consumer " + in.name + " under stream " + name + " , account " + environment.account_id;
  if (auto refused = check_tags_of(subject, tags)) co_return *refused;
  auto registered = co_await streams::register_consumer(environment.streams, name, in.name, std::move(tags));
  if (!registered) co_return to_service_error(registered.error(), environment, {.stream = name, .consumer = in.name});
  co_return Output{consumer_output(environment, name, *registered)};
}

}  // namespace

extern constinit const Operation register_stream_consumer_operation =
    operation<register_stream_consumer, kInput, kOutput>("RegisterStreamConsumer");

}  // namespace millrace::services::kinesis
