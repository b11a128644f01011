#include "millrace/codec/json_reader.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "codec/exact_copy.hpp"

namespace millrace::codec {
namespace {

using nlohmann::json;

/// Whether the reader takes all of `text` as one value.
bool accepts(std::string_view text) {
  const ExactCopy copy(text);
  JsonReader reader(copy.view());
  reader.skip_value();
  return reader.at_end() && !reader.failed();
}

/// Takes one value with the typed calls.
bool build(JsonReader& reader, json& out) {
  switch (reader.peek()) {
    case JsonType::object: {
      out = json::object();
      if (!reader.begin_object()) return false;
      for (std::string_view key; reader.next_member(key);) {
        if (!build(reader, out[std::string(key)])) return false;
      }
      return !reader.failed();
    }
    case JsonType::array: {
      out = json::array();
      if (!reader.begin_array()) return false;
      while (reader.next_element()) {
        out.emplace_back();
        if (!build(reader, out.back())) return false;
      }
      return !reader.failed();
    }
    case JsonType::string: {
      JsonString text;
      std::string scratch;
      if (!reader.read_string(text)) return false;
      out = std::string(json_text(text, scratch));
      return true;
    }
    case JsonType::number: {
      std::string_view number;
      if (!reader.read_number(number)) return false;
      out = json::parse(number);
      return true;
    }
    case JsonType::boolean: {
      bool value = false;
      if (!reader.read_bool(value)) return false;
      out = value;
      return true;
    }
    case JsonType::null:
      out = nullptr;
      return reader.read_null();
    case JsonType::error:
      return false;
  }
  return false;
}

std::optional<json> built(std::string_view text) {
  const ExactCopy copy(text);
  JsonReader reader(copy.view());
  json out;
  if (!build(reader, out) || !reader.at_end()) return std::nullopt;
  return out;
}

std::optional<std::string> compacted(std::string_view text) {
  const ExactCopy copy(text);
  std::string out = "before";
  if (!json_compact(copy.view(), out)) {
    EXPECT_EQ(out, "before") << text;
    return std::nullopt;
  }
  EXPECT_EQ(out.substr(0, 6), "before");
  return out.substr(6);
}

TEST(JsonReader, PassesOverEveryKindOfValue) {
  for (const char* text : {"null",
                           " true ",
                           "false",
                           "0",
                           "-0",
                           "12",
                           "-3.25",
                           "1e5",
                           "1E-5",
                           "0.5e+10",
                           "\"\"",
                           "\"a\"",
                           "[]",
                           "{}",
                           "[ ]",
                           "{ }",
                           "[1,2,3]",
                           "[[],[[]],{}]",
                           R"({"a":1,"b":[true,null],"c":{"d":"e"}})",
                           "\t\r\n [ 1 , \"x\" ] \n",
                           R"("\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00")",
                           "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
                           R"({"":{"":[{}]}})"}) {
    EXPECT_TRUE(accepts(text)) << text;
    EXPECT_TRUE(built(text)) << text;
    EXPECT_TRUE(compacted(text)) << text;
  }
}

TEST(JsonReader, RefusesWhatIsNoJson) {
  const std::string_view bad[] = {"",
                                  " ",
                                  "nul",
                                  "nulll",
                                  "True",
                                  "tru",
                                  "falsee",
                                  "NaN",
                                  "Infinity",
                                  "-Infinity",
                                  "-",
                                  "+1",
                                  "01",
                                  "-01",
                                  "00",
                                  "1.",
                                  ".5",
                                  "1.e5",
                                  "1e",
                                  "1e+",
                                  "0x10",
                                  "1_000",
                                  "1 2",
                                  "[",
                                  "]",
                                  "{",
                                  "}",
                                  "[1,]",
                                  "[,1]",
                                  "[1,,2]",
                                  "[1 2]",
                                  "[1}",
                                  "{]",
                                  "{1:2}",
                                  "{a:1}",
                                  R"({"a"})",
                                  R"({"a":})",
                                  R"({"a":1,})",
                                  R"({,"a":1})",
                                  R"({"a":1 "b":2})",
                                  R"({"a" 1})",
                                  R"({"a":1]})",
                                  R"({"a":1,"b"})",
                                  R"({"a"::1})",
                                  "\"",
                                  "\"abc",
                                  "\"\\\"",
                                  R"("\x41")",
                                  R"("\u12")",
                                  R"("\u12g4")",
                                  R"("\u")",
                                  R"("\)",
                                  R"("\ud800")",
                                  R"("\udc00")",
                                  R"("\ud800\u0041")",
                                  R"("\ud800\ud800")",
                                  R"("\ud800x")",
                                  R"("\ud83d\u")",
                                  R"("\ud83d\ude0")",
                                  R"("\ud83d)",
                                  "\"a\nb\"",
                                  "\"\x01\"",
                                  "\"\x1f\"",
                                  "'a'",
                                  "/**/1",
                                  "1//",
                                  "\xef\xbb\xbf"
                                  "1",
                                  "\f1",
                                  "\xc2\xa0"
                                  "1",
                                  "[\"a\",\"b]",
                                  "{}{}",
                                  "[]x",
                                  "\"\x80\"",
                                  "\"\xc3\"",
                                  "\"\xc0\x80\"",
                                  "\"\xc1\xbf\"",
                                  "\"\xe0\x9f\xbf\"",
                                  "\"\xed\xa0\x80\"",
                                  "\"\xf0\x8f\xbf\xbf\"",
                                  "\"\xf4\x90\x80\x80\"",
                                  "\"\xf5\x80\x80\x80\"",
                                  "\"\xe2\x82\"",
                                  "\"\xf0\x9f\x98\"",
                                  "\"\xff\""};
  for (const std::string_view text : bad) {
    EXPECT_FALSE(accepts(text)) << text;
    EXPECT_FALSE(built(text)) << text;
    EXPECT_FALSE(compacted(text)) << text;
  }
  for (const std::string_view text :
       {std::string_view("1\0", 2), std::string_view("\"\0\"", 3), std::string_view("\0", 1)}) {
    EXPECT_FALSE(accepts(text));
    EXPECT_FALSE(compacted(text));
  }
}

