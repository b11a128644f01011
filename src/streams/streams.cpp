#include "millrace/streams/streams.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <stdexcept>
#include <unordered_map>

#include "millrace/base/log.hpp"
#include "millrace/base/task_group.hpp"
#include "millrace/state/keys.hpp"
#include "millrace/streams/stream_record.hpp"
#include "millrace/streams/subscription.hpp"
#include "streams/history.hpp"
#include "streams/on_demand.hpp"
#include "streams/reshard.hpp"

namespace millrace::streams {
namespace {

using state::keys::kStreams, state::keys::kStreamSeconds;
// A change that came between is published soon: many attempts pass in no time.
constexpr int kChangeAttempts = 10'000;
// AWS's first shards are a few seconds older than the call that made them.
constexpr std::int64_t kCreatedBeforeS = 2;
// A reshard that state or log refused is tried again, and closed shards are looked at, this often.
constexpr std::chrono::seconds kReshardRetry{1};
constexpr std::chrono::hours kExpiryLook{1};
// What is put to streams on demand is looked at, and so averaged, this often.
constexpr std::chrono::seconds kScaleLook{10};
// A reshard of many shards takes turns with the puts on its core.
constexpr std::size_t kLogsATurn = 32;
// A deleted name's last creation second is kept while a new incarnation could still be given the same one.
constexpr std::int64_t kTombstoneS = 10;

struct TextHash : std::hash<std::string_view> {
  using is_transparent = void;
};

std::int64_t seconds(TimePoint time) {
  return std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
}

std::int64_t seconds_in(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Error failed(std::string detail) { return Error{Errc::failed, std::move(detail)}; }

class LocalStreams final : public Streams {
 public:
  LocalStreams(Clock& clock, state::Store& store, log::Engine& engine, Options options)
      : clock_(clock), store_(store), engine_(engine), options_(options), account_(clock, store) {}
  ~LocalStreams() override { tasks_.stop(); }

  awaitable<void> load(Random& random) {
    iterators_ = co_await IteratorCodec::make(store_, random);
    co_await account_.load();
    auto entries = co_await store_.list(std::string(kStreams));
    if (!entries) throw std::runtime_error("stored streams cannot be read: " + entries.error().detail);
    for (const state::Entry& entry : *entries) {
      auto parsed = parse_stream(entry.value);
      if (!parsed)
        throw std::runtime_error("the stored value of '" + entry.key +
                                 "' cannot be understood: a later version of this program may have written it");
      auto stream = std::make_shared<Stream>(std::move(*parsed));
      for (auto& shard : stream->shards) {
        auto opened = std::make_shared<Shard>(*shard);
        opened->log = co_await open_log(*stream, shard->index);
        opened->limits = shard_limits(stream->name);
        shard = std::move(opened);
      }
      stream->limits = stream_limits(stream->name);
      stream->index_routing();
      open_shards_ += shards_taken(*stream);
      publish(stream, entry.revision);
    }
    co_await load_tombstones();
    const auto executor = co_await boost::asio::this_coro::executor;
    for (const StreamRef& stream : list({}, SIZE_MAX)) {
      if (stream->deleting)
        co_await complete_remove(stream->name, stream->incarnation);
      else if (!stream->reshard.empty())
        co_await go_on_with_reshard(executor, stream);
      else
        watch_expiry(executor, *stream);
    }
    if (options_.limits.any()) tasks_.spawn(executor, "scale streams on demand", scale_on_demand());
    // All logs that are wanted are open. What else the engine holds is left of streams half made or half deleted: who
    // made the engine has it forget them (Engine::forget_unopened).
  }

  StreamRef find(std::string_view name) const override {
    std::shared_lock lock(mutex_);
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? nullptr : at->second.stream;
  }

  StreamRef find_incarnation(std::uint64_t incarnation) const override {
    std::shared_lock lock(mutex_);
    const auto at = by_incarnation_.find(incarnation);
    return at == by_incarnation_.end() ? nullptr : at->second;
  }

  std::vector<StreamRef> list(std::string_view after, std::size_t limit) const override {
    std::vector<StreamRef> found;
    std::shared_lock lock(mutex_);
    for (auto at = in_order_.upper_bound(after); at != in_order_.end() && found.size() < limit; ++at)
      found.push_back(at->second);
    return found;
  }

  std::uint64_t open_shards() const override { return open_shards_.load(std::memory_order_relaxed); }

  awaitable<Result<StreamRef>> create(CreateStream spec) override {
    if (find(spec.name)) co_return Error{Errc::exists, spec.name};
    if (spec.tags.size() > kTagsMax) co_return Error{Errc::too_many_tags, spec.name};
    if (auto refused = check_account(spec)) co_return std::move(*refused);
    if (spec.settings.mode == Mode::on_demand && options_.limits.applies_to(spec.name))
      spec.shard_count = std::max(spec.shard_count, std::min(spec.settings.warm_mibps.value_or(0),
                                                             options_.limits.quotas.on_demand_shards_max));
    if (open_shards_.fetch_add(spec.shard_count) + spec.shard_count > options_.shards_max) {
      open_shards_ -= spec.shard_count;
      co_return Error{Errc::shard_limit, std::to_string(spec.shard_count)};
    }
    auto made = co_await make_stream(spec);
    if (!made) open_shards_ -= spec.shard_count;
    co_return made;
  }

  awaitable<Result<>> remove(std::string name) override {
    const StreamRef stream = find(name);
    if (!stream) co_return Error{Errc::not_found, name};
    if (stream->deleting) co_return Result<>{};
    const std::uint64_t incarnation = stream->incarnation;
    if (options_.delete_delay.count() == 0) co_return co_await finish_remove(name, incarnation);
    auto edit = [](Stream& s) {
      s.deleting = true;
      return std::optional<Error>{};
    };
    auto marked = co_await change(name, std::move(edit));
    if (!marked) co_return marked.error();
    auto executor = co_await boost::asio::this_coro::executor;
    tasks_.spawn(executor, "delete stream", remove_later(name, incarnation, clock_.now() + options_.delete_delay));
    co_return Result<>{};
  }

  awaitable<Result<>> add_tags(std::string name, Tags tags) override {
    auto edit = [tags = std::move(tags)](Stream& s) -> std::optional<Error> {
      for (const auto& [key, value] : tags) s.tags[key] = value;
      if (s.tags.size() > kTagsMax) return Error{Errc::too_many_tags, s.name};
      return std::nullopt;
    };
    auto changed = co_await change(name, std::move(edit));
    if (!changed) co_return changed.error();
    co_return Result<>{};
  }

  awaitable<Result<>> remove_tags(std::string name, std::vector<std::string> keys) override {
    auto edit = [keys = std::move(keys)](Stream& s) -> std::optional<Error> {
      for (const std::string& key : keys) s.tags.erase(key);
      return std::nullopt;
    };
    auto changed = co_await change(name, std::move(edit));
    if (!changed) co_return changed.error();
    co_return Result<>{};
  }

  awaitable<Result<>> set_retention(std::string name, std::chrono::hours retention, RetentionChange kind) override {
    const TimePoint now = clock_.now();
    const auto delay = options_.update_delay;
    auto edit = [retention, kind, now, delay](Stream& s) -> std::optional<Error> {
      if (const Status status = s.status(now); status != Status::active && kind != RetentionChange::set)
        return Error{Errc::not_active, std::string(status_name(status))};
      if (kind == RetentionChange::increase && retention < s.retention) return Error{Errc::retention_order, s.name};
      if (kind == RetentionChange::decrease && retention > s.retention) return Error{Errc::retention_order, s.name};
      // What is past the shorter one is past for good, also where the next start finds it still in a file.
      if (retention > s.retention) s.records_since = std::max(s.records_since, now - s.retention);
      s.retention = retention;
      if (kind != RetentionChange::set) {
        s.created_settled = true;
        s.settled = now + delay;
      }
      return std::nullopt;
    };
    auto changed = co_await change(name, std::move(edit));
    if (!changed) co_return changed.error();
    for (const auto& shard : (*changed)->shards) shard->log->set_retention(retention);
    co_return Result<>{};
  }

  awaitable<Result<>> split(std::string name, std::uint32_t shard, Uint128 at) override {
    Reshard by;
    by.plan = [shard, at](const Stream& s) -> Result<std::vector<ReshardStep>> {
      const Result<ReshardStep> step = plan_split(s, shard, at);
      if (!step) return step.error();
      return std::vector{*step};
    };
    auto begun = co_await reshard(std::move(name), std::move(by));
    if (!begun) co_return begun.error();
    co_return Result<>{};
  }

  awaitable<Result<>> merge(std::string name, std::uint32_t shard, std::uint32_t adjacent) override {
    Reshard by;
    by.plan = [shard, adjacent](const Stream& s) -> Result<std::vector<ReshardStep>> {
      const Result<ReshardStep> step = plan_merge(s, shard, adjacent);
      if (!step) return step.error();
      return std::vector{*step};
    };
    auto begun = co_await reshard(std::move(name), std::move(by));
    if (!begun) co_return begun.error();
    co_return Result<>{};
  }

  awaitable<Result<std::uint32_t>> set_shard_count(std::string name, std::uint32_t target) override {
    const TimePoint now = clock_.now();
    Reshard by;
    by.plan = [target](const Stream& s) -> Result<std::vector<ReshardStep>> {
      const std::size_t open = s.open_shards();
      if (target > kShardCountMax) return Error{Errc::scale_limit, std::to_string(open)};
      if (target > 2 * open) return Error{Errc::scale_up, std::to_string(open)};
      if (2 * std::size_t{target} < open) return Error{Errc::scale_down, std::to_string(open)};
      return plan_equal_ranges(s, target);
    };
    by.edit = [now](Stream& s) { return count_today(s, s.history.shard_counts, kShardCountsADay, now); };
    auto before = co_await reshard(std::move(name), std::move(by));
    if (!before) co_return before.error();
    co_return static_cast<std::uint32_t>((*before)->open_shards());
  }

  awaitable<Result<StreamRef>> change(std::string name, Edit edit) override {
    for (int attempt = 0; attempt < kChangeAttempts; ++attempt) {
      std::optional<Published> current = published(name);
      if (!current) co_return Error{Errc::not_found, name};
      auto next = std::make_shared<Stream>(*current->stream);
      if (std::optional<Error> refused = edit(*next)) co_return std::move(*refused);
      auto revision = co_await store_.put(key_of(name), serialise(*next), current->revision);
      if (revision) {
        publish(next, *revision);
        co_return StreamRef(next);
      }
      if (revision.error().code == state::Errc::not_found) co_return Error{Errc::not_found, name};
      if (revision.error().code != state::Errc::conflict) co_return failed(revision.error().detail);
      co_await boost::asio::post(use_awaitable);  // the other change is about to be published
    }
    co_return failed("stream '" + name + "' kept changing");
  }

  awaitable<Result<>> clear() override {
    for (const StreamRef& stream : list({}, SIZE_MAX)) {
      auto removed = co_await finish_remove(stream->name, stream->incarnation);
      if (!removed && removed.error().code != Errc::not_found) co_return removed.error();
    }
    const bool cleared = co_await account_.clear();
    if (!cleared) co_return failed("the account's settings");
    co_return Result<>{};
  }

  const IteratorCodec& iterators() const noexcept override { return *iterators_; }
  log::Engine& engine() noexcept override { return engine_; }
  Clock& clock() noexcept override { return clock_; }
  const Options& options() const noexcept override { return options_; }
  Account& account() noexcept override { return account_; }
  CallLimits* limits() noexcept override { return options_.limits.enforce ? &calls_ : nullptr; }
  Subscriptions& subscriptions() noexcept override { return subscriptions_; }

 private:
  struct Published {
    StreamRef stream;
    state::Revision revision;
  };

  std::shared_ptr<ShardLimits> shard_limits(const std::string& stream) const {
    return options_.limits.applies_to(stream) ? std::make_shared<ShardLimits>() : nullptr;
  }
  std::shared_ptr<CallLimits> stream_limits(const std::string& stream) const {
    return options_.limits.applies_to(stream) ? std::make_shared<CallLimits>() : nullptr;
  }

  // Counted before the stream is made: calls at the same moment may get one over.
  std::optional<Error> check_account(const CreateStream& spec) const {
    if (!options_.limits.enforce) return std::nullopt;
    const TimePoint now = clock_.now();
    const std::vector<StreamRef> all = list({}, SIZE_MAX);
    const auto creating = static_cast<std::size_t>(std::count_if(
        all.begin(), all.end(), [now](const StreamRef& stream) { return stream->status(now) == Status::creating; }));
    if (!spec.declared && creating >= kStreamsCreatingMax)
      return Error{Errc::streams_creating, std::to_string(kStreamsCreatingMax)};
    return spec.settings.mode == Mode::on_demand ? check_on_demand_streams(*this) : std::nullopt;
  }

  static std::string key_of(std::string_view name) { return std::string(kStreams).append(name); }
  static std::string seconds_key_of(std::string_view name) { return std::string(kStreamSeconds).append(name); }

  awaitable<std::shared_ptr<log::Log>> open_log(const Stream& stream, std::uint32_t index) {
    const log::LogId id = log_id(stream.incarnation, index);
    auto opened = co_await engine_.open(id);
    if (!opened && opened.error().code == log::Errc::not_found) {  // nothing was ever put into it
      log::LogOptions log_options;
      log_options.retention = stream.retention;
      opened = co_await engine_.create(id, log_options);
    }
    if (!opened)
      throw std::runtime_error("the log of a shard of '" + stream.name +
                               "' cannot be opened: " + opened.error().detail);
    const std::shared_ptr<log::Log> log = *opened;
    if (stream.shard(index)->ended_s) co_await end_log(log);
    log->set_retention(stream.retention);
    if (stream.records_since > clock_.now() - stream.retention) {
      auto first = co_await log->seek(stream.records_since);
      if (first) co_await log->trim(*first);
    }
    co_return log;
  }

  awaitable<void> load_tombstones() {
    auto entries = co_await store_.list(std::string(kStreamSeconds));
    if (!entries) throw std::runtime_error("stored streams cannot be read: " + entries.error().detail);
    for (const state::Entry& entry : *entries)
      tombstones_.emplace_back(seconds_in(entry.value), entry.key.substr(kStreamSeconds.size()));
    std::sort(tombstones_.begin(), tombstones_.end());
  }

  awaitable<Result<StreamRef>> make_stream(const CreateStream& spec) {
    const TimePoint now = clock_.now();
    std::int64_t created_s = seconds(now) - kCreatedBeforeS;
    auto tombstone = co_await store_.get(seconds_key_of(spec.name));
    if (!tombstone) co_return failed(tombstone.error().detail);
    if (*tombstone) created_s = std::max(created_s, seconds_in((*tombstone)->value) + 1);
    auto incarnation = co_await store_.next_number(std::string(state::keys::kStreamIncarnations));
    if (!incarnation) co_return failed(incarnation.error().detail);

    auto stream = std::make_shared<Stream>();
    stream->name = spec.name;
    stream->incarnation = *incarnation;
    stream->created = now;
    stream->settled = now + options_.create_delay;
    stream->retention = spec.retention;
    stream->tags = spec.tags;
    stream->settings = spec.settings;
    stream->limits = stream_limits(spec.name);
    const std::vector<HashRange> ranges = equal_ranges(spec.shard_count);
    std::optional<Error> error;
    for (std::uint32_t i = 0; i < spec.shard_count && !error; ++i) {
      log::LogOptions log_options;
      log_options.retention = spec.retention;
      auto log = co_await engine_.create(log_id(*incarnation, i), log_options);
      if (!log) {
        error = failed("log: " + log.error().detail);
        break;
      }
      auto shard = std::make_shared<Shard>();
      shard->index = i;
      shard->id = shard_id(i);
      shard->range = ranges[i];
      shard->created_s = created_s;
      shard->numbers = SequenceNumbers(i, created_s);
      shard->log = std::move(*log);
      shard->limits = shard_limits(spec.name);
      stream->shards.push_back(std::move(shard));
    }
    if (!error) {
      stream->index_routing();
      auto revision = co_await store_.put(key_of(spec.name), serialise(*stream), state::Revision{0});
      if (revision) {
        publish(stream, *revision);
        co_return StreamRef(stream);
      }
      error = revision.error().code == state::Errc::conflict ? Error{Errc::exists, spec.name}
                                                             : failed(revision.error().detail);
    }
    co_await remove_logs(*stream);
    co_return std::move(*error);
  }

  awaitable<void> remove_logs(const Stream& stream) {
    for (const auto& shard : stream.shards) {
      auto removed = co_await engine_.remove(shard->log->id());
      if (!removed && removed.error().code != log::Errc::not_found)
        logging::error("a shard's log could not be removed",
                       {{"stream", stream.name}, {"shard", shard->id}, {"error", removed.error().detail}});
    }
  }

  /// What counts towards Options::shards_max: also what a reshard is about to open.
  static std::uint64_t shards_taken(const Stream& stream) {
    const std::int64_t more = std::max<std::int64_t>(growth(stream.reshard), 0);
    return stream.open_shards() + static_cast<std::uint64_t>(more);
  }

  struct Reshard {
    std::function<Result<std::vector<ReshardStep>>(const Stream&)> plan;
    Edit edit{};  // what is changed beside
    Mode of = Mode::provisioned;
  };

  // Begins a reshard, and ends it too where UPDATING takes no time. Gives the stream as it was before.
  awaitable<Result<StreamRef>> reshard(std::string name, Reshard by) {
    const auto executor = co_await boost::asio::this_coro::executor;
    for (int attempt = 0; attempt < kChangeAttempts; ++attempt) {
      std::optional<Published> current = published(name);
      if (!current) co_return Error{Errc::not_found, name};
      const StreamRef before = current->stream;
      const TimePoint now = clock_.now();
      if (const Status status = before->status(now); status != Status::active)
        co_return Error{Errc::not_active, std::string(status_name(status))};
      if (before->settings.mode != by.of) co_return Error{Errc::on_demand, {}};
      Result<std::vector<ReshardStep>> steps = by.plan(*before);
      if (!steps) co_return steps.error();
      if (steps->empty()) co_return before;

      auto next = std::make_shared<Stream>(*before);
      if (by.edit)
        if (auto refused = by.edit(*next)) co_return std::move(*refused);
      next->reshard = std::move(*steps);
      next->created_settled = true;
      next->settled = now + options_.update_delay;
      const std::uint64_t more = shards_taken(*next) - shards_taken(*before);
      if (open_shards_.fetch_add(more) + more > options_.shards_max) {
        open_shards_ -= more;
        co_return Error{Errc::shard_limit, std::to_string(more)};
      }
      auto revision = co_await store_.put(key_of(name), serialise(*next), current->revision);
      if (!revision) {
        open_shards_ -= more;
        if (revision.error().code == state::Errc::not_found) co_return Error{Errc::not_found, name};
        if (revision.error().code != state::Errc::conflict) co_return failed(revision.error().detail);
        co_await boost::asio::post(use_awaitable);
        continue;
      }
      publish(next, *revision);
      co_await boost::asio::post(use_awaitable);
      co_await go_on_with_reshard(executor, next);
      co_return before;
    }
    co_return failed("stream '" + name + "' kept changing");
  }

  // At once when the time has come.
  awaitable<void> go_on_with_reshard(Executor executor, StreamRef stream) {
    TimePoint at = stream->settled;
    if (const TimePoint now = clock_.now(); at <= now) {
      auto done = co_await finish_reshard(stream->name, stream->incarnation);
      if (done) co_return;
      tell_of_retry(stream->name, done.error());
      at = now + kReshardRetry;
    }
    tasks_.spawn(executor, "reshard", reshard_later(stream->name, stream->incarnation, at));
  }

  static void tell_of_retry(const std::string& name, const Error& error) {
    logging::error("a reshard is tried again", {{"stream", name}, {"error", error.detail}});
  }

  awaitable<void> reshard_later(std::string name, std::uint64_t incarnation, TimePoint at) {
    for (;;) {
      const bool came = co_await sleep_until(clock_, at, tasks_.stop_token());
      if (!came) co_return;
      auto done = co_await finish_reshard(name, incarnation);
      if (done) co_return;
      tell_of_retry(name, done.error());
      at = clock_.now() + kReshardRetry;
    }
  }

  // The new map is kept before anybody sees it: what comes later to the parents, until the last one has ended, is
  // theirs also after a crash. Puts see the children before the parents end, so that none has to wait: one that is
  // under way meets an ended log and is routed again. Who reads parents to their end, then children, finds all in
  // order.
  awaitable<Result<>> finish_reshard(std::string name, std::uint64_t incarnation) {
    const auto executor = co_await boost::asio::this_coro::executor;
    std::vector<std::shared_ptr<log::Log>> logs;  // of the new shards, made once
    std::optional<Error> error;
    for (int attempt = 0; attempt < kChangeAttempts; ++attempt) {
      std::optional<Published> current = published(name);
      if (!current || current->stream->incarnation != incarnation || current->stream->reshard.empty()) break;
      const std::uint64_t taken = shards_taken(*current->stream);
      auto next = std::make_shared<Stream>(*current->stream);
      std::uint32_t first_new = take_steps(*next, next->reshard, seconds(clock_.now()));
      next->reshard.clear();
      co_await boost::asio::post(use_awaitable);
      auto fresh = std::find_if(next->shards.begin(), next->shards.end(),
                                [first_new](const auto& shard) { return shard->index >= first_new; });
      for (std::size_t i = 0; fresh != next->shards.end(); ++fresh, ++i) {
        if (i == logs.size()) {
          log::LogOptions log_options;
          log_options.retention = next->retention;
          const log::LogId id = log_id(incarnation, (*fresh)->index);
          auto log = co_await engine_.create(id, log_options);
          if (!log && log.error().code == log::Errc::conflict)
            log = co_await engine_.open(id);  // of an earlier attempt
          if (!log) {
            error = failed("log: " + log.error().detail);
            break;
          }
          logs.push_back(std::move(*log));
          if (logs.size() % kLogsATurn == 0) co_await boost::asio::post(use_awaitable);
        }
        auto opened = std::make_shared<Shard>(**fresh);
        opened->log = logs[i];
        opened->limits = shard_limits(name);
        *fresh = std::move(opened);
      }
      if (error) break;
      next->index_routing();
      co_await boost::asio::post(use_awaitable);
      auto revision = co_await store_.put(key_of(name), serialise(*next), current->revision);
      if (!revision) {
        if (revision.error().code == state::Errc::not_found) break;
        if (revision.error().code != state::Errc::conflict) {
          error = failed(revision.error().detail);
          break;
        }
        co_await boost::asio::post(use_awaitable);
        continue;
      }
      publish(next, *revision);
      open_shards_ -= taken - next->open_shards();
      co_await end_closed(executor, *current->stream, *next);
      for (const auto& log : logs) log->set_retention(next->retention);
      watch_expiry(executor, *next);
      co_return Result<>{};
    }
    for (const auto& log : logs) (void)co_await engine_.remove(log->id());
    if (error) co_return std::move(*error);
    co_return Result<>{};
  }

  // All at once: each waits until what was put to its log is kept.
  awaitable<void> end_closed(Executor executor, const Stream& before, const Stream& now) {
    TaskGroup ends;
    for (const auto& shard : now.shards) {
      const Shard* const was = before.shard(shard->index);
      if (!shard->ended_s || (was && was->ended_s)) continue;
      ends.spawn(executor, "end shard", end_log(shard->log));
      if (ends.running() % kLogsATurn == 0) co_await boost::asio::post(use_awaitable);
    }
    co_await ends.join();
  }

  static awaitable<void> end_log(std::shared_ptr<log::Log> log) {
    auto ended = co_await log->end(log->epoch());
    while (!ended && ended.error().code == log::Errc::stale_epoch) ended = co_await log->end(log->epoch());
  }

  static bool has_closed(const Stream& stream) {
    return std::any_of(stream.shards.begin(), stream.shards.end(),
                       [](const auto& shard) { return shard->ended_s.has_value(); });
  }

  void watch_expiry(const Executor& executor, const Stream& stream) {
    if (!has_closed(stream)) return;
    {
      std::unique_lock lock(mutex_);
      if (!expiry_watched_.insert(stream.incarnation).second) return;
    }
    tasks_.spawn(executor, "expire shards", expire_shards(stream.name, stream.incarnation));
  }

  // Closed shards go when the last of their records is past the retention.
  awaitable<void> expire_shards(std::string name, std::uint64_t incarnation) {
    for (;;) {
      const bool came = co_await sleep_until(clock_, clock_.now() + kExpiryLook, tasks_.stop_token());
      if (!came) co_return;
      co_await drop_expired(name, incarnation);
      std::unique_lock lock(mutex_);
      const auto at = by_incarnation_.find(incarnation);
      if (at != by_incarnation_.end() && has_closed(*at->second)) continue;
      expiry_watched_.erase(incarnation);
      co_return;
    }
  }

  awaitable<void> drop_expired(const std::string& name, std::uint64_t incarnation) {
    const TimePoint now = clock_.now();
    const auto expired = [now](const Stream& s) {
      return [&s, now](const auto& shard) { return s.expired(*shard, now); };
    };
    const StreamRef stream = find_incarnation(incarnation);
    if (!stream || std::none_of(stream->shards.begin(), stream->shards.end(), expired(*stream))) co_return;
    std::vector<std::shared_ptr<const Shard>> gone;
    Edit edit = [&gone, &expired, incarnation](Stream& s) -> std::optional<Error> {
      gone.clear();
      if (s.incarnation != incarnation) return Error{Errc::not_found, s.name};
      std::copy_if(s.shards.begin(), s.shards.end(), std::back_inserter(gone), expired(s));
      std::erase_if(s.shards, expired(s));
      s.index_routing();
      return std::nullopt;
    };
    auto changed = co_await change(name, std::move(edit));
    if (changed) {
      for (const auto& shard : gone) (void)co_await engine_.remove(shard->log->id());
    } else if (changed.error().code == Errc::failed) {
      logging::error("closed shards could not be removed", {{"stream", name}, {"error", changed.error().detail}});
    }
  }

  // What had been put to a stream's open shards at a moment.
  struct Seen {
    TimePoint at;
    std::map<std::uint32_t, ShardTotals> shards;
    bool told = false;  // that it cannot be scaled
  };

  static Seen look_at(const Stream& stream, TimePoint now) {
    Seen seen{now, {}};
    for (const auto& shard : stream.shards) {
      if (shard->ended_s) continue;
      const log::Progress progress = shard->log->progress();
      // The counts are not of the very same moment.
      const std::uint64_t heads = progress.records_total * sizeof(log::RecordHead);
      seen.shards[shard->index] = {std::max(progress.stored_bytes_total, heads) - heads, progress.records_total};
    }
    return seen;
  }

  // Streams on demand that have limits follow what is put to them.
  awaitable<void> scale_on_demand() {
    std::map<std::uint64_t, Seen> seen;  // by incarnation
    for (;;) {
      const bool came = co_await sleep_until(clock_, clock_.now() + kScaleLook, tasks_.stop_token());
      if (!came) co_return;
      const TimePoint now = clock_.now();
      std::map<std::uint64_t, Seen> before = std::exchange(seen, {});
      for (const StreamRef& stream : list({}, SIZE_MAX)) {
        if (!stream->limits || stream->settings.mode != Mode::on_demand || stream->deleting) continue;
        Seen& here = seen[stream->incarnation] = look_at(*stream, now);
        // What was put before it was first seen may have taken any time.
        const auto at = before.find(stream->incarnation);
        if (at == before.end()) continue;
        here.told = at->second.told;
        std::vector<ShardLoad> loads = loads_between(at->second.shards, here.shards, now - at->second.at);
        co_await follow(stream, std::move(loads), now, here.told);
      }
    }
  }

  awaitable<void> follow(StreamRef stream, std::vector<ShardLoad> loads, TimePoint now, bool& told) {
    const std::string name = stream->name;
    const std::uint64_t incarnation = stream->incarnation;
    if (History noted = stream->history; note_peak(noted, loads, now)) {
      Edit edit = [&loads, now, incarnation](Stream& s) -> std::optional<Error> {
        if (s.incarnation != incarnation) return Error{Errc::not_found, s.name};
        (void)note_peak(s.history, loads, now);
        return std::nullopt;
      };
      auto changed = co_await change(name, std::move(edit));
      if (!changed) co_return;
      stream = std::move(*changed);
    }
    const std::uint32_t most = options_.limits.quotas.on_demand_shards_max;
    if (stream->status(now) != Status::active || plan_scaling(*stream, loads, most, now).empty()) co_return;
    Reshard by;
    by.plan = [&loads, most, now, incarnation](const Stream& s) -> Result<std::vector<ReshardStep>> {
      if (s.incarnation != incarnation) return Error{Errc::not_found, s.name};
      return plan_scaling(s, loads, most, now);
    };
    by.edit = [now](Stream& s) -> std::optional<Error> {
      s.history.scaled = now;
      return std::nullopt;
    };
    by.of = Mode::on_demand;
    auto begun = co_await reshard(name, std::move(by));
    if (begun || begun.error().code == Errc::not_found || begun.error().code == Errc::not_active) co_return;
    if (!std::exchange(told, true))
      logging::warn("a stream on demand cannot be scaled",
                    {{"stream", name},
                     {"error", begun.error().code == Errc::shard_limit ? "as many shards are open as there may be"
                                                                       : begun.error().detail}});
  }

  awaitable<void> remove_later(std::string name, std::uint64_t incarnation, TimePoint at) {
    // Named: with the await in the condition g++ 12 makes a trap of what follows.
    const bool came = co_await sleep_until(clock_, at, tasks_.stop_token());
    if (came) co_await complete_remove(name, incarnation);
  }

  awaitable<void> complete_remove(std::string name, std::uint64_t incarnation) {
    auto removed = co_await finish_remove(name, incarnation);
    if (!removed && removed.error().code != Errc::not_found)
      logging::error("a stream could not be removed", {{"stream", name}, {"error", removed.error().detail}});
  }

  awaitable<Result<>> finish_remove(std::string name, std::uint64_t incarnation) {
    for (int attempt = 0; attempt < kChangeAttempts; ++attempt) {
      std::optional<Published> current = published(name);
      if (!current || current->stream->incarnation != incarnation) co_return Error{Errc::not_found, name};
      std::int64_t created_s = 0;
      for (const auto& shard : current->stream->shards) created_s = std::max(created_s, shard->created_s);
      auto kept = co_await keep_tombstone(name, created_s);
      if (!kept) co_return kept;
      auto removed = co_await store_.remove(key_of(name), current->revision);
      if (removed) {
        unpublish(*current->stream);
        co_await remove_logs(*current->stream);
        co_return Result<>{};
      }
      if (removed.error().code == state::Errc::not_found) co_return Error{Errc::not_found, name};
      if (removed.error().code != state::Errc::conflict) co_return failed(removed.error().detail);
      co_await boost::asio::post(use_awaitable);
    }
    co_return failed("stream '" + name + "' kept changing");
  }

  awaitable<Result<>> keep_tombstone(const std::string& name, std::int64_t created_s) {
    auto written = co_await store_.put(seconds_key_of(name), std::to_string(created_s));
    if (!written) co_return failed(written.error().detail);
    const std::int64_t past = seconds(clock_.now()) - kTombstoneS;
    std::vector<std::string> expired;
    {
      std::unique_lock lock(mutex_);
      tombstones_.emplace_back(created_s, name);
      while (!tombstones_.empty() && tombstones_.front().first < past) {
        expired.push_back(std::move(tombstones_.front().second));
        tombstones_.pop_front();
      }
    }
    for (const std::string& old : expired) {
      std::string key = seconds_key_of(old);
      auto value = co_await store_.get(key);
      if (!value || !*value || seconds_in((*value)->value) >= past) continue;
      (void)co_await store_.remove(key, (*value)->revision);
    }
    co_return Result<>{};
  }

  std::optional<Published> published(std::string_view name) const {
    std::shared_lock lock(mutex_);
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? std::nullopt : std::optional<Published>(at->second);
  }

  void publish(StreamRef stream, state::Revision revision) {
    std::unique_lock lock(mutex_);
    Published& slot = by_name_[stream->name];
    if (slot.stream && slot.revision >= revision) return;
    slot = {stream, revision};
    by_incarnation_[stream->incarnation] = stream;
    in_order_[stream->name] = std::move(stream);
  }

  void unpublish(const Stream& stream) {
    std::unique_lock lock(mutex_);
    by_incarnation_.erase(stream.incarnation);
    if (const auto at = by_name_.find(stream.name);
        at != by_name_.end() && at->second.stream->incarnation == stream.incarnation) {
      in_order_.erase(stream.name);
      by_name_.erase(at);
    }
    open_shards_ -= shards_taken(stream);
  }

  Clock& clock_;
  state::Store& store_;
  log::Engine& engine_;
  const Options options_;
  Account account_;
  CallLimits calls_;
  Subscriptions subscriptions_{*this};
  std::unique_ptr<IteratorCodec> iterators_;
  TaskGroup tasks_;

  mutable std::shared_mutex mutex_;
  std::unordered_map<std::string, Published, TextHash, std::equal_to<>> by_name_;
  std::unordered_map<std::uint64_t, StreamRef> by_incarnation_;
  std::map<std::string, StreamRef, std::less<>> in_order_;
  std::deque<std::pair<std::int64_t, std::string>> tombstones_;
  std::set<std::uint64_t> expiry_watched_;  // incarnations of streams whose closed shards are looked after
  std::atomic<std::uint64_t> open_shards_{0};
};

}  // namespace

awaitable<std::unique_ptr<Streams>> make_streams(Clock& clock, Random& random, state::Store& store, log::Engine& engine,
                                                 Options options) {
  auto streams = std::make_unique<LocalStreams>(clock, store, engine, options);
  co_await streams->load(random);
  co_return streams;
}

}  // namespace millrace::streams
