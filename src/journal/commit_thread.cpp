#include "journal/commit_thread.hpp"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <deque>

namespace millrace::journal {

namespace {

/// Views of one commit: frames point into `pieces_`, which moves nothing that it holds.
class GatheredBatch final : public Batch {
 public:
  explicit GatheredBatch(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  bool full() const noexcept override { return bytes_ >= bytes_max_; }
  void add(const Frame& frame, std::span<const ByteView> payload) override {
    pieces_.emplace_back(payload.begin(), payload.end());
    frames_.push_back({frame, pieces_.back()});
    for (const ByteView piece : payload) bytes_ += piece.size();
  }
  std::span<const OutFrame> frames() const noexcept { return frames_; }

 private:
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::deque<std::vector<ByteView>> pieces_;
  std::vector<OutFrame> frames_;
};

}  // namespace

CommitThread::CommitThread(Files& files, Clock& clock, Options options, const Scanned& found)
    : clock_(clock),
      options_(std::move(options)),
      writer_(files, {options_.directory, options_.sync, options_.file_bytes}, found.last, found.end) {
  preparer_ = std::thread([this] { prepare_ahead(); });
  committer_ = std::thread([this] { serve(); });
  ::pthread_setname_np(preparer_.native_handle(), "journal-files");
  ::pthread_setname_np(committer_.native_handle(), "journal");
}

CommitThread::~CommitThread() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  announced_.notify_one();
  committer_.join();
  {
    std::lock_guard lock(prepare_mutex_);
    prepare_stopping_ = true;
  }
  file_begun_.notify_one();
  preparer_.join();
}

Journal::Turn CommitThread::announce(std::shared_ptr<Source> source) {
  Turn turn = 0;
  {
    std::lock_guard lock(mutex_);
    turn = next_;
    if (source->announced_) return turn;
    source->announced_ = true;
    dirty_.push_back(std::move(source));
    if (dirty_.size() > 1) return turn;
  }
  announced_.notify_one();
  return turn;
}

void CommitThread::serve() {
  Sources sources;
  for (;;) {
    Turn turn = 0;
    {
      std::unique_lock lock(mutex_);
      announced_.wait(lock, [this] { return stopping_ || !dirty_.empty(); });
      if (dirty_.empty()) return;
      turn = next_++;
      sources.swap(dirty_);
      // What is staged from now on is announced anew, though this commit may still take it along.
      for (const auto& source : sources) source->announced_ = false;
    }
    commit(sources);
    sources.clear();
    wake(turn);
  }
}

void CommitThread::commit(const Sources& sources) {
  GatheredBatch batch(options_.commit_bytes_max);
  std::size_t gathered = 0;
  Sources left;
  for (const auto& source : sources) {
    if (batch.full()) {
      left.push_back(source);
      continue;
    }
    if (source->gather(batch)) left.push_back(source);
    ++gathered;
  }
  Result<> outcome;
  if (!batch.frames().empty()) {
    const Generation before = writer_.generation();
    if (auto written = writer_.commit(batch.frames(), now_ms()); !written) outcome = written.error();
    if (writer_.generation() != before) {
      {
        std::lock_guard lock(prepare_mutex_);
        prepare_wanted_ = true;
      }
      file_begun_.notify_one();
    }
  }
  for (std::size_t i = 0; i < gathered; ++i) sources[i]->settled(outcome);
  for (auto& source : left) announce(std::move(source));
}

void CommitThread::prepare_ahead() {
  std::unique_lock lock(prepare_mutex_);
  for (;;) {
    file_begun_.wait(lock, [this] { return prepare_stopping_ || prepare_wanted_; });
    if (prepare_stopping_) return;
    prepare_wanted_ = false;
    lock.unlock();
    // A failure shows when the file is needed: the commit that needs it makes it, or fails.
    (void)writer_.prepare(now_ms());
    lock.lock();
  }
}

awaitable<void> CommitThread::over(Turn turn) {
  if (over_.load(std::memory_order_acquire) >= turn) co_return;
  const Executor executor = co_await boost::asio::this_coro::executor;
  auto park = [this, turn, executor](Resume<bool> resume) { wait(turn, executor, std::move(resume)); };
  (void)co_await suspend<bool>(park);
}

void CommitThread::wait(Turn turn, Executor executor, Resume<bool> resume) {
  {
    std::lock_guard lock(wait_mutex_);
    if (over_.load(std::memory_order_acquire) < turn) {
      const auto core = std::find_if(waiters_.begin(), waiters_.end(),
                                     [&](const CoreWaiters& waiters) { return waiters.executor == executor; });
      CoreWaiters& waiters = core != waiters_.end() ? *core : waiters_.emplace_back(CoreWaiters{executor, {}});
      waiters.waiting.emplace_back(turn, std::move(resume));
      return;
    }
  }
  resume(true);
}

void CommitThread::wake(Turn turn) {
  std::lock_guard lock(wait_mutex_);
  over_.store(turn, std::memory_order_release);
  for (CoreWaiters& core : waiters_) {
    const auto later = std::stable_partition(core.waiting.begin(), core.waiting.end(),
                                             [turn](const auto& waiter) { return waiter.first <= turn; });
    if (later == core.waiting.begin()) continue;
    std::vector<std::pair<Turn, Resume<bool>>> due(std::make_move_iterator(core.waiting.begin()),
                                                   std::make_move_iterator(later));
    core.waiting.erase(core.waiting.begin(), later);
    boost::asio::post(core.executor, [due = std::move(due)]() mutable {
      for (auto& [number, resume] : due) resume.here(true);
    });
  }
}

std::unique_ptr<Journal> make_journal(Files& files, Clock& clock, Options options, const Scanned& found) {
  return std::make_unique<CommitThread>(files, clock, std::move(options), found);
}

}  // namespace millrace::journal
