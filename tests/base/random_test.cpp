#include "millrace/base/random.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace millrace {
namespace {

TEST(SeededRandom, GivesTheSameForTheSameSeed) {
  const auto a = make_seeded_random(7), b = make_seeded_random(7), c = make_seeded_random(8);
  std::array<std::byte, 13> x{}, y{};
  for (int i = 0; i < 10; ++i) EXPECT_EQ(a->next(), b->next());
  a->secret(x);
  b->secret(y);
  EXPECT_EQ(x, y);
  EXPECT_NE(a->next(), c->next());
}

TEST(SystemRandom, ThreadsGetDifferentNumbers) {
  const auto random = make_system_random();
  std::mutex mutex;
  std::set<std::uint64_t> seen;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 100; ++i) {
        const std::uint64_t value = random->next();
        std::lock_guard lock(mutex);
        seen.insert(value);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(seen.size(), 400u);
}

TEST(SystemRandom, SecretFillsAllOfItsBytes) {
  const auto random = make_system_random();
  // A byte stays zero with chance 1/256 a round: after 8 rounds of or-ing only an unfilled one does.
  std::array<std::byte, 64> seen{};
  for (int round = 0; round < 8; ++round) {
    std::array<std::byte, 64> bytes{};
    random->secret(bytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) seen[i] |= bytes[i];
  }
  EXPECT_EQ(std::count(seen.begin(), seen.end(), std::byte{0}), 0);
}

// xxxxxxxx-xxxx-4xxx-[89ab]xxx-xxxxxxxxxxxx
bool has_form(std::string_view uuid) {
  if (uuid.size() != kUuidChars) return false;
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    const std::string_view allowed = i == 8 || i == 13 || i == 18 || i == 23 ? "-"
                                     : i == 14                               ? "4"
                                     : i == 19                               ? "89ab"
                                                                             : "0123456789abcdef";
    if (allowed.find(uuid[i]) == std::string_view::npos) return false;
  }
  return true;
}

TEST(Uuid, IsVersion4InLowerCaseAndEachIsNew) {
  const auto random = make_seeded_random(1);
  std::set<std::string> seen;
  std::set<char> digits;
  for (int i = 0; i < 500; ++i) {
    const std::string uuid = make_uuid(*random);
    EXPECT_TRUE(has_form(uuid)) << uuid;
    seen.insert(uuid);
    digits.insert(uuid.begin(), uuid.end());
  }
  EXPECT_EQ(seen.size(), 500u);
  EXPECT_EQ(digits.size(), 17u) << "all sixteen digits and the hyphen";
}

TEST(NameUuid, IsTheNamesDigestWithVersion5) {
  // SHA-256("") is e3b0c442 98fc 1c14 9afb f4c8996fb924...
  EXPECT_EQ(name_uuid(""), "e3b0c442-98fc-5c14-9afb-f4c8996fb924");
  EXPECT_EQ(name_uuid("a"), name_uuid("a"));
  EXPECT_NE(name_uuid("a"), name_uuid("b"));
}

}  // namespace
}  // namespace millrace
