#include <algorithm>
#include <cerrno>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "log/first_of_epoch.hpp"
#include "log/registry.hpp"
#include "millrace/base/log.hpp"

namespace millrace::log {
namespace {

constexpr std::size_t kDamageTold = 10;

std::string text_of(const journal::Damage& damage) {
  return damage.file.string() + ": " + std::to_string(damage.bytes) + " bytes at offset " +
         std::to_string(damage.offset) + " are damaged and hide " + damage.hides;
}

// A log that goes on behind them would come to what cannot be read back.
constexpr std::uint64_t kPositionsUsable = journal::kCountMax / 2;

// Of a log that was found in files, until its owner says what it is: nothing may expire before.
constexpr std::chrono::hours kNoRetentionYet{100 * 366 * 24};

/// By position. What two parts hold, because records were being moved from one file to another, stays in one of them.
/// @return  the parts that are not needed
std::vector<journal::Part> put_in_order(std::vector<journal::Part>& parts) {
  const auto first_and_longest = [](const journal::Part& a, const journal::Part& b) {
    return std::tuple(a.base, b.count, b.file) < std::tuple(b.base, a.count, a.file);
  };
  std::sort(parts.begin(), parts.end(), first_and_longest);
  std::vector<journal::Part> kept, twice;
  std::uint64_t end = 0;
  for (const journal::Part& part : parts) {
    // A part that begins inside another and ends behind it is read from there on.
    (part.base + part.count <= end ? twice : kept).push_back(part);
    end = std::max(end, part.base + part.count);
  }
  parts = std::move(kept);
  return twice;
}

class LocalEngine : public Engine {
 public:
  LocalEngine(Clock& clock, std::shared_ptr<Storage> storage, std::chrono::milliseconds sweep_every)
      : storage_(std::move(storage)), registry_(std::make_shared<Registry>(clock, storage_, sweep_every)) {
    storage_->on_short([weak = std::weak_ptr(registry_)] {
      if (const auto registry = weak.lock()) registry->close_tails();
    });
  }
  ~LocalEngine() override { registry_->close(); }

  awaitable<Result<std::shared_ptr<Log>>> create(LogId id, LogOptions options) override {
    std::shared_ptr<Log> log = registry_->create(id, options);
    if (!log) co_return Error{Errc::conflict, {}};
    co_return log;
  }
  awaitable<Result<std::shared_ptr<Log>>> open(LogId id) override {
    std::shared_ptr<Log> log = registry_->find(id);
    if (!log) co_return Error{Errc::not_found, {}};
    co_return log;
  }
  awaitable<Result<>> remove(LogId id) override {
    if (!registry_->remove(id)) co_return Error{Errc::not_found, {}};
    co_return Result<>{};
  }
  awaitable<Result<>> committed(std::span<const Ticket>) override { co_return Result<>{}; }
  bool short_of_room() const noexcept override { return storage_->short_of_room(); }
  awaitable<void> wait_for_room() override { return storage_->wait_for_room(); }
  EngineStatus status() const noexcept override {
    EngineStatus status;
    status.failing = storage_->failing();
    status.failed_writes = storage_->failures();
    if (!storage_->has_files()) return status;
    status.full = storage_->journal().full();
    status.file_bytes = storage_->journal().disk_bytes();
    status.damaged_reads = storage_->damaged();
    status.evicted_chunks = storage_->evicted();
    status.file_reads = storage_->file_reads();
    status.rewritten_bytes = storage_->rewritten();
    return status;
  }

 protected:
  const std::shared_ptr<Storage> storage_;
  const std::shared_ptr<Registry> registry_;
};

/// Each life is an epoch of its own in each log: whether a life before this one, or the one before that, lost its
/// newest records with the machine need not be known for no position to be given twice.
class DurableEngine final : public LocalEngine {
 public:
  DurableEngine(Clock& clock, std::shared_ptr<Storage> storage, std::chrono::milliseconds sweep_every,
                journal::Scanned found)
      : LocalEngine(clock, std::move(storage), sweep_every), generation_(storage_->journal().generation().get()) {
    for (journal::Part& part : found.parts) found_[LogId{part.log}].push_back(std::move(part));
    // All of them before the first one is not needed, or a log is opened and expires: the last part takes its file
    // along.
    for (const auto& [id, parts] : found_)
      for (const journal::Part& part : parts) storage_->use(part.file, part.bytes);
    for (auto& [id, parts] : found_) {
      const std::vector<journal::Part> twice = put_in_order(parts);
      storage_->unuse(twice);
    }
    std::erase_if(found_, [](const auto& log) { return log.second.empty(); });  // no record was left in its parts
    damage_found_ = found.damage.size();
    for (std::size_t i = 0; i < std::min(found.damage.size(), kDamageTold); ++i)
      damage_.push_back(text_of(found.damage[i]));
  }

