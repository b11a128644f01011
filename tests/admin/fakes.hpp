#pragma once
#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "millrace/admin/admin.hpp"
#include "millrace/streams/subscription.hpp"

namespace millrace::admin {

/// What was called, in order, by all fakes of a test.
using Calls = std::vector<std::string>;

/// A log of which only the progress is asked.
class FakeLog final : public log::Log {
 public:
  log::Progress now{};

  log::LogId id() const noexcept override { return log::LogId{1}; }
  log::Epoch epoch() const noexcept override { return log::Epoch{1}; }
  log::Result<log::Staged> stage(log::Epoch, const log::BatchView&, std::optional<log::Position>) override {
    std::abort();
  }
  awaitable<log::Result<log::ReadBatch>> read(log::ReadRequest) override { std::abort(); }
  awaitable<log::Result<bool>> wait_stored(std::uint64_t, TimePoint, std::stop_token) override { std::abort(); }
  awaitable<log::Result<log::Position>> seek(TimePoint) override { std::abort(); }
  log::Progress progress() const noexcept override { return now; }
  void set_retention(std::chrono::milliseconds) override { std::abort(); }
  awaitable<log::Result<>> trim(log::Position) override { std::abort(); }
  awaitable<log::Result<log::Position>> end(log::Epoch) override { std::abort(); }
};

class FakeStreams final : public streams::Streams {
 public:
  explicit FakeStreams(Calls& calls) : calls_(calls) {}

  void add(std::string name, std::vector<log::Progress> shards) {
    auto stream = std::make_shared<streams::Stream>();
    stream->name = name;
    for (const log::Progress& progress : shards) {
      auto kept = std::make_shared<FakeLog>();
      kept->now = progress;
      auto shard = std::make_shared<streams::Shard>();
      shard->index = static_cast<std::uint32_t>(stream->shards.size());
      shard->id = "shardId-" + std::to_string(shard->index);
      shard->log = std::move(kept);
      stream->shards.push_back(std::move(shard));
    }
    streams_.insert_or_assign(std::move(name), std::move(stream));
  }
  bool fail_clear = false;

  streams::StreamRef find(std::string_view) const override { std::abort(); }
  streams::StreamRef find_incarnation(std::uint64_t) const override { std::abort(); }
  std::vector<streams::StreamRef> list(std::string_view after, std::size_t limit) const override {
    std::vector<streams::StreamRef> page;
    for (auto at = streams_.upper_bound(std::string(after)); at != streams_.end() && page.size() < limit; ++at)
      page.push_back(at->second);
    return page;
  }
  std::uint64_t open_shards() const override {
    std::uint64_t open = 0;
    for (const auto& [name, stream] : streams_) open += stream->shards.size();
    return open;
  }
  awaitable<streams::Result<streams::StreamRef>> create(streams::CreateStream) override { std::abort(); }
  awaitable<streams::Result<>> remove(std::string) override { std::abort(); }
  awaitable<streams::Result<>> add_tags(std::string, streams::Tags) override { std::abort(); }
  awaitable<streams::Result<>> remove_tags(std::string, std::vector<std::string>) override { std::abort(); }
  awaitable<streams::Result<>> set_retention(std::string, std::chrono::hours, RetentionChange) override {
    std::abort();
  }
  awaitable<streams::Result<>> split(std::string, std::uint32_t, Uint128) override { std::abort(); }
  awaitable<streams::Result<>> merge(std::string, std::uint32_t, std::uint32_t) override { std::abort(); }
  awaitable<streams::Result<std::uint32_t>> set_shard_count(std::string, std::uint32_t) override { std::abort(); }
  awaitable<streams::Result<streams::StreamRef>> change(std::string, Edit) override { std::abort(); }
  const streams::Options& options() const noexcept override { std::abort(); }
  streams::Account& account() noexcept override { std::abort(); }
  streams::CallLimits* limits() noexcept override { std::abort(); }
  streams::Subscriptions& subscriptions() noexcept override { return subscriptions_; }
  awaitable<streams::Result<>> clear() override {
    calls_.push_back("streams.clear");
    if (fail_clear) co_return streams::Error{streams::Errc::failed, "no room"};
    streams_.clear();
    co_return streams::Result<>();
  }
  const streams::IteratorCodec& iterators() const noexcept override { std::abort(); }
  log::Engine& engine() noexcept override { std::abort(); }
  Clock& clock() noexcept override { std::abort(); }

 private:
  Calls& calls_;
  std::map<std::string, streams::StreamRef> streams_;
  streams::Subscriptions subscriptions_{*this};
};

class FakeDelivery final : public delivery::Delivery {
 public:
  explicit FakeDelivery(Calls& calls) : calls_(calls) {}

  std::map<std::string, delivery::DeliveryStreamInfo> streams;
  std::vector<delivery::FlushFailure> flush_failures;
  std::chrono::steady_clock::time_point flush_deadline{};

  awaitable<delivery::Result<>> start() override { std::abort(); }
  std::shared_ptr<const delivery::DeliveryStreamInfo> find(std::string_view) const override { std::abort(); }
  std::vector<std::shared_ptr<const delivery::DeliveryStreamInfo>> list(std::string_view after,
                                                                        std::size_t limit) const override {
    std::vector<std::shared_ptr<const delivery::DeliveryStreamInfo>> page;
    for (auto at = streams.upper_bound(std::string(after)); at != streams.end() && page.size() < limit; ++at) {
      auto info = std::make_shared<delivery::DeliveryStreamInfo>(at->second);
      info->spec.name = at->first;
      page.push_back(std::move(info));
    }
    return page;
  }
  awaitable<delivery::Result<>> create(delivery::DeliveryStreamSpec) override { std::abort(); }
  awaitable<delivery::Result<>> remove(std::string) override { std::abort(); }
  awaitable<std::vector<delivery::FlushFailure>> flush(std::chrono::steady_clock::time_point deadline) override {
    calls_.push_back("delivery.flush");
    flush_deadline = deadline;
    co_return flush_failures;
  }
  std::uint64_t undelivered_records() const override { std::abort(); }
  awaitable<void> clear() override {
    calls_.push_back("delivery.clear");
    streams.clear();
    co_return;
  }
  awaitable<void> stop() override { std::abort(); }

 private:
  Calls& calls_;
};

class FakeTree final : public objects::Tree {
 public:
  explicit FakeTree(Calls& calls) : calls_(calls) {}
  bool fail_clear = false;

  awaitable<objects::Result<>> create_bucket(std::string) override { std::abort(); }
  awaitable<objects::Result<std::unique_ptr<objects::Upload>>> begin_upload(std::string, std::string, bool) override {
    std::abort();
  }
  awaitable<objects::Result<>> clear() override {
    calls_.push_back("objects.clear");
    if (fail_clear) co_return objects::Error{objects::Errc::write_failed, "remove /data/\xff: Permission denied"};
    co_return objects::Result<>();
  }

 private:
  Calls& calls_;
};

class FakeGateway final : public gateway::Gateway {
 public:
  std::vector<gateway::ApiSummary> deployed{{"abcdefghij", "ingest", {"PROD"}, 1}};

  gateway::Result<gateway::ApiSummary> deploy(const gateway::ApiSpec&) override { std::abort(); }
  std::vector<gateway::ApiSummary> apis() const override { return deployed; }
  awaitable<void> handle(http::Request&, http::ResponseWriter&) override { std::abort(); }
  awaitable<void> handle_api(std::string_view, std::string_view, std::string_view, http::Request&,
                             http::ResponseWriter&) override {
    std::abort();
  }
};

}  // namespace millrace::admin
