#include "journal/writer.hpp"

#include <gtest/gtest.h>

#include <cerrno>

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
    writer_.emplace(*files_, options, scanned.last, scanned.end);
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

TEST_F(Disk, AFileOfAnUnknownFormatIsRefused) {
  open();
  ASSERT_TRUE(commit({{1, 0, "x"}}));
  const auto path = file_path(kDirectory, Generation{1});
  std::string head(kFileHeadBytes, '\0');
  FileHead unknown;
  unknown.version = 2;
  unknown.generation = Generation{1};
  encode_file_head(unknown, head.data());
  auto file = files_->open_writable(path);
  const ByteView pieces[] = {head};
  ASSERT_TRUE((*file)->write_at(0, pieces));
  const auto scanned = scan(*files_, kDirectory, [](const Frame&, ByteView, Lsn) {});
  ASSERT_FALSE(scanned);
  EXPECT_EQ(scanned.error().code, Errc::unknown_format);
  EXPECT_EQ(scanned.error().detail, path.native() + ": format version 2; this program knows version 1");
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
      open();
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
