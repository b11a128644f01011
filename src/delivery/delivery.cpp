#include "millrace/delivery/delivery.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <functional>
#include <map>
#include <set>
#include <utility>

#include "delivery/pump.hpp"
#include "millrace/base/log.hpp"
#include "millrace/state/keys.hpp"

namespace millrace::delivery {

std::string_view status_name(Status status) noexcept {
  switch (status) {
    case Status::creating:
      return "CREATING";
    case Status::active:
      return "ACTIVE";
    case Status::deleting:
      return "DELETING";
  }
  return "";
}

namespace {

using state::keys::kDelivery;

class Implementation final : public Delivery {
 public:
  Implementation(Dependencies dependencies, Options options)
      : dependencies_(dependencies), options_(options), slots_(std::make_shared<WriterSlots>(dependencies.budget)) {}

  awaitable<Result<>> start() override {
    auto entries = co_await dependencies_.store.list(std::string(kDelivery));
    if (!entries) co_return Error{Errc::failed, entries.error().detail};
    for (state::Entry& entry : *entries) {
      std::optional<Stored> stored = read_stored(entry.value);
      if (!stored)
        co_return Error{Errc::failed,
                        "the stored value of '" + entry.key +
                            "' cannot be understood: a later version of this program may have written it"};
      add(std::move(*stored), entry.revision);
    }
    co_return Result<>{};
  }

  std::shared_ptr<const DeliveryStreamInfo> find(std::string_view name) const override {
    auto pump = pump_of(name);
    return pump ? std::make_shared<const DeliveryStreamInfo>(pump->info()) : nullptr;
  }

  std::vector<std::shared_ptr<const DeliveryStreamInfo>> list(std::string_view after,
                                                              std::size_t limit) const override {
    std::vector<std::shared_ptr<Pump>> pumps;
    all_.with([&](const All& all) {
      for (auto at = all.pumps.upper_bound(after); at != all.pumps.end() && pumps.size() < limit; ++at)
        pumps.push_back(at->second);
    });
    std::vector<std::shared_ptr<const DeliveryStreamInfo>> infos;
    infos.reserve(pumps.size());
    for (const auto& pump : pumps) infos.push_back(std::make_shared<const DeliveryStreamInfo>(pump->info()));
    return infos;
  }

  awaitable<Result<>> create(DeliveryStreamSpec spec) override {
    const std::string name = spec.name;
    const bool taken =
        all_.with([&](All& all) { return all.pumps.contains(name) || !all.being_created.insert(name).second; });
    if (taken) co_return Error{Errc::exists, name};
    auto created = co_await create_reserved(std::move(spec));
    all_.with([&](All& all) { all.being_created.erase(name); });
    co_return created;
  }

  awaitable<Result<>> remove(std::string name) override {
    auto pump = pump_of(name);
    if (!pump) co_return Error{Errc::not_found, name};
    if (pump->creating()) co_return Error{Errc::not_deletable, std::string(status_name(Status::creating))};
    if (!pump->begin_deleting()) co_return Result<>{};
    // Before it stops: one that is still stored goes on. A checkpoint on its way finds no key, and brings none back.
    auto forgotten = co_await dependencies_.store.remove(std::string(kDelivery) + name);
    if (!forgotten && forgotten.error().code != state::Errc::not_found) {
      pump->end_deleting();
      co_return Error{Errc::failed, forgotten.error().detail};
    }
    co_await pump->stop();
    if (options_.delete_delay.count() > 0) {
      const Executor executor = co_await boost::asio::this_coro::executor;
      tasks_.spawn(executor, "delete " + name, drop_later(pump, dependencies_.clock.now() + options_.delete_delay));
    } else {
      drop(pump);
    }
    co_return Result<>{};
  }

  awaitable<std::vector<FlushFailure>> flush(std::chrono::steady_clock::time_point deadline) override {
    using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                    boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;
    struct Waiting {
      Waiting(Executor e, std::chrono::steady_clock::time_point at) : timer(e, at) {}
      Timer timer;
      std::size_t left = 0;
    };
    const Executor executor = co_await boost::asio::this_coro::executor;
    auto waiting = std::make_shared<Waiting>(executor, deadline);
    const std::vector<std::shared_ptr<Pump>> pumps = all_pumps();
    std::vector<std::shared_ptr<const Pump::Flush>> flushes;
    waiting->left = pumps.size();
    const std::function<void()> done = [waiting, executor] {
      boost::asio::post(executor, [waiting] {
        if (--waiting->left == 0) waiting->timer.cancel();
      });
    };
    for (const auto& pump : pumps) flushes.push_back(pump->flush(done));
    // Handlers of this executor run on one thread: none is between the look and the wait.
    if (waiting->left > 0) co_await waiting->timer.async_wait(boost::asio::as_tuple(use_awaitable));
    std::vector<FlushFailure> failures;
    for (std::size_t i = 0; i < pumps.size(); ++i)
      if (auto why = pumps[i]->end_flush(flushes[i]); why && !pumps[i]->deleting())
        failures.push_back({pumps[i]->info().spec.name, std::move(*why)});
    co_return failures;
  }

