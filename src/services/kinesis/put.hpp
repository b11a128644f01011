#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "millrace/codec/cbor.hpp"
#include "millrace/codec/json_reader.hpp"
#include "services/kinesis/common.hpp"

/// The way of records into the log, shared by PutRecord and PutRecords. All of it runs between two suspensions, on
/// arrays that a thread keeps.
namespace millrace::services::kinesis {

inline constexpr std::size_t kRecordsMax = 500;  ///< of one PutRecords
/// Data and partition key of a record of any stream; what a stream takes is Settings::record_bytes_max().
inline constexpr std::size_t kRecordBytesMax = std::size_t{streams::kRecordKibMax} * 1024;
static_assert(kRecordBytesMax <= log::kRecordBytesMax);
inline constexpr std::size_t kRequestBytesMax = 10 * 1024 * 1024;  ///< data and partition keys of one PutRecords
inline constexpr std::size_t kKeyCharsMax = 256;                   ///< code points

/// A record to put; the views live until put_all() returns.
struct PutEntry {
  std::string_view key;
  std::string_view data;           ///< base64 text, or the bytes themselves
  std::string_view explicit_hash;  ///< decimal, matching kHashKeyPattern; empty when not given
  bool is_base64 = true;
};

/// What became of a record.
struct Placed {
  const streams::Shard* shard = nullptr;
  log::Position position{};
  std::int64_t arrival_ms = 0;
  std::optional<log::Errc> error;
  std::uint32_t lane = 0;  ///< records of one lane are of one shard
};

enum class PutFailure {
  bad_base64,  ///< some data is no base64: nothing was put
  bad_hash,    ///< some explicit hash key is 2^128 or more: nothing was put
  no_stream,   ///< the stream went away before anything was put
};

/// One thread's arrays for the request under way. Not to be used across a suspension.
struct PutScratch {
  std::vector<PutEntry> entries;         ///< in: the request's records
  std::vector<Placed> placed;            ///< out: one for each entry
  std::vector<log::Ticket> open;         ///< out: what committed() must be awaited for
  std::string_view offending_hash;       ///< out: with bad_hash
  bool sealed = false;                   ///< out: the stream is encrypted
  std::vector<streams::StreamRef> held;  ///< keeps the shards of `placed` alive

  struct Lane {
    const streams::Shard* shard;
    std::uint32_t first, last;  // entries, chained by next_in_lane
    streams::SequenceNumbers::Run numbers;
    std::optional<log::Position> next;
  };
  std::vector<Lane> lanes;
  std::vector<std::uint32_t> next_in_lane;

  struct Batch {
    char* bytes;
    std::uint32_t first_end, count, first_entry;
  };
  std::vector<Batch> batches;
  struct Ended {  // a record laid out for a log that has ended
    char* bytes;
    std::uint32_t size, entry;
  };
  std::vector<Ended> ended;
  std::vector<std::uint32_t> ends;
  std::vector<std::string_view> keys;
  std::vector<Uint128> hashes;
  log::BatchBuilder builder;
};
/// Lends the thread's arrays; what they keep alive is let go at its end.
class PutSession {
 public:
  PutSession();
  ~PutSession() { scratch_.held.clear(); }
  PutSession(const PutSession&) = delete;
  PutSession& operator=(const PutSession&) = delete;
  PutScratch& operator*() const noexcept { return scratch_; }
  PutScratch* operator->() const noexcept { return &scratch_; }

