#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cerrno>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "millrace/delivery/delivery.hpp"
#include "support/run.hpp"

/// Delivery on a manual clock, memory files and one core driven by the test: say what happens, settle(), look at the
/// tree.
namespace millrace::delivery {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

/// A store, in memory unless said, with changes that fail on demand.
class FaultyStore final : public state::Store {
 public:
  std::unique_ptr<state::Store> inner = state::make_memory_store();
  std::function<bool(const std::string& key)> fail_put;
  bool fail_remove = false;
  std::size_t puts = 0;

  awaitable<state::Result<std::optional<state::Entry>>> get(std::string key) override {
    return inner->get(std::move(key));
  }
  awaitable<state::Result<std::vector<state::Entry>>> list(std::string prefix) override {
    return inner->list(std::move(prefix));
  }
  awaitable<state::Result<state::Revision>> put(std::string key, std::string value,
                                                std::optional<state::Revision> expected) override {
    ++puts;
    if (fail_put && fail_put(key))
      co_return state::Error{state::Errc::write_failed, "write state: No space left on device"};
    co_return co_await inner->put(std::move(key), std::move(value), expected);
  }
  awaitable<state::Result<>> remove(std::string key, std::optional<state::Revision> expected) override {
    if (fail_remove) co_return state::Error{state::Errc::write_failed, "write state: No space left on device"};
    co_return co_await inner->remove(std::move(key), expected);
  }
  awaitable<state::Result<std::uint64_t>> next_number(std::string name) override {
    return inner->next_number(std::move(name));
  }
  WatchId watch(std::string prefix, std::function<void(const state::Change&)> changed) override {
    return inner->watch(std::move(prefix), std::move(changed));
  }
  void unwatch(WatchId id) override { inner->unwatch(id); }
  awaitable<state::Result<>> clear() override { return inner->clear(); }
};

/// A memory engine whose reads can be looked in on.
class ObservedEngine final : public log::Engine {
 public:
  explicit ObservedEngine(std::unique_ptr<log::Engine> inner) : inner_(std::move(inner)) {}
  std::shared_ptr<std::function<void()>> before_read = std::make_shared<std::function<void()>>();

  awaitable<log::Result<std::shared_ptr<log::Log>>> create(log::LogId id, log::LogOptions options) override {
    return observed(inner_->create(id, options));
  }
  awaitable<log::Result<std::shared_ptr<log::Log>>> open(log::LogId id) override { return observed(inner_->open(id)); }
  awaitable<log::Result<>> remove(log::LogId id) override { return inner_->remove(id); }
  awaitable<log::Result<>> committed(std::span<const log::Ticket> tickets) override {
    return inner_->committed(tickets);
  }

 private:
  class Observed final : public log::Log {
   public:
    Observed(std::shared_ptr<log::Log> inner, std::shared_ptr<std::function<void()>> before_read)
        : inner_(std::move(inner)), before_read_(std::move(before_read)) {}
    log::LogId id() const noexcept override { return inner_->id(); }
    log::Epoch epoch() const noexcept override { return inner_->epoch(); }
    log::Result<log::Staged> stage(log::Epoch epoch, const log::BatchView& batch,
                                   std::optional<log::Position> expected) override {
      return inner_->stage(epoch, batch, expected);
    }
    awaitable<log::Result<log::ReadBatch>> read(log::ReadRequest request) override {
      if (const auto what = std::exchange(*before_read_, {})) {
        what();
        co_await boost::asio::post(co_await boost::asio::this_coro::executor, use_awaitable);  // what it started runs
      }
      co_return co_await inner_->read(std::move(request));
    }
    awaitable<log::Result<bool>> wait_stored(std::uint64_t total, TimePoint deadline, std::stop_token stop) override {
      return inner_->wait_stored(total, deadline, std::move(stop));
    }
    awaitable<log::Result<log::Position>> seek(TimePoint at) override { return inner_->seek(at); }
    log::Progress progress() const noexcept override { return inner_->progress(); }
    void set_retention(std::chrono::milliseconds retention) override { inner_->set_retention(retention); }
    awaitable<log::Result<>> trim(log::Position position) override { return inner_->trim(position); }
    awaitable<log::Result<log::Position>> end(log::Epoch epoch) override { return inner_->end(epoch); }

