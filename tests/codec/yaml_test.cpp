#include "millrace/codec/yaml.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace millrace::codec {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// `line:column path: what` of each mistake.
std::vector<std::string> mistakes(const YamlDocument& document) {
  std::vector<std::string> out;
  for (const YamlMistake& each : document.mistakes())
    out.push_back(std::to_string(each.at.line) + ":" + std::to_string(each.at.column) + " " + each.path + ": " +
                  each.what);
  return out;
}

TEST(Yaml, IsReadAsTheTreeItIs) {
  YamlDocument document("a: [1, x]\nb: {c: d}\n");
  ASSERT_TRUE(document.readable()) << mistakes(document).front();
  EXPECT_TRUE(document.mistakes().empty());
  EXPECT_EQ(document.root()["a"][1].Scalar(), "x");
}

TEST(Yaml, OfNothingIsNull) {
  for (const char* text : {"", "\n", "# only this\n", "---\n", "\xef\xbb\xbf"}) {
    YamlDocument document(text);
    EXPECT_TRUE(document.readable()) << text;
    EXPECT_TRUE(document.mistakes().empty()) << text;
    EXPECT_TRUE(document.root().IsNull()) << text;
  }
}

struct Unreadable {
  std::string name, text, said;
};
void PrintTo(const Unreadable& c, std::ostream* out) { *out << c.name; }

class YamlIsNotReadable : public testing::TestWithParam<Unreadable> {};
TEST_P(YamlIsNotReadable, AndSaysWhereAndWhy) {
  YamlDocument document(GetParam().text);
  EXPECT_FALSE(document.readable());
  EXPECT_TRUE(document.root().IsNull());
  EXPECT_THAT(mistakes(document), ElementsAre(GetParam().said));
}

INSTANTIATE_TEST_SUITE_P(
    EachReason, YamlIsNotReadable,
    testing::Values(
        Unreadable{"NotUtf8", "a: b\nc: ä\xff\n", "2:5 : is not UTF-8 text"},
        Unreadable{"CutWithinACharacter", "a: \xc3", "1:4 : is not UTF-8 text"},
        Unreadable{"Utf16",
                   std::string("\xff\xfe"
                               "a\0",
                               4),
                   "1:4 : is not text: it has control characters"},
        Unreadable{"Binary",
                   std::string("\x7f"
                               "ELF\x02\x01\x01\0",
                               8),
                   "1:5 : is not text: it has control characters"},
        Unreadable{
            "WrongIndentation", "a: b\n c: d\n",
            "2:3 : not valid YAML: `:` is not expected here: a line may be indented wrongly, a `:` before may lack the "
            "space behind it, or a value with `: ` in it may lack its quotes"},
        Unreadable{
            "ColumnsAreCharacters", "a: ä: c\n",
            "1:5 : not valid YAML: `:` is not expected here: a line may be indented wrongly, a `:` before may lack the "
            "space behind it, or a value with `: ` in it may lack its quotes"},
        Unreadable{"TabInTheIndentation", "a:\n\tb: c\n",
                   "2:3 : not valid YAML: the line is indented with a tab: YAML takes only spaces"},
        Unreadable{"TabAtTheBeginning", "a: 1\n\tb: 2\n",
                   "2:1 : not valid YAML: the line is indented with a tab: YAML takes only spaces"},
        Unreadable{
            "LineOutOfTheMap", "a:\n  b: c\n d\n",
            "3:2 : not valid YAML: this does not go on as the lines before: it may be indented wrongly, or a `:` may "
            "be missing"},
        Unreadable{
            "LineOutOfTheList", "a:\n  - b: c\n   d: e\n",
            "3:4 : not valid YAML: this does not go on as the list before: it may be indented wrongly, or a `-` may "
            "be missing"},
        Unreadable{"ListInALine", "a: - b\n", "1:4 : not valid YAML: a list's `-` begins a line of its own"},
        Unreadable{"NameWithAQuestionMark", "a: ? b\n",
                   "1:4 : not valid YAML: a name is not expected here: the line may be indented wrongly"},
        Unreadable{"OpenBracket", "a: [b\nc: d\n", "2:2 : not valid YAML: `,` or `]` is expected here"},
        Unreadable{"OpenBrace", "a: {b: 1\n", "2:1 : not valid YAML: `,` or `}` is expected here"},
        Unreadable{"BracketTooMany", "a: [b]]\n", "1:7 : not valid YAML: a bracket closes here that was not opened"},
        Unreadable{"ReservedCharacter", "a: @b\n",
                   "1:4 : not valid YAML: a value that begins with this character must be in quotes"},
        Unreadable{"UnknownAlias", "a: *b\n", "1:4 : not valid YAML: there is no anchor (&name) before for this alias"},
        Unreadable{
            "UnknownEscape", "a: \"4\\d\"\n",
            "1:8 : not valid YAML: `\\d` is no escape in double quotes: write `\\\\` for a backslash, or use single "
            "quotes"},
        Unreadable{"HalfASurrogate", "{\"a\": \"\\ud83d\"}",
                   "1:14 : not valid JSON: this `\\u` escape is not a character"},
        Unreadable{"TextBehindABar", "a: |b\n",
                   "1:5 : not valid YAML: behind `|` or `>` may stand an indicator such as `-` or "
                   "`2`, and the text begins in the next line"},
        Unreadable{"JsonWithoutAComma", "{\n\t\"a\": 1\n\t\"b\": 2\n}",
                   "3:5 : not valid JSON: `,` or `}` is expected here"},
        Unreadable{"OpenDoubleQuote", "a: \"b\nc: d\n", "1:4 : the quote that opens here is not closed"},
        Unreadable{"OpenSingleQuote", "a: !!str 'it''s\nc: d\n", "1:10 : the quote that opens here is not closed"},
        Unreadable{"EscapedLastQuote", "a: \"b\\\"\n", "1:4 : the quote that opens here is not closed"},
        Unreadable{"SecondDocument", "a: b\n---\nc: d\n", "2:1 : a second document begins here: a file holds one"},
        Unreadable{"MapBehindAList", "- a\nb: c\n", "2:1 : a second document begins here: a file holds one"},
        Unreadable{"TextBehindJson", "{\"a\": 1} x", "1:10 : a second document begins here: a file holds one"},
        Unreadable{"ItselfInside", "a: &a\n  b: [*a]\n",
                   "2:7 : an alias inside of what it stands for would never end"}),
    [](const auto& each) { return each.param.name; });

