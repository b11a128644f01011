#include "millrace/base/files.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <thread>

#include "millrace/base/random.hpp"
#include "support/run.hpp"

namespace millrace {
namespace {

namespace fs = std::filesystem;

/// The same cases on the disk and in memory.
class FilesContract : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (GetParam() == std::string("system")) {
      std::string pattern = (fs::temp_directory_path() / "millrace-files-XXXXXX").native();
      ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
      root_ = pattern;
      files_ = make_system_files();
    } else {
      root_ = "/root";
      files_ = make_memory_files();
      ASSERT_TRUE(files_->make_directories(root_));
    }
  }
  void TearDown() override {
    if (files_) {
      EXPECT_TRUE(files_->remove_all(root_));
    }
  }

  void write(const fs::path& path, std::string_view text) {
    auto file = files_->create(path);
    ASSERT_TRUE(file) << file.error().detail;
    const ByteView pieces[] = {text};
    ASSERT_TRUE((*file)->append(pieces));
  }
  std::string read(const fs::path& path) {
    auto bytes = files_->read_all(path, 16 << 20);
    return bytes ? *bytes : "(" + bytes.error().detail + ")";
  }
  template <class R>
  static int errno_of(const R& result) {
    return result ? 0 : result.error().error_number;
  }

  fs::path root_;
  std::unique_ptr<Files> files_;
};

TEST_P(FilesContract, AFileIsWrittenInPlaceAndGrows) {
  write(root_ / "a", "0123456789");
  auto file = files_->open_writable(root_ / "a");
  ASSERT_TRUE(file) << file.error().detail;
  const ByteView inside[] = {"ab", "", "c"};
  ASSERT_TRUE((*file)->write_at(2, inside));
  const ByteView behind[] = {"end"};
  ASSERT_TRUE((*file)->write_at(12, behind));
  ASSERT_TRUE((*file)->sync(true));
  EXPECT_EQ(*(*file)->size(), 15u);
  EXPECT_EQ(read(root_ / "a"), std::string("01abc56789\0\0end", 15));
  EXPECT_EQ(errno_of(files_->open_writable(root_ / "none")), ENOENT);
}

TEST_P(FilesContract, AppendingGoesOnWhereItWasWhateverIsWrittenInPlace) {
  auto file = files_->create(root_ / "a");
  ASSERT_TRUE(file);
  const ByteView one[] = {"aaaa"}, two[] = {"bb"}, place[] = {"X"};
  ASSERT_TRUE((*file)->append(one));
  ASSERT_TRUE((*file)->write_at(0, place));
  ASSERT_TRUE((*file)->append(two));
  EXPECT_EQ(read(root_ / "a"), "Xaaabb");
}

TEST_P(FilesContract, AppendedPiecesAreReadBack) {
  auto file = files_->create(root_ / "a");
  ASSERT_TRUE(file);
  std::vector<std::string> texts;
  std::string whole;
  for (int i = 0; i < 200; ++i) {  // more than one writev takes; some of them empty
    texts.push_back(i % 5 == 0 ? "" : "piece " + std::to_string(i) + ";");
    whole += texts.back();
  }
  const std::vector<ByteView> pieces(texts.begin(), texts.end());
  ASSERT_TRUE((*file)->append(pieces));
  ASSERT_TRUE((*file)->append({}));
  const ByteView more[] = {"end"};
  ASSERT_TRUE((*file)->append(more));
  ASSERT_TRUE((*file)->sync());
  EXPECT_EQ(read(root_ / "a"), whole + "end");
  EXPECT_EQ(*(*file)->read_at(whole.size(), 100), "end");
  EXPECT_EQ(*(*file)->read_at(whole.size() + 3, 100), "");
  EXPECT_EQ(*(*file)->read_at(0, 0), "");
}

