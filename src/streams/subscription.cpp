#include "millrace/streams/subscription.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <compare>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

#include "millrace/base/log.hpp"

namespace millrace::streams {
namespace {

// What a limited subscription gives at once, as the time that it may take.
constexpr std::chrono::seconds kBurst{1};

struct Key {
  std::uint64_t incarnation;
  std::uint32_t shard;
  std::string consumer;
  std::int64_t created_s;
  auto operator<=>(const Key&) const = default;
};

/// What others tell a subscription.
class Told {
 public:
  /// Wakes it, to look at what has changed.
  void look() {
    std::stop_source source = [this] {
      std::lock_guard lock(mutex_);
      return source_;
    }();
    source.request_stop();
  }
  void end(SubscriptionEnd why) {
    {
      std::lock_guard lock(mutex_);
      if (!ended_) ended_ = why;
    }
    look();
  }
  /// A token for the next waits: whatever is told from now on stops them. What was told before is to be looked at after
  /// this call.
  std::stop_token renew() {
    std::lock_guard lock(mutex_);
    if (source_.stop_requested()) source_ = std::stop_source();
    return source_.get_token();
  }
  std::optional<SubscriptionEnd> ended() const {
    std::lock_guard lock(mutex_);
    return ended_;
  }

 private:
  mutable std::mutex mutex_;
  std::stop_source source_;
  std::optional<SubscriptionEnd> ended_;
};

}  // namespace

SharedEvents::Made SharedEvents::find(Form form, log::Position first) const {
  std::lock_guard lock(mutex_);
  for (const Made& made : kept_[static_cast<std::size_t>(form)].made)
    if (made.what && made.first == first) return made;
  return {};
}

void SharedEvents::leave(Form form, Made made) {
  std::lock_guard lock(mutex_);
  Kept& kept = kept_[static_cast<std::size_t>(form)];
  std::swap(kept.made[kept.next], made);  // what goes, goes behind the lock
  kept.next = (kept.next + 1) % kKept;
}

void SharedEvents::clear() {
  std::array<Kept, kForms> gone;
  std::lock_guard lock(mutex_);
  std::swap(gone, kept_);
}

struct Subscriptions::Registry {
  struct Entry {
    std::shared_ptr<Told> active;  // null: its peer has gone
    TimePoint since;
  };
  struct Added {
    std::shared_ptr<Told> told;
    std::shared_ptr<SharedEvents> shared;
  };

  Result<Added> add(const Key& key, TimePoint now) {
    std::shared_ptr<Told> before;
    auto told = std::make_shared<Told>();
    std::shared_ptr<SharedEvents> events;
    {
      std::lock_guard lock(mutex);
      if (stopped) return Error{Errc::failed, "no more subscriptions are made"};
      forget_left(now);
      const auto [at, fresh] = entries.try_emplace(key);
      Entry& entry = at->second;
      if (!fresh && now - entry.since < kUncontested) return Error{Errc::consumer_subscribed, key.consumer};
      before = std::move(entry.active);
      entry = {told, now};
      events = shared_of(key);
    }
    if (before) before->end(SubscriptionEnd::taken_over);
    return Added{std::move(told), std::move(events)};
  }

  std::shared_ptr<SharedEvents> shared_of(const Key& key) {
    std::weak_ptr<SharedEvents>& slot = shared[{key.incarnation, key.shard}];
    std::shared_ptr<SharedEvents> events = slot.lock();
    if (events) return events;
    slot = events = std::make_shared<SharedEvents>();
    std::erase_if(shared, [](const auto& entry) { return entry.second.expired(); });
    return events;
  }

  // One that the server has ended is as if it had not been; whose peer has gone counts for as long as nobody may take
  // over.
  void remove(const Key& key, const std::shared_ptr<Told>& told, bool by_peer, TimePoint now) {
    std::lock_guard lock(mutex);
    const auto at = entries.find(key);
    if (at == entries.end() || at->second.active != told) return;
    if (by_peer && now - at->second.since < kUncontested) {
      at->second.active = nullptr;
      left.emplace_back(at->second.since, key);
    } else {
      entries.erase(at);
    }
  }

  void forget_left(TimePoint now) {
    // Nearly in order: what is behind a younger one goes with it.
    while (!left.empty() && now - left.front().first >= kUncontested) {
      const auto at = entries.find(left.front().second);
      if (at != entries.end() && !at->second.active && at->second.since == left.front().first) entries.erase(at);
      left.pop_front();
    }
  }

  std::vector<std::shared_ptr<Told>> active(std::uint64_t first, std::uint64_t last) const {
    std::vector<std::shared_ptr<Told>> all;
    std::lock_guard lock(mutex);
    for (auto at = entries.lower_bound(Key{first, 0, {}, INT64_MIN});
         at != entries.end() && at->first.incarnation <= last; ++at)
      if (at->second.active) all.push_back(at->second.active);
    return all;
  }

