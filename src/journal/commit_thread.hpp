#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "journal/writer.hpp"
#include "millrace/base/suspend.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

/// Two threads: one gathers, writes and settles, one commit after the other; the other makes the next file meanwhile.
class CommitThread final : public Journal {
 public:
  CommitThread(Files& files, Clock& clock, Options options, const Scanned& found);
  ~CommitThread() override;

  Turn announce(std::shared_ptr<Source> source) override;
  awaitable<void> over(Turn turn) override;

 private:
  using Sources = std::vector<std::shared_ptr<Source>>;
  struct CoreWaiters {
    Executor executor;
    std::vector<std::pair<Turn, Resume<bool>>> waiting;
  };

  void serve();
  void prepare_ahead();
  void commit(const Sources& sources);
  void wait(Turn turn, Executor executor, Resume<bool> resume);
  void wake(Turn turn);
  std::int64_t now_ms() const noexcept { return clock_.now().time_since_epoch().count(); }

  Clock& clock_;
  const Options options_;
  Writer writer_;

  std::mutex mutex_;
  std::condition_variable announced_;
  Sources dirty_;
  Turn next_ = 1;
  bool stopping_ = false;

  std::mutex prepare_mutex_;
  std::condition_variable file_begun_;
  bool prepare_wanted_ = true, prepare_stopping_ = false;

  std::atomic<Turn> over_{0};
  std::mutex wait_mutex_;
  std::vector<CoreWaiters> waiters_;  // one a core

  std::thread preparer_, committer_;
};

}  // namespace millrace::journal
