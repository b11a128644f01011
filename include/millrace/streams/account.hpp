#pragma once
#include <cstdint>
#include <mutex>
#include <optional>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/state/store.hpp"

namespace millrace::streams {

/// The account's commitment to a minimum of throughput, which some settings of on-demand streams need.
/// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateAccountSettings.html
struct Commitment {
  /// It cannot end before.
  static constexpr std::chrono::hours kLeast{24};
  std::optional<TimePoint> started;
  std::optional<TimePoint> end;  ///< it ends, or ended, then

  bool on(TimePoint now) const noexcept { return started && (!end || now < *end); }
  friend bool operator==(const Commitment&, const Commitment&) = default;
};

/// What is set of the whole account. Thread-safe.
class Account {
 public:
  Account(Clock& clock, state::Store& store) : clock_(clock), store_(store) {}
  /// Takes up what the store holds. Throws std::runtime_error when it cannot be read.
  awaitable<void> load();

  Commitment commitment() const;
  bool committed() const { return commitment().on(clock_.now()); }
  /// To what there is it changes nothing. Ended too early it goes on to its earliest end; begun again before that, it
  /// goes on.
  /// @return  nothing: state refused
  awaitable<std::optional<Commitment>> commit(bool on);
  /// As if nothing had ever been set (reset). False: state refused.
  awaitable<bool> clear();

 private:
  struct Held {
    Commitment commitment;
    state::Revision revision{};
  };
  void publish(const Held& held);

  Clock& clock_;
  state::Store& store_;
  mutable std::mutex mutex_;
  Held held_;
};

}  // namespace millrace::streams
