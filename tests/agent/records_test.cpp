#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "agent/splitter.hpp"

namespace millrace::agent {
namespace {

using testing::ElementsAre;

struct Split {
  std::vector<std::string> records;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  Emit emit() {
    return [this](std::string record, Range range) {
      records.push_back(std::move(record));
      ranges.emplace_back(range.begin, range.end);
    };
  }
};

TEST(Splitter, GivesLinesWithTheirEndHoweverTheyCome) {
  const std::string text = "one\n\ntwo\r\nthree";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    Split split;
    Splitter splitter(nullptr, 100, 5, 1000, "\n");
    for (std::size_t at = 0; at < text.size(); at += piece) splitter.feed(text.substr(at, piece), split.emit());
    EXPECT_THAT(split.records, ElementsAre("one\n", "\n", "two\r\n"));
    EXPECT_THAT(split.ranges, ElementsAre(std::pair(100u, 104u), std::pair(104u, 105u), std::pair(105u, 110u)));
    EXPECT_EQ(splitter.begun(), 110u);
    EXPECT_EQ(splitter.read(), 115u);
    splitter.end(split.emit());
    EXPECT_EQ(split.records.back(), "three");
    EXPECT_EQ(splitter.begun(), 115u);
    EXPECT_TRUE(splitter.empty());
  }
}

TEST(Splitter, PutsLinesTogetherUntilOneBeginsARecord) {
  const Pattern start("\\[\\d+\\]");
  const std::string text = "before\n[1] a\n  at x\n  [2] not at its beginning\n[3] b\n[4] c";
  for (std::size_t piece = 1; piece <= text.size(); ++piece) {
    Split split;
    Splitter splitter(&start, 0, 0, 1000, "\n");
    for (std::size_t at = 0; at < text.size(); at += piece) splitter.feed(text.substr(at, piece), split.emit());
    EXPECT_THAT(split.records, ElementsAre("before\n", "[1] a\n  at x\n  [2] not at its beginning\n"));
    EXPECT_FALSE(splitter.between_lines());
    splitter.feed("\n", split.emit());
    EXPECT_TRUE(splitter.between_lines());
    splitter.end(split.emit());
    EXPECT_THAT(split.records,
                ElementsAre("before\n", "[1] a\n  at x\n  [2] not at its beginning\n", "[3] b\n", "[4] c\n"));
    EXPECT_EQ(split.ranges.back(), std::pair(std::uint64_t{split.ranges[2].second}, std::uint64_t{text.size() + 1}));
  }
}

TEST(Splitter, LeavesOutHeaderLinesAndBeginsWithThemAgainUntilAllAreRead) {
  Split split;
  Splitter splitter(nullptr, 0, 2, 1000, "\n");
  splitter.feed("h1\nh2", split.emit());
  EXPECT_EQ(splitter.begun(), 0u);
  splitter.feed(" more\nx\n", split.emit());
  EXPECT_THAT(split.records, ElementsAre("x\n"));
  EXPECT_EQ(splitter.begun(), 13u);
}

TEST(Splitter, CutsWhatIsTooLongAndHoldsNoMoreOfIt) {
  for (const bool lines : {true, false}) {
    Split split;
    const Pattern start("S");
    Splitter splitter(lines ? nullptr : &start, 0, 0, 10, "..\n");
    for (int i = 0; i < 1000; ++i) splitter.feed("Sxxxxxxxxx", split.emit());
    splitter.feed("\nSshort\n", split.emit());
    splitter.end(split.emit());
    EXPECT_THAT(split.records, ElementsAre("Sxxxxxx..\n", "Sshort\n"));
    EXPECT_EQ(split.ranges[0], std::pair(std::uint64_t{0}, std::uint64_t{10'001}));
  }
  Split split;
  Splitter splitter(nullptr, 0, 0, 4, "\n");
  splitter.feed("abc\nabcd\n", split.emit());
  EXPECT_THAT(split.records, ElementsAre("abc\n", "abc\n")) << "a line end more is too much";
}

std::optional<std::string> converted(Processing how, const std::string& record) {
  return Conversions({std::move(how)}).apply(record);
}
Processing format(std::string_view name) {
  for (const LogFormat& one : log_formats())
    if (one.name == name)
      return {Processing::Kind::log_to_json, {one.fields.begin(), one.fields.end()}, ",", std::string(one.pattern)};
  ADD_FAILURE() << name;
  return {};
}

TEST(Conversions, ASingleLineHasNoLineEndsAndNoBlanksAround) {
  EXPECT_EQ(converted({Processing::Kind::single_line}, "  a b \r\n\n\tc\n"), "a bc\n");
  EXPECT_EQ(converted({Processing::Kind::single_line}, ""), "\n");
}

TEST(Conversions, ColumnsAreNamedInTheirOrder) {
  const Processing csv{Processing::Kind::csv_to_json, {"b", "a", "c\""}};
  EXPECT_EQ(converted(csv, "1,x \"y\",\xc3\xa9,more\r\n"),
            "{\"b\":\"1\",\"a\":\"x \\\"y\\\"\",\"c\\\"\":\"\xc3\xa9\"}\n");
  EXPECT_EQ(converted(csv, "1,\n"), "{\"b\":\"1\",\"a\":\"\",\"c\\\"\":null}\n");
  EXPECT_EQ(converted(csv, "\n"), "{\"b\":\"\",\"a\":null,\"c\\\"\":null}\n");
  EXPECT_EQ(converted({Processing::Kind::csv_to_json, {"a", "b"}, "||"}, "1||2|3\n"), "{\"a\":\"1\",\"b\":\"2|3\"}\n");
  EXPECT_EQ(converted({Processing::Kind::csv_to_json, {"a"}}, "\xff\xc3(\xf0\x9f\x98\x80\n"),
            "{\"a\":\"\xef\xbf\xbd\xef\xbf\xbd(\xf0\x9f\x98\x80\"}\n");
}

TEST(Conversions, LogsAreTakenApart) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"COMMONAPACHELOG", R"(64.242.88.10 - bob [07/Mar/2004:16:10:02 -0800] "GET /a?q=\"x\" HTTP/1.1" 200 -)",
       R"({"host":"64.242.88.10","ident":null,"authuser":"bob","datetime":"07/Mar/2004:16:10:02 -0800","request":"GET /a?q=\\\"x\\\" HTTP/1.1","response":"200","bytes":null})"},
      {"COMBINEDAPACHELOG", R"x(::1 - - [07/Mar/2004:16:10:02 -0800] "GET / HTTP/1.0" 304 7 "-" "curl/7 (x; y)")x",
       R"x({"host":"::1","ident":null,"authuser":null,"datetime":"07/Mar/2004:16:10:02 -0800","request":"GET / HTTP/1.0","response":"304","bytes":"7","referrer":null,"agent":"curl/7 (x; y)"})x"},
      {"APACHEERRORLOG",
       "[Fri Sep 09 10:42:29.902022 2011] [core:error] [pid 35708:tid 4328636416] [client 72.15.99.187] File does not "
       "exist: /x",
       R"({"timestamp":"Fri Sep 09 10:42:29.902022 2011","module":"core","severity":"error","processid":"35708","threadid":"4328636416","client":"72.15.99.187","message":"File does not exist: /x"})"},
      {"APACHEERRORLOG", "[Thu Jun 27 11:55:44 2013] [notice] restarted",
       R"({"timestamp":"Thu Jun 27 11:55:44 2013","module":null,"severity":"notice","processid":null,"threadid":null,"client":null,"message":"restarted"})"},
      {"SYSLOG", "<34>Oct  1 22:14:15 mymachine su[230]: 'su root' failed: x",
       R"({"timestamp":"Oct  1 22:14:15","hostname":"mymachine","program":"su","processid":"230","message":"'su root' failed: x"})"},
      {"RFC3339SYSLOG", "2026-12-01T10:00:00.123+01:00 host cron: job",
       R"({"timestamp":"2026-12-01T10:00:00.123+01:00","hostname":"host","program":"cron","processid":null,"message":"job"})"}};
  for (const auto& [name, line, expected] : cases) {
    EXPECT_EQ(converted(format(name), std::string(line) + "\n"), std::string(expected) + "\n") << name;
    EXPECT_EQ(converted(format(name), std::string(line) + "\r\n"), std::string(expected) + "\n") << name;
    EXPECT_EQ(converted(format(name), std::string("no ") + line + "\nx\n"), std::nullopt) << name;
  }
}

