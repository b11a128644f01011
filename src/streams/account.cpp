#include "millrace/streams/account.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "millrace/state/keys.hpp"

namespace millrace::streams {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr int kForm = 1;
// Each attempt that fails means that another change was kept.
constexpr int kAttempts = 1'000;

std::string key() { return std::string(state::keys::kAccount); }

std::string serialise(const Commitment& commitment) {
  json value{{"form", kForm}};
  if (commitment.started) value["started_ms"] = commitment.started->time_since_epoch().count();
  if (commitment.end) value["end_ms"] = commitment.end->time_since_epoch().count();
  return value.dump();
}

std::optional<Commitment> parse(std::string_view text) {
  try {
    const json value = json::parse(text);
    if (value.at("form") != kForm) return std::nullopt;
    Commitment commitment;
    if (value.contains("started_ms"))
      commitment.started = TimePoint{milliseconds{value.at("started_ms").get<std::int64_t>()}};
    if (value.contains("end_ms")) commitment.end = TimePoint{milliseconds{value.at("end_ms").get<std::int64_t>()}};
    return commitment;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

awaitable<void> Account::load() {
  auto stored = co_await store_.get(key());
  if (!stored) throw std::runtime_error("the account's settings cannot be read: " + stored.error().detail);
  if (!*stored) co_return;
  const auto commitment = parse((*stored)->value);
  if (!commitment)
    throw std::runtime_error("the stored value of '" + key() +
                             "' cannot be understood: a later version of this program may have written it");
  publish({*commitment, (*stored)->revision});
}

Commitment Account::commitment() const {
  std::lock_guard lock(mutex_);
  return held_.commitment;
}

void Account::publish(const Held& held) {
  std::lock_guard lock(mutex_);
  if (held.revision >= held_.revision) held_ = held;
}

awaitable<std::optional<Commitment>> Account::commit(bool on) {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    auto stored = co_await store_.get(key());
    if (!stored) co_return std::nullopt;
    Commitment next;
    if (*stored) next = parse((*stored)->value).value_or(Commitment{});
    const Commitment before = next;
    const TimePoint now = clock_.now();
    if (on) {
      if (!next.on(now)) next.started = now;
      next.end.reset();
    } else if (next.on(now) && !next.end) {
      next.end = std::max(now, *next.started + Commitment::kLeast);
    }
    if (next == before) co_return next;
    auto revision = co_await store_.put(key(), serialise(next), *stored ? (*stored)->revision : state::Revision{0});
    if (revision) {
      publish({next, *revision});
      co_return next;
    }
    if (revision.error().code != state::Errc::conflict) co_return std::nullopt;
  }
  co_return std::nullopt;
}

awaitable<bool> Account::clear() {
  auto removed = co_await store_.remove(key());
  if (!removed && removed.error().code != state::Errc::not_found) co_return false;
  std::lock_guard lock(mutex_);
  held_.commitment = {};
  co_return true;
}

}  // namespace millrace::streams