   private:
    const std::shared_ptr<log::Log> inner_;
    const std::shared_ptr<std::function<void()>> before_read_;
  };

  awaitable<log::Result<std::shared_ptr<log::Log>>> observed(awaitable<log::Result<std::shared_ptr<log::Log>>> made) {
    auto log = co_await std::move(made);
    if (!log) co_return log;
    co_return std::shared_ptr<log::Log>(std::make_shared<Observed>(std::move(*log), before_read));
  }

  const std::unique_ptr<log::Engine> inner_;
};

using Objects = std::map<std::string, std::string>;  // path below s3/ -> content

class World {
 public:
  /// @param memory_limit      of the budget, and what records leave of it
  explicit World(streams::Options stream_options = {}, Options delivery_options = {},
                 std::size_t memory_limit = 256u << 20, std::size_t kept_from_records = 0)
      : delivery_options_(delivery_options),
        budget(memory_limit, kept_from_records),
        streams(test::run(io(), streams::make_streams(clock, *random_, store, *engine_, stream_options))) {
    const std::size_t alone = settle_once();
    alone_ = std::max(alone, settle_once());
    delivery = make();
  }
  ~World() {
    if (delivery) stop_delivery();
    streams.reset();
    store.inner.reset();  // before its files
  }

  Cores cores{1};

 private:
  std::unique_ptr<Random> random_ = make_seeded_random(1);
  FileThreads threads_{1};
  const Options delivery_options_;

 public:
  ManualClock clock;
  MemoryBudget budget;
  FaultyStore store;
  std::unique_ptr<MemoryFiles> files = make_memory_files({.loses_unsynced = true});

 private:
  std::unique_ptr<ObservedEngine> engine_ = std::make_unique<ObservedEngine>(log::make_memory_engine(clock, budget));

 public:
  std::unique_ptr<streams::Streams> streams;
  std::unique_ptr<objects::Tree> tree = objects::make_tree(*files, threads_, "data/s3", false);
  std::unique_ptr<Delivery> delivery;

  boost::asio::io_context& io() { return cores.context(0); }

  /// Until nothing runs any more, files included. Returns how many handlers ran beside its own.
  std::size_t settle() {
    std::size_t ran = 0;
    for (int quiet = 0; quiet < 3;) {
      const std::size_t now = settle_once();
      quiet = now <= alone_ ? quiet + 1 : 0;
      ran += now > alone_ ? now - alone_ : 0;
    }
    return ran;
  }
  std::size_t advance(std::chrono::milliseconds by) {
    clock.advance(by);
    return settle();
  }
  std::size_t pass_seconds(int seconds) {
    std::size_t ran = 0;
    for (; seconds > 0; --seconds) ran += advance(1s);
    return ran;
  }
  template <class T>
  T run(awaitable<T> task) {
    return test::run(io(), std::move(task));
  }

