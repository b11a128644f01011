#pragma once
#include <array>
#include <atomic>
#include <boost/asio/basic_waitable_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/buffer.hpp"
#include "millrace/net/server.hpp"
#include "net/block_pool.hpp"
#include "net/tls_stream.hpp"
#include "net/tuning.hpp"

namespace millrace::net {

class Connection;
struct Served;

/// Counters of one listener on one core, written by that core's thread only.
struct Counters {
  std::atomic<std::uint64_t> connections{0}, accepted{0}, requests{0}, rejected{0}, timed_out{0}, cut{0};
  static void add(std::atomic<std::uint64_t>& counter, std::int64_t by = 1) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + static_cast<std::uint64_t>(by), std::memory_order_relaxed);
  }
};

/// What the connections of one core share: memory lent and reused, the coarse clock, the sweep over deadlines.
/// Everything but counters() and load() belongs to the core's thread.
class Core : public std::enable_shared_from_this<Core> {
 public:
  static constexpr std::size_t kReadBufferBytes = 64 * 1024;  // small reads cost several times the CPU
  static constexpr std::size_t kDiscardBytes = 16 * 1024;

  Core(Executor executor, MemoryBudget& budget, const Tuning& tuning);

  Executor executor() const noexcept { return executor_; }
  BlockPool& read_buffers() noexcept { return read_buffers_; }
  /// Blocks for heads that do not come at once.
  BlockPool& head_blocks() noexcept { return head_blocks_; }
  BlockPool& bodies() noexcept { return bodies_; }
  /// For rendering one reply's head; whoever does not get it out at once copies the rest.
  Buffer& head_buffer() noexcept { return head_buffer_; }
  /// Where everybody reads to what nobody looks at: kDiscardBytes.
  char* discarded() noexcept { return discarded_.get(); }
  /// Where those read to that are done with what they read before anybody else's turn: kReadBufferBytes.
  char* input() noexcept { return input_.get(); }
  TlsScratch& tls_scratch() {
    if (!tls_scratch_) tls_scratch_.reset(new TlsScratch);
    return *tls_scratch_;
  }
  /// Blocks for what is known to be small.
  BlockPool& small_bodies() noexcept { return small_bodies_; }
  /// Memory of a connection that lives elsewhere.
  Reservation reserve(std::size_t bytes) noexcept { return Reservation::take(budget_, Account::connections, bytes); }
  /// "Fri, 20 Nov 2026 20:44:00 GMT"
  std::string_view date() noexcept;

  /// The time of the last sweep.
  SteadyTime now() const noexcept { return now_; }
  /// A deadline at least `after` from now.
  SteadyTime deadline(std::chrono::milliseconds after) const noexcept { return now_ + after + tuning_.sweep_interval; }

  void add(Connection& connection);
  void remove(Connection& connection) noexcept;

  /// Waits, for want of a buffer, until one has come back or the next sweep.
  awaitable<void> buffer_may_come();
  bool buffers_wanted() const noexcept { return buffers_wanted_ > 0; }
  /// Ends up to `count` of a listener's connections that have waited longest for their peer, idle ones first.
  void make_place(const Served& served, std::size_t count);

  bool stopping() const noexcept { return stopping_; }
  /// Idle connections end; the others after their reply.
  void stop_soon();
  void stop_hard();

  Counters& counters(http::Listener kind) noexcept { return counters_[static_cast<std::size_t>(kind)]; }
  const Counters& counters(http::Listener kind) const noexcept { return counters_[static_cast<std::size_t>(kind)]; }
  /// Connections held or on their way here. Any thread.
  std::atomic<std::size_t>& load() noexcept { return load_; }

 private:
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                  boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
  void arm_sweep();
  void sweep();
  void relieve();
  bool memory_is_short() noexcept;
  std::array<BlockPool*, 4> pools() noexcept { return {&read_buffers_, &head_blocks_, &small_bodies_, &bodies_}; }

  Executor executor_;
  const Tuning& tuning_;
  MemoryBudget& budget_;
  BlockPool read_buffers_, head_blocks_, small_bodies_, bodies_;
  Buffer head_buffer_;
  const std::unique_ptr<char[]> discarded_{new char[kDiscardBytes]}, input_{new char[kReadBufferBytes]};
  std::unique_ptr<TlsScratch> tls_scratch_;  // when it is needed
  std::array<char, 32> date_{};
  std::int64_t date_second_ = -1;
  std::vector<Connection*> connections_;
  Timer timer_, buffer_came_;
  std::size_t buffers_wanted_ = 0;
  std::size_t refused_seen_ = 0, refused_chunks_seen_ = 0;
  bool sweeping_ = false, stopping_ = false;
  SteadyTime now_;
  std::array<Counters, 2> counters_;
  std::atomic<std::size_t> load_{0};
};

}  // namespace millrace::net
