#include "app/signals.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

namespace millrace::app {
namespace {

constexpr int kWake = SIGUSR1;
constexpr std::chrono::hours kHour{1};

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, SIGHUP, kWake}) sigaddset(&set, signal);
  return set;
}

}  // namespace

Signals::Signals() : main_(pthread_self()), next_hour_(std::chrono::steady_clock::now() + kHour) {
  sigset_t set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a peer that went is an error code of the write
}

std::optional<int> Signals::wait(const std::function<bool()>& done,
                                 std::optional<std::chrono::steady_clock::time_point> deadline) {
  sigset_t set = watched();
  while (!done()) {
    auto left = std::max(std::chrono::nanoseconds(0), next_hour_ - std::chrono::steady_clock::now());
    if (deadline) {
      const auto to_deadline = *deadline - std::chrono::steady_clock::now();
      if (to_deadline <= std::chrono::nanoseconds(0)) return std::nullopt;
      left = std::min(left, std::chrono::nanoseconds(to_deadline));
    }
    timespec timeout{};
    timeout.tv_sec = static_cast<std::time_t>(left.count() / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
    int signal = sigtimedwait(&set, nullptr, &timeout);
    if (signal == SIGINT || signal == SIGTERM) return signal;
    if (signal == SIGHUP && hangup_) hangup_();
    if (std::chrono::steady_clock::now() >= next_hour_) {
      next_hour_ = std::chrono::steady_clock::now() + kHour;
      if (hourly_) hourly_();
    }
  }
  return std::nullopt;
}

void Signals::wake() const noexcept { pthread_kill(main_, kWake); }

}  // namespace millrace::app
