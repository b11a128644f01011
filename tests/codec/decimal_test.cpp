#include "millrace/codec/decimal.hpp"

#include <gtest/gtest.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <random>
#include <string>

namespace millrace::codec {
namespace {

using Big = boost::multiprecision::cpp_int;

Big big(const Uint256& value) {
  Big result = 0;
  for (std::size_t i = 4; i-- > 0;) result = (result << 64) | value.words[i];
  return result;
}

Uint256 random_number(std::mt19937_64& random) {
  Uint256 value;
  for (auto& word : value.words) word = random();
  const unsigned cut = random() % 256;  // numbers of every size, not only large ones
  for (unsigned i = 0; i < 4; ++i) {
    const unsigned first = i * 64;
    if (first >= cut) {
      value.words[i] = 0;
    } else if (cut - first < 64) {
      value.words[i] &= (std::uint64_t{1} << (cut - first)) - 1;
    }
  }
  return value;
}

std::string written(const Decimal56& number) {
  std::string text(Decimal56::kDigits, '#');
  number.write(text.data());
  return text;
}

TEST(Decimal, WideNumbersAgreeWithBigIntegersBothWays) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 5000; ++round) {
    const Uint256 value = random_number(random);
    const std::string text = big(value).str();
    ASSERT_EQ(to_decimal(value), text);
    ASSERT_EQ(parse_uint256(text), value) << text;
    const Uint128 half{value.words[1], value.words[0]};
    const std::string half_text = big(Uint256{{half.low, half.high, 0, 0}}).str();
    ASSERT_EQ(to_decimal(half), half_text);
    ASSERT_EQ(parse_uint128(half_text), half) << half_text;
  }
}

TEST(Decimal, Uint128TakesExactlyTheCanonicalForms) {
  EXPECT_EQ(parse_uint128("0"), (Uint128{0, 0}));
  EXPECT_EQ(parse_uint128("340282366920938463463374607431768211455"), (Uint128{~0ull, ~0ull}));
  for (const char* text : {"", "00", "01", "-1", "+1", " 1", "1 ", "1.0", "1e3", "0x1", "12a", "a12",
                           "340282366920938463463374607431768211456", "999999999999999999999999999999999999999",
                           "1000000000000000000000000000000000000000"}) {
    EXPECT_EQ(parse_uint128(text), std::nullopt) << text;
  }
  EXPECT_EQ(parse_uint128(std::string_view("1\0", 2)), std::nullopt);
}

TEST(Decimal, Uint256RefusesWhatDoesNotFitOrIsNoNumber) {
  const Big limit = Big(1) << 256;
  EXPECT_EQ(parse_uint256(Big(limit - 1).str()), (Uint256{{~0ull, ~0ull, ~0ull, ~0ull}}));
  EXPECT_EQ(parse_uint256(limit.str()), std::nullopt);
  EXPECT_EQ(parse_uint256(std::string(200, '9')), std::nullopt);
  EXPECT_EQ(parse_uint256(std::string(200, '0') + "17"), (Uint256{{17, 0, 0, 0}}));
  for (const char* text : {"", "-1", "1,0", "4959 ", "\xd9\xa1"}) EXPECT_EQ(parse_uint256(text), std::nullopt) << text;
}

TEST(Decimal56, WritesAllDigitsWithLeadingZeros) {
  EXPECT_EQ(written(Decimal56{}), std::string(56, '0'));
  EXPECT_EQ(written(Decimal56{Uint256{{7, 0, 0, 0}}}), std::string(55, '0') + '7');
  const Big largest = boost::multiprecision::pow(Big(10), 56) - 1;
  EXPECT_EQ(written(Decimal56{*parse_uint256(largest.str())}), std::string(56, '9'));
}

TEST(Decimal56, EveryLimbValueIsWrittenAsPrinted) {
  std::mt19937 random(3);
  for (int round = 0; round < 200000; ++round) {
    const std::uint32_t limb = round < 20000
                                   ? static_cast<std::uint32_t>(round * 5000 + static_cast<int>(random() % 5000))
                                   : static_cast<std::uint32_t>(random() % 100000000);
    char expected[9];
    std::snprintf(expected, sizeof expected, "%08u", limb);
    ASSERT_EQ(written(Decimal56{Uint256{{limb, 0, 0, 0}}}).substr(48), expected);
  }
}

TEST(Decimal56, AdditionCarriesThroughAllLimbsAndWrapsAtTheEnd) {
  const Big modulus = boost::multiprecision::pow(Big(10), 56);
  std::mt19937_64 random(2);
  const auto below = [&] { return Big(big(random_number(random)) % modulus); };
  for (int round = 0; round < 3000; ++round) {
    const Big a = below(), b = below();
    Decimal56 sum{*parse_uint256(a.str())};
    sum += Decimal56{*parse_uint256(b.str())};
    const std::string expected = Big((a + b) % modulus).str();
    ASSERT_EQ(written(sum), std::string(56 - expected.size(), '0') + expected);
  }
  Decimal56 last{*parse_uint256(Big(modulus - 1).str())};
  last += Decimal56{Uint256{{1, 0, 0, 0}}};
  EXPECT_EQ(written(last), std::string(56, '0'));
}

}  // namespace
}  // namespace millrace::codec
