#include <algorithm>

#include "millrace/streams/control.hpp"
#include "millrace/streams/subscription.hpp"

namespace millrace::streams {
namespace {

std::size_t creating(const Stream& stream, TimePoint now) {
  return static_cast<std::size_t>(
      std::count_if(stream.consumers.by_name.begin(), stream.consumers.by_name.end(),
                    [now](const auto& entry) { return entry.second.status(now) == ConsumerStatus::creating; }));
}

std::size_t creating_elsewhere(const Streams& streams, std::string_view name, TimePoint now) {
  std::size_t count = 0;
  for (const StreamRef& stream : streams.list({}, SIZE_MAX))
    if (stream->name != name) count += creating(*stream, now);
  return count;
}

// Forgets what is gone, but for what its successors must not be given again.
void sweep(Consumers& consumers, TimePoint now) {
  std::erase_if(consumers.by_name, [&](const auto& entry) {
    if (!entry.second.gone(now)) return false;
    consumers.gone_s = std::max(consumers.gone_s, entry.second.created_s);
    return true;
  });
}

Consumer* held(Stream& stream, const std::string& name, std::int64_t created_s, TimePoint now) {
  const auto at = stream.consumers.by_name.find(name);
  if (at == stream.consumers.by_name.end() || at->second.created_s != created_s || at->second.gone(now)) return nullptr;
  return &at->second;
}

}  // namespace

std::string_view status_name(ConsumerStatus status) noexcept {
  switch (status) {
    case ConsumerStatus::creating:
      return "CREATING";
    case ConsumerStatus::active:
      return "ACTIVE";
    case ConsumerStatus::deleting:
      return "DELETING";
  }
  return "";
}

const Consumer* Consumers::find(std::string_view name, TimePoint now) const noexcept {
  const auto at = by_name.find(name);
  return at == by_name.end() || at->second.gone(now) ? nullptr : &at->second;
}

std::size_t Consumers::count(TimePoint now) const noexcept {
  return static_cast<std::size_t>(
      std::count_if(by_name.begin(), by_name.end(), [now](const auto& entry) { return !entry.second.gone(now); }));
}

std::optional<Error> add_to(std::map<std::string, std::string>& all, const std::map<std::string, std::string>& tags) {
  for (const auto& [key, value] : tags) all[key] = value;
  if (all.size() > kTagsMax) return Error{Errc::too_many_tags, {}};
  return std::nullopt;
}

awaitable<Result<Consumer>> register_consumer(Streams& streams, std::string stream, std::string name,
                                              std::map<std::string, std::string> tags) {
  const TimePoint now = streams.clock().now();
  Consumer consumer;
  consumer.name = name;
  consumer.active_at = now + streams.options().create_delay;
  if (auto refused = add_to(consumer.tags, tags)) co_return std::move(*refused);
  const std::size_t elsewhere = creating_elsewhere(streams, stream, now);
  const bool committed = streams.account().committed();
  Streams::Edit edit = [&, now](Stream& s) -> std::optional<Error> {
    if (auto refused = check_active(s, now)) return refused;
    if (s.consumers.find(name, now)) return Error{Errc::consumer_exists, name};
    sweep(s.consumers, now);
    const std::size_t most = committed && s.settings.mode == Mode::on_demand ? kConsumersMaxCommitted : kConsumersMax;
    if (s.consumers.by_name.size() >= most) return Error{Errc::consumer_limit, std::to_string(most)};
    if (elsewhere + creating(s, now) >= kConsumersCreatingMax)
      return Error{Errc::consumers_creating, std::to_string(kConsumersCreatingMax)};
    const auto now_s = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
    consumer.created_s = std::max<std::int64_t>(now_s, s.consumers.gone_s + 1);
    s.consumers.by_name.emplace(name, consumer);
    return std::nullopt;
  };
  auto changed = co_await streams.change(stream, std::move(edit));
  if (!changed) co_return changed.error();
  co_return consumer;
}

awaitable<Result<>> deregister_consumer(Streams& streams, std::string stream, std::string name,
                                        std::int64_t created_s) {
  const TimePoint now = streams.clock().now();
  const TimePoint gone_at = now + streams.options().delete_delay;
  Streams::Edit edit = [&, now, gone_at](Stream& s) -> std::optional<Error> {
    Consumer* const consumer = held(s, name, created_s, now);
    if (!consumer) return Error{Errc::consumer_not_found, name};
    if (!consumer->gone_at) consumer->gone_at = gone_at;
    sweep(s.consumers, now);
    return std::nullopt;
  };
  auto changed = co_await streams.change(stream, std::move(edit));
  if (!changed) co_return changed.error();
  streams.subscriptions().look_again((*changed)->incarnation);
  co_return Result<>{};
}

awaitable<Result<>> change_consumer(Streams& streams, std::string stream, std::string name, std::int64_t created_s,
                                    ConsumerEdit edit) {
  const TimePoint now = streams.clock().now();
  Streams::Edit whole = [&, now](Stream& s) -> std::optional<Error> {
    Consumer* const consumer = held(s, name, created_s, now);
    if (!consumer) return Error{Errc::consumer_not_found, name};
    return edit(*consumer);
  };
  auto changed = co_await streams.change(stream, std::move(whole));
  if (!changed) co_return changed.error();
  co_return Result<>{};
}

awaitable<Result<>> set_policy(Streams& streams, std::string stream, std::string consumer, std::int64_t created_s,
                               std::string policy) {
  const TimePoint now = streams.clock().now();
  ConsumerEdit edit = [policy = std::move(policy), now](Consumer& c) -> std::optional<Error> {
    if (c.status(now) != ConsumerStatus::active) return Error{Errc::consumer_not_active, std::to_string(c.created_s)};
    if (policy.empty() && c.policy.empty()) return Error{Errc::no_policy, c.name};
    c.policy = policy;
    return std::nullopt;
  };
  auto changed = co_await change_consumer(streams, std::move(stream), std::move(consumer), created_s, std::move(edit));
  co_return changed;
}

}  // namespace millrace::streams
