#include <algorithm>
#include <mutex>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "log/memory_log.hpp"

namespace millrace::log {
namespace {

/// What the engine and its timer share; ends with the last of them.
///
/// Each log stands in a queue under the time before which nothing of it expires: a sweep looks at those that are due,
/// however many others there are.
class Registry final : public Expiry, public std::enable_shared_from_this<Registry> {
 public:
  Registry(Clock& clock, MemoryBudget& budget, MemoryEngineOptions options)
      : clock_(clock), options_(options), pool_(std::make_shared<ChunkPool>(budget)) {}

  std::shared_ptr<MemoryLog> create(LogId id, const LogOptions& options) {
    auto log = std::make_shared<MemoryLog>(id, options, clock_, pool_, weak_from_this());
    {
      std::lock_guard lock(mutex_);
      if (!logs_.emplace(id, Held{log}).second) return nullptr;
      queue_.emplace(0, id);
    }
    arm();
    return log;
  }

  std::shared_ptr<MemoryLog> find(LogId id) {
    std::lock_guard lock(mutex_);
    const auto found = logs_.find(id);
    return found == logs_.end() ? nullptr : found->second.log;
  }

  bool remove(LogId id) {
    std::shared_ptr<MemoryLog> log;
    Clock::TimerId idle = 0;
    bool disarm = false;
    {
      std::lock_guard lock(mutex_);
      const auto found = logs_.find(id);
      if (found == logs_.end()) return false;
      log = std::move(found->second.log);
      queue_.erase({found->second.nothing_before_ms, id});
      logs_.erase(found);
      disarm = logs_.empty() && std::exchange(armed_, false);
      idle = timer_;
    }
    if (disarm) clock_.cancel(idle);
    log->remove();
    return true;
  }

  void close() {
    decltype(logs_) logs;
    Clock::TimerId timer = 0;
    bool disarm = false;
    {
      std::lock_guard lock(mutex_);
      logs.swap(logs_);
      queue_.clear();
      disarm = std::exchange(armed_, false);
      timer = timer_;
    }
    if (disarm) clock_.cancel(timer);
    for (const auto& [id, held] : logs) held.log->remove();
  }

  void expire_all() override {
    const std::lock_guard turn(sweeping_);  // whoever had to wait finds done what it came for
    const std::int64_t now = clock_.now().time_since_epoch().count();
    std::vector<Due> due;
    {
      std::lock_guard lock(mutex_);
      while (!queue_.empty() && queue_.begin()->first <= now) {
        const LogId id = queue_.begin()->second;
        queue_.erase(queue_.begin());
        const Held& held = logs_.at(id);
        due.push_back({id, held.log, held.reconsidered, 0});
      }
    }
    if (due.empty()) return;
    for (Due& one : due) one.nothing_before_ms = one.log->expire();
    std::lock_guard lock(mutex_);
    for (const Due& one : due) {
      const auto found = logs_.find(one.id);
      if (found == logs_.end() || found->second.log != one.log) continue;
      place(found->first, found->second, found->second.reconsidered == one.reconsidered ? one.nothing_before_ms : 0);
    }
  }

  void reconsider(LogId id) noexcept override {
    std::lock_guard lock(mutex_);
    const auto found = logs_.find(id);
    if (found == logs_.end()) return;
    ++found->second.reconsidered;
    place(id, found->second, 0);
  }

 private:
  struct Held {
    std::shared_ptr<MemoryLog> log;
    std::int64_t nothing_before_ms = 0;
    std::uint64_t reconsidered = 0;
  };
  struct Due {
    LogId id;
    std::shared_ptr<MemoryLog> log;
    std::uint64_t reconsidered;
    std::int64_t nothing_before_ms;
  };

  // With mutex_ held.
  void place(LogId id, Held& held, std::int64_t nothing_before_ms) {
    queue_.erase({held.nothing_before_ms, id});
    held.nothing_before_ms = nothing_before_ms;
    queue_.emplace(nothing_before_ms, id);
  }

  // One timer for all logs, none when there is no log. The clock is asked with no lock held: it may fire at once.
  void arm() {
    std::uint64_t generation = 0;
    {
      std::lock_guard lock(mutex_);
      if (armed_ || logs_.empty()) return;
      armed_ = true;
      generation = ++generation_;
    }
    const Clock::TimerId timer =
        clock_.call_at(clock_.now() + options_.sweep_every, [weak = weak_from_this(), generation] {
          if (const auto self = weak.lock()) self->fire(generation);
        });
    {
      std::lock_guard lock(mutex_);
      if (armed_ && generation == generation_) {
        timer_ = timer;
        return;
      }
    }
    clock_.cancel(timer);
  }

  void fire(std::uint64_t generation) {
    {
      std::lock_guard lock(mutex_);
      if (!armed_ || generation != generation_) return;  // disarmed, perhaps armed anew, while this was on its way
    }
    expire_all();
    pool_->trim();
    {
      std::lock_guard lock(mutex_);
      if (!armed_ || generation != generation_) return;
      armed_ = false;
    }
    arm();
  }

  Clock& clock_;
  const MemoryEngineOptions options_;
  const std::shared_ptr<ChunkPool> pool_;
  std::mutex sweeping_;  // before mutex_
  std::mutex mutex_;
  std::unordered_map<LogId, Held> logs_;
  std::set<std::pair<std::int64_t, LogId>> queue_;  // by nothing_before_ms; without those that a sweep has in hand
  bool armed_ = false;
  std::uint64_t generation_ = 0;
  Clock::TimerId timer_ = 0;
};

class MemoryEngine final : public Engine {
 public:
  MemoryEngine(Clock& clock, MemoryBudget& budget, MemoryEngineOptions options)
      : registry_(std::make_shared<Registry>(clock, budget, options)) {}
  ~MemoryEngine() override { registry_->close(); }

  awaitable<Result<std::shared_ptr<Log>>> create(LogId id, LogOptions options) override {
    std::shared_ptr<Log> log = registry_->create(id, options);
    if (!log) co_return Error{Errc::conflict, {}};
    co_return log;
  }
  awaitable<Result<std::shared_ptr<Log>>> open(LogId id) override {
    std::shared_ptr<Log> log = registry_->find(id);
    if (!log) co_return Error{Errc::not_found, {}};
    co_return log;
  }
  awaitable<Result<>> remove(LogId id) override {
    if (!registry_->remove(id)) co_return Error{Errc::not_found, {}};
    co_return Result<>{};
  }
  awaitable<Result<>> committed(std::span<const Ticket>) override { co_return Result<>{}; }

 private:
  const std::shared_ptr<Registry> registry_;
};

}  // namespace

std::unique_ptr<Engine> make_memory_engine(Clock& clock, MemoryBudget& budget, MemoryEngineOptions options) {
  return std::make_unique<MemoryEngine>(clock, budget, options);
}

}  // namespace millrace::log
