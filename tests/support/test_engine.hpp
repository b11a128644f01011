#pragma once
#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/wakeup.hpp"
#include "millrace/log/engine.hpp"

/// A log engine that behaves as a replicated one may: commits come late or fail, another owner may take a log over,
/// reads give copies in several runs, positions jump after a failure. For tests of what is built on the seam.
namespace millrace::test {

class TestEngine final : public log::Engine {
 public:
  enum class Commits {
    at_once,   ///< stage() returns committed tickets
    on_await,  ///< committed() commits
    held,      ///< only commit() does
  };
  explicit TestEngine(Clock& clock, Commits commits = Commits::held) : clock_(clock), commits_(commits) {}

  void set_commits(Commits commits) {
    std::lock_guard lock(mutex_);
    commits_ = commits;
  }
  /// While set, stage() says full.
  void set_full(bool full) {
    std::lock_guard lock(mutex_);
    full_ = full;
  }
  /// Commits what is staged, in all logs or in one.
  void commit() {
    for (const auto& state : states()) commit_until(*state, UINT64_MAX);
  }
  void commit(log::LogId id) {
    if (const auto state = find(id)) commit_until(*state, UINT64_MAX);
  }
  /// What is staged is lost: tails drop back to committed, who waits for it gets write_failed, a new epoch begins far
  /// beyond any position that was ever given.
  void fail_staged() {
    for (const auto& state : states()) {
      {
        std::lock_guard lock(state->mutex);
        if (state->tail == state->committed) continue;
        state->failed.emplace_back(state->committed, state->tail);
        while (!state->records.empty() && !state->records.back().committed) state->records.pop_back();
        state->tail += std::uint64_t{1} << 32;
        state->committed = state->tail;
        state->newest_arrival = state->tip_arrival;
        ++state->epoch;
      }
      wake(*state);
    }
  }
  /// Another node takes the log over: handles opened before are stale.
  void fence(log::LogId id) {
    if (const auto state = find(id)) {
      std::lock_guard lock(state->mutex);
      ++state->epoch;
      ++state->owner;
    }
  }
  /// Records staged and not committed, in all logs.
  std::size_t pending() {
    std::size_t n = 0;
    for (const auto& state : states()) {
      std::lock_guard lock(state->mutex);
      for (const auto& r : state->records) n += !r.committed;
    }
    return n;
  }

  awaitable<log::Result<std::shared_ptr<log::Log>>> create(log::LogId id, log::LogOptions options) override {
    std::shared_ptr<State> state;
    {
      std::lock_guard lock(mutex_);
      if (logs_.count(id.get())) co_return log::Error{log::Errc::conflict, "test engine"};
      state = std::make_shared<State>(id, options);
      logs_.emplace(id.get(), state);
    }
    co_return std::shared_ptr<log::Log>(std::make_shared<Handle>(*this, state));
  }
  awaitable<log::Result<std::shared_ptr<log::Log>>> open(log::LogId id) override {
    auto state = find(id);
    if (!state) co_return log::Error{log::Errc::not_found, "test engine"};
    co_return std::shared_ptr<log::Log>(std::make_shared<Handle>(*this, state));
  }
  awaitable<log::Result<>> remove(log::LogId id) override {
    std::shared_ptr<State> state;
    {
      std::lock_guard lock(mutex_);
      const auto found = logs_.find(id.get());
      if (found == logs_.end()) co_return log::Error{log::Errc::not_found, "test engine"};
      state = found->second;
      logs_.erase(found);
    }
    {
      std::lock_guard lock(state->mutex);
      state->ended = state->removed = true;
    }
    wake(*state);
    co_return log::Result<>{};
  }
  awaitable<log::Result<>> committed(std::span<const log::Ticket> tickets) override {
    for (const log::Ticket& ticket : tickets) {
      if (ticket.committed) continue;
      const auto state = find(ticket.log);
      if (!state) co_return log::Error{log::Errc::not_found, "test engine"};
      Commits commits;
      {
        std::lock_guard lock(mutex_);
        commits = commits_;
      }
      if (commits != Commits::held) commit_until(*state, ticket.end.get());
      for (;;) {
        const Watch watch(*state);
        {
          std::lock_guard lock(state->mutex);
          const std::uint64_t last = ticket.end.get() - 1;
          const bool lost = std::any_of(state->failed.begin(), state->failed.end(), [last](const auto& range) {
            return range.first <= last && last < range.second;
          });
          if (lost) co_return log::Error{log::Errc::write_failed, "test engine"};
          if (state->committed >= ticket.end.get()) break;
          if (state->removed) co_return log::Error{log::Errc::not_found, "test engine"};
        }
        co_await watch.wake.wait(clock_, TimePoint::max());
      }
    }
    co_return log::Result<>{};
  }

