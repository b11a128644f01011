// AddTagsToStream: sets tags; keys that are there get the new value.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_AddTagsToStream.html
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::map<std::string, std::string> tags;
  StreamSelector stream;
};
constexpr auto kInput = fields(field<&Input::tags>("Tags", length(1, 200), keys(length(1, 128)), items(length(0, 256))),
                               stream_selector<&Input::stream>());

awaitable<Outcome<NoOutput>> add_tags_to_stream(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, streams::Call::add_tags_to_stream);
  if (!stream) co_return stream.error();
  const std::string name = (*stream)->name;
  if (auto refused = check_tags(environment, name, in.tags)) co_return *refused;
  streams::Result<> added = co_await environment.streams.add_tags(name, std::move(in.tags));
  if (!added) co_return to_service_error(added.error(), environment, {.stream = name});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation add_tags_to_stream_operation =
    operation<add_tags_to_stream, kInput>("AddTagsToStream");

}  // namespace millrace::services::kinesis
