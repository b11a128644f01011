#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "millrace/base/random.hpp"
#include "millrace/journal/journal.hpp"
#include "millrace/state/store.hpp"
#include "state/contents.hpp"
#include "support/keys.hpp"
#include "support/run.hpp"

namespace millrace::state {
namespace {

namespace fs = std::filesystem;
const fs::path kDirectory = "data/state";

/// A store that is made again over the same files.
class JournalStoreTest : public testing::Test {
 protected:
  ~JournalStoreTest() override {
    files_->on_change({});
    store_.reset();
  }

  Result<JournalStore> make() {
    JournalStoreOptions options;
    options.directory = directory_;
    options.file_bytes = 32 << 10;
    options.serve_damaged = serve_damaged_;
    options.keys = keys_;
    options.random = random_.get();
    options.numbers_after = numbers_after_;
    return make_journal_store(*files_, clock_, options);
  }
  void open() {
    store_.reset();
    auto made = make();
    ASSERT_TRUE(made) << made.error().detail;
    store_ = std::move(made->store);
    damage_ = std::move(made->damage);
  }
  std::string refusal() {
    store_.reset();
    auto made = make();
    return made ? "no error" : made.error().detail;
  }
  template <class T>
  T run(awaitable<T> task) {
    return test::run(*io_, std::move(task));
  }
  template <class T>
  auto start(awaitable<T> task) {
    auto started = test::start(*io_, std::move(task));
    test::settle(*io_);
    return started;
  }
  template <class T>
  T end(test::Started<T>& started) {
    test::run_until(*io_, [&] { return started.done(); });
    return started.result();
  }
  Result<Revision> put(std::string key, std::string value, std::optional<Revision> expected = std::nullopt) {
    return run(store_->put(std::move(key), std::move(value), expected));
  }
  std::map<std::string, std::string> all() {
    std::map<std::string, std::string> found;
    auto listed = run(store_->list(""));
    EXPECT_TRUE(listed);
    for (const Entry& entry : *listed) found[entry.key] = entry.value;
    return found;
  }
  std::vector<fs::path> journal_files() {
    std::set<fs::path> found;
    const auto names = files_->list(kDirectory);
    for (const std::string& name : *names)
      if (name.size() == std::string("journal-00000001").size()) found.insert(kDirectory / name);
    return {found.begin(), found.end()};
  }

  std::unique_ptr<MemoryFiles> files_ = make_memory_files({.loses_unsynced = true});
  ManualClock clock_;
  test::SharedContext io_;
  const journal::Keys* keys_ = nullptr;
  std::unique_ptr<Random> random_ = make_seeded_random(1);
  bool serve_damaged_ = false;
  std::uint64_t numbers_after_ = 0;
  fs::path directory_ = kDirectory;
  std::unique_ptr<Store> store_;
  std::vector<std::string> damage_;
};

/// Holds commits of a fresh store, once its first file is in use, at their syncs.
class Gate {
 public:
  explicit Gate(MemoryFiles& files) : files_(files) {
    files_.on_change([this](std::string_view call, const fs::path& path) {
      if (call != "fsync" || path.stem() != "journal-00000001") return 0;
      std::unique_lock lock(mutex_);
      ++waiting_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_; });
      --waiting_;
      return error_;
    });
  }
  ~Gate() {
    open(0);
    files_.on_change({});
  }
  void wait_for_a_commit() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return waiting_ > 0; });
  }
  void open(int error_number) {
    std::lock_guard lock(mutex_);
    open_ = true;
    error_ = error_number;
    changed_.notify_all();
  }

 private:
  MemoryFiles& files_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int waiting_ = 0, error_ = 0;
  bool open_ = false;
};

