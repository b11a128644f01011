#include "millrace/services/accounts.hpp"

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include "millrace/state/keys.hpp"
#include "millrace/state/scoped.hpp"

namespace millrace::services {
namespace {

constexpr std::size_t kAccountDigits = 12, kRegionCharsMax = 64;

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

struct Stored {
  std::string account, region;
  bool anything = false;  // beside the key of its iterators, which is made when somebody only looks
};

/// `<account>/<region>/...`
bool split(std::string_view key, Stored& out, std::string_view& rest) {
  const std::size_t account = key.find('/'), region = account == key.npos ? key.npos : key.find('/', account + 1);
  if (region == key.npos) return false;
  out.account = key.substr(0, account);
  out.region = key.substr(account + 1, region - account - 1);
  rest = key.substr(region + 1);
  return is_account(out.account) && is_region(out.region);
}

}  // namespace

bool is_account(std::string_view text) noexcept {
  return text.size() == kAccountDigits && std::all_of(text.begin(), text.end(), is_digit);
}

bool is_region(std::string_view text) noexcept {
  return !text.empty() && text.size() <= kRegionCharsMax && text.front() >= 'a' && text.front() <= 'z' &&
         text.back() != '-' && std::all_of(text.begin(), text.end(), [](char c) {
           return is_digit(c) || (c >= 'a' && c <= 'z') || c == '-';
         });
}

Accounts::Accounts(Environment& own, Parts parts, bool policies, std::size_t most)
    : own_(own), parts_(std::move(parts)), policies_(policies), most_(most) {}

std::string Accounts::key_of(std::string_view account, std::string_view region) {
  return std::string(account).append("/").append(region);
}

awaitable<std::unique_ptr<Accounts::House>> Accounts::make(std::string account, std::string region) {
  auto house = std::make_unique<House>();
  house->store =
      state::make_scoped_store(parts_.store, std::string(state::keys::kAccounts) + key_of(account, region) + "/");
  house->streams =
      co_await streams::make_streams(own_.clock, own_.random, *house->store, parts_.engine, parts_.streams);
  delivery::Dependencies dependencies{own_.clock,    own_.random,     parts_.cores,  own_.budget,
                                      *house->store, *house->streams, parts_.objects};
  house->delivery = delivery::make_delivery(dependencies, parts_.delivery);
  Environment environment{own_.clock, own_.random, own_.budget, *house->streams, house->delivery.get(),
                          account,    region};
  environment.published = own_.published;
  environment.sessions = own_.sessions;
  environment.accounts = own_.accounts;
  environment.labels = {{"account_id", account}, {"region", region}};
  house->environment = std::make_unique<Environment>(std::move(environment));
  co_return house;
}

awaitable<void> Accounts::load() {
  auto entries = co_await parts_.store.list(std::string(state::keys::kAccounts));
  if (!entries) throw std::runtime_error("stored accounts cannot be read: " + entries.error().detail);
  std::map<std::string, Stored> stored;
  for (const state::Entry& entry : *entries) {
    Stored one;
    std::string_view rest;
    if (!split(std::string_view(entry.key).substr(state::keys::kAccounts.size()), one, rest))
      throw std::runtime_error("the stored key '" + entry.key +
                               "' cannot be understood: a later version of this program may have written it");
    one.anything = rest != state::keys::kIteratorSecret;
    Stored& all = stored.try_emplace(key_of(one.account, one.region), one).first->second;
    all.anything |= one.anything;
  }
  for (auto& [key, one] : stored) {
    if (!one.anything) {
      (void)co_await parts_.store.remove(std::string(state::keys::kAccounts) + key + "/" +
                                         std::string(state::keys::kIteratorSecret));
      continue;
    }
    auto house = co_await make(one.account, one.region);
    std::lock_guard lock(mutex_);
    houses_.emplace(key, std::move(house));
  }
}

awaitable<Environment*> Accounts::of(std::string account, std::string region) {
  std::string key = key_of(account, region);
  for (;;) {
    if (Environment* known = find(account, region)) co_return known;
    const WakeUp made;
    {
      std::lock_guard lock(mutex_);
      if (houses_.contains(key)) continue;
      const auto making = being_made_.find(key);
      if (making == being_made_.end()) {
        if (houses_.size() + being_made_.size() >= most_) co_return nullptr;
        being_made_.try_emplace(key);
        break;
      }
      making->second.push_back(made);
    }
    const WakeUp::Why why = co_await made.wait(own_.clock, TimePoint::max());
    if (why == WakeUp::Why::stopped) co_return nullptr;  // nobody waits any more
  }
  std::unique_ptr<House> house;
  std::exception_ptr failure;
  try {
    house = co_await make(std::move(account), std::move(region));
    auto started = co_await house->delivery->start();
    if (!started) throw std::runtime_error(started.error().detail);
  } catch (...) {
    failure = std::current_exception();
  }
  std::lock_guard lock(mutex_);
  const auto made = being_made_.extract(key);
  for (const WakeUp& waiting : made.mapped()) waiting.notify();
  if (failure) std::rethrow_exception(failure);
  co_return houses_.emplace(std::move(key), std::move(house)).first->second->environment.get();
}

Environment* Accounts::find(std::string_view account, std::string_view region) const {
  if (account == own_.account_id && region == own_.region) return &own_;
  const std::string key = key_of(account, region);
  std::shared_lock lock(mutex_);
  const auto found = houses_.find(key);
  return found == houses_.end() ? nullptr : found->second->environment.get();
}

std::vector<Environment*> Accounts::others() const {
  std::vector<Environment*> all;
  std::shared_lock lock(mutex_);
  for (const auto& [key, house] : houses_) all.push_back(house->environment.get());
  return all;
}

awaitable<void> Accounts::stop() {
  for (Environment* other : others()) co_await other->delivery->stop();
}

std::string told_prefix(const Environment& environment) {
  return environment.labels.empty() ? std::string() : environment.account_id + "/" + environment.region + "/";
}

}  // namespace millrace::services
