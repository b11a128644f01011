#include "agent/followed_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/temporary_directory.hpp"

namespace millrace::agent {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using Lines = std::vector<std::string>;
namespace fs = std::filesystem;

/// Files that are followed, and an agent that can be ended and started again with what it knew.
class Following : public testing::Test {
 protected:
  Following() {
    flow_.file_pattern = path("app.log*").string();
    flow_.from_start = true;
  }
  fs::path path(const std::string& name) const { return directory_.path() / name; }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(path(name), std::ios::app | std::ios::binary) << text;
  }
  void start(bool first = true) { files_.emplace(flow_, first ? nullptr : &marks_); }
  /// Ends it, with what was not sent from `records_left` last records on, and starts it again.
  void restart(std::size_t records_left = 0) {
    marks_ = marks(records_left);
    files_.reset();
    records_.clear();
    files_.emplace(flow_, &marks_);
  }
  std::vector<Mark> marks(std::size_t records_left = 0) {
    return files_->marks([&](const Followed& file) -> std::optional<std::uint64_t> {
      for (std::size_t i = records_.size() - records_left; i < records_.size(); ++i)
        if (records_[i].file.get() == &file) return records_[i].range.begin;
      return std::nullopt;
    });
  }
  /// What came since it was last asked.
  Lines poll(std::chrono::milliseconds passed = 100ms, std::size_t bytes = 1u << 20) {
    now_ += passed;
    Lines lines;
    files_->poll(now_, bytes, [&](FileRecord record) {
      lines.push_back(record.data);
      records_.push_back(std::move(record));
    });
    return lines;
  }

  test::TemporaryDirectory directory_;
  Flow flow_;
  TimePoint now_ = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  std::optional<FollowedFiles> files_;
  std::vector<Mark> marks_;
  std::vector<FileRecord> records_;
};

TEST_F(Following, BeginsWhereItIsSaid) {
  write("app.log", "old\n");
  flow_.from_start = false;
  start();
  EXPECT_EQ(poll(), Lines{});
  write("app.log", "new\npart");
  write("app.log.other", "later\n");
  EXPECT_THAT(poll(), testing::UnorderedElementsAre("new\n", "later\n"));
  write("app.log", " of it\n");
  EXPECT_THAT(poll(), ElementsAre("part of it\n"));
  flow_.from_start = true;
  start();
  EXPECT_THAT(poll(), testing::UnorderedElementsAre("old\n", "new\n", "part of it\n", "later\n"));
}

TEST_F(Following, RenamedFilesAreReadOn) {
  start();
  write("app.log", "1\n");
  EXPECT_THAT(poll(), ElementsAre("1\n"));
  write("app.log", "2\n");
  fs::rename(path("app.log"), path("app.log.1"));
  write("app.log", "3\n");
  EXPECT_THAT(poll(), testing::UnorderedElementsAre("2\n", "3\n"));
  write("app.log.1", "late\n");
  fs::rename(path("app.log.1"), path("app.log.2"));
  EXPECT_THAT(poll(), ElementsAre("late\n"));
  write("app.log", "4\n");
  fs::rename(path("app.log"), path("elsewhere"));  // that the pattern does not name
  write("elsewhere", "5\nhalf");
  EXPECT_THAT(poll(), ElementsAre("4\n", "5\n"));
  EXPECT_EQ(poll(59s), Lines{});
  EXPECT_THAT(poll(2s), ElementsAre("half")) << "nobody writes to it any more";
  EXPECT_EQ(poll(1h), Lines{});
}

TEST_F(Following, DeletedFilesAreReadToTheirEnd) {
  start();
  write("app.log", "1\n");
  poll();
  write("app.log", "2\nhalf");
  fs::remove(path("app.log"));
  write("app.log", "1\n");
  EXPECT_THAT(poll(), testing::UnorderedElementsAre("2\n", "1\n"));
  EXPECT_THAT(poll(61s), ElementsAre("half"));
}

