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

TEST(DefaultConfigFile, IsValidAndNamesEveryKey) {
  std::filesystem::path path = kRoot / "config/millrace.yaml";
  auto result = load(path, {});
  ASSERT_TRUE(result) << result.error().detail;
  std::string text = read(path);
  for (const Key& key : keys()) {
    std::string last(key.path.substr(key.path.rfind('.') + 1));
    EXPECT_NE(text.find(last + ":"), std::string::npos) << key.path;
  }
  Config defaults = load(std::nullopt, {})->config;
  EXPECT_EQ(result->config.listen_aws, defaults.listen_aws);
  EXPECT_EQ(result->config.listen_gateway, defaults.listen_gateway);
  EXPECT_EQ(result->config.data_dir, defaults.data_dir);
  ASSERT_EQ(result->config.streams.size(), 1u);
  EXPECT_EQ(result->config.streams[0].json, R"({"StreamName":"events","ShardCount":2})");
  ASSERT_EQ(result->config.delivery_streams.size(), 1u);
  EXPECT_EQ(result->config.delivery_streams[0].name, "events-to-s3");
  ASSERT_EQ(result->config.apis.size(), 1u);
  EXPECT_EQ(result->config.apis[0].name, "ingest");
  EXPECT_EQ(result->config.apis[0].stages, std::vector<std::string>{"PROD"});
}

}  // namespace
}  // namespace millrace::config
