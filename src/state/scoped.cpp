#include "millrace/state/scoped.hpp"

#include <utility>

namespace millrace::state {
namespace {

class ScopedStore final : public Store {
 public:
  ScopedStore(Store& whole, std::string prefix) : whole_(whole), prefix_(std::move(prefix)) {}

  awaitable<Result<std::optional<Entry>>> get(std::string key) override {
    auto found = co_await whole_.get(prefix_ + key);
    if (found && *found) (*found)->key = std::move(key);
    co_return found;
  }
  awaitable<Result<std::vector<Entry>>> list(std::string prefix) override {
    auto found = co_await whole_.list(prefix_ + prefix);
    if (found)
      for (Entry& entry : *found) entry.key.erase(0, prefix_.size());
    co_return found;
  }
  awaitable<Result<Revision>> put(std::string key, std::string value, std::optional<Revision> expected) override {
    return whole_.put(prefix_ + key, std::move(value), expected);
  }
  awaitable<Result<>> remove(std::string key, std::optional<Revision> expected) override {
    return whole_.remove(prefix_ + key, expected);
  }
  awaitable<Result<std::uint64_t>> next_number(std::string name) override {
    return whole_.next_number(std::move(name));
  }

  WatchId watch(std::string prefix, std::function<void(const Change&)> changed) override {
    auto shortened = [changed = std::move(changed), skip = prefix_.size()](const Change& change) {
      Change own = change;
      own.key.erase(0, skip);
      changed(own);
    };
    return whole_.watch(prefix_ + prefix, std::move(shortened));
  }
  void unwatch(WatchId id) override { whole_.unwatch(id); }

  awaitable<Result<>> clear() override {
    auto all = co_await whole_.list(prefix_);
    if (!all) co_return all.error();
    for (const Entry& entry : *all) {
      auto removed = co_await whole_.remove(entry.key);
      if (!removed && removed.error().code != Errc::not_found) co_return removed.error();
    }
    co_return Result<>{};
  }

  std::string trouble() const override { return whole_.trouble(); }

 private:
  Store& whole_;
  const std::string prefix_;
};

}  // namespace

std::unique_ptr<Store> make_scoped_store(Store& whole, std::string prefix) {
  return std::make_unique<ScopedStore>(whole, std::move(prefix));
}

}  // namespace millrace::state