TEST_F(JournalStoreTest, AllComesBackAfterARestart) {
  open();
  const Revision first = *put("a", "1");
  ASSERT_TRUE(put("b", std::string("\0\xff", 2)));
  ASSERT_TRUE(put("c", "3"));
  ASSERT_TRUE(run(store_->remove("c")));
  EXPECT_EQ(*run(store_->next_number("n")), 1u);
  EXPECT_EQ(*run(store_->next_number("n")), 2u);
  open();
  EXPECT_EQ(all(), (std::map<std::string, std::string>{{"a", "1"}, {"b", std::string("\0\xff", 2)}}));
  EXPECT_EQ((*run(store_->get("a")))->revision, first) << "what was compared before is compared still";
  EXPECT_GT(*run(store_->next_number("n")), 2u);
  EXPECT_GT(*put("a", "2", first), first);
}

TEST_F(JournalStoreTest, NumbersAreGivenOnceOverManyStarts) {
  std::set<std::uint64_t> given;
  for (int start = 0; start < 20; ++start) {
    open();
    for (int i = 0; i < start * 7; ++i) EXPECT_TRUE(given.insert(*run(store_->next_number("n"))).second);
    if (start == 10) {
      ASSERT_TRUE(run(store_->clear()));
    }
  }
}

awaitable<void> take_numbers(Store& store, std::vector<std::uint64_t>& taken, int count) {
  for (int i = 0; i < count; ++i) taken.push_back(*co_await store.next_number("n"));
}

TEST_F(JournalStoreTest, ManyWhoAskForNumbersAtOnceGetTheirOwn) {
  open();
  std::vector<std::uint64_t> taken;
  std::vector<test::Started<void>> started;
  for (int i = 0; i < 100; ++i) started.push_back(test::start(*io_, take_numbers(*store_, taken, 5)));
  for (auto& one : started) end(one);
  EXPECT_EQ(std::set<std::uint64_t>(taken.begin(), taken.end()).size(), 500u);
}

TEST_F(JournalStoreTest, AChangeIsSeenWhenItIsOnDiskAndNotBefore) {
  open();
  ASSERT_TRUE(put("first", ""));
  std::atomic<int> seen{0};
  store_->watch("", [&](const Change&) { ++seen; });
  Gate gate(*files_);
  auto written = start(store_->put("a", "1", std::nullopt));
  gate.wait_for_a_commit();
  test::settle(*io_);
  EXPECT_FALSE(written.done());
  EXPECT_EQ(all().size(), 1u);
  EXPECT_EQ(seen, 0);
  gate.open(0);
  ASSERT_TRUE(end(written));
  EXPECT_EQ(seen, 1);
  EXPECT_EQ(all().size(), 2u);
}

TEST_F(JournalStoreTest, WhatComesDuringACommitIsComparedWithWhatThatLeaves) {
  open();
  ASSERT_TRUE(put("c", "0"));
  Gate gate(*files_);
  auto first = start(store_->put("a", "1", Revision{0}));
  gate.wait_for_a_commit();
  auto second = start(store_->put("a", "2", Revision{0}));
  auto third = start(store_->put("b", "1", Revision{0}));
  auto fourth = start(store_->put("b", "2", Revision{0}));
  auto removed = start(store_->remove("b", std::nullopt));
  auto again = start(store_->put("b", "3", Revision{0}));
  gate.open(0);
  EXPECT_TRUE(end(first));
  EXPECT_EQ(end(second).error().code, Errc::conflict);
  EXPECT_TRUE(end(third));
  EXPECT_EQ(end(fourth).error().code, Errc::conflict);
  EXPECT_TRUE(end(removed));
  EXPECT_TRUE(end(again));
  EXPECT_EQ(all(), (std::map<std::string, std::string>{{"a", "1"}, {"b", "3"}, {"c", "0"}}));
}