 private:
  struct Record {
    std::uint64_t position;
    std::int64_t arrival_ms;
    std::string key, data;
    bool committed;
    std::size_t stored() const { return sizeof(log::RecordHead) + key.size() + data.size(); }
  };
  struct State {
    State(log::LogId log_id, const log::LogOptions& options)
        : id(log_id), tail(options.first.get()), committed(tail), horizon(tail), retention(options.retention.count()) {}
    const log::LogId id;
    std::mutex mutex;
    std::vector<Record> records;
    std::uint64_t tail, committed, horizon;
    std::int64_t retention;
    std::int64_t newest_arrival = 0, tip_arrival = 0;
    std::uint64_t records_total = 0, data_total = 0, stored_total = 0;
    std::uint64_t epoch = 1, owner = 0;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> failed;
    bool ended = false, removed = false;
    std::vector<WakeUp*> watching;

    bool over() const { return removed || (ended && committed == tail); }
    std::uint64_t horizon_at(std::int64_t now) const {
      for (const Record& r : records) {
        if (r.committed && r.position >= horizon && r.arrival_ms >= now - retention) return r.position;
      }
      return committed;
    }
    void drop_below(std::uint64_t position) {
      horizon = std::max(horizon, position);
      std::erase_if(records, [this](const Record& r) { return r.committed && r.position < horizon; });
    }
  };
  // Stands among a log's watchers while it lives.
  struct Watch {
    explicit Watch(State& s) : state(s) {
      std::lock_guard lock(state.mutex);
      state.watching.push_back(&wake);
    }
    ~Watch() {
      std::lock_guard lock(state.mutex);
      std::erase(state.watching, &wake);
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    State& state;
    WakeUp wake;
  };

  class Handle final : public log::Log {
   public:
    Handle(TestEngine& engine, std::shared_ptr<State> state)
        : engine_(engine),
          clock_(engine.clock_),
          state_(std::move(state)),
          owner_(state_->owner),
          epoch_(state_->epoch) {}

    log::LogId id() const noexcept override { return state_->id; }
    log::Epoch epoch() const noexcept override {
      std::lock_guard lock(state_->mutex);
      // A failure begins an epoch of the same owner; a fence leaves the old owner with its last one.
      if (state_->owner == owner_) epoch_ = state_->epoch;
      return log::Epoch{epoch_};
    }

    log::Result<log::Staged> stage(log::Epoch epoch, const log::BatchView& batch,
                                   std::optional<log::Position> expected) override {
      Commits commits;
      {
        std::lock_guard lock(engine_.mutex_);
        if (engine_.full_) return error(log::Errc::full);
        commits = engine_.commits_;
      }
      std::uint64_t first = 0, end = 0;
      std::int64_t arrival = 0;
      {
        std::lock_guard lock(state_->mutex);
        if (epoch.get() != state_->epoch) return error(log::Errc::stale_epoch);
        if (state_->ended) return error(log::Errc::ended);
        if (expected && expected->get() != state_->tail) return error(log::Errc::conflict);
        arrival = std::max(now(), state_->newest_arrival);
        state_->newest_arrival = arrival;
        first = state_->tail;
        const char* at = batch.bytes;
        for (const std::uint32_t record_end : batch.ends) {
          log::RecordView record;
          log::read_record(at, record);
          state_->records.push_back(
              {state_->tail++, arrival, std::string(record.key), std::string(record.data), false});
          at = batch.bytes + record_end;
        }
        end = state_->tail;
      }
      if (commits == Commits::at_once) engine_.commit_until(*state_, end);
      return log::Staged{log::Position{first}, arrival,
                         log::Ticket{state_->id, epoch, log::Position{end}, commits == Commits::at_once}};
    }

    awaitable<log::Result<log::ReadBatch>> read(log::ReadRequest request) override {
      const auto state = state_;
      Clock& clock = clock_;
      for (;;) {
        const Watch watch(*state);
        {
          std::lock_guard lock(state->mutex);
          if (state->removed) co_return error(log::Errc::not_found);
          log::ReadBatch batch = read_now(*state, request, clock.now().time_since_epoch().count());
          if (batch.records || batch.ended || request.wait_until <= clock.now()) co_return std::move(batch);
        }
        if (request.stop.stop_requested()) co_return error(log::Errc::stopped);
        const WakeUp::Why why = co_await watch.wake.wait(clock, request.wait_until, request.stop);
        if (why == WakeUp::Why::stopped) co_return error(log::Errc::stopped);
      }
    }

    awaitable<log::Result<bool>> wait_stored(std::uint64_t stored_bytes_total, TimePoint deadline,
                                             std::stop_token stop) override {
      const auto state = state_;
      Clock& clock = clock_;
      for (;;) {
        const Watch watch(*state);
        {
          std::lock_guard lock(state->mutex);
          if (state->stored_total >= stored_bytes_total || state->over()) co_return true;
        }
        if (deadline <= clock.now()) co_return false;
        if (stop.stop_requested()) co_return error(log::Errc::stopped);
        const WakeUp::Why why = co_await watch.wake.wait(clock, deadline, stop);
        if (why == WakeUp::Why::stopped) co_return error(log::Errc::stopped);
      }
    }

