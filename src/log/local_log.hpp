#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "log/chunk_ring.hpp"
#include "log/cold_read.hpp"
#include "log/storage.hpp"
#include "log/waiters.hpp"
#include "millrace/journal/journal.hpp"
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

/// A chunk on its way to a file.
struct Spilled {
  std::shared_ptr<Chunk> chunk;
  journal::Frame frame;
  ByteView payload;
};
enum class Evicted { yes, nothing, not_yet };

/// One shard's log. In memory chunks stand at its end; where the engine keeps files, `parts` say which of them hold
/// what came before, or all of it.
///
/// The tail is what was staged; committed is what readers see and the same thing unless the engine is durable. Then
/// the committer makes frames of what lies between the two, and settled() moves the one up to the other, or drops the
/// tail back to it and begins a new epoch.
///
/// Two locks, taken in this order. `tail_mutex_`: positions, and copying prepared bytes into the tail chunk; never held
/// for allocation, page faults or waking. `list_mutex_`: the lists of chunks and parts, the horizon and what is
/// committed; readers hold it to find and reference chunks, never to look through their records (but for the one search
/// by time that a horizon inside a chunk takes). Records reach readers by the tail chunk's published count.
class LocalLog final : public Log, public journal::Source, public std::enable_shared_from_this<LocalLog> {
 public:
  LocalLog(LogId id, const LogOptions& options, Clock& clock, std::shared_ptr<Storage> storage,
           std::weak_ptr<Expiry> expiry);
  /// What an earlier life left. Before anybody else has the log.
  /// @param parts  by position, counted as used
  /// @param epoch, first  where it goes on; first is not below the end of `parts`
  void restore(std::vector<journal::Part> parts, Epoch epoch, Position first);

  LogId id() const noexcept override { return id_; }
  Epoch epoch() const noexcept override { return Epoch{epoch_.load(std::memory_order_acquire)}; }
  Result<Staged> stage(Epoch epoch, const BatchView& batch, std::optional<Position> expected) override;
  awaitable<Result<ReadBatch>> read(ReadRequest request) override;
  awaitable<Result<bool>> wait_stored(std::uint64_t stored_bytes_total, TimePoint deadline,
                                      std::stop_token stop) override;
  awaitable<Result<Position>> seek(TimePoint at) override;
  Progress progress() const noexcept override;
  void set_retention(std::chrono::milliseconds retention) override;
  awaitable<Result<>> trim(Position position) override;
  awaitable<Result<Position>> end(Epoch epoch) override;

  /// What became of a ticket; nothing: it is not settled yet.
  std::optional<Result<>> outcome(const Ticket& ticket) const;

  bool gather(journal::Batch& batch) override;
  void settled(const journal::Result<>& outcome, std::span<const journal::Lsn> places) noexcept override;

  /// Lets the oldest chunk go if it begins at or before `base` and is in a file.
  Evicted evict_front(std::uint64_t base);
  /// The oldest chunk that is not on its way yet, if it begins at or before `base` and is closed.
  Spilled spill_next(std::uint64_t base);
  void spilled(const Spilled& spilled, journal::Lsn place);
  void not_spilled();
  /// The tail chunk ends here, so that it can leave memory. False: there was nothing in it.
  bool close_tail();

  /// What it has in a file.
  std::vector<journal::Part> parts_in(journal::Generation file) const;
  /// The records of `from` are in `to` now, all of them, in order; unless they went meanwhile. `to` is counted as used.
  void moved(const journal::Part& from, std::span<const journal::Part> to);

  /// Drops what has expired. Returns the domain time before which nothing more expires.
  std::int64_t expire();
  /// Ends the log and lets go of everything; reads say not_found from now on.
  void remove();
  /// Nothing is staged any more.
  void stop();
  /// Lets go of memory; files keep what they have.
  void close();

 private:
  /// What the committer has in hand: its own thread's.
  struct Gathered {
    journal::Frame frame;
    std::uint64_t bytes = 0, data_bytes = 0;
    std::shared_ptr<Chunk> chunk;
  };
  struct EpochEnd {
    std::uint64_t epoch, end;
  };
  /// Where a search by time came to.
  struct Found {
    std::uint64_t position;
    bool exact = true;  ///< else it is that position or one behind it in the same part
  };
  /// What a read is to do next.
  struct Look {
    ReadBatch batch;             ///< from memory
    std::uint64_t readable_end;  ///< there was nothing to read at or behind it
    std::optional<ColdRequest> cold;
  };

