#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "journal/shelf.hpp"
#include "journal/writer.hpp"
#include "millrace/base/suspend.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

class GatheredBatch;

/// How often the thread behind commits does what nobody waits for.
struct Pace {
  std::chrono::milliseconds retry{1'000};    ///< of a file that there was no room for
  std::chrono::milliseconds sync{1'000};     ///< of what was written and acknowledged, without Options::sync
  std::chrono::milliseconds piece_ahead{8};  ///< 32 MiB/s: heavy load is not to write everything twice
};

/// Two threads: one gathers, writes and settles, one commit after the other; the other makes files, finishes them and
/// takes away what was dropped.
class CommitThread final : public Journal {
 public:
  CommitThread(Files& files, Clock& clock, Options options, const Scanned& scanned, Pace pace = {});
  ~CommitThread() override;
  /// Before anything else.
  Result<> begin(const Scanned& scanned);

  Turn announce(std::shared_ptr<Source> source, std::size_t bytes) override;
  awaitable<void> over(Turn turn) override;

  Generation generation() const noexcept override { return writer_.generation(); }
  Lsn synced() const noexcept override { return writer_.synced(); }
  bool full() const noexcept override { return writer_.full(); }
  void drop(Generation file) override;
  void drop_before(Generation file) override;
  std::uint64_t disk_bytes() const noexcept override { return shelf_.disk_bytes(); }
  Result<std::vector<Place>> places(Generation file, std::uint64_t log, std::uint64_t from,
                                    std::uint64_t bytes_max) override {
    return shelf_.places(file, log, from, bytes_max);
  }
  Result<std::optional<Place>> place_at(Generation file, std::uint64_t log, std::int64_t at_ms) override {
    return shelf_.place_at(file, log, at_ms);
  }
  void will_read(std::span<const Place> places) noexcept override { shelf_.will_read(places); }
  bool will_read(Generation file, std::uint64_t offset, std::uint64_t bytes) noexcept override {
    return shelf_.will_read(file, offset, bytes);
  }
  Result<> read(std::span<const Place> places, std::span<char> to, std::size_t* whole) override {
    return shelf_.read(places, to, whole);
  }
  std::vector<Scattered> scattered() const override { return shelf_.scattered(); }
  void forget_reads(Generation file) override { shelf_.forget_reads(file); }
  std::uint64_t room() override;
  Result<SnapshotFiles> snapshot(const std::filesystem::path& directory) override;

 private:
  using Sources = std::vector<std::shared_ptr<Source>>;
  using Waiting = std::vector<std::pair<Turn, Resume<bool>>>;
  struct CoreWaiters {
    Executor executor;
    Waiting waiting;
    bool commit_posted = false;
    unsigned alone = 0;    // posted commits in a row that one coroutine waited for
    unsigned at_once = 0;  // commits since the last posted one
  };
  /// Held while a commit is made; outlives the journal on the cores that are to make one.
  struct Making {
    std::mutex mutex;
    CommitThread* journal = nullptr;  // null when that has ended
    std::atomic<bool> again{false};   // a core has found it held
  };

  void serve();
  /// On a core: makes a commit there, or leaves it to the thread.
  static void make_here(const std::shared_ptr<Making>& making, const Executor& executor, bool in_coroutine);
  /// Whether hardly any others would join a commit on this core that waits until what is ready there has run.
  bool better_at_once(const Executor& executor);
  Waiting serve_here(const Executor& executor);
  static void made(Making& making);
  /// Makes one commit. Its waiters on `here` are given back, others woken.
  Waiting commit_one(const Executor* here);
  void commit();
  void wait(Turn turn, Executor executor, Resume<bool> resume);
  Waiting wake(Turn turn, const Executor* here);
  void want_thread();
  CoreWaiters& waiters_of(const Executor& executor);
  void post_commit(CoreWaiters& core);

  void keep_house();
  /// Makes what thread 2 waits for true.
  void want_house_kept();
  /// Until all that is to be done now has been.
  void wait_for_house();
  /// Ends the file in use. Gives the files that are wanted then.
  Result<std::vector<Generation>> end_file();
  std::int64_t now_ms() const noexcept { return clock_.now().time_since_epoch().count(); }

  Clock& clock_;
  const Options options_;
  const Pace pace_;
  Shelf shelf_;
  Writer writer_;

  // Of who makes a commit.
  const std::unique_ptr<GatheredBatch> batch_;
  Sources committing_;
  std::vector<std::size_t> frames_of_;  // how many frames each of them gave

  std::mutex mutex_;
  std::condition_variable announced_;
  Sources dirty_;
  Turn next_ = 1;
  std::size_t dirty_bytes_ = 0;
  bool stopping_ = false, thread_wanted_ = false;
  const std::shared_ptr<Making> making_ = std::make_shared<Making>();
  /// No commits on the cores before: a write was held up, as it is when the disk falls behind.
  std::chrono::steady_clock::time_point cores_from_{};

  std::mutex house_mutex_;
  std::condition_variable house_wanted_;
  bool wanted_ = true, house_stopping_ = false;
  std::condition_variable house_kept_;
  std::uint64_t rounds_wanted_ = 0, rounds_kept_ = 0;
  std::mutex snapshot_mutex_;
  std::atomic<bool> unsynced_{false};  // something was written since the last sync behind commits
  bool whole_ = true;                  // no sync failed; of thread 2

  std::atomic<Turn> over_{0};
  std::mutex wait_mutex_;
  std::vector<CoreWaiters> waiters_;  // one a core

  std::thread housekeeper_, committer_;
};

}  // namespace millrace::journal
