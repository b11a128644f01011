// PutRecords: up to 500 records into a stream in one call; each succeeds or fails by itself.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
#include <algorithm>
#include <cstring>

#include "services/kinesis/put.hpp"

namespace millrace::services::kinesis {
namespace {

struct Entry {
  std::string key;
  std::optional<std::string> explicit_hash;
  Blob data;
};
constexpr auto kEntry = fields(field<&Entry::key>("PartitionKey", length(1, kKeyCharsMax)),
                               field<&Entry::explicit_hash>("ExplicitHashKey", pattern(kHashKeyPattern)),
                               field<&Entry::data>("Data", length(0, kRecordBytesMax)));
struct Input {
  std::vector<Entry> records;
  std::optional<bool> dry_run;
  StreamSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::records>("Records", length(1, kRecordsMax),
                                  of(kEntry, "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry")),
           field<&Input::dry_run>(kDryRun), stream_selector<&Input::stream>());

// The plain case, which is nearly every request: valid, without escapes or repeated members. False leaves the request
// to the table-driven decoder, which finds the same entries or the exact error.
template <class Body>
bool read_entries(std::string_view bytes, PutScratch& scratch, StreamView& stream, std::size_t& largest) {
  Body body(bytes);
  std::string_view name;
  bool seen = false;
  std::size_t total = 0;
  if (!body.begin_map()) return false;
  while (body.next_member(name)) {
    if (StreamView::names(name)) {
      if (!stream.take(name, body)) return false;
      continue;
    }
    if (name != "Records") {
      if (name == kDryRun) return false;
      body.skip();
      continue;
    }
    if (seen || !body.begin_list()) return false;
    seen = true;
    while (body.next_element()) {
      if (scratch.entries.size() == kRecordsMax || !body.begin_map()) return false;
      PutEntry& entry = scratch.entries.emplace_back();
      while (body.next_member(name)) {
        if (name == "Data") {
          if (entry.data.data() || !body.data(entry)) return false;
          continue;
        }
        std::string_view* member = name == "PartitionKey"      ? &entry.key
                                   : name == "ExplicitHashKey" ? &entry.explicit_hash
                                                               : nullptr;
        if (!member) {
          body.skip();
          continue;
        }
        if (member->data() || !body.text(*member)) return false;
      }
      if (!entry.data.data() || !key_fits(entry.key)) return false;
      if (entry.explicit_hash.data() && !matches_hash_key(entry.explicit_hash)) return false;
      const std::size_t size = entry_bytes(entry);
      largest = std::max(largest, size);
      total += size;
    }
  }
  return seen && body.done() && !scratch.entries.empty() && total <= kRequestBytesMax;
}

// The members checked together, after each by itself.
std::optional<ServiceError> check_sizes(const Input& in, std::size_t record_bytes_max) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < in.records.size(); ++i) {
    const Entry& entry = in.records[i];
    const std::size_t size = entry.data.bytes.size() + entry.key.size();
    if (size > record_bytes_max)
      return record_too_large("records." + std::to_string(i + 1) + ".member.data", entry.data.bytes.size(),
                              record_bytes_max);
    bytes += size;
  }
  if (bytes > kRequestBytesMax) return invalid_argument("Records size exceeds 10 MB limit");
  return std::nullopt;
}

void append_failure(Context& context, const streams::Stream& stream, const Placed& placed, Buffer& out) {
  struct Failure {
    std::string code, text;
  };
  static constexpr auto kFailure = fields(field<&Failure::code>("ErrorCode"), field<&Failure::text>("ErrorMessage"));
  Failure failure{"InternalFailure", "Internal Service Failure"};
  if (*placed.error == log::Errc::full) {
    ServiceError error =
        to_service_error(log::Error{*placed.error, {}}, context.environment, stream.name, placed.shard->id);
    failure = {std::move(error.type), std::move(error.message)};
  }
  encode(kFailure, &failure, out, context.wire);
}

// What stands around a record's number and its shard's id.
struct JsonFrame {
  static constexpr std::string_view kNumber = R"({"SequenceNumber":")", kShard = R"(","ShardId":")", kClose = R"("},)";
  static constexpr std::string_view kBetween = ",";
  static constexpr std::size_t kIdHeadMax = 0;
  static char* begin_id(std::size_t, char* at) { return at; }
  static void open(std::size_t failed, std::size_t, bool, Buffer& out) {
    out.append(R"({"FailedRecordCount":)");
    out.append(std::to_string(failed));
    out.append(R"(,"Records":[)");
  }
  static void close(bool sealed, Buffer& out) {
    out.data()[out.size() - 1] = ']';  // in the last comma's place
    out.append(sealed ? R"(,"EncryptionType":"KMS"})" : "}");
  }
};
struct CborFrame {
  static_assert(codec::Decimal56::kDigits == 0x38);
  static constexpr std::string_view kNumber = "\xa2\x6eSequenceNumber\x78\x38", kShard = "\x67ShardId", kClose = "";
  static constexpr std::string_view kBetween = "";
  static constexpr std::size_t kIdHeadMax = 9;
  static char* begin_id(std::size_t size, char* at) { return codec::write_cbor_head(codec::CborMajor::text, size, at); }
  static void open(std::size_t failed, std::size_t records, bool sealed, Buffer& out) {
    codec::CborWriter writer(out);
    writer.begin_map(sealed ? 3 : 2);
    writer.text("FailedRecordCount");
    writer.integer(static_cast<std::int64_t>(failed));
    writer.text("Records");
    writer.begin_array(records);
  }
  static void close(bool sealed, Buffer& out) {
    if (!sealed) return;
    codec::CborWriter writer(out);
    writer.text("EncryptionType");
    writer.text("KMS");
  }
};

