#include "net/core.hpp"

#include <time.h>

#include <cstdio>

#include "millrace/base/log.hpp"
#include "net/connection.hpp"

namespace millrace::net {

Core::Core(Executor executor, MemoryBudget& budget, const Tuning& tuning)
    : executor_(executor),
      tuning_(tuning),
      read_buffers_(budget, Account::connections, {.blocks_kept_max = 256, .block_bytes_kept_max = kReadBufferBytes}),
      bodies_(budget, Account::bodies, {.blocks_kept_max = 8, .block_bytes_kept_max = 4u << 20}),
      timer_(executor),
      now_(tuning.now()) {}

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
  no_memory_noted_ = false;
  for (std::size_t i = 0; i < connections_.size(); ++i) connections_[i]->sweep(now_);
  read_buffers_.trim();
  bodies_.trim();
  // One more round after the last connection has gone, so that the pools give their memory back; then none.
  if (connections_.empty() && read_buffers_.idle() == 0 && bodies_.idle() == 0)
    sweeping_ = false;
  else
    arm_sweep();
}

void Core::note_no_memory() {
  if (!std::exchange(no_memory_noted_, true))
    logging::warn("no memory for a connection's buffer: connections are closed");
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
