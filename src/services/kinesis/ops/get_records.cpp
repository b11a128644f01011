// GetRecords: the records at an iterator, and the iterator behind them.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetRecords.html
#include <charconv>
#include <cstring>

#include "millrace/codec/base64.hpp"
#include "millrace/codec/cbor.hpp"
#include "millrace/codec/json_reader.hpp"
#include "services/kinesis/common.hpp"
#include "services/kinesis/iterators.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::int32_t kRecordsMax = 10'000;
constexpr std::size_t kPageBytesMax = 10u << 20;
constexpr std::size_t kWholeBytesMax = 64 * 1024;  // replies up to here are rendered at once
constexpr std::size_t kPieceBytes = 256 * 1024;

struct Input {
  std::optional<std::int32_t> limit;
  std::string iterator;
  StreamSelector stream;  // StreamARN only: the iterator says which stream
};
constexpr auto kInput = fields(
    field<&Input::limit>("Limit", within(1, kRecordsMax)), field<&Input::iterator>("ShardIterator", length(1, 512)),
    field<&Input::stream, &StreamSelector::arn>("StreamARN", length(1, 2048), pattern(kStreamArnPattern)),
    field<&Input::stream, &StreamSelector::id>("StreamId"));

struct ChildShard {
  std::string id;
  std::vector<std::string> parents;
  HashKeyRangeOutput hash_keys;
};
constexpr auto kChildShard = fields(field<&ChildShard::id>("ShardId"), field<&ChildShard::parents>("ParentShards"),
                                    field<&ChildShard::hash_keys>("HashKeyRange", of(kHashKeyRangeFields)));
// All of the output but the records, which come first and are rendered from the log's own memory.
struct Output {
  std::optional<std::string> next;
  std::int64_t behind_ms = 0;
  std::optional<std::vector<ChildShard>> children;
};
constexpr auto kOutput =
    fields(field<&Output::next>("NextShardIterator"), field<&Output::behind_ms>("MillisBehindLatest"),
           field<&Output::children>("ChildShards", of(kChildShard)));

char* put(char* at, std::string_view text) noexcept {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

// One arrival time as it is written, made anew only when it changes.
template <class Form>
class ArrivalText {
 public:
  std::string_view of(std::int64_t arrival_ms) noexcept {
    if (arrival_ms != ms_ || size_ == 0) {
      ms_ = arrival_ms;
      size_ = Form::write_time(arrival_ms, text_);
    }
    return {text_, size_};
  }

 private:
  std::int64_t ms_ = 0;
  std::size_t size_ = 0;
  char text_[kTimestampChars];
};

// How a wire writes records: bytes that do not change, and the sizes and forms of those that do.
struct JsonRecords {
  static constexpr Wire kWire = Wire::json;
  static constexpr std::string_view kNumber = R"({"SequenceNumber":")",
                                    kArrival = R"(","ApproximateArrivalTimestamp":)";
  static constexpr std::string_view kData = R"(,"Data":)", kKey = R"(,"PartitionKey":)", kClose = "}", kBetween = ",";
  static constexpr std::string_view kSealed = R"(,"EncryptionType":"KMS")", kNumberOfSealed = kNumber;
  static constexpr std::size_t kSlack = codec::base64::kSlack;  // that writing data may touch behind it

  static std::size_t write_time(std::int64_t ms, char* out) noexcept {
    return write_timestamp(TimePoint{std::chrono::milliseconds{ms}}, out);
  }
  static std::size_t data_size(std::string_view data) noexcept { return codec::base64::encoded_size(data.size()) + 2; }
  static char* write_data(std::string_view data, char* at) noexcept {
    *at++ = '"';
    at += codec::base64::encode(data, at);
    *at++ = '"';
    return at;
  }
  static std::size_t key_size(std::string_view key) noexcept { return codec::json_quoted_size(key); }
  static char* write_key(std::string_view key, char* at) noexcept { return codec::json_quote(key, at); }

  static std::string open(std::size_t, std::size_t) { return R"({"Records":[)"; }
  // The members behind the records, from an object of their own.
  static std::string close(std::string_view object) { return "]," + std::string(object.substr(1)); }
};

