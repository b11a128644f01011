#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <vector>

#include "log/chunk_pool.hpp"
#include "millrace/base/files.hpp"
#include "millrace/journal/journal.hpp"
#include "millrace/log/engine.hpp"

namespace millrace::log {

class LocalLog;

/// A share of a whole, in eighths.
struct Eighths {
  std::size_t eighths;
  constexpr std::size_t of(std::size_t whole) const noexcept { return whole / 8 * eighths; }
};
// Of the memory that records may take: above the high mark spilling begins, at the low one it ends; what readers of
// files may hold before their pages get small; where puts wait for what is being spilled.
inline constexpr Eighths kHighWater{6}, kLowWater{5}, kColdShare{2}, kShort{7};

/// Where records are besides in memory.
enum class Keeping {
  memory,  ///< nowhere
  spill,   ///< closed chunks go to files when memory runs short
  durable  ///< all of them, before they are acknowledged
};

/// What the logs of one engine share: chunk memory, and the files that records go to. Thread-safe.
///
/// A file is wanted while a log has a part of it; the last part that goes takes the file along.
class Storage final : public std::enable_shared_from_this<Storage> {
 public:
  explicit Storage(std::shared_ptr<ChunkPool> pool) : pool_(std::move(pool)) {}
  /// Durable. @param threads  outlive this
  Storage(std::shared_ptr<ChunkPool> pool, std::unique_ptr<journal::Journal> journal, FileThreads& threads,
          bool serve_damaged);
  /// Spilling, to files that are made when they are first needed.
  using MakeJournal = std::function<journal::Result<std::unique_ptr<journal::Journal>>()>;
  Storage(std::shared_ptr<ChunkPool> pool, MakeJournal make_journal, FileThreads& threads);
  ~Storage();

  ChunkPool& pool() noexcept { return *pool_; }
  Keeping keeping() const noexcept { return keeping_; }
  /// There are files, or may be any moment.
  bool may_have_files() const noexcept { return keeping_ != Keeping::memory; }
  bool has_files() const noexcept { return journal_.load(std::memory_order_acquire) != nullptr; }
  bool durable() const noexcept { return keeping_ == Keeping::durable; }
  /// Valid until close() for who stages or reads; where has_files().
  journal::Journal& journal() const noexcept { return *journal_.load(std::memory_order_acquire); }
  FileThreads& threads() const noexcept { return *threads_; }
  /// A damaged frame is passed over instead of stopping its readers.
  bool serve_damaged() const noexcept { return serve_damaged_; }

  /// A log has a part more in a file, or a part that is larger by `bytes`.
  void use(journal::Generation file, std::uint64_t bytes);
  void grow(journal::Generation file, std::uint64_t bytes);
  /// Logs have these parts no more. To be called with no lock held: gives files back.
  void unuse(std::span<const journal::Part> parts);
  /// Closed files of which less than half is wanted, those first that hold the least.
  std::vector<journal::Generation> sparse_files();
  /// This file is damaged: it is not among those above and below any more, as long as it is there.
  void leave_alone(journal::Generation file);
  /// Closed files that are read in many places, and have taken as much of the disk for it as putting together what
  /// belongs together does: who rewrites them then has never done more than twice what would have been best. In order.
  struct WantedFile {
    journal::Generation file;
    std::uint64_t bytes;  ///< that are wanted
  };
  std::vector<WantedFile> scattered_files();

  /// Asked when memory is short and all closed chunks are in files: what could be closed is.
  void on_short(std::function<void()> close_more) { close_more_ = std::move(close_more); }
  /// The chunk of `log` that begins at `base` will not grow any more.
  void chunk_closed(const std::shared_ptr<LocalLog>& log, std::uint64_t base);
  /// Lets go of chunks that are in files, the oldest first, until `bytes` fit or there are none; where they are not,
  /// sees to it that they get there.
  void make_room(std::size_t bytes);
  /// Chunks are on their way to files and memory is nearly full.
  bool short_of_room() const noexcept {
    if (!spiller_ || pool_->used_by_all() <= kShort.of(pool_->bytes_max())) return false;
    return has_files() ? !journal().full() : beginning_.load(std::memory_order_relaxed);
  }
  awaitable<void> wait_for_room();
  /// Memory for `bytes` of records out of files. Empty when there is none to be had.
  std::shared_ptr<char> cold_memory(std::size_t bytes);
  /// Readers of files hold more than their share: pages should be small.
  bool many_cold() const noexcept;

