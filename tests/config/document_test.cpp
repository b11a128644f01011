#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "config/table.hpp"

namespace millrace::config {
namespace {

const std::filesystem::path kRoot = std::filesystem::path(MILLRACE_TEST_DATA).parent_path().parent_path();

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST(Documentation, IsWhatTheTableSays) {
  std::filesystem::path path = kRoot / "docs/configuration.md";
  if (std::getenv("UPDATE_GOLDEN")) std::ofstream(path, std::ios::binary) << document();
  EXPECT_TRUE(read(path) == document()) << path << " is not what the table says; UPDATE_GOLDEN=1 writes it again";
}

TEST(Table, DefaultsPassTheirOwnChecks) {
  for (const Key& key : keys()) {
    if (!key.fallback_text.empty()) continue;
    Config config;
    EXPECT_EQ(set_value(key, default_text(key), config), "") << key.path;
  }
}

TEST(Table, NoKeyIsCalledAsKubernetesCallsItsOwn) {
  for (const Key& key : keys())
    for (std::string_view word : {"port", "service"})
      EXPECT_EQ(key.path.find(word), std::string_view::npos) << key.path;
}

TEST(Nearest, FindsASlipAndNothingFar) {
  std::string_view words[] = {"storage", "streams", "shutdown", "log"};
  EXPECT_EQ(nearest("storge", words), "storage");
  EXPECT_EQ(nearest("STREAMS", words), "streams");
  EXPECT_EQ(nearest("elephant", words), "");
  EXPECT_EQ(nearest("xyz", words), "");
}

}  // namespace
}  // namespace millrace::config
