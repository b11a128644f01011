#pragma once
#include <map>
#include <memory>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/cores.hpp"
#include "millrace/base/wakeup.hpp"
#include "millrace/delivery/delivery.hpp"
#include "millrace/objects/tree.hpp"
#include "millrace/services/operation.hpp"
#include "millrace/state/store.hpp"
#include "millrace/streams/streams.hpp"

namespace millrace::services {

/// Twelve digits.
bool is_account(std::string_view text) noexcept;
/// Of a region's form: `us-east-1`.
bool is_region(std::string_view text) noexcept;

/// Accounts and regions beside the configured ones, each with streams and delivery streams, iterators and settings of
/// its own: under keys of its own in the store, so that nothing of one is ever found in another. The buckets' tree is
/// one, as in AWS. Thread-safe.
class Accounts {
 public:
  /// What each is built on. Outlives them.
  struct Parts {
    state::Store& store;
    log::Engine& engine;
    Cores& cores;
    objects::Tree& objects;
    streams::Options streams;
    delivery::Options delivery;
  };
  /// Of one account and region.
  struct House {
    std::unique_ptr<state::Store> store;
    std::unique_ptr<streams::Streams> streams;
    std::unique_ptr<delivery::Delivery> delivery;
    std::unique_ptr<Environment> environment;
  };
  static constexpr std::size_t kMost = 1000;

  /// @param own       the configured account and region; outlives this
  /// @param policies  who asks for another account's resource must be allowed to by the resource's policy
  /// @param most      accounts and regions: each costs some memory, and who asks decides how many there are
  Accounts(Environment& own, Parts parts, bool policies, std::size_t most = kMost);

  /// Those that the store holds something of: their logs are opened, and their delivery is for the caller to start.
  /// Once, before anything else. Throws std::runtime_error when something of it cannot be read.
  awaitable<void> load();
  /// Made when it is asked for first. Null: there are as many as there can be, or the coroutine that waits was
  /// cancelled.
  awaitable<Environment*> of(std::string account, std::string region);
  /// Null where nobody has asked for it yet.
  Environment* find(std::string_view account, std::string_view region) const;
  /// All but the configured one, in order.
  std::vector<Environment*> others() const;
  bool policies() const noexcept { return policies_; }
  /// Ends their background work.
  awaitable<void> stop();

 private:
  awaitable<std::unique_ptr<House>> make(std::string account, std::string region);
  static std::string key_of(std::string_view account, std::string_view region);

  Environment& own_;
  const Parts parts_;
  const bool policies_;
  const std::size_t most_;
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::unique_ptr<House>, std::less<>> houses_;  // by `<account>/<region>`
  std::map<std::string, std::vector<WakeUp>> being_made_;              // and who waits for it
};

/// What stands before the names of an account's streams where those of all are told of: nothing for the configured one,
/// else `<account>/<region>/`.
std::string told_prefix(const Environment& environment);

}  // namespace millrace::services
