// TagResource: sets tags of a stream or consumer; keys that are there get the new value.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_TagResource.html
#include "millrace/streams/control.hpp"
#include "services/kinesis/resource.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::map<std::string, std::string> tags;
  ResourceSelector resource;
};
constexpr auto kInput = fields(field<&Input::tags>("Tags", length(1, 200), keys(length(1, 128)), items(length(0, 256))),
                               resource_selector<&Input::resource>());

awaitable<Outcome<NoOutput>> tag_resource(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<Resource> resource = find_resource(environment, in.resource);
  if (!resource) co_return resource.error();
  if (auto refused = check_tags_of(resource_text(environment, *resource), in.tags)) co_return *refused;
  const std::string stream = resource->stream->name;
  const std::string consumer = resource->consumer ? resource->consumer->name : "";
  streams::Result<> tagged;
  if (resource->consumer) {
    streams::ConsumerEdit edit = [&in](streams::Consumer& c) { return streams::add_to(c.tags, in.tags); };
    tagged = co_await streams::change_consumer(environment.streams, stream, consumer, resource->consumer->created_s,
                                               std::move(edit));
  } else {
    tagged = co_await environment.streams.add_tags(stream, std::move(in.tags));
  }
  if (!tagged) co_return to_service_error(tagged.error(), environment, {.stream = stream, .consumer = consumer});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation tag_resource_operation = operation<tag_resource, kInput>("TagResource");

}  // namespace millrace::services::kinesis
