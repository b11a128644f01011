#include "millrace/snapshots/snapshots.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <map>
#include <set>

#include "support/keys.hpp"
#include "support/run.hpp"

namespace millrace::snapshots {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

const fs::path kData = "data";
constexpr std::uint64_t kFileBytes = 64u << 10;

/// A data directory with a life in it: a log of texts and a state, as a daemon has them.
class SnapshotsTest : public testing::Test {
 protected:
  ~SnapshotsTest() override {
    files_->on_change({});
    stop();
  }

  Place place() {
    return {.files = *files_,
            .clock = clock_,
            .random = *random_,
            .data_dir = kData,
            .keys = keys_ ? keys_.get() : nullptr,
            .serve_damaged = serve_damaged_};
  }
  /// As a daemon starts: what was asked to be restored is.
  void start() {
    stop();
    auto finished = finish_restore(place());
    ASSERT_TRUE(finished) << finished.error().detail;
    restored_ = *std::move(finished);
    open();
  }
  void open() {
    threads_.emplace(1);
    state::JournalStoreOptions state_options{.directory = kData / "state"};
    state_options.file_bytes = 16u << 10;
    state_options.keys = place().keys;
    state_options.random = random_.get();
    auto store = state::make_journal_store(*files_, clock_, state_options);
    ASSERT_TRUE(store) << store.error().detail;
    store_ = std::move(store->store);
    log::DurableEngineOptions options{.directory = kData / "log"};
    options.file_bytes = kFileBytes;
    options.keys = place().keys;
    options.random = random_.get();
    auto engine = log::make_durable_engine(clock_, budget_, *files_, *threads_, options);
    ASSERT_TRUE(engine) << engine.error().detail;
    engine_ = std::move(*engine);
    auto opened = run(engine_->open(log::LogId{1}));
    if (!opened) opened = run(engine_->create(log::LogId{1}, {}));
    ASSERT_TRUE(opened) << opened.error().detail;
    log_ = *opened;
    engine_->forget_unopened();
    snapshots_ = make_snapshots(place(), *store_, *engine_);
  }
  void stop() {
    snapshots_.reset();
    log_.reset();
    engine_.reset();
    store_.reset();
    threads_.reset();
  }
  template <class T>
  T run(awaitable<T> task) {
    return test::run(*io_, std::move(task));
  }

  /// Gives the position.
  std::uint64_t put(const std::string& text) {
    builder_.reset(0);
    builder_.begin_batch();
    builder_.add("key", text);
    auto staged = log_->stage(log_->epoch(), builder_.batch());
    EXPECT_TRUE(staged);
    if (!staged) return 0;
    const log::Ticket tickets[] = {staged->ticket};
    EXPECT_TRUE(run(engine_->committed(tickets)));
    return staged->first.get();
  }
  void put_many(int count) {
    for (int i = 0; i < count; ++i) put(std::to_string(i) + std::string(5'000, '.'));
  }
  void set(const std::string& key, const std::string& value) { ASSERT_TRUE(run(store_->put(key, value))); }
  std::uint64_t number() { return *run(store_->next_number("n")); }

  using Texts = std::map<std::uint64_t, std::string>;  // by position
  Texts texts() {
    Texts out;
    for (log::Position next{0};;) {
      auto batch = run(log_->read({.from = next}));
      EXPECT_TRUE(batch);
      if (!batch || batch->records == 0) return out;
      for (const log::RecordRun& each : batch->runs) {
        const char* at = each.bytes.data();
        for (std::uint32_t i = 0; i < each.count; ++i) {
          log::RecordView record;
          at = log::read_record(at, record);
          out.emplace(each.first.get() + i, record.data);
        }
      }
      next = batch->next;
    }
  }
  using Values = std::map<std::string, std::string>;
  Values values() {
    Values out;
    const auto listed = run(store_->list(""));
    for (const state::Entry& entry : *listed) out.emplace(entry.key, entry.value);
    return out;
  }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const Snapshot& snapshot : *snapshots_->list()) out.push_back(snapshot.name);
    return out;
  }
  /// Calls come from the journals' own threads too, and may still be in it when nobody is to be asked any more.
  static std::shared_ptr<std::atomic<int>> counter() { return std::make_shared<std::atomic<int>>(0); }
  std::set<std::string> in(const fs::path& directory) {
    const auto listed = files_->list(directory);
    return listed ? std::set<std::string>(listed->begin(), listed->end()) : std::set<std::string>();
  }