TEST_F(JournalStoreTest, AFailedCommitLeavesThingsAsTheyWereAndLaterChangesWork) {
  open();
  const Revision before = *put("a", "1");
  std::vector<Change> seen;
  store_->watch("", [&](const Change& change) { seen.push_back(change); });
  {
    Gate gate(*files_);
    auto lost = start(store_->put("a", "2", before));
    gate.wait_for_a_commit();
    gate.open(EIO);
    const auto outcome = end(lost);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, Errc::write_failed);
    EXPECT_NE(store_->trouble().find("fsync"), std::string::npos) << store_->trouble();
  }
  EXPECT_TRUE(seen.empty());
  EXPECT_EQ(all().at("a"), "1");
  EXPECT_TRUE(put("a", "3", before));
  EXPECT_EQ(store_->trouble(), "");
  open();
  EXPECT_EQ(all().at("a"), "3");
}

TEST_F(JournalStoreTest, AValueTooLargeForAFrameIsRefused) {
  open();
  EXPECT_EQ(put("a", std::string(16 << 20, 'x')).error().code, Errc::write_failed);
  EXPECT_EQ(put(std::string(70'000, 'k'), "x").error().code, Errc::write_failed);
  EXPECT_TRUE(put("a", std::string((16 << 20) - 100, 'x')));
}

TEST_F(JournalStoreTest, ASnapshotOfManyFramesIsRead) {
  open();
  const std::size_t size = 9 << 20;
  for (const char* key : {"a", "b", "a", "a", "a", "z"}) ASSERT_TRUE(put(key, std::string(size, *key)));
  store_.reset();
  std::size_t frames = 0;
  auto scanned = journal::scan(*files_, kDirectory, [&](const journal::Frame& frame, ByteView, journal::Lsn) {
    frames += frame.kind == journal::FrameKind::snapshot;
  });
  ASSERT_TRUE(scanned);
  EXPECT_GT(frames, 1u) << "one for each of the two values, when they had been changed often enough";
  open();
  EXPECT_EQ(all().size(), 3u);
  for (const char* key : {"a", "b", "z"}) EXPECT_EQ(all().at(key), std::string(size, *key));
}

TEST_F(JournalStoreTest, ManyShortRunsEndInASnapshot) {
  for (int i = 0; i < 30; ++i) {
    open();
    ASSERT_TRUE(put("z", std::to_string(i)));
  }
  store_.reset();
  EXPECT_LT(journal_files().size(), 20u);
  open();
  EXPECT_EQ(all().at("z"), "29");
}

TEST_F(JournalStoreTest, ASnapshotIsTheStateAtItsTime) {
  open();
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(put("key" + std::to_string(i % 70), std::string(500, 'a')));
  ASSERT_EQ(run(store_->next_number("n")).value(), 1u);
  const auto then = all();
  const auto made = store_->snapshot("data/snapshot");
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_GT(made->files, 0u);
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(put("key" + std::to_string(i % 7), std::string(500, 'b')));
  const auto now = all();
  ASSERT_NE(then, now);
  directory_ = "data/snapshot";
  open();
  EXPECT_EQ(all(), then);
  ASSERT_TRUE(put("more", "of it"));
  directory_ = kDirectory;
  open();
  EXPECT_EQ(all(), now);
  EXPECT_EQ(make_memory_store()->snapshot("data/other").error().error_number, ENOTSUP);
}

TEST_F(JournalStoreTest, NumbersLeapWhereAnotherLifeMayHaveGivenThem) {
  open();
  ASSERT_EQ(run(store_->next_number("a")).value(), 1u);
  ASSERT_EQ(run(store_->next_number("b")).value(), 1u);
  const auto made = store_->snapshot("data/snapshot");
  ASSERT_TRUE(made);
  std::uint64_t last = 0;
  for (int i = 0; i < 1'000; ++i) last = *run(store_->next_number("a"));
  for (const bool full : {false, true}) {
    SCOPED_TRACE(full ? "full disk" : "");
    ASSERT_TRUE(files_->remove_all(kDirectory));
    store_.reset();
    ASSERT_TRUE(files_->make_directories(kDirectory));
    for (const std::string& name : *files_->list("data/snapshot"))
      ASSERT_TRUE(copy_file(*files_, fs::path("data/snapshot") / name, kDirectory / name));
    numbers_after_ = last + 500;
    open();
    if (full) files_->on_change([](std::string_view call, const fs::path&) { return call == "allocate" ? ENOSPC : 0; });
    ASSERT_TRUE(put("first", "change"));
    numbers_after_ = 0;
    files_->on_change({});
    open();
    EXPECT_EQ(read_journal(*files_, kDirectory)->highest_number, last + 500);
    EXPECT_GT(*run(store_->next_number("a")), last + 500);
    EXPECT_GT(*run(store_->next_number("b")), last + 500);
    EXPECT_GT(*run(store_->next_number("c")), last + 500);
  }
}

TEST_F(JournalStoreTest, DamageIsRefusedWithItsPlaceOrServedWithWhatIsLeft) {
  open();
  EXPECT_EQ(*run(store_->next_number("n")), 1u);
  ASSERT_TRUE(put("a", "first value"));
  ASSERT_TRUE(put("b", "second value"));
  ASSERT_TRUE(put("c", "third value"));
  store_.reset();
  const fs::path file = journal_files().front();
  const std::string bytes = *files_->read_all(file, 1 << 20);
  const std::size_t at = bytes.find("first value");
  ASSERT_NE(at, std::string::npos);
  auto writable = files_->open_writable(file);
  const std::array<ByteView, 1> wrong{"f1rst"};
  ASSERT_TRUE((*writable)->write_at(at, wrong));

  const std::string said = refusal();
  EXPECT_NE(said.find(file.native() + ", offset "), std::string::npos) << said;
  EXPECT_NE(said.find("storage.on_damage: serve"), std::string::npos) << said;
  serve_damaged_ = true;
  open();
  ASSERT_EQ(damage_.size(), 1u);
  EXPECT_EQ(all(), (std::map<std::string, std::string>{{"b", "second value"}, {"c", "third value"}}));
  EXPECT_GT(*run(store_->next_number("n")), 1'000u) << "numbers may have been in what is lost";
  EXPECT_GT(*run(store_->next_number("of another name")), 1'000u);
}

TEST_F(JournalStoreTest, SealedByKeysItHoldsNoPlainTextAndGoesOnWithANewOne) {
  test::SealingKeys keys{{1, 'a'}};
  keys_ = &keys;
  open();
  ASSERT_TRUE(put("a secret name", "a secret value"));
  for (int i = 0; i < 200; ++i) ASSERT_TRUE(put("key " + std::to_string(i % 7), "a secret " + std::string(500, 'x')));
  const auto expected = all();
  EXPECT_EQ(test::files_with(*files_, kDirectory, "secret"), std::vector<std::string>());
  open();
  EXPECT_EQ(all(), expected);

  store_.reset();
  keys.bytes = {};
  EXPECT_NE(refusal().find("payloads are sealed by key 1, which is not given"), std::string::npos) << refusal();
  keys_ = nullptr;
  EXPECT_NE(refusal().find("payloads are sealed by key 1, which is not given"), std::string::npos) << refusal();
  serve_damaged_ = true;
  EXPECT_NE(refusal().find("payloads are sealed by key 1, which is not given"), std::string::npos) << "it is no damage";
  keys_ = &keys;
  keys.bytes = {{1, 'z'}};
  EXPECT_NE(refusal().find("another one"), std::string::npos) << "nor is this";
  serve_damaged_ = false;

  keys.bytes = {{1, 'a'}, {2, 'b'}};
  open();
  EXPECT_EQ(all(), expected);
  ASSERT_TRUE(put("after", "the new key"));  // and a snapshot before it
  store_.reset();
  keys.bytes = {{2, 'b'}};
  open();
  EXPECT_EQ(all().size(), expected.size() + 1) << "the old one is not needed any more";

  keys.seals = false;
  open();
  ASSERT_TRUE(put("plain", "no secret"));
  EXPECT_FALSE(test::files_with(*files_, kDirectory, "no secret").empty()) << "this does find texts";
  EXPECT_EQ(all().size(), expected.size() + 2);
  store_.reset();
}

// The page is docs/formats/state.md.
TEST_F(JournalStoreTest, FilesAreDroppedByWhatThereIsAndNotByTheirNumbers) {
  open();
  ASSERT_TRUE(run(store_->put("a", "1")));
  store_.reset();
  ASSERT_TRUE(journal::begin_behind(*files_, kDirectory, journal::Generation{UINT32_MAX - 9}, 0));
  open();
  ASSERT_TRUE(run(store_->put("a", "2"))) << "with a snapshot, before which nothing counts";
  store_.reset();
  open();
  EXPECT_EQ((*run(store_->get("a")))->value, "2");
}

/// One change of the test's own making.
class OneChange final : public journal::Source {
 public:
  explicit OneChange(const Item& item) { append_item(payload_, item); }
  bool gather(journal::Batch& batch) override {
    journal::Frame frame;
    frame.kind = journal::FrameKind::change;
    const ByteView payload = payload_;
    if (!std::exchange(given_, true)) batch.add(frame, std::span(&payload, 1));
    return false;
  }
  void settled(const journal::Result<>&, std::span<const journal::Lsn>) noexcept override {}

 private:
  std::string payload_;
  bool given_ = false;
};

TEST_F(JournalStoreTest, NumbersAndRevisionsEndBeforeThoseThatCannotBeReadBack) {
  const auto open_behind = [this](const Item& item) {
    store_.reset();
    (void)files_->remove_all(kDirectory);
    ASSERT_TRUE(files_->make_directories(kDirectory));
    journal::Options options;
    options.directory = kDirectory;
    auto journal = journal::make_journal(*files_, clock_, options, {});
    ASSERT_TRUE(journal);
    (*journal)->announce(std::make_shared<OneChange>(item));
    journal->reset();
    open();
  };
  for (const bool leap : {false, true}) {
    SCOPED_TRACE(leap);
    numbers_after_ = leap ? kNumberMax : 0;
    open_behind({ItemKind::number, kNumberMax - 1, "n", {}});
    EXPECT_EQ(run(store_->next_number("n")).error().code, Errc::write_failed);
    ASSERT_TRUE(put("a", "1"));
    numbers_after_ = 0;
    open();
    EXPECT_EQ(all().at("a"), "1");
    EXPECT_EQ(run(store_->next_number("n")).error().code, Errc::write_failed);
  }
  open_behind({ItemKind::put, kNumberMax - 1, "a", "1"});
  EXPECT_EQ(put("b", "1").error().code, Errc::write_failed);
  EXPECT_EQ(run(store_->remove("a")).error().code, Errc::write_failed);
  EXPECT_TRUE(run(store_->next_number("n")));
  open();
  EXPECT_EQ(all(), (std::map<std::string, std::string>{{"a", "1"}}));
}

TEST(StateFormat, IsAsItsPageShows) {
  Contents contents;
  contents.apply({ItemKind::number, 64, "n", {}});
  contents.apply({ItemKind::put, 7, "a", "xy"});
  std::string change;
  append_item(change, {ItemKind::put, 7, "a", "xy"});
  EXPECT_EQ(change, std::string("\x01\0\x01\0\x02\0\0\0\x07\0\0\0\0\0\0\0"
                                "axy",
                                19));
  const std::vector<std::string> snapshot = contents.snapshot(journal::kFramePayloadBytesMax);
  ASSERT_EQ(snapshot.size(), 1u);
  EXPECT_EQ(snapshot[0], std::string("\x05\0\0\0\x08\0\0\0\x07\0\0\0\0\0\0\0"
                                     "\0\0\0\0\x01\0\0\0"
                                     "\x04\0\x01\0\0\0\0\0\x40\0\0\0\0\0\0\0n",
                                     41) +
                             change);
}

TEST(StateReplay, RefusesWhatNoVersionOfItWrote) {
  const auto refused = [](std::string payload) {
    const auto wrong = Replay().change(payload);
    return wrong ? wrong->code : Errc{};
  };
  std::string item;
  append_item(item, {ItemKind::put, 7, "a", "xy"});
  EXPECT_EQ(refused(item), Errc{});
  std::string later = item;
  later[0] = 6;
  EXPECT_EQ(refused(later), Errc::unknown_format);
  for (std::size_t size = 1; size < item.size(); ++size) EXPECT_EQ(refused(item.substr(0, size)), Errc::damaged);
  std::string great;
  append_item(great, {ItemKind::number, kNumberMax - 1, "n", {}});
  EXPECT_EQ(refused(great), Errc{});
  great.clear();
  append_item(great, {ItemKind::number, kNumberMax, "n", {}});
  EXPECT_EQ(refused(great), Errc::damaged) << "no number could be given after it";
  std::string part(kPartBytes, '\0');
  encode_part({0, 2}, 1, part.data());
  EXPECT_EQ(refused(part), Errc::damaged);
  Replay replay;
  EXPECT_FALSE(replay.snapshot(part));
  EXPECT_TRUE(replay.inside_snapshot());
  encode_part({1, 3}, 1, part.data());
  EXPECT_TRUE(replay.snapshot(part)) << "of another snapshot";
}

/// Random changes and a model of what must be left of them.
class JournalStoreSimulation : public JournalStoreTest {
 protected:
  using Value = std::optional<std::string>;
  struct Change {
    std::string key;
    Value value;
    test::Started<Result<Revision>> put;
    test::Started<Result<>> removed;
  };

  /// Changes a few keys at once. False when one of them failed.
  bool round(Random& random) {
    std::vector<Change> changes;
    std::set<std::string> keys;
    for (std::uint64_t n = 1 + random.next() % 4; n > 0; --n) keys.insert("key-" + std::to_string(random.next() % 12));
    for (const std::string& key : keys) {
      const bool there = model_[key].has_value();
      if (there && random.next() % 4 == 0) {
        changes.push_back({key, std::nullopt, {}, start(store_->remove(key, std::nullopt))});
      } else {
        const std::string value = std::to_string(++values_) + std::string(random.next() % 300, 'v');
        std::optional<Revision> expected;
        if (random.next() % 2 == 0) expected = revisions_[key];
        changes.push_back({key, value, start(store_->put(key, value, expected)), {}});
      }
    }
    bool kept = true;
    std::vector<Change> failed;
    for (Change& change : changes) {
      bool done = true;
      if (change.value) {
        const auto revision = end(change.put);
        done = revision.has_value();
        if (!done) {
          EXPECT_EQ(revision.error().code, Errc::write_failed) << revision.error().detail;
        } else {
          EXPECT_GT(*revision, last_revision_[change.key]);
          revisions_[change.key] = last_revision_[change.key] = *revision;
        }
      } else {
        const auto removed = end(change.removed);
        done = removed.has_value();
        if (!done) {
          EXPECT_EQ(removed.error().code, Errc::write_failed) << removed.error().detail;
        } else {
          revisions_[change.key] = Revision{0};
        }
      }
      if (done) {
        model_[change.key] = change.value;
        maybe_.clear();  // a commit after the one that failed says that that one counts for nothing
      } else {
        kept = false;
        failed.push_back(change);
      }
    }
    for (const Change& change : failed) maybe_[change.key].insert(change.value);
    if (random.next() % 8 == 0) {
      if (auto number = run(store_->next_number("n")))
        EXPECT_TRUE(numbers_.insert(*number).second);
      else
        kept = false;
    }
    return kept;
  }
  /// What is there is what the model says; after a start it may be a change that failed, too, and then is from now on.
  void compare(bool started) {
    const auto found = all();
    for (const auto& [key, value] : found) EXPECT_TRUE(model_.contains(key)) << key;
    for (auto& [key, value] : model_) {
      const auto at = found.find(key);
      const Value now = at == found.end() ? Value() : Value(at->second);
      if (now != value) {
        EXPECT_TRUE(started && maybe_[key].contains(now)) << key << " is " << now.value_or("not there");
        value = now;
      }
      const auto entry = *run(store_->get(key));
      revisions_[key] = entry ? entry->revision : Revision{0};
    }
    if (started) maybe_.clear();
  }
  void open_and_compare() {
    open();
    if (store_) compare(true);
  }

  std::map<std::string, Value> model_;
  std::map<std::string, std::set<Value>> maybe_;  // of changes that failed, while nothing was kept after them
  std::map<std::string, Revision> revisions_, last_revision_;
  std::set<std::uint64_t> numbers_;
  std::uint64_t values_ = 0;
};

TEST_F(JournalStoreSimulation, PowerLostAtAnyMomentLosesNothingAcknowledged) {
  const std::uint64_t seed = ::testing::UnitTest::GetInstance()->random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  auto random = make_seeded_random(seed);
  for (int life = 0; life < 150 && !HasFailure(); ++life) {
    std::atomic<std::uint64_t> left{random->next() % 60};
    std::atomic<bool> off{false};
    files_->on_change([&](std::string_view, const fs::path&) {
      if (off || left == 0) off = true;
      if (!off) --left;
      return off ? EIO : 0;
    });
    // Also while it starts.
    if (auto made = make()) {
      store_ = std::move(made->store);
      compare(true);
      while (!off && round(*random)) {
      }
    }
    store_.reset();
    files_->on_change({});
    files_->lose_power(*random);
    open_and_compare();
    store_.reset();
  }
}

TEST_F(JournalStoreSimulation, AFaultAtAnyCallLosesNothingAcknowledgedAndKeepsNothingThatFailed) {
  for (const int error : {EIO, ENOSPC}) {
    bool reached = true;
    for (std::size_t fault = 1; reached && !HasFailure(); fault += 3) {
      SCOPED_TRACE("call " + std::to_string(fault) + ", error " + std::to_string(error));
      auto random = make_seeded_random(fault);
      std::atomic<std::size_t> calls{0};
      files_->on_change([&](std::string_view, const fs::path&) { return ++calls == fault ? error : 0; });
      store_.reset();
      if (auto made = make()) {
        store_ = std::move(made->store);
        compare(true);
        int failures = 0, rounds = 0;
        while (rounds < 60 && failures < 2) ++rounds, failures += !round(*random);
        // Where no file could be made, it is tried again after a while.
        if (error == EIO) {
          EXPECT_LE(failures, 1) << "one fault fails one commit";
        }
        compare(false);
      }
      reached = calls >= fault;
      files_->on_change({});
      if (random->next() % 2 == 0) {
        store_.reset();
        files_->lose_power(*random);
      }
      open_and_compare();
    }
  }
}

TEST_F(JournalStoreSimulation, OnAFullDiskChangesGoOnInTheFilesThereAre) {
  open();
  auto random = make_seeded_random(1);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(round(*random));
  files_->on_change(
      [](std::string_view call, const fs::path&) { return call == "allocate" || call == "create" ? ENOSPC : 0; });
  int kept = 0;
  const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
  while (kept < 2'000 && std::chrono::steady_clock::now() < deadline) kept += round(*random);
  EXPECT_EQ(kept, 2'000) << store_->trouble();
  compare(false);
  files_->on_change({});
  open_and_compare();
}

}  // namespace
}  // namespace millrace::state
