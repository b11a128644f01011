#include "log/registry.hpp"

#include <algorithm>

#include "millrace/base/log.hpp"

namespace millrace::log {
namespace {

// What a sweep gives the rewriter at most; it takes some seconds for that.
constexpr std::uint64_t kRewrittenASweep = 256u << 20;

}  // namespace

std::shared_ptr<LocalLog> Registry::create(LogId id, const LogOptions& options, std::optional<Restored> restored) {
  auto log = std::make_shared<LocalLog>(id, options, clock_, storage_, weak_from_this());
  if (restored) log->restore(std::move(restored->parts), restored->epoch, restored->first);
  {
    std::lock_guard lock(mutex_);
    if (!logs_.emplace(id, Held{log}).second) return nullptr;
    queue_.emplace(0, id);
  }
  arm();
  return log;
}

std::shared_ptr<LocalLog> Registry::find(LogId id) {
  std::lock_guard lock(mutex_);
  const auto found = logs_.find(id);
  return found == logs_.end() ? nullptr : found->second.log;
}

bool Registry::remove(LogId id) {
  std::shared_ptr<LocalLog> log;
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

void Registry::close() {
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
  rewriter_->stop();
  if (storage_->may_have_files()) {
    for (const auto& [id, held] : logs) held.log->stop();
    storage_->close();  // with what is staged
  }
  for (const auto& [id, held] : logs) held.log->close();
}

std::vector<std::shared_ptr<LocalLog>> Registry::all() {
  std::vector<std::shared_ptr<LocalLog>> logs;
  std::lock_guard lock(mutex_);
  logs.reserve(logs_.size());
  for (const auto& [id, held] : logs_) logs.push_back(held.log);
  return logs;
}

void Registry::close_tails() {
  for (const auto& log : all()) log->close_tail();
}

void Registry::rewrite() {
  if (!storage_->has_files() || rewriter_->at_work()) return;
  if (rewrite_sparse() || storage_->scattered_files().empty()) return;
  storage_->threads().post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->rewrite_scattered();
  });
}

bool Registry::rewrite_sparse() {
  const std::vector<journal::Generation> sparse = storage_->sparse_files();
  if (sparse.empty()) return false;
  std::deque<Move> moves;
  std::uint64_t bytes = 0;
  const std::vector<std::shared_ptr<LocalLog>> logs = all();
  for (const journal::Generation file : sparse) {
    for (const auto& log : logs) {
      for (journal::Part& part : log->parts_in(file)) {
        bytes += part.bytes;
        moves.push_back({log, std::move(part)});
      }
    }
    if (bytes >= kRewrittenASweep) break;
  }
  rewriter_->begin(std::move(moves));
  return true;
}

// Nobody needs this: it takes no room that may be wanted, nor memory of the system that is not there.
void Registry::rewrite_scattered() {
  const Storage::Reading reading(*storage_);
  if (!reading || storage_->journal().full()) return;
  const std::vector<Storage::WantedFile> scattered = storage_->scattered_files();
  const std::uint64_t room = storage_->journal().room() / 4;
  const std::uint64_t bytes_max = std::min<std::uint64_t>({room, kRewrittenASweep, storage_->pool().bytes_max()});
  std::deque<journal::Generation> files;
  std::uint64_t bytes = 0;
  for (const Storage::WantedFile& one : scattered) {
    if (bytes + one.bytes > (files.empty() ? room : bytes_max)) break;
    bytes += one.bytes;
    files.push_back(one.file);
  }
  // A log's parts of all these files come together.
  std::deque<Move> moves;
  for (const auto& log : all())
    for (const journal::Generation file : files)
      for (journal::Part& part : log->parts_in(file)) moves.push_back({log, std::move(part)});
  if (!rewriter_->begin(std::move(moves), files)) return;
  // What cannot be rewritten is not tried again and again.
  for (const journal::Generation file : files) storage_->journal().forget_reads(file);
  logging::debug("records of files that are read in many places are put together",
                 {{"files", files.size()}, {"bytes", bytes}});
}

void Registry::expire_all() {
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

void Registry::reconsider(LogId id) noexcept {
  std::lock_guard lock(mutex_);
  const auto found = logs_.find(id);
  if (found == logs_.end()) return;
  ++found->second.reconsidered;
  place(id, found->second, 0);
}

// With mutex_ held.
void Registry::place(LogId id, Held& held, std::int64_t nothing_before_ms) {
  queue_.erase({held.nothing_before_ms, id});
  held.nothing_before_ms = nothing_before_ms;
  queue_.emplace(nothing_before_ms, id);
}

// One timer for all logs, none when there is no log. The clock is asked with no lock held: it may fire at once.
void Registry::arm() {
  std::uint64_t generation = 0;
  {
    std::lock_guard lock(mutex_);
    if (armed_ || logs_.empty()) return;
    armed_ = true;
    generation = ++generation_;
  }
  const Clock::TimerId timer = clock_.call_at(clock_.now() + sweep_every_, [weak = weak_from_this(), generation] {
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

void Registry::fire(std::uint64_t generation) {
  {
    std::lock_guard lock(mutex_);
    if (!armed_ || generation != generation_) return;  // disarmed, perhaps armed anew, while this was on its way
  }
  expire_all();
  storage_->pool().trim();
  rewrite();
  {
    std::lock_guard lock(mutex_);
    if (!armed_ || generation != generation_) return;
    armed_ = false;
  }
  arm();
}

}  // namespace millrace::log