TEST(Conversions, FollowEachOther) {
  Processing csv{Processing::Kind::csv_to_json, {"a", "b"}};
  EXPECT_EQ(Conversions({{Processing::Kind::single_line}, csv}).apply(" 1,\n 2\n"), "{\"a\":\"1\",\"b\":\"2\"}\n");
}

TEST(Pattern, OneThatTakesForEverDoesNotMatch) {
  const Pattern slow("(a|aa|aaa)+(b|bb)+(c+)+d");
  EXPECT_FALSE(slow.match(std::string(3'000, 'a') + std::string(100, 'b') + std::string(1'000, 'c')));
  EXPECT_FALSE(slow.begins(std::string(3'000, 'a')));
}

TEST(Splitter, NoByteIsLostUnderRandomUse) {
  std::mt19937 random(5);
  const Pattern start("[ab]");
  for (int round = 0; round < 300; ++round) {
    const bool many = round % 2 != 0;
    Split split;
    Splitter splitter(many ? &start : nullptr, 0, 0, 1000, "\n");
    std::string all;
    for (int i = 0; i < 20; ++i) {
      std::string piece;
      for (std::size_t n = random() % 12; n > 0; --n) piece += "ab\nc\n"[random() % 5];
      all += piece;
      splitter.feed(piece, split.emit());
      ASSERT_EQ(splitter.read(), all.size());
    }
    splitter.end(split.emit());
    std::string joined;
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < split.records.size(); ++i) {
      ASSERT_EQ(split.ranges[i].first, at);
      at = split.ranges[i].second;
      joined += split.records[i];
    }
    ASSERT_EQ(joined, all);
    ASSERT_EQ(at, all.size());
  }
}

}  // namespace
}  // namespace millrace::agent
