#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <mutex>
#include <thread>

#include "journal/commit_thread.hpp"
#include "millrace/base/random.hpp"
#include "millrace/journal/inspect.hpp"
#include "support/run.hpp"

namespace millrace::journal {
namespace {

namespace fs = std::filesystem;

const fs::path kDirectory = "/data/log", kSnapshot = "/data/snapshot";

/// A log whose records are texts, each a frame of its own.
class Texts final : public Source {
 public:
  Texts(std::uint64_t log, FrameKind kind) : log_(log), kind_(kind) {}

  void stage(std::string text) {
    std::lock_guard lock(mutex_);
    staged_.push_back(std::move(text));
  }
  bool gather(Batch& batch) override {
    std::lock_guard lock(mutex_);
    for (gathered_ = 0; gathered_ < staged_.size() && !batch.full(); ++gathered_) {
      Frame frame;
      frame.kind = kind_;
      frame.log = log_;
      frame.epoch = 1;
      frame.base = next_ + gathered_;
      frame.count = 1;
      const ByteView text = staged_[gathered_];
      batch.add(frame, std::span(&text, 1));
    }
    return gathered_ < staged_.size();
  }
  void settled(const Result<>& outcome, std::span<const Lsn> places) noexcept override {
    std::lock_guard lock(mutex_);
    for (std::size_t i = 0; outcome && i < gathered_; ++i) {
      kept_.push_back(staged_[i]);
      files_.push_back(generation_of(places[i]));
    }
    if (outcome) next_ += gathered_;
    staged_.erase(staged_.begin(), staged_.begin() + static_cast<std::ptrdiff_t>(gathered_));
  }
  std::vector<std::string> kept() const {
    std::lock_guard lock(mutex_);
    return kept_;
  }
  /// Of each text.
  std::vector<Generation> files() const {
    std::lock_guard lock(mutex_);
    return files_;
  }
  bool idle() const {
    std::lock_guard lock(mutex_);
    return staged_.empty();
  }

 private:
  const std::uint64_t log_;
  const FrameKind kind_;
  mutable std::mutex mutex_;
  std::deque<std::string> staged_;
  std::size_t gathered_ = 0;
  std::uint64_t next_ = 0;
  std::vector<std::string> kept_;
  std::vector<Generation> files_;
};

class JournalSnapshot : public testing::Test {
 protected:
  JournalSnapshot() {
    options_.directory = kDirectory;
    options_.file_bytes = 16 * 1024;
    options_.index = true;
    pace_.retry = pace_.sync = pace_.piece_ahead = std::chrono::milliseconds(1);
    begin();
  }
  ~JournalSnapshot() override {
    files_->on_change(nullptr);
    journal_.reset();
  }