TEST(JsonReader, NestingEndsAtTheLimit) {
  const int limit = JsonReader::kDepthMax;
  for (const int depth : {limit, limit + 1, limit + 1000}) {
    std::string arrays =
        std::string(static_cast<std::size_t>(depth), '[') + std::string(static_cast<std::size_t>(depth), ']');
    std::string objects;
    for (int i = 0; i < depth; ++i) objects += "{\"a\":";
    objects += "1" + std::string(static_cast<std::size_t>(depth), '}');
    for (const std::string& text : {arrays, objects}) {
      EXPECT_EQ(accepts(text), depth <= limit) << depth;
      EXPECT_EQ(built(text).has_value(), depth <= limit) << depth;
      EXPECT_EQ(compacted(text).has_value(), depth <= limit) << depth;
    }
  }
}

TEST(JsonReader, DepthCountsWhatTheCallerHasEntered) {
  const std::string inner(100, '['), inner_end(100, ']');
  const std::string text = std::string(29, '[') + inner + inner_end + std::string(29, ']');
  JsonReader reader(text);
  for (int i = 0; i < 29; ++i) {
    ASSERT_TRUE(reader.begin_array());
    ASSERT_TRUE(reader.next_element());
  }
  EXPECT_TRUE(reader.skip_value().empty());
  EXPECT_TRUE(reader.failed());
}

