#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/wakeup.hpp"
#include "millrace/log/engine.hpp"

namespace millrace::delivery {

/// Waits for one shard to hold a given amount, then wakes its pump. All calls on the executor that runs run(): a shard
/// that nobody writes to costs nothing.
class ShardWatch {
 public:
  ShardWatch(std::shared_ptr<log::Log> log, WakeUp owner) : log_(std::move(log)), owner_(std::move(owner)) {}

  /// Wakes the owner once when the log's stored_bytes_total reaches `stored_bytes_total`, or it ends.
  void arm(std::uint64_t stored_bytes_total) {
    if (target_ == stored_bytes_total) return;
    target_ = stored_bytes_total;
    interrupt();
  }
  void disarm() {
    if (!target_) return;
    target_.reset();
    interrupt();
  }
  std::optional<std::uint64_t> target() const noexcept { return target_; }
  /// run() ends soon after.
  void close() {
    closed_ = true;
    interrupt();
  }

  static awaitable<void> run(std::shared_ptr<ShardWatch> self, Clock& clock) {
    while (!self->closed_) {
      if (!self->target_) {
        co_await self->changed_.wait(clock, TimePoint::max());
        continue;
      }
      const std::uint64_t target = *self->target_;
      self->cancel_ = std::stop_source();
      std::stop_token cancelled = self->cancel_.get_token();
      self->in_log_ = true;
      co_await self->log_->wait_stored(target, TimePoint::max(), cancelled);
      self->in_log_ = false;
      if (cancelled.stop_requested() || self->closed_) continue;  // armed anew, or not at all
      self->target_.reset();
      self->owner_.notify();  // also on an error: the pump looks what it is
    }
  }

 private:
  void interrupt() {
    if (in_log_)
      cancel_.request_stop();
    else
      changed_.notify();
  }

  std::shared_ptr<log::Log> log_;
  WakeUp owner_, changed_;
  std::stop_source cancel_;
  std::optional<std::uint64_t> target_;
  bool in_log_ = false, closed_ = false;
};

}  // namespace millrace::delivery
