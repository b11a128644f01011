#include <gtest/gtest.h>

#include <map>
#include <random>

#include "millrace/objects/tree.hpp"

namespace millrace::objects {
namespace {

std::string path(std::string_view key) { return path_of_key(key).native(); }

TEST(PathOfKey, IsTheKeyWhereTheKeyIsAPlainPath) {
  for (const std::string key : {"a", "rawdata/2026/01/01/00/events-1", "year=2026/at=10%3A00.json", "100%", "...",
                                ".hidden/..b", "Größe/日本/🦆", "a b\tc\nd\\e", "-rf", "a/%b"}) {
    if (key == "a/%b")
      EXPECT_NE(path(key), key);  // starts like an encoded name
    else
      EXPECT_EQ(path(key), key);
  }
}

TEST(PathOfKey, EncodesSegmentsThatCannotBeNames) {
  using namespace std::string_literals;
  EXPECT_EQ(path("reports/"), "reports/%");
  EXPECT_EQ(path("/a//b"), "%/a/%/b");
  EXPECT_EQ(path("../../etc/passwd"), "%2E./%2E./etc/passwd");
  EXPECT_EQ(path("./a"), "%2E/a");
  EXPECT_EQ(path("%2E"), "%252E");
  EXPECT_EQ(path("%"), "%25");
  EXPECT_EQ(path("%%"), "%25%25");
  EXPECT_EQ(path("a\0%b"s), "%61%00%25b");
  EXPECT_EQ(path("é\0🦆"s), "%C3%A9%00🦆");  // a name is UTF-8, as its key is
  EXPECT_EQ(path(std::string(300, 'x')), "%+" + std::string(253, 'x') + "/%=" + std::string(47, 'x'));
  EXPECT_EQ(path(std::string(255, 'x')), std::string(255, 'x'));
}

TEST(PathOfKey, NeverCutsInsideACharacterOrAnEscape) {
  std::string key;
  for (int i = 0; i < 100; ++i) key += "日";
  EXPECT_EQ(path(key), "%+" + key.substr(0, 252) + "/%=" + key.substr(252));
  EXPECT_EQ(path(std::string(252, 'x') + "%yyyy"), "%+" + std::string(252, 'x') + "/%=%25yyyy");
}

/// The way back, as docs/objects.md tells it.
std::string key_of(const std::filesystem::path& path) {
  std::string key;
  bool first = true, joining = false;
  for (const auto& part : path) {
    std::string name = part.native();
    if (!first && !joining) key += '/';
    first = false;
    joining = name.starts_with("%+");
    if (name == "%") continue;
    const bool piece = joining || name.starts_with("%=");
    if (!name.starts_with('%')) {
      key += name;
      continue;
    }
    for (std::size_t i = piece ? 2 : 0; i < name.size(); ++i) {
      if (name[i] == '%') {
        key += static_cast<char>(std::stoi(name.substr(i + 1, 2), nullptr, 16));
        i += 2;
      } else {
        key += name[i];
      }
    }
  }
  return key;
}

TEST(PathOfKey, DistinctHostileKeysGetDistinctPathsBelowTheRootThatTellTheKey) {
  std::mt19937_64 random(20260101);
  const std::vector<std::string> parts{"/",   "/",  ".",   "..", "%",    "%2E", "%+", "%=", "%!", std::string(1, '\0'),
                                       "a",   "b",  "%25", "é",  "🦆", "\\",  "\n", "~",  "2E", std::string(250, 'y'),
                                       "%00", "%%", " "};
  std::map<std::string, std::string> key_by_path;
  for (int round = 0; round < 40'000; ++round) {
    std::string key;
    for (auto n = random() % 12 + 1; n > 0; --n) key += parts[random() % parts.size()];
    if (key.size() > 1024) continue;
    const std::filesystem::path encoded = path_of_key(key);
    ASSERT_TRUE(encoded.is_relative());
    ASSERT_EQ(encoded.lexically_normal(), encoded) << "a path that means another one";
    ASSERT_EQ(encoded.native().find('\0'), std::string::npos);
    for (const auto& name : encoded) {
      ASSERT_NE(name, "..");
      ASSERT_NE(name, "%!");
      ASSERT_FALSE(name.empty());
      ASSERT_LE(name.native().size(), 255u);
    }
    ASSERT_EQ(key_of(encoded), key);
    const auto [at, added] = key_by_path.emplace(encoded.native(), key);
    ASSERT_TRUE(added || at->second == key);
  }
}

TEST(BucketName, FollowsS3sRule) {
  for (const std::string& good :
       std::vector<std::string>{"abc", "datalake", "a.b-c", "192.168.5.x", "1.2.3", std::string(63, 'a'), "1234.5.6.7"})
    EXPECT_TRUE(valid_bucket_name(good)) << good;
  for (const std::string& bad :
       std::vector<std::string>{"", "ab", "Abc", "a_b", "-abc", "abc-", ".abc", "abc.", "a..b", "192.168.5.4", "a/b",
                                "..", "a b", "\xc3\xa9tat", std::string(64, 'a')})
    EXPECT_FALSE(valid_bucket_name(bad)) << bad;
}

}  // namespace
}  // namespace millrace::objects
