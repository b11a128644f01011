// GetShardIterator: a place in a shard to read from.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html
#include "services/kinesis/iterators.hpp"
#include "services/kinesis/starting_position.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::string shard_id;
  StartingPosition start;
  std::optional<bool> dry_run;
  StreamSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::shard_id>("ShardId", length(1, 128), pattern(kNamePattern)),
           field<&Input::start, &StartingPosition::type>("ShardIteratorType", one_of(kIteratorTypes)),
           field<&Input::start, &StartingPosition::number>("StartingSequenceNumber", pattern(kSequenceNumberPattern)),
           field<&Input::start, &StartingPosition::timestamp>("Timestamp"), field<&Input::dry_run>(kDryRun),
           stream_selector<&Input::stream>());

struct Output {
  std::string iterator;
};
constexpr auto kOutput = fields(field<&Output::iterator>("ShardIterator"));

awaitable<Outcome<Output>> get_shard_iterator(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<std::string_view> name = selected_name(in.stream);
  if (!name) co_return name.error();
  const std::optional<std::uint32_t> index = shard_index(in.shard_id);
  if (!index) co_return shard_id_unknown(environment, *name, in.shard_id);
  const streams::StreamRef stream = environment.streams.find(*name);
  const TimePoint now = environment.clock.now();
  const streams::Shard* shard =
      stream && stream->status(now) != streams::Status::creating ? stream->find_shard(in.shard_id) : nullptr;
  if (!shard || stream->expired(*shard, now)) co_return shard_not_found(environment, *name, shard_id(*index));
  if (shard->limits && !shard->limits->take_iterator(now)) co_return shard_rate_exceeded(environment, *name, shard->id);

  const Outcome<log::Position> position =
      co_await find_position(environment, stream, *shard, in.start, now, "GetShardIterator");
  if (!position) co_return position.error();
  if (auto refused = check_dry_run(in.dry_run)) co_return *refused;
  co_return Output{write_iterator(environment, *stream, *shard, *position)};
}

}  // namespace

extern constinit const Operation get_shard_iterator_operation =
    operation<get_shard_iterator, kInput, kOutput>("GetShardIterator");

}  // namespace millrace::services::kinesis
