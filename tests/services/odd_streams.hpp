#pragma once
#include <functional>
#include <utility>

#include "millrace/streams/streams.hpp"

namespace millrace::test {

/// Streams over other ones, whose look-ups a test may answer itself.
class OddStreams final : public streams::Streams {
 public:
  explicit OddStreams(streams::Streams& inner) : inner_(inner) {}
  std::function<streams::StreamRef(std::string_view name)> found_by_name;
  std::function<streams::StreamRef(std::uint64_t incarnation)> found_by_incarnation;

  streams::StreamRef find(std::string_view name) const override {
    return found_by_name ? found_by_name(name) : inner_.find(name);
  }
  streams::StreamRef find_incarnation(std::uint64_t incarnation) const override {
    return found_by_incarnation ? found_by_incarnation(incarnation) : inner_.find_incarnation(incarnation);
  }
  std::vector<streams::StreamRef> list(std::string_view after, std::size_t limit) const override {
    return inner_.list(after, limit);
  }
  std::uint64_t open_shards() const override { return inner_.open_shards(); }
  awaitable<streams::Result<streams::StreamRef>> create(streams::CreateStream spec) override {
    return inner_.create(std::move(spec));
  }
  awaitable<streams::Result<>> remove(std::string name) override { return inner_.remove(std::move(name)); }
  awaitable<streams::Result<>> add_tags(std::string name, streams::Tags tags) override {
    return inner_.add_tags(std::move(name), std::move(tags));
  }
  awaitable<streams::Result<>> remove_tags(std::string name, std::vector<std::string> keys) override {
    return inner_.remove_tags(std::move(name), std::move(keys));
  }
  awaitable<streams::Result<>> set_retention(std::string name, std::chrono::hours retention,
                                             RetentionChange change) override {
    return inner_.set_retention(std::move(name), retention, change);
  }
  awaitable<streams::Result<>> split(std::string name, std::uint32_t shard, Uint128 at) override {
    return inner_.split(std::move(name), shard, at);
  }
  awaitable<streams::Result<>> merge(std::string name, std::uint32_t shard, std::uint32_t adjacent) override {
    return inner_.merge(std::move(name), shard, adjacent);
  }
  awaitable<streams::Result<std::uint32_t>> set_shard_count(std::string name, std::uint32_t target) override {
    return inner_.set_shard_count(std::move(name), target);
  }
  awaitable<streams::Result<streams::StreamRef>> change(std::string name, Edit edit) override {
    return inner_.change(std::move(name), std::move(edit));
  }
  awaitable<streams::Result<>> clear() override { return inner_.clear(); }
  const streams::Options& options() const noexcept override { return inner_.options(); }
  streams::Account& account() noexcept override { return inner_.account(); }
  streams::CallLimits* limits() noexcept override { return inner_.limits(); }
  streams::Subscriptions& subscriptions() noexcept override { return inner_.subscriptions(); }
  const streams::IteratorCodec& iterators() const noexcept override { return inner_.iterators(); }
  log::Engine& engine() noexcept override { return inner_.engine(); }
  Clock& clock() noexcept override { return inner_.clock(); }

 private:
  streams::Streams& inner_;
};

}  // namespace millrace::test
