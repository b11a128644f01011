// PutRecords: up to 500 records into a stream in one call; each succeeds or fails by itself.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html
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
  StreamSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::records>("Records", length(1, kRecordsMax),
                                  of(kEntry, "com.amazonaws.kinesis.v20131202.PutRecordsRequestEntry")),
           stream_selector<&Input::stream>());

// The plain case, which is nearly every request: valid, without escapes or repeated members. False leaves the request
// to the table-driven decoder, which finds the same entries or the exact error.
bool read_entries(std::string_view body, PutScratch& scratch, StreamView& stream) {
  codec::JsonReader reader(body);
  std::string_view name;
  bool seen = false;
  std::size_t bytes = 0;
  if (reader.peek() != codec::JsonType::object || !reader.begin_object()) return false;
  while (reader.next_member(name)) {
    if (StreamView::names(name)) {
      if (!stream.take(name, reader)) return false;
      continue;
    }
    if (name != "Records") {
      reader.skip_value();
      continue;
    }
    if (seen || reader.peek() != codec::JsonType::array || !reader.begin_array()) return false;
    seen = true;
    while (reader.next_element()) {
      if (scratch.entries.size() == kRecordsMax || reader.peek() != codec::JsonType::object || !reader.begin_object())
        return false;
      PutEntry& entry = scratch.entries.emplace_back();
      while (reader.next_member(name)) {
        std::string_view* member = name == "Data"              ? &entry.data
                                   : name == "PartitionKey"    ? &entry.key
                                   : name == "ExplicitHashKey" ? &entry.explicit_hash
                                                               : nullptr;
        if (!member) {
          reader.skip_value();
          continue;
        }
        if (member->data() || !read_plain(reader, *member)) return false;
      }
      if (!entry.data.data() || entry.data.size() % 4 != 0 || !key_fits(entry.key)) return false;
      if (entry.explicit_hash.data() && !matches_hash_key(entry.explicit_hash)) return false;
      const std::size_t size = base64_bytes(entry.data) + entry.key.size();
      if (size > kRecordBytesMax) return false;
      bytes += size;
    }
  }
  return seen && !reader.failed() && reader.at_end() && !scratch.entries.empty() && bytes <= kRequestBytesMax;
}

// The members checked together, after each by itself.
std::optional<ServiceError> check_sizes(const Input& in) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < in.records.size(); ++i) {
    const Entry& entry = in.records[i];
    const std::size_t size = entry.data.bytes.size() + entry.key.size();
    if (size > kRecordBytesMax)
      return record_too_large("records." + std::to_string(i + 1) + ".member.data", entry.data.bytes.size());
    bytes += size;
  }
  if (bytes > kRequestBytesMax) return invalid_argument("Records size exceeds 5 MB limit");
  return std::nullopt;
}

void append_failure(const Environment& environment, const streams::Stream& stream, const Placed& placed, Buffer& out) {
  struct Failure {
    std::string code, text;
  };
  static constexpr auto kFailure = fields(field<&Failure::code>("ErrorCode"), field<&Failure::text>("ErrorMessage"));
  Failure failure{"InternalFailure", "Internal Service Failure"};
  if (*placed.error == log::Errc::full) {
    ServiceError error = to_service_error(log::Error{*placed.error, {}}, environment, stream.name, placed.shard->id);
    failure = {std::move(error.type), std::move(error.message)};
  }
  encode(kFailure, &failure, out);
}

void render(const Environment& environment, const streams::Stream& stream, PutScratch& scratch, Buffer& out) {
  constexpr std::string_view kFailed = R"({"FailedRecordCount":)", kRecords = R"(,"Records":[)", kEnd = "]}";
  constexpr std::string_view kNumber = R"({"SequenceNumber":")", kShard = R"(","ShardId":")", kClose = R"("},)";
  constexpr std::size_t kUsualBytes = 128;
  std::size_t failed = 0;
  for (const Placed& placed : scratch.placed) failed += placed.error.has_value();
  out.reserve(out.size() + 64 + scratch.placed.size() * kUsualBytes);
  out.append(kFailed);
  out.append(std::to_string(failed));
  out.append(kRecords);
  for (std::size_t i = 0; i < scratch.placed.size(); ++i) {
    const Placed& placed = scratch.placed[i];
    if (placed.error) {
      append_failure(environment, stream, placed, out);
      out.append(",");
      continue;
    }
    const std::string& id = placed.shard->id;
    char* const begin =
        out.prepare(kNumber.size() + codec::Decimal56::kDigits + kShard.size() + id.size() + kClose.size());
    char* at = begin;
    auto put = [&at](std::string_view text) {
      std::memcpy(at, text.data(), text.size());
      at += text.size();
    };
    put(kNumber);
    write_sequence_number(scratch, i, at);
    at += codec::Decimal56::kDigits;
    put(kShard);
    put(id);
    put(kClose);
    out.commit(static_cast<std::size_t>(at - begin));
  }
  out.data()[out.size() - 1] = kEnd[0];  // in the last comma's place
  out.append(kEnd.substr(1));
}

// All but the wait for commits: nothing here suspends. What has to be waited for goes to `open`.
void put_records_now(Context& context, std::string_view body, Reply& reply, std::vector<log::Ticket>& open) {
  const Environment& environment = context.environment;
  PutSession scratch;
  StreamView view;
  streams::StreamRef stream;
  std::optional<PutFailure> failure;
  if (read_entries(body, *scratch, view)) stream = view.find(environment);
  if (stream) failure = put_all(environment, stream, *scratch);
  Input in;
  if (!stream || (failure && *failure != PutFailure::no_stream)) {
    reply.error = decode(body, kInput, &in);
    if (!reply.error) reply.error = check_sizes(in);
    if (reply.error) return;
    Outcome<streams::StreamRef> found = find_stream_to_put(context, in.stream);
    if (!found) {
      reply.error = found.error();
      return;
    }
    stream = *found;
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
  render(environment, *stream, *scratch, reply.body);
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
