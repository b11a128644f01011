#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "journal/commit_thread.hpp"
#include "journal/footer.hpp"
#include "millrace/base/random.hpp"
#include "support/run.hpp"
#include "support/temporary_directory.hpp"

namespace millrace::journal {
namespace {

const std::filesystem::path kDirectory = "/journal";

/// A log whose records are texts, each a frame of its own.
class Texts final : public Source {
 public:
  explicit Texts(std::uint64_t log) : log_(log) {}

  void stage(std::string text, std::int64_t at_ms = 0) {
    std::lock_guard lock(mutex_);
    staged_.push_back({std::move(text), at_ms});
  }
  bool gather(Batch& batch) override {
    std::lock_guard lock(mutex_);
    for (gathered_ = 0; gathered_ < staged_.size() && !batch.full(); ++gathered_) {
      Frame frame;
      frame.kind = kind;
      frame.log = log_;
      frame.epoch = epoch;
      frame.base = next_ + gathered_;
      frame.count = 1;
      frame.first_ms = frame.last_ms = staged_[gathered_].second;
      frame.flags = flags;
      const ByteView text = staged_[gathered_].first;
      batch.add(frame, std::span(&text, 1));
    }
    return gathered_ < staged_.size();
  }
  void settled(const Result<>& outcome, std::span<const Lsn> places) noexcept override {
    std::lock_guard lock(mutex_);
    for (std::size_t i = 0; i < gathered_; ++i) {
      if (outcome)
        kept_.push_back({places[i], next_ + i, staged_[i].first});
      else
        errors_.push_back(outcome.error().code);
      if (!outcome) failed_.push_back({Lsn{}, next_ + i, staged_[i].first});
    }
    next_ += gathered_;
    staged_.erase(staged_.begin(), staged_.begin() + static_cast<std::ptrdiff_t>(gathered_));
    gathered_ = 0;
  }
  struct Kept {
    Lsn lsn;
    std::uint64_t position;
    std::string text;
  };
  std::vector<Kept> kept() const {
    std::lock_guard lock(mutex_);
    return kept_;
  }
  std::vector<Errc> errors() const {
    std::lock_guard lock(mutex_);
    return errors_;
  }
  std::vector<Kept> failed() const {
    std::lock_guard lock(mutex_);
    return failed_;
  }
  void skip_to(std::uint64_t position) {
    std::lock_guard lock(mutex_);
    next_ = position;
  }
  bool idle() const {
    std::lock_guard lock(mutex_);
    return staged_.empty();
  }

  FrameKind kind = FrameKind::records;
  std::uint64_t epoch = 1;
  std::uint16_t flags = 0;

 private:
  const std::uint64_t log_;
  mutable std::mutex mutex_;
  std::deque<std::pair<std::string, std::int64_t>> staged_;
  std::size_t gathered_ = 0;
  std::uint64_t next_ = 0;
  std::vector<Kept> kept_, failed_;
  std::vector<Errc> errors_;
};

class IndexedJournal : public testing::Test {
 protected:
  IndexedJournal() {
    EXPECT_TRUE(files_->make_directories(kDirectory));
    EXPECT_TRUE(files_->sync_directory("/"));
    options_.directory = kDirectory;
    options_.file_bytes = 64 * 1024;
    options_.index = true;
    pace_.retry = pace_.sync = pace_.piece_ahead = std::chrono::milliseconds(1);
  }

  Scanned open() {
    journal_.reset();
    Files& files = system_ ? *system_ : *files_;
    auto scanned = scan_index(files, options_.directory);
    EXPECT_TRUE(scanned) << scanned.error().detail;
    auto journal = std::make_unique<CommitThread>(files, clock_, options_, *scanned, pace_);
    const auto begun = journal->begin(*scanned);
    EXPECT_TRUE(begun) << begun.error().detail;
    journal_ = std::move(journal);
    return std::move(*scanned);
  }
  /// The process ends where it stands: nothing more comes to the files.
  void kill() {
    files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
    journal_.reset();
    files_->on_change(nullptr);
  }
  /// Commits what is staged.
  void commit(const std::shared_ptr<Texts>& log) {
    while (!log->idle()) {
      auto over = test::start(*io_, journal_->over(journal_->announce(log)));
      test::run_until(*io_, [&] { return over.done(); });
    }
  }
  void write(const std::shared_ptr<Texts>& log, std::string text, std::int64_t at_ms = 0) {
    log->stage(std::move(text), at_ms);
    commit(log);
  }
  /// All that a log has in a file, read by its index.
  std::vector<std::string> texts(Generation file, std::uint64_t log, std::uint64_t from = 0) {
    const auto places = journal_->places(file, log, from, UINT64_MAX);
    if (!places) return {"(" + places.error().detail + ")"};
    return read(*places);
  }
  std::vector<std::string> read(const std::vector<Place>& places) {
    std::size_t bytes = 0, whole = 0;
    for (const Place& place : places) bytes += place.frame.length;
    std::string all(bytes, '\0');
    const auto done = journal_->read(places, all, &whole);
    EXPECT_EQ(whole == places.size(), static_cast<bool>(done));
    std::vector<std::string> out;
    std::size_t at = 0;
    for (std::size_t i = 0; i < whole; ++i) {
      out.push_back(all.substr(at, places[i].frame.length));
      at += places[i].frame.length;
    }
    if (!done) out.push_back("(" + done.error().detail + ")");
    return out;
  }
  std::vector<std::string> texts_of(const Texts& log, Generation file) {
    std::vector<std::string> out;
    for (const Texts::Kept& kept : log.kept())
      if (generation_of(kept.lsn) == file) out.push_back(kept.text);
    return out;
  }
  void corrupt(Generation file, std::uint64_t offset) {
    auto opened = files_->open_writable(file_path(kDirectory, file));
    ASSERT_TRUE(opened);
    std::string byte = *(*opened)->read_at(offset, 1);
    byte[0] ^= 1;
    const ByteView pieces[] = {byte};
    ASSERT_TRUE((*opened)->write_at(offset, pieces));
  }
  bool has_footer(Generation file) {
    auto opened = files_->open(file_path(kDirectory, file));
    return opened && read_footer(**opened, file, *(*opened)->size())->has_value();
  }
  std::vector<std::string> names() {
    auto names = *files_->list(kDirectory);
    std::sort(names.begin(), names.end());
    return names;
  }

