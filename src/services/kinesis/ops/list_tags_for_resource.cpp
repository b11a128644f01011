// ListTagsForResource: all tags of a stream or consumer, in order of key.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListTagsForResource.html
#include "services/kinesis/resource.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  ResourceSelector resource;
};
constexpr auto kInput = fields(resource_selector<&Input::resource>());

struct Output {
  std::vector<TagOutput> tags;
};
constexpr auto kOutput = fields(field<&Output::tags>("Tags", of(kTagFields)));

awaitable<Outcome<Output>> list_tags_for_resource(Context& context, Input in) {
  const Outcome<Resource> resource = find_resource(context.environment, in.resource);
  if (!resource) co_return resource.error();
  Output out;
  for (const auto& [key, value] : resource->consumer ? resource->consumer->tags : resource->stream->tags)
    out.tags.push_back({key, value});
  co_return out;
}

}  // namespace

extern constinit const Operation list_tags_for_resource_operation =
    operation<list_tags_for_resource, kInput, kOutput>("ListTagsForResource");

}  // namespace millrace::services::kinesis
