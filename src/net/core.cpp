#include "net/core.hpp"

#include <time.h>

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <cstdio>

#include "millrace/base/log.hpp"
#include "net/connection.hpp"

namespace millrace::net {

namespace {

/// Who has kept this server waiting for so long may be ended where memory or places are short: a client that is well
/// sends its request, and reads its reply, at once.
constexpr std::chrono::seconds kSlowAfter{5};
constexpr std::chrono::seconds kIdleAfter{2};
/// The share of the slow ones that each sweep ends while memory is short, the slowest first.
constexpr std::size_t kSlowShare = 8;

void end_longest_waiting(std::vector<Connection*>& some, std::size_t count) {
  count = std::min(count, some.size());
  const auto end = some.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(some.begin(), end, some.end(),
                    [](const Connection* a, const Connection* b) { return a->since() < b->since(); });
  std::for_each(some.begin(), end, [](Connection* connection) { connection->cut(); });
}

}  // namespace

Core::Core(Executor executor, MemoryBudget& budget, const Tuning& tuning)
    : executor_(executor),
      tuning_(tuning),
      budget_(budget),
      read_buffers_(budget, Account::connections,
                    {.blocks_kept_max = 256, .block_bytes_kept_max = kReadBufferBytes, .mapped = true}),
      head_blocks_(budget, Account::connections, {.blocks_kept_max = 128, .block_bytes_kept_max = 4096, .unit = 1024}),
      small_bodies_(budget, Account::bodies, {.blocks_kept_max = 128, .block_bytes_kept_max = 4096, .unit = 1024}),
      bodies_(budget, Account::bodies, {.blocks_kept_max = 8, .block_bytes_kept_max = 4u << 20}),
      timer_(executor),
      buffer_came_(executor, SteadyTime::max()),
      now_(tuning.now()) {
  const auto came = [this] {
    if (buffers_wanted_ > 0) buffer_came_.cancel_one();
  };
  memory_is_short();
  read_buffers_.on_return(came);
  head_blocks_.on_return(came);
}

std::string_view Core::date() noexcept {
  constexpr std::size_t kDateChars = 29;
  timespec now;
  ::clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != date_second_) {
    date_second_ = now.tv_sec;
    tm utc;
    ::gmtime_r(&now.tv_sec, &utc);
    static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    std::snprintf(date_.data(), date_.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT", kDays[utc.tm_wday], utc.tm_mday,
                  kMonths[utc.tm_mon], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
  }
  return {date_.data(), kDateChars};
}

void Core::add(Connection& connection) {
  connection.slot_ = connections_.size();
  connections_.push_back(&connection);
  if (!sweeping_) {
    sweeping_ = true;
    now_ = tuning_.now();
    arm_sweep();
  }
}

void Core::remove(Connection& connection) noexcept {
  Connection* last = connections_.back();
  last->slot_ = connection.slot_;
  connections_[connection.slot_] = last;
  connections_.pop_back();
}

void Core::arm_sweep() {
  timer_.expires_after(tuning_.sweep_interval);
  timer_.async_wait([self = weak_from_this()](const boost::system::error_code& error) {
    if (const auto core = self.lock(); core && !error) core->sweep();
  });
}

void Core::sweep() {
  now_ = tuning_.now();
  for (std::size_t i = 0; i < connections_.size(); ++i) connections_[i]->sweep(now_);
  for (BlockPool* pool : pools()) pool->trim();
  if (memory_is_short()) relieve();
  if (buffers_wanted_ > 0) {
    logging::warn("no memory for buffers: connections wait", {{"connections", buffers_wanted_}});
    buffer_came_.cancel();
  }
  // One more round after the last connection has gone, so that the pools give their memory back; then none.
  const auto kept = pools();
  if (connections_.empty() && std::all_of(kept.begin(), kept.end(), [](BlockPool* pool) { return pool->idle() == 0; }))
    sweeping_ = false;
  else
    arm_sweep();
}

/// Whether the budget has refused since the last call, and what connections hold may be why: records that reach their
/// own limit are no sign of that, unless all else has taken of their part.
bool Core::memory_is_short() noexcept {
  const std::size_t chunks = budget_.refused(Account::chunks), others = budget_.refused() - chunks;
  const bool others_refused = std::exchange(refused_seen_, others) != others;
  const bool chunks_refused = std::exchange(refused_chunks_seen_, chunks) != chunks;
  const std::size_t others_used = budget_.used() - budget_.used(Account::chunks);
  return others_refused || (chunks_refused && others_used > budget_.kept_from_chunks());
}

void Core::relieve() {
  std::vector<Connection*> slow;
  for (Connection* connection : connections_) {
    connection->give_up_buffer();
    if (connection->keeps_waiting(now_ - kSlowAfter) || connection->idles_dearly(now_ - kSlowAfter))
      slow.push_back(connection);
  }
  if (!slow.empty()) {
    const std::size_t count = (slow.size() + kSlowShare - 1) / kSlowShare;
    logging::warn("memory is short: the slowest connections are cut", {{"cut", count}, {"slow", slow.size()}});
    end_longest_waiting(slow, count);
  }
  for (BlockPool* pool : pools()) pool->clear();
}

void Core::make_place(const Served& served, std::size_t count) {
  std::vector<Connection*> idle, slow;
  for (Connection* connection : connections_) {
    if (!connection->belongs_to(served)) continue;
    if (connection->is_idle(now_ - kIdleAfter))
      idle.push_back(connection);
    else if (connection->keeps_waiting(now_ - kSlowAfter))
      slow.push_back(connection);
  }
  end_longest_waiting(idle, count);
  end_longest_waiting(slow, count - std::min(count, idle.size()));
}

awaitable<void> Core::buffer_may_come() {
  struct Wanted {
    explicit Wanted(std::size_t& c) noexcept : count(c) { ++count; }
    ~Wanted() { --count; }
    std::size_t& count;
  } wanted(buffers_wanted_);
  co_await buffer_came_.async_wait(boost::asio::as_tuple(use_awaitable));
}

void Core::stop_soon() {
  stopping_ = true;
  for (Connection* connection : connections_) connection->end_if_idle();
}

void Core::stop_hard() {
  stopping_ = true;
  for (Connection* connection : connections_) connection->end();
}

}  // namespace millrace::net
