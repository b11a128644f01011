#include "journal/commit_thread.hpp"

#include <pthread.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <stdexcept>

#include "journal/gathered_batch.hpp"
#include "millrace/base/thread.hpp"

namespace millrace::journal {

namespace {

/// What is written on a core: some tens of microseconds.
constexpr std::size_t kCoreBytesMax = 128 * 1024;
/// A write that takes longer and slept waited for the disk, and may again; cores then make none for a while.
constexpr std::chrono::milliseconds kCoreTimeMax{5}, kCoresRest{1'000};
/// Commits that a core makes in a row for others that found it at work.
constexpr int kCoreCommitsMax = 4;
/// After so many that were waited for by one coroutine a core commits at once, and looks again now and then.
constexpr unsigned kAloneMin = 4, kAtOnceMax = 16;

/// How often this thread has slept: when it waits for its turn on a busy core it does not.
long times_slept() noexcept {
  rusage usage{};
  return ::getrusage(RUSAGE_THREAD, &usage) == 0 ? usage.ru_nvcsw : 0;
}

Shelf::Options shelf_options(const Options& options) {
  Shelf::Options shelf;
  shelf.directory = options.directory;
  shelf.index = options.index;
  shelf.file_bytes = options.file_bytes;
  shelf.keys = options.keys;
  // Room that was never written to is as good where nothing is synced, and better: a page that is written to in part
  // is not read from the disk first.
  if (!options.sync) shelf.spares_max = 0;
  return shelf;
}

Writer::Options writer_options(const Options& options) {
  return {options.directory,        options.sync,       options.direct_from, options.file_bytes,
          options.commit_bytes_max, options.disk_limit, options.keys,        options.random};
}

}  // namespace

CommitThread::CommitThread(Files& files, Clock& clock, Options options, const Scanned& scanned, Pace pace)
    : clock_(clock),
      options_(std::move(options)),
      pace_(pace),
      shelf_(files, shelf_options(options_), scanned),
      writer_(files, writer_options(options_), shelf_, scanned),
      batch_(std::make_unique<GatheredBatch>(options_.commit_bytes_max)) {}

Result<> CommitThread::begin(const Scanned& scanned) {
  if (auto begun = writer_.begin(scanned, now_ms()); !begun) return begun;
  making_->journal = this;
  housekeeper_ = std::thread([this] { keep_house(); });
  committer_ = std::thread([this] { serve(); });
  ::pthread_setname_np(housekeeper_.native_handle(), "journal-files");
  ::pthread_setname_np(committer_.native_handle(), "journal");
  return {};
}

CommitThread::~CommitThread() {
  {
    std::lock_guard lock(making_->mutex);
    making_->journal = nullptr;
  }
  if (!committer_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  announced_.notify_one();
  committer_.join();
  {
    std::lock_guard lock(house_mutex_);
    house_stopping_ = true;
  }
  house_wanted_.notify_one();
  housekeeper_.join();
  whole_ = shelf_.write_footers() && whole_;
  shelf_.reap();
  writer_.close(whole_);
}

Journal::Turn CommitThread::announce(std::shared_ptr<Source> source, std::size_t bytes) {
  Turn turn = 0;
  {
    std::lock_guard lock(mutex_);
    turn = next_;
    dirty_bytes_ += std::min(bytes, kCoreBytesMax + 1);
    if (!source->announced_) {
      source->announced_ = true;
      dirty_.push_back(std::move(source));
    }
    const bool on_core = !options_.sync && dirty_bytes_ <= kCoreBytesMax;
    if (on_core || thread_wanted_) return turn;
    thread_wanted_ = true;
  }
  announced_.notify_one();
  return turn;
}

void CommitThread::want_thread() {
  {
    std::lock_guard lock(mutex_);
    thread_wanted_ = true;
  }
  announced_.notify_one();
}

void CommitThread::serve() {
  run_soon_after_waking();
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      announced_.wait(lock, [this] { return stopping_ || thread_wanted_; });
      thread_wanted_ = false;
      if (dirty_.empty() && stopping_) return;
    }
    {
      std::lock_guard making(making_->mutex);
      (void)commit_one(nullptr);
    }
    made(*making_);
  }
}

void CommitThread::made(Making& making) {
  if (!making.again.exchange(false)) return;
  std::lock_guard lock(making.mutex);
  if (making.journal) making.journal->want_thread();
}

void CommitThread::make_here(const std::shared_ptr<Making>& making, const Executor& executor, bool in_coroutine) {
  for (int commits = 1;; ++commits) {
    Waiting due;
    {
      std::unique_lock lock(making->mutex, std::try_to_lock);
      if (!lock) {
        // A core does not wait for a commit: whoever makes this one sees to the next.
        making->again = true;
        if (!lock.try_lock()) return;
      }
      making->again = false;
      if (making->journal) due = making->journal->serve_here(executor);
    }
    for (auto& [turn, resume] : due) in_coroutine ? resume(true) : resume.here(true);
    if (!making->again) return;
    if (commits == kCoreCommitsMax) return made(*making);
  }
}

bool CommitThread::better_at_once(const Executor& executor) {
  std::lock_guard lock(wait_mutex_);
  CoreWaiters& core = waiters_of(executor);
  return core.alone >= kAloneMin && !core.commit_posted && ++core.at_once <= kAtOnceMax;
}

CommitThread::Waiting CommitThread::serve_here(const Executor& executor) {
  using Steady = std::chrono::steady_clock;
  const auto start = Steady::now();
  std::size_t bytes = 0;
  {
    std::lock_guard lock(mutex_);
    if (dirty_.empty()) return {};
    bytes = dirty_bytes_;
  }
  if (bytes > kCoreBytesMax || start < cores_from_ || !writer_.has_room(bytes)) {
    want_thread();
    return {};
  }
  const long slept = times_slept();
  Waiting due = commit_one(&executor);
  if (Steady::now() - start > kCoreTimeMax && times_slept() != slept) cores_from_ = start + kCoresRest;
  return due;
}

CommitThread::Waiting CommitThread::commit_one(const Executor* here) {
  Turn turn = 0;
  {
    std::lock_guard lock(mutex_);
    if (dirty_.empty()) return {};
    turn = next_++;
    committing_.swap(dirty_);
    dirty_bytes_ = 0;
    // What is staged from now on is announced anew, though this commit may still take it along.
    for (const auto& source : committing_) source->announced_ = false;
  }
  commit();
  committing_.clear();
  return wake(turn, here);
}

void CommitThread::commit() {
  GatheredBatch& batch = *batch_;
  batch.begin();
  frames_of_.clear();
  Sources left;
  for (const auto& source : committing_) {
    if (batch.full()) {
      left.push_back(source);
      continue;
    }
    const std::size_t before = batch.size();
    if (source->gather(batch)) left.push_back(source);
    frames_of_.push_back(batch.size() - before);
  }
  Result<> outcome;
  std::span<const Lsn> places;
  if (batch.size() > 0) {
    const Generation before = writer_.generation();
    const auto written = writer_.commit(batch.frames(), now_ms());
    if (written)
      places = *written;
    else
      outcome = written.error();
    const bool first_unsynced = written && !options_.sync && !unsynced_.exchange(true);
    if (first_unsynced || writer_.generation() != before) want_house_kept();
  }
  for (std::size_t i = 0; i < frames_of_.size(); ++i) {
    const std::size_t theirs = places.empty() ? 0 : frames_of_[i];
    committing_[i]->settled(outcome, places.first(theirs));
    places = places.subspan(theirs);
  }
  for (auto& source : left) announce(std::move(source), SIZE_MAX);
}

void CommitThread::want_house_kept() {
  {
    std::lock_guard lock(house_mutex_);
    wanted_ = true;
  }
  house_wanted_.notify_one();
}

void CommitThread::keep_house() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point synced = Clock::now();
  bool work_left = false;
  std::unique_lock lock(house_mutex_);
  for (;;) {
    auto until = Clock::time_point::max();
    if (writer_.blocked()) until = std::min(until, Clock::now() + pace_.retry);
    if (unsynced_) until = std::min(until, synced + pace_.sync);
    if (work_left) until = std::min(until, Clock::now() + pace_.piece_ahead);
    const auto due = [this] { return house_stopping_ || wanted_; };
    if (until == Clock::time_point::max())
      house_wanted_.wait(lock, due);
    else
      house_wanted_.wait_until(lock, until, due);
    if (house_stopping_) return;
    const bool wanted = std::exchange(wanted_, false);
    const std::uint64_t round = rounds_wanted_;
    lock.unlock();
    // A failure shows when the file is needed: the commit that needs it makes it, or fails.
    if (wanted || writer_.blocked()) {
      shelf_.reap();
      (void)writer_.prepare(now_ms());
      whole_ = shelf_.write_footers() && whole_;
      shelf_.reap();
    }
    if (unsynced_ && Clock::now() >= synced + pace_.sync) {
      unsynced_ = false;
      whole_ = writer_.sync_written() && whole_;
      synced = Clock::now();
    }
    work_left = writer_.work_ahead();
    lock.lock();
    rounds_kept_ = round;
    house_kept_.notify_all();
  }
}

