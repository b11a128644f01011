#include <map>
#include <mutex>
#include <utility>

#include "millrace/state/store.hpp"

namespace millrace::state {
namespace {

// One mutex, held also while watchers are told: so they see changes in order of revision, and after unwatch() none
// runs.
class MemoryStore final : public Store {
 public:
  awaitable<Result<std::optional<Entry>>> get(std::string key) override {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) co_return std::optional<Entry>();
    co_return std::optional<Entry>(Entry{found->first, found->second.value, found->second.revision});
  }

  awaitable<Result<std::vector<Entry>>> list(std::string prefix) override {
    std::lock_guard lock(mutex_);
    std::vector<Entry> listed;
    for (auto at = entries_.lower_bound(prefix); at != entries_.end() && at->first.starts_with(prefix); ++at)
      listed.push_back({at->first, at->second.value, at->second.revision});
    co_return listed;
  }

  awaitable<Result<Revision>> put(std::string key, std::string value, std::optional<Revision> expected) override {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    const Revision current = found == entries_.end() ? Revision{0} : found->second.revision;
    if (expected && *expected != current) co_return conflict(key, *expected, current);
    const Revision revision{++last_revision_};
    Change change{std::move(key), std::move(value), revision};
    entries_.insert_or_assign(change.key, Held{*change.value, revision});
    tell(change);
    co_return revision;
  }

  awaitable<Result<>> remove(std::string key, std::optional<Revision> expected) override {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) co_return Error{Errc::not_found, key};
    if (expected && *expected != found->second.revision) co_return conflict(key, *expected, found->second.revision);
    entries_.erase(found);
    const Change change{std::move(key), std::nullopt, Revision{++last_revision_}};
    tell(change);
    co_return Result<>();
  }

  awaitable<Result<std::uint64_t>> next_number(std::string name) override {
    std::lock_guard lock(mutex_);
    co_return ++numbers_[std::move(name)];
  }

  WatchId watch(std::string prefix, std::function<void(const Change&)> changed) override {
    std::lock_guard lock(mutex_);
    const WatchId id = ++last_watch_;
    watches_.emplace(id, Watch{std::move(prefix), std::move(changed)});
    return id;
  }

  void unwatch(WatchId id) override {
    std::lock_guard lock(mutex_);
    watches_.erase(id);
  }

  awaitable<Result<>> clear() override {
    std::lock_guard lock(mutex_);
    while (!entries_.empty()) {
      const Change change{entries_.begin()->first, std::nullopt, Revision{++last_revision_}};
      entries_.erase(entries_.begin());
      tell(change);
    }
    co_return Result<>();
  }

 private:
  struct Held {
    std::string value;
    Revision revision;
  };
  struct Watch {
    std::string prefix;
    std::function<void(const Change&)> changed;
  };

  static Error conflict(const std::string& key, Revision expected, Revision current) {
    return {Errc::conflict,
            key + ": expected revision " + std::to_string(expected.get()) + ", is " + std::to_string(current.get())};
  }
  void tell(const Change& change) {
    for (const auto& [id, watch] : watches_)
      if (change.key.starts_with(watch.prefix)) watch.changed(change);
  }

  std::mutex mutex_;
  std::map<std::string, Held> entries_;
  std::map<std::string, std::uint64_t> numbers_;
  std::map<WatchId, Watch> watches_;
  std::uint64_t last_revision_ = 0;
  WatchId last_watch_ = 0;
};

}  // namespace

FileResult<SnapshotFiles> Store::snapshot(const std::filesystem::path&) {
  return FileError{ENOTSUP, "the state is not kept in files"};
}

std::unique_ptr<Store> make_memory_store() { return std::make_unique<MemoryStore>(); }

}  // namespace millrace::state
