// UntagResource: removes tags of a stream or consumer by key; keys that are not there are no error.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UntagResource.html
#include "millrace/streams/control.hpp"
#include "services/kinesis/resource.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::vector<std::string> keys;
  ResourceSelector resource;
};
constexpr auto kInput =
    fields(field<&Input::keys>("TagKeys", length(1, 50), items(length(1, 128))), resource_selector<&Input::resource>());

awaitable<Outcome<NoOutput>> untag_resource(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<Resource> resource = find_resource(environment, in.resource);
  if (!resource) co_return resource.error();
  if (auto refused = check_tag_keys_to_remove_from(resource_text(environment, *resource), in.keys)) co_return *refused;
  const std::string stream = resource->stream->name;
  const std::string consumer = resource->consumer ? resource->consumer->name : "";
  streams::Result<> untagged;
  if (resource->consumer) {
    streams::ConsumerEdit edit = [&in](streams::Consumer& c) -> std::optional<streams::Error> {
      for (const std::string& key : in.keys) c.tags.erase(key);
      return std::nullopt;
    };
    untagged = co_await streams::change_consumer(environment.streams, stream, consumer, resource->consumer->created_s,
                                                 std::move(edit));
  } else {
    untagged = co_await environment.streams.remove_tags(stream, std::move(in.keys));
  }
  if (!untagged) co_return to_service_error(untagged.error(), environment, {.stream = stream, .consumer = consumer});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation untag_resource_operation = operation<untag_resource, kInput>("UntagResource");

}  // namespace millrace::services::kinesis