  mutable std::mutex mutex;
  std::map<Key, Entry> entries;
  std::deque<std::pair<TimePoint, Key>> left;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::weak_ptr<SharedEvents>> shared;  // by incarnation and shard
  bool stopped = false;
};

namespace {

class LogSubscription final : public Subscription {
 public:
  LogSubscription(Streams& streams, std::shared_ptr<Subscriptions::Registry> registry,
                  Subscriptions::Registry::Added added, Key key, const Shard& shard, log::Position from, TimePoint now)
      : streams_(streams),
        clock_(streams.clock()),
        registry_(std::move(registry)),
        told_(std::move(added.told)),
        shared_(std::move(added.shared)),
        key_(std::move(key)),
        shard_id_(shard.id),
        numbers_(shard.numbers),
        shard_created_s_(shard.created_s),
        log_(shard.log),
        limited_(shard.limits != nullptr),
        from_(from),
        life_until_(now + Subscriptions::kLife),
        seen_at_(now) {}
  ~LogSubscription() override {
    registry_->remove(key_, told_, !end_ || *end_ == SubscriptionEnd::cancelled, seen_at_);
  }

  awaitable<std::variant<SubscriptionEvent, SubscriptionEnd>> next() override {
    if (!end_) {
      std::optional<SubscriptionEvent> event = co_await wait();
      if (event) co_return std::move(*event);
    }
    co_return *end_;
  }
  void skip_to(log::Position next) noexcept override { from_ = std::max(from_, next); }
  SharedEvents& shared() noexcept override { return *shared_; }

 private:
  // Nothing: it is at its end.
  awaitable<std::optional<SubscriptionEvent>> wait() {
    for (;;) {
      seen_at_ = clock_.now();
      if (look_ || stop_.stop_requested() || seen_at_ >= gone_at_) look();
      if (seen_at_ >= life_until_) ended(SubscriptionEnd::over);
      if (end_) co_return std::nullopt;
      if (const TimePoint until = std::min({next_from_, sign_at_, life_until_, gone_at_}); until > seen_at_) {
        const bool came = co_await sleep_until(clock_, until, stop_);
        if (!came) co_await woken();
        continue;
      }
      log::ReadRequest request;
      request.from = from_;
      request.records_max = Subscriptions::kEventRecordsMax;
      request.bytes_max = Subscriptions::kEventBytesMax;
      if (wait_for_timer()) request.wait_until = TimePoint::max();
      request.stop = stop_;
      log::Result<log::ReadBatch> read = co_await log_->read(std::move(request));
      seen_at_ = clock_.now();
      if (!read && read.error().code == log::Errc::stopped) {
        co_await woken();
        continue;
      }
      if (!read) {
        if (read.error().code != log::Errc::not_found)
          logging::error("a subscription cannot be read on", {{"shard", shard_id_}, {"error", read.error().detail}});
        ended(read.error().code == log::Errc::not_found ? gone() : SubscriptionEnd::failed);
        co_return std::nullopt;
      }
      if (read->records == 0 && !read->ended && seen_at_ < sign_at_) continue;  // the end of something else
      if (read->records == 0) shared_->clear();                                 // nothing comes at present
      if (limited_) next_from_ = given_.charge(ShardLimits::kReadBytes, seen_at_, log::record_bytes(*read)) - kBurst;
      sign_at_ = seen_at_ + Subscriptions::kSignOfLife;
      from_ = read->next;
      SubscriptionEvent event{};
      const std::int64_t last_ms = last_arrival(*read);
      if (read->next < read->tip) event.behind_ms = std::max<std::int64_t>(1, read->tip_arrival_ms - last_ms);
      if (read->ended) {
        event.stream = parent_of_children();
        // What ends without children is no shard that was split or merged: it is going.
        if (!event.stream) {
          ended(gone());
          co_return std::nullopt;
        }
        ended(SubscriptionEnd::over);
      } else {
        event.continuation = continuation(*read, last_ms);
      }
      event.batch = std::move(*read);
      co_return event;
    }
  }

  // A wait was stopped: by what others told, or because nobody waits any more.
  awaitable<void> woken() {
    const auto state = co_await boost::asio::this_coro::cancellation_state;
    if (state.cancelled() != boost::asio::cancellation_type::none) ended(SubscriptionEnd::cancelled);
    look_ = true;
  }

  void ended(SubscriptionEnd why) {
    if (!end_) end_ = why;
  }

  // Whether there is time for records to come. One timer stands for many waits: it is set anew when it has fired, not
  // with each record. The clock may be gone when this is: the timer is left to fire.
  bool wait_for_timer() {
    const TimePoint until = std::min({sign_at_, life_until_, gone_at_});
    if (until <= seen_at_) return false;
    if (timer_at_ <= seen_at_ || timer_at_ > until) {
      timer_at_ = until;
      clock_.call_at(until, [told = told_] { told->look(); });
    }
    return true;
  }

