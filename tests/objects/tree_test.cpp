#include "millrace/objects/tree.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <random>
#include <set>
#include <sstream>

#include "support/run.hpp"
#include "support/temporary_directory.hpp"

namespace millrace::objects {
namespace {

namespace fs = std::filesystem;

/// put("bucket", "key", {"pieces"}) over any Files; says whether it was taken, and the error when not.
class Writer {
 public:
  Writer(Files& files, const fs::path& root, bool sync = false) : tree_(make_tree(files, threads_, root, sync)) {}
  Tree& tree() { return *tree_; }
  std::optional<Error> put(std::string bucket, std::string key, std::vector<std::string> pieces) {
    return test::run(put_task(*tree_, std::move(bucket), std::move(key), std::move(pieces)));
  }

 private:
  static awaitable<std::optional<Error>> put_task(Tree& tree, std::string bucket, std::string key,
                                                  std::vector<std::string> pieces) {
    auto upload = co_await tree.begin_upload(bucket, key, true);
    if (!upload) co_return upload.error();
    for (const std::string& piece : pieces) {
      const std::vector<Slice> slices{{piece, {}}};
      auto appended = co_await (*upload)->append(slices);
      if (!appended) co_return appended.error();
    }
    auto committed = co_await (*upload)->commit();
    if (!committed) co_return committed.error();
    co_return std::nullopt;
  }
  FileThreads threads_{1};
  std::unique_ptr<Tree> tree_;
};

std::vector<std::string> files_below(Files& files, const fs::path& root) {
  std::vector<std::string> found;
  auto names = files.list(root);
  if (!names) return found;
  std::sort(names->begin(), names->end());
  for (const std::string& name : *names) {
    if (*files.kind(root / name) == Files::Kind::directory)
      for (const std::string& below : files_below(files, root / name)) found.push_back(name + "/" + below);
    else
      found.push_back(name);
  }
  return found;
}

using Names = std::vector<std::string>;

TEST(Tree, AnObjectIsAFileUnderItsBucketAndKey) {
  auto files = make_memory_files();
  Writer writer(*files, "data/s3");
  EXPECT_FALSE(writer.put("datalake", "raw/2026/a", {"one\n", "two\n"}));
  EXPECT_EQ(files->read_all("data/s3/datalake/raw/2026/a", 100).value(), "one\ntwo\n");
  EXPECT_FALSE(writer.put("datalake", "raw/2026/a", {"three"}));
  EXPECT_EQ(files->read_all("data/s3/datalake/raw/2026/a", 100).value(), "three");
  EXPECT_TRUE(files_below(*files, "data/tmp").empty());
}

TEST(Tree, NothingIsSeenBeforeCommitAndADroppedUploadLeavesNothing) {
  auto files = make_memory_files();
  Writer writer(*files, "data/s3");
  boost::asio::io_context io{1};
  {
    auto upload = test::run(io, writer.tree().begin_upload("datalake", "a", true));
    ASSERT_TRUE(upload);
    const std::vector<Slice> slices{{"half", {}}};
    ASSERT_TRUE(test::run(io, (*upload)->append(slices)));
    EXPECT_TRUE(files_below(*files, "data/s3").empty());
    EXPECT_EQ(files_below(*files, "data/tmp").size(), 1u);
  }
  EXPECT_FALSE(writer.put("datalake", "b", {"whole"}));
  EXPECT_EQ(files_below(*files, "data/s3"), Names{"datalake/b"});
  EXPECT_TRUE(files_below(*files, "data/tmp").empty());
}

TEST(Tree, WhatAnEarlierRunLeftHalfWrittenIsRemovedAtTheFirstWrite) {
  auto files = make_memory_files();
  ASSERT_TRUE(files->make_directories("data/tmp"));
  ASSERT_TRUE(files->create("data/tmp/upload-77-0"));
  ASSERT_TRUE(files->create("data/tmp/other"));
  Writer writer(*files, "data/s3");
  EXPECT_FALSE(writer.put("datalake", "a", {"x"}));
  EXPECT_EQ(files_below(*files, "data"), (Names{"s3/datalake/a", "tmp/other"}));
}

TEST(Tree, AFaultAtAnyCallLeavesNoObjectOrTheWholeOne) {
  for (const bool sync : {false, true}) {
    std::size_t calls = 0;
    for (std::size_t failing = 0; failing <= calls; ++failing) {
      auto files = make_memory_files();
      Writer writer(*files, "data/s3", sync);
      std::atomic<std::size_t> call{0};
      if (failing == 0) {
        files->on_change([&](std::string_view, const fs::path&) { return ++call, 0; });
      } else {
        files->on_change([&](std::string_view, const fs::path&) { return ++call == failing ? ENOSPC : 0; });
      }
      const auto refused = writer.put("datalake", "raw/a", {"one\n", "two\n"});
      if (failing == 0) {
        calls = call;
        ASSERT_GE(calls, sync ? 8u : 6u);
        EXPECT_FALSE(refused);
      } else {
        ASSERT_TRUE(refused) << "call " << failing;
        EXPECT_EQ(refused->code, Errc::write_failed);
        EXPECT_NE(refused->detail.find("No space left on device"), std::string::npos) << refused->detail;
      }
      files->on_change({});
      const Names seen = files_below(*files, "data/s3");
      if (!seen.empty()) {
        EXPECT_EQ(seen, Names{"datalake/raw/a"});
        EXPECT_EQ(files->read_all("data/s3/datalake/raw/a", 100).value(), "one\ntwo\n");
      }
      EXPECT_FALSE(writer.put("datalake", "raw/a", {"again"}));
      EXPECT_EQ(files->read_all("data/s3/datalake/raw/a", 100).value(), "again");
      EXPECT_TRUE(files_below(*files, "data/tmp").empty());
    }
  }
}

TEST(Tree, TheSameTroubleReadsTheSameAtEveryAttempt) {
  auto files = make_memory_files();
  Writer writer(*files, "data/s3");
  for (const std::string broken : {"create", "write", "rename"}) {
    files->on_change([&](std::string_view call, const fs::path&) { return call == broken ? EDQUOT : 0; });
    const auto first = writer.put("datalake", "a", {"x"}), second = writer.put("datalake", "a", {"x"});
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->detail, second->detail);
    EXPECT_NE(first->detail.find(broken), std::string::npos) << first->detail;
    files->on_change({});
  }
}

TEST(Tree, SyncingPutsFileAndEveryChangedDirectoryOnDiskBeforeCommitReturns) {
  auto files = make_memory_files();
  Names synced;
  files->on_change([&](std::string_view call, const fs::path& path) {
    if (call == "fsync") synced.push_back(path.parent_path() == "data/tmp" ? "the file" : path.native());
    return 0;
  });
  Writer writer(*files, "data/s3", true);
  EXPECT_FALSE(writer.put("datalake", "raw/a", {"x"}));
  EXPECT_EQ(synced, (Names{"the file", "data/s3/datalake/raw", "data/s3/datalake", "data/s3", "data"}));
  synced.clear();
  EXPECT_FALSE(writer.put("datalake", "raw/b", {"x"}));
  EXPECT_EQ(synced, (Names{"the file", "data/s3/datalake/raw"}));
}

TEST(Tree, DirectoriesOfAnAttemptThatFailedOrThatSomebodyRemovedAreSyncedAnew) {
  auto files = make_memory_files();
  Names synced;
  bool failing = true;
  files->on_change([&](std::string_view call, const fs::path& path) {
    if (call != "fsync" || path.parent_path() == "data/tmp") return 0;
    if (failing) return EIO;
    synced.push_back(path.native());
    return 0;
  });
  Writer writer(*files, "data/s3", true);
  EXPECT_TRUE(writer.put("datalake", "raw/a", {"x"}));
  failing = false;
  const Names all{"data/s3/datalake/raw", "data/s3/datalake", "data/s3", "data"};
  EXPECT_FALSE(writer.put("datalake", "raw/a", {"x"}));
  EXPECT_EQ(synced, all);
  synced.clear();
  ASSERT_TRUE(files->remove_all("data/s3"));
  EXPECT_FALSE(writer.put("datalake", "raw/a", {"x"}));
  EXPECT_EQ(synced, all);
}

TEST(Tree, AKeyBesideKeysBelowItKeepsBoth) {
  auto files = make_memory_files();
  Writer writer(*files, "data/s3");
  EXPECT_FALSE(writer.put("first", "a", {"file"}));
  EXPECT_FALSE(writer.put("first", "a/b", {"below"}));
  EXPECT_FALSE(writer.put("first", "a/b", {"below again"}));
  EXPECT_FALSE(writer.put("first", "a/b/c", {"deeper"}));
  EXPECT_FALSE(writer.put("first", "a", {"file again"}));
  EXPECT_FALSE(writer.put("second", "a/b", {"below"}));
  EXPECT_FALSE(writer.put("second", "a", {"file"}));
  EXPECT_FALSE(writer.put("second", "a", {"file again"}));
  EXPECT_FALSE(writer.put("second", "a/", {"folder"}));
  EXPECT_EQ(files_below(*files, "data/s3"),
            (Names{"first/%!/a/%!/b/c", "first/%!/a/b", "first/a", "second/%!/a", "second/a/%", "second/a/b"}));
  EXPECT_EQ(files->read_all("data/s3/first/a", 100).value(), "file again");
  EXPECT_EQ(files->read_all("data/s3/first/%!/a/b", 100).value(), "below again");
  EXPECT_EQ(files->read_all("data/s3/second/%!/a", 100).value(), "file again");
}

TEST(Tree, RefusesWhatS3Refuses) {
  auto files = make_memory_files();
  Writer writer(*files, "data/s3");
  EXPECT_EQ(writer.put("No", "a", {})->code, Errc::invalid_bucket_name);
  EXPECT_EQ(writer.put("..", "a", {})->code, Errc::invalid_bucket_name);
  EXPECT_EQ(writer.put("datalake", "", {})->code, Errc::invalid_key);
  EXPECT_EQ(writer.put("datalake", std::string(1025, 'a'), {})->code, Errc::invalid_key);
  for (const std::string bad : {"\x80", "a\xC3", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"})
    EXPECT_EQ(writer.put("datalake", bad, {})->code, Errc::invalid_key);
  EXPECT_EQ(test::run(writer.tree().begin_upload("datalake", "a", false)).error().code, Errc::no_such_bucket);
  EXPECT_TRUE(files_below(*files, "data").empty());
  EXPECT_TRUE(test::run(writer.tree().create_bucket("datalake")));
  EXPECT_TRUE(test::run(writer.tree().begin_upload("datalake", "a", false)));
  EXPECT_EQ(test::run(writer.tree().create_bucket("DATALAKE")).error().code, Errc::invalid_bucket_name);
}

TEST(Tree, ClearRemovesEveryBucket) {
  auto files = make_memory_files();
  Writer writer(*files, "data/s3");
  EXPECT_FALSE(writer.put("one", "a", {"x"}));
  EXPECT_FALSE(writer.put("two", "b/c", {"x"}));
  EXPECT_TRUE(test::run(writer.tree().clear()));
  EXPECT_TRUE(files_below(*files, "data/s3").empty());
  EXPECT_FALSE(writer.put("one", "a", {"x"}));
  EXPECT_EQ(files_below(*files, "data/s3"), Names{"one/a"});
}

class RealTree : public testing::Test {
 protected:
  static std::string content(const fs::path& path) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  test::TemporaryDirectory own_;
  const fs::path home_ = own_.path();
};

TEST_F(RealTree, KeepsHostileKeysApartInsideItsBucket) {
  auto files = make_system_files();
  Writer writer(*files, home_ / "data/s3");
  using namespace std::string_literals;
  std::vector<std::string> keys{"../../escape", "..", "/etc/passwd", "a//b", "a/",       "a",    "a/b", "a\0b"s,
                                "%61%00b",      "%",  "%2E",         ".",    "🦆/鴨", "%!/a", "%!",  "a/b/c"};
  for (const std::size_t length : {255, 256, 300, 1024}) keys.push_back(std::string(length, 'k'));
  keys.push_back(std::string(1024, '/'));
  keys.push_back(std::string(1024, '%'));
  keys.push_back(std::string(300, 'k') + "/below");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto refused = writer.put("bucket", keys[i], {std::to_string(i)});
    ASSERT_FALSE(refused) << keys[i] << ": " << refused->detail;
  }
  std::set<std::string> contents;
  std::size_t found = 0;
  for (const auto& entry : fs::recursive_directory_iterator(home_)) {
    if (!entry.is_regular_file()) continue;
    ++found;
    contents.insert(content(entry.path()));
    EXPECT_TRUE(entry.path().native().starts_with((home_ / "data/s3/bucket/").native())) << entry.path();
  }
  EXPECT_EQ(found, keys.size());
  EXPECT_EQ(contents.size(), keys.size()) << "an object was overwritten by another";
}

TEST_F(RealTree, SyncedWritesArriveWhole) {
  auto files = make_system_files();
  Writer writer(*files, home_ / "data/s3", true);
  std::vector<std::string> pieces;
  std::string all;
  for (int i = 0; i < 3000; ++i) all += pieces.emplace_back("line " + std::to_string(i) + "\n");
  ASSERT_FALSE(writer.put("bucket", "x/y/z", pieces));
  EXPECT_EQ(content(home_ / "data/s3/bucket/x/y/z"), all);
}

TEST_F(RealTree, SaysWhyABucketCannotBeWritten) {
  fs::create_directories(home_ / "data/s3");
  std::ofstream(home_ / "data/s3/bucket") << "a file where the bucket should be";
  auto files = make_system_files();
  Writer writer(*files, home_ / "data/s3");
  const auto refused = writer.put("bucket", "a", {"x"});
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->code, Errc::write_failed);
  EXPECT_NE(refused->detail.find("Not a directory"), std::string::npos) << refused->detail;
  EXPECT_NE(refused->detail.find("bucket"), std::string::npos);
}

}  // namespace
}  // namespace millrace::objects
