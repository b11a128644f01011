#pragma once
#include "services/kinesis/common.hpp"

/// What has an ARN: streams and their consumers.
namespace millrace::services::kinesis {

bool matches_consumer_arn(std::string_view value) noexcept;
bool matches_resource_arn(std::string_view value) noexcept;
inline constexpr Pattern kConsumerArnPattern{
    R"(^(arn):aws.*:kinesis:.*:\d{12}:.*stream\/[a-zA-Z0-9_.-]+\/consumer\/[a-zA-Z0-9_.-]+:[0-9]+)",
    matches_consumer_arn};
inline constexpr Pattern kResourceArnPattern{R"(arn:aws.*:kinesis:.*:\d{12}:.*stream/\S+)", matches_resource_arn};

/// What a well-formed ConsumerARN says; the views are its own.
struct ConsumerArn {
  std::string_view stream, consumer;
  std::int64_t created_s = 0;
};
std::optional<ConsumerArn> parse_consumer_arn(std::string_view arn) noexcept;
std::string consumer_arn(const Environment& environment, std::string_view stream, const streams::Consumer& consumer);

/// A stream and, where one was meant, a consumer of it. `consumer` is not null only as long as `stream` is held.
struct Resource {
  streams::StreamRef stream;
  const streams::Consumer* consumer = nullptr;
};

/// How operations name a consumer: by its ARN, by its stream's ARN and its name, or by all three when they agree.
struct ConsumerSelector {
  std::optional<std::string> stream_arn, name, arn, stream_id;
};
template <auto Member>
constexpr FieldList<4> consumer_selector() {
  return fields(field<Member, &ConsumerSelector::stream_arn>("StreamARN", length(1, 2048), pattern(kStreamArnPattern)),
                field<Member, &ConsumerSelector::name>("ConsumerName", length(1, 128), pattern(kNamePattern)),
                field<Member, &ConsumerSelector::arn>("ConsumerARN", length(1, 2048), pattern(kConsumerArnPattern)),
                field<Member, &ConsumerSelector::stream_id>("StreamId"));
}
/// InvalidArgumentException where the members do not name one; ResourceNotFoundException where there is none.
Outcome<Resource> find_consumer(const Environment& environment, const ConsumerSelector& selector);

/// How operations on tags and policies name a stream or a consumer.
struct ResourceSelector {
  std::string arn;
  std::optional<std::string> stream_id;
};
template <auto Member>
constexpr FieldList<2> resource_selector() {
  return fields(field<Member, &ResourceSelector::arn>("ResourceARN", length(1, 2048), pattern(kResourceArnPattern)),
                field<Member, &ResourceSelector::stream_id>("StreamId"));
}
Outcome<Resource> find_resource(const Environment& environment, const ResourceSelector& selector);

/// How operations name a stream that take its ARN only.
struct StreamArnSelector {
  std::string arn;
  std::optional<std::string> id;
};
template <auto Member>
constexpr FieldList<2> stream_arn_selector() {
  return fields(field<Member, &StreamArnSelector::arn>("StreamARN", length(1, 2048), pattern(kStreamArnPattern)),
                field<Member, &StreamArnSelector::id>("StreamId"));
}
Outcome<streams::StreamRef> find_stream(Context& context, const StreamArnSelector& selector);
Outcome<streams::StreamRef> find_stream(Context& context, const StreamArnSelector& selector, streams::Call call);

/// `stream S under account N`, `consumer C under stream S , account N`: as errors name them.
std::string resource_text(const Environment& environment, const Resource& resource);

/// A consumer as it is shown everywhere.
struct ConsumerOutput {
  std::string name, arn, status;
  TimePoint created;
};
ConsumerOutput consumer_output(const Environment& environment, std::string_view stream,
                               const streams::Consumer& consumer);
inline constexpr auto kConsumerFields = fields(
    field<&ConsumerOutput::name>("ConsumerName"), field<&ConsumerOutput::arn>("ConsumerARN"),
    field<&ConsumerOutput::status>("ConsumerStatus"), field<&ConsumerOutput::created>("ConsumerCreationTimestamp"));

}  // namespace millrace::services::kinesis