  std::int64_t now_ms() const noexcept { return clock_.now().time_since_epoch().count(); }
  bool durable() const noexcept { return storage_->durable(); }
  std::shared_ptr<Chunk> make_chunk(std::size_t batch_bytes);
  Look look(const ReadRequest& request) const;
  static void trim_runs(const ReadRequest& request, std::uint64_t from, ReadBatch& batch);
  /// It has ended, and what was staged before is committed or lost.
  bool over() const noexcept;
  void finish(ReadBatch& batch, std::uint64_t readable_end, bool ended) const;
  /// A page out of files; nothing: look again from `from`.
  awaitable<Result<std::optional<ReadBatch>>> read_files(ColdRequest request, bool last_look, std::uint64_t& from);
  std::uint64_t end_now();
  void fail(const journal::Error& error);

  // With list_mutex_ held:
  void reference_chunks(const ReadRequest& request, std::uint64_t from, ReadBatch& batch) const;
  std::uint64_t tip() const noexcept;
  Chunk::Published readable(const Chunk& chunk) const noexcept;
  std::uint64_t memory_begin() const noexcept;
  std::uint64_t readable_end() const noexcept;
  Found position_at(std::int64_t arrival_ms) const noexcept;
  Found horizon_at(std::int64_t now) const noexcept;
  std::size_t chunk_holding(std::uint64_t position) const noexcept;
  std::size_t part_holding(std::uint64_t position) const noexcept;
  void add_part(const journal::Frame& frame, std::uint64_t bytes, journal::Lsn place);
  bool droppable(const Chunk& chunk, std::int64_t cutoff_ms) const noexcept;

  /// What drop_unreadable() takes out, to end after the locks.
  struct Dropped {
    std::vector<std::shared_ptr<Chunk>> chunks;
    std::vector<journal::Part> parts;
  };
  void drop_front(Dropped& dropped);
  void drop_parts(std::int64_t cutoff_ms, Dropped& dropped);
  /// Drops chunks and parts from the front that hold nothing readable at `now`, the tail chunk too.
  void drop_unreadable(std::int64_t now);

  const LogId id_;
  Clock& clock_;
  const std::shared_ptr<Storage> storage_;
  const std::weak_ptr<Expiry> expiry_;

  mutable std::mutex list_mutex_;
  ChunkRing chunks_;
  std::deque<journal::Part> parts_;
  std::uint64_t horizon_;  // nothing below is readable any more, whatever the retention becomes
  std::int64_t retention_ms_;
  std::uint64_t dropped_bytes_ = 0;
  std::uint64_t counted_from_;       // records_total is the tip less this, and less the gaps between epochs
  std::deque<EpochEnd> epoch_ends_;  // the last few
  std::uint64_t spill_cursor_ = 0;   // chunks below it are on their way to files

  std::atomic<bool> removed_{false};
  Waiters waiters_;

  std::vector<Gathered> gathered_;   // the committer's
  std::uint64_t gather_cursor_ = 0;  // the committer's: what lies before it is in files, on its way, or lost

  alignas(64) mutable std::mutex tail_mutex_;
  Chunk* tail_chunk_ = nullptr;  // the last of chunks_
  // Written under tail_mutex_, read without.
  std::atomic<std::uint32_t> room_{0};  // left in the tail chunk
  std::atomic<std::uint32_t> next_chunk_bytes_{kGranuleBytes};
  std::atomic<std::uint64_t> tail_;
  std::atomic<std::int64_t> newest_arrival_{0};
  std::atomic<std::uint64_t> epoch_{1};
  std::atomic<bool> ended_{false};
  std::atomic<bool> stopped_{false};  // nobody waits any more
  // Of what is committed: under tail_mutex_ too, or where that is not all, under list_mutex_.
  std::atomic<std::uint64_t> data_bytes_total_{0};
  std::atomic<std::uint64_t> stored_bytes_total_{0};
  std::atomic<std::uint64_t> committed_;  // durable
  std::atomic<std::int64_t> committed_arrival_{0};
};

}  // namespace millrace::log