  std::shared_ptr<boost::asio::io_context> io_ = std::make_shared<boost::asio::io_context>(1);
  ManualClock clock_;
  std::unique_ptr<Random> random_ = make_seeded_random(1);
  std::shared_ptr<test::SealingKeys> keys_;
  std::unique_ptr<MemoryFiles> files_ = make_memory_files({.loses_unsynced = true});
  MemoryBudget budget_{64u << 20};
  std::optional<FileThreads> threads_;
  bool serve_damaged_ = false;
  std::unique_ptr<state::Store> store_;
  std::unique_ptr<log::Engine> engine_;
  std::shared_ptr<log::Log> log_;
  std::unique_ptr<Snapshots> snapshots_;
  std::optional<Restore> restored_;
  log::BatchBuilder builder_;
};

TEST_F(SnapshotsTest, HoldsAllAndIsRestoredWhatThereWasBeingKept) {
  start();
  put_many(40);
  set("a", "then");
  const Texts then = texts();
  clock_.advance(1500ms);
  const auto made = snapshots_->make("first");
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_EQ(made->created, clock_.now());
  EXPECT_EQ(made->version, MILLRACE_VERSION);
  EXPECT_GT(made->files, 3u);
  EXPECT_GT(made->bytes, 200'000u);
  EXPECT_EQ(snapshots_->find("first")->bytes, made->bytes);

  put_many(30);
  set("a", "now");
  set("b", "now");
  const Texts now = texts();
  const std::uint64_t last_number = number();
  clock_.advance(1s);
  const auto prepared = snapshots_->prepare_restore("first");
  ASSERT_TRUE(prepared) << prepared.error().detail;
  EXPECT_EQ(prepared->kept_as, "replaced-2026-01-01T00-00-02.500Z");
  put("later");  // goes on until it is stopped
  EXPECT_EQ(texts().size(), now.size() + 1);
  const std::uint64_t highest = texts().rbegin()->first;

  start();
  ASSERT_TRUE(restored_);
  EXPECT_EQ(restored_->name, "first");
  EXPECT_EQ(texts(), then);
  EXPECT_EQ(values(), (Values{{"a", "then"}}));
  EXPECT_GT(put("new"), highest) << "no position names two records";
  EXPECT_GT(number(), last_number);
  EXPECT_THAT(names(), ElementsAre("first", prepared->kept_as));
  EXPECT_EQ(snapshots_->find(prepared->kept_as)->replaced_by, "first");
  EXPECT_EQ(snapshots_->last_restore()->name, "first");
  EXPECT_EQ(snapshots_->last_restore()->kept_as, prepared->kept_as);
  EXPECT_THAT(in(kData), ElementsAre("log", "restored.json", "snapshots", "state"));

  // And back.
  const std::uint64_t new_number = number();
  const std::uint64_t new_position = put("newest");
  ASSERT_TRUE(snapshots_->prepare_restore(prepared->kept_as));
  start();
  Texts with_later = now;
  with_later.emplace(highest, "later");
  EXPECT_EQ(texts(), with_later);
  EXPECT_EQ(values(), (Values{{"a", "now"}, {"b", "now"}}));
  EXPECT_GT(put("newer still"), new_position);
  EXPECT_GT(number(), new_number);

  // A start of its own changes nothing.
  const Texts last = texts();
  start();
  EXPECT_FALSE(restored_);
  EXPECT_EQ(texts(), last);
}

TEST_F(SnapshotsTest, TheSameOneTwiceGivesNoNumberTwice) {
  start();
  put("then");
  set("a", "then");
  ASSERT_TRUE(snapshots_->make("s"));
  std::set<std::uint64_t> numbers, positions;
  for (int life = 0; life < 4; ++life) {
    for (int i = 0; i < 200; ++i) EXPECT_TRUE(numbers.insert(number()).second);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(positions.insert(put("x")).second);
    ASSERT_TRUE(snapshots_->prepare_restore("s"));
    start();
    EXPECT_EQ(texts().size(), 1u);
  }
}

TEST_F(SnapshotsTest, IsADirectoryThatCanBeTakenElsewhere) {
  start();
  put_many(20);
  set("a", "b");
  const Texts then = texts();
  ASSERT_TRUE(snapshots_->make("s"));
  put("later");
  stop();
  auto elsewhere = make_memory_files();
  for (const char* part : {"log", "state"}) {
    ASSERT_TRUE(elsewhere->make_directories(kData / part));
    for (const std::string& name : in(kData / "snapshots/s" / part)) {
      auto file = elsewhere->create(kData / part / name);
      const std::string bytes = *files_->read_all(kData / "snapshots/s" / part / name, 1u << 30);
      const ByteView pieces[] = {bytes};
      ASSERT_TRUE((*file)->append(pieces));
    }
  }
  files_ = std::move(elsewhere);
  start();
  EXPECT_EQ(texts(), then);
  EXPECT_EQ(values(), (Values{{"a", "b"}}));
}

TEST_F(SnapshotsTest, OfSealedFilesNeedsTheirKeys) {
  keys_ = std::make_shared<test::SealingKeys>(test::SealingKeys{{1, 'a'}});
  start();
  put_many(20);
  set("a", "sealed");
  const Texts then = texts();
  ASSERT_TRUE(snapshots_->make("s"));
  put("later");
  const auto key = keys_->bytes.extract(1);
  keys_->bytes.emplace(2, 'b');
  const auto refused = snapshots_->prepare_restore("s");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::damaged);
  EXPECT_THAT(refused.error().detail, HasSubstr("key 1"));
  keys_->bytes.emplace(1, key.mapped());
  ASSERT_TRUE(snapshots_->prepare_restore("s"));
  start();
  EXPECT_EQ(texts(), then);
  EXPECT_EQ(values(), (Values{{"a", "sealed"}}));
}

TEST_F(SnapshotsTest, NamesAreChecked) {
  start();
  clock_.advance(250ms);
  EXPECT_EQ(snapshots_->make("")->name, "2026-01-01T00-00-00.250Z");
  EXPECT_EQ(snapshots_->make("").error().code, Errc::exists);
  EXPECT_TRUE(snapshots_->make("A.b_c-9"));
  EXPECT_EQ(snapshots_->make("A.b_c-9").error().code, Errc::exists);
  EXPECT_TRUE(snapshots_->make(std::string(64, 'n')));
  for (const std::string& wrong : {std::string("."), std::string(".."), std::string(".x"), std::string("a/b"),
                                   std::string("a b"), std::string("a%2fb"), std::string("-x"), std::string(65, 'n'),
                                   std::string("a\0b", 3), std::string("\xc3\xa9")}) {
    EXPECT_EQ(snapshots_->make(wrong).error().code, Errc::invalid_name) << wrong;
    EXPECT_EQ(snapshots_->find(wrong).error().code, Errc::invalid_name) << wrong;
    EXPECT_EQ(snapshots_->remove(wrong).error().code, Errc::invalid_name) << wrong;
    EXPECT_EQ(snapshots_->prepare_restore(wrong).error().code, Errc::invalid_name) << wrong;
  }
  for (const char* none : {"none", "log"}) {
    EXPECT_EQ(snapshots_->find(none).error().code, Errc::not_found);
    EXPECT_EQ(snapshots_->remove(none).error().code, Errc::not_found);
    EXPECT_EQ(snapshots_->prepare_restore(none).error().code, Errc::not_found);
  }
  EXPECT_EQ(names().size(), 3u);
}

TEST_F(SnapshotsTest, AreRemovedAndWhatTheyHeldWithThem) {
  start();
  EXPECT_THAT(*snapshots_->list(), IsEmpty());
  put_many(20);
  ASSERT_TRUE(snapshots_->make("s"));
  ASSERT_TRUE(snapshots_->make("t"));
  ASSERT_TRUE(snapshots_->remove("s"));
  EXPECT_THAT(names(), ElementsAre("t"));
  EXPECT_THAT(in(kData / "snapshots"), ElementsAre("t"));
  const Texts then = texts();
  start();
  EXPECT_EQ(texts(), then);
}

TEST_F(SnapshotsTest, WhatIsNoSnapshotIsLeftAlone) {
  start();
  ASSERT_TRUE(snapshots_->make("s"));
  ASSERT_TRUE(files_->make_directories(kData / "snapshots/mine/log"));
  auto file = files_->create(kData / "snapshots/notes");
  ASSERT_TRUE(file);
  auto broken = files_->create(kData / "snapshots/s/snapshot.json");
  const ByteView pieces[] = {"{\"format\": 7}"};
  ASSERT_TRUE((*broken)->append(pieces));
  start();
  EXPECT_THAT(names(), IsEmpty());
  EXPECT_THAT(snapshots_->find("s").error().detail, HasSubstr("format version 7 is not known here"));
  EXPECT_EQ(snapshots_->prepare_restore("s").error().code, Errc::damaged);
  EXPECT_EQ(snapshots_->find("notes").error().code, Errc::not_found);
  EXPECT_THAT(in(kData / "snapshots"), ElementsAre("mine", "notes", "s"));
  EXPECT_TRUE(snapshots_->remove("s")) << "one that is broken can be removed";
}

TEST_F(SnapshotsTest, ADamagedOneIsRefusedOrServedAsAStartDoes) {
  start();
  put_many(20);
  ASSERT_TRUE(snapshots_->make("s"));
  const fs::path log = kData / "snapshots/s/log";
  const std::set<std::string> names = in(log);
  // Its files are links: the damage is the data directory's too, and a restore must not hide that.
  auto file = files_->open_writable(log / *names.begin());
  const std::string bytes = *files_->read_all(log / *names.begin(), 1u << 30);
  const ByteView pieces[] = {"xxxx"};
  ASSERT_TRUE((*file)->write_at(bytes.size() - 40, pieces));
  ASSERT_TRUE((*file)->write_at(8192, pieces));
  const auto refused = snapshots_->prepare_restore("s");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::damaged);
  EXPECT_THAT(refused.error().detail, HasSubstr((log / *names.begin()).native()));
  EXPECT_TRUE(snapshots_->make("t")) << "nothing was prepared";
  EXPECT_THAT(in(kData), ElementsAre("log", "snapshots", "state"));
}

