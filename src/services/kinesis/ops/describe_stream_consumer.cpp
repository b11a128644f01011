// DescribeStreamConsumer: a registered consumer.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeStreamConsumer.html
#include "services/kinesis/resource.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  ConsumerSelector consumer;
};
constexpr auto kInput = fields(consumer_selector<&Input::consumer>());

struct Description {
  ConsumerOutput consumer;
  std::string stream_arn;
};
constexpr auto kDescription =
    fields(field<&Description::consumer, &ConsumerOutput::name>("ConsumerName"),
           field<&Description::consumer, &ConsumerOutput::arn>("ConsumerARN"),
           field<&Description::consumer, &ConsumerOutput::status>("ConsumerStatus"),
           field<&Description::consumer, &ConsumerOutput::created>("ConsumerCreationTimestamp"),
           field<&Description::stream_arn>("StreamARN"));
struct Output {
  Description description;
};
constexpr auto kOutput = fields(field<&Output::description>("ConsumerDescription", of(kDescription)));

awaitable<Outcome<Output>> describe_stream_consumer(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<Resource> found = find_consumer(environment, in.consumer);
  if (!found) co_return found.error();
  if (auto refused = check_rate(context, streams::Call::describe_stream_consumer, *found->stream)) co_return *refused;
  const std::string& stream = found->stream->name;
  co_return Output{{consumer_output(environment, stream, *found->consumer), stream_arn(environment, stream)}};
}

}  // namespace

extern constinit const Operation describe_stream_consumer_operation =
    operation<describe_stream_consumer, kInput, kOutput>("DescribeStreamConsumer");

}  // namespace millrace::services::kinesis
