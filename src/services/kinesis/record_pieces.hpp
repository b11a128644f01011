#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/codec/base64.hpp"
#include "millrace/codec/cbor.hpp"
#include "millrace/codec/json_reader.hpp"
#include "services/kinesis/common.hpp"

/// Records as GetRecords and SubscribeToShard show them, rendered from the log's own memory.
namespace millrace::services::kinesis {

/// A shard that goes on where another one ended.
struct ChildShard {
  std::string id;
  std::vector<std::string> parents;
  HashKeyRangeOutput hash_keys;
};
inline constexpr auto kChildShard =
    fields(field<&ChildShard::id>("ShardId"), field<&ChildShard::parents>("ParentShards"),
           field<&ChildShard::hash_keys>("HashKeyRange", of(kHashKeyRangeFields)));
/// Of a shard that has ended; empty when the stream, looked up after that, does not have it any more.
std::vector<ChildShard> children_of(const streams::Stream& stream, std::uint32_t parent);

namespace detail {

inline char* put(char* at, std::string_view text) noexcept {
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

}  // namespace detail

/// How a wire writes records: bytes that do not change, and the sizes and forms of those that do.
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
  static char* begin_data(std::string_view, char* at) noexcept { return detail::put(at, "\""); }
  static char* write_data(std::string_view part, char* at) noexcept { return at + codec::base64::encode(part, at); }
  static char* end_data(char* at) noexcept { return detail::put(at, "\""); }
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
  static char* begin_data(std::string_view data, char* at) noexcept {
    return codec::write_cbor_head(codec::CborMajor::bytes, data.size(), at);
  }
  static char* write_data(std::string_view part, char* at) noexcept { return detail::put(at, part); }
  static char* end_data(char* at) noexcept { return at; }
  static std::size_t key_size(std::string_view key) noexcept { return data_size(key); }
  static char* write_key(std::string_view key, char* at) noexcept {
    return detail::put(codec::write_cbor_head(codec::CborMajor::text, key.size(), at), key);
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

/// An object whose first member is Records: rendered from pinned chunks, piece by piece.
template <class Form>
class RecordPieces final : public Pieces {
 public:
  RecordPieces(log::ReadBatch batch, const streams::SequenceNumbers& numbers)
      : batch_(std::move(batch)), numbers_(numbers) {
    // Heads and keys only: the data's size gives that of its base64.
    size_ = batch_.records * kFixedBytes + (batch_.records ? batch_.records - 1 : 0) * Form::kBetween.size();
    detail::ArrivalText<Form> arrival;
    for (const log::RecordRun& run : batch_.runs) {
      const char* at = run.bytes.data();
      log::RecordView record{};
      for (std::uint32_t i = 0; i < run.count; ++i) {
        at = log::read_record(at, record);
        const std::size_t around = arrival.of(record.arrival_ms).size() + Form::key_size(record.key) +
                                   (sealed(record) ? Form::kSealed.size() : 0);
        size_ += around + Form::data_size(record.data);
        largest_ = std::max(largest_, around + Form::data_size(record.data.substr(0, kPartBytes)));
      }
      last_arrival_ms_ = record.arrival_ms;
    }
  }

  /// How far the page's last record is behind the newest one. Behind is behind, also within one millisecond.
  std::int64_t millis_behind() const noexcept {
    if (batch_.next >= batch_.tip) return 0;
    return std::max<std::int64_t>(1, batch_.tip_arrival_ms - last_arrival_ms_.value_or(batch_.tip_arrival_ms));
  }
  /// What out may grow by with one piece. After end_with().
  std::size_t piece_bytes_max() const noexcept override {
    return std::min<std::size_t>(size_, kPieceBytes + kFixedBytes + largest_ + open_.size() + tail_.size()) + slack();
  }
  /// What rendering may touch behind the end.
  static constexpr std::size_t slack() noexcept { return Form::kBetween.size() + Form::kSealed.size() + Form::kSlack; }
  /// The members that follow the records, as an object of their own; to be set before the first piece.
  void end_with(std::string_view object, std::size_t members) {
    open_ = Form::open(batch_.records, members);
    tail_ = Form::close(object);
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
  // With a part and what is around it not over half a MiB, which also a full daemon has for a reply.
  static constexpr std::size_t kPieceBytes = 240 * 1024;
  // Of data that is rendered at once: base64 of it can go on with the rest.
  static constexpr std::size_t kPartBytes = 192 * 1024;
  static_assert(kPartBytes % 3 == 0);

  // One record, with the comma before it, or a part of a large one; returns the bytes it took.
  std::size_t render(const log::RecordRun& run, Buffer& out) {
    log::RecordView record;
    const char* const behind = log::read_record(at_, record);
    const std::string_view part = record.data.substr(begun_bytes_, kPartBytes);
    const bool first = begun_bytes_ == 0, last = begun_bytes_ + part.size() == record.data.size();
    const std::string_view arrival = arrival_.of(record.arrival_ms);
    char* const begin = out.prepare(Form::kBetween.size() + kFixedBytes + arrival.size() + Form::data_size(part) +
                                    Form::kSlack + Form::key_size(record.key) + Form::kSealed.size());
    char* at = begin;
    if (first) {
      if (rendered_ == 0)
        sequence_ = numbers_.run(run.first, record.arrival_ms);
      else
        sequence_.next(record.arrival_ms);
      if (run_ != 0 || rendered_ != 0) at = detail::put(at, Form::kBetween);
      at = detail::put(at, sealed(record) ? Form::kNumberOfSealed : Form::kNumber);
      sequence_.write(at);
      at = detail::put(at + codec::Decimal56::kDigits, Form::kArrival);
      at = Form::begin_data(record.data, detail::put(detail::put(at, arrival), Form::kData));
    }
    at = Form::write_data(part, at);
    begun_bytes_ += part.size();
    if (last) {
      at = Form::write_key(record.key, detail::put(Form::end_data(at), Form::kKey));
      if (sealed(record)) at = detail::put(at, Form::kSealed);
      at = detail::put(at, Form::kClose);
      at_ = behind;
      begun_bytes_ = 0;
      ++rendered_;
    }
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
  std::size_t largest_ = 0;  // of what differs from record to record, and is rendered at once
  std::optional<std::int64_t> last_arrival_ms_;
  bool begun_ = false, done_ = false;
  std::size_t run_ = 0;
  const char* at_ = nullptr;     // the next record of the current run
  std::uint32_t rendered_ = 0;   // of the current run
  std::size_t begun_bytes_ = 0;  // of the next record's data
  streams::SequenceNumbers::Run sequence_;
  detail::ArrivalText<Form> arrival_;
};

}  // namespace millrace::services::kinesis
