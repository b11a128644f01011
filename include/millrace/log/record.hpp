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
  std::uint16_t flags;  ///< 0 today
};
static_assert(sizeof(RecordHead) == 16);
inline constexpr std::size_t kRecordBytesMax = 10 * 1024 * 1024 + 1024;  ///< key and data of one record

/// One record read in place; the views live as long as the run's owner.
struct RecordView {
  std::int64_t arrival_ms;
  std::string_view key;
  std::string_view data;
};

/// Reads the record at `at`, which is a record's first byte; returns the next record's.
inline const char* read_record(const char* at, RecordView& out) noexcept {
  RecordHead head;
  std::memcpy(&head, at, sizeof head);
  at += sizeof head;
  out = {head.arrival_ms, {at, head.key_bytes}, {at + head.key_bytes, head.data_bytes}};
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
  char* bytes = nullptr;                 ///< writable: stage() fills arrival times in
  std::span<const std::uint32_t> ends;   ///< end of each record, relative to bytes
  std::size_t size() const noexcept { return ends.empty() ? 0 : ends.back(); }
};
/// What one stage() call takes: at most this many bytes, or a single record.
inline constexpr std::size_t kBatchBytesMax = 64 * 1024;

/// Builds prepared records in one buffer that is kept between uses. Not thread-safe; one a thread for hot paths.
class BatchBuilder {
 public:
  /// Begins anew and makes room for `bytes` in all (heads, keys, data and decoder slack): no growth, and so no moved
  /// memory, until that is used up.
  void reset(std::size_t bytes);
  /// Starts a new batch behind what is there; earlier batches stay.
  void begin_batch() noexcept;
  /// Adds a record whose data is written by the caller: returns where up to data_bytes_max bytes (and kBatchSlack more,
  /// rubbish) may be written. Follow with finish_record().
  char* begin_record(std::string_view key, std::size_t data_bytes_max);
  void finish_record(std::size_t data_bytes) noexcept;
  void add(std::string_view key, std::string_view data);
  /// Bytes and records of the current batch.
  std::size_t batch_bytes() const noexcept;
  std::size_t batch_records() const noexcept;
  /// The current batch; valid until the next reset() or growth.
  BatchView batch() noexcept;

 private:
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0, used_ = 0, batch_start_ = 0;
  std::vector<std::uint32_t> ends_;
  std::size_t batch_first_ = 0;
};
inline constexpr std::size_t kBatchSlack = 64;
constexpr std::size_t batch_bytes_needed(std::size_t records, std::size_t key_and_data_bytes) noexcept {
  return records * sizeof(RecordHead) + key_and_data_bytes + kBatchSlack;
}

}  // namespace millrace::log
