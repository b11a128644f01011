// SplitShard: one shard becomes two, that divide its hash keys at a given one.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_SplitShard.html
#include "millrace/codec/decimal.hpp"
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::string hash_key;
  StreamSelector stream;
  std::string shard;
};
constexpr auto kInput =
    fields(field<&Input::hash_key>("NewStartingHashKey", pattern(kHashKeyPattern)), stream_selector<&Input::stream>(),
           field<&Input::shard>("ShardToSplit", length(1, 128), pattern(kNamePattern)));

awaitable<Outcome<NoOutput>> split_shard(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<std::string_view> name = selected_name(in.stream);
  if (!name) co_return name.error();
  const std::optional<std::uint32_t> index = shard_index(in.shard);
  if (!index) co_return shard_id_unknown(environment, *name, in.shard);
  const Outcome<streams::StreamRef> stream = find_stream(context, in.stream, streams::Call::split_shard);
  if (!stream) co_return stream.error();
  // A key of 2^128 or more is beyond every shard's last.
  constexpr Uint128 kLast{~std::uint64_t{0}, ~std::uint64_t{0}};
  const Uint128 at = codec::parse_uint128(in.hash_key).value_or(kLast);
  streams::Result<> done = co_await environment.streams.split((*stream)->name, *index, at);
  if (done) co_return NoOutput{};
  const streams::Shard* const shard = (*stream)->shard(*index);
  Subject subject{.stream = (*stream)->name, .hash_key = in.hash_key};
  if (shard) subject.hash_keys = shard->range;
  co_return to_service_error(done.error(), environment, subject);
}

}  // namespace

extern constinit const Operation split_shard_operation = operation<split_shard, kInput>("SplitShard");

}  // namespace millrace::services::kinesis
