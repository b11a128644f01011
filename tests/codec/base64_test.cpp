#include "millrace/codec/base64.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <random>
#include <string>
#include <vector>

#include "codec/base64_kernels.hpp"
#include "codec/exact_copy.hpp"

namespace millrace::codec::base64 {
namespace {

struct Kernel {
  std::string name;
  Decoded (*decode)(std::string_view, char*) noexcept;
  std::size_t (*encode)(std::string_view, char*) noexcept;
};

std::vector<Kernel> kernels_here() {
  std::vector<Kernel> found{{"Table", kernels::decode_table, kernels::encode_table}};
#if defined(MILLRACE_BASE64_X86)
  if (kernels::has_ssse3()) found.push_back({"Ssse3", kernels::decode_ssse3, kernels::encode_ssse3});
  if (kernels::has_avx2()) found.push_back({"Avx2", kernels::decode_avx2, kernels::encode_avx2});
#endif
  found.push_back({"Chosen", decode, encode});
  return found;
}

class Base64 : public testing::TestWithParam<Kernel> {
 protected:
  struct Outcome {
    Decoded decoded;
    std::string bytes;
  };
  static Outcome decode(std::string_view text) {
    const ExactCopy copy(text);
    std::vector<char> out(decoded_size_max(text.size()) + kSlack);
    const Decoded decoded = GetParam().decode(copy.view(), out.data());
    return {decoded, std::string(out.data(), decoded.size)};
  }
  static std::string encode(std::string_view bytes) {
    const ExactCopy copy(bytes);
    std::vector<char> out(encoded_size(bytes.size()) + kSlack);
    return {out.data(), GetParam().encode(copy.view(), out.data())};
  }
  static void expect_bad_character(std::string_view text, std::size_t at) {
    const auto [decoded, bytes] = decode(text);
    EXPECT_EQ(decoded.error, Errc::character) << text;
    EXPECT_EQ(decoded.at, at) << text;
    EXPECT_EQ(decoded.size, 0u) << text;
  }
};

std::string openssl_encode(std::string_view bytes) {
  std::string out(encoded_size(bytes.size()) + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::string random_bytes(std::mt19937& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

TEST_P(Base64, KnownTextsInBothDirections) {
  const std::pair<std::string, std::string> known[] = {{"", ""},
                                                       {"f", "Zg=="},
                                                       {"fo", "Zm8="},
                                                       {"foo", "Zm9v"},
                                                       {"foob", "Zm9vYg=="},
                                                       {"fooba", "Zm9vYmE="},
                                                       {"foobar", "Zm9vYmFy"},
                                                       {"\xff\xef\xbe", "/+++"}};
  for (const auto& [bytes, text] : known) {
    EXPECT_EQ(encode(bytes), text);
    const Outcome outcome = decode(text);
    EXPECT_EQ(outcome.decoded.error, Errc::none) << text;
    EXPECT_EQ(outcome.bytes, bytes);
  }
}

TEST_P(Base64, EveryLengthAgreesWithOpenSsl) {
  std::mt19937 random(20240611);
  for (std::size_t size = 0; size <= 400; ++size) {
    const std::string bytes = random_bytes(random, size);
    const std::string text = openssl_encode(bytes);
    ASSERT_EQ(encode(bytes), text) << size;
    const Outcome outcome = decode(text);
    ASSERT_EQ(outcome.decoded.error, Errc::none) << size;
    ASSERT_EQ(outcome.bytes, bytes) << size;
  }
}

TEST_P(Base64, LengthNotAMultipleOfFourIsRefused) {
  for (const std::size_t size : {1u, 2u, 3u, 5u, 17u, 18u, 19u, 33u, 70u, 135u}) {
    EXPECT_EQ(decode(std::string(size, 'A')).decoded.error, Errc::length) << size;
  }
  EXPECT_EQ(decode("Zg=").decoded.error, Errc::length);
}

TEST_P(Base64, EachByteIsTakenOrRefusedInEveryPlaceAsTheTableSays) {
  const std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (const std::size_t size : {8u, 24u, 36u, 72u, 140u}) {
    for (int byte = 0; byte < 256; ++byte) {
      const char c = static_cast<char>(byte);
      for (std::size_t at = 0; at < size; at += at + 8 < size ? 3 : 1) {
        if (c == '=' && at == size - 1) continue;  // padding, see below
        std::string text(size, 'A');
        text[at] = c;
        const Decoded decoded = decode(text).decoded;
        if (alphabet.find(c) != alphabet.npos) {
          ASSERT_EQ(decoded.error, Errc::none) << byte << " at " << at << " of " << size;
        } else {
          ASSERT_EQ(decoded.error, Errc::character) << byte << " at " << at << " of " << size;
          ASSERT_EQ(decoded.at, at) << byte << " of " << size;
        }
      }
    }
  }
}

TEST_P(Base64, TheFirstOfSeveralBadCharactersIsNamed) {
  std::string text(140, 'A');
  text[139] = '!';
  text[100] = '?';
  expect_bad_character(text, 100);
  text[3] = ' ';
  expect_bad_character(text, 3);
}

TEST_P(Base64, PaddingInTheWrongPlaceIsABadCharacter) {
  expect_bad_character("Zg==Zm9v", 2);
  expect_bad_character("Zm8=Zm9v", 3);
  expect_bad_character("Z===", 1);
  expect_bad_character("====", 0);
  expect_bad_character("=m9v", 0);
  expect_bad_character("Zm=v", 2);
  expect_bad_character("Z=9v", 1);
  expect_bad_character("Zm9v====", 4);
  expect_bad_character("Z!==", 1);
  expect_bad_character("Zm!=", 2);
  expect_bad_character(std::string(40, 'A') + "A=AA" + std::string(40, 'A'), 41);
}

TEST_P(Base64, UnusedBitsOfTheLastCharacterMustBeZero) {
  for (const std::string before : {"", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}) {
    EXPECT_EQ(decode(before + "Zh==").decoded.error, Errc::last_character);
    EXPECT_EQ(decode(before + "Zm9=").decoded.error, Errc::last_character);
    EXPECT_EQ(decode(before + "Zg==").decoded.error, Errc::none);
    EXPECT_EQ(decode(before + "Zm8=").decoded.error, Errc::none);
  }
}

TEST_P(Base64, NothingIsWrittenBehindTheSlack) {
  std::mt19937 random(7);
  for (std::size_t size = 0; size <= 200; ++size) {
    const std::string bytes = random_bytes(random, size);
    std::string text(encoded_size(size) + kSlack + 16, '#');
    GetParam().encode(bytes, text.data());
    EXPECT_EQ(text.substr(encoded_size(size) + kSlack), std::string(16, '#')) << size;
    const std::string encoded = openssl_encode(bytes);
    std::string out(decoded_size_max(encoded.size()) + kSlack + 16, '#');
    GetParam().decode(encoded, out.data());
    EXPECT_EQ(out.substr(decoded_size_max(encoded.size()) + kSlack), std::string(16, '#')) << size;
  }
}

TEST_P(Base64, DamagedTextsAreJudgedAsByTheTable) {
  std::mt19937 random(99);
  for (int round = 0; round < 3000; ++round) {
    std::string text = openssl_encode(random_bytes(random, random() % 150));
    for (auto damage = random() % 3; damage > 0 && !text.empty(); --damage) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    std::vector<char> out(decoded_size_max(text.size()) + kSlack);
    const Decoded expected = kernels::decode_table(text, out.data());
    const Outcome outcome = decode(text);
    ASSERT_EQ(outcome.decoded.error, expected.error) << text;
    ASSERT_EQ(outcome.decoded.at, expected.at) << text;
    ASSERT_EQ(outcome.bytes, std::string(out.data(), expected.size)) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, Base64, testing::ValuesIn(kernels_here()),
                         [](const auto& kernel) { return kernel.param.name; });

TEST(Base64Strings, RoundTripAndRefusal) {
  EXPECT_EQ(encode("any carnal pleas"), "YW55IGNhcm5hbCBwbGVhcw==");
  EXPECT_EQ(decode("YW55IGNhcm5hbCBwbGVhcw=="), "any carnal pleas");
  EXPECT_EQ(decode(""), "");
  EXPECT_EQ(decode("YW55 GNh"), std::nullopt);
}

}  // namespace
}  // namespace millrace::codec::base64
