#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/files.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/result.hpp"
#include "millrace/log/record.hpp"

namespace millrace {
class Random;
}
namespace millrace::journal {
class Keys;
}

/// The engine seam: what a record log must do, local today, replicated later. The same contract test runs on every
/// engine. Design: docs/architecture.md, "The log".
namespace millrace::log {

enum class Errc {
  not_found = 1,  ///< no such log (deleted)
  ended,          ///< split, merged or deleted: route again; reads go on to the last record
  full,           ///< the budget refuses; nothing staged, the log stays usable
  stale_epoch,    ///< another owner has fenced this one off
  not_owner,      ///< this node does not hold the log open
  conflict,       ///< the expected position is not the tail
  write_failed,   ///< staged records were dropped; nothing of them was or will be readable
  damaged,        ///< a stored record cannot be read
  stopped,        ///< the wait's stop token fired
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

class Log;

/// A promise that staged records become readable. Cheap to copy; committed() resolves it.
struct Ticket {
  LogId log;
  Epoch epoch;
  Position end;            ///< position after the last staged record
  bool committed = true;   ///< already so when stage() returned (memory mode): committed() need not be awaited
  std::uint64_t turn = 0;  ///< the engine's own: when
  std::shared_ptr<Log> holder = {};  ///< the engine's own: whose
};

struct Staged {
  Position first;           ///< position of the batch's first record; the others follow densely
  std::int64_t arrival_ms;  ///< the one arrival time that all records of the batch got
  Ticket ticket;
};

/// A moment's ends of a log. All counts only grow, but begin anew with the process.
struct Progress {
  Position horizon;             ///< oldest readable record, or `tip` when none is; a lower bound where it is in a file
  Position tip;                 ///< position the next committed record will have (in this epoch)
  std::int64_t tip_arrival_ms;  ///< arrival of the newest committed record; 0 when there never was one
  std::uint64_t records_total;  ///< ever committed
  std::uint64_t data_bytes_total;    ///< of data, ever committed
  std::uint64_t stored_bytes_total;  ///< heads, keys and data, ever committed
  std::uint64_t stored_bytes;        ///< held now
  bool ended;                        ///< and what was staged before that is committed or lost: `tip` stays
};

struct ReadRequest {
  Position from;  ///< below the horizon reads from the horizon
  std::size_t records_max = 10'000;
  std::size_t bytes_max = 10u << 20;  ///< of key and data together; one record is returned even if it is larger
  TimePoint wait_until{};             ///< when nothing is there yet: wait for a record until this domain time
  std::stop_token stop{};
};

struct ReadBatch {
  std::vector<RecordRun> runs;
  std::uint32_t records = 0;
  Position next;  ///< where the next read goes on
  Position horizon;
  Position tip;
  std::int64_t tip_arrival_ms = 0;
  bool ended = false;  ///< the log has ended and `next` is its end: nothing will ever follow
};

/// Keys and data of what was read.
inline std::uint64_t record_bytes(const ReadBatch& read) noexcept {
  std::uint64_t bytes = 0;
  for (const RecordRun& run : read.runs) bytes += run.bytes.size() - run.count * sizeof(RecordHead);
  return bytes;
}

/// One shard's record log, open. Safe from any thread. Shared ownership: what was looked up must outlive a co_await.
class Log {
 public:
  virtual ~Log() = default;
  virtual LogId id() const noexcept = 0;
  virtual Epoch epoch() const noexcept = 0;

  /// Puts prepared records at the tail, in order, and stamps their arrival time: now, or the newest record's when that
  /// is later. Nothing is readable or acknowledged before the ticket commits.
  /// @param batch   1 record, or several within kBatchBytesMax
  /// @param expected  when given, the tail must be there (the fence of replicated engines)
  /// @error full, ended, stale_epoch, not_owner, conflict: nothing staged
  virtual Result<Staged> stage(Epoch epoch, const BatchView& batch,
                               std::optional<Position> expected = std::nullopt) = 0;

  /// Committed records from a position. Records older than the retention are never returned.
  /// @error not_found: deleted;  stopped
  virtual awaitable<Result<ReadBatch>> read(ReadRequest request) = 0;

  /// Waits until stored_bytes_total >= `stored_bytes_total` (true), or until `deadline` (false); logs that have ended
  /// (Progress::ended) give true at once. A putter compares one number, so a waiter costs puts nothing until its mark
  /// is reached.
  virtual awaitable<Result<bool>> wait_stored(std::uint64_t stored_bytes_total, TimePoint deadline,
                                              std::stop_token stop) = 0;

  /// Position of the first readable record that arrived at or after `at`; the tip when there is none.
  virtual awaitable<Result<Position>> seek(TimePoint at) = 0;

  virtual Progress progress() const noexcept = 0;

