#include "app/signals.hpp"

#include <cerrno>
#include <csignal>
#include <ctime>

namespace millrace::app {
namespace {

constexpr int kWake = SIGUSR1;

sigset_t watched() {
  sigset_t set;
  sigemptyset(&set);
  for (int signal : {SIGINT, SIGTERM, kWake}) sigaddset(&set, signal);
  return set;
}

}  // namespace

Signals::Signals() : main_(pthread_self()) {
  sigset_t set = watched();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);  // a peer that went is an error code of the write
}

std::optional<int> Signals::wait(const std::function<bool()>& done,
                                 std::optional<std::chrono::steady_clock::time_point> deadline) {
  sigset_t set = watched();
  while (!done()) {
    auto left = std::chrono::nanoseconds(std::chrono::hours(1));
    if (deadline) {
      left = *deadline - std::chrono::steady_clock::now();
      if (left <= std::chrono::nanoseconds(0)) return std::nullopt;
    }
    timespec timeout{};
    timeout.tv_sec = static_cast<std::time_t>(left.count() / 1'000'000'000);
    timeout.tv_nsec = static_cast<long>(left.count() % 1'000'000'000);
    int signal = sigtimedwait(&set, nullptr, &timeout);
    if (signal == SIGINT || signal == SIGTERM) return signal;
  }
  return std::nullopt;
}

void Signals::wake() const noexcept { pthread_kill(main_, kWake); }

}  // namespace millrace::app
