// RemoveTagsFromStream: removes tags by key; keys that are not there are no error.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_RemoveTagsFromStream.html
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::vector<std::string> keys;
  StreamSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::keys>("TagKeys", length(1, 50), items(length(1, 128))), stream_selector<&Input::stream>());

awaitable<Outcome<NoOutput>> remove_tags_from_stream(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, streams::Call::remove_tags_from_stream);
  if (!stream) co_return stream.error();
  const std::string name = (*stream)->name;
  if (auto refused = check_tag_keys_to_remove(environment, name, in.keys)) co_return *refused;
  streams::Result<> removed = co_await environment.streams.remove_tags(name, std::move(in.keys));
  if (!removed) co_return to_service_error(removed.error(), environment, {.stream = name});
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation remove_tags_from_stream_operation =
    operation<remove_tags_from_stream, kInput>("RemoveTagsFromStream");

}  // namespace millrace::services::kinesis