  /// Applies the retention held so far, then the new one: shortening drops old records at once, lengthening revives
  /// none.
  virtual void set_retention(std::chrono::milliseconds retention) = 0;
  /// Drops records before `position` for good (a consumer that owns the log has them).
  virtual awaitable<Result<>> trim(Position position) = 0;
  /// No stage() succeeds after this; returns the end position. Idempotent.
  virtual awaitable<Result<Position>> end(Epoch epoch) = 0;
};

struct LogOptions {
  std::chrono::milliseconds retention = std::chrono::hours{24};
  Position first{0};
};

/// How an engine is, for health and metrics.
struct EngineStatus {
  bool full = false;                  ///< the disk, or its limit: records are refused
  std::uint64_t file_bytes = 0;       ///< on disk
  bool failing = false;               ///< the last write failed
  std::uint64_t failed_writes = 0;    ///< since the start
  std::uint64_t damaged_reads = 0;    ///< frames that could not be read, since the start
  std::uint64_t evicted_chunks = 0;   ///< of records whose memory was given back as they are in files, since the start
  std::uint64_t file_reads = 0;       ///< pages of records that were read out of files, since the start
  std::uint64_t rewritten_bytes = 0;  ///< of records that were moved from one file to another, since the start
  std::uint64_t damage_found = 0;     ///< places that the start found damaged, and went on without
  std::span<const std::string> damage{};  ///< the first of them, as text; lives as long as the engine
};

class Engine {
 public:
  virtual ~Engine() = default;
  /// @error conflict: there is one with this id
  virtual awaitable<Result<std::shared_ptr<Log>>> create(LogId id, LogOptions options) = 0;
  virtual awaitable<Result<std::shared_ptr<Log>>> open(LogId id) = 0;
  /// Ends it, wakes its waiters, gives its memory back when the last reader lets go. Whoever still holds the log gets
  /// `ended` from stage() and `not_found` from reads.
  virtual awaitable<Result<>> remove(LogId id) = 0;
  /// Resolves when all of the tickets are committed; the first failure otherwise.
  virtual awaitable<Result<>> committed(std::span<const Ticket> tickets) = 0;
  /// Memory is nearly full, and room is being made: who is about to stage better waits for that. Asked for each put.
  virtual bool short_of_room() const noexcept { return false; }
  /// Until some was made or could not be.
  virtual awaitable<void> wait_for_room() { co_return; }
  /// At a start, when all logs that are wanted have been opened or created: what is left of others is dropped.
  virtual void forget_unopened() {}
  virtual EngineStatus status() const noexcept { return {}; }
  /// All that is committed, as files in a directory of its own that an engine can begin with. Commits go on. Blocking;
  /// what is not on disk when it returns is the directory's name.
  /// @param directory  made here; nothing is left of it after an error. ENOTSUP: what is kept here is not in files
  virtual FileResult<SnapshotFiles> snapshot(const std::filesystem::path& directory);
};

/// The local engine: chunks from 16 KiB doubling to 1 MiB in reused huge-page regions, accounted to Account::chunks.
/// One retention sweep a minute on the domain clock for all logs, and one when the budget refuses. Free memory is kept
/// as far as the budget has room for it. The clock outlives the engine and its logs; the budget outlives every
/// RecordRun too.
struct MemoryEngineOptions {
  std::chrono::milliseconds sweep_every = std::chrono::minutes{1};
};
std::unique_ptr<Engine> make_memory_engine(Clock& clock, MemoryBudget& budget, MemoryEngineOptions options = {});

/// As above, but what memory has no room for goes to files in `directory`, which is emptied when they are first needed:
/// they are of no use to another engine.
struct SpillOptions {
  std::filesystem::path directory;
  std::uint64_t file_bytes = 64u << 20;
  std::uint64_t disk_limit = UINT64_MAX;
  std::chrono::milliseconds sweep_every = std::chrono::minutes{1};
  const journal::Keys* keys = nullptr;  ///< seal what is written; null: it is plain. Outlive the engine and its logs
  Random* random = nullptr;             ///< the same; needed with keys
};
/// @param files, threads  outlive the engine and its logs
std::unique_ptr<Engine> make_spilling_engine(Clock& clock, MemoryBudget& budget, Files& files, FileThreads& threads,
                                             SpillOptions options);

/// The local engine, durable form: a record is committed when the journal in `directory` has it.
struct DurableEngineOptions {
  std::filesystem::path directory;
  bool sync = true;  ///< storage.sync: always. Else committed is what is written
  std::uint64_t file_bytes = 64u << 20;
  std::uint64_t disk_limit = UINT64_MAX;
  bool serve_damaged = false;  ///< storage.on_damage: serve. Else damage found at the start refuses it
  std::chrono::milliseconds sweep_every = std::chrono::minutes{1};
  /// Seal what is written and open what was; null: what is written is plain. Outlive the engine and its logs.
  const journal::Keys* keys = nullptr;
  Random* random = nullptr;  ///< the same; needed with keys
};
/// Logs that are in the files are there for open(). @param files, threads  outlive the engine and its logs
/// @error damaged, write_failed, full; the detail is for the user. write_failed too when a key is missing that
/// something
///        in the files needs
Result<std::unique_ptr<Engine>> make_durable_engine(Clock& clock, MemoryBudget& budget, Files& files,
                                                    FileThreads& threads, DurableEngineOptions options);

}  // namespace millrace::log