    awaitable<log::Result<log::Position>> seek(TimePoint at) override {
      std::lock_guard lock(state_->mutex);
      if (state_->removed) co_return error(log::Errc::not_found);
      const std::uint64_t horizon = state_->horizon_at(now());
      for (const Record& r : state_->records) {
        if (r.committed && r.position >= horizon && r.arrival_ms >= at.time_since_epoch().count())
          co_return log::Position{r.position};
      }
      co_return log::Position{state_->committed};
    }

    log::Progress progress() const noexcept override {
      std::lock_guard lock(state_->mutex);
      log::Progress p{};
      p.horizon = log::Position{state_->horizon_at(now())};
      p.tip = log::Position{state_->committed};
      p.tip_arrival_ms = state_->tip_arrival;
      p.records_total = state_->records_total;
      p.data_bytes_total = state_->data_total;
      p.stored_bytes_total = state_->stored_total;
      for (const Record& r : state_->records) p.stored_bytes += r.committed ? r.stored() : 0;
      p.ended = state_->over();
      return p;
    }

    void set_retention(std::chrono::milliseconds retention) override {
      std::lock_guard lock(state_->mutex);
      state_->drop_below(state_->horizon_at(now()));
      state_->retention = retention.count();
      state_->drop_below(state_->horizon_at(now()));
    }
    awaitable<log::Result<>> trim(log::Position position) override {
      std::lock_guard lock(state_->mutex);
      if (state_->removed) co_return error(log::Errc::not_found);
      state_->drop_below(std::min(position.get(), state_->committed));
      co_return log::Result<>{};
    }
    awaitable<log::Result<log::Position>> end(log::Epoch epoch) override {
      std::uint64_t end = 0;
      {
        std::lock_guard lock(state_->mutex);
        if (epoch.get() != state_->epoch) co_return error(log::Errc::stale_epoch);
        state_->ended = true;
        end = state_->tail;
      }
      wake(*state_);
      co_return log::Position{end};
    }

   private:
    std::int64_t now() const { return clock_.now().time_since_epoch().count(); }
    static log::Error error(log::Errc code) { return {code, "test engine"}; }

    // A run is at most a few records, and never goes over a jump in positions.
    static log::ReadBatch read_now(const State& state, const log::ReadRequest& request, std::int64_t now) {
      log::ReadBatch out;
      out.horizon = log::Position{state.horizon_at(now)};
      out.tip = log::Position{state.committed};
      out.tip_arrival_ms = state.tip_arrival;
      std::uint64_t next = std::max(request.from, out.horizon).get();
      std::size_t bytes = 0;
      std::shared_ptr<std::string> copy;
      bool more = false;
      for (const Record& r : state.records) {
        if (!r.committed) break;
        if (r.position < next) continue;
        bytes += r.key.size() + r.data.size();
        if (out.records && (out.records >= request.records_max || bytes > request.bytes_max)) {
          more = true;
          break;
        }
        if (out.runs.empty() || out.runs.back().count == 5 || r.position != next) {
          finish(out, copy);
          copy = std::make_shared<std::string>();
          out.runs.push_back({copy, log::Position{r.position}, 0, {}});
        }
        const log::RecordHead head{r.arrival_ms, static_cast<std::uint32_t>(r.data.size()),
                                   static_cast<std::uint16_t>(r.key.size()), 0};
        copy->append(reinterpret_cast<const char*>(&head), sizeof head).append(r.key).append(r.data);
        ++out.runs.back().count;
        ++out.records;
        next = r.position + 1;
      }
      finish(out, copy);
      if (!more && state.ended && state.committed == state.tail) {
        out.ended = true;
        next = state.tail;
      }
      out.next = log::Position{next};
      return out;
    }
    static void finish(log::ReadBatch& out, const std::shared_ptr<std::string>& copy) {
      if (copy) out.runs.back().bytes = *copy;
    }

    TestEngine& engine_;
    Clock& clock_;
    const std::shared_ptr<State> state_;
    const std::uint64_t owner_;
    mutable std::uint64_t epoch_;
  };

  std::shared_ptr<State> find(log::LogId id) {
    std::lock_guard lock(mutex_);
    const auto found = logs_.find(id.get());
    return found == logs_.end() ? nullptr : found->second;
  }
  std::vector<std::shared_ptr<State>> states() {
    std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<State>> all;
    for (const auto& [id, state] : logs_) all.push_back(state);
    return all;
  }
  static void wake(State& state) {
    std::lock_guard lock(state.mutex);
    for (const WakeUp* waiting : state.watching) waiting->notify();
  }
  static void commit_until(State& state, std::uint64_t end) {
    {
      std::lock_guard lock(state.mutex);
      for (Record& r : state.records) {
        if (r.committed || r.position >= end) continue;
        r.committed = true;
        state.committed = r.position + 1;
        state.tip_arrival = r.arrival_ms;
        ++state.records_total;
        state.data_total += r.data.size();
        state.stored_total += r.stored();
      }
    }
    wake(state);
  }

  Clock& clock_;
  std::mutex mutex_;
  Commits commits_;
  bool full_ = false;
  std::map<std::uint64_t, std::shared_ptr<State>> logs_;
};

}  // namespace millrace::test