  void begin() {
    journal_.reset();
    files_ = make_memory_files({.loses_unsynced = true});
    EXPECT_TRUE(make_lasting_directory(*files_, kDirectory));
    log_ = std::make_shared<Texts>(1, options_.index ? FrameKind::records : FrameKind::change);
    open(kDirectory);
  }
  void open(const fs::path& directory) {
    journal_.reset();
    options_.directory = directory;
    auto scanned =
        options_.index ? scan_index(*files_, directory) : scan(*files_, directory, [](const Frame&, ByteView, Lsn) {});
    ASSERT_TRUE(scanned) << scanned.error().detail;
    auto journal = std::make_unique<CommitThread>(*files_, clock_, options_, *scanned, pace_);
    const auto begun = journal->begin(*scanned);
    ASSERT_TRUE(begun) << begun.error().detail;
    journal_ = std::move(journal);
  }
  void write(std::string text) {
    log_->stage(std::move(text));
    while (!log_->idle()) {
      auto over = test::start(*io_, journal_->over(journal_->announce(log_)));
      test::run_until(*io_, [&] { return over.done(); });
    }
  }
  void write_many(int count) {
    for (int i = 0; i < count; ++i) write(std::to_string(log_->kept().size()) + std::string(1'500, '.'));
  }
  /// What a directory holds, and that nothing is wrong there.
  std::vector<std::string> texts_in(const fs::path& directory) {
    std::vector<std::string> out;
    const auto verified =
        verify(*files_, directory, [&](const Frame&, ByteView payload, Lsn) { out.emplace_back(payload); });
    EXPECT_TRUE(verified) << verified.error().detail;
    if (!verified) return {};
    for (const Finding& finding : verified->findings)
      ADD_FAILURE() << finding.file << " at " << finding.offset << ": " << finding.what;
    EXPECT_EQ(verified->unfinished_bytes, 0u);
    return out;
  }
  bool is_there(const fs::path& path) { return *files_->kind(path) != Files::Kind::none; }
  std::vector<std::string> names(const fs::path& directory) {
    auto names = *files_->list(directory);
    std::sort(names.begin(), names.end());
    return names;
  }

  std::unique_ptr<MemoryFiles> files_;
  test::SharedContext io_;
  ManualClock clock_;
  Options options_;
  Pace pace_;
  std::shared_ptr<Texts> log_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalSnapshot, HoldsWhatWasCommittedThenAndIsAJournal) {
  for (const bool sync : {true, false}) {
    SCOPED_TRACE(sync ? "always" : "os");
    options_.sync = sync;
    options_.directory = kDirectory;
    begin();
    write_many(40);
    const Generation in_use = journal_->generation();
    const auto made = journal_->snapshot(kSnapshot);
    ASSERT_TRUE(made) << made.error().detail;
    EXPECT_GT(journal_->generation(), in_use) << "the file in use was ended";
    const std::vector<std::string> then = log_->kept();
    write_many(40);
    EXPECT_EQ(texts_in(kSnapshot), then);
    EXPECT_EQ(made->files, names(kSnapshot).size());
    EXPECT_EQ(made->copied, 0u);
    std::uint64_t bytes = 0;
    for (const std::string& name : names(kSnapshot)) {
      EXPECT_EQ(*files_->names_of(kSnapshot / name), 2u);
      bytes += *(*files_->open(kSnapshot / name))->size();
    }
    EXPECT_EQ(made->bytes, bytes);
    const std::vector<std::string> all = log_->kept();
    journal_.reset();
    EXPECT_EQ(texts_in(kDirectory), all);
    open(kSnapshot);  // and goes on there
    EXPECT_GT(journal_->generation(), in_use);
    journal_.reset();
    EXPECT_EQ(texts_in(kSnapshot), then);
  }
}

TEST_F(JournalSnapshot, OfAJournalWithoutFootersIsACopy) {
  options_.index = false;
  begin();
  write_many(30);
  const auto made = journal_->snapshot(kSnapshot);
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_EQ(made->copied, made->bytes);
  const std::vector<std::string> then = log_->kept();
  write_many(5);
  EXPECT_EQ(texts_in(kSnapshot), then);
  for (const std::string& name : names(kSnapshot)) EXPECT_EQ(*files_->names_of(kSnapshot / name), 1u);
}

TEST_F(JournalSnapshot, OfNothingIsEmptyAndEndsNoFile) {
  const Generation in_use = journal_->generation();
  const auto made = journal_->snapshot(kSnapshot);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->files, 0u);
  EXPECT_EQ(journal_->generation(), in_use);
  EXPECT_TRUE(texts_in(kSnapshot).empty());
}

TEST_F(JournalSnapshot, WhatIsDroppedMeanwhileIsInItAndNotUsedAgain) {
  write_many(60);
  const Generation in_use = journal_->generation();
  bool dropped = false;
  files_->on_change([&](std::string_view call, const fs::path&) {
    if (call == "link" && !std::exchange(dropped, true))
      for (Generation file{1}; file <= in_use; file = Generation{file.get() + 1}) journal_->drop(file);
    return 0;
  });
  ASSERT_TRUE(journal_->snapshot(kSnapshot));
  files_->on_change(nullptr);
  ASSERT_TRUE(dropped);
  const std::vector<std::string> then = log_->kept();
  EXPECT_EQ(texts_in(kSnapshot), then);
  write_many(60);  // more than would have come into the dropped files, were they used again
  EXPECT_EQ(texts_in(kSnapshot), then);
  journal_.reset();  // which takes away what is dropped
  for (const std::string& name : names(kSnapshot)) {
    EXPECT_FALSE(is_there(kDirectory / name)) << name;
    EXPECT_EQ(*files_->names_of(kSnapshot / name), 1u) << "no spare is left of it";
  }
  // A spare that got another name later is not used either.
  for (const std::string& name : names(kDirectory))
    if (name.starts_with("spare-")) {
      ASSERT_TRUE(files_->link(kDirectory / name, fs::path("/data") / name));
    }
  open(kDirectory);
  for (const std::string& name : names("/data"))
    if (name.starts_with("spare-")) {
      EXPECT_EQ(*files_->names_of(fs::path("/data") / name), 1u);
    }
}

TEST_F(JournalSnapshot, WhatFailedBeforeItIsNotInIt) {
  for (const std::string_view failing : {"write", "fsync"}) {
    SCOPED_TRACE(failing);
    options_.directory = kDirectory;
    begin();
    write_many(3);
    files_->on_change([&](std::string_view call, const fs::path& path) {
      return call == failing && path.native().starts_with(file_path(kDirectory, Generation{1}).native()) ? EIO : 0;
    });
    write("lost");
    files_->on_change(nullptr);
    ASSERT_EQ(log_->kept().size(), 3u);
    ASSERT_TRUE(journal_->snapshot(kSnapshot)) << "no file is in use";
    EXPECT_EQ(texts_in(kSnapshot), log_->kept());
    write_many(2);
    ASSERT_TRUE(journal_->snapshot("/data/next"));
    EXPECT_EQ(texts_in("/data/next"), log_->kept());
  }
}

TEST_F(JournalSnapshot, BesideCommitsIsAllUpToSomeMoment) {
  for (const bool sync : {true, false}) {
    options_.sync = sync;
    options_.directory = kDirectory;
    begin();
    std::atomic<bool> over{false};
    std::thread producer([&] {
      while (!over) {
        const std::size_t had = log_->kept().size();
        log_->stage(std::to_string(had) + std::string(900, '.'));
        journal_->announce(log_);
        while (!log_->idle()) std::this_thread::yield();
      }
    });
    std::vector<std::pair<std::size_t, std::size_t>> between;  // how many were kept before and after
    for (int i = 0; i < 10; ++i) {
      const std::size_t before = log_->kept().size();
      const auto made = journal_->snapshot(kSnapshot / std::to_string(i));
      EXPECT_TRUE(made) << made.error().detail;
      between.emplace_back(before, log_->kept().size() + 1);
    }
    over = true;
    producer.join();
    const std::vector<std::string> all = log_->kept();
    for (std::size_t i = 0; i < between.size(); ++i) {
      const std::vector<std::string> texts = texts_in(kSnapshot / std::to_string(i));
      EXPECT_GE(texts.size(), between[i].first);
      EXPECT_LE(texts.size(), between[i].second);
      ASSERT_LE(texts.size(), all.size());
      EXPECT_TRUE(std::equal(texts.begin(), texts.end(), all.begin()));
    }
  }
}

TEST_F(JournalSnapshot, AFailureAnywhereLeavesNothingOfItAndTheJournalGoesOn) {
  int failed = 0;
  for (int fault_at = 0; fault_at < 1'000; ++fault_at) {
    SCOPED_TRACE(fault_at);
    options_.directory = kDirectory;
    begin();
    write_many(25);
    std::atomic<int> calls{0};
    std::atomic<bool> of_snapshot{false};
    files_->on_change([&](std::string_view, const fs::path& path) {
      if (!path.native().starts_with(kSnapshot.native()) || calls++ != fault_at) return 0;
      of_snapshot = true;
      return fault_at % 2 ? ENOSPC : EIO;
    });
    const auto made = journal_->snapshot(kSnapshot);
    files_->on_change(nullptr);
    write_many(3);
    const std::vector<std::string> all = log_->kept();
    EXPECT_EQ(all.size(), 28u);
    if (!of_snapshot) {
      EXPECT_TRUE(made);
      break;
    }
    ++failed;
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, fault_at % 2 ? Errc::full : Errc::write_failed);
    EXPECT_FALSE(is_there(kSnapshot));
    ASSERT_TRUE(journal_->snapshot(kSnapshot)) << "the next one";
    EXPECT_EQ(texts_in(kSnapshot), all);
  }
  EXPECT_GT(failed, 4);
}

TEST_F(JournalSnapshot, IsRefusedWhereThereIsNoRoomForAnotherFile) {
  write_many(3);
  files_->on_change([&](std::string_view call, const fs::path&) { return call == "allocate" ? ENOSPC : 0; });
  // The file made ahead takes the first one.
  const auto first = journal_->snapshot(kSnapshot / "1");
  write("more");
  const auto second = journal_->snapshot(kSnapshot / "2");
  files_->on_change(nullptr);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::full);
  EXPECT_FALSE(is_there(kSnapshot / "2"));
  EXPECT_EQ(log_->kept().size(), 4u);
  if (first) {
    EXPECT_EQ(texts_in(kSnapshot / "1").size(), 3u);
  }
}

TEST_F(JournalSnapshot, ALossOfPowerDuringItLosesNothingAndOneThatIsOverStays) {
  for (std::uint64_t seed = 1; seed <= 60 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const auto random = make_seeded_random(seed);
    options_.directory = kDirectory;
    options_.sync = true;
    begin();
    write_many(static_cast<int>(20 + random->next() % 20));
    const std::vector<std::string> all = log_->kept();
    const int ends_at = static_cast<int>(random->next() % 40);
    std::atomic<int> calls{0};
    // The process ends at some call: nothing more comes to the files.
    files_->on_change([&](std::string_view, const fs::path&) { return calls++ >= ends_at ? EIO : 0; });
    const bool made = static_cast<bool>(journal_->snapshot(kSnapshot)) && files_->sync_directory("/data");
    files_->on_change([](std::string_view, const fs::path&) { return EIO; });
    files_->lose_power(*random);
    journal_.reset();
    files_->on_change(nullptr);
    if (made) {
      EXPECT_EQ(texts_in(kSnapshot), all);
    }
    open(kDirectory);
    write("behind");
    journal_.reset();
    const std::vector<std::string> left = texts_in(kDirectory);
    ASSERT_EQ(left.size(), all.size() + 1);
    EXPECT_TRUE(std::equal(all.begin(), all.end(), left.begin()));
  }
}

TEST_F(JournalSnapshot, ACloneSharesOnlyWhatNobodyWritesTo) {
  for (const bool index : {true, false}) {
    options_.directory = kDirectory;
    options_.index = index;
    begin();
    write_many(30);
    ASSERT_TRUE(journal_->snapshot(kSnapshot));
    const std::vector<std::string> then = log_->kept();
    const auto cloned = clone(*files_, kSnapshot, "/data/clone");
    ASSERT_TRUE(cloned) << cloned.error().detail;
    EXPECT_EQ(cloned->files, names(kSnapshot).size());
    EXPECT_EQ(cloned->copied, index ? 0 : cloned->bytes);
    EXPECT_EQ(highest_given(*files_, "/data/clone"), generation_in(names(kSnapshot).back()));
    open("/data/clone");
    write("more");
    journal_.reset();
    EXPECT_EQ(texts_in("/data/clone").size(), then.size() + 1);
    EXPECT_EQ(texts_in(kSnapshot), then);
  }
  EXPECT_EQ(highest_given(*files_, "/none"), Generation{});
}

TEST_F(JournalSnapshot, AJournalBeginsBehindTheNumbersOfAnother) {
  write_many(20);
  ASSERT_TRUE(journal_->snapshot(kSnapshot));
  const std::vector<std::string> then = log_->kept();
  ASSERT_TRUE(begin_behind(*files_, kSnapshot, Generation{1'000}, 0));
  EXPECT_EQ(texts_in(kSnapshot), then);
  open(kSnapshot);
  EXPECT_EQ(journal_->generation(), Generation{1'001});
  write("behind");
  open(kSnapshot);
  EXPECT_EQ(journal_->generation(), Generation{1'002});
  EXPECT_EQ(texts_in(kSnapshot).size(), then.size() + 1);
}

}  // namespace
}  // namespace millrace::journal