struct CborRecords {
  static constexpr Wire kWire = Wire::cbor;
  static_assert(codec::Decimal56::kDigits == 0x38 && kEpochTag == 1);
  static constexpr std::string_view kNumber = "\xa4\x6eSequenceNumber\x78\x38",
                                    kNumberOfSealed = "\xa5\x6eSequenceNumber\x78\x38",
                                    kSealed =
                                        "\x6e"
                                        "EncryptionType\x63KMS",
                                    kArrival =
                                        "\x78\x1b"
                                        "ApproximateArrivalTimestamp\xc1",
                                    kData =
                                        "\x64"
                                        "Data",
                                    kKey = "\x6cPartitionKey", kClose = "", kBetween = "";
  static constexpr std::size_t kSlack = 0;

  static std::size_t write_time(std::int64_t ms, char* out) noexcept {
    const bool negative = ms < 0;
    const codec::CborMajor major = negative ? codec::CborMajor::negative : codec::CborMajor::positive;
    const auto magnitude = static_cast<std::uint64_t>(negative ? -1 - ms : ms);
    return static_cast<std::size_t>(codec::write_cbor_head(major, magnitude, out) - out);
  }
  static std::size_t data_size(std::string_view data) noexcept {
    return codec::cbor_head_size(data.size()) + data.size();
  }
  static char* write_data(std::string_view data, char* at) noexcept {
    return put(codec::write_cbor_head(codec::CborMajor::bytes, data.size(), at), data);
  }
  static std::size_t key_size(std::string_view key) noexcept { return data_size(key); }
  static char* write_key(std::string_view key, char* at) noexcept {
    return put(codec::write_cbor_head(codec::CborMajor::text, key.size(), at), key);
  }

  static std::string open(std::size_t records, std::size_t more_members) {
    Buffer out;
    codec::CborWriter writer(out);
    writer.begin_map(1 + more_members);
    writer.text("Records");
    writer.begin_array(records);
    return std::string(out.view());
  }
  static std::string close(std::string_view map) { return std::string(map.substr(1)); }
};

// Renders the page from pinned chunks, piece by piece.
template <class Form>
class RecordPieces final : public Pieces {
 public:
  RecordPieces(log::ReadBatch batch, const streams::SequenceNumbers& numbers)
      : batch_(std::move(batch)), numbers_(numbers) {
    // Heads and keys only: the data's size gives that of its base64.
    size_ = batch_.records * kFixedBytes + (batch_.records ? batch_.records - 1 : 0) * Form::kBetween.size();
    ArrivalText<Form> arrival;
    for (const log::RecordRun& run : batch_.runs) {
      const char* at = run.bytes.data();
      log::RecordView record{};
      for (std::uint32_t i = 0; i < run.count; ++i) {
        at = log::read_record(at, record);
        size_ += arrival.of(record.arrival_ms).size() + Form::data_size(record.data) + Form::key_size(record.key) +
                 (sealed(record) ? Form::kSealed.size() : 0);
      }
      last_arrival_ms_ = record.arrival_ms;
    }
  }

  // How far the page's last record is behind the newest one. Behind is behind, also within one millisecond.
  std::int64_t millis_behind() const noexcept {
    if (batch_.next >= batch_.tip) return 0;
    return std::max<std::int64_t>(1, batch_.tip_arrival_ms - last_arrival_ms_.value_or(batch_.tip_arrival_ms));
  }
  // The members that follow the records, as an object of their own; to be set before the first piece.
  void end_with(const Output& rest) {
    Buffer object;
    encode(kOutput, &rest, object, Form::kWire);
    const std::size_t members = 1 + rest.next.has_value() + rest.children.has_value();
    open_ = Form::open(batch_.records, members);
    tail_ = Form::close(object.view());
    size_ += open_.size() + tail_.size();
  }

  std::uint64_t size() const noexcept override { return size_; }