TEST_P(FilesContract, PiecesAreFilledFromAnyPlaceUpToTheEnd) {
  std::string text;
  for (int i = 0; i < 4'000; ++i) text += static_cast<char>('a' + i % 26);
  write(root_ / "a", text);
  auto file = files_->open(root_ / "a");
  ASSERT_TRUE(file);
  std::string got(3'000, '.');
  std::vector<std::span<char>> pieces;
  for (std::size_t at = 0; at < got.size(); at += 10) {  // more than one preadv takes; every other one empty
    pieces.emplace_back(got.data() + at, 10);
    pieces.emplace_back(got.data(), 0);
  }
  (*file)->will_read(500, 3'000);
  EXPECT_EQ(*(*file)->read_into(500, pieces), 3'000u);
  EXPECT_EQ(got, text.substr(500, 3'000));
  EXPECT_EQ(*(*file)->read_into(3'990, pieces), 10u);
  EXPECT_EQ(got, text.substr(3'990) + text.substr(510, 2'990));
  EXPECT_EQ(*(*file)->read_into(4'000, pieces), 0u);
  EXPECT_EQ(*(*file)->read_into(0, {}), 0u);
}

TEST_P(FilesContract, AllocatedRoomReadsAsZerosAndKeepsWhatIsThere) {
  write(root_ / "a", "text");
  auto file = files_->open_writable(root_ / "a");
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->allocate(10'000));
  EXPECT_EQ(*(*file)->size(), 10'000u);
  ASSERT_TRUE((*file)->allocate(5'000));
  EXPECT_EQ(*(*file)->size(), 10'000u);
  EXPECT_EQ(read(root_ / "a"), "text" + std::string(9'996, '\0'));
  EXPECT_EQ(errno_of((*files_->open(root_ / "a"))->allocate(20'000)), EBADF);
}

TEST_P(FilesContract, WritesPastTheSystemsMemoryWhatLiesOnSectors) {
  write(root_ / "a", std::string(2'000, 'a'));
  auto file = files_->open_direct(root_ / "a");
  if (!file && GetParam() == std::string("system")) {
    EXPECT_EQ(file.error().error_number, EINVAL);
    GTEST_SKIP() << "the file system of " << root_ << " does not say that it can";
  }
  ASSERT_TRUE(file) << file.error().detail;
  alignas(kDirectMemory) static char memory[2 * kDirectMemory];
  std::fill(std::begin(memory), std::end(memory), 'b');
  const ByteView pieces[] = {{memory, 3 * kDirectBytes}};
  ASSERT_TRUE((*file)->write_at(2 * kDirectBytes, pieces));
  ASSERT_TRUE((*file)->sync(true));
  EXPECT_EQ(read(root_ / "a"), std::string(1'024, 'a') + std::string(1'536, 'b'));
  EXPECT_EQ(errno_of((*file)->write_at(1, pieces)), EINVAL);
  const ByteView odd[] = {{memory, 100}};
  EXPECT_EQ(errno_of((*file)->write_at(0, odd)), EINVAL);
}

TEST_P(FilesContract, CreateTruncatesWhatIsThere) {
  write(root_ / "a", "long text");
  write(root_ / "a", "short");
  EXPECT_EQ(read(root_ / "a"), "short");
}

TEST_P(FilesContract, AnErrorKeepsErrnoAndNamesCallAndPath) {
  auto missing = files_->open(root_ / "none");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().error_number, ENOENT);
  EXPECT_EQ(missing.error().detail, "open " + (root_ / "none").native() + ": No such file or directory");
  EXPECT_EQ(errno_of(files_->create(root_ / "no" / "parent")), ENOENT);
  write(root_ / "file", "x");
  EXPECT_EQ(errno_of(files_->create(root_ / "file" / "below")), ENOTDIR);
  EXPECT_EQ(errno_of(files_->make_directories(root_ / "file" / "below")), ENOTDIR);
  EXPECT_EQ(errno_of(files_->make_directories(root_ / "file")), ENOTDIR);
  EXPECT_EQ(errno_of(files_->create(root_)), EISDIR);
  EXPECT_EQ(errno_of(files_->rename(root_ / "none", root_ / "b")), ENOENT);
  EXPECT_EQ(errno_of(files_->remove(root_ / "none")), ENOENT);
  EXPECT_EQ(errno_of(files_->list(root_ / "none")), ENOENT);
  EXPECT_EQ(errno_of(files_->list(root_ / "file")), ENOTDIR);
  EXPECT_EQ(errno_of(files_->sync_directory(root_ / "none")), ENOENT);
}

TEST_P(FilesContract, OpenedFileCannotBeWritten) {
  write(root_ / "a", "x");
  auto file = files_->open(root_ / "a");
  ASSERT_TRUE(file);
  const ByteView pieces[] = {"y"};
  EXPECT_EQ(errno_of((*file)->append(pieces)), EBADF);
  EXPECT_EQ(*(*file)->read_at(0, 10), "x");
}

TEST_P(FilesContract, RenameReplacesAndMovesDirectoriesWhole) {
  write(root_ / "a", "new");
  write(root_ / "b", "old");
  ASSERT_TRUE(files_->rename(root_ / "a", root_ / "b"));
  EXPECT_EQ(read(root_ / "b"), "new");
  EXPECT_EQ(*files_->kind(root_ / "a"), Files::Kind::none);
  ASSERT_TRUE(files_->make_directories(root_ / "d" / "e"));
  write(root_ / "d" / "e" / "f", "deep");
  ASSERT_TRUE(files_->rename(root_ / "d", root_ / "g"));
  EXPECT_EQ(read(root_ / "g" / "e" / "f"), "deep");
  EXPECT_EQ(errno_of(files_->rename(root_ / "b", root_ / "g")), EISDIR);
  EXPECT_EQ(errno_of(files_->rename(root_ / "g", root_ / "g" / "e" / "h")), EINVAL);
}

TEST_P(FilesContract, ALinkIsASecondNameOfTheSameBytes) {
  write(root_ / "a", "old bytes");
  EXPECT_EQ(*files_->names_of(root_ / "a"), 1u);
  ASSERT_TRUE(files_->link(root_ / "a", root_ / "b"));
  EXPECT_EQ(*files_->names_of(root_ / "a"), 2u);
  EXPECT_EQ(*files_->names_of(root_ / "b"), 2u);
  const ByteView piece[] = {"new"};
  ASSERT_TRUE((*files_->open_writable(root_ / "a"))->write_at(0, piece));
  EXPECT_EQ(read(root_ / "b"), "new bytes");
  EXPECT_EQ(errno_of(files_->link(root_ / "a", root_ / "b")), EEXIST);
  EXPECT_EQ(errno_of(files_->link(root_ / "none", root_ / "c")), ENOENT);
  EXPECT_EQ(errno_of(files_->link(root_ / "a", root_ / "none" / "c")), ENOENT);
  ASSERT_TRUE(files_->remove(root_ / "a"));
  EXPECT_EQ(*files_->names_of(root_ / "b"), 1u);
  EXPECT_EQ(read(root_ / "b"), "new bytes");
  EXPECT_EQ(errno_of(files_->names_of(root_ / "a")), ENOENT);
}

TEST_P(FilesContract, ACopyHasTheFirstBytesOrAllOfThem) {
  const std::string text(3u << 20, 'x');
  write(root_ / "a", text);
  ASSERT_TRUE(copy_file(*files_, root_ / "a", root_ / "all"));
  EXPECT_EQ(read(root_ / "all"), text);
  ASSERT_TRUE(copy_file(*files_, root_ / "a", root_ / "part", (1u << 20) + 7));
  EXPECT_EQ(read(root_ / "part"), text.substr(0, (1u << 20) + 7));
  EXPECT_EQ(*files_->names_of(root_ / "a"), 1u);
  EXPECT_EQ(errno_of(copy_file(*files_, root_ / "none", root_ / "b")), ENOENT);
  EXPECT_TRUE(link_or_copy(*files_, root_ / "a", root_ / "linked").value());
  EXPECT_EQ(*files_->names_of(root_ / "a"), 2u);
}

TEST_P(FilesContract, DirectoriesAreMadeWithParentsListedAndRemoved) {
  ASSERT_TRUE(files_->make_directories(root_ / "x" / "y" / "z"));
  ASSERT_TRUE(files_->make_directories(root_ / "x" / "y" / "z"));
  ASSERT_TRUE(files_->sync_directory(root_ / "x"));
  write(root_ / "x" / "file", "1");
  EXPECT_EQ(*files_->kind(root_ / "x"), Files::Kind::directory);
  EXPECT_EQ(*files_->kind(root_ / "x" / "file"), Files::Kind::file);
  EXPECT_EQ(*files_->kind(root_ / "x" / "file" / "below"), Files::Kind::none);
  auto names = files_->list(root_ / "x");
  ASSERT_TRUE(names);
  std::sort(names->begin(), names->end());
  EXPECT_EQ(*names, (std::vector<std::string>{"file", "y"}));
  EXPECT_EQ(errno_of(files_->remove(root_ / "x")), ENOTEMPTY);
  ASSERT_TRUE(files_->remove(root_ / "x" / "y" / "z"));
  ASSERT_TRUE(files_->remove_all(root_ / "x"));
  ASSERT_TRUE(files_->remove_all(root_ / "x")) << "what is gone already is success";
  EXPECT_EQ(*files_->kind(root_ / "x"), Files::Kind::none);
}

TEST_P(FilesContract, ReadAllRefusesMoreThanItsLimit) {
  const std::string text(200'000, 'x');
  write(root_ / "a", text);
  EXPECT_EQ(*files_->read_all(root_ / "a", text.size()), text);
  EXPECT_EQ(errno_of(files_->read_all(root_ / "a", text.size() - 1)), EFBIG);
  EXPECT_EQ(errno_of(files_->read_all(root_, 100)), EISDIR);
}

TEST_P(FilesContract, AnOpenFileOutlivesItsName) {
  write(root_ / "a", "text");
  auto file = files_->open(root_ / "a");
  ASSERT_TRUE(file);
  ASSERT_TRUE(files_->remove(root_ / "a"));
  EXPECT_EQ(*(*file)->read_at(1, 2), "ex");
}

TEST_P(FilesContract, TellsWhatIsFreeAndWhatAThreadHasFetched) {
  EXPECT_GT(*files_->free_bytes(root_), 0u);
  const std::uint64_t before = files_->fetched_here();
  write(root_ / "a", std::string(100'000, 'a'));
  EXPECT_EQ(read(root_ / "a").size(), 100'000u);
  EXPECT_GE(files_->fetched_here(), before) << "of a disk: what of it was in memory is the system's secret";
  if (GetParam() == std::string("system")) {
    EXPECT_EQ(errno_of(files_->free_bytes(root_ / "none")), ENOENT);
    return;
  }
  auto file = *files_->open(root_ / "a");
  const std::uint64_t read_before = files_->fetched_here();
  EXPECT_EQ(file->read_at(4'000, 100)->size(), 100u);
  EXPECT_EQ(files_->fetched_here(), read_before + 8'192) << "two pages";
}

INSTANTIATE_TEST_SUITE_P(On, FilesContract, ::testing::Values("system", "memory"),
                         [](const auto& test) { return std::string(test.param); });

TEST(SystemFiles, ReadsAFileThatTellsNoSize) {
  const auto files = make_system_files();
  auto status = files->read_all("/proc/self/status", 1 << 20);
  ASSERT_TRUE(status);
  EXPECT_NE(status->find("VmRSS:"), std::string::npos);
}

TEST(SystemFiles, RemoveAllDoesNotFollowALink) {
  const auto files = make_system_files();
  std::string pattern = (fs::temp_directory_path() / "millrace-links-XXXXXX").native();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  const fs::path root = pattern;
  ASSERT_TRUE(files->make_directories(root / "kept"));
  ASSERT_TRUE(files->create(root / "kept" / "file"));
  ASSERT_TRUE(files->make_directories(root / "gone"));
  fs::create_directory_symlink(root / "kept", root / "gone" / "link");
  ASSERT_TRUE(files->remove_all(root / "gone"));
  EXPECT_EQ(*files->kind(root / "kept" / "file"), Files::Kind::file);
  ASSERT_TRUE(files->remove_all(root));
}

TEST(MemoryFiles, FaultsFailEachChangingCallAndChangeNothing) {
  const auto files = make_memory_files();
  ASSERT_TRUE(files->make_directories("/d"));
  auto file = files->create("/d/a");
  ASSERT_TRUE(file);
  std::vector<std::string> calls;
  files->on_change([&](std::string_view call, const fs::path& path) {
    calls.push_back(std::string(call) + " " + path.native());
    return ENOSPC;
  });
  const ByteView pieces[] = {"x"};
  auto refused = (*file)->append(pieces);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().error_number, ENOSPC);
  EXPECT_EQ(refused.error().detail, "write /d/a: No space left on device");
  EXPECT_FALSE((*file)->allocate(10));
  EXPECT_FALSE((*file)->sync());
  EXPECT_FALSE(files->create("/d/b"));
  EXPECT_FALSE(files->rename("/d/a", "/d/c"));
  EXPECT_FALSE(files->link("/d/a", "/d/l"));
  EXPECT_FALSE(files->remove("/d/a"));
  EXPECT_FALSE(files->remove_all("/d"));
  EXPECT_FALSE(files->make_directories("/e"));
  EXPECT_FALSE(files->sync_directory("/d"));
  EXPECT_EQ(calls, (std::vector<std::string>{"write /d/a", "allocate /d/a", "fsync /d/a", "create /d/b", "rename /d/c",
                                             "link /d/l", "remove /d/a", "remove /d", "mkdir /e", "fsync /d"}));
  files->on_change(nullptr);
  EXPECT_EQ(*files->list("/d"), std::vector<std::string>{"a"});
  EXPECT_EQ(*files->read_all("/d/a", 10), "");
}

TEST(MemoryFiles, WhereThereCanBeNoLinkACopyIsMade) {
  const auto files = make_memory_files();
  const ByteView pieces[] = {"text"};
  ASSERT_TRUE((*files->create("/a"))->append(pieces));
  int fault = EXDEV;
  files->on_change([&](std::string_view call, const fs::path&) { return call == "link" ? fault : 0; });
  EXPECT_FALSE(link_or_copy(*files, "/a", "/b").value());
  EXPECT_EQ(*files->names_of("/a"), 1u);
  EXPECT_EQ(*files->read_all("/b", 10), "text");
  fault = ENOSPC;
  const auto full = link_or_copy(*files, "/a", "/c");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().error_number, ENOSPC);
}

awaitable<bool> run_on_pool(FileThreads& pool) {
  const auto own = std::this_thread::get_id();
  std::thread::id worker;
  co_await pool.run([&worker] { worker = std::this_thread::get_id(); });
  co_return worker != own&& std::this_thread::get_id() == own;
}

TEST(FileThreads, WorkRunsElsewhereAndTheCallerGoesOnAtHome) {
  FileThreads pool(2);
  EXPECT_TRUE(test::run(run_on_pool(pool)));
}

TEST(FileThreads, AnExceptionComesThrough) {
  FileThreads pool(1);
  EXPECT_THROW(test::run(pool.run([] { throw std::runtime_error("no disk"); })), std::runtime_error);
}

TEST(FileThreads, CallersBeyondTheQueueAreServedInOrder) {
  boost::asio::io_context io;
  std::vector<int> order;
  std::vector<test::Started<void>> jobs;
  {
    FileThreads pool(1, 2);
    for (int i = 0; i < 50; ++i) jobs.push_back(test::start(io, pool.run([&order, i] { order.push_back(i); })));
    test::run_until(io,
                    [&] { return std::all_of(jobs.begin(), jobs.end(), [](const auto& job) { return job.done(); }); });
  }
  ASSERT_EQ(order.size(), 50u);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(FileThreads, DestructionRunsWhatIsQueued) {
  boost::asio::io_context io;
  std::atomic<int> ran{0};
  std::vector<test::Started<void>> jobs;
  {
    FileThreads pool(2, 3);
    for (int i = 0; i < 20; ++i) jobs.push_back(test::start(io, pool.run([&ran] { ++ran; })));
    test::settle(io);
  }
  EXPECT_EQ(ran, 20);
  test::settle(io);
  for (const auto& job : jobs) EXPECT_TRUE(job.done());
}

/// What a loss of power leaves.
class LossOfPower : public ::testing::Test {
 protected:
  LossOfPower() {
    EXPECT_TRUE(files_->make_directories("/d"));
    EXPECT_TRUE(files_->sync_directory("/"));
  }
  std::unique_ptr<File> make(const fs::path& path, std::string_view text) {
    auto file = files_->create(path);
    const ByteView pieces[] = {text};
    EXPECT_TRUE((*file)->append(pieces));
    return std::move(*file);
  }

  MemoryFilesOptions options_{.loses_unsynced = true};
  std::unique_ptr<MemoryFiles> files_ = make_memory_files(options_);
  std::unique_ptr<Random> random_ = make_seeded_random(1);
};

TEST_F(LossOfPower, WhatWasSyncedIsThere) {
  auto file = make("/d/a", "text");
  ASSERT_TRUE(file->sync());
  ASSERT_TRUE(files_->sync_directory("/d"));
  for (int i = 0; i < 20; ++i) {
    files_->lose_power(*random_);
    auto bytes = files_->read_all("/d/a", 100);
    ASSERT_TRUE(bytes);
    EXPECT_EQ(*bytes, "text");
  }
  EXPECT_FALSE(file->read_at(0, 1));
  EXPECT_FALSE(file->sync());
}

TEST_F(LossOfPower, SectorsAreForgottenOneByOne) {
  bool torn = false, forgotten = false, kept = false;
  const std::string text(4 * 512, 'x');
  for (int i = 0; i < 200 && !(torn && forgotten && kept); ++i) {
    auto file = make("/d/a", text);
    ASSERT_TRUE(files_->sync_directory("/d"));
    files_->lose_power(*random_);
    const std::string left = *files_->read_all("/d/a", 1 << 20);
    const auto there = static_cast<std::size_t>(std::count(left.begin(), left.end(), 'x'));
    EXPECT_EQ(there % 512, 0u);
    (there == 0 ? forgotten : there == text.size() ? kept : torn) = true;
  }
  EXPECT_TRUE(torn && forgotten && kept);
}

TEST_F(LossOfPower, LinksStayLinksAndTwoNamesThatNeverWereAreTwoFiles) {
  ASSERT_TRUE(make("/d/a", "text")->sync());
  ASSERT_TRUE(files_->link("/d/a", "/d/b"));
  ASSERT_TRUE(files_->sync_directory("/d"));
  files_->lose_power(*random_);
  EXPECT_EQ(*files_->names_of("/d/a"), 2u);
  EXPECT_EQ(*files_->read_all("/d/b", 100), "text");
}

TEST_F(LossOfPower, WhatWasSyncedInADirectoryIsThereUnderTheNameThatThisHas) {
  bool old_name = false, new_name = false;
  for (int i = 0; i < 100 && !(old_name && new_name); ++i) {
    ASSERT_TRUE(files_->remove_all("/d"));
    ASSERT_TRUE(files_->make_directories("/d/from"));
    ASSERT_TRUE(files_->sync_directory("/"));
    ASSERT_TRUE(files_->sync_directory("/d"));
    ASSERT_TRUE(make("/d/from/a", "text")->sync());
    ASSERT_TRUE(files_->sync_directory("/d/from"));
    ASSERT_TRUE(files_->rename("/d/from", "/d/to"));
    const bool synced = i % 2 == 0;
    if (synced) {
      ASSERT_TRUE(files_->sync_directory("/d"));
    }
    files_->lose_power(*random_);
    const auto listed = files_->list("/d");
    ASSERT_TRUE(listed) << "round " << i << ": " << listed.error().detail;
    const std::vector<std::string> names = *listed;
    if (synced) {
      EXPECT_EQ(names, std::vector<std::string>{"to"});
    }
    for (const std::string& name : names) {
      (name == "to" ? new_name : old_name) = true;
      const auto text = files_->read_all(fs::path("/d") / name / "a", 100);
      ASSERT_TRUE(text) << "round " << i << ": " << text.error().detail;
      EXPECT_EQ(*text, "text");
    }
  }
  EXPECT_TRUE(old_name && new_name);
}

TEST_F(LossOfPower, ANameThatWasNotSyncedIsThereOrNot) {
  bool there = false, gone = false, both_names = false;
  for (int i = 0; i < 200 && !(there && gone && both_names); ++i) {
    ASSERT_TRUE(files_->remove_all("/d"));
    ASSERT_TRUE(files_->make_directories("/d"));
    ASSERT_TRUE(files_->sync_directory("/"));
    ASSERT_TRUE(make("/d/old", "text")->sync());
    ASSERT_TRUE(files_->sync_directory("/d"));
    ASSERT_TRUE(make("/d/new", "more")->sync());
    ASSERT_TRUE(files_->rename("/d/old", "/d/renamed"));
    files_->lose_power(*random_);
    const bool fresh = *files_->kind("/d/new") == Files::Kind::file;
    (fresh ? there : gone) = true;
    const bool old = *files_->kind("/d/old") == Files::Kind::file;
    const bool renamed = *files_->kind("/d/renamed") == Files::Kind::file;
    if (old && renamed) both_names = true;
    if (renamed) {
      EXPECT_EQ(*files_->read_all("/d/renamed", 100), "text");
    }
  }
  EXPECT_TRUE(there && gone && both_names);
}

}  // namespace
}  // namespace millrace