 private:
  PutScratch& scratch_;
};

/// Routes, decodes and stages scratch.entries: everything is decoded before the first record is staged. A record whose
/// shard refuses it has its error in scratch.placed.
std::optional<PutFailure> put_all(const Environment& environment, streams::StreamRef stream, PutScratch& scratch);

/// Waits for what put_all() staged and could not call committed yet; a failure takes the place of the reply.
awaitable<void> await_commits(Context& context, std::span<const log::Ticket> open, Reply& reply);

/// The sequence number of scratch.placed[index], 56 characters to `out`; cheap when called in order.
void write_sequence_number(PutScratch& scratch, std::size_t index, char* out);

/// A put's body read in place, with the same calls for both wires. What these cannot give as a view is left to the
/// table-driven decoder: then a call is false, though the body may be good.
class JsonBody {
 public:
  explicit JsonBody(std::string_view body) noexcept : reader_(body) {}
  bool begin_map() noexcept { return reader_.peek() == codec::JsonType::object && reader_.begin_object(); }
  bool next_member(std::string_view& name) { return reader_.next_member(name); }
  bool begin_list() noexcept { return reader_.peek() == codec::JsonType::array && reader_.begin_array(); }
  bool next_element() noexcept { return reader_.next_element(); }
  bool text(std::string_view& out) noexcept {
    codec::JsonString value;
    if (!reader_.read_string(value) || value.escaped) return false;
    out = value.raw;
    return true;
  }
  bool data(PutEntry& entry) noexcept { return text(entry.data) && entry.data.size() % 4 == 0; }
  void skip() noexcept { reader_.skip_value(); }
  /// After the outermost map: nothing was wrong, and nothing follows.
  bool done() noexcept { return !reader_.failed() && reader_.at_end(); }

 private:
  codec::JsonReader reader_;
};

class CborBody {
 public:
  explicit CborBody(std::string_view body) noexcept : reader_(body) {}
  bool begin_map() noexcept { return reader_.begin_map(); }
  bool next_member(std::string_view& name) { return reader_.next_member(name); }
  bool begin_list() noexcept { return reader_.begin_array(); }
  bool next_element() noexcept { return reader_.next_element(); }
  bool text(std::string_view& out) { return reader_.read_text(out, scratch_) && whole(out); }
  bool data(PutEntry& entry) {
    entry.is_base64 = false;
    return reader_.read_bytes(entry.data, scratch_) && whole(entry.data);
  }
  void skip() { reader_.skip_value(); }
  bool done() noexcept { return !reader_.failed() && reader_.at_end(); }

 private:
  // One that came in pieces is no view into the body.
  bool whole(std::string_view value) const noexcept { return value.data() != scratch_.data(); }

  codec::CborReader reader_;
  std::string scratch_;
};

/// The members that name a stream, as views. take() is false for a repeated or escaped one.
class StreamView {
 public:
  /// Whether `key` is a selector's member.
  static bool names(std::string_view key) noexcept {
    return key == "StreamName" || key == "StreamARN" || key == "StreamId";
  }
  template <class Body>
  bool take(std::string_view key, Body& body) {
    std::string_view& member = key == "StreamName" ? name_ : key == "StreamARN" ? arn_ : id_;
    return member.data() == nullptr && body.text(member);
  }
  /// The stream if there is one to put to and the members agree; null for the table-driven decoder to say why not.
  streams::StreamRef find(const Environment& environment) const;

 private:
  std::string_view name_, arn_, id_;
};

/// Bytes of an entry's data and key; those of base64 text, whose length is a multiple of 4, from its padding.
constexpr std::size_t entry_bytes(const PutEntry& entry) noexcept {
  const std::string_view data = entry.data;
  if (!entry.is_base64) return data.size() + entry.key.size();
  const std::size_t padding = data.ends_with("==") ? 2 : data.ends_with('=') ? 1 : 0;
  return data.size() / 4 * 3 - padding + entry.key.size();
}

/// Whether a partition key has AWS's length.
inline bool key_fits(std::string_view key) noexcept {
  return !key.empty() && (key.size() <= kKeyCharsMax || codec::code_points(key) <= kKeyCharsMax);
}

/// For the slow way: the stream to put to, or why there is none.
Outcome<streams::StreamRef> find_stream_to_put(Context& context, const StreamSelector& selector);
ServiceError explicit_hash_error(std::string_view hash);
/// For records whose data does not fit into those of the stream, or not together with their key.
ServiceError record_too_large(std::string_view path, std::size_t data_bytes, std::size_t bytes_max);

}  // namespace millrace::services::kinesis
