// ListTagsForStream: a stream's tags in order of key, a page at a time.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListTagsForStream.html
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::optional<std::int32_t> limit;
  std::optional<std::string> after;
  StreamSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::limit>("Limit", within(1, 50)), field<&Input::after>("ExclusiveStartTagKey", length(1, 128)),
           stream_selector<&Input::stream>());

struct Output {
  std::vector<TagOutput> tags;
  bool more = false;
};
constexpr auto kOutput = fields(field<&Output::tags>("Tags", of(kTagFields)), field<&Output::more>("HasMoreTags"));

awaitable<Outcome<Output>> list_tags_for_stream(Context& context, Input in) {
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, streams::Call::list_tags_for_stream);
  if (!stream) co_return stream.error();
  const streams::Tags& tags = (*stream)->tags;
  const auto limit = static_cast<std::size_t>(in.limit.value_or(50));
  Output out;
  for (auto at = in.after ? tags.upper_bound(*in.after) : tags.begin(); at != tags.end(); ++at) {
    out.more = out.tags.size() == limit;
    if (out.more) break;
    out.tags.push_back({at->first, at->second});
  }
  co_return out;
}

}  // namespace

extern constinit const Operation list_tags_for_stream_operation =
    operation<list_tags_for_stream, kInput, kOutput>("ListTagsForStream");

}  // namespace millrace::services::kinesis
