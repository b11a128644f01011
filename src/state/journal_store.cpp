#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "millrace/journal/journal.hpp"
#include "millrace/state/store.hpp"
#include "state/contents.hpp"

namespace millrace::state {

namespace {

using journal::FrameKind;
using journal::Generation;

/// Numbers are written ahead in blocks: the next ones of a block are given without a commit.
constexpr std::uint64_t kNumbersAhead = 64;
/// Revisions that no change but a clear takes: that has one for each key.
constexpr std::uint64_t kRevisionsKept = std::uint64_t{1} << 32;
/// Each start begins a file: many short runs make a snapshot due as many changes do, where the state is not small.
constexpr std::size_t kFilesMax = 8;
constexpr std::size_t kItemBytesMax = journal::kFramePayloadBytesMax - kPartBytes;

Error conflict(const std::string& key, Revision expected, Revision current) {
  return {Errc::conflict,
          key + ": expected revision " + std::to_string(expected.get()) + ", is " + std::to_string(current.get())};
}

/// One call that changes something. The coroutine that made it looks at `done` after each turn of the journal.
struct Operation {
  enum class Kind { put, remove, number, clear };
  Kind kind;
  std::string key = {}, value = {};
  std::optional<Revision> expected = {};

  bool done = false;
  std::optional<Error> error = {};  ///< found while it was gathered; told when the commit is settled
  std::uint64_t number = 0;         ///< the revision, or the number given
  std::uint64_t numbers = 0;        ///< all up to this one may be given then; 0: as before
  std::vector<std::pair<std::string, Revision>> removed = {};  ///< by clear
};
using OperationPtr = std::shared_ptr<Operation>;

/// The contents as they will be when the commit that is being gathered is kept.
class Tail {
 public:
  Tail(const Contents& kept, std::uint64_t last_revision) : kept_(kept), last_revision_(last_revision) {}

  Revision revision_of(const std::string& key) const {
    if (const auto found = changed_.find(key); found != changed_.end()) return found->second;
    return cleared_ ? Revision{0} : kept_.revision_of(key);
  }
  Revision set(const std::string& key) { return changed_[key] = Revision{++last_revision_}; }
  Revision remove(const std::string& key) {
    changed_[key] = Revision{0};
    return Revision{++last_revision_};
  }
  std::vector<std::pair<std::string, Revision>> clear() {
    std::set<std::string> keys;
    if (!cleared_)
      for (const auto& [key, held] : kept_.entries()) keys.insert(key);
    for (const auto& [key, revision] : changed_) {
      if (revision == Revision{0})
        keys.erase(key);
      else
        keys.insert(key);
    }
    changed_.clear();
    cleared_ = true;
    std::vector<std::pair<std::string, Revision>> removed;
    for (const std::string& key : keys) removed.emplace_back(key, Revision{++last_revision_});
    return removed;
  }
  std::uint64_t last_revision() const noexcept { return last_revision_; }

 private:
  const Contents& kept_;
  std::uint64_t last_revision_;
  bool cleared_ = false;
  std::map<std::string, Revision> changed_;  // 0: removed
};

/// Changes wait in `queue_`; a commit takes all that wait, looks at each as those before it leave things, and only
/// when it is kept are they seen. So no change builds on one that may yet fail, unless both are in one commit.
class Committed final : public journal::Source {
 public:
  Committed(Contents recovered, std::set<Generation> files, JournalStoreOptions options)
      : options_(std::move(options)),
        kept_(std::move(recovered)),
        last_revision_(kept_.last_revision()),
        files_(std::move(files)) {}

  /// Before the first announcement.
  void drop_through(journal::Journal& journal) { journal_ = &journal; }
  void ask_for_snapshot() { snapshot_asked_ = true; }
  void write_leap() { leap_unwritten_ = true; }

  void stage(OperationPtr operation) {
    std::lock_guard lock(mutex_);
    queue_.push_back(std::move(operation));
  }
  bool done(const Operation& operation) const {
    std::lock_guard lock(mutex_);
    return operation.done;
  }

  bool gather(journal::Batch& batch) override;
  void settled(const journal::Result<>& outcome, std::span<const journal::Lsn> places) noexcept override;

