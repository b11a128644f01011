// GetRecords: the records at an iterator, and the iterator behind them.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
#include "services/kinesis/iterators.hpp"
#include "services/kinesis/record_pieces.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::int32_t kRecordsMax = 10'000;
constexpr std::size_t kPageBytesMax = 10u << 20;
constexpr std::size_t kWholeBytesMax = 64 * 1024;  // replies up to here are rendered at once

struct Input {
  std::optional<std::int32_t> limit;
  std::string iterator;
  std::optional<bool> dry_run;
  StreamSelector stream;  // StreamARN only: the iterator says which stream
};
constexpr auto kInput = fields(
    field<&Input::limit>("Limit", within(1, kRecordsMax)), field<&Input::iterator>("ShardIterator", length(1, 512)),
    field<&Input::stream, &StreamSelector::arn>("StreamARN", length(1, 2048), pattern(kStreamArnPattern)),
    field<&Input::stream, &StreamSelector::id>("StreamId"), field<&Input::dry_run>(kDryRun));

// All of the output but the records, which come first and are rendered from the log's own memory.
struct Output {
  std::optional<std::string> next;
  std::int64_t behind_ms = 0;
  std::optional<std::vector<ChildShard>> children;
};
constexpr auto kOutput =
    fields(field<&Output::next>("NextShardIterator"), field<&Output::behind_ms>("MillisBehindLatest"),
           field<&Output::children>("ChildShards", of(kChildShard)));

template <class Form>
void answer(log::ReadBatch read, const streams::SequenceNumbers& numbers, Output rest, Reply& reply) {
  auto pieces = std::make_unique<RecordPieces<Form>>(std::move(read), numbers);
  rest.behind_ms = pieces->millis_behind();
  Buffer object;
  encode(kOutput, &rest, object, Form::kWire);
  pieces->end_with(object.view(), 1 + rest.next.has_value() + rest.children.has_value());
  if (pieces->size() > kWholeBytesMax) {
    reply.pieces = std::move(pieces);
    return;
  }
  while (pieces->next(reply.body)) {
  }
}

awaitable<void> get_records(Context& context, std::string_view body, Reply& reply) {
  const Environment& environment = context.environment;
  Input in;
  if (std::optional<ServiceError> refused = decode(body, kInput, &in, Dialect{}, context.wire)) {
    reply.error = std::move(refused);
    co_return;
  }
  const Outcome<streams::IteratorFields> fields = read_iterator(environment, in.iterator);
  if (!fields) {
    reply.error = fields.error();
    co_return;
  }
  const streams::StreamRef stream = environment.streams.find_incarnation(fields->incarnation);
  const streams::Shard* shard = stream ? stream->shard(fields->shard_index) : nullptr;
  if (!shard || stream->expired(*shard, environment.clock.now())) {
    // The iterator knows its stream by number, and that one is gone, or the shard past the retention.
    const std::string_view name = stream ? stream->name : in.stream.arn ? *selected_name(in.stream) : "(deleted)";
    reply.error = shard_not_found(environment, name, shard_id(fields->shard_index));
    co_return;
  }
  if (in.stream.arn && *selected_name(in.stream) != stream->name) {
    reply.error = invalid_argument("ShardIterator and StreamARN " + *in.stream.arn + " do not name the same stream.");
    co_return;
  }

  if ((reply.error = check_dry_run(in.dry_run))) co_return;
  streams::ShardLimits* const limits = shard->limits.get();
  if (limits && !limits->begin_read(environment.clock.now())) {
    reply.error =
        ServiceError{"ProvisionedThroughputExceededException", 400,
                     "Rate exceeded for Shard - " + environment.account_id + "/" + stream->name + "/" + shard->id};
    co_return;
  }
  log::ReadRequest request;
  request.from = fields->next;
  request.records_max = static_cast<std::size_t>(in.limit.value_or(kRecordsMax));
  request.bytes_max = kPageBytesMax;
  log::Result<log::ReadBatch> read = co_await shard->log->read(std::move(request));
  if (!read) {
    reply.error = read.error().code == log::Errc::not_found
                      ? shard_not_found(environment, stream->name, shard->id)
                      : to_service_error(read.error(), environment, stream->name, shard->id);
    co_return;
  }

  if (limits) limits->end_read(environment.clock.now(), log::record_bytes(*read));
  Output rest;
  if (read->ended) {
    // It may have ended since the stream was looked up.
    const streams::StreamRef now = environment.streams.find_incarnation(fields->incarnation);
    rest.children = children_of(now ? *now : *stream, shard->index);
  } else {
    rest.next = write_iterator(environment, *stream, *shard, read->next);
  }
  if (context.wire == Wire::json)
    answer<JsonRecords>(std::move(*read), shard->numbers, std::move(rest), reply);
  else
    answer<CborRecords>(std::move(*read), shard->numbers, std::move(rest), reply);
}

}  // namespace

extern constinit const Operation get_records_operation{"GetRecords", get_records};

}  // namespace millrace::services::kinesis