TEST(JsonReader, ViewsPointIntoTheText) {
  const std::string text = R"( {"Data" : "aGk=", "n":-1.50, "b":true, "s":[1, {"x":"]"}], "z":null} )";
  JsonReader reader(text);
  std::string_view key;
  JsonString value;
  std::string_view number;
  bool flag = false;
  ASSERT_TRUE(reader.begin_object());
  ASSERT_TRUE(reader.next_member(key));
  EXPECT_EQ(key, "Data");
  EXPECT_EQ(key.data(), text.data() + 3);
  ASSERT_TRUE(reader.read_string(value));
  EXPECT_EQ(value.raw, "aGk=");
  EXPECT_FALSE(value.escaped);
  EXPECT_EQ(value.raw.data(), text.data() + text.find("aGk="));
  ASSERT_TRUE(reader.next_member(key));
  ASSERT_TRUE(reader.read_number(number));
  EXPECT_EQ(number, "-1.50");
  ASSERT_TRUE(reader.next_member(key));
  ASSERT_TRUE(reader.read_bool(flag));
  EXPECT_TRUE(flag);
  ASSERT_TRUE(reader.next_member(key));
  EXPECT_EQ(reader.skip_value(), R"([1, {"x":"]"}])");
  ASSERT_TRUE(reader.next_member(key));
  EXPECT_EQ(key, "z");
  ASSERT_TRUE(reader.read_null());
  EXPECT_FALSE(reader.next_member(key));
  EXPECT_FALSE(reader.failed());
  EXPECT_TRUE(reader.at_end());
}

TEST(JsonReader, EscapedNamesComeUnescaped) {
  JsonReader reader(R"({"D\u0061ta":"x","plain":1})");
  std::string_view key;
  ASSERT_TRUE(reader.begin_object());
  ASSERT_TRUE(reader.next_member(key));
  EXPECT_EQ(key, "Data");
  JsonString value;
  ASSERT_TRUE(reader.read_string(value));
  ASSERT_TRUE(reader.next_member(key));
  EXPECT_EQ(key, "plain");
}

TEST(JsonReader, ANumberIsNotTakenAsStringNorTheReverse) {
  JsonString text;
  std::string_view number;
  bool flag = false;
  EXPECT_FALSE(JsonReader("12").read_string(text));
  EXPECT_FALSE(JsonReader("\"12\"").read_number(number));
  EXPECT_FALSE(JsonReader("1").read_bool(flag));
  EXPECT_FALSE(JsonReader("0").read_null());
  EXPECT_FALSE(JsonReader("[]").begin_object());
  EXPECT_FALSE(JsonReader("{}").begin_array());
}

TEST(JsonReader, AfterAnErrorNothingIsReadAndTheOffsetStays) {
  JsonReader reader(R"({"a":1,"b":tru,"c":"d"})");
  std::string_view key;
  bool flag = true;
  JsonString text;
  ASSERT_TRUE(reader.begin_object());
  ASSERT_TRUE(reader.next_member(key));
  reader.skip_value();
  ASSERT_TRUE(reader.next_member(key));
  EXPECT_FALSE(reader.read_bool(flag));
  EXPECT_TRUE(reader.failed());
  const std::size_t offset = reader.error_offset();
  EXPECT_EQ(offset, 11u);
  EXPECT_EQ(reader.peek(), JsonType::error);
  EXPECT_FALSE(reader.next_member(key));
  EXPECT_FALSE(reader.next_element());
  EXPECT_FALSE(reader.read_string(text));
  EXPECT_TRUE(reader.skip_value().empty());
  EXPECT_FALSE(reader.at_end());
  EXPECT_EQ(reader.error_offset(), offset);
}

TEST(JsonReader, ErrorsAreLocated) {
  const std::pair<std::string, std::size_t> cases[] = {{"[1,]", 3},
                                                       {R"({"a":1,})", 7},
                                                       {"\"ab\ncd\"", 3},
                                                       {R"(["x\q"])", 3},
                                                       {"\"abc\xff"
                                                        "def\"",
                                                        4},
                                                       {"{} x", 3},
                                                       {"\"abc", 4},
                                                       {"[01]", 2}};
  for (const auto& [text, offset] : cases) {
    JsonReader reader(text);
    reader.skip_value();
    reader.at_end();
    EXPECT_TRUE(reader.failed()) << text;
    EXPECT_EQ(reader.error_offset(), offset) << text;
  }
}