  std::optional<Entry> get(const std::string& key) const {
    std::lock_guard lock(mutex_);
    const auto found = kept_.entries().find(key);
    if (found == kept_.entries().end()) return std::nullopt;
    return Entry{found->first, found->second.value, found->second.revision};
  }
  std::vector<Entry> list(std::string_view prefix) const {
    std::lock_guard lock(mutex_);
    std::vector<Entry> listed;
    const auto& entries = kept_.entries();
    for (auto at = entries.lower_bound(prefix); at != entries.end() && at->first.starts_with(prefix); ++at)
      listed.push_back({at->first, at->second.value, at->second.revision});
    return listed;
  }
  /// Without a commit, where the block written last has one left.
  std::optional<std::uint64_t> number_left(const std::string& name) {
    std::lock_guard lock(mutex_);
    return take_number(name);
  }
  Store::WatchId watch(std::string prefix, std::function<void(const Change&)> changed) {
    std::lock_guard lock(mutex_);
    watches_.emplace(++last_watch_, Watch{std::move(prefix), std::move(changed)});
    return last_watch_;
  }
  void unwatch(Store::WatchId id) {
    std::lock_guard lock(mutex_);
    watches_.erase(id);
  }
  std::string trouble() const {
    std::lock_guard lock(mutex_);
    return trouble_;
  }

 private:
  struct Watch {
    std::string prefix;
    std::function<void(const Change&)> changed;
  };

  void add(Operation& operation, Tail& tail);
  void append(const Item& item);
  static std::uint64_t room_of(const std::deque<std::string>& payloads);
  static void add_frames(journal::Batch& batch, FrameKind kind, const std::deque<std::string>& payloads);
  bool snapshot_due() const;
  bool has_number(std::string_view name) const;

  void fail(const journal::Error& error);
  void apply(Operation& operation);
  void drop_before(Generation file);
  std::optional<std::uint64_t> take_number(std::string_view name);
  void tell(const Change& change) {
    for (const auto& [id, watch] : watches_)
      if (change.key.starts_with(watch.prefix)) watch.changed(change);
  }

  const JournalStoreOptions options_;
  journal::Journal* journal_ = nullptr;

  mutable std::mutex mutex_;  // held also while watchers are told: after unwatch() none runs
  Contents kept_;
  std::map<std::string, std::uint64_t, std::less<>> given_;  // numbers of this run, the last ones
  std::map<Store::WatchId, Watch> watches_;
  Store::WatchId last_watch_ = 0;
  std::string trouble_;
  std::deque<OperationPtr> queue_, under_way_;

