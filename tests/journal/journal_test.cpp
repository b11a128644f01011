#include "millrace/journal/journal.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <cerrno>
#include <deque>
#include <map>
#include <mutex>
#include <optional>

#include "millrace/base/cores.hpp"
#include "support/run.hpp"

namespace millrace::journal {
namespace {

const std::filesystem::path kDirectory = "/journal";

/// A log of texts.
class Texts final : public Source {
 public:
  explicit Texts(std::uint64_t log) : log_(log) {}

  std::uint64_t stage(std::string text) {
    std::lock_guard lock(mutex_);
    staged_.push_back(std::move(text));
    return settled_ + staged_.size();
  }
  bool gather(Batch& batch) override {
    std::lock_guard lock(mutex_);
    for (gathered_ = 0; gathered_ < staged_.size(); ++gathered_) {
      if (batch.full()) return true;
      Frame frame;
      frame.log = log_;
      frame.base = settled_ + gathered_;
      frame.count = 1;
      const ByteView text = staged_[gathered_];
      batch.add(frame, std::span(&text, 1));
    }
    return false;
  }
  void settled(const Result<>& outcome, std::span<const Lsn> places) noexcept override {
    std::lock_guard lock(mutex_);
    EXPECT_EQ(places.size(), outcome ? gathered_ : 0);
    if (!outcome) failed_ += gathered_;
    settled_ += gathered_;
    staged_.erase(staged_.begin(), staged_.begin() + static_cast<std::ptrdiff_t>(gathered_));
    gathered_ = 0;
  }
  std::uint64_t settled() const {
    std::lock_guard lock(mutex_);
    return settled_;
  }
  std::uint64_t failed() const {
    std::lock_guard lock(mutex_);
    return failed_;
  }

 private:
  const std::uint64_t log_;
  mutable std::mutex mutex_;
  std::deque<std::string> staged_;  // texts stay where they are while a commit looks at them
  std::size_t gathered_ = 0;
  std::uint64_t settled_ = 0, failed_ = 0;
};

class JournalTest : public testing::Test {
 protected:
  JournalTest() { EXPECT_TRUE(files_->make_directories(kDirectory)); }

  std::unique_ptr<Journal> open(std::size_t commit_bytes_max = 8u << 20, bool sync = true) {
    Options options;
    options.sync = sync;
    options.directory = kDirectory;
    options.file_bytes = 32 * 1024;
    options.commit_bytes_max = commit_bytes_max;
    return std::move(*make_journal(*files_, clock_, options, recover()));
  }
  Scanned recover() {
    kept_.clear();
    const auto visit = [this](const Frame& frame, ByteView payload, Lsn) { kept_[frame.log].emplace_back(payload); };
    auto scanned = scan(*files_, kDirectory, visit);
    EXPECT_TRUE(scanned);
    return scanned ? *scanned : Scanned{};
  }