  // At what others may have changed.
  void look() {
    look_ = false;
    stop_ = told_->renew();
    if (const auto told = told_->ended()) return ended(*told);
    const StreamRef stream = streams_.find_incarnation(key_.incarnation);
    if (!stream) return ended(SubscriptionEnd::stream_gone);
    const Consumer* const consumer = stream->consumers.find(key_.consumer, seen_at_);
    if (!consumer || consumer->created_s != key_.created_s) return ended(SubscriptionEnd::consumer_gone);
    gone_at_ = consumer->gone_at.value_or(TimePoint::max());
  }

  SubscriptionEnd gone() const {
    if (const auto told = told_->ended()) return *told;
    const StreamRef stream = streams_.find_incarnation(key_.incarnation);
    return !stream                     ? SubscriptionEnd::stream_gone
           : stream->shard(key_.shard) ? SubscriptionEnd::over
                                       : SubscriptionEnd::shard_gone;
  }

  StreamRef parent_of_children() const {
    StreamRef stream = streams_.find_incarnation(key_.incarnation);
    if (!stream) return nullptr;
    const bool has = std::any_of(stream->shards.begin(), stream->shards.end(), [this](const auto& shard) {
      return shard->parent == key_.shard || shard->adjacent_parent == key_.shard;
    });
    return has ? stream : nullptr;
  }

  // Of the last record; where there is none, of the newest.
  static std::int64_t last_arrival(const log::ReadBatch& batch) {
    if (batch.records == 0) return batch.tip_arrival_ms;
    const log::RecordRun& run = batch.runs.back();
    log::RecordView last{};
    const char* at = run.bytes.data();
    for (std::uint32_t i = 0; i < run.count; ++i) at = log::read_record(at, last);
    return last.arrival_ms;
  }

  // Behind which number the next subscription goes on: the last record's; where there is none, one of this second for
  // the position before, which is more than all numbers that were given and less than all that will be.
  std::string continuation(const log::ReadBatch& batch, std::int64_t last_ms) const {
    if (batch.records > 0) {
      const log::RecordRun& run = batch.runs.back();
      return numbers_.text(log::Position{run.first.get() + run.count - 1}, last_ms);
    }
    const std::int64_t ms =
        std::max({seen_at_.time_since_epoch().count(), batch.tip_arrival_ms, shard_created_s_ * 1000});
    return numbers_.text(log::Position{batch.next.get() - 1}, ms);  // before the first one stands the counter 0
  }

  Streams& streams_;
  Clock& clock_;
  const std::shared_ptr<Subscriptions::Registry> registry_;
  const std::shared_ptr<Told> told_;
  const std::shared_ptr<SharedEvents> shared_;
  const Key key_;
  const std::string shard_id_;
  const SequenceNumbers numbers_;
  const std::int64_t shard_created_s_;
  const std::shared_ptr<log::Log> log_;
  const bool limited_;     // to what a consumer gets of a shard
  Bucket given_;           // of that
  TimePoint next_from_{};  // it gives no records before, but with a sign of life
  log::Position from_;
  const TimePoint life_until_;
  TimePoint seen_at_;                     // when it was last awake
  TimePoint sign_at_{};                   // when the next event is due, whatever there is
  TimePoint gone_at_ = TimePoint::max();  // when the consumer will be
  TimePoint timer_at_{};
  std::stop_token stop_;
  bool look_ = true;
  std::optional<SubscriptionEnd> end_;
};

}  // namespace

Subscriptions::Subscriptions(Streams& streams) : streams_(streams), registry_(std::make_shared<Registry>()) {}
Subscriptions::~Subscriptions() = default;

Result<std::unique_ptr<Subscription>> Subscriptions::begin(Wanted wanted) {
  const TimePoint now = streams_.clock().now();
  const Shard& shard = *wanted.stream->shard(wanted.shard);
  Key key{wanted.stream->incarnation, wanted.shard, std::move(wanted.consumer), wanted.consumer_created_s};
  Result<Registry::Added> added = registry_->add(key, now);
  if (!added) return added.error();
  return std::unique_ptr<Subscription>(std::make_unique<LogSubscription>(streams_, registry_, std::move(*added),
                                                                         std::move(key), shard, wanted.from, now));
}

void Subscriptions::look_again(std::uint64_t incarnation) noexcept {
  for (const auto& told : registry_->active(incarnation, incarnation)) told->look();
}

void Subscriptions::stop() noexcept {
  {
    std::lock_guard lock(registry_->mutex);
    registry_->stopped = true;
  }
  for (const auto& told : registry_->active(0, UINT64_MAX)) told->end(SubscriptionEnd::over);
}

std::size_t Subscriptions::active() const { return registry_->active(0, UINT64_MAX).size(); }

}  // namespace millrace::streams
