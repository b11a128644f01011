#include "millrace/journal/inspect.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <deque>
#include <random>

#include "journal/commit_thread.hpp"
#include "journal/footer.hpp"
#include "journal/found.hpp"
#include "millrace/base/random.hpp"
#include "support/run.hpp"

namespace millrace::journal {
namespace {

const std::filesystem::path kDirectory = "/journal";

/// Frames of one record each, one behind the other in a commit.
class Frames final : public Source {
 public:
  void add(std::uint64_t log, std::uint64_t position, std::string text, std::uint64_t epoch = 1) {
    Frame frame;
    frame.log = log;
    frame.epoch = epoch;
    frame.base = position;
    frame.count = 1;
    frame.first_ms = frame.last_ms = static_cast<std::int64_t>(1000 + position);
    staged_.emplace_back(frame, std::move(text));
  }
  bool gather(Batch& batch) override {
    for (const auto& [frame, text] : staged_) {
      const ByteView payload = text;
      batch.add(frame, std::span(&payload, 1));
    }
    return false;
  }
  void settled(const Result<>& outcome, std::span<const Lsn> places) noexcept override {
    EXPECT_TRUE(outcome);
    places_.assign(places.begin(), places.end());
    staged_.clear();
  }
  const std::vector<Lsn>& places() const noexcept { return places_; }

 private:
  std::deque<std::pair<Frame, std::string>> staged_;
  std::vector<Lsn> places_;
};

class Inspecting : public testing::Test {
 protected:
  Inspecting() {
    EXPECT_TRUE(files_->make_directories(kDirectory));
    options_.directory = kDirectory;
    options_.file_bytes = 64 * 1024;
    options_.index = true;
    const auto none = scan_index(*files_, kDirectory);
    auto journal = make_journal(*files_, clock_, options_, *none);
    EXPECT_TRUE(journal);
    journal_ = std::move(*journal);
  }
  /// Gives the place of the last frame.
  Lsn commit() {
    test::SharedContext io;
    auto over = test::start(*io, journal_->over(journal_->announce(frames_)));
    test::run_until(*io, [&] { return over.done(); });
    return frames_->places().back();
  }
  Lsn write(std::uint64_t log, std::uint64_t position, std::string text = "text", std::uint64_t epoch = 1) {
    frames_->add(log, position, std::move(text), epoch);
    return commit();
  }
  void close() { journal_.reset(); }

  Verified verified() {
    visited_ = 0;
    auto found = verify(*looking_, kDirectory, [this](const Frame&, ByteView, Lsn) { ++visited_; });
    EXPECT_TRUE(found) << found.error().detail;
    return found ? std::move(*found) : Verified{};
  }
  std::vector<std::string> texts(std::uint64_t log, std::vector<Finding>* damage = nullptr) {
    const auto scanned = scan_index(*looking_, kDirectory);
    EXPECT_TRUE(scanned);
    LogReader reader(*looking_, kDirectory, *scanned);
    std::vector<std::string> found;
    std::vector<Finding> none;
    const auto visit = [&](const Frame&, ByteView payload, Lsn) {
      found.emplace_back(payload);
      return true;
    };
    EXPECT_TRUE(reader.read(
        log, [](const Frame&) { return true; }, visit, damage ? *damage : none));
    EXPECT_TRUE(none.empty());
    return found;
  }
  void overwrite(Lsn at, std::string_view bytes) {
    auto file = files_->open_writable(path_of(kDirectory, generation_of(at)));
    ASSERT_TRUE(file);
    const ByteView pieces[] = {bytes};
    ASSERT_TRUE((*file)->write_at(offset_of(at), pieces));
  }