  bool next(Buffer& out) override {
    if (done_) return false;
    if (!begun_) {
      begun_ = true;
      out.append(open_);
    }
    std::size_t left = kPieceBytes;
    for (; run_ < batch_.runs.size(); ++run_, at_ = nullptr) {
      const log::RecordRun& run = batch_.runs[run_];
      if (!at_) {
        at_ = run.bytes.data();
        rendered_ = 0;
      }
      while (rendered_ < run.count) {
        const std::size_t taken = render(run, out);
        if (taken >= left) return true;
        left -= taken;
      }
    }
    out.append(tail_);
    done_ = true;
    batch_.runs.clear();  // the chunks are free before the peer has read all
    return true;
  }

 private:
  // One record, with the comma before it; returns the bytes it took.
  std::size_t render(const log::RecordRun& run, Buffer& out) {
    log::RecordView record;
    at_ = log::read_record(at_, record);
    if (rendered_ == 0)
      sequence_ = numbers_.run(run.first, record.arrival_ms);
    else
      sequence_.next(record.arrival_ms);
    const std::string_view arrival = arrival_.of(record.arrival_ms);
    char* const begin =
        out.prepare(Form::kBetween.size() + kFixedBytes + arrival.size() + Form::data_size(record.data) + Form::kSlack +
                    Form::key_size(record.key) + Form::kSealed.size());
    char* at = begin;
    if (run_ != 0 || rendered_ != 0) at = put(at, Form::kBetween);
    at = put(at, sealed(record) ? Form::kNumberOfSealed : Form::kNumber);
    sequence_.write(at);
    at = put(at + codec::Decimal56::kDigits, Form::kArrival);
    at = put(put(at, arrival), Form::kData);
    at = Form::write_data(record.data, at);
    at = Form::write_key(record.key, put(at, Form::kKey));
    if (sealed(record)) at = put(at, Form::kSealed);
    at = put(at, Form::kClose);
    ++rendered_;
    const auto size = static_cast<std::size_t>(at - begin);
    out.commit(size);
    return size;
  }

  static bool sealed(const log::RecordView& record) noexcept { return (record.flags & log::kSealedRecord) != 0; }

  static_assert(Form::kNumber.size() == Form::kNumberOfSealed.size());
  static constexpr std::size_t kFixedBytes = Form::kNumber.size() + codec::Decimal56::kDigits + Form::kArrival.size() +
                                             Form::kData.size() + Form::kKey.size() + Form::kClose.size();

  log::ReadBatch batch_;
  streams::SequenceNumbers numbers_;
  std::string open_, tail_;
  std::uint64_t size_ = 0;
  std::optional<std::int64_t> last_arrival_ms_;
  bool begun_ = false, done_ = false;
  std::size_t run_ = 0;
  const char* at_ = nullptr;    // the next record of the current run
  std::uint32_t rendered_ = 0;  // of the current run
  streams::SequenceNumbers::Run sequence_;
  ArrivalText<Form> arrival_;
};

std::vector<ChildShard> children_of(const streams::Stream& stream, const streams::Shard& parent) {
  std::vector<ChildShard> children;
  for (const auto& shard : stream.shards) {
    if (shard->parent != parent.index && shard->adjacent_parent != parent.index) continue;
    ChildShard child{shard->id, {}, hash_key_range_output(shard->range)};
    if (shard->parent) child.parents.push_back(shard_id(*shard->parent));
    if (shard->adjacent_parent) child.parents.push_back(shard_id(*shard->adjacent_parent));
    children.push_back(std::move(child));
  }
  return children;
}

template <class Form>
void answer(log::ReadBatch read, const streams::SequenceNumbers& numbers, Output rest, Reply& reply) {
  auto pieces = std::make_unique<RecordPieces<Form>>(std::move(read), numbers);
  rest.behind_ms = pieces->millis_behind();
  pieces->end_with(rest);
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

  Output rest;
  if (read->ended) {
    // It may have ended since the stream was looked up.
    const streams::StreamRef now = environment.streams.find_incarnation(fields->incarnation);
    rest.children = children_of(now ? *now : *stream, *shard);
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