TEST_F(SnapshotsTest, NothingElseIsDoneOnceARestoreIsPrepared) {
  start();
  ASSERT_TRUE(snapshots_->make("s"));
  ASSERT_TRUE(snapshots_->prepare_restore("s"));
  EXPECT_EQ(snapshots_->make("t").error().code, Errc::busy);
  EXPECT_EQ(snapshots_->remove("s").error().code, Errc::busy);
  EXPECT_EQ(snapshots_->prepare_restore("s").error().code, Errc::busy);
  EXPECT_THAT(names(), ElementsAre("s"));
}

TEST_F(SnapshotsTest, InMemoryThereAreNone) {
  auto store = state::make_memory_store();
  auto engine = log::make_memory_engine(clock_, budget_);
  EXPECT_EQ(make_snapshots(place(), *store, *engine)->make("s").error().code, Errc::unsupported);
  EXPECT_THAT(in(kData / "snapshots"), IsEmpty());
}

TEST_F(SnapshotsTest, WhatDidNotStartIsToldOfWhenItIsUndone) {
  start();
  put("then");
  ASSERT_TRUE(snapshots_->make("s"));
  put("now");
  const Texts now = texts();
  const auto prepared = snapshots_->prepare_restore("s");
  ASSERT_TRUE(prepared);
  stop();
  ASSERT_TRUE(finish_restore(place()));
  ASSERT_TRUE(prepare_restore(place(), prepared->kept_as, "s did not start"));
  start();
  EXPECT_EQ(restored_->because, "s did not start");
  EXPECT_EQ(texts(), now);
  EXPECT_EQ(snapshots_->last_restore()->because, "s did not start");
}

