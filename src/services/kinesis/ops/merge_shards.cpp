// MergeShards: two shards with adjacent hash keys become one.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_MergeShards.html
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::string shard, adjacent;
  StreamSelector stream;
};
constexpr auto kInput = fields(field<&Input::shard>("ShardToMerge", length(1, 128), pattern(kNamePattern)),
                               field<&Input::adjacent>("AdjacentShardToMerge", length(1, 128), pattern(kNamePattern)),
                               stream_selector<&Input::stream>());

awaitable<Outcome<NoOutput>> merge_shards(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<std::string_view> name = selected_name(in.stream);
  if (!name) co_return name.error();
  const std::optional<std::uint32_t> index = shard_index(in.shard), adjacent = shard_index(in.adjacent);
  if (!index) co_return shard_id_unknown(environment, *name, in.shard);
  if (!adjacent) co_return shard_id_unknown(environment, *name, in.adjacent);
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, streams::Call::merge_shards);
  if (!stream) co_return stream.error();
  streams::Result<> done = co_await environment.streams.merge((*stream)->name, *index, *adjacent);
  if (done) co_return NoOutput{};
  const std::string adjacent_id = shard_id(*adjacent);
  const Subject subject{.stream = (*stream)->name, .adjacent_shard = adjacent_id};
  co_return to_service_error(done.error(), environment, subject);
}

}  // namespace

extern constinit const Operation merge_shards_operation = operation<merge_shards, kInput>("MergeShards");

}  // namespace millrace::services::kinesis