TEST_F(Following, ACopyIsReadOnWhenItsOriginalIsTruncated) {
  for (const char* name : {"app.log.1", "elsewhere"}) {
    SCOPED_TRACE(name);
    fs::remove(path("app.log"));
    fs::remove(path("app.log.1"));
    start();
    write("app.log", "1\n2\n");
    EXPECT_THAT(poll(), ElementsAre("1\n", "2\n"));
    write("app.log", "3\n");
    fs::copy_file(path("app.log"), path(name));
    EXPECT_THAT(poll(), ElementsAre("3\n")) << "not the copy, too";
    fs::resize_file(path("app.log"), 0);
    write("app.log", "4\n");
    EXPECT_THAT(poll(), ElementsAre("4\n"));
    // At once, so that nobody has seen the copy beside the original, nor what it has more.
    write("app.log", "5\n");
    EXPECT_THAT(poll(), ElementsAre("5\n"));
    write("app.log", "6\n");
    fs::copy_file(path("app.log"), path(name + std::string("x")));
    fs::resize_file(path("app.log"), 0);
    write("app.log", "7\n");
    EXPECT_THAT(poll(), testing::UnorderedElementsAre("6\n", "7\n"));
    EXPECT_EQ(poll(1h), Lines{});
    fs::remove(path(name + std::string("x")));
    fs::remove(path(name));
  }
}

TEST_F(Following, WhatIsTruncatedBeginsAnew) {
  start();
  write("app.log", "first\nsecond\nhalf");
  EXPECT_THAT(poll(), ElementsAre("first\n", "second\n"));
  fs::resize_file(path("app.log"), 0);
  write("app.log", "a\n");
  EXPECT_THAT(poll(), testing::UnorderedElementsAre("half", "a\n"));
  fs::resize_file(path("app.log"), 0);
  write("app.log", "longer than what was there before\n");  // so that its size does not say it
  EXPECT_THAT(poll(), ElementsAre("longer than what was there before\n"));
}

TEST_F(Following, FilesThatBeginAlikeAreNotTakenForCopiesForLong) {
  start();
  write("app.log", "header\n1\n");
  poll();
  write("app.log.b", "header\n");
  EXPECT_EQ(poll(), Lines{}) << "it may be one that is being made";
  write("app.log.b", "2\n");
  EXPECT_THAT(poll(), ElementsAre("header\n", "2\n"));
  write("app.log.c", "header\n");
  EXPECT_EQ(poll(), Lines{});
  EXPECT_THAT(poll(61s), ElementsAre("header\n")) << "it is a small file";
}

TEST_F(Following, ARestartGoesOnWhereItWas) {
  start();
  write("app.log", "1\n2\n3\nha");
  poll();
  restart(/*records_left=*/1);
  EXPECT_THAT(poll(), ElementsAre("3\n"));
  restart();
  write("app.log", "lf\n");
  EXPECT_THAT(poll(), ElementsAre("half\n"));
  EXPECT_EQ(marks(), marks()) << "and says the same";
}

TEST_F(Following, ARestartFindsWhatWasRotatedMeanwhile) {
  flow_.file_pattern = path("app.log").string();
  start();
  write("app.log", "1\n");
  poll();
  marks_ = marks();
  files_.reset();
  write("app.log", "2\n");
  fs::rename(path("app.log"), path("app.log.1"));  // which the pattern does not name
  write("app.log", "3\n");
  start(/*first=*/false);
  EXPECT_THAT(poll(), testing::UnorderedElementsAre("2\n", "3\n"));

  marks_ = marks();
  files_.reset();
  write("app.log", "4\n");
  fs::copy_file(path("app.log"), path("app.log.2"));
  fs::resize_file(path("app.log"), 0);
  write("app.log", "5\n");
  start(/*first=*/false);
  EXPECT_THAT(poll(), testing::UnorderedElementsAre("4\n", "5\n"));

  marks_ = marks();
  files_.reset();
  fs::remove(path("app.log"));
  write("app.log", "none of what was there, whatever its number\n");
  start(/*first=*/false);
  EXPECT_THAT(poll(), ElementsAre("none of what was there, whatever its number\n"));
}

TEST_F(Following, ManyLinesAreARecordWhenNothingFollows) {
  flow_.start_pattern = "\\[";
  flow_.age_max = 5s;
  start();
  write("app.log", "[1]\n a\n");
  EXPECT_EQ(poll(), Lines{});
  EXPECT_EQ(poll(4s), Lines{});
  EXPECT_THAT(poll(2s), ElementsAre("[1]\n a\n"));
}

TEST_F(Following, ReadsNoMoreAtOnceThanItIsTold) {
  start();
  for (int i = 0; i < 1000; ++i) write("app.log", "0123456789abcde\n");
  std::size_t rounds = 0, lines = 0;
  while (lines < 1000) {
    ASSERT_LT(++rounds, 100u);
    const std::size_t came = poll(0ms, 1600).size();
    EXPECT_LE(came, 100u);
    lines += came;
  }
  EXPECT_EQ(rounds, 10u);
}

}  // namespace
}  // namespace millrace::agent