  ManualClock clock_;
  std::unique_ptr<MemoryFiles> files_ = make_memory_files();
  std::unique_ptr<Files> looking_ = make_onlooking_files(*files_);
  Options options_;
  std::unique_ptr<Journal> journal_;
  std::shared_ptr<Frames> frames_ = std::make_shared<Frames>();
  std::uint64_t visited_ = 0;
};

TEST_F(Inspecting, FilesAreCountedByCommitsFramesAndRecords) {
  for (std::uint64_t i = 0; i < 3; ++i) {
    frames_->add(1, i, std::string(100, 'a'));
    frames_->add(2, i, std::string(10'000, 'b'));
    commit();
  }
  for (std::uint64_t i = 3; i < 10; ++i) write(2, i, std::string(10'000, 'b'));
  const Report report = inspect(*looking_, kDirectory);
  ASSERT_FALSE(report.error);
  ASSERT_GE(report.files.size(), 2u);
  std::uint64_t commits = 0, frames = 0, records = 0, bytes = 0;
  for (const FileReport& file : report.files) {
    commits += file.commits;
    frames += file.frames;
    records += file.records;
    bytes += file.payload_bytes;
  }
  EXPECT_EQ(commits, 10u);
  EXPECT_EQ(frames, 13u);
  EXPECT_EQ(records, 13u);
  EXPECT_EQ(bytes, 3u * 100 + 10u * 10'000);
  EXPECT_EQ(report.files[0].first_ms, 1000);
  EXPECT_EQ(report.files[0].first_commit_ms, clock_.now().time_since_epoch().count());
}

TEST_F(Inspecting, WhatIsSoundIsReadWhole) {
  for (std::uint64_t i = 0; i < 30; ++i) write(1 + i % 2, i / 2, std::string(5'000, static_cast<char>('a' + i)));
  close();
  const Verified found = verified();
  EXPECT_TRUE(found.findings.empty());
  EXPECT_EQ(found.frames, 30u);
  EXPECT_EQ(visited_, 30u);
  EXPECT_EQ(found.footers, found.files);
  EXPECT_EQ(texts(1).size(), 15u);
  EXPECT_EQ(texts(2)[14], std::string(5'000, 'a' + 29));
}

TEST_F(Inspecting, PositionsThatGoBackAreTold) {
  write(1, 5);
  const Lsn back = write(1, 5);
  write(2, 7, "text", 3);
  const Lsn earlier_epoch = write(2, 8, "text", 2);
  const Verified found = verified();
  ASSERT_EQ(found.findings.size(), 2u);
  EXPECT_EQ(found.findings[0].offset, offset_of(back));
  EXPECT_EQ(found.findings[1].offset, offset_of(earlier_epoch));
}

TEST_F(Inspecting, AGapInsideAnEpochIsToldAndOneBetweenEpochsIsNot) {
  write(1, 0);
  const Lsn behind = write(1, 2);
  write(1, 1'000, "text", 2);
  const Verified found = verified();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].offset, offset_of(behind));
  ASSERT_EQ(found.findings[0].hidden.size(), 1u);
  EXPECT_EQ(found.findings[0].hidden[0].base, 1u);
  EXPECT_EQ(found.findings[0].hidden[0].count, 1u);
}

TEST_F(Inspecting, AGapWhereAFileWasDroppedIsNone) {
  for (std::uint64_t i = 0; i < 30; ++i) write(1, i, std::string(10'000, 'x'));
  close();
  ASSERT_TRUE(files_->remove(path_of(kDirectory, Generation{2})));
  const Verified found = verified();
  EXPECT_TRUE(found.findings.empty());
}

TEST_F(Inspecting, AFooterThatTellsOfOtherFramesIsTold) {
  const Lsn first = write(1, 0, "one");
  write(1, 1, "two");
  close();
  // Another footer of the same form, whose list says of the first frame that it arrived later.
  const std::string bytes = *files_->read_all(path_of(kDirectory, Generation{1}), 1u << 20);
  auto file = files_->open(path_of(kDirectory, Generation{1}));
  const auto footer = read_footer(**file, Generation{1}, bytes.size());
  ASSERT_TRUE(footer && *footer);
  Trailer trailer = (*footer)->trailer;
  trailer.parts = 0;  // they are counted anew
  FrameIndex index(Generation{1});
  const auto scanned = scan(*files_, kDirectory, [&](const Frame& frame, ByteView, Lsn lsn) {
    Frame told = frame;
    if (lsn == first) told.last_ms += 1;
    index.add(told, lsn);
  });
  ASSERT_TRUE(scanned);
  const Footer other = make_footer(index, trailer, bytes.size());
  overwrite(make_lsn(Generation{1}, other.at), other.body + other.trailer);
  const Verified found = verified();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].offset, offset_of(first));
  EXPECT_EQ(found.findings[0].what, "the footer tells of other frames than are there:");
}

TEST_F(Inspecting, AFooterThatLeavesOutAFrameIsTold) {
  write(1, 0, "one");
  const Lsn last = write(1, 1, "two");
  close();
  const std::string bytes = *files_->read_all(path_of(kDirectory, Generation{1}), 1u << 20);
  auto file = files_->open(path_of(kDirectory, Generation{1}));
  Trailer trailer = (*read_footer(**file, Generation{1}, bytes.size()))->trailer;
  trailer.parts = 0;  // they are counted anew
  FrameIndex index(Generation{1});
  const auto scanned = scan(*files_, kDirectory, [&](const Frame& frame, ByteView, Lsn lsn) {
    if (lsn != last) index.add(frame, lsn);
  });
  ASSERT_TRUE(scanned);
  const Footer other = make_footer(index, trailer, bytes.size());
  overwrite(make_lsn(Generation{1}, other.at), other.body + other.trailer);
  const Verified found = verified();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].what, "the footer leaves out frames among");
}

TEST_F(Inspecting, ReadingGoesOnBehindDamage) {
  write(1, 0, "one");
  const Lsn bad = write(1, 1, "two");
  write(1, 2, "three");
  close();
  overwrite(make_lsn(Generation{1}, offset_of(bad) + kFrameHeadBytes), "T");
  std::vector<Finding> damage;
  EXPECT_EQ(texts(1, &damage), (std::vector<std::string>{"one", "three"}));
  ASSERT_EQ(damage.size(), 1u);
  EXPECT_EQ(damage[0].offset, offset_of(bad));
  EXPECT_EQ(damage[0].hidden[0].base, 1u);
  const Verified found = verified();
  ASSERT_EQ(found.findings.size(), 1u);
  EXPECT_EQ(found.findings[0].hidden.size(), 1u);
}

// What is kept of many findings are the first ones, and what is counted is all: damage of any kind, in any place.
TEST_F(Inspecting, FindingsThatAreNotKeptAreCountedAlike) {
  std::vector<std::uint64_t> next(4);
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    std::vector<Lsn> places;
    if (!journal_) journal_ = *make_journal(*files_, clock_, options_, *scan_index(*files_, kDirectory));
    for (int i = 0; i < 60; ++i) {
      const std::uint64_t log = 1 + random() % 3;
      if (random() % 20 == 0) ++next[log];  // a hole
      places.push_back(write(log, next[log]++, std::string(1 + random() % 4'000, 'x')));
    }
    close();
    journal_.reset();
    for (int i = 0; i < 15; ++i) {
      const Lsn at = places[random() % places.size()];
      overwrite(make_lsn(generation_of(at), offset_of(at) + (random() % 2 ? 8 : kFrameHeadBytes)), "BAD");
    }
    const auto found = [&](std::size_t kept) {
      auto answer = verify(
          *looking_, kDirectory, [](const Frame&, ByteView, Lsn) {}, no_keys(), kept);
      EXPECT_TRUE(answer);
      return std::move(*answer);
    };
    const Verified all = found(SIZE_MAX);
    EXPECT_EQ(all.more_findings, 0u);
    ASSERT_GT(all.findings.size(), 5u);
    const auto hidden = [](const Verified& verified) {
      std::uint64_t records = verified.more_hidden;
      for (const Finding& finding : verified.findings)
        for (const Part& part : finding.hidden) records += part.count;
      return records;
    };
    for (const std::size_t kept : {std::size_t{0}, std::size_t{1}, all.findings.size() / 2, all.findings.size()}) {
      const Verified some = found(kept);
      EXPECT_EQ(some.findings.size(), kept);
      EXPECT_EQ(some.findings.size() + some.more_findings, all.findings.size());
      EXPECT_EQ(hidden(some), hidden(all)) << kept;
      for (std::size_t i = 0; i < kept; ++i) EXPECT_EQ(some.findings[i].offset, all.findings[i].offset);
    }
  }
}

TEST_F(Inspecting, WhatIsSealedIsOpenedWithItsKeysAndToldOfWithout) {
  class OneKey final : public Keys {
   public:
    std::uint32_t current() const noexcept override { return 3; }
    std::optional<Key> key(std::uint32_t id) const override {
      return id == 3 ? std::optional(Key{byte}) : std::nullopt;
    }
    std::byte byte{1};
  };
  close();
  OneKey keys;
  const auto random = make_seeded_random(1);
  options_.keys = &keys;
  options_.random = random.get();
  for (const bool footer : {false, true}) {
    journal_ = *make_journal(*files_, clock_, options_, *scan_index(*files_, kDirectory));
    write(1, footer ? 2 : 0, "one");
    write(1, footer ? 3 : 1, "two");
    if (footer) close();
    const Report report = inspect(*looking_, kDirectory);
    std::set<std::uint32_t> needed;
    for (const FileReport& file : report.files) needed.insert(file.key_ids.begin(), file.key_ids.end());
    EXPECT_EQ(needed, std::set<std::uint32_t>{3});
    const auto look = [&](const Keys& with, std::vector<std::string>& got, std::vector<Finding>& damage) {
      got.clear();
      const auto visit = [&](const Frame& frame, ByteView payload, Lsn) {
        EXPECT_EQ(frame.length, payload.size());
        got.push_back(frame.key_id ? "sealed" : std::string(payload));
        return true;
      };
      const auto scanned = *scan_index(*looking_, kDirectory);
      LogReader reader(*looking_, kDirectory, scanned, with);
      EXPECT_TRUE(reader.read(
          1, [](const Frame&) { return true; }, visit, damage));
      std::vector<std::string> verified;
      const auto verify_visit = [&](const Frame& frame, ByteView payload, Lsn) {
        verified.push_back(frame.key_id ? "sealed" : std::string(payload));
      };
      auto found = verify(*looking_, kDirectory, verify_visit, with);
      ASSERT_TRUE(found);
      EXPECT_EQ(verified, got);
      EXPECT_EQ(found->findings.size(), damage.size());
    };
    std::vector<std::string> got;
    std::vector<Finding> damage;
    look(keys, got, damage);
    std::vector<std::string> expected{"one", "two"};
    if (footer) expected.insert(expected.end(), {"one", "two"});
    EXPECT_EQ(got, expected);
    EXPECT_TRUE(damage.empty());
    look(no_keys(), got, damage);
    EXPECT_EQ(got, std::vector<std::string>(expected.size(), "sealed"));
    EXPECT_TRUE(damage.empty());
    keys.byte = std::byte{2};
    look(keys, got, damage);
    EXPECT_EQ(got, std::vector<std::string>());
    ASSERT_EQ(damage.size(), expected.size());
    EXPECT_EQ(damage[0].what, "does not open with the key that is given, hides");
    keys.byte = std::byte{1};
    if (!footer) close();
  }
}

TEST_F(Inspecting, OnlookersChangeNothing) {
  write(1, 0);
  const auto refused = [](const auto& result) { return !result && result.error().error_number == EROFS; };
  const std::filesystem::path path = path_of(kDirectory, Generation{1});
  EXPECT_TRUE(refused(looking_->create("/other")));
  EXPECT_TRUE(refused(looking_->open_writable(path)));
  EXPECT_TRUE(refused(looking_->rename(path, "/other")));
  EXPECT_TRUE(refused(looking_->remove(path)));
  EXPECT_TRUE(refused(looking_->remove_all(kDirectory)));
  EXPECT_TRUE(refused(looking_->make_directories("/other")));
  EXPECT_TRUE(refused(looking_->sync_directory(kDirectory)));
  auto file = looking_->open(path);
  ASSERT_TRUE(file);
  EXPECT_TRUE(refused((*file)->append({})));
  EXPECT_TRUE(refused((*file)->write_at(0, {})));
  EXPECT_TRUE(refused((*file)->allocate(1)));
  EXPECT_TRUE(refused((*file)->sync()));
  auto gone = looking_->open("/journal/journal-00000099");
  ASSERT_TRUE(gone);
  EXPECT_EQ(*(*gone)->size(), 0u);
  EXPECT_EQ(*(*gone)->read_at(0, 10), "");
}

}  // namespace
}  // namespace millrace::journal
