#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "log/local_log.hpp"
#include "log/rewriter.hpp"

namespace millrace::log {

/// Where a log goes on that an earlier life of the engine had.
struct Restored {
  std::vector<journal::Part> parts;
  Epoch epoch;
  Position first;
};

/// The logs of an engine; what it and its timer share. Ends with the last of them.
///
/// Each log stands in a queue under the time before which nothing of it expires: a sweep looks at those that are due,
/// however many others there are.
class Registry final : public Expiry, public std::enable_shared_from_this<Registry> {
 public:
  Registry(Clock& clock, std::shared_ptr<Storage> storage, std::chrono::milliseconds sweep_every)
      : clock_(clock),
        sweep_every_(sweep_every),
        storage_(std::move(storage)),
        rewriter_(std::make_shared<Rewriter>(clock_, storage_)) {}

  /// Null when there is one with this id.
  std::shared_ptr<LocalLog> create(LogId id, const LogOptions& options, std::optional<Restored> restored = {});
  std::shared_ptr<LocalLog> find(LogId id);
  bool remove(LogId id);
  void close();
  /// Tail chunks end where they are, so that they can leave memory.
  void close_tails();

  void expire_all() override;
  void reconsider(LogId id) noexcept override;

 private:
  struct Held {
    std::shared_ptr<LocalLog> log;
    std::int64_t nothing_before_ms = 0;
    std::uint64_t reconsidered = 0;
  };
  struct Due {
    LogId id;
    std::shared_ptr<LocalLog> log;
    std::uint64_t reconsidered;
    std::int64_t nothing_before_ms;
  };

  void place(LogId id, Held& held, std::int64_t nothing_before_ms);
  void arm();
  void fire(std::uint64_t generation);
  void rewrite();
  bool rewrite_sparse();
  void rewrite_scattered();
  std::vector<std::shared_ptr<LocalLog>> all();

  Clock& clock_;
  const std::chrono::milliseconds sweep_every_;
  const std::shared_ptr<Storage> storage_;
  const std::shared_ptr<Rewriter> rewriter_;
  std::mutex sweeping_;  // before mutex_
  std::mutex mutex_;
  std::unordered_map<LogId, Held> logs_;
  std::set<std::pair<std::int64_t, LogId>> queue_;  // by nothing_before_ms; without those that a sweep has in hand
  bool armed_ = false;
  std::uint64_t generation_ = 0;
  Clock::TimerId timer_ = 0;
};

}  // namespace millrace::log