void CommitThread::drop(Generation file) {
  shelf_.drop(file);
  want_house_kept();
}

void CommitThread::drop_before(Generation file) {
  shelf_.drop_before(file);
  want_house_kept();
}

void CommitThread::wait_for_house() {
  std::unique_lock lock(house_mutex_);
  const std::uint64_t round = ++rounds_wanted_;
  wanted_ = true;
  house_wanted_.notify_one();
  house_kept_.wait(lock, [&] { return rounds_kept_ >= round; });
}

Result<std::vector<Generation>> CommitThread::end_file() {
  // What takes long of it, while commits go on.
  if (auto prepared = writer_.prepare(now_ms()); !prepared) return prepared.error();
  Result<> ended;
  std::vector<Generation> wanted;
  {
    std::lock_guard lock(making_->mutex);
    ended = writer_.end_file(now_ms());
    wanted = shelf_.wanted();
  }
  made(*making_);
  if (!ended) return ended.error();
  return wanted;
}

Result<SnapshotFiles> CommitThread::snapshot(const std::filesystem::path& directory) {
  std::lock_guard one_at_a_time(snapshot_mutex_);
  Result<SnapshotFiles> out;
  {
    const Shelf::Held held(shelf_);
    const auto wanted = end_file();
    if (!wanted) return wanted.error();
    wait_for_house();
    out = shelf_.put_into(directory, *wanted);
  }
  want_house_kept();
  return out;
}