  std::uint64_t undelivered_records() const override {
    std::uint64_t records = 0;
    for (const auto& pump : all_pumps()) records += pump->undelivered_records();
    return records;
  }

  awaitable<void> clear() override {
    const std::vector<std::shared_ptr<Pump>> pumps = all_pumps();
    for (const auto& pump : pumps) {
      pump->begin_deleting();
      pump->request_stop();
    }
    for (const auto& pump : pumps) {
      co_await pump->stop();
      const std::string name = pump->info().spec.name;
      auto forgotten = co_await dependencies_.store.remove(std::string(kDelivery) + name);
      if (!forgotten && forgotten.error().code != state::Errc::not_found)
        logging::error("a delivery stream that is gone is still stored",
                       {{"delivery_stream", name}, {"reason", forgotten.error().detail}});
      drop(pump);
    }
  }

  awaitable<void> stop() override {
    const std::vector<std::shared_ptr<Pump>> pumps = all_pumps();
    tasks_.stop();
    for (const auto& pump : pumps) pump->request_stop();
    for (const auto& pump : pumps) co_await pump->stop();
    co_await tasks_.join();
  }

 private:
  struct All {
    std::map<std::string, std::shared_ptr<Pump>, std::less<>> pumps;
    std::set<std::string, std::less<>> being_created;
  };

  std::shared_ptr<Pump> pump_of(std::string_view name) const {
    return all_.with([&](const All& all) {
      const auto found = all.pumps.find(name);
      return found == all.pumps.end() ? nullptr : found->second;
    });
  }

  std::vector<std::shared_ptr<Pump>> all_pumps() const {
    return all_.with([](const All& all) {
      std::vector<std::shared_ptr<Pump>> pumps;
      pumps.reserve(all.pumps.size());
      for (const auto& [name, pump] : all.pumps) pumps.push_back(pump);
      return pumps;
    });
  }

  void add(Stored stored, state::Revision revision) {
    const std::string name = stored.spec.name;
    const std::size_t core = std::hash<std::string>{}(name) % dependencies_.cores.size();
    auto pump =
        std::make_shared<Pump>(dependencies_, slots_, dependencies_.cores.executor(core), std::move(stored), revision);
    pump->start();
    all_.with([&](All& all) { all.pumps[name] = std::move(pump); });
  }

  void drop(const std::shared_ptr<Pump>& pump) {
    const std::string name = pump->info().spec.name;
    all_.with([&](All& all) {
      const auto found = all.pumps.find(name);
      if (found != all.pumps.end() && found->second == pump) all.pumps.erase(found);
    });
  }

  awaitable<void> drop_later(std::shared_ptr<Pump> pump, TimePoint at) {
    co_await sleep_until(dependencies_.clock, at, tasks_.stop_token());
    drop(pump);
  }

  awaitable<Result<>> create_reserved(DeliveryStreamSpec spec) {
    Stored stored;
    stored.spec = std::move(spec);
    const streams::StreamRef source = dependencies_.streams.find(stored.spec.source_stream);
    if (!source || source->deleting) co_return Error{Errc::source_not_found, stored.spec.source_stream};
    auto incarnation = co_await dependencies_.store.next_number(std::string(state::keys::kDeliveryIncarnations));
    if (!incarnation) co_return Error{Errc::failed, incarnation.error().detail};
    stored.incarnation = *incarnation;
    stored.source_incarnation = source->incarnation;
    stored.created = dependencies_.clock.now();
    stored.active_at = stored.created + options_.create_delay;
    for (const auto& shard : source->shards)
      stored.shards.emplace(shard->index, ShardProgress(shard->log->progress().tip));
    std::string text = write_stored(stored);
    auto put = co_await dependencies_.store.put(std::string(kDelivery) + stored.spec.name, std::move(text),
                                                state::Revision{0});
    if (!put && put.error().code == state::Errc::conflict) co_return Error{Errc::exists, stored.spec.name};
    if (!put) co_return Error{Errc::failed, put.error().detail};
    add(std::move(stored), *put);
    co_return Result<>{};
  }

  const Dependencies dependencies_;
  const Options options_;
  const std::shared_ptr<WriterSlots> slots_;
  Guarded<All> all_;
  TaskGroup tasks_;
};

}  // namespace

std::unique_ptr<Delivery> make_delivery(Dependencies dependencies, Options options) {
  return std::make_unique<Implementation>(dependencies, options);
}

}  // namespace millrace::delivery
