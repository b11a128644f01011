#include "journal/writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <map>
#include <set>

#include "millrace/base/random.hpp"

namespace millrace::journal {
namespace {

const std::filesystem::path kDirectory = "/journal";

struct Kept {
  std::uint64_t log, base;
  std::string payload;
  friend bool operator==(const Kept&, const Kept&) = default;
};

/// A journal on a disk that can lose its power.
class Disk : public testing::Test {
 protected:
  Disk() {
    EXPECT_TRUE(files_->make_directories(kDirectory));
    EXPECT_TRUE(files_->sync_directory("/"));
  }

  void open(Writer::Options options = {}) {
    options.directory = kDirectory;
    options.file_bytes = 64 * 1024;
    const Scanned scanned = recover();
    writer_.reset();
    Shelf::Options shelf;
    shelf.directory = kDirectory;
    shelf.file_bytes = options.file_bytes;
    shelf_.emplace(*files_, shelf, scanned);
    writer_.emplace(*files_, options, *shelf_, scanned);
    const auto begun = writer_->begin(scanned, 0);
    ASSERT_TRUE(begun) << begun.error().detail;
  }
  Scanned recover() {
    kept_.clear();
    const auto visit = [this](const Frame& frame, ByteView payload, Lsn) {
      kept_.push_back({frame.log, frame.base, std::string(payload)});
    };
    auto scanned = scan(*files_, kDirectory, visit);
    EXPECT_TRUE(scanned) << (scanned ? "" : scanned.error().detail);
    return scanned ? *scanned : Scanned{};
  }
  /// One commit of frames with one record each.
  bool commit(const std::vector<Kept>& frames) {
    std::vector<ByteView> payloads;
    payloads.reserve(frames.size());
    std::vector<OutFrame> out;
    for (const Kept& frame : frames) {
      payloads.emplace_back(frame.payload);
      OutFrame one;
      one.frame.log = frame.log;
      one.frame.base = frame.base;
      one.frame.count = 1;
      one.payload = std::span(&payloads.back(), 1);
      out.push_back(one);
    }
    return static_cast<bool>(writer_->commit(out, 0));
  }
  /// As if what lies there had never come to the disk.
  void blank(Generation file, std::uint64_t from, std::uint64_t to) {
    const std::string zeros(to - from, '\0');
    const ByteView pieces[] = {zeros};
    ASSERT_TRUE((*files_->open_writable(file_path(kDirectory, file)))->write_at(from, pieces));
  }
  /// What both ways to look at the files tell.
  Scanned recover_both() {
    const Scanned scanned = recover();
    const auto indexed = scan_index(*files_, kDirectory);
    EXPECT_TRUE(indexed);
    EXPECT_EQ(indexed->end, scanned.end);
    EXPECT_EQ(indexed->found->synced, scanned.found->synced);
    EXPECT_EQ(indexed->damage.size(), scanned.damage.size());
    std::uint64_t records = 0;
    for (const Part& part : indexed->parts) records += part.count;
    EXPECT_EQ(records, kept_.size());
    return scanned;
  }
  void corrupt(const std::filesystem::path& path, std::uint64_t offset) {
    auto file = files_->open_writable(path);
    ASSERT_TRUE(file);
    std::string byte = *(*file)->read_at(offset, 1);
    byte[0] ^= 1;
    const ByteView pieces[] = {byte};
    ASSERT_TRUE((*file)->write_at(offset, pieces));
  }

