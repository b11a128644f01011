#include "codec/json_scan.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "codec/exact_copy.hpp"

namespace millrace::codec::json_scan {
namespace {

struct Found {
  std::ptrdiff_t at;
  bool non_ascii;
  friend bool operator==(const Found&, const Found&) = default;
};

Found naive(std::string_view text, std::size_t from) {
  bool non_ascii = false;
  std::size_t at = from;
  for (; at < text.size() && !is_special(text[at]); ++at) non_ascii |= static_cast<signed char>(text[at]) < 0;
  return {static_cast<std::ptrdiff_t>(at), non_ascii};
}

Found portable(std::string_view text, std::size_t from) {
  bool non_ascii = false;
  const char* at = special_portable(text.data() + from, text.data() + text.size(), non_ascii);
  return {at - text.data(), non_ascii};
}

Found chosen(std::string_view text, std::size_t from) {
  bool non_ascii = false;
  const char* at = special(text.data() + from, text.data(), text.data() + text.size(), non_ascii);
  return {at - text.data(), non_ascii};
}

TEST(JsonScan, EveryFormFindsTheFirstSpecialCharacter) {
  std::mt19937 random(17);
  const auto pick = [&](unsigned count) { return static_cast<std::size_t>(random() % count); };
  for (int round = 0; round < 30000; ++round) {
    std::string text(pick(round % 10 == 0 ? 500 : 50), 'a');
    for (std::size_t i = pick(4); i > 0 && !text.empty(); --i) {
      static constexpr char kBytes[] = {'"', '\\',   '\0',   '\x1f', ' ',    '!',    '#',    '[',
                                        ']', '\x7f', '\x80', '\xa2', '\xdc', '\xff', '\x9f', '\xa0'};
      text[pick(static_cast<unsigned>(text.size()))] = kBytes[pick(sizeof kBytes)];
    }
    const ExactCopy copy(text);
    const std::size_t from = text.empty() ? 0 : pick(static_cast<unsigned>(std::min<std::size_t>(text.size(), 20)));
    const Found expected = naive(text, from);
    ASSERT_EQ(portable(copy.view(), from), expected) << testing::PrintToString(text);
    ASSERT_EQ(chosen(copy.view(), from), expected) << testing::PrintToString(text);
  }
}

#if defined(MILLRACE_JSON_SSE2)
TEST(JsonScan, WideBlocksStopBeforeTheBlockWithASpecialCharacter) {
  if (!has_avx2()) GTEST_SKIP() << "no AVX2 here";
  for (std::size_t size = 0; size <= 260; ++size) {
    for (std::size_t at = 0; at < size; at += 5) {
      for (const char c : {'"', '\\', '\x1f', '\xc3'}) {
        std::string text(size, 'a');
        text[at] = c;
        const ExactCopy copy(text);
        bool non_ascii = false;
        const char* stop = plain_blocks_avx2(copy.view().data(), copy.view().data() + size, non_ascii);
        const std::size_t passed = c == '\xc3' ? size / 64 * 64 : std::min(at / 64, size / 64) * 64;
        ASSERT_EQ(static_cast<std::size_t>(stop - copy.view().data()), passed) << size << ' ' << at;
        ASSERT_EQ(non_ascii, c == '\xc3' && at < passed) << size << ' ' << at;
      }
    }
  }
}
#endif

}  // namespace
}  // namespace millrace::codec::json_scan