  std::unique_ptr<MemoryFiles> files_ = make_memory_files();
  ManualClock clock_;
  std::map<std::uint64_t, std::vector<std::string>> kept_;
};

/// Stages texts one by one, each after the one before is settled.
/// @param bytes  what is said of them
awaitable<void> write_in_turn(Journal& journal, std::shared_ptr<Texts> log, int count, std::size_t bytes = SIZE_MAX) {
  for (int i = 0; i < count; ++i) {
    const std::uint64_t end = log->stage(std::to_string(i) + std::string(50, '.'));
    while (log->settled() < end) {
      const Journal::Turn turn = journal.announce(log, bytes);
      co_await journal.over(turn);
    }
  }
}

TEST_F(JournalTest, ManyWritersOnManyCoresFindAllOfTheirsInOrder) {
  constexpr int kWriters = 24, kTexts = 60;
  std::vector<std::shared_ptr<Texts>> logs;
  {
    Cores cores(3);
    auto journal = open();
    std::atomic<int> ended{0};
    for (int i = 0; i < kWriters; ++i) {
      logs.push_back(std::make_shared<Texts>(static_cast<std::uint64_t>(i)));
      boost::asio::co_spawn(cores.executor(static_cast<std::size_t>(i) % cores.size()),
                            write_in_turn(*journal, logs.back(), kTexts), [&](std::exception_ptr failed) {
                              EXPECT_FALSE(failed);
                              if (++ended == kWriters) cores.stop();
                            });
    }
    cores.start();
    cores.join();
  }
  recover();
  ASSERT_EQ(kept_.size(), static_cast<std::size_t>(kWriters));
  for (const auto& [log, texts] : kept_) {
    ASSERT_EQ(texts.size(), static_cast<std::size_t>(kTexts));
    for (int i = 0; i < kTexts; ++i)
      EXPECT_EQ(texts[static_cast<std::size_t>(i)], std::to_string(i) + std::string(50, '.'));
  }
}

TEST_F(JournalTest, WithoutSyncCoresMakeCommitsBesideTheThreadAndNobodyIsForgotten) {
  constexpr int kWriters = 24, kTexts = 400;
  {
    Cores cores(3);
    auto journal = open(2'000, false);
    std::atomic<int> ended{0};
    for (int i = 0; i < kWriters; ++i) {
      // Some say little of theirs, some that it is much, some nothing.
      const std::size_t said = i % 3 == 0 ? SIZE_MAX : i % 3 == 1 ? 60 : 100'000;
      boost::asio::co_spawn(
          cores.executor(static_cast<std::size_t>(i) % cores.size()),
          write_in_turn(*journal, std::make_shared<Texts>(static_cast<std::uint64_t>(i)), kTexts, said),
          [&](std::exception_ptr failed) {
            EXPECT_FALSE(failed);
            if (++ended == kWriters) cores.stop();
          });
    }
    cores.start();
    cores.join();
    EXPECT_EQ(ended, kWriters);
  }
  recover();
  ASSERT_EQ(kept_.size(), static_cast<std::size_t>(kWriters));
  for (const auto& [log, texts] : kept_) EXPECT_EQ(texts.size(), static_cast<std::size_t>(kTexts));
}

TEST_F(JournalTest, ACoreMakesOneCommitOfAllThatIsReadyThere) {
  boost::asio::io_context io;
  auto journal = open(8u << 20, false);
  std::vector<std::shared_ptr<Texts>> logs;
  std::vector<test::Started<void>> writers;
  for (std::uint64_t i = 0; i < 10; ++i) {
    logs.push_back(std::make_shared<Texts>(i));
    writers.push_back(test::start(io, write_in_turn(*journal, logs.back(), 1, 60)));
  }
  test::settle(io);  // and no other thread has a part in it
  for (const auto& writer : writers) EXPECT_TRUE(writer.done());
  const Journal::Turn next = journal->announce(logs[0], 60);
  EXPECT_EQ(next, 2u);
}

TEST_F(JournalTest, WhoIsAloneOnACoreCommitsAtOnceUntilOthersCome) {
  boost::asio::io_context io;
  auto journal = open(8u << 20, false);
  const auto alone = std::make_shared<Texts>(1), other = std::make_shared<Texts>(2);
  for (int i = 0; i < 10; ++i) {
    test::start(io, write_in_turn(*journal, alone, 1, 60));
    test::settle(io);
  }
  test::start(io, write_in_turn(*journal, alone, 1, 60));
  io.restart();
  io.poll_one();
  EXPECT_EQ(alone->settled(), 11u);
  Journal::Turn before = 0;
  for (int i = 0; i < 20; ++i) {
    before = journal->announce(other, 0);
    test::start(io, write_in_turn(*journal, alone, 1, 60));
    test::start(io, write_in_turn(*journal, other, 1, 60));
    test::settle(io);
  }
  EXPECT_EQ(journal->announce(other, 0), before + 1) << "one commit for both";
}

TEST_F(JournalTest, AnEndedJournalLeavesNothingBehindOnACore) {
  boost::asio::io_context io;
  auto log = std::make_shared<Texts>(1);
  auto journal = open(8u << 20, false);
  auto writer = test::start(io, write_in_turn(*journal, log, 1, 60));
  io.poll_one();
  ASSERT_EQ(log->settled(), 0u) << "a commit waits for its turn on the core";
  journal.reset();
  EXPECT_EQ(log->settled(), 1u) << "its end commits what is announced";
  test::settle(io);
  EXPECT_TRUE(writer.done());
}

TEST_F(JournalTest, WhatOneCommitDoesNotTakeComesWithTheNext) {
  auto log = std::make_shared<Texts>(1);
  for (int i = 0; i < 50; ++i) log->stage(std::string(100, 'x'));
  open(250)->announce(log);  // and its end commits all that is left
  EXPECT_EQ(log->settled(), 50u);
  recover();
  EXPECT_EQ(kept_[1].size(), 50u);
}

TEST_F(JournalTest, AFailureFailsWhatWaitedAndNothingAfterIt) {
  auto log = std::make_shared<Texts>(1), other = std::make_shared<Texts>(2);
  boost::asio::io_context io;
  auto journal = open();
  std::atomic<bool> failing{true};
  files_->on_change(
      [&](std::string_view call, const std::filesystem::path&) { return failing && call == "fsync" ? EIO : 0; });
  log->stage("lost");
  other->stage("lost too");
  journal->announce(log);
  auto failed = test::start(io, journal->over(journal->announce(other)));
  test::run_until(io, [&] { return failed.done(); });
  EXPECT_EQ(log->failed() + other->failed(), 2u);
  failing = false;
  log->stage("kept");
  auto kept = test::start(io, journal->over(journal->announce(log)));
  test::run_until(io, [&] { return kept.done(); });
  EXPECT_EQ(log->failed(), 1u);
  journal.reset();
  recover();
  EXPECT_EQ(kept_, (std::map<std::uint64_t, std::vector<std::string>>{{1, {"kept"}}}));
}

TEST_F(JournalTest, ATurnThatIsOverIsNotWaitedFor) {
  auto log = std::make_shared<Texts>(1);
  boost::asio::io_context io;
  auto journal = open();
  log->stage("a");
  const Journal::Turn turn = journal->announce(log);
  auto first = test::start(io, journal->over(turn));
  test::run_until(io, [&] { return first.done(); });
  auto again = test::start(io, journal->over(turn));
  test::settle(io);
  EXPECT_TRUE(again.done());
}

}  // namespace
}  // namespace millrace::journal
