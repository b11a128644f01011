// PutRecord: one record into a stream.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecord.html
#include "services/kinesis/put.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::optional<std::string> after;
  std::string key;
  std::optional<std::string> explicit_hash;
  Blob data;
  std::optional<bool> dry_run;
  StreamSelector stream;
};
constexpr auto kInput = fields(field<&Input::after>("SequenceNumberForOrdering", pattern(kSequenceNumberPattern)),
                               field<&Input::key>("PartitionKey", length(1, kKeyCharsMax)),
                               field<&Input::explicit_hash>("ExplicitHashKey", pattern(kHashKeyPattern)),
                               field<&Input::data>("Data", length(0, kRecordBytesMax)), field<&Input::dry_run>(kDryRun),
                               stream_selector<&Input::stream>());

// The plain case; false leaves the request to the table-driven decoder.
template <class Body>
bool read_entry(std::string_view bytes, PutEntry& entry, std::string_view& after, StreamView& stream) {
  Body body(bytes);
  std::string_view name;
  if (!body.begin_map()) return false;
  while (body.next_member(name)) {
    if (StreamView::names(name)) {
      if (!stream.take(name, body)) return false;
      continue;
    }
    if (name == "Data") {
      if (entry.data.data() || !body.data(entry)) return false;
      continue;
    }
    std::string_view* member = name == "PartitionKey"                ? &entry.key
                               : name == "ExplicitHashKey"           ? &entry.explicit_hash
                               : name == "SequenceNumberForOrdering" ? &after
                                                                     : nullptr;
    if (!member) {
      if (name == kDryRun) return false;
      body.skip();
      continue;
    }
    if (member->data() || !body.text(*member)) return false;
  }
  if (!body.done() || !entry.data.data() || !key_fits(entry.key)) return false;
  if (entry.explicit_hash.data() && !matches_hash_key(entry.explicit_hash)) return false;
  if (after.data() && !matches_sequence_number(after)) return false;
  return entry_bytes(entry) <= kRecordBytesMax;
}

// SequenceNumberForOrdering asks for a larger number than the one given, and a shard's numbers grow: only what cannot
// be an earlier number is refused.
std::optional<ServiceError> check_ordering(const Environment& environment, const streams::Stream& stream,
                                           std::string_view after) {
  const auto fields = streams::decode_sequence_number(after);
  const auto now_s = std::chrono::floor<std::chrono::seconds>(environment.clock.now()).time_since_epoch().count();
  if (fields && fields->record_s <= now_s) return std::nullopt;
  return invalid_argument("ExclusiveMinimumSequenceNumber " + std::string(after) + " used in PutRecord on stream " +
                          stream.name + " under account " + environment.account_id + " is invalid.");
}

void render(PutScratch& scratch, Buffer& out, Wire wire) {
  const std::string& shard = scratch.placed[0].shard->id;
  char number[codec::Decimal56::kDigits];
  write_sequence_number(scratch, 0, number);
  if (wire == Wire::cbor) {
    codec::CborWriter writer(out);
    writer.begin_map(scratch.sealed ? 3 : 2);
    writer.text("ShardId");
    writer.text(shard);
    writer.text("SequenceNumber");
    writer.text({number, sizeof number});
    if (!scratch.sealed) return;
    writer.text("EncryptionType");
    return writer.text("KMS");
  }
  out.append(R"({"ShardId":")");
  out.append(shard);
  out.append(R"(","SequenceNumber":")");
  out.append({number, sizeof number});
  out.append(scratch.sealed ? R"(","EncryptionType":"KMS"})" : R"("})");
}

void put_record_now(Context& context, std::string_view body, Reply& reply, std::vector<log::Ticket>& open) {
  const Environment& environment = context.environment;
  PutSession scratch;
  StreamView view;
  streams::StreamRef stream;
  std::string_view after;
  PutEntry plain;
  std::optional<PutFailure> failure;
  const bool read = context.wire == Wire::json ? read_entry<JsonBody>(body, plain, after, view)
                                               : read_entry<CborBody>(body, plain, after, view);
  if (read) stream = view.find(environment);
  if (stream && entry_bytes(plain) > stream->settings.record_bytes_max()) stream = nullptr;
  if (stream && after.data() && check_ordering(environment, *stream, after)) stream = nullptr;
  if (stream) {
    scratch->entries.push_back(plain);
    failure = put_all(environment, stream, *scratch);
  }
  Input in;
  if (!stream || (failure && *failure != PutFailure::no_stream)) {
    if ((reply.error = decode(body, kInput, &in, Dialect{}, context.wire))) return;
    Outcome<streams::StreamRef> found = find_stream_to_put(context, in.stream);
    if (!found) {
      reply.error = found.error();
      return;
    }
    stream = *found;
    if (const std::size_t most = stream->settings.record_bytes_max(); in.data.bytes.size() + in.key.size() > most) {
      reply.error = record_too_large("data", in.data.bytes.size(), most);
      return;
    }
    if (in.after && (reply.error = check_ordering(environment, *stream, *in.after))) return;
    if ((reply.error = check_dry_run(in.dry_run))) return;
    scratch->entries.clear();
    scratch->entries.push_back(
        {in.key, in.data.bytes, in.explicit_hash ? std::string_view(*in.explicit_hash) : std::string_view{}, false});
    failure = put_all(environment, stream, *scratch);
  }
  if (failure) {
    reply.error = failure == PutFailure::bad_hash ? explicit_hash_error(scratch->offending_hash)
                                                  : stream_not_found(environment, stream->name);
    return;
  }
  const Placed& placed = scratch->placed[0];
  if (placed.error) {
    reply.error = to_service_error(log::Error{*placed.error, {}}, environment, stream->name, placed.shard->id);
    return;
  }
  render(*scratch, reply.body, context.wire);
  open.swap(scratch->open);
}

awaitable<void> put_record(Context& context, std::string_view body, Reply& reply) {
  log::Engine& engine = context.environment.streams.engine();
  if (engine.short_of_room()) co_await engine.wait_for_room();
  std::vector<log::Ticket> open;
  put_record_now(context, body, reply, open);
  if (!open.empty()) co_await await_commits(context, open, reply);
}

}  // namespace

extern constinit const Operation put_record_operation{"PutRecord", put_record};

}  // namespace millrace::services::kinesis
