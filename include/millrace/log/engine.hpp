#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/result.hpp"
#include "millrace/log/record.hpp"

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

/// A promise that staged records become readable. Cheap to copy; committed() resolves it.
struct Ticket {
  LogId log;
  Epoch epoch;
  Position end;           ///< position after the last staged record
  bool committed = true;  ///< already so when stage() returned (memory mode): committed() need not be awaited
};

struct Staged {
  Position first;           ///< position of the batch's first record; the others follow densely
  std::int64_t arrival_ms;  ///< the one arrival time that all records of the batch got
  Ticket ticket;
};

/// A moment's ends of a log. All counts only grow.
struct Progress {
  Position horizon;                  ///< oldest readable record, or `tip` when none is
  Position tip;                      ///< position the next committed record will have (in this epoch)
  std::int64_t tip_arrival_ms;       ///< arrival of the newest committed record; 0 when there never was one
  std::uint64_t records_total;       ///< ever committed
  std::uint64_t data_bytes_total;    ///< of data, ever committed
  std::uint64_t stored_bytes_total;  ///< heads, keys and data, ever committed
  std::uint64_t stored_bytes;        ///< held now
  bool ended;
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

  /// Waits until stored_bytes_total >= `stored_bytes_total` (true), or until `deadline` (false); ended logs give true
  /// at once. A putter compares one number, so a waiter costs puts nothing until its mark is reached.
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
};

/// The local engine, memory form: chunks from 16 KiB doubling to 1 MiB in reused huge-page regions, accounted to
/// Account::chunks. One retention sweep a minute on the domain clock for all logs, and one when the budget refuses.
/// Free memory is kept as far as the budget has room for it. The clock outlives the engine and its logs; the budget
/// outlives every RecordRun too.
struct MemoryEngineOptions {
  std::chrono::milliseconds sweep_every = std::chrono::minutes{1};
};
std::unique_ptr<Engine> make_memory_engine(Clock& clock, MemoryBudget& budget, MemoryEngineOptions options = {});

}  // namespace millrace::log
