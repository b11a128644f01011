#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "millrace/base/bytes.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/strong.hpp"

/// A record as it lies in a chunk: head, key, data, with no padding between records.
namespace millrace::log {

/// Where a record stands in its shard's log: grows, dense inside an epoch, never names two records.
using Position = Strong<struct PositionTag, std::uint64_t>;
using Epoch = Strong<struct EpochTag, std::uint64_t>;
/// Never reused, also not after a delete.
using LogId = Strong<struct LogIdTag, std::uint64_t>;

/// The head, 16 bytes in the machine's order (memory only; files get their own form).
struct RecordHead {
  std::int64_t arrival_ms;  ///< domain time; never decreases inside a shard
  std::uint32_t data_bytes;
  std::uint16_t key_bytes;
  std::uint16_t flags;  ///< kSealedRecord
};
/// A record's flag: it lies sealed wherever an engine puts it into a file.
inline constexpr std::uint16_t kSealedRecord = 1;
static_assert(sizeof(RecordHead) == 16);
inline constexpr std::size_t kRecordBytesMax = 10 * 1024 * 1024 + 1024;  ///< key and data of one record

/// One record read in place; the views live as long as the run's owner.
struct RecordView {
  std::int64_t arrival_ms;
  std::string_view key;
  std::string_view data;
  std::uint16_t flags = 0;  ///< as RecordHead::flags
};

/// Reads the record at `at`, which is a record's first byte; returns the next record's.
inline const char* read_record(const char* at, RecordView& out) noexcept {
  RecordHead head;
  std::memcpy(&head, at, sizeof head);
  at += sizeof head;
  out = {head.arrival_ms, {at, head.key_bytes}, {at + head.key_bytes, head.data_bytes}, head.flags};
  return at + head.key_bytes + head.data_bytes;
}

/// Consecutive records of one shard in place, with what keeps them alive.
struct RecordRun {
  std::shared_ptr<const void> owner;
  Position first;
  std::uint32_t count = 0;
  std::string_view bytes;  ///< exactly `count` records
};

/// Prepared records, a view: laid out as in a chunk, arrival times still to be set by stage().
struct BatchView {
  char* bytes = nullptr;                ///< writable: stage() fills arrival times in
  std::span<const std::uint32_t> ends;  ///< end of each record, relative to bytes
  std::size_t size() const noexcept { return ends.empty() ? 0 : ends.back(); }
};
/// What one stage() call takes: at most this many bytes, or a single record.
inline constexpr std::size_t kBatchBytesMax = 64 * 1024;

/// Room behind a record's data that a decoder may scribble on.
inline constexpr std::size_t kBatchSlack = 64;
constexpr std::size_t batch_bytes_needed(std::size_t records, std::size_t key_and_data_bytes) noexcept {
  return records * sizeof(RecordHead) + key_and_data_bytes + kBatchSlack;
}

/// Builds prepared records in one buffer that is kept between uses. Not thread-safe; one a thread for hot paths.
class BatchBuilder {
 public:
  /// What one keeps between uses; memory grown beyond it goes back at the next reset() that needs less.
  static constexpr std::size_t kKeptBytesMax = 16u << 20;

  /// Begins anew and makes room for `bytes` in all (heads, keys, data and decoder slack): no growth, and so no moved
  /// memory, until that is used up.
  void reset(std::size_t bytes);
  /// Starts a new batch behind what is there; earlier batches stay.
  void begin_batch() noexcept {
    batch_start_ = used_;
    batch_first_ = ends_.size();
  }
  /// Adds a record whose data is written by the caller: returns where up to data_bytes_max bytes (and kBatchSlack more,
  /// rubbish) may be written. Follow with finish_record().
  char* begin_record(std::string_view key, std::size_t data_bytes_max) {
    const std::size_t needed = sizeof(RecordHead) + key.size() + data_bytes_max + kBatchSlack;
    if (capacity_ - used_ < needed) grow(needed);
    if (ends_.size() == ends_.capacity()) grow_ends();
    char* at = buffer_.get() + used_;
    key_bytes_ = static_cast<std::uint16_t>(key.size());
    if (!key.empty()) std::memcpy(at + sizeof(RecordHead), key.data(), key.size());
    return at + sizeof(RecordHead) + key.size();
  }
  /// @param flags  as RecordHead::flags
  void finish_record(std::size_t data_bytes, std::uint16_t flags = 0) noexcept {
    const RecordHead head{0, static_cast<std::uint32_t>(data_bytes), key_bytes_, flags};
    std::memcpy(buffer_.get() + used_, &head, sizeof head);
    used_ += sizeof head + key_bytes_ + data_bytes;
    ends_.push_back(static_cast<std::uint32_t>(used_ - batch_start_));
  }
  void add(std::string_view key, std::string_view data, std::uint16_t flags = 0) {
    char* at = begin_record(key, data.size());
    if (!data.empty()) std::memcpy(at, data.data(), data.size());
    finish_record(data.size(), flags);
  }
  /// Bytes and records of the current batch.
  std::size_t batch_bytes() const noexcept { return used_ - batch_start_; }
  std::size_t batch_records() const noexcept { return ends_.size() - batch_first_; }
  /// The current batch; valid until the next reset() or growth.
  BatchView batch() noexcept { return {buffer_.get() + batch_start_, std::span(ends_).subspan(batch_first_)}; }
  /// Memory held, for tests of the bound.
  std::size_t capacity() const noexcept { return capacity_; }

 private:
  void grow(std::size_t needed);
  void grow_ends();

  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0, used_ = 0, batch_start_ = 0;
  std::vector<std::uint32_t> ends_;
  std::size_t batch_first_ = 0;
  std::uint16_t key_bytes_ = 0;  // of the record under way
};

}  // namespace millrace::log