template <class Frame>
void render(Context& context, const streams::Stream& stream, PutScratch& scratch, Buffer& out) {
  constexpr std::size_t kUsualBytes = 128;
  std::size_t failed = 0;
  for (const Placed& placed : scratch.placed) failed += placed.error.has_value();
  out.reserve(out.size() + 64 + scratch.placed.size() * kUsualBytes);
  Frame::open(failed, scratch.placed.size(), scratch.sealed, out);
  for (std::size_t i = 0; i < scratch.placed.size(); ++i) {
    const Placed& placed = scratch.placed[i];
    if (placed.error) {
      append_failure(context, stream, placed, out);
      out.append(Frame::kBetween);
      continue;
    }
    const std::string& id = placed.shard->id;
    char* const begin = out.prepare(Frame::kNumber.size() + codec::Decimal56::kDigits + Frame::kShard.size() +
                                    Frame::kIdHeadMax + id.size() + Frame::kClose.size());
    char* at = begin;
    auto put = [&at](std::string_view text) {
      std::memcpy(at, text.data(), text.size());
      at += text.size();
    };
    put(Frame::kNumber);
    write_sequence_number(scratch, i, at);
    at += codec::Decimal56::kDigits;
    put(Frame::kShard);
    at = Frame::begin_id(id.size(), at);
    put(id);
    put(Frame::kClose);
    out.commit(static_cast<std::size_t>(at - begin));
  }
  Frame::close(scratch.sealed, out);
}

// All but the wait for commits: nothing here suspends. What has to be waited for goes to `open`.
void put_records_now(Context& context, std::string_view body, Reply& reply, std::vector<log::Ticket>& open) {
  const Environment& environment = context.environment;
  PutSession scratch;
  StreamView view;
  streams::StreamRef stream;
  std::optional<PutFailure> failure;
  std::size_t largest = 0;
  const bool read = context.wire == Wire::json ? read_entries<JsonBody>(body, *scratch, view, largest)
                                               : read_entries<CborBody>(body, *scratch, view, largest);
  if (read) stream = view.find(environment);
  if (stream && largest > stream->settings.record_bytes_max()) stream = nullptr;
  if (stream) failure = put_all(environment, stream, *scratch);
  Input in;
  if (!stream || (failure && *failure != PutFailure::no_stream)) {
    reply.error = decode(body, kInput, &in, Dialect{}, context.wire);
    if (reply.error) return;
    Outcome<streams::StreamRef> found = find_stream_to_put(context, in.stream);
    if (!found) {
      reply.error = found.error();
      return;
    }
    stream = *found;
    if ((reply.error = check_sizes(in, stream->settings.record_bytes_max()))) return;
    if ((reply.error = check_dry_run(in.dry_run))) return;
    scratch->entries.clear();
    for (const Entry& entry : in.records)
      scratch->entries.push_back({entry.key, entry.data.bytes,
                                  entry.explicit_hash ? std::string_view(*entry.explicit_hash) : std::string_view{},
                                  false});
    failure = put_all(environment, stream, *scratch);
  }
  if (failure) {
    reply.error = failure == PutFailure::bad_hash ? explicit_hash_error(scratch->offending_hash)
                                                  : stream_not_found(environment, stream->name);
    return;
  }
  if (context.wire == Wire::json)
    render<JsonFrame>(context, *stream, *scratch, reply.body);
  else
    render<CborFrame>(context, *stream, *scratch, reply.body);
  open.swap(scratch->open);
}

awaitable<void> put_records(Context& context, std::string_view body, Reply& reply) {
  log::Engine& engine = context.environment.streams.engine();
  if (engine.short_of_room()) co_await engine.wait_for_room();
  std::vector<log::Ticket> open;
  put_records_now(context, body, reply, open);
  if (!open.empty()) co_await await_commits(context, open, reply);
}

}  // namespace

extern constinit const Operation put_records_operation{"PutRecords", put_records};

}  // namespace millrace::services::kinesis