struct Kept {
  std::string name, text, said;
};
void PrintTo(const Kept& c, std::ostream* out) { *out << c.name; }

class YamlMistakes : public testing::TestWithParam<Kept> {};
TEST_P(YamlMistakes, LeaveTheRestReadable) {
  YamlDocument document(GetParam().text);
  EXPECT_TRUE(document.readable());
  EXPECT_THAT(mistakes(document), ElementsAre(GetParam().said));
  EXPECT_EQ(document.root()["z"].Scalar(), "last");
}

INSTANTIATE_TEST_SUITE_P(
    EachKind, YamlMistakes,
    testing::Values(
        Kept{"NameTwice", "a: 1\nb: 2\na: 3\nz: last\n", "3:1 a: is given twice, first in line 1"},
        Kept{"NameTwiceDeepInside", "a:\n- {}\n- b: {c: 1, 'c': 2}\nz: last\n",
             "3:13 a[1].b.c: is given twice, first in line 3"},
        Kept{"MergeKey", "a: &a {b: 1}\nc:\n  <<: *a\nz: last\n",
             "3:3 c: YAML merge keys (<<) are not supported: write the members out"},
        Kept{"MergeKeyAtTheTop", "<<: {b: 1}\nz: last\n",
             "1:1 : YAML merge keys (<<) are not supported: write the members out"},
        Kept{"Tag", "a: [!Ref b]\nz: last\n", "1:5 a[0]: YAML tags are not supported: write the value itself"},
        Kept{"TagOfAMap", "a: !x {b: c}\nz: last\n", "1:4 a: YAML tags are not supported: write the value itself"},
        Kept{"ListAsAName", "? [a]\n: b\nz: last\n", "1:3 : the name of a member must be a plain text"},
        Kept{"NothingAsAName", "a:\n  : b\nz: last\n", "2:3 a: the name of a member must be a plain text"}),
    [](const auto& each) { return each.param.name; });

