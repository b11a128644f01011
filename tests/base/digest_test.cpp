#include "millrace/base/digest.hpp"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/md5_kernels.hpp"

namespace millrace {
namespace {

Uint128 openssl_md5(std::string_view key) {
  unsigned char digest[16];
  unsigned size = 0;
  EVP_Digest(key.data(), key.size(), digest, &size, EVP_md5(), nullptr);
  Uint128 value;
  for (int i = 0; i < 8; ++i) value.high = value.high << 8 | digest[i];
  for (int i = 8; i < 16; ++i) value.low = value.low << 8 | digest[i];
  return value;
}

std::string random_bytes(std::mt19937& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string hex(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

TEST(Md5, KnownDigestsReadAsBigEndianNumbers) {
  EXPECT_EQ(md5(""), (Uint128{0xd41d8cd98f00b204, 0xe9800998ecf8427e}));
  EXPECT_EQ(md5("a"), (Uint128{0x0cc175b9c0f1b6a8, 0x31c399e269772661}));
  EXPECT_EQ(md5("message digest"), (Uint128{0xf96b697d7cb7938d, 0x525a2f31aaf161d0}));
}

TEST(Md5, EveryLengthAgreesWithOpenSsl) {
  std::mt19937 random(5);
  for (std::size_t size = 0; size <= 1100; ++size) {
    const std::string key = random_bytes(random, size);
    ASSERT_EQ(md5(key), openssl_md5(key)) << size;
  }
}

TEST(Md5, ManyKeysOfMixedLengthsAgreeWithOneByOneInEveryKernel) {
  struct Case {
    const char* name;
    md5_kernels::Kernel kernel;
  };
  std::vector<Case> cases{{"lanes4", md5_kernels::kLanes4}};
#if defined(MILLRACE_MD5_X86)
  if (md5_kernels::has_avx2()) cases.push_back({"lanes8", md5_kernels::kLanes8});
  if (md5_kernels::has_avx512()) cases.push_back({"lanes16", md5_kernels::kLanes16});
#endif
  std::mt19937 random(6);
  for (std::size_t count = 0; count <= 70; ++count) {
    std::vector<std::string> keys;
    for (std::size_t i = 0; i < count; ++i) keys.push_back(random_bytes(random, random() % (i % 3 == 0 ? 201 : 56)));
    const std::vector<std::string_view> views(keys.begin(), keys.end());
    std::vector<Uint128> expected;
    for (const auto& key : keys) expected.push_back(openssl_md5(key));
    for (const Case& one : cases) {
      std::vector<Uint128> out(count);
      md5_kernels::many(one.kernel, views, out);
      ASSERT_EQ(out, expected) << one.name << ' ' << count;
    }
    std::vector<Uint128> out(count);
    md5_many(views, out);
    ASSERT_EQ(out, expected) << count;
  }
}

TEST(Md5, EmptyViewsWithoutStorageAreEmptyKeys) {
  const std::string_view none[3] = {};
  Uint128 out[3];
  md5_many(none, out);
  for (const Uint128& digest : out) EXPECT_EQ(digest, md5(""));
}

TEST(Sha256, KnownDigests) {
  EXPECT_EQ(hex(sha256("")), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Sha256, HmacAgreesWithOpenSslForKeysShorterAndLongerThanABlock) {
  std::mt19937 random(8);
  for (const std::size_t key_size : {0u, 1u, 32u, 63u, 64u, 65u, 200u}) {
    for (const std::size_t size : {0u, 1u, 55u, 64u, 1000u}) {
      const std::string key = random_bytes(random, key_size), text = random_bytes(random, size);
      std::array<std::uint8_t, 32> expected{};
      unsigned written = 0;
      HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), reinterpret_cast<const unsigned char*>(text.data()),
           text.size(), expected.data(), &written);
      EXPECT_EQ(hmac_sha256(key, text), expected) << key_size << ' ' << size;
    }
  }
}

std::array<std::byte, Sealer::kKeyBytes> key_of(int value) {
  std::array<std::byte, Sealer::kKeyBytes> key;
  key.fill(static_cast<std::byte>(value));
  return key;
}

std::array<std::byte, Sealer::kNonceBytes> nonce_of(int value) {
  std::array<std::byte, Sealer::kNonceBytes> nonce{};
  nonce[0] = static_cast<std::byte>(value);
  nonce[1] = static_cast<std::byte>(value >> 8);
  return nonce;
}

std::string sealed_by(const Sealer& sealer, int nonce, std::string_view plain) {
  std::string out(plain.size() + Sealer::kTagBytes, '\0');
  sealer.seal(nonce_of(nonce), plain, out.data());
  return out;
}

std::string opened_by(const Sealer& sealer, int nonce, std::string_view sealed) {
  std::string out(sealed.size(), '\0');
  if (!sealer.open(nonce_of(nonce), sealed, out.data())) return "refused";
  out.resize(sealed.size() - Sealer::kTagBytes);
  return out;
}

TEST(Hkdf, MatchesTheFirstTestCaseOfItsRfc) {
  const std::string key(22, '\x0b');
  std::string salt, info;
  for (int i = 0; i <= 0x0c; ++i) salt += static_cast<char>(i);
  for (int i = 0xf0; i <= 0xf9; ++i) info += static_cast<char>(i);
  EXPECT_EQ(hex(hkdf_sha256(key, salt, info)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf");
}

TEST(Sealer, WhatIsBesideCannotBeChangedAndPiecesAreOne) {
  const std::array<std::byte, Sealer::kKeyBytes> key{};
  const std::array<std::byte, Sealer::kNonceBytes> nonce{};
  const Sealer sealer(key);
  const std::string_view pieces[] = {"one", "", " and two"};
  std::string sealed(11 + Sealer::kTagBytes, '\0'), plain(11, '\0');
  sealer.seal(nonce, "beside", pieces, sealed.data());
  EXPECT_TRUE(sealer.open(nonce, "beside", sealed, plain.data()));
  EXPECT_EQ(plain, "one and two");
  EXPECT_FALSE(sealer.open(nonce, "besides", sealed, plain.data()));
  EXPECT_FALSE(sealer.open(nonce, sealed, plain.data()));
}

TEST(Sealer, MatchesTheGcmTestVectorOfZeros) {
  const std::string sealed = sealed_by(Sealer(key_of(0)), 0, std::string(16, '\0'));
  EXPECT_EQ(hex({reinterpret_cast<const std::uint8_t*>(sealed.data()), sealed.size()}),
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919");
}

TEST(Sealer, OpensWhatItSealedAndNothingElse) {
  const Sealer sealer(key_of(1)), other(key_of(2));
  for (const std::size_t size : {0u, 1u, 16u, 73u, 500u}) {
    const std::string plain(size, 'p');
    const std::string sealed = sealed_by(sealer, 9, plain);
    EXPECT_EQ(opened_by(sealer, 9, sealed), plain);
    EXPECT_EQ(opened_by(other, 9, sealed), "refused");
    EXPECT_EQ(opened_by(sealer, 10, sealed), "refused");
    for (std::size_t i = 0; i < sealed.size(); i += 5) {
      std::string damaged = sealed;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      EXPECT_EQ(opened_by(sealer, 9, damaged), "refused") << i;
    }
    EXPECT_EQ(opened_by(sealer, 9, sealed), plain) << "a refusal must leave no trace";
  }
  EXPECT_EQ(opened_by(sealer, 9, "short"), "refused");
}

TEST(Sealer, KeysTakeTurnsInOneThreadWithoutMixing) {
  const Sealer first(key_of(1));
  const Sealer copy = first;
  for (int round = 0; round < 20; ++round) {
    const Sealer second(key_of(2));
    const std::string a = sealed_by(first, round, "text"), b = sealed_by(second, round, "text");
    EXPECT_NE(a, b);
    EXPECT_EQ(sealed_by(copy, round, "text"), a);
    EXPECT_EQ(opened_by(second, round, b), "text");
    EXPECT_EQ(opened_by(copy, round, a), "text");
  }
}

TEST(Sealer, ServesSeveralThreadsAtOnce) {
  const Sealer sealer(key_of(3));
  std::vector<int> wrong(4, 0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 200; ++i) {
        const std::string plain = std::to_string(t) + ':' + std::to_string(i);
        if (opened_by(sealer, t * 1000 + i, sealed_by(sealer, t * 1000 + i, plain)) != plain) ++wrong[t];
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

}  // namespace
}  // namespace millrace