awaitable<void> CommitThread::over(Turn turn) {
  if (over_.load(std::memory_order_acquire) >= turn) co_return;
  const Executor executor = co_await boost::asio::this_coro::executor;
  if (!options_.sync && better_at_once(executor)) {
    make_here(making_, executor, true);
    if (over_.load(std::memory_order_acquire) >= turn) co_return;
  }
  auto park = [this, turn, executor](Resume<bool> resume) { wait(turn, executor, std::move(resume)); };
  (void)co_await suspend<bool>(park);
}

CommitThread::CoreWaiters& CommitThread::waiters_of(const Executor& executor) {
  const auto core = std::find_if(waiters_.begin(), waiters_.end(),
                                 [&](const CoreWaiters& waiters) { return waiters.executor == executor; });
  return core != waiters_.end() ? *core : waiters_.emplace_back(CoreWaiters{executor, {}});
}

void CommitThread::wait(Turn turn, Executor executor, Resume<bool> resume) {
  {
    std::lock_guard lock(wait_mutex_);
    if (over_.load(std::memory_order_acquire) < turn) {
      CoreWaiters& waiters = waiters_of(executor);
      waiters.waiting.emplace_back(turn, std::move(resume));
      if (!options_.sync && !waiters.commit_posted) post_commit(waiters);
    }
  }
  if (resume) resume(true);
}

void CommitThread::post_commit(CoreWaiters& core) {
  core.commit_posted = true;
  core.at_once = 0;
  boost::asio::post(core.executor,
                    [making = making_, executor = core.executor] { make_here(making, executor, false); });
}

CommitThread::Waiting CommitThread::wake(Turn turn, const Executor* here) {
  Waiting due_here;
  std::lock_guard lock(wait_mutex_);
  over_.store(turn, std::memory_order_release);
  for (CoreWaiters& core : waiters_) {
    const auto later = std::stable_partition(core.waiting.begin(), core.waiting.end(),
                                             [turn](const auto& waiter) { return waiter.first <= turn; });
    core.commit_posted = false;
    if (later != core.waiting.end() && !options_.sync) post_commit(core);
    if (later == core.waiting.begin()) continue;
    Waiting due(std::make_move_iterator(core.waiting.begin()), std::make_move_iterator(later));
    core.waiting.erase(core.waiting.begin(), later);
    core.alone = due.size() == 1 ? core.alone + 1 : 0;
    if (here && core.executor == *here) {
      due_here = std::move(due);
      continue;
    }
    boost::asio::post(core.executor, [due = std::move(due)]() mutable {
      for (auto& [number, resume] : due) resume.here(true);
    });
  }
  return due_here;
}

std::uint64_t CommitThread::room() {
  const std::uint64_t limit = options_.disk_limit - std::min(options_.disk_limit, shelf_.disk_bytes());
  const auto free = shelf_.free_bytes();
  return free ? std::min(limit, *free) : 0;
}

FileError as_file_error(const Error& error) { return {error.code == Errc::full ? ENOSPC : EIO, error.detail}; }

FileResult<SnapshotFiles> snapshot_of(Journal& journal, const std::filesystem::path& directory) {
  auto made = journal.snapshot(directory);
  if (made) return *made;
  return as_file_error(made.error());
}

Result<std::unique_ptr<Journal>> make_journal(Files& files, Clock& clock, Options options, const Scanned& found) {
  if (options.index && found.found && !found.found->indexed)
    throw std::logic_error("a journal with an index goes on from scan_index()");
  if (options.keys && !options.random) throw std::logic_error("sealing needs randomness");
  auto journal = std::make_unique<CommitThread>(files, clock, std::move(options), found);
  if (auto begun = journal->begin(found); !begun) return begun.error();
  return std::unique_ptr<Journal>(std::move(journal));
}

}  // namespace millrace::journal