  EngineStatus status() const noexcept override {
    EngineStatus status = LocalEngine::status();
    status.damage_found = damage_found_;
    status.damage = damage_;
    return status;
  }

  awaitable<Result<std::shared_ptr<Log>>> create(LogId id, LogOptions options) override {
    Restored fresh{{}, Epoch{generation_}, options.first};
    {
      std::lock_guard lock(mutex_);
      if (found_.contains(id)) co_return Error{Errc::conflict, {}};
      // It may have had records that expired since, or are lost.
      if (starting_) fresh.first = Position{first_of_epoch(options.first.get(), generation_)};
    }
    std::shared_ptr<Log> log = registry_->create(id, options, std::move(fresh));
    if (!log) co_return Error{Errc::conflict, {}};
    co_return log;
  }

  awaitable<Result<std::shared_ptr<Log>>> open(LogId id) override {
    std::lock_guard lock(mutex_);
    const auto found = found_.find(id);
    if (found == found_.end()) {
      std::shared_ptr<Log> log = registry_->find(id);
      if (!log) co_return Error{Errc::not_found, {}};
      co_return log;
    }
    const journal::Part& last = found->second.back();
    const std::uint64_t end = last.base + last.count;
    if (end > kPositionsUsable || last.epoch > kPositionsUsable)
      co_return Error{Errc::damaged, "log " + std::to_string(id.get()) + " has come to position " +
                                         std::to_string(end) + " and epoch " + std::to_string(last.epoch) +
                                         ", which no life of it can have"};
    const Epoch epoch{std::max(last.epoch + 1, generation_)};
    Restored restored{std::move(found->second), epoch, Position{first_of_epoch(end, generation_)}};
    found_.erase(found);
    LogOptions options;
    options.retention = kNoRetentionYet;
    options.first = restored.first;
    std::shared_ptr<Log> log = registry_->create(id, options, std::move(restored));
    co_return log;
  }

  awaitable<Result<>> remove(LogId id) override {
    {
      std::lock_guard lock(mutex_);
      if (const auto found = found_.find(id); found != found_.end()) {
        forget(found->second);
        found_.erase(found);
        co_return Result<>{};
      }
    }
    co_return co_await LocalEngine::remove(id);
  }

  awaitable<Result<>> committed(std::span<const Ticket> tickets) override {
    std::uint64_t turn = 0;
    for (const Ticket& ticket : tickets) turn = std::max(turn, ticket.turn);
    if (turn) co_await storage_->journal().over(turn);
    for (const Ticket& ticket : tickets) {
      if (ticket.committed) continue;
      auto log = std::static_pointer_cast<LocalLog>(ticket.holder);
      std::optional<Result<>> outcome = log->outcome(ticket);
      while (!outcome) {  // it was left for a later commit
        co_await storage_->journal().over(storage_->journal().announce(log));
        outcome = log->outcome(ticket);
      }
      if (!*outcome) co_return std::move(*outcome);
    }
    co_return Result<>{};
  }

  FileResult<SnapshotFiles> snapshot(const std::filesystem::path& directory) override {
    const Storage::Reading until_made(*storage_);
    if (!until_made) return FileError{EIO, "the log is being closed"};
    return journal::snapshot_of(storage_->journal(), directory);
  }

  void forget_unopened() override {
    std::lock_guard lock(mutex_);
    starting_ = false;
    if (!found_.empty()) logging::debug("logs that belong to no stream are dropped", {{"logs", found_.size()}});
    for (const auto& [id, parts] : found_) forget(parts);
    found_.clear();
  }

 private:
  void forget(const std::vector<journal::Part>& parts) { storage_->unuse(parts); }

