#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "log/chunk_pool.hpp"
#include "log/chunk_ring.hpp"
#include "log/waiters.hpp"
#include "millrace/log/engine.hpp"

namespace millrace::log {

/// What a log asks of its engine. The engine may be gone before its logs' last owners are.
class Expiry {
 public:
  virtual ~Expiry() = default;
  /// Drops what has expired in every log.
  virtual void expire_all() = 0;
  /// Something of this log may expire earlier than its expire() said.
  virtual void reconsider(LogId id) noexcept = 0;
};

/// One shard's log in memory. What is staged is committed at once, so tail and committed are one here.
///
/// Two locks, taken in this order. `tail_mutex_`: positions, and copying prepared bytes into the tail chunk; never held
/// for allocation, page faults or waking. `list_mutex_`: the list of chunks and the horizon; readers hold it to find
/// and reference chunks, never to look through their records (but for the one search by time that a horizon inside a
/// chunk takes). Records reach readers by the tail chunk's published count.
class MemoryLog final : public Log, public std::enable_shared_from_this<MemoryLog> {
 public:
  MemoryLog(LogId id, const LogOptions& options, Clock& clock, std::shared_ptr<ChunkPool> pool,
            std::weak_ptr<Expiry> expiry);

  LogId id() const noexcept override { return id_; }
  Epoch epoch() const noexcept override { return kEpoch; }
  Result<Staged> stage(Epoch epoch, const BatchView& batch, std::optional<Position> expected) override;
  awaitable<Result<ReadBatch>> read(ReadRequest request) override;
  awaitable<Result<bool>> wait_stored(std::uint64_t stored_bytes_total, TimePoint deadline,
                                      std::stop_token stop) override;
  awaitable<Result<Position>> seek(TimePoint at) override;
  Progress progress() const noexcept override;
  void set_retention(std::chrono::milliseconds retention) override;
  awaitable<Result<>> trim(Position position) override;
  awaitable<Result<Position>> end(Epoch epoch) override;

  /// Drops chunks that have expired. Returns the domain time before which nothing more expires.
  std::int64_t expire();
  /// Ends the log and lets go of everything; reads say not_found from now on.
  void remove();

 private:
  static constexpr Epoch kEpoch{1};

  std::int64_t now_ms() const noexcept { return clock_.now().time_since_epoch().count(); }
  std::shared_ptr<Chunk> make_chunk(std::size_t batch_bytes);
  ReadBatch read_now(const ReadRequest& request) const;
  std::uint64_t end_now();

  // With list_mutex_ held:
  std::uint64_t tip_listed() const noexcept;
  std::uint64_t position_at(std::int64_t arrival_ms) const noexcept;
  std::uint64_t horizon_at(std::int64_t now) const noexcept;
  std::size_t chunk_holding(std::uint64_t position) const noexcept;
  bool droppable(const Chunk& chunk, std::int64_t cutoff_ms) const noexcept;
  void drop_front(std::vector<std::shared_ptr<Chunk>>& dropped);

  /// Drops chunks from the front that hold nothing readable at `now`, the tail chunk too.
  void drop_unreadable(std::int64_t now);

  const LogId id_;
  Clock& clock_;
  const std::shared_ptr<ChunkPool> pool_;
  const std::weak_ptr<Expiry> expiry_;
  const std::uint64_t first_;

  mutable std::mutex list_mutex_;
  ChunkRing chunks_;
  std::uint64_t horizon_;  // nothing below is readable any more, whatever the retention becomes
  std::int64_t retention_ms_;
  std::uint64_t dropped_bytes_ = 0;

  std::atomic<bool> removed_{false};
  Waiters waiters_;

  alignas(64) mutable std::mutex tail_mutex_;
  Chunk* tail_chunk_ = nullptr;  // the last of chunks_
  // Written under tail_mutex_, read without.
  std::atomic<std::uint32_t> room_{0};  // left in the tail chunk
  std::atomic<std::uint32_t> next_chunk_bytes_{kGranuleBytes};
  std::atomic<std::uint64_t> tail_;
  std::atomic<std::int64_t> newest_arrival_{0};
  std::atomic<std::uint64_t> data_bytes_total_{0};
  std::atomic<std::uint64_t> stored_bytes_total_{0};
  std::atomic<bool> ended_{false};
};

}  // namespace millrace::log