TEST(Yaml, AMergeKeyInQuotesIsAName) { EXPECT_TRUE(YamlDocument("'<<': a\n").mistakes().empty()); }

TEST(Yaml, AMistakesPathIsOnOneLine) {
  EXPECT_THAT(mistakes(YamlDocument("\"a\\nb\": 1\n\"a\\nb\": 2\n")),
              ElementsAre("2:1 a?b: is given twice, first in line 1"));
}

TEST(Yaml, MembersAreThoseThatCount) {
  YamlDocument document("a: 1\n<<: {b: 2}\na: 3\n[c]: 4\nd: 5\n");
  std::vector<std::string> names;
  for (const auto& [name, value] : YamlDocument::members(document.root()))
    names.push_back(name.Scalar() + value.Scalar());
  EXPECT_THAT(names, ElementsAre("a1", "d5"));
}

TEST(Yaml, JsonsSurrogatePairsAreOneCharacter) {
  YamlDocument document(R"({"a": "\ud83d\ude00 \\ud83d\\ude00 \u00e4"})");
  ASSERT_TRUE(document.readable()) << mistakes(document).front();
  EXPECT_EQ(document.root()["a"].Scalar(), "😀 \\ud83d\\ude00 ä");
}

TEST(Yaml, DepthIsBoundedAlsoThroughAliases) {
  const auto nested = [](std::size_t levels) {
    return "a: " + std::string(levels - 1, '[') + std::string(levels - 1, ']') + "\n";
  };
  EXPECT_TRUE(YamlDocument(nested(YamlDocument::kDepthMax)).readable());
  EXPECT_THAT(mistakes(YamlDocument(nested(YamlDocument::kDepthMax + 1))),
              ElementsAre("1:103 : nests deeper than 100 levels"));
  EXPECT_FALSE(YamlDocument(std::string(100'000, '[')).readable());
  std::string chain = "a0: &a0 [[[[[[[[[x]]]]]]]]]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string number = std::to_string(i), before = std::to_string(i - 1);
    chain += "a" + number + ": &a" + number + " [[[[[[[[[*a" + before + "]]]]]]]]]\n";
  }
  EXPECT_THAT(mistakes(YamlDocument(chain)), ElementsAre(HasSubstr("nests deeper than 100 levels")));
}

TEST(Yaml, MistakesAreBounded) {
  std::string text;
  for (std::size_t i = 0; i < YamlDocument::kMistakesMax + 500; ++i) text += "a: 1\n";
  EXPECT_EQ(YamlDocument(text).mistakes().size(), YamlDocument::kMistakesMax);
}

TEST(Yaml, SizeIsBoundedAlsoThroughAliases) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string number = std::to_string(i), before = "*a" + std::to_string(i - 1);
    bomb += "a" + number + ": &a" + number + " [" + before;
    for (int k = 1; k < 10; ++k) bomb += ", " + before;
    bomb += "]\n";
  }
  EXPECT_THAT(
      mistakes(YamlDocument(bomb)),
      ElementsAre(HasSubstr(": holds more than 500000 values, those of an alias counted as often as it is used")));
}

struct Style {
  std::string name, text;
};
void PrintTo(const Style& c, std::ostream* out) { *out << c.name; }

// In each text the letters A to E stand at most once, so that where a character of the value stands is known.
class YamlPlaces : public testing::TestWithParam<Style> {};
TEST_P(YamlPlaces, AreThoseOfTheSource) {
  const std::string& text = GetParam().text;
  YamlDocument document(text);
  ASSERT_TRUE(document.readable()) << mistakes(document).front();
  const YAML::Node scalar = document.root()["k"];
  const std::string& value = scalar.Scalar();
  std::string letters;
  for (std::size_t offset = 0; offset < value.size(); ++offset) {
    if (value[offset] < 'A' || value[offset] > 'E') continue;
    letters += value[offset];
    const auto place = document.place_in(scalar, offset);
    ASSERT_TRUE(place) << value[offset];
    const TextPlace wanted = place_of(text, text.find(value[offset]));
    EXPECT_EQ(place->line, wanted.line) << value[offset];
    EXPECT_EQ(place->column, wanted.column) << value[offset];
  }
  ASSERT_GE(letters.size(), 2u);
  for (std::size_t i = 0; i < letters.size(); ++i) EXPECT_EQ(letters[i], static_cast<char>('A' + i));
}

INSTANTIATE_TEST_SUITE_P(
    EachStyle, YamlPlaces,
    testing::Values(
        Style{"Plain", "k: xAyB\n"}, Style{"PlainOverLines", "k: A x\n   yB\n\n\n  C D\nz: 1\n"},
        Style{"SingleQuoted", "k: 'A''B x''''C'\n"}, Style{"SingleQuotedOverLines", "k: 'A  \n\n  B\n  C'\n"},
        Style{"DoubleQuoted", R"(k: "A\n\"B\\C\x61\u00e4\U0001f600D\tE")"},
        Style{"DoubleQuotedOverLines", "k: \"A x\n  B\\\n  \\ C  \n\n D\"\n"},
        Style{"Literal", "k: |\n  A\n    B ä C\n\n\n  D\nz: 1\n"},
        Style{"LiteralWithEmptyLinesFirst", "k: |\n\n\n    A\n   \n     B\n"},
        Style{"LiteralWithIndicators", "k: |2-\n    A\n  B\n\n"},
        Style{"LiteralWithWindowsLines", "k: |\r\n  A\r\n\r\n  B\r\n"},
        Style{"LiteralWithAComment", "k: | # text\n  A\n  B\n"},
        Style{"Folded", "k: >\n  A x\n  B\n\n  C\n\n\n  D\nz: 1\n"},
        Style{"FoldedWithIndentedLines", "k: >-\n  A\n    B\n    C\n  D\n\n    E\n\n  F\n"},
        Style{"AnchoredAndTagged", "k: &x !!str 'A B'\n"}, Style{"ThroughAnAlias", "x: &x |\n  A\n  B\nk: *x\n"},

        Style{"JsonBehindASurrogatePair", R"({"x": "\ud83d\ude00", "k": "A\ud83d\ude00B\ud83d\ude00\\UC"})"},
        Style{"Json", "{\"x\": 1,\n\t\"k\" : \"{\\n\\\"A\\\" \\/ B\\r\\n ä C\"}"}),
    [](const auto& style) { return style.param.name; });

TEST(YamlPlaces, OfTheEndIsBehindTheLastCharacter) {
  YamlDocument document("k: |-\n  ab\nl: 'cd'\n");
  const auto block = document.place_in(document.root()["k"], 2), quoted = document.place_in(document.root()["l"], 2);
  ASSERT_TRUE(block && quoted);
  EXPECT_EQ(block->line * 100 + block->column, 205u);
  EXPECT_EQ(quoted->line * 100 + quoted->column, 307u);
}

TEST(YamlPlaces, OfNoScalarIsNotTold) {
  YamlDocument document("k: [a]\n");
  EXPECT_FALSE(document.place_in(document.root()["k"], 0));
  EXPECT_FALSE(document.place_in(document.root()["k"][0], 5));
  EXPECT_FALSE(document.place_in(YAML::Node("made"), 0));
}

TEST(YamlPlaces, OfANodeIsItsBeginning) {
  YamlDocument document(
      "\xef\xbb\xbf"
      "k: v\nä: {b: [c]}\n");
  ASSERT_TRUE(document.readable());
  const TextPlace first = document.place(document.root()["k"]), list = document.place(document.root()["ä"]["b"]);
  EXPECT_EQ(first.line * 100 + first.column, 104u);
  EXPECT_EQ(list.line * 100 + list.column, 208u);
}

// A document takes nothing of ",": a loop over documents would never end there.
TEST(YamlDocuments, NothingBehindTheFirstIsPassedOver) {
  for (const char* text : {",", "'a' b\n", "a: 1\n...\nb: 2\n", "a: 1\n---\nb: 2\n"}) {
    YamlDocument document(text);
    EXPECT_FALSE(document.readable()) << text;
    EXPECT_EQ(document.mistakes().size(), 1u) << text;
  }
}

}  // namespace
}  // namespace millrace::codec
