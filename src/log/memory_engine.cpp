#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "log/memory_log.hpp"

namespace millrace::log {
namespace {

/// What the engine and its timer share; ends with the last of them.
class Registry final : public Expiry, public std::enable_shared_from_this<Registry> {
 public:
  Registry(Clock& clock, MemoryBudget& budget, MemoryEngineOptions options)
      : clock_(clock), options_(options), pool_(std::make_shared<ChunkPool>(budget)) {}

  std::shared_ptr<MemoryLog> create(LogId id, const LogOptions& options) {
    auto log = std::make_shared<MemoryLog>(id, options, clock_, pool_, weak_from_this());
    {
      std::lock_guard lock(mutex_);
      if (!logs_.emplace(id, log).second) return nullptr;
      nothing_before_ms_ = 0;
      ++changes_;
    }
    arm();
    return log;
  }

  std::shared_ptr<MemoryLog> find(LogId id) {
    std::lock_guard lock(mutex_);
    const auto found = logs_.find(id);
    return found == logs_.end() ? nullptr : found->second;
  }

  bool remove(LogId id) {
    std::shared_ptr<MemoryLog> log;
    Clock::TimerId idle = 0;
    bool disarm = false;
    {
      std::lock_guard lock(mutex_);
      const auto found = logs_.find(id);
      if (found == logs_.end()) return false;
      log = std::move(found->second);
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
      disarm = std::exchange(armed_, false);
      timer = timer_;
    }
    if (disarm) clock_.cancel(timer);
    for (const auto& [id, log] : logs) log->remove();
  }

  void expire_all() override {
    {
      std::lock_guard lock(mutex_);
      if (clock_.now().time_since_epoch().count() < nothing_before_ms_) return;
    }
    sweep();
  }

  void reconsider() noexcept override {
    std::lock_guard lock(mutex_);
    nothing_before_ms_ = 0;
    ++changes_;
  }

 private:
  void sweep() {
    std::vector<std::shared_ptr<MemoryLog>> logs;
    std::uint64_t changes = 0;
    {
      std::lock_guard lock(mutex_);
      logs.reserve(logs_.size());
      for (const auto& [id, log] : logs_) logs.push_back(log);
      changes = changes_;
    }
    std::int64_t next = INT64_MAX;
    for (const auto& log : logs) next = std::min(next, log->expire());
    std::lock_guard lock(mutex_);
    if (changes == changes_) nothing_before_ms_ = next;
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
    sweep();
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
  std::mutex mutex_;
  std::unordered_map<LogId, std::shared_ptr<MemoryLog>> logs_;
  bool armed_ = false;
  std::uint64_t generation_ = 0;
  Clock::TimerId timer_ = 0;
  std::int64_t nothing_before_ms_ = 0;  // no chunk expires before this
  std::uint64_t changes_ = 0;
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
