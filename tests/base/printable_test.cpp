#include "millrace/base/printable.hpp"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(Printable, KeepsTextAsItIs) { EXPECT_EQ(printable("a b-ä😀"), "a b-ä😀"); }

TEST(Printable, HasNoControlCharacters) {
  EXPECT_EQ(printable(std::string_view("a\nb\t\x1b[2J\0c\x7f", 10)), "a?b??[2J?c");
  EXPECT_EQ(printable("\x7f"), "?");
  EXPECT_EQ(printable("a\xc2\x9b"
                      "2Jb"),
            "a?2Jb");
}

TEST(Printable, IsCutBetweenCodePoints) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdef", 5), "abcde...");
  EXPECT_EQ(printable("aä😀x", 6), "aä...");
  EXPECT_EQ(printable("ä", 1), "...");
}

TEST(Printable, StandsInQuotes) { EXPECT_EQ(in_quotes("a\nb"), "'a?b'"); }

TEST(Printable, FirstBytesEndBetweenCodePoints) {
  EXPECT_EQ(first_bytes("aä😀x", 100), "aä😀x");
  EXPECT_EQ(first_bytes("aä😀x", 6), "aä");
  EXPECT_EQ(first_bytes("aä😀x", 2), "a");
  EXPECT_EQ(first_bytes("ä", 1), "");
  EXPECT_EQ(first_bytes("", 0), "");
}

TEST(Printable, FirstCharacterIsWhole) {
  EXPECT_EQ(first_character("ab"), "a");
  EXPECT_EQ(first_character("äb"), "ä");
  EXPECT_EQ(first_character("😀"), "😀");
  EXPECT_EQ(first_character(""), "");
}

}  // namespace
}  // namespace millrace
