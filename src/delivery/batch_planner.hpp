#pragma once
#include <cstdint>
#include <optional>
#include <queue>
#include <vector>

#include "delivery/checkpoint.hpp"
#include "millrace/log/engine.hpp"

namespace millrace::delivery {

/// Chooses what one object holds: the oldest records over all shards, until data and delimiters reach `bytes_max`; the
/// record that reaches it is the last. Knows record heads only, a page a shard; whoever owns it reads the pages.
class BatchPlanner {
 public:
  struct Count {
    std::uint64_t records = 0, data_bytes = 0;
  };
  struct PageWanted {
    std::size_t slot;
    log::Position from;
  };

  BatchPlanner(std::uint64_t bytes_max, std::size_t delimiter_bytes)
      : bytes_max_(bytes_max), delimiter_bytes_(delimiter_bytes) {}

  /// Records [from, to) of a shard may be taken. Returns its slot: 0, 1, ... in order of the calls, which decides
  /// between records of the same time.
  /// @param not_before_ms  records count as if they had not arrived before: a shard's that comes after others
  std::size_t add_shard(std::uint32_t shard, log::Position from, log::Position to, std::int64_t not_before_ms = 0);
  /// Goes on until a page is missing (answer with page() or gone()) or the choice is made (nothing).
  std::optional<PageWanted> advance();
  void page(std::size_t slot, log::ReadBatch batch);
  /// The rest of this shard cannot be read any more.
  void gone(std::size_t slot);

  bool full() const noexcept { return bytes_ >= bytes_max_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  /// What was taken of a shard, and whether that is all there was.
  Count taken(std::size_t slot) const noexcept { return shards_[slot].taken; }
  bool exhausted(std::size_t slot) const noexcept { return shards_[slot].position >= shards_[slot].to; }
  /// Where the first readable record stands, `to` when there is none; nothing when the shard was not looked at.
  std::optional<log::Position> first_readable(std::size_t slot) const noexcept { return shards_[slot].first_readable; }
  /// Nothing when no record was taken.
  std::optional<Plan> plan(std::uint32_t version) const;

 private:
  struct Shard {
    std::uint32_t shard;
    log::Position position, to;
    std::int64_t not_before_ms;
    std::optional<log::Position> first_readable, range_from;
    log::ReadBatch batch;
    std::size_t run = 0;       // of batch.runs
    std::uint32_t in_run = 0;  // records of that run already taken
    const char* at = nullptr;  // the record after them
    Count taken;
  };
  struct Head {
    std::int64_t arrival_ms;
    std::size_t slot;
    friend bool operator>(const Head& a, const Head& b) {
      return a.arrival_ms != b.arrival_ms ? a.arrival_ms > b.arrival_ms : a.slot > b.slot;
    }
  };
  bool peek(Shard& shard, log::RecordView& record);
  void take_while_oldest(std::size_t slot, std::int64_t until_ms);

  const std::uint64_t bytes_max_;
  const std::size_t delimiter_bytes_;
  std::vector<Shard> shards_;
  std::vector<std::size_t> without_head_;  // slots that are not in heads_ and may have more
  std::priority_queue<Head, std::vector<Head>, std::greater<>> heads_;
  std::uint64_t bytes_ = 0;
  std::optional<std::int64_t> oldest_ms_;
};

}  // namespace millrace::delivery