  // The committer's.
  std::uint64_t last_revision_;                 // also of changes that failed
  std::deque<std::string> snapshot_, changes_;  // payloads of the commit under way
  std::uint64_t changed_bytes_ = 0;             // since the last snapshot
  std::uint64_t not_before_bytes_ = 0;          // of those: a snapshot failed
  bool snapshot_asked_ = false;
  bool leap_unwritten_ = false;
  std::set<Generation> files_;  // that hold frames
};

// At least once a file, while the state is not larger than a quarter of one: on a full disk, where no file can be made,
// the one that a snapshot frees is used again.
bool Committed::snapshot_due() const {
  if (changed_bytes_ < not_before_bytes_) return false;
  if (snapshot_asked_ || files_.size() > kFilesMax) return true;
  return changed_bytes_ > std::max(options_.file_bytes / 4, 2 * kept_.bytes());
}

bool Committed::gather(journal::Batch& batch) {
  std::lock_guard lock(mutex_);
  snapshot_.clear();
  changes_.clear();
  under_way_.swap(queue_);
  Tail tail(kept_, last_revision_);
  for (const OperationPtr& operation : under_way_) add(*operation, tail);
  last_revision_ = tail.last_revision();
  if (changes_.empty()) return false;
  // Also on a full disk, where there may be no room for a snapshot.
  if (leap_unwritten_) append({ItemKind::number, kept_.number({}), {}, {}});
  if (snapshot_due())
    for (std::string& payload : kept_.snapshot(journal::kFramePayloadBytesMax)) snapshot_.push_back(std::move(payload));
  add_frames(batch, FrameKind::snapshot, snapshot_);
  add_frames(batch, FrameKind::change, changes_);
  return false;
}

void Committed::add(Operation& operation, Tail& tail) {
  const std::string& key = operation.key;
  operation.error.reset();
  if (operation.kind != Operation::Kind::number && tail.last_revision() >= kNumberMax - kRevisionsKept) {
    operation.error = Error{Errc::write_failed, key + ": no revision is left"};
    return;
  }
  switch (operation.kind) {
    case Operation::Kind::put:
      if (const Revision current = tail.revision_of(key); operation.expected && *operation.expected != current) {
        operation.error = conflict(key, *operation.expected, current);
      } else {
        operation.number = tail.set(key).get();
        append({ItemKind::put, operation.number, key, operation.value});
      }
      return;
    case Operation::Kind::remove:
      if (const Revision current = tail.revision_of(key); current == Revision{0}) {
        operation.error = Error{Errc::not_found, key};
      } else if (operation.expected && *operation.expected != current) {
        operation.error = conflict(key, *operation.expected, current);
      } else {
        operation.number = tail.remove(key).get();
        append({ItemKind::remove, operation.number, key, {}});
      }
      return;
    case Operation::Kind::number:
      operation.numbers = 0;
      if (has_number(key)) return;
      operation.numbers = std::min(kept_.number(key) + kNumbersAhead, kNumberMax - 1);
      if (operation.numbers == kept_.number(key)) {
        operation.error = Error{Errc::write_failed, key + ": no number is left"};
        return;
      }
      append({ItemKind::number, operation.numbers, key, {}});
      return;
    case Operation::Kind::clear:
      operation.removed = tail.clear();
      append({ItemKind::clear, tail.last_revision(), {}, {}});
      return;
  }
}

void Committed::append(const Item& item) {
  if (changes_.empty() || changes_.back().size() + item_bytes(item.key, item.value) > journal::kFramePayloadBytesMax)
    changes_.emplace_back();
  append_item(changes_.back(), item);
}

/// What a commit of them takes of its file, at most.
std::uint64_t Committed::room_of(const std::deque<std::string>& payloads) {
  constexpr std::uint64_t kHeadsAndPadding = 160, kSector = 512;
  std::uint64_t bytes = 0;
  for (const std::string& payload : payloads) bytes += payload.size() + kHeadsAndPadding;
  return (bytes + kSector - 1) / kSector * kSector;
}

void Committed::add_frames(journal::Batch& batch, FrameKind kind, const std::deque<std::string>& payloads) {
  for (const std::string& payload : payloads) {
    journal::Frame frame;
    frame.kind = kind;
    const ByteView view = payload;
    batch.add(frame, std::span(&view, 1));
  }
}

void Committed::settled(const journal::Result<>& outcome, std::span<const journal::Lsn> places) noexcept {
  std::lock_guard lock(mutex_);
  if (!outcome) return fail(outcome.error());
  if (!places.empty()) trouble_.clear();
  for (const journal::Lsn place : places) files_.insert(journal::generation_of(place));
  if (!changes_.empty()) {
    changed_bytes_ += room_of(changes_);
    leap_unwritten_ = false;
  }
  if (!snapshot_.empty()) {
    changed_bytes_ = not_before_bytes_ = 0;
    snapshot_asked_ = false;
    drop_before(journal::generation_of(places.front()));
  }
  for (OperationPtr& operation : under_way_) {
    apply(*operation);
    if (!operation->done) queue_.push_back(std::move(operation));
  }
  under_way_.clear();
}

void Committed::drop_before(Generation file) {
  journal_->drop_before(file);  // those that hold no frame of ours, too
  files_.erase(files_.begin(), files_.lower_bound(file));
}

bool Committed::has_number(std::string_view name) const {
  const auto given = given_.find(name);
  return given != given_.end() && given->second < kept_.number(name);
}

std::optional<std::uint64_t> Committed::take_number(std::string_view name) {
  if (!has_number(name)) return std::nullopt;
  return ++given_.find(name)->second;
}

void Committed::fail(const journal::Error& error) {
  const bool with_snapshot = !snapshot_.empty();
  // The next try waits until the changes have grown as much again.
  if (with_snapshot) not_before_bytes_ = changed_bytes_ + options_.file_bytes / 4;
  if (with_snapshot && error.code == journal::Errc::full) {
    // A full disk may have room for the changes: they are tried again without the snapshot.
    queue_.insert(queue_.begin(), under_way_.begin(), under_way_.end());
    under_way_.clear();
    return;
  }
  if (!changes_.empty()) trouble_ = "changes of state cannot be written: " + error.detail;
  for (const OperationPtr& operation : under_way_) {
    operation->error = Error{Errc::write_failed, error.detail};
    operation->done = true;
  }
  under_way_.clear();
}

void Committed::apply(Operation& operation) {
  if (operation.error) {
    operation.done = true;
    return;
  }
  switch (operation.kind) {
    case Operation::Kind::put:
      kept_.apply({ItemKind::put, operation.number, operation.key, operation.value});
      tell({operation.key, operation.value, Revision{operation.number}});
      break;
    case Operation::Kind::remove:
      kept_.apply({ItemKind::remove, operation.number, operation.key, {}});
      tell({operation.key, std::nullopt, Revision{operation.number}});
      break;
    case Operation::Kind::number:
      if (operation.numbers) {
        given_.try_emplace(operation.key, kept_.number(operation.key));  // by the runs before this one
        kept_.apply({ItemKind::number, operation.numbers, operation.key, {}});
      }
      if (const auto number = take_number(operation.key))
        operation.number = *number;
      else
        return;  // others were faster: it waits for the next block
      break;
    case Operation::Kind::clear:
      kept_.apply({ItemKind::clear, 0, {}, {}});
      for (const auto& [key, revision] : operation.removed) tell({key, std::nullopt, revision});
      break;
  }
  operation.done = true;
}

class KeptStore final : public Store {
 public:
  KeptStore(std::shared_ptr<Committed> committed, std::unique_ptr<journal::Journal> journal)
      : committed_(std::move(committed)), journal_(std::move(journal)) {}