/// Every call that changes something fails once, from `first` to the end.
TEST_F(SnapshotsTest, AFailureAnywhereLeavesNothingOfASnapshot) {
  start();
  put_many(10);
  set("a", "then");
  const Texts then = texts();
  for (int fail_at = 0;; ++fail_at) {
    SCOPED_TRACE(fail_at);
    ASSERT_LT(fail_at, 1'000);
    const auto calls = counter();
    const int error_number = fail_at % 2 ? EIO : ENOSPC;
    files_->on_change([=](std::string_view, const fs::path& path) {
      // What the journals do for themselves meanwhile is not looked at here.
      const bool ours = path.native().find("snapshots") != std::string::npos;
      return ours && (*calls)++ == fail_at ? error_number : 0;
    });
    const auto made = snapshots_->make("s");
    files_->on_change({});
    if (made) {
      EXPECT_GE(fail_at, 10);
      break;
    }
    EXPECT_THAT(names(), IsEmpty());
    EXPECT_THAT(in(kData / "snapshots"), IsEmpty());
    EXPECT_EQ(texts(), then);
  }
  EXPECT_THAT(names(), ElementsAre("s"));
}

TEST_F(SnapshotsTest, AFailureAnywhereOfARestoreIsMadeGoodByTheNextStart) {
  for (int fail_at = 0;; ++fail_at) {
    SCOPED_TRACE(fail_at);
    ASSERT_LT(fail_at, 1'000);
    stop();
    files_ = make_memory_files({.loses_unsynced = true});
    start();
    put_many(3);
    set("a", "then");
    const Texts then = texts();
    ASSERT_TRUE(snapshots_->make("s"));
    put("now");
    set("a", "now");
    const Texts now = texts();
    const auto prepared = snapshots_->prepare_restore("s");
    ASSERT_TRUE(prepared);
    stop();
    const auto calls = counter();
    files_->on_change([=](std::string_view, const fs::path&) { return (*calls)++ >= fail_at ? EIO : 0; });
    const auto finished = finish_restore(place());
    files_->on_change({});
    if (!finished) {
      EXPECT_THAT(finished.error().detail, StartsWith("the snapshot s cannot be restored: "));
    }
    start();
    EXPECT_EQ(texts(), then);
    EXPECT_EQ(values(), (Values{{"a", "then"}}));
    ASSERT_TRUE(snapshots_->prepare_restore(prepared->kept_as));
    start();
    EXPECT_EQ(texts(), now);
    EXPECT_EQ(values(), (Values{{"a", "now"}}));
    if (finished) {
      EXPECT_GE(fail_at, 30);
      break;
    }
  }
}

class LossOfPower : public SnapshotsTest, public testing::WithParamInterface<std::uint64_t> {};

// The machine stops at any call of a snapshot and a restore, again and again: either what there was is there, or what
// was asked for, whole, and a snapshot that was told of stays.
TEST_P(LossOfPower, LeavesTheOneOrTheOther) {
  const auto random = make_seeded_random(GetParam());
  start();
  put_many(3);
  set("a", "then");
  Texts then = texts();
  ASSERT_TRUE(snapshots_->make("first"));
  put("now");
  set("a", "now");
  const Texts now = texts();
  const Values values_now = values(), values_then{{"a", "then"}};

  const auto lose_power_at = [&](int call, const auto& work) {
    const auto calls = counter();
    files_->on_change([=](std::string_view, const fs::path&) { return (*calls)++ >= call ? EIO : 0; });
    work();
    stop();
    files_->lose_power(*random);
    files_->on_change({});
  };
  std::optional<bool> second_made;
  lose_power_at(static_cast<int>(random->next() % 40), [&] { second_made = snapshots_->make("second").has_value(); });
  start();
  EXPECT_EQ(texts(), now);
  EXPECT_EQ(values(), values_now);
  EXPECT_TRUE(snapshots_->find("first"));
  const bool second = snapshots_->find("second").has_value();
  EXPECT_TRUE(second || !*second_made) << "it was told of";

  std::optional<Result<Restore>> prepared;
  lose_power_at(static_cast<int>(random->next() % 40), [&] { prepared = snapshots_->prepare_restore("first"); });
  for (int life = 0; life < 6; ++life)
    lose_power_at(static_cast<int>(random->next() % 60), [&] { (void)finish_restore(place()); });
  start();
  const bool is_then = texts() == then;
  EXPECT_TRUE(is_then || texts() == now);
  EXPECT_EQ(values(), is_then ? values_then : values_now);
  EXPECT_TRUE(is_then || !*prepared) << "it was told of";
  EXPECT_TRUE(snapshots_->find("first"));
  if (!is_then) return;
  std::string kept_as;
  for (const std::string& name : names())
    if (name.starts_with("replaced-")) kept_as = name;
  const auto back = snapshots_->prepare_restore(kept_as);
  ASSERT_TRUE(back) << back.error().detail;
  start();
  EXPECT_EQ(texts(), now);
  EXPECT_EQ(values(), values_now);
}

INSTANTIATE_TEST_SUITE_P(Seeds, LossOfPower, testing::Range<std::uint64_t>(1, 61));

}  // namespace
}  // namespace millrace::snapshots