  void create_stream(std::string name, std::uint32_t shards) {
    streams::CreateStream spec;
    spec.name = std::move(name);
    spec.shard_count = shards;
    ASSERT_TRUE(run(streams->create(spec)));
  }
  static DeliveryStreamSpec spec(std::string name, std::string source, std::uint32_t size_mib = 1,
                                 std::chrono::seconds interval = 60s) {
    DeliveryStreamSpec spec;
    spec.name = std::move(name);
    spec.source_stream = std::move(source);
    spec.s3.bucket = "lake";
    spec.s3.prefix = "raw/";
    spec.s3.size_mib = size_mib;
    spec.s3.interval = interval;
    return spec;
  }
  void create(DeliveryStreamSpec spec) {
    ASSERT_TRUE(run(delivery->create(std::move(spec))));
    settle();
  }
  /// A stream `events` and a delivery stream `F` from it.
  void begin(std::uint32_t shards = 1, std::uint32_t size_mib = 1, std::chrono::seconds interval = 60s,
             bool delimiter = false) {
    create_stream("events", shards);
    DeliveryStreamSpec wanted = spec("F", "events", size_mib, interval);
    wanted.s3.append_delimiter = delimiter;
    create(std::move(wanted));
  }
  void put(std::string_view data, std::uint32_t shard = 0, std::string_view stream = "events") {
    builder_.reset(log::batch_bytes_needed(1, data.size() + 1));
    builder_.begin_batch();
    builder_.add("k", data);
    const auto log = streams->find(stream)->shards[shard]->log;
    ASSERT_TRUE(log->stage(log->epoch(), builder_.batch()));
  }
  /// `count` records of 1 KiB, each beginning with its number.
  void put_kib(int count, int first = 0, std::uint32_t shard = 0) {
    for (int i = 0; i < count; ++i) {
      std::string data = std::to_string(first + i) + ".";
      data.resize(1024, 'x');
      put(data, shard);
    }
  }
  Objects objects() {
    Objects found;
    collect("data/s3", "", found);
    return found;
  }
  std::size_t temporaries() {
    auto names = files->list("data/tmp");
    return names ? names->size() : 0;
  }
  DeliveryStreamInfo info(std::string_view name = "F") {
    const auto found = delivery->find(name);
    return found ? *found : DeliveryStreamInfo{};
  }
  std::vector<FlushFailure> flush(std::chrono::milliseconds patience = 20s) {
    return run(delivery->flush(std::chrono::steady_clock::now() + patience));
  }
  /// Called, on the core, before the next read of a log.
  void before_next_read(std::function<void()> what) { *engine_->before_read = std::move(what); }
  void stop_delivery() {
    run(delivery->stop());
    settle();
    delivery.reset();
  }
  /// As after a restart: over what the store and the engine hold.
  void start_delivery_again() {
    delivery = make();
    ASSERT_TRUE(run(delivery->start()));
    settle();
  }
  /// From now on the state lies in files too, and objects are synced. Before anything is created.
  void become_durable() {
    if (delivery) stop_delivery();
    streams.reset();
    open_durable();
  }
  /// The machine loses its power and starts again; only the engine's records are spared.
  void lose_power(Random& random) {
    fail_all_files(EIO);
    run(delivery->stop());
    delivery.reset();
    streams.reset();
    tree.reset();
    store.inner.reset();
    files_work_again();
    files->lose_power(random);
    open_durable();
  }
  /// Makes the n-th change of a file from now on fail, or all of them.
  void fail_file_change(std::size_t n) {
    auto call = std::make_shared<std::atomic<std::size_t>>(0);
    files->on_change([call, n](std::string_view, const fs::path&) { return ++*call == n ? ENOSPC : 0; });
  }
  void fail_all_files(int error_number) {
    files->on_change([error_number](std::string_view, const fs::path&) { return error_number; });
  }
  void files_work_again() { files->on_change({}); }

 private:
  void open_durable() {
    store.inner.reset();
    auto made = state::make_journal_store(*files, clock, {.directory = "data/state", .file_bytes = 64 << 10});
    ASSERT_TRUE(made) << made.error().detail;
    store.inner = std::move(made->store);
    streams = run(streams::make_streams(clock, *random_, store, *engine_, {}));
    tree = objects::make_tree(*files, threads_, "data/s3", true);
    delivery = make();
    ASSERT_TRUE(run(delivery->start()));
  }
  std::unique_ptr<Delivery> make() {
    const Dependencies dependencies{clock, *random_, cores, budget, store, *streams, *tree};
    return make_delivery(dependencies, delivery_options_);
  }
  std::size_t settle_once() {
    io().restart();
    std::size_t ran = io().poll();
    auto barrier = test::start(io(), threads_.run([] {}));  // one thread: what was queued before has ended
    io().restart();
    auto work = boost::asio::make_work_guard(io());
    while (!barrier.done()) ran += io().run_one_for(test::kPatience);
    return ran;
  }
  void collect(const fs::path& path, const std::string& below, Objects& found) {
    auto names = files->list(path);
    if (!names) return;
    for (const std::string& name : *names) {
      if (*files->kind(path / name) == Files::Kind::directory)
        collect(path / name, below + name + "/", found);
      else
        found[below + name] = *files->read_all(path / name, 1u << 30);
    }
  }

  log::BatchBuilder builder_;
  std::size_t alone_ = 0;
};

/// The numbers of put_kib()'s records in an object, in order.
inline std::vector<int> numbers(const std::string& content) {
  std::vector<int> found;
  for (std::size_t at = 0; at < content.size(); at += 1024) found.push_back(std::stoi(content.substr(at, 10)));
  return found;
}

}  // namespace millrace::delivery