  const std::uint64_t generation_;  // of the first file of this life
  std::uint64_t damage_found_ = 0;
  std::vector<std::string> damage_;  // the first of it
  std::mutex mutex_;
  std::unordered_map<LogId, std::vector<journal::Part>> found_;  // and not opened yet
  bool starting_ = true;
};

/// Without a sync after each commit, smaller ones are over sooner when the system's memory takes them: so are those of
/// one producer that waits for each of its batches.
constexpr std::uint64_t kDirectFrom = 1u << 20;

Error error_of(const journal::Error& failed) {
  return {failed.code == journal::Errc::full                                                      ? Errc::full
          : failed.code == journal::Errc::unknown_format || failed.code == journal::Errc::damaged ? Errc::damaged
                                                                                                  : Errc::write_failed,
          failed.detail};
}

std::string told(const std::vector<journal::Damage>& damage) {
  std::string out;
  for (const journal::Damage& each : damage) out += text_of(each) + "\n";
  return out;
}

}  // namespace

FileResult<SnapshotFiles> Engine::snapshot(const std::filesystem::path&) {
  return FileError{ENOTSUP, "records are not kept in files"};
}

std::unique_ptr<Engine> make_memory_engine(Clock& clock, MemoryBudget& budget, MemoryEngineOptions options) {
  auto storage = std::make_shared<Storage>(std::make_shared<ChunkPool>(budget));
  return std::make_unique<LocalEngine>(clock, std::move(storage), options.sweep_every);
}

std::unique_ptr<Engine> make_spilling_engine(Clock& clock, MemoryBudget& budget, Files& files, FileThreads& threads,
                                             SpillOptions options) {
  auto make_journal = [&clock, &files, options]() -> journal::Result<std::unique_ptr<journal::Journal>> {
    auto ready = files.remove_all(options.directory);
    if (ready || ready.error().error_number == ENOENT) ready = files.make_directories(options.directory);
    if (!ready) return journal::Error{journal::Errc::write_failed, ready.error().detail};
    journal::Options journal_options;
    journal_options.directory = options.directory;
    journal_options.sync = false;
    journal_options.direct_from = 0;
    journal_options.index = true;
    journal_options.file_bytes = options.file_bytes;
    journal_options.disk_limit = options.disk_limit;
    journal_options.keys = options.keys;
    journal_options.random = options.random;
    return journal::make_journal(files, clock, std::move(journal_options), {});
  };
  auto storage = std::make_shared<Storage>(std::make_shared<ChunkPool>(budget), std::move(make_journal), threads);
  return std::make_unique<LocalEngine>(clock, std::move(storage), options.sweep_every);
}

Result<std::unique_ptr<Engine>> make_durable_engine(Clock& clock, MemoryBudget& budget, Files& files,
                                                    FileThreads& threads, DurableEngineOptions options) {
  if (auto made = make_lasting_directory(files, options.directory); !made)
    return Error{Errc::write_failed, made.error().detail};
  auto found = journal::scan_index(files, options.directory, options.keys ? options.keys : &journal::no_keys());
  if (!found) return error_of(found.error());
  if (!found->damage.empty()) {
    if (!options.serve_damaged)
      return Error{Errc::damaged, told(found->damage) +
                                      "`millrace log verify` tells more; with storage.on_damage: serve "
                                      "the daemon starts without what is damaged"};
    for (const journal::Damage& each : found->damage)
      logging::error("stored records cannot be read",
                     {{"file", each.file.string()}, {"offset", each.offset}, {"hides", each.hides}});
  }
  if (!found->complete)
    logging::warn(
        "the daemon did not end by itself: with storage.sync: os, records of its last moments are missing if "
        "the machine ended too");
  if (found->cut_bytes)
    logging::info("what was being written when the daemon ended is cut off", {{"bytes", found->cut_bytes}});
  journal::Options journal_options;
  journal_options.directory = options.directory;
  journal_options.sync = options.sync;
  journal_options.direct_from = options.sync ? 0 : kDirectFrom;
  journal_options.index = true;
  journal_options.file_bytes = options.file_bytes;
  journal_options.disk_limit = options.disk_limit;
  journal_options.keys = options.keys;
  journal_options.random = options.random;
  auto journal = journal::make_journal(files, clock, std::move(journal_options), *found);
  if (!journal) return error_of(journal.error());
  auto storage = std::make_shared<Storage>(std::make_shared<ChunkPool>(budget), std::move(*journal), threads,
                                           options.serve_damaged);
  return std::unique_ptr<Engine>(new DurableEngine(clock, std::move(storage), options.sweep_every, std::move(*found)));
}

}  // namespace millrace::log