TEST(JsonReader, OnlyBlanksMayFollowTheValue) {
  JsonReader good("1 \n"), bad("1 ,"), unread("1");
  good.skip_value();
  EXPECT_TRUE(good.at_end());
  bad.skip_value();
  EXPECT_FALSE(bad.at_end());
  EXPECT_TRUE(bad.failed());
  EXPECT_FALSE(unread.at_end());
}

TEST(JsonReader, SpecialCharactersAreFoundAtEveryPlaceOfStringsOfEveryLength) {
  for (std::size_t size = 0; size <= 300; size += size < 80 ? 1 : 7) {
    const std::string plain(size, 'x');
    ASSERT_TRUE(accepts('"' + plain + '"')) << size;
    ASSERT_FALSE(accepts('"' + plain)) << size;
    for (std::size_t at = 0; at < size; at += size < 80 ? 1 : 3) {
      std::string text = '"' + plain + '"';
      text[at + 1] = '\x1f';
      ASSERT_FALSE(accepts(text)) << size << ' ' << at;
      text[at + 1] = '"';
      ASSERT_FALSE(accepts(text)) << size << ' ' << at;
      text[at + 1] = '\\';  // takes the next character with it: x is no escape, nor is the end
      ASSERT_FALSE(accepts(text)) << size << ' ' << at;
      text[at + 1] = '\xe9';  // a lone lead byte
      ASSERT_FALSE(accepts(text)) << size << ' ' << at;
      text.replace(at + 1, 1, "\xc3\xa9");
      ASSERT_TRUE(accepts(text)) << size << ' ' << at;
      text.replace(at + 1, 2, "\\n");
      ASSERT_TRUE(accepts(text)) << size << ' ' << at;
    }
  }
}

// Random texts: valid ones as nlohmann::json writes them, then damaged. Numbers stay small, because what is out of a
// double's range is an error there and text here.
class Texts {
 public:
  explicit Texts(unsigned seed) : random_(seed) {}

  std::string value(int depth) {
    switch (pick(depth > 0 ? 9 : 6)) {
      case 0:
        return "null";
      case 1:
        return pick(2) ? "true" : "false";
      case 2:
        return number();
      case 3:
      case 4:
      case 5:
        return string();
      case 6:
        return container('[', ']', depth);
      default:
        return container('{', '}', depth);
    }
  }
  std::string damaged(std::string text) {
    static constexpr std::string_view kBytes = "\"\\{}[]:,0123456789.eE+-tfn u/d8a\x80\xc3\xa9\xed\xf0\x01\n";
    for (unsigned damage = 1 + pick(2); damage > 0 && !text.empty(); --damage) {
      const std::size_t at = pick(static_cast<unsigned>(text.size()));
      const char c = kBytes[pick(static_cast<unsigned>(kBytes.size()))];
      switch (pick(4)) {
        case 0:
          text.erase(at, 1);
          break;
        case 1:
          text.insert(at, 1, c);
          break;
        case 2:
          text.resize(at);
          break;
        default:
          text[at] = c;
      }
    }
    return text;
  }
  unsigned pick(unsigned count) { return static_cast<unsigned>(random_() % count); }

