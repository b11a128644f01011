#include "millrace/base/log.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <sstream>
#include <thread>
#include <vector>

#include "base/log_line.hpp"

namespace millrace::logging {
namespace {

constexpr TimePoint kAt{std::chrono::milliseconds{1'767'225'600'042}};

TEST(JsonLine, CarriesTimeLevelMessageAndTypedFields) {
  EXPECT_EQ(
      json_line(kAt, Level::warn, "slow write", {{"path", "/x"}, {"bytes", 12}, {"seconds", 0.5}, {"sure", true}}),
      R"({"time":"2026-01-01T00:00:00.042Z","level":"warn","message":"slow write","path":"/x","bytes":12,"seconds":0.5,"sure":1})");
}

TEST(JsonLine, EscapesWhatJsonDoesNotAllow) {
  const std::string line = json_line(kAt, Level::info, "a\"b\\c\n\t\r\x01\x7f", {{"k\"", "\xc3\xa9\xf0\x9f\x98\x80"}});
  EXPECT_EQ(line.substr(line.find("\"message\"")),
            "\"message\":\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u007f\",\"k\\\"\":\"\xc3\xa9\xf0\x9f\x98\x80\"}");
}

TEST(JsonLine, ReplacesWhatIsNotUtf8) {
  // A lone continuation byte, an overlong slash, a surrogate, a cut character.
  for (const std::string bad : {"\x80", "\xc0\xaf", "\xed\xa0\x80", "\xe2\x82", "\xf5\x80\x80\x80", "\xff"}) {
    const std::string line = json_line(kAt, Level::info, bad, {});
    EXPECT_NE(line.find("\"message\":\"\xef\xbf\xbd"), std::string::npos) << line;
  }
}

TEST(JsonLine, WritesNullForANumberJsonCannotSay) {
  EXPECT_NE(json_line(kAt, Level::info, "m", {{"x", std::numeric_limits<double>::infinity()}}).find("\"x\":null}"),
            std::string::npos);
}

TEST(TextLine, QuotesOnlyWhatNeedsItAndKeepsToOneLine) {
  EXPECT_EQ(text_line(kAt, Level::error, "it \"broke\"\nhere",
                      {{"a", "plain"}, {"b", "two words"}, {"c", "x\xffy\n"}, {"d", ""}, {"e", -3}}),
            "2026-01-01T00:00:00.042Z error it \"broke\"\\nhere a=plain b=\"two words\" c=\"x\\xffy\\n\" d=\"\" e=-3");
}

TEST(Log, WritesWholeLinesFromManyThreadsAndOnlyFromTheLevelOn) {
  configure(Level::info, Format::json);
  EXPECT_TRUE(enabled(Level::error));
  EXPECT_FALSE(enabled(Level::debug));
  ::testing::internal::CaptureStderr();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([] {
      for (int i = 0; i < 50; ++i) {
        info("line", {{"i", i}});
        debug("hidden");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::istringstream written(::testing::internal::GetCapturedStderr());
  configure(Level::info, Format::automatic);
  int lines = 0;
  for (std::string line; std::getline(written, line); ++lines) {
    EXPECT_TRUE(line.starts_with("{\"time\":\"") && line.ends_with("}")) << line;
    EXPECT_EQ(line.find("hidden"), std::string::npos);
  }
  EXPECT_EQ(lines, 200);
}

}  // namespace
}  // namespace millrace::logging