  awaitable<Result<std::optional<Entry>>> get(std::string key) override { co_return committed_->get(key); }
  awaitable<Result<std::vector<Entry>>> list(std::string prefix) override { co_return committed_->list(prefix); }

  awaitable<Result<Revision>> put(std::string key, std::string value, std::optional<Revision> expected) override {
    if (key.size() > kKeyBytesMax || item_bytes(key, value) > kItemBytesMax)
      co_return Error{Errc::write_failed, key.substr(0, 256) + ": larger than a value can be"};
    Operation wanted{Operation::Kind::put, std::move(key), std::move(value), expected};
    auto operation = std::make_shared<Operation>(std::move(wanted));
    co_await settle(operation);
    if (operation->error) co_return *operation->error;
    co_return Revision{operation->number};
  }

  awaitable<Result<>> remove(std::string key, std::optional<Revision> expected) override {
    Operation wanted{Operation::Kind::remove, std::move(key), {}, expected};
    auto operation = std::make_shared<Operation>(std::move(wanted));
    co_await settle(operation);
    if (operation->error) co_return *operation->error;
    co_return Result<>();
  }

  awaitable<Result<std::uint64_t>> next_number(std::string name) override {
    if (const auto left = committed_->number_left(name)) co_return *left;
    Operation wanted{Operation::Kind::number, std::move(name)};
    auto operation = std::make_shared<Operation>(std::move(wanted));
    co_await settle(operation);
    if (operation->error) co_return *operation->error;
    co_return Result<std::uint64_t>(boost::system::in_place_value, operation->number);
  }

  awaitable<Result<>> clear() override {
    Operation wanted{Operation::Kind::clear};
    auto operation = std::make_shared<Operation>(std::move(wanted));
    co_await settle(operation);
    if (operation->error) co_return *operation->error;
    co_return Result<>();
  }

  WatchId watch(std::string prefix, std::function<void(const Change&)> changed) override {
    return committed_->watch(std::move(prefix), std::move(changed));
  }
  void unwatch(WatchId id) override { committed_->unwatch(id); }
  std::string trouble() const override { return committed_->trouble(); }
  FileResult<SnapshotFiles> snapshot(const std::filesystem::path& directory) override {
    return journal::snapshot_of(*journal_, directory);
  }

 private:
  awaitable<void> settle(OperationPtr operation) {
    committed_->stage(operation);
    do {
      const journal::Journal::Turn turn = journal_->announce(committed_);
      co_await journal_->over(turn);
    } while (!committed_->done(*operation));
  }