  /// Held while a file is read: close() waits for it. False when it is too late.
  class Reading {
   public:
    explicit Reading(Storage& storage) noexcept : storage_(storage), there_(storage.begin_reading()) {}
    ~Reading() {
      if (there_) storage_.end_reading();
    }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;
    explicit operator bool() const noexcept { return there_; }

   private:
    Storage& storage_;
    const bool there_;
  };

  void count_damage(const std::string& detail);
  std::uint64_t damaged() const noexcept { return damaged_.load(std::memory_order_relaxed); }
  void count_failure() noexcept {
    failures_.fetch_add(1, std::memory_order_relaxed);
    failing_.store(true, std::memory_order_relaxed);
  }
  void count_success() noexcept {
    if (failing()) failing_.store(false, std::memory_order_relaxed);
  }
  bool failing() const noexcept { return failing_.load(std::memory_order_relaxed); }
  std::uint64_t failures() const noexcept { return failures_.load(std::memory_order_relaxed); }
  void count_file_read() noexcept { file_reads_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t file_reads() const noexcept { return file_reads_.load(std::memory_order_relaxed); }
  void count_rewritten(std::uint64_t bytes) noexcept { rewritten_.fetch_add(bytes, std::memory_order_relaxed); }
  std::uint64_t rewritten() const noexcept { return rewritten_.load(std::memory_order_relaxed); }
  void count_evicted() noexcept { evicted_.fetch_add(1, std::memory_order_relaxed); }
  std::uint64_t evicted() const noexcept { return evicted_.load(std::memory_order_relaxed); }

  /// Commits what is announced and lets the files go. Nothing is staged any more.
  void close();

 private:
  class Spiller;
  struct Closed {
    std::weak_ptr<LocalLog> log;
    std::uint64_t base;
  };
  bool begin_reading() noexcept;
  void end_reading() noexcept;
  std::optional<Closed> take_closed();
  bool evict_one();
  void spill_when_high();
  void begin_files();
  void make_files();

  const std::shared_ptr<ChunkPool> pool_;
  // The pointer stays while the journal ends: it still commits then.
  std::unique_ptr<journal::Journal> owned_journal_;
  std::atomic<journal::Journal*> journal_{nullptr};
  FileThreads* threads_ = nullptr;
  const Keeping keeping_ = Keeping::memory;
  const bool serve_damaged_ = false;
  std::shared_ptr<Spiller> spiller_;
  const MakeJournal make_journal_;
  std::mutex beginning_mutex_;
  std::condition_variable begun_;
  std::atomic<bool> beginning_{false};  // or there are files; written under the mutex

  std::mutex files_mutex_;
  struct InFile {
    std::uint64_t parts = 0, bytes = 0;  // that are wanted
    std::uint64_t bytes_ever = 0;
    bool left_alone = false;
  };
  std::unordered_map<std::uint32_t, InFile> in_files_;
  std::set<std::uint32_t> unwanted_;  // wanted by none while they were written to
  std::uint32_t newest_ = 0;          // the newest known

  std::function<void()> close_more_;
  std::mutex closed_mutex_;
  std::deque<Closed> closed_;  // oldest first

  std::mutex reading_mutex_;
  std::condition_variable read_;
  std::size_t reading_ = 0;
  bool closing_ = false;

  std::atomic<std::size_t> cold_bytes_{0};
  std::atomic<std::uint64_t> damaged_{0}, failures_{0}, file_reads_{0}, evicted_{0}, rewritten_{0};
  std::atomic<bool> failing_{false};
};

}  // namespace millrace::log