  MemoryFilesOptions options_{.loses_unsynced = true};
  std::unique_ptr<MemoryFiles> files_ = make_memory_files(options_);
  std::optional<Shelf> shelf_;
  std::optional<Writer> writer_;
  std::vector<Kept> kept_;
};

TEST_F(Disk, CommitsAreReadBackInOrder) {
  open();
  const std::vector<Kept> first{{1, 0, "a"}, {2, 0, ""}}, second{{1, 1, std::string(1000, 'b')}};
  ASSERT_TRUE(commit(first));
  ASSERT_TRUE(commit(second));
  const Scanned scanned = recover();
  EXPECT_EQ(kept_, (std::vector<Kept>{first[0], first[1], second[0]}));
  EXPECT_TRUE(scanned.damage.empty());
  EXPECT_EQ(scanned.cut_bytes, 0u);
}

TEST_F(Disk, CommitsGoOnInTheNextFileAndInOneOfTheirOwn) {
  open();
  std::vector<Kept> written;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const Kept frame{1, i, std::string(i == 20 ? 100'000 : 5'000, static_cast<char>('a' + i % 26))};
    ASSERT_TRUE(commit({frame}));
    written.push_back(frame);
  }
  EXPECT_GT(writer_->generation().get(), 3u);
  recover();
  EXPECT_EQ(kept_, written);
}

TEST_F(Disk, ATornTailIsCutAndStaysCut) {
  open();
  ASSERT_TRUE(commit({{1, 0, "kept"}}));
  ASSERT_TRUE(commit({{1, 1, "torn"}}));
  // The last commit is not known by any later one to be on disk: a bad byte in it is a write that did not end.
  corrupt(file_path(kDirectory, Generation{1}), kFileHeadBytes + 512 + kCommitHeadBytes + kFrameHeadBytes);
  const Scanned scanned = recover();
  EXPECT_EQ(kept_, (std::vector<Kept>{{1, 0, "kept"}}));
  EXPECT_TRUE(scanned.damage.empty());
  EXPECT_EQ(scanned.cut_bytes, 512u);

  open();
  ASSERT_TRUE(commit({{1, 1, "after"}}));
  const Scanned again = recover();
  EXPECT_EQ(kept_, (std::vector<Kept>{{1, 0, "kept"}, {1, 1, "after"}}));
  EXPECT_TRUE(again.damage.empty());
}

TEST_F(Disk, ABadFrameBelowWhatWasSyncedIsNamedAsDamage) {
  open();
  ASSERT_TRUE(commit({{7, 3, "lost"}, {8, 0, "beside"}}));
  ASSERT_TRUE(commit({{7, 4, "after"}}));
  const std::uint64_t payload = kFileHeadBytes + kCommitHeadBytes + kFrameHeadBytes;
  corrupt(file_path(kDirectory, Generation{1}), payload);
  const Scanned scanned = recover();
  EXPECT_EQ(kept_, (std::vector<Kept>{{8, 0, "beside"}, {7, 4, "after"}}));
  ASSERT_EQ(scanned.damage.size(), 1u);
  EXPECT_EQ(scanned.damage[0].file, file_path(kDirectory, Generation{1}));
  EXPECT_EQ(scanned.damage[0].offset, payload);
  EXPECT_EQ(scanned.damage[0].hides, "records 3 to 3 of log 7");
}

TEST_F(Disk, ABadCommitHeadBelowWhatWasSyncedHidesItsCommitAndNoMore) {
  open();
  for (std::uint64_t i = 0; i < 3; ++i) ASSERT_TRUE(commit({{1, i, "x"}}));
  corrupt(file_path(kDirectory, Generation{1}), kFileHeadBytes + 512 + 20);
  const Scanned scanned = recover();
  EXPECT_EQ(kept_, (std::vector<Kept>{{1, 0, "x"}, {1, 2, "x"}}));
  ASSERT_EQ(scanned.damage.size(), 1u);
  EXPECT_EQ(scanned.damage[0].offset, kFileHeadBytes + 512);
  EXPECT_EQ(scanned.damage[0].bytes, 512u);
}

TEST_F(Disk, DamageInACommitThatSaysMoreThanItHoldsEndsWithIt) {
  open();
  ASSERT_TRUE(commit({{1, 0, std::string(380, 'x')}}));  // and padding, which could be a head
  ASSERT_TRUE(commit({{1, 1, "y"}}));
  const Lsn at = make_lsn(Generation{1}, kFileHeadBytes);
  auto file = files_->open_writable(file_path(kDirectory, Generation{1}));
  const auto change = [&](auto&& how) {
    CommitHead head = *decode_commit_head(*(*file)->read_at(kFileHeadBytes, kCommitHeadBytes), at);
    how(head);
    std::string bytes(kCommitHeadBytes, '\0');
    encode_commit_head(head, at, bytes.data());
    const ByteView pieces[] = {bytes};
    ASSERT_TRUE((*file)->write_at(kFileHeadBytes, pieces));
  };
  change([](CommitHead& head) { head.frames = 2; });
  Scanned scanned = recover();
  EXPECT_EQ(kept_.size(), 2u);
  ASSERT_EQ(scanned.damage.size(), 1u);
  EXPECT_EQ(scanned.damage[0].offset, kFileHeadBytes + 512);
  EXPECT_EQ(scanned.damage[0].bytes, 0u);

  // Its frame is longer than it.
  change([](CommitHead& head) {
    head.frames = 1;
    head.bytes = 128;
  });
  scanned = recover();
  EXPECT_EQ(kept_, (std::vector<Kept>{{1, 1, "y"}}));
  ASSERT_FALSE(scanned.damage.empty());
  EXPECT_EQ(scanned.damage[0].offset, kFileHeadBytes + kCommitHeadBytes);
  EXPECT_EQ(scanned.damage[0].bytes, 128u);
}

TEST_F(Disk, DamageAtTheEndOfAFileThatWasCutAtAnOddPlaceBeginsInTheFile) {
  open();
  ASSERT_TRUE(commit({{1, 0, std::string(1'000, 'x')}}));
  const auto path = file_path(kDirectory, Generation{1});
  const std::string whole = *files_->read_all(path, 1u << 20);
  open();
  ASSERT_TRUE(commit({{1, 1, "y"}}));
  auto file = files_->create(path);
  const ByteView pieces[] = {ByteView(whole).substr(0, kFileHeadBytes + 701)};
  ASSERT_TRUE((*file)->append(pieces));
  const Scanned scanned = recover();
  ASSERT_FALSE(scanned.damage.empty());
  for (const Damage& damage : scanned.damage) EXPECT_LE(damage.offset, kFileHeadBytes + 701);
}

TEST_F(Disk, WithNoNumberLeftForAFileItDoesNotBeginAnew) {
  ASSERT_TRUE(begin_behind(*files_, kDirectory, Generation{kGenerationMax.get() - 1}, 0));
  open();
  ASSERT_TRUE(commit({{1, 0, "x"}}));
  const Scanned scanned = recover();
  EXPECT_EQ(scanned.last, kGenerationMax);
  Shelf::Options shelf;
  shelf.directory = kDirectory;
  shelf_.emplace(*files_, shelf, scanned);
  Writer::Options options;
  options.directory = kDirectory;
  options.file_bytes = 64 * 1024;
  Writer writer(*files_, options, *shelf_, scanned);
  for (int i = 0; i < 3; ++i) {
    const auto begun = writer.begin(scanned, 0);
    ASSERT_FALSE(begun);
    EXPECT_EQ(begun.error().code, Errc::write_failed);
  }
  recover();
  EXPECT_EQ(kept_.size(), 1u);
}

TEST_F(Disk, AFileOfAnUnknownFormatIsRefused) {
  open();
  ASSERT_TRUE(commit({{1, 0, "x"}}));
  const auto path = file_path(kDirectory, Generation{1});
  std::string head(kFileHeadBytes, '\0');
  FileHead unknown;
  unknown.version = 9;
  unknown.generation = Generation{1};
  encode_file_head(unknown, head.data());
  auto file = files_->open_writable(path);
  const ByteView pieces[] = {head};
  ASSERT_TRUE((*file)->write_at(0, pieces));
  const auto scanned = scan(*files_, kDirectory, [](const Frame&, ByteView, Lsn) {});
  ASSERT_FALSE(scanned);
  EXPECT_EQ(scanned.error().code, Errc::unknown_format);
  EXPECT_EQ(scanned.error().detail, path.native() + ": format version 9; this program knows versions 1 to 3");
}

TEST_F(Disk, AFailedCommitNeverComesBack) {
  for (const std::string_view failing : {"write", "fsync"}) {
    SCOPED_TRACE(failing);
    ASSERT_TRUE(files_->remove_all(kDirectory));
    ASSERT_TRUE(files_->make_directories(kDirectory));
    open();
    ASSERT_TRUE(commit({{1, 0, "a"}}));
    files_->on_change([&](std::string_view call, const std::filesystem::path&) { return call == failing ? EIO : 0; });
    EXPECT_FALSE(commit({{1, 1, "failed"}}));
    files_->on_change(nullptr);
    ASSERT_TRUE(commit({{1, 2, "b"}}));
    const Scanned scanned = recover();
    EXPECT_EQ(kept_, (std::vector<Kept>{{1, 0, "a"}, {1, 2, "b"}}));
    EXPECT_TRUE(scanned.damage.empty());
  }
}

// A frame of one record of one byte, its commit's head before it.
constexpr std::uint64_t kSmallCommit = kCommitHeadBytes + kFrameHeadBytes + 8;

TEST_F(Disk, WithoutSyncWhatAFileLostAtItsEndEndsTheJournal) {
  for (const bool rolled : {false, true}) {
    SCOPED_TRACE(rolled ? "full" : "a commit failed");
    ASSERT_TRUE(files_->remove_all(kDirectory));
    ASSERT_TRUE(files_->make_directories(kDirectory));
    open({.sync = false});
    ASSERT_TRUE(commit({{1, 0, "a"}}));
    ASSERT_TRUE(commit({{1, 1, "b"}}));
    if (!rolled) {
      files_->on_change([](std::string_view call, const std::filesystem::path&) { return call == "write" ? EIO : 0; });
      EXPECT_FALSE(commit({{1, 2, "failed"}}));
      files_->on_change(nullptr);
    }
    ASSERT_TRUE(commit({{1, 3, std::string(rolled ? 61'000 : 1, 'c')}}));
    ASSERT_GT(writer_->generation(), Generation{1});
    recover_both();
    EXPECT_EQ(kept_.size(), 3u);
    blank(Generation{1}, kFileHeadBytes + kSmallCommit, kFileHeadBytes + 2 * kSmallCommit);
    const Scanned scanned = recover_both();
    EXPECT_EQ(kept_, (std::vector<Kept>{{1, 0, "a"}}));
    EXPECT_TRUE(scanned.damage.empty());
    EXPECT_EQ(scanned.end, make_lsn(Generation{1}, kFileHeadBytes + kSmallCommit));
    EXPECT_GT(scanned.cut_bytes, 0u);

    open({.sync = false});
    ASSERT_TRUE(commit({{1, 4, "d"}}));
    EXPECT_TRUE(recover_both().damage.empty());
    EXPECT_EQ(kept_, (std::vector<Kept>{{1, 0, "a"}, {1, 4, "d"}}));
  }
}

TEST_F(Disk, WithoutSyncAFileMayBeLostWhole) {
  open({.sync = false});
  ASSERT_TRUE(commit({{1, 0, "a"}}));
  for (std::uint64_t i = 1; i < 3; ++i) ASSERT_TRUE(commit({{1, i, std::string(61'000, 'x')}}));
  ASSERT_EQ(writer_->generation(), Generation{3});
  blank(Generation{2}, kFileHeadBytes, 128 * 1024);
  EXPECT_TRUE(recover_both().damage.empty());
  EXPECT_EQ(kept_, (std::vector<Kept>{{1, 0, "a"}}));
}

TEST_F(Disk, WhatAFileLostAtItsEndBelowWhatWasSyncedIsDamage) {
  open({.sync = false});
  ASSERT_TRUE(commit({{1, 0, "a"}}));
  ASSERT_TRUE(commit({{1, 1, "b"}}));
  const Kept large{1, 2, std::string(61'000, 'c')};
  ASSERT_TRUE(commit({large}));
  ASSERT_TRUE(writer_->sync_written());
  ASSERT_TRUE(commit({{1, 3, "d"}}));
  blank(Generation{1}, kFileHeadBytes + kSmallCommit, kFileHeadBytes + 2 * kSmallCommit);
  const Scanned scanned = recover_both();
  ASSERT_EQ(scanned.damage.size(), 1u);
  EXPECT_EQ(scanned.damage[0].file, file_path(kDirectory, Generation{1}));
  EXPECT_EQ(scanned.damage[0].offset, kFileHeadBytes + kSmallCommit);
  EXPECT_EQ(scanned.damage[0].bytes, kSmallCommit);
  EXPECT_EQ(kept_, (std::vector<Kept>{{1, 0, "a"}, large, {1, 3, "d"}}));
}

TEST_F(Disk, WithoutSyncAFileWhoseSyncFailedIsWrittenAgainBeforeLaterOnesAreCalledSynced) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    files_ = make_memory_files(options_);
    ASSERT_TRUE(files_->make_directories(kDirectory));
    ASSERT_TRUE(files_->sync_directory("/"));
    const auto random = make_seeded_random(seed);
    open({.sync = false});
    const std::vector<Kept> all{{1, 0, "a"}, {1, 1, std::string(600, 'b')}, {1, 2, "c"}, {1, 3, "d"}};
    ASSERT_TRUE(commit({all[0]}));
    ASSERT_TRUE(commit({all[1]}));
    const bool passes = seed % 2 == 0;
    files_->on_change([&](std::string_view call, const std::filesystem::path& path) {
      return call == "fsync" && path.native().find("00000001") != std::string::npos ? EIO : 0;
    });
    EXPECT_FALSE(writer_->sync_written());
    ASSERT_TRUE(commit({all[2]}));
    ASSERT_EQ(writer_->generation(), Generation{2});
    EXPECT_FALSE(writer_->sync_written()) << "the file before is not on disk";
    if (passes) files_->on_change(nullptr);
    EXPECT_EQ(writer_->sync_written(), passes);
    ASSERT_TRUE(commit({all[3]}));
    files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
    files_->lose_power(*random);
    files_->on_change(nullptr);
    EXPECT_TRUE(recover_both().damage.empty());
    EXPECT_GE(kept_.size(), passes ? 3u : 0u);
    ASSERT_LE(kept_.size(), 4u);
    EXPECT_TRUE(std::equal(kept_.begin(), kept_.end(), all.begin())) << "what is lost is a tail";
  }
}

TEST_F(Disk, TheNewestFileStaysSoThatItsNumberIsNotGivenAgain) {
  open();
  ASSERT_TRUE(commit({{1, 0, "a"}}));
  for (int life = 0; life < 3; ++life) {
    open();
    const Generation newest = writer_->generation();
    files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
    EXPECT_FALSE(commit({{1, 1, "failed"}}));
    files_->on_change(nullptr);
    shelf_->reap();
    open();
    EXPECT_GT(writer_->generation(), newest);
  }
}

TEST_F(Disk, AFullDiskIsToldApartAndPasses) {
  open();
  files_->on_change([&](std::string_view call, const std::filesystem::path&) { return call == "write" ? ENOSPC : 0; });
  std::vector<OutFrame> none;
  const auto full = writer_->commit(none, 0);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Errc::full);
  files_->on_change(nullptr);
  EXPECT_TRUE(commit({{1, 0, "a"}}));
}

TEST_F(Disk, DirectCommitsLieOnSectorsWhetherSyncedOrNot) {
  for (const bool sync : {true, false}) {
    SCOPED_TRACE(sync);
    files_ = make_memory_files(options_);
    ASSERT_TRUE(files_->make_directories(kDirectory));
    open({.sync = sync, .direct_from = 0});
    const std::vector<Kept> all{
        {1, 0, "a"}, {2, 0, std::string(700, 'b')}, {1, 1, std::string(40'000, 'c')}, {1, 2, ""}};
    ASSERT_TRUE(commit({all[0], all[1]}));
    ASSERT_TRUE(commit({all[2]}));
    ASSERT_TRUE(commit({all[3]}));
    writer_->close(true);
    const Scanned scanned = recover();
    EXPECT_EQ(kept_, all);
    EXPECT_TRUE(scanned.damage.empty());
    EXPECT_EQ(offset_of(scanned.end) % kDirectBytes, 0u);
  }
}

TEST_F(Disk, ALargeCommitGoesDirectlyBehindSmallOnes) {
  constexpr std::uint64_t kFrom = 4'000;
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    files_ = make_memory_files(options_);
    ASSERT_TRUE(files_->make_directories(kDirectory));
    open({.sync = false, .direct_from = kFrom});
    const auto random = make_seeded_random(seed);
    std::vector<Kept> all;
    for (int i = 0; i < 12; ++i) {
      const std::size_t size = random->next() % 3 == 0 ? kFrom + random->next() % 5'000 : random->next() % 700;
      all.push_back({1, all.size(), std::string(size, static_cast<char>('a' + i))});
      ASSERT_TRUE(commit({all.back()}));
      recover();
      ASSERT_EQ(kept_, all);
    }
  }
}

TEST_F(Disk, ALargeDirectCommitIsWrittenInPiecesAndFailsAsOne) {
  std::vector<Kept> frames;
  for (std::uint64_t i = 0; i < 5; ++i) frames.push_back({1, i, std::string(600'000, static_cast<char>('a' + i))});
  bool failed = true;
  for (int at = 0; failed; ++at) {
    SCOPED_TRACE(at);
    files_ = make_memory_files(options_);
    ASSERT_TRUE(files_->make_directories(kDirectory));
    ASSERT_TRUE(files_->sync_directory("/"));
    open({.direct_from = 0});
    ASSERT_TRUE(commit({{1, 100, "before"}}));
    const auto calls = std::make_shared<std::atomic<int>>(0);
    files_->on_change(
        [calls, at](std::string_view, const std::filesystem::path&) { return (*calls)++ == at ? EIO : 0; });
    failed = !commit(frames);
    files_->on_change(nullptr);
    if (!failed) {
      EXPECT_GT(at, 5) << "pieces, the rest and the sync";
      std::vector<Kept> all = frames;
      all.insert(all.begin(), {1, 100, "before"});
      recover();
      EXPECT_EQ(kept_, all);
      continue;
    }
    ASSERT_TRUE(commit({{1, 200, "after"}}));
    recover();
    EXPECT_EQ(kept_, (std::vector<Kept>{{1, 100, "before"}, {1, 200, "after"}}));
  }
}

TEST_F(Disk, ZerosAreNeverWrittenToAFileThatCommitsGoTo) {
  files_ = make_memory_files();
  ASSERT_TRUE(files_->make_directories(kDirectory));
  open();
  std::atomic<bool> stop{false};
  std::thread ahead([&] {
    while (!stop) (void)writer_->work_ahead();
  });
  std::vector<Kept> all;
  for (std::uint64_t i = 0; i < 3'000; ++i) {
    all.push_back({1, i, std::string(20'000, 'a')});
    if (!commit({all.back()})) break;
    if (i % 3 == 0) (void)writer_->prepare(0);
  }
  stop = true;
  ahead.join();
  const Scanned scanned = recover();
  EXPECT_TRUE(scanned.damage.empty()) << scanned.damage[0].hides;
  EXPECT_EQ(kept_.size(), 3'000u);
  EXPECT_TRUE(kept_ == all);
}

TEST_F(Disk, WhatAFileSystemRefusesToTakeDirectlyGoesThroughItsMemory) {
  open({.direct_from = 0});
  int refused = 0;
  files_->on_change([&](std::string_view call, const std::filesystem::path&) {
    return call == "write" && refused++ == 0 ? EINVAL : 0;
  });
  const std::vector<Kept> all{{1, 0, "a"}, {1, 1, "b"}};
  ASSERT_TRUE(commit({all[0]}));
  ASSERT_TRUE(commit({all[1]}));
  EXPECT_EQ(refused, 3) << "it was tried once only";
  recover_both();
  EXPECT_EQ(kept_, all);
}

/// A life of a journal with an index, in one thread: rolls, footers, drops, a file used again, a failure.
class EveryCall : public Disk {
 protected:
  /// Until a call fails for good. Gives what was kept.
  void live() {
    Shelf::Options shelf;
    shelf.directory = kDirectory;
    shelf.file_bytes = 16 * 1024;
    shelf.index = true;
    const auto scanned = scan_index(*files_, kDirectory);
    ASSERT_TRUE(scanned);
    Writer::Options options;
    options.directory = kDirectory;
    options.file_bytes = shelf.file_bytes;
    options.direct_from = direct_from_;
    writer_.reset();
    shelf_.emplace(*files_, shelf, *scanned);
    writer_.emplace(*files_, options, *shelf_, *scanned);
    if (!writer_->begin(*scanned, 0)) return;
    for (std::uint64_t i = 0; i < 30; ++i) {
      const Kept frame{i % 2, next_, std::string(1'500, static_cast<char>('a' + i % 26))};
      const Generation before = writer_->generation();
      ++next_;
      if (commit({frame})) {
        settled_.push_back(frame);
        maybe_.clear();
      } else {
        maybe_.push_back(frame);
      }
      if (writer_->generation() == before) continue;
      if (writer_->generation().get() % 3 == 0) drop(before);
      shelf_->write_footers();
      shelf_->reap();
      (void)writer_->prepare(0);
      while (writer_->work_ahead()) {
      }
    }
    writer_->close(true);
  }
  void drop(Generation file) {
    shelf_->drop(file);
    dropped_.insert(file);
  }
  void check(std::uint64_t seed) {
    const auto scanned = scan_index(*files_, kDirectory);
    ASSERT_TRUE(scanned) << scanned.error().detail;
    ASSERT_TRUE(scanned->damage.empty()) << scanned->damage[0].hides;
    EXPECT_TRUE(scanned->complete);
    Shelf::Options options;
    options.directory = kDirectory;
    Shelf shelf(*files_, options, *scanned);
    std::vector<Kept> found;
    for (const Part& part : scanned->parts) {
      const auto places = shelf.places(part.file, part.log, part.base, UINT64_MAX);
      if (!places && places.error().code == Errc::gone) continue;  // nothing but a file that nothing was in
      ASSERT_TRUE(places) << places.error().detail;
      for (const Place& place : *places) {
        if (place.frame.base >= part.base + part.count) break;
        std::string payload(place.frame.length, '\0');
        std::size_t whole = 0;
        const auto done = shelf.read(std::span(&place, 1), payload, &whole);
        ASSERT_TRUE(done) << done.error().detail;
        found.push_back({part.log, place.frame.base, payload});
        file_of_[place.frame.base] = part.file;
      }
    }
    const auto in = [](const std::vector<Kept>& all, const Kept& one) {
      return std::find(all.begin(), all.end(), one) != all.end();
    };
    for (const Kept& one : found)
      EXPECT_TRUE(in(settled_, one) || in(maybe_, one)) << "invented: " << one.base << " seed " << seed;
    std::vector<Kept> left;
    for (const Kept& one : settled_) {
      if (in(found, one)) continue;
      EXPECT_TRUE(file_of_.contains(one.base) ? dropped_.contains(file_of_[one.base]) : !dropped_.empty())
          << "lost: " << one.base << " seed " << seed;
    }
    settled_ = found;
  }
  void start_anew() {
    writer_.reset();
    files_ = make_memory_files(options_);
    ASSERT_TRUE(files_->make_directories(kDirectory));
    ASSERT_TRUE(files_->sync_directory("/"));
    settled_.clear();
    maybe_.clear();
    dropped_.clear();
    file_of_.clear();
    next_ = 0;
  }

  std::vector<Kept> settled_, maybe_;
  std::map<std::uint64_t, Generation> file_of_;
  std::set<Generation> dropped_;
  std::uint64_t next_ = 0;
  std::uint64_t direct_from_ = UINT64_MAX;
};

TEST_F(EveryCall, MayBeTheLastBeforeThePowerGoes) {
  bool ended = false;
  for (std::uint64_t at = 0; !ended && !HasFailure(); ++at) {
    for (std::uint64_t seed = 1; seed <= 2; ++seed) {
      SCOPED_TRACE("call " + std::to_string(at) + ", seed " + std::to_string(seed));
      start_anew();
      const auto random = make_seeded_random(seed * 1'000 + at);
      direct_from_ = seed == 2 ? 0 : at % 2 ? UINT64_MAX : 1'000;
      live();
      maybe_.clear();
      std::uint64_t calls = 0;
      files_->on_change([&](std::string_view, const std::filesystem::path&) { return calls++ >= at ? EIO : 0; });
      live();
      ended = calls < at;
      files_->lose_power(*random);
      files_->on_change(nullptr);
      check(seed);
      maybe_.clear();
      live();  // what was found is good to go on from
      check(seed);
      if (HasFailure()) return;
    }
  }
}

TEST_F(EveryCall, MayFailAlone) {
  bool ended = false;
  for (std::uint64_t at = 0; !ended && !HasFailure(); ++at) {
    for (const int failure : {EIO, ENOSPC}) {
      SCOPED_TRACE("call " + std::to_string(at) + (failure == EIO ? ", EIO" : ", ENOSPC"));
      start_anew();
      const auto random = make_seeded_random(at);
      direct_from_ = at % 2 != 0 ? 0 : UINT64_MAX;
      live();
      maybe_.clear();
      std::uint64_t calls = 0;
      files_->on_change([&](std::string_view, const std::filesystem::path&) { return calls++ == at ? failure : 0; });
      live();
      ended = calls <= at;
      files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
      files_->lose_power(*random);
      files_->on_change(nullptr);
      check(at);
      if (HasFailure()) return;
    }
  }
}

/// Commits, failures of single calls and losses of power, at random: what was acknowledged is there, in order, and
/// nothing else but what was under way.
TEST_F(Disk, NothingAcknowledgedIsLostAndNothingIsInvented) {
  constexpr std::uint64_t kSeeds = 100;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    files_ = make_memory_files(options_);
    ASSERT_TRUE(files_->make_directories(kDirectory));
    ASSERT_TRUE(files_->sync_directory("/"));
    const auto random = make_seeded_random(seed);
    std::vector<Kept> acknowledged;
    std::uint64_t position = 0;
    for (int life = 0; life < 6; ++life) {
      open({.direct_from = std::array<std::uint64_t, 3>{UINT64_MAX, 0, 2'000}[seed % 3]});
      std::vector<std::vector<Kept>> failed;  // since the last commit that succeeded
      const std::uint64_t commits = random->next() % 12;
      for (std::uint64_t i = 0; i < commits; ++i) {
        std::vector<Kept> frames;
        for (std::uint64_t k = random->next() % 4; k-- > 0;) {
          std::string payload(random->next() % (random->next() % 8 ? 300 : 9'000), static_cast<char>(random->next()));
          frames.push_back({random->next() % 3, position++, std::move(payload)});
        }
        const std::uint64_t fault_at = random->next() % 16;
        std::uint64_t calls = 0;
        files_->on_change([&](std::string_view, const std::filesystem::path&) {
          return calls++ == fault_at ? (fault_at % 2 ? EIO : ENOSPC) : 0;
        });
        const bool committed = commit(frames);
        files_->on_change(nullptr);
        if (committed) {
          acknowledged.insert(acknowledged.end(), frames.begin(), frames.end());
          failed.clear();
        } else {
          failed.push_back(frames);
        }
      }
      files_->lose_power(*random);
      const Scanned scanned = recover();
      ASSERT_TRUE(scanned.damage.empty()) << scanned.damage[0].hides;
      // A commit that failed may have come to the disk before the power went, if none after it succeeded: then it
      // counts from now on.
      bool as_it_should = kept_ == acknowledged;
      for (const std::vector<Kept>& commit : failed) {
        std::vector<Kept> with = acknowledged;
        with.insert(with.end(), commit.begin(), commit.end());
        as_it_should = as_it_should || kept_ == with;
      }
      ASSERT_TRUE(as_it_should) << kept_.size() << " kept, " << acknowledged.size() << " acknowledged";
      acknowledged = kept_;
    }
  }
}

}  // namespace
}  // namespace millrace::journal