  const std::shared_ptr<Committed> committed_;
  const std::unique_ptr<journal::Journal> journal_;  // ends first: it settles what waits
};

std::filesystem::path file_of(const std::filesystem::path& directory, journal::Lsn at) {
  std::array<char, 32> name;
  std::snprintf(name.data(), name.size(), "journal-%08x", journal::generation_of(at).get());
  return directory / name.data();
}

std::string place_text(const std::filesystem::path& directory, journal::Lsn at) {
  return file_of(directory, at).native() + ", offset " + std::to_string(journal::offset_of(at));
}

bool is_first_part(ByteView payload) {
  Item item;
  Part part;
  return read_item(payload, item) == Read::item && read_part(item, part) && part.index == 0;
}

constexpr std::string_view kWhatToDo =
    ". Restore the directory from a copy, or start with storage.on_damage: serve, which goes on with what can be read";

/// What the files hold, and what of it cannot be taken.
struct Found {
  Replay replay;
  std::set<Generation> files;
  journal::Lsn snapshot;  // the last one
  std::vector<Error> mistakes;
  journal::Scanned scanned;
};

Result<> read_all(Files& files, const std::filesystem::path& directory, const journal::Keys* keys, Found& found) {
  const auto visit = [&](const journal::Frame& frame, ByteView payload, journal::Lsn at) {
    found.files.insert(journal::generation_of(at));
    std::optional<Error> wrong;
    switch (frame.kind) {
      case FrameKind::change:
        wrong = found.replay.change(payload);
        break;
      case FrameKind::snapshot:
        wrong = found.replay.snapshot(payload);
        break;
      case FrameKind::records:
        wrong = Error{Errc::damaged, "it holds records, not state"};
        break;
    }
    if (frame.kind == FrameKind::snapshot && is_first_part(payload)) {
      found.snapshot = at;
      found.mistakes.clear();  // of changes that it takes the place of
    }
    if (wrong) found.mistakes.push_back({wrong->code, place_text(directory, at) + ": " + wrong->detail});
  };
  auto scanned = journal::scan(files, directory, visit, keys ? keys : &journal::no_keys());
  if (!scanned) {
    const bool unknown = scanned.error().code == journal::Errc::unknown_format;
    return Error{unknown ? Errc::unknown_format : Errc::unreadable, scanned.error().detail};
  }
  found.scanned = std::move(*scanned);
  const std::filesystem::path file = file_of(directory, found.snapshot);
  for (const journal::Damage& damage : found.scanned.damage) {
    // A file that was dropped may be there again, or damaged: nothing in it counts.
    if (damage.file < file || (damage.file == file && damage.offset < journal::offset_of(found.snapshot))) continue;
    found.mistakes.push_back({Errc::damaged, damage.file.native() + ", offset " + std::to_string(damage.offset) + ": " +
                                                 std::to_string(damage.bytes) + " bytes are damaged and hide " +
                                                 damage.hides});
  }
  if (found.replay.inside_snapshot())
    found.mistakes.push_back({Errc::damaged, directory.native() + ": its last snapshot has no end"});
  return {};
}

}  // namespace

Result<JournalStore> make_journal_store(Files& files, Clock& clock, JournalStoreOptions options) {
  if (auto made = make_lasting_directory(files, options.directory); !made)
    return Error{Errc::write_failed, made.error().detail};
  Found found;
  if (auto read = read_all(files, options.directory, options.keys, found); !read) return read.error();
  JournalStore out;
  for (const Error& mistake : found.mistakes) {
    if (mistake.code == Errc::unknown_format)
      return Error{mistake.code, mistake.detail + ". Start the version that wrote it, or a later one"};
    if (!options.serve_damaged) return Error{mistake.code, mistake.detail + std::string(kWhatToDo)};
    out.damage.push_back(mistake.detail);
  }
  Contents& contents = found.replay.contents();
  const std::uint64_t missing = out.damage.empty() ? 0 : contents.highest_number() + kNumbersLeap;
  const std::uint64_t behind = std::max(options.numbers_after, missing);
  const bool leaps = behind > 0;
  if (leaps) contents.go_on_behind(behind);

  // A small state is written anew at once: each start takes a file, and a full disk has no more than there are.
  const bool snapshot_first = leaps || (!found.files.empty() && contents.bytes() <= options.file_bytes / 4);
  options.file_bytes = std::max(options.file_bytes, 4 * contents.bytes());
  journal::Options journal_options;
  journal_options.directory = options.directory;
  journal_options.file_bytes = options.file_bytes;
  journal_options.keys = options.keys;
  journal_options.random = options.random;
  journal_options.commit_bytes_max = SIZE_MAX;  // a snapshot is one commit: all of it or nothing
  auto journal = journal::make_journal(files, clock, journal_options, found.scanned);
  if (!journal) return Error{Errc::write_failed, journal.error().detail};
  auto committed = std::make_shared<Committed>(std::move(contents), std::move(found.files), std::move(options));
  committed->drop_through(**journal);
  if (snapshot_first) committed->ask_for_snapshot();
  if (leaps) committed->write_leap();
  out.store = std::make_unique<KeptStore>(std::move(committed), std::move(*journal));
  return out;
}

Result<StoredState> read_journal(Files& files, const std::filesystem::path& directory, const journal::Keys* keys) {
  Found found;
  if (auto read = read_all(files, directory, keys, found); !read) return read.error();
  StoredState out;
  for (const auto& [key, held] : found.replay.contents().entries())
    out.entries.push_back({key, held.value, held.revision});
  out.highest_number = found.replay.contents().highest_number();
  for (Error& mistake : found.mistakes) {
    if (mistake.code == Errc::unknown_format) return std::move(mistake);
    out.damage.push_back(std::move(mistake.detail));
  }
  return out;
}

}  // namespace millrace::state