 private:
  std::string blanks() {
    static constexpr const char* kBlanks[] = {"", "", "", " ", "\n", "\t \r\n  "};
    return kBlanks[pick(6)];
  }
  std::string number() {
    static constexpr const char* kNumbers[] = {
        "0", "-0", "7", "-12", "1.5", "-0.25e-3", "1e10", "2E+2", "12345678901234567890", "0.1"};
    return kNumbers[pick(10)];
  }
  std::string string() {
    static constexpr const char* kPieces[] = {"a",
                                              "bcdefgh",
                                              "0123456789abcdef",
                                              " ",
                                              "\\n",
                                              "\\\"",
                                              "\\\\",
                                              "\\/",
                                              "\\u0041",
                                              "\\u00e9",
                                              "\\u20AC",
                                              "\\ud83d\\ude00",
                                              "\\u0000",
                                              "\\u001F",
                                              "\\u0008",
                                              "\\u0022",
                                              "\\u005c",
                                              "\xc3\xa9",
                                              "\xe2\x82\xac",
                                              "\xf0\x9f\x98\x80",
                                              "\x7f",
                                              "/"};
    std::string text = "\"";
    for (unsigned i = pick(12); i > 0; --i) text += kPieces[pick(22)];
    if (pick(6) == 0) text += std::string(pick(200), 'x');
    return text + '"';
  }
  std::string container(char open, char close, int depth) {
    std::string text(1, open);
    for (unsigned i = 0, count = pick(5); i < count; ++i) {
      if (i > 0) text += ',' + blanks();
      // Names differ: of two members with one name nlohmann::json keeps the last.
      if (open == '{') {
        text += '"' + std::to_string(i) + string().substr(1);
        text += blanks() + ':';
      }
      text += blanks();  // a statement each: the same texts whatever order a compiler evaluates operands in
      text += value(depth - 1);
      text += blanks();
    }
    return text + close;
  }

  std::mt19937 random_;
};

TEST(JsonReader, AgreesWithNlohmannOnRandomTexts) {
  Texts texts(42);
  int valid = 0, invalid = 0;
  for (int round = 0; round < 6000; ++round) {
    std::string text = texts.value(4);
    if (round % 2 == 1) text = texts.damaged(text);
    json expected;
    bool good = true;
    try {
      expected = json::parse(text);
    } catch (const json::parse_error&) {
      good = false;
    } catch (const json::out_of_range&) {
      continue;  // a number that no double holds: nlohmann::json refuses it, we keep its text
    }
    ++(good ? valid : invalid);
    ASSERT_EQ(accepts(text), good) << text;
    const auto ours = built(text);
    ASSERT_EQ(ours.has_value(), good) << text;
    const auto compact = compacted(text);
    ASSERT_EQ(compact.has_value(), good) << text;
    if (!good) continue;
    ASSERT_EQ(*ours, expected) << text;
    ASSERT_EQ(json::parse(*compact), expected) << text;
    ASSERT_EQ(compacted(*compact), compact) << "compact text is its own compact form";
    ASSERT_LE(compact->size(), text.size());
  }
  EXPECT_GT(valid, 2000);
  EXPECT_GT(invalid, 1000);
}

TEST(JsonCompact, KeepsOrderDuplicatesAndNumbersAsSent) {
  EXPECT_EQ(compacted(" { \"b\" : 1.50 , \"a\" : [ 1e5 , -0, 12345678901234567890123 ] , \"b\" : null } \n"),
            R"({"b":1.50,"a":[1e5,-0,12345678901234567890123],"b":null})");
  EXPECT_EQ(compacted("{\n  \"text\": \"two  blanks\"\n}"), R"({"text":"two  blanks"})");
  EXPECT_EQ(compacted(" \"x\" "), "\"x\"");
  EXPECT_EQ(compacted("[ ]"), "[]");
}

