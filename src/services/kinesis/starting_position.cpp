#include "services/kinesis/starting_position.hpp"

#include <algorithm>

namespace millrace::services::kinesis {
namespace {

// Where a sequence number points to in this shard, or why it does not.
Outcome<log::Position> position_of(const Environment& environment, const streams::Stream& stream,
                                   const streams::Shard& shard, const std::string& number, bool after,
                                   std::string_view operation) {
  const std::string invalid = "StartingSequenceNumber " + number + " used in " + std::string(operation) + " on shard " +
                              shard.id + " in stream " + stream.name + " under account " + environment.account_id +
                              " is invalid";
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

}  // namespace

awaitable<Outcome<log::Position>> find_position(const Environment& environment, streams::StreamRef stream,
                                                const streams::Shard& shard, const StartingPosition& start,
                                                TimePoint now, std::string_view operation) {
  const bool by_number = start.type == "AT_SEQUENCE_NUMBER" || start.type == "AFTER_SEQUENCE_NUMBER";
  if (by_number != start.number.has_value())
    co_return invalid_argument(
        "Must either specify (1) AT_SEQUENCE_NUMBER or AFTER_SEQUENCE_NUMBER and StartingSequenceNumber or (2) "
        "TRIM_HORIZON or LATEST "
        "and no StartingSequenceNumber. Request specified " +
        start.type + (start.number ? " and also a StartingSequenceNumber." : " and no StartingSequenceNumber."));

  log::Position position{0};  // TRIM_HORIZON: whatever the horizon is when it is read
  if (by_number) {
    const Outcome<log::Position> found =
        position_of(environment, *stream, shard, *start.number, start.type == "AFTER_SEQUENCE_NUMBER", operation);
    if (!found) co_return found.error();
    position = *found;
  } else if (start.type == "LATEST") {
    position = shard.log->progress().tip;
  } else if (start.type == "AT_TIMESTAMP") {
    if (!start.timestamp)
      co_return invalid_argument(
          "Must specify timestampInMillis parameter for iterator of type AT_TIMESTAMP. Current request has no "
          "timestamp parameter.");
    if (*start.timestamp > now)
      co_return invalid_argument(
          "The timestampInMillis parameter cannot be greater than the currentTimestampInMillis. timestampInMillis: " +
          std::to_string(start.timestamp->time_since_epoch().count()) +
          ", currentTimestampInMillis: " + std::to_string(now.time_since_epoch().count()));
    const log::Result<log::Position> found = co_await shard.log->seek(*start.timestamp);
    if (!found) co_return to_service_error(found.error(), environment, stream->name, shard.id);
    position = *found;
  }
  co_return position;
}

}  // namespace millrace::services::kinesis