  std::unique_ptr<MemoryFiles> files_ = make_memory_files({.loses_unsynced = true});
  test::SharedContext io_;
  std::unique_ptr<Files> system_;  // on a real disk instead
  ManualClock clock_;
  Options options_;
  Pace pace_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(IndexedJournal, FramesAreFoundInTheFileInUseAndInFinishedOnesAndAfterAStart) {
  open();
  auto one = std::make_shared<Texts>(1), two = std::make_shared<Texts>(2);
  for (int i = 0; i < 60; ++i) {
    write(one, "one " + std::to_string(i) + std::string(4'000, '.'));
    if (i % 3 == 0) write(two, "two " + std::to_string(i));
  }
  const Generation last = journal_->generation();
  ASSERT_GT(last.get(), 4u);
  const auto check = [&] {
    for (Generation file{1}; file <= last; file = Generation{file.get() + 1}) {
      EXPECT_EQ(texts(file, 1), texts_of(*one, file));
      EXPECT_EQ(texts(file, 2), texts_of(*two, file));
      EXPECT_EQ(texts(file, 3), std::vector<std::string>());
    }
  };
  check();
  const Scanned scanned = open();
  EXPECT_TRUE(scanned.damage.empty());
  EXPECT_TRUE(scanned.complete);
  check();
  for (Generation file{1}; file <= last; file = Generation{file.get() + 1}) EXPECT_TRUE(has_footer(file));
  std::uint64_t count = 0;
  for (const Part& part : scanned.parts) count += part.count;
  EXPECT_EQ(count, 80u);
  EXPECT_EQ(scanned.parts.front().log, 1u);
  EXPECT_EQ(scanned.parts.front().base, 0u);
  EXPECT_EQ(scanned.parts.front().count, texts_of(*one, Generation{1}).size());
  EXPECT_EQ(journal_->generation(), Generation{last.get() + 1}) << "the number of the file made ahead is free again";
}

TEST_F(IndexedJournal, OnADiskFilesRollAreUsedAgainAndRead) {
  const test::TemporaryDirectory own;
  system_ = make_system_files();
  options_.directory = own.path();
  options_.file_bytes = 512 * 1024;
  for (const bool sync : {true, false}) {
    options_.sync = sync;
    open();
    const Generation first = journal_->generation();
    auto one = std::make_shared<Texts>(1), two = std::make_shared<Texts>(2);
    one->epoch = two->epoch = first.get();
    for (int i = 0; i < 40; ++i) {
      for (int k = 0; k < 5; ++k) one->stage(std::string(15'000, static_cast<char>('a' + i % 26)));
      write(two, std::to_string(i));
      commit(one);
      if (i == 20) journal_->drop(first);
    }
    const Generation last = journal_->generation();
    ASSERT_GT(last.get(), first.get() + 4);
    const auto check = [&] {
      for (Generation file{first.get() + 1}; file <= last; file = Generation{file.get() + 1}) {
        EXPECT_EQ(texts(file, 1), texts_of(*one, file));
        EXPECT_EQ(texts(file, 2), texts_of(*two, file));
      }
      EXPECT_EQ(journal_->places(first, 1, 0, 1).error().code, Errc::gone);
    };
    check();
    const Scanned scanned = open();
    EXPECT_TRUE(scanned.damage.empty());
    EXPECT_TRUE(scanned.complete);
    check();
  }
  journal_.reset();
  EXPECT_TRUE(system_->remove_all(own.path()));
}

TEST_F(IndexedJournal, PlacesBeginWhereTheyAreAskedAndEndAtTheBytes) {
  open();
  auto log = std::make_shared<Texts>(1);
  for (int i = 0; i < 10; ++i) write(log, std::string(100, static_cast<char>('a' + i)), i * 10);
  log->epoch = 2;
  for (int i = 10; i < 12; ++i) write(log, std::string(100, static_cast<char>('a' + i)), i * 10);
  const Generation file{1};
  for (const bool footer : {false, true}) {
    SCOPED_TRACE(footer);
    if (footer) open();
    EXPECT_EQ(journal_->places(file, 1, 3, 250)->size(), 2u);
    EXPECT_EQ(journal_->places(file, 1, 3, 250)->front().frame.base, 3u);
    EXPECT_EQ(journal_->places(file, 1, 3, 1)->size(), 1u);
    EXPECT_EQ(journal_->places(file, 1, 8, UINT64_MAX)->size(), 4u);
    EXPECT_EQ(journal_->places(file, 1, 9, UINT64_MAX)->back().frame.epoch, 2u);
    EXPECT_TRUE(journal_->places(file, 1, 12, UINT64_MAX)->empty());
    EXPECT_EQ((*journal_->place_at(file, 1, 35))->frame.base, 4u);
    EXPECT_EQ((*journal_->place_at(file, 1, 105))->frame.base, 11u);
    EXPECT_EQ((*journal_->place_at(file, 1, -5))->frame.base, 0u);
    EXPECT_FALSE(*journal_->place_at(file, 1, 111));
    EXPECT_FALSE(*journal_->place_at(file, 2, 0));
    EXPECT_EQ(journal_->places(Generation{77}, 1, 0, 1).error().code, Errc::gone);
  }
}

TEST_F(IndexedJournal, ReadsThatFindWhatTheyWantScatteredAreCounted) {
  options_.file_bytes = 4u << 20;
  options_.commit_bytes_max = 16u << 20;
  open();
  const auto scattered = [&](Generation file) {
    for (const Scattered& one : journal_->scattered())
      if (one.file == file) return one.excess_bytes;
    return std::uint64_t{0};
  };
  // Ten places, more than is read along apart from each other; then ten that lie together.
  const auto small = std::make_shared<Texts>(1), large = std::make_shared<Texts>(2),
             together = std::make_shared<Texts>(3);
  for (int i = 0; i < 10; ++i) {
    write(small, std::string(1'000, 's'));
    write(large, std::string(200'000, 'l'));
  }
  for (int i = 0; i < 10; ++i) together->stage(std::string(1'000, 't'));
  commit(together);
  const Generation file{1};
  (void)texts(file, 1);
  EXPECT_EQ(scattered(file), 0u) << "it is still written to";
  write(large, std::string(3u << 20, 'l'));
  while (!has_footer(file)) write(large, "meanwhile");

  const std::uint64_t before = scattered(file);
  EXPECT_EQ(texts(file, 1).size(), 10u);
  const std::uint64_t excess = scattered(file) - before;
  EXPECT_GT(excess, std::uint64_t{9 * 64 * 1024}) << "what nine more places take";
  EXPECT_LT(excess, std::uint64_t{9 * 64 * 1024 + 10 * 8'192}) << "and pages";
  EXPECT_EQ(texts(file, 3).size(), 10u);
  EXPECT_LE(scattered(file), before + excess + 8'192);
  const auto places = *journal_->places(file, 1, 0, UINT64_MAX);
  for (const Place& place : places) EXPECT_EQ(read({place}).size(), 1u);
  EXPECT_LT(scattered(file), before + 2 * excess) << "who wants a place goes to one";
  journal_->forget_reads(file);
  EXPECT_EQ(scattered(file), 0u);
  // What is read together what lies together makes up for it.
  (void)texts(file, 1);
  for (int i = 0; i < 2; ++i) (void)texts(file, 2);
  EXPECT_LT(scattered(file), std::uint64_t{3'000'000});
}

TEST_F(IndexedJournal, FilesOfWhatWasWrittenAgainAreNotCounted) {
  options_.file_bytes = 4u << 20;
  open();
  const auto small = std::make_shared<Texts>(1), large = std::make_shared<Texts>(2);
  const auto fill = [&] {
    for (int i = 0; i < 10; ++i) {
      write(small, std::string(1'000, 's'));
      write(large, std::string(200'000, 'l'));
    }
  };
  fill();
  write(large, std::string(3u << 20, 'l'));  // the next file
  const Generation again = generation_of(large->kept().back().lsn);
  small->flags = kMovedFlag;
  write(small, std::string(1'000, 'm'));
  small->flags = 0;
  for (int i = 0; i < 2; ++i) fill();
  const auto counted = [&] {
    std::set<Generation> out;
    for (const Scattered& one : journal_->scattered()) out.insert(one.file);
    return out;
  };
  const auto read_all = [&] {
    for (std::uint32_t file = 1; file <= journal_->generation().get(); ++file)
      for (int i = 0; i < 3; ++i) (void)texts(Generation{file}, 1);
  };
  read_all();
  EXPECT_EQ(counted(), (std::set<Generation>{Generation{1}}));
  EXPECT_NE(again, Generation{1});
  for (const bool closed : {false, true}) {
    if (closed)
      journal_.reset();
    else
      kill();
    open();
    read_all();
    EXPECT_TRUE(counted().contains(Generation{1}));
    EXPECT_FALSE(counted().contains(again)) << "a footer says so, or its frames do";
  }
}

TEST_F(IndexedJournal, WhatFilesMayStillTakeIsTold) {
  options_.disk_limit = 1u << 20;
  open();
  const std::uint64_t room = journal_->room();
  EXPECT_LE(room, (1u << 20) - journal_->disk_bytes());
  EXPECT_GT(room, 0u);
}

TEST_F(IndexedJournal, ADroppedFileIsUsedAgainAndWhatItHeldIsNotFound) {
  open();
  auto log = std::make_shared<Texts>(1);
  while (journal_->generation().get() < 4) write(log, std::string(3'000, 'x'));
  const std::uint64_t before = journal_->disk_bytes();
  journal_->drop(Generation{1});
  journal_->drop(Generation{2});
  journal_->drop(journal_->generation());
  EXPECT_EQ(journal_->places(Generation{1}, 1, 0, 1).error().code, Errc::gone);
  EXPECT_FALSE(texts(Generation{4}, 1).empty()) << "the one in use stays";
  open();
  EXPECT_LE(journal_->disk_bytes(), before + options_.file_bytes) << "the next file, and no more";
  for (const std::string& name : names()) EXPECT_TRUE(name != "journal-00000001" && name != "journal-00000002");
  // What is written now goes over what was there.
  while (journal_->generation().get() < 9) write(log, std::string(3'000, 'y'));
  const Scanned scanned = open();
  EXPECT_TRUE(scanned.damage.empty());
  std::uint64_t count = 0, expected = 0;
  for (const Part& part : scanned.parts) count += part.count;
  for (const Texts::Kept& kept : log->kept()) expected += generation_of(kept.lsn).get() > 2;
  EXPECT_EQ(count, expected);
}

TEST_F(IndexedJournal, WithoutFootersTheTailIsReadAndGetsThem) {
  options_.sync = false;
  open();
  auto log = std::make_shared<Texts>(1);
  while (journal_->generation().get() < 3) write(log, std::string(3'000, 'x'));
  const std::size_t written = log->kept().size();
  kill();
  EXPECT_FALSE(has_footer(Generation{3}));
  Scanned scanned = open();
  EXPECT_FALSE(scanned.complete) << "nothing is lost, but who knows";
  EXPECT_TRUE(scanned.damage.empty());
  std::uint64_t count = 0;
  for (const Part& part : scanned.parts) count += part.count;
  EXPECT_EQ(count, written);
  EXPECT_EQ(texts(Generation{1}, 1), texts_of(*log, Generation{1}));
  EXPECT_EQ(texts(Generation{3}, 1), texts_of(*log, Generation{3}));
  journal_.reset();
  EXPECT_TRUE(has_footer(Generation{1}));
  EXPECT_TRUE(has_footer(Generation{3}));
  scanned = open();
  EXPECT_TRUE(scanned.complete) << "it was closed";
}

TEST_F(IndexedJournal, DamageIsNamedByFileAndOffsetAndWhatItHides) {
  open();
  auto log = std::make_shared<Texts>(7);
  for (int i = 0; i < 5; ++i) write(log, "text " + std::to_string(i));
  open();
  const auto places = *journal_->places(Generation{1}, 7, 0, UINT64_MAX);
  corrupt(Generation{1}, offset_of(places[2].lsn) + kFrameHeadBytes);
  EXPECT_EQ(read(places),
            (std::vector<std::string>{"text 0", "text 1",
                                      "(/journal/journal-00000001: offset " + std::to_string(offset_of(places[2].lsn)) +
                                          ", 70 bytes: records 2 to 2 of log 7)"}));
  // Its footer alone is read at a start; one that is bad is done without.
  const std::uint64_t size = *(*files_->open(file_path(kDirectory, Generation{1})))->size();
  corrupt(Generation{1}, size - 1);
  corrupt(Generation{1}, size - 20);
  const Scanned scanned = open();
  ASSERT_EQ(scanned.damage.size(), 1u);
  EXPECT_EQ(scanned.damage[0].hides, "records 2 to 2 of log 7");
  EXPECT_EQ(scanned.damage[0].offset, offset_of(places[2].lsn) + kFrameHeadBytes);
  EXPECT_EQ(texts(Generation{1}, 7), (std::vector<std::string>{"text 0", "text 1", "text 3", "text 4"}));
  EXPECT_EQ(open().damage.size(), 1u) << "and the next start names it again";
}

TEST_F(IndexedJournal, AFullDiskIsToldBeforeRecordsMeetItAndChangesHaveAReserve) {
  options_.disk_limit = options_.file_bytes;
  open();
  auto log = std::make_shared<Texts>(1), state = std::make_shared<Texts>(2);
  state->kind = FrameKind::change;
  while (!journal_->full()) write(log, std::string(500, 'x'));
  EXPECT_TRUE(log->errors().empty());
  for (int i = 0; i < 4; ++i) write(state, std::string(500, 's'));
  EXPECT_TRUE(state->errors().empty());
  // Who does not ask is told.
  while (log->errors().empty()) write(log, std::string(500, 'x'));
  EXPECT_EQ(log->errors().front(), Errc::full);
  EXPECT_EQ(texts(Generation{1}, 1), texts_of(*log, Generation{1})) << "reads go on";
  open();
  EXPECT_TRUE(journal_->full()) << "it starts, though there is no room for a file";
  EXPECT_EQ(texts(Generation{1}, 1), texts_of(*log, Generation{1}));
  journal_->drop(Generation{1});
  while (journal_->full()) std::this_thread::yield();
  const std::size_t errors = log->errors().size();
  write(log, "after");
  EXPECT_EQ(log->errors().size(), errors);
}

TEST_F(IndexedJournal, AFullDiskPassesByItself) {
  std::atomic<bool> no_room{true};
  files_->on_change(
      [&](std::string_view call, const std::filesystem::path&) { return call == "allocate" && no_room ? ENOSPC : 0; });
  open();
  EXPECT_TRUE(journal_->full());
  no_room = false;
  while (journal_->full()) std::this_thread::yield();
  auto log = std::make_shared<Texts>(1);
  write(log, "text");
  EXPECT_TRUE(log->errors().empty());
}

TEST_F(IndexedJournal, AStartOnAFullDiskTakesTheFileThatWasMadeAhead) {
  for (const bool sync : {true, false}) {
    SCOPED_TRACE(sync ? "always" : "os");
    files_ = make_memory_files({.loses_unsynced = true});
    ASSERT_TRUE(files_->make_directories(kDirectory));
    ASSERT_TRUE(files_->sync_directory("/"));
    options_.sync = sync;
    open();
    auto log = std::make_shared<Texts>(1);
    write(log, "before");
    while (names().size() < 2 || names().back().ends_with(".new")) std::this_thread::yield();
    const Generation written = generation_of(log->kept().back().lsn), ahead{written.get() + 1};
    ASSERT_EQ(names().back(), file_path(kDirectory, ahead).filename());
    kill();
    const auto no_room = [](std::string_view call, const std::filesystem::path&) {
      return call == "create" || call == "allocate" ? ENOSPC : 0;
    };
    files_->on_change(no_room);
    open();
    EXPECT_FALSE(journal_->full()) << "there is a file for records";
    EXPECT_GT(journal_->generation(), ahead) << "no number is given twice";
    write(log, "after");
    EXPECT_TRUE(log->errors().empty());
    EXPECT_EQ(texts(written, 1).size() + 1, log->kept().size());
    files_->on_change(nullptr);
    open();
    EXPECT_EQ(texts(generation_of(log->kept().back().lsn), 1), std::vector<std::string>{"after"});
    journal_.reset();
  }
}

TEST_F(IndexedJournal, AfterAFailureCommitsGoToALaterFileWhichIsTold) {
  open();
  auto log = std::make_shared<Texts>(1);
  write(log, "kept");
  std::atomic<bool> failing{true};
  files_->on_change(
      [&](std::string_view call, const std::filesystem::path&) { return call == "fsync" && failing ? EIO : 0; });
  Generation told = journal_->generation();
  for (int i = 0; i < 3; ++i) {
    write(log, "failed");
    EXPECT_GT(journal_->generation(), told) << "no number is told twice";
    told = journal_->generation();
  }
  EXPECT_EQ(log->errors(), std::vector<Errc>(3, Errc::write_failed));
  failing = false;
  write(log, "after");
  EXPECT_GE(generation_of(log->kept().back().lsn), told);
  EXPECT_EQ(generation_of(log->kept().back().lsn), journal_->generation());
  files_->on_change(nullptr);
  const Scanned scanned = open();
  EXPECT_TRUE(scanned.damage.empty());
  EXPECT_EQ(scanned.parts.size(), 2u);
  EXPECT_EQ(texts(Generation{1}, 1), std::vector<std::string>{"kept"});
}

TEST_F(IndexedJournal, AFileThatSaysWhereTheOneBeforeItEndsStaysAsLongAsThatNeedsIt) {
  open();
  auto log = std::make_shared<Texts>(1), other = std::make_shared<Texts>(2);
  write(log, "kept");
  std::atomic<bool> failing{true};
  files_->on_change(
      [&](std::string_view call, const std::filesystem::path&) { return call == "fsync" && failing ? EIO : 0; });
  write(log, "failed");
  failing = false;
  const Generation second = journal_->generation();
  while (journal_->generation() <= second) write(other, std::string(3'000, 'x'));
  journal_->drop(second);
  files_->on_change(nullptr);
  const Scanned scanned = open();
  EXPECT_EQ(texts(Generation{1}, 1), std::vector<std::string>{"kept"}) << "what failed does not come back";
}

TEST_F(IndexedJournal, TheHeadOfAFileWithAFooterIsLookedAtToo) {
  open();
  auto log = std::make_shared<Texts>(1);
  write(log, "text");
  journal_.reset();
  ASSERT_TRUE(has_footer(Generation{1}));
  const std::string path = file_path(kDirectory, Generation{1}).native();
  const auto visit = [](const Frame&, ByteView, Lsn) {};
  corrupt(Generation{1}, 100);
  for (const auto& scanned : {scan_index(*files_, kDirectory), scan(*files_, kDirectory, visit)}) {
    ASSERT_TRUE(scanned);
    ASSERT_EQ(scanned->damage.size(), 1u);
    EXPECT_EQ(scanned->damage[0].file, path);
    EXPECT_EQ(scanned->damage[0].hides, "nothing: its head is damaged, its footer is not");
  }
  FileHead unknown;
  unknown.version = 9;
  unknown.generation = Generation{1};
  std::string head(kFileHeadBytes, '\0');
  encode_file_head(unknown, head.data());
  const ByteView pieces[] = {head};
  ASSERT_TRUE((*files_->open_writable(path))->write_at(0, pieces));
  for (const auto& scanned : {scan_index(*files_, kDirectory), scan(*files_, kDirectory, visit)}) {
    ASSERT_FALSE(scanned);
    EXPECT_EQ(scanned.error().code, Errc::unknown_format);
    EXPECT_EQ(scanned.error().detail, path + ": format version 9; this program knows versions 1 to 3");
  }
}

TEST_F(IndexedJournal, AFileThatIsReadIsNotUsedAgain) {
  options_.file_bytes = 16 * 1024;
  open();
  auto log = std::make_shared<Texts>(1);
  for (int i = 0; i < 40; ++i) write(log, std::string(1'000, static_cast<char>('a' + i % 26)));
  open();
  const auto places = *journal_->places(Generation{1}, 1, 0, UINT64_MAX);
  const auto expected = read(places);
  // Reads beside drops and new files: what is read is what was written, or the file is gone.
  std::atomic<bool> stop{false};
  std::thread reader([&] {
    while (!stop) {
      const auto got = read(places);
      if (got != expected) {
        EXPECT_NE(got.back().find("was dropped"), std::string::npos) << got.back();
        return;
      }
    }
  });
  journal_->drop(Generation{1});
  for (int i = 0; i < 200; ++i) write(log, std::string(1'000, 'z'));
  stop = true;
  reader.join();
}

/// Keys by number: each byte of a key is its number.
class NumberedKeys final : public Keys {
 public:
  std::uint32_t current() const noexcept override { return now; }
  std::optional<Key> key(std::uint32_t id) const override {
    if (id > known) return std::nullopt;
    Key key;
    key.fill(static_cast<std::byte>(id + shift));
    return key;
  }
  std::atomic<std::uint32_t> now{1}, known{2}, shift{0};
};

class SealedJournal : public IndexedJournal {
 protected:
  SealedJournal() {
    options_.keys = &keys_;
    options_.random = random_.get();
  }
  ~SealedJournal() override { journal_.reset(); }
  std::unique_ptr<Random> random_ = make_seeded_random(1);
  NumberedKeys keys_;
};

TEST_F(SealedJournal, PayloadsAreReadWithTheirKeysAndAreNotInTheFiles) {
  open();
  auto log = std::make_shared<Texts>(1);
  const std::string secret = "a text that nobody is to find";
  for (int i = 0; i < 60; ++i) {
    if (i == 20) keys_.now = 2;  // a new key, in the middle of a file
    if (i == 40) keys_.now = 0;  // and none
    write(log, (i < 40 ? secret : "plain ") + std::to_string(i) + std::string(4'000, '.'));
  }
  const Generation last = journal_->generation();
  ASSERT_GT(last.get(), 3u);
  const auto check = [&] {
    for (Generation file{1}; file <= last; file = Generation{file.get() + 1})
      EXPECT_EQ(texts(file, 1), texts_of(*log, file));
  };
  check();
  const Scanned scanned = open();
  check();
  std::uint64_t bytes = 0, expected = 0;
  for (const Part& part : scanned.parts) bytes += part.bytes;
  for (const Texts::Kept& kept : log->kept()) expected += kept.text.size();
  EXPECT_EQ(bytes, expected) << "of payloads, plain";
  journal_.reset();
  bool plain = false;
  for (const std::string& name : names()) {
    const std::string all = *files_->read_all(kDirectory / name, 1 << 20);
    EXPECT_EQ(all.find(secret.substr(0, 16)), std::string::npos) << name;
    plain = plain || all.find("plain 50") != std::string::npos;
  }
  EXPECT_TRUE(plain) << "this does find texts";
}

TEST_F(SealedJournal, AScanGivesThemPlainAndRefusesWithoutTheirKey) {
  open();
  auto log = std::make_shared<Texts>(1);
  for (int i = 0; i < 3; ++i) write(log, "text " + std::to_string(i));
  journal_.reset();
  std::vector<std::string> got;
  const auto visit = [&](const Frame& frame, ByteView payload, Lsn) {
    EXPECT_EQ(frame.length, payload.size());
    got.emplace_back(payload);
  };
  ASSERT_TRUE(scan(*files_, kDirectory, visit, &keys_));
  EXPECT_EQ(got, (std::vector<std::string>{"text 0", "text 1", "text 2"}));
  got.clear();
  ASSERT_TRUE(scan(*files_, kDirectory, visit)) << "without keys they are looked at as they are";
  EXPECT_EQ(got[0].size(), 6 + kSealBytes);
  keys_.known = 0;
  const auto refused = scan(*files_, kDirectory, visit, &keys_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unreadable);
  EXPECT_EQ(refused.error().detail,
            "/journal/journal-00000001: payloads are sealed by key 1, which is not given: its line belongs into the "
            "file of storage.encryption_keys");
  keys_.known = 2;
  keys_.shift = 7;
  const auto other = scan(*files_, kDirectory, visit, &keys_);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Errc::unreadable);
  EXPECT_EQ(
      other.error().detail,
      "/journal/journal-00000001: payloads are sealed by a key 1 that is another one than is given under that id: "
      "give the old key this id, and a new one a higher id");
  open();
  EXPECT_NE(texts(Generation{1}, 1).back().find("records 0 to 0 of log 1"), std::string::npos);
}

/// Changes a byte of a sealed payload so that its checksums are right.
TEST_F(SealedJournal, AFrameThatDoesNotOpenAmongOthersThatDoIsDamage) {
  open();
  auto log = std::make_shared<Texts>(1);
  for (int i = 0; i < 3; ++i) write(log, "text " + std::to_string(i));
  journal_.reset();
  const Lsn lsn = log->kept()[1].lsn;
  {
    auto file = *files_->open_writable(file_path(kDirectory, Generation{1}));
    std::string bytes = *file->read_at(offset_of(lsn), kFrameHeadBytes + 6 + kSealBytes);
    Frame frame = *decode_frame_head(bytes, lsn);
    bytes[kFrameHeadBytes + 10] ^= 1;
    frame.checksum = crc32c(ByteView(bytes).substr(kFrameHeadBytes));
    encode_frame_head(frame, lsn, bytes.data());
    const ByteView pieces[] = {bytes};
    ASSERT_TRUE(file->write_at(offset_of(lsn), pieces));
  }
  std::vector<std::string> got;
  const auto visit = [&](const Frame&, ByteView payload, Lsn) { got.emplace_back(payload); };
  const auto scanned = scan(*files_, kDirectory, visit, &keys_);
  ASSERT_TRUE(scanned);
  EXPECT_EQ(got, (std::vector<std::string>{"text 0", "text 2"}));
  ASSERT_EQ(scanned->damage.size(), 1u);
  EXPECT_EQ(scanned->damage[0].hides, "records 1 to 1 of log 1, not sealed by key 1");
  EXPECT_EQ(scanned->cut_bytes, 0u);
}

TEST_F(SealedJournal, AStartNeedsTheKeysOfAllFilesAlsoOfThoseThatHaveAFooter) {
  open();
  auto log = std::make_shared<Texts>(1);
  for (int i = 0; i < 40; ++i) {
    if (i == 30) keys_.now = 2;
    write(log, std::string(4'000, '.') + std::to_string(i));
  }
  const Generation last = journal_->generation();
  for (const bool footers : {true, false}) {
    SCOPED_TRACE(footers ? "closed" : "killed");
    if (footers)
      journal_.reset();
    else
      kill();
    ASSERT_TRUE(has_footer(Generation{1}));
    keys_.known = 2;
    EXPECT_TRUE(scan_index(*files_, kDirectory, &keys_));
    EXPECT_TRUE(scan_index(*files_, kDirectory)) << "who does not open them does not need them";
    keys_.known = 1;
    auto refused = scan_index(*files_, kDirectory, &keys_);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::unreadable);
    EXPECT_TRUE(refused.error().detail.starts_with(file_path(kDirectory, last).native() +
                                                   ": payloads are sealed by key 2, which is not given"))
        << refused.error().detail;
    refused = scan_index(*files_, kDirectory, &no_keys());
    ASSERT_FALSE(refused);
    keys_.known = 2;
    keys_.shift = 7;
    refused = scan_index(*files_, kDirectory, &keys_);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().detail.find("another one"), std::string::npos) << refused.error().detail;
    keys_.shift = 0;
    if (footers) open();
  }
}

TEST_F(SealedJournal, AFlippedBitIsDamageAndNotAnotherKey) {
  open();
  auto log = std::make_shared<Texts>(1);
  write(log, "text");
  kill();
  corrupt(Generation{1}, offset_of(log->kept()[0].lsn) + kFrameHeadBytes + 3);
  EXPECT_TRUE(scan_index(*files_, kDirectory, &keys_));
  open();  // a file that nothing else is in
  write(log, "more");
  write(log, "and more");
  journal_.reset();
  const Lsn last = log->kept()[2].lsn;  // by which the key would be known
  ASSERT_TRUE(has_footer(generation_of(last)));
  corrupt(generation_of(last), offset_of(last) + kFrameHeadBytes + 3);
  EXPECT_TRUE(scan_index(*files_, kDirectory, &keys_));
}

TEST_F(SealedJournal, WithoutItsHeadAFileHidesWhatIsSealed) {
  open();
  auto log = std::make_shared<Texts>(1);
  write(log, "text");
  journal_.reset();
  ASSERT_TRUE(has_footer(Generation{1}));
  corrupt(Generation{1}, 100);
  const auto scanned = scan(
      *files_, kDirectory, [](const Frame&, ByteView, Lsn) { FAIL(); }, &keys_);
  ASSERT_TRUE(scanned);
  ASSERT_EQ(scanned->damage.size(), 2u);
  EXPECT_EQ(scanned->damage[0].hides, "the sealed records of the file: what opens them stood in its head");
}

TEST_F(SealedJournal, AMissingKeyFailsWhatIsToBeSealed) {
  open();
  auto log = std::make_shared<Texts>(1);
  keys_.now = 9;
  write(log, "text");
  EXPECT_EQ(log->errors(), std::vector<Errc>{Errc::write_failed});
  keys_.now = 2;
  write(log, "text");
  EXPECT_EQ(log->kept().size(), 1u);
}

TEST(FileSealer, OpensOnlyTheFrameAtItsPlaceInItsFile) {
  Keys::Key key{};
  const FileSealer sealer(key, Generation{1}, {});
  Frame frame;
  frame.log = 7;
  frame.key_id = 1;
  const ByteView text = "text";
  frame.length = static_cast<std::uint32_t>(text.size() + kSealBytes);
  const Lsn at = make_lsn(Generation{1}, 4160);
  std::string sealed(frame.length, '\0'), plain(text.size(), '\0');
  sealer.seal(frame, at, 5, std::span(&text, 1), sealed.data());
  EXPECT_TRUE(sealer.open(frame, at, sealed, plain.data()));
  EXPECT_EQ(plain, text);
  EXPECT_FALSE(sealer.open(frame, Lsn{at.get() + 8}, sealed, plain.data()));
  Frame other = frame;
  other.base = 1;
  EXPECT_FALSE(sealer.open(other, at, sealed, plain.data()));
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(sealer.open(frame, at, changed, plain.data())) << i;
  }
  EXPECT_FALSE(FileSealer(key, Generation{2}, {}).open(frame, at, sealed, plain.data()));
  EXPECT_FALSE(FileSealer(key, Generation{1}, {std::byte{1}}).open(frame, at, sealed, plain.data()));
}

/// What a log has at a position.
using Contents = std::map<std::pair<std::uint64_t, std::uint64_t>, std::string>;

class RandomJournal : public IndexedJournal {
 protected:
  ~RandomJournal() override { journal_.reset(); }
  void begin(std::uint64_t seed) {
    journal_.reset();
    random_ = make_seeded_random(seed);
    files_ = make_memory_files({.loses_unsynced = true});
    ASSERT_TRUE(files_->make_directories(kDirectory));
    ASSERT_TRUE(files_->sync_directory("/"));
    options_.file_bytes = 12 * 1024 + random_->next() % 3 * 10'000;
    options_.keys = random_->next() % 3 == 0 ? &keys_ : nullptr;
    options_.random = random_.get();
    settled_.clear();
    file_of_.clear();
    dropped_.clear();
  }
  void open_logs() {
    logs_.clear();
    for (std::uint64_t log = 0; log < 3; ++log) {
      logs_.push_back(std::make_shared<Texts>(log));
      logs_.back()->epoch = journal_->generation().get();
      logs_.back()->skip_to(std::uint64_t{journal_->generation().get()} << 32);
    }
  }
  void fail_one_call() {
    failed_call_.clear();
    const std::uint64_t fault_at = random_->next() % 120;
    calls_ = 0;
    files_->on_change([this, fault_at](std::string_view call, const std::filesystem::path& path) {
      if (calls_++ != fault_at) return 0;
      failed_call_ = ", failed " + std::string(call) + " " + path.native();
      return fault_at % 3 == 0 ? ENOSPC : EIO;
    });
  }
  void some_commits() {
    maybe_.clear();
    for (std::uint64_t i = random_->next() % 60; i-- > 0;) {
      const std::uint64_t log = random_->next() % logs_.size();
      Texts& texts = *logs_[log];
      for (std::uint64_t k = random_->next() % 4; k-- > 0;) {
        const std::uint64_t size = random_->next() % (random_->next() % 8 ? 300 : 3'000);
        texts.stage(std::string(size, static_cast<char>(random_->next())));
      }
      const std::size_t kept = texts.kept().size(), failed = texts.failed().size();
      commit(logs_[log]);
      if (texts.kept().size() > kept) maybe_.clear();
      const auto all_failed = texts.failed();
      for (std::size_t at = failed; at < all_failed.size(); ++at)
        maybe_[{log, all_failed[at].position}] = all_failed[at].text;
      if (random_->next() % 16 == 0) drop_one();
    }
  }
  void drop_one() {
    const Generation in_use = journal_->generation();
    const Generation file{static_cast<std::uint32_t>(1 + random_->next() % in_use.get())};
    journal_->drop(file);
    if (file < in_use) dropped_.insert(file);
  }
  /// @param power  whether the machine loses it, or the journal is closed
  void end(bool power) {
    if (power) {
      files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
      files_->lose_power(*random_);
    }
    journal_.reset();
    files_->on_change(nullptr);
    for (std::uint64_t log = 0; log < logs_.size(); ++log) {
      for (const Texts::Kept& one : logs_[log]->kept()) {
        settled_[{log, one.position}] = one.text;
        file_of_[{log, one.position}] = generation_of(one.lsn);
      }
    }
  }
  Contents contents(const Scanned& scanned) {
    Contents found;
    for (const Part& part : scanned.parts) {
      const auto places = journal_->places(part.file, part.log, part.base, UINT64_MAX);
      EXPECT_TRUE(places) << places.error().detail;
      if (!places) continue;
      const auto got = read(*places);
      for (std::size_t i = 0; i < got.size(); ++i) {
        const std::uint64_t position = (*places)[i].frame.base;
        if (position >= part.base + part.count) continue;
        found[{part.log, position}] = got[i];
        file_of_[{part.log, position}] = part.file;
      }
    }
    return found;
  }
  void check(const Contents& found, bool power) {
    for (const auto& [key, text] : found) {
      const bool known = settled_.contains(key);
      // The last commit that failed may have come to the disk all the same, if none was kept after it.
      EXPECT_TRUE(known || maybe_.contains(key)) << "invented: log " << key.first << " at " << key.second;
      EXPECT_EQ(known ? settled_[key] : maybe_[key], text);
    }
    for (const auto& [key, text] : settled_) {
      if (found.contains(key) || dropped_.contains(file_of_[key])) continue;
      EXPECT_TRUE(!options_.sync && power)
          << "lost: log " << key.first << " at " << (key.second >> 32) << ':' << (key.second & 0xffff) << " in file "
          << file_of_[key].get() << (options_.sync ? ", sync" : ", os") << (power ? ", power lost" : "")
          << failed_call_;
    }
    settled_ = found;
  }

  NumberedKeys keys_;
  std::unique_ptr<Random> random_;
  std::vector<std::shared_ptr<Texts>> logs_;
  Contents settled_, maybe_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, Generation> file_of_;
  std::set<Generation> dropped_;
  std::atomic<std::uint64_t> calls_{0};
  std::string failed_call_;
};

/// Commits of several logs, rolls, drops, failures of single calls, closing and losses of power, at random.
TEST_F(RandomJournal, WhatWasSettledIsThereAndNothingElse) {
  for (std::uint64_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    begin(seed);
    Generation newest;
    for (int life = 0; life < 5; ++life) {
      options_.sync = random_->next() % 4 != 0;
      open();
      ASSERT_GT(journal_->generation(), newest) << "no number is given twice";
      newest = journal_->generation();
      open_logs();
      if (random_->next() % 2) fail_one_call();
      some_commits();
      const bool power = random_->next() % 2 == 0;
      end(power);
      const bool sync = options_.sync;
      const Scanned scanned = open();
      EXPECT_TRUE(scanned.damage.empty())
          << scanned.damage[0].file << ' ' << scanned.damage[0].offset << ' ' << scanned.damage[0].bytes << ' '
          << scanned.damage[0].hides << ", life " << life << (sync ? ", sync" : ", os") << (power ? ", power lost" : "")
          << failed_call_;
      if (sync || power) {
        EXPECT_EQ(scanned.complete, sync);
      }
      ASSERT_GT(journal_->generation(), newest);
      newest = journal_->generation();
      check(contents(scanned), power);
      if (HasFailure()) return;
    }
  }
}

}  // namespace
}  // namespace millrace::journal
