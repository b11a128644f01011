// GetShardIterator: a place in a shard to read from.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetShardIterator.html
#include <algorithm>

#include "services/kinesis/common.hpp"
#include "services/kinesis/iterators.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::string_view kTypes[] = {"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP", "AT_SEQUENCE_NUMBER",
                                       "TRIM_HORIZON"};

struct Input {
  std::string shard_id, type;
  std::optional<std::string> number;
  std::optional<TimePoint> timestamp;
  StreamSelector stream;
};
constexpr auto kInput = fields(field<&Input::shard_id>("ShardId", length(1, 128), pattern(kNamePattern)),
                               field<&Input::type>("ShardIteratorType", one_of(kTypes)),
                               field<&Input::number>("StartingSequenceNumber", pattern(kSequenceNumberPattern)),
                               field<&Input::timestamp>("Timestamp"), stream_selector<&Input::stream>());

struct Output {
  std::string iterator;
};
constexpr auto kOutput = fields(field<&Output::iterator>("ShardIterator"));

// Where a sequence number points to in this shard, or why it does not.
Outcome<log::Position> position_of(const Environment& environment, const streams::Stream& stream,
                                   const streams::Shard& shard, const std::string& number, bool after) {
  const std::string invalid = "StartingSequenceNumber " + number + " used in GetShardIterator on shard " + shard.id +
                              " in stream " + stream.name + " under account " + environment.account_id + " is invalid";
  const auto fields = streams::decode_sequence_number(number);
  if (!fields) return invalid_argument(invalid + ".");
  if (fields->shard_index != shard.index)
    return invalid_argument("Invalid StartingSequenceNumber. It encodes " + shard_id(fields->shard_index) +
                            ", while it was used in a call to a shard with " + shard.id);
  if (fields->version != 2 || fields->shard_created_s != shard.created_s)
    return invalid_argument(invalid + " because it did not come from this stream.");
  // The shard's own ending number, and numbers not given yet, stand at the tip; trimmed ones read from the horizon.
  const std::uint64_t tip = shard.log->progress().tip.get();
  const std::uint64_t position = fields->counter == 0 ? 0 : fields->counter - (after ? 0 : 1);
  return log::Position{std::min(position, tip)};
}

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

  const bool by_number = in.type == "AT_SEQUENCE_NUMBER" || in.type == "AFTER_SEQUENCE_NUMBER";
  if (by_number != in.number.has_value())
    co_return invalid_argument(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) "
        "TRIM_HORIZON or LATEST "
        "and no StartingSequenceNumber. Request specified " +
        in.type + (in.number ? " and also a StartingSequenceNumber." : " and no StartingSequenceNumber."));

  log::Position position{0};  // TRIM_HORIZON: whatever the horizon is when it is read
  if (by_number) {
    const Outcome<log::Position> found =
        position_of(environment, *stream, *shard, *in.number, in.type == "AFTER_SEQUENCE_NUMBER");
    if (!found) co_return found.error();
    position = *found;
  } else if (in.type == "LATEST") {
    position = shard->log->progress().tip;
  } else if (in.type == "AT_TIMESTAMP") {
    if (!in.timestamp)
      co_return invalid_argument(
          "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no "
          "timestamp parameter.");
    if (*in.timestamp > now)
      co_return invalid_argument(
          "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: " +
          std::to_string(in.timestamp->time_since_epoch().count()) +
          ", currentTimestampInMillis: " + std::to_string(now.time_since_epoch().count()));
    const log::Result<log::Position> found = co_await shard->log->seek(*in.timestamp);
    if (!found) co_return to_service_error(found.error(), environment, stream->name, shard->id);
    position = *found;
  }
  co_return Output{write_iterator(environment, *stream, *shard, position)};
}

}  // namespace

extern constinit const Operation get_shard_iterator_operation =
    operation<get_shard_iterator, kInput, kOutput>("GetShardIterator");

}  // namespace millrace::services::kinesis