TEST(JsonCompact, EscapesComeOutAsUtf8UnlessJsonNeedsThem) {
  EXPECT_EQ(compacted(R"("\u00e9\u20ac\ud83d\ude00\u0041\u007f\/")"),
            "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
            "A\x7f/\"");
  EXPECT_EQ(compacted(R"("\u0022\u005C\u000a\u000D\u0009\u0008\u000C")"), R"("\"\\\n\r\t\b\f")");
  EXPECT_EQ(compacted(R"("\"\\\n\r\t\b\f")"), R"("\"\\\n\r\t\b\f")");
  EXPECT_EQ(compacted(R"("\u0000\u001F\u001b")"), R"("\u0000\u001f\u001b")");
  EXPECT_EQ(compacted(R"({"\u006bey":"\u00df"})"), "{\"key\":\"\xc3\x9f\"}");
}

TEST(JsonUnescape, AppendsTheValue) {
  std::string out = "x";
  json_unescape(R"(a\n\u00e9\ud83d\ude00\\b\/)", out);
  EXPECT_EQ(out, "xa\n\xc3\xa9\xf0\x9f\x98\x80\\b/");
  std::string scratch = "old";
  EXPECT_EQ(json_text({R"(\t)", true}, scratch), "\t");
  EXPECT_EQ(json_text({"plain", false}, scratch), "plain");
}

TEST(JsonQuote, EscapesOnlyWhatJsonNeeds) {
  std::string out = "[";
  json_quote(std::string_view("a\"b\\c/\b\f\n\r\t\0\x1f\x7f\xc3\xa9", 16), out);
  EXPECT_EQ(out, "[\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f\xc3\xa9\"");
}

TEST(JsonQuote, SizeIsExactAndTheValueComesBackForEveryByteInEveryPlace) {
  for (std::size_t size = 1; size <= 200; size += size < 40 ? 1 : 23) {
    for (int byte = 0; byte < 128; ++byte) {
      std::string text(size, 'q');
      text[(static_cast<std::size_t>(byte) * 7 + size / 2) % size] = static_cast<char>(byte);
      const ExactCopy copy(text);
      std::vector<char> out(json_quoted_size(copy.view()));
      ASSERT_EQ(json_quote(copy.view(), out.data()), out.data() + out.size());
      ASSERT_EQ(json::parse(std::string_view(out.data(), out.size())).get<std::string>(), text) << size << ' ' << byte;
    }
  }
  EXPECT_EQ(json_quoted_size(""), 2u);
}

TEST(Utf8, WellFormedTextIsTakenAndCounted) {
  for (const std::string before : {"", "a", "1234567", "12345678", "123456789abcdef0123456789"}) {
    for (const auto& [text, points] :
         std::initializer_list<std::pair<std::string, std::size_t>>{{"", 0},
                                                                    {"\x7f", 1},
                                                                    {"\xc2\x80", 1},
                                                                    {"\xdf\xbf", 1},
                                                                    {"\xe0\xa0\x80", 1},
                                                                    {"\xed\x9f\xbf", 1},
                                                                    {"\xee\x80\x80", 1},
                                                                    {"\xef\xbf\xbf", 1},
                                                                    {"\xf0\x90\x80\x80", 1},
                                                                    {"\xf4\x8f\xbf\xbf", 1},
                                                                    {"\xc3\xa9\xf0\x9f\x98\x80z", 3}}) {
      EXPECT_TRUE(valid_utf8(before + text)) << before << text;
      EXPECT_EQ(code_points(before + text), before.size() + points);
    }
  }
}

TEST(Utf8, IllFormedTextIsRefusedWhereverItStands) {
  for (const std::string before : {"", "1234567", "12345678901234567", "\xc3\xa9"}) {
    for (const std::string after : {"", "z", "\x80", "123456789"}) {
      for (const char* bad :
           {"\xff", "\xc0\xaf", "\xc1\x81", "\xe0\x80\xaf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80",
            "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xc3(", "\xe2\x82(", "\xf0\x9f\x98("}) {
        EXPECT_FALSE(valid_utf8(before + bad + after));
      }
    }
    for (const char* cut : {"\xc3", "\xe2", "\xe2\x82", "\xf0", "\xf0\x9f", "\xf0\x9f\x98", "\x80"})
      EXPECT_FALSE(valid_utf8(before + cut));
  }
}

}  // namespace
}  // namespace millrace::codec
