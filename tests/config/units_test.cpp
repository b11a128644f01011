#include <gtest/gtest.h>

#include "millrace/config/config.hpp"

namespace millrace::config {
namespace {

using std::chrono::milliseconds;

TEST(Sizes, AreNumbersWithABinaryUnitOrBytes) {
  EXPECT_EQ(parse_size("0"), 0u);
  EXPECT_EQ(parse_size("1048576"), 1048576u);
  EXPECT_EQ(parse_size("3KiB"), 3072u);
  EXPECT_EQ(parse_size("512MiB"), 512u << 20);
  EXPECT_EQ(parse_size("12GiB"), 12ull << 30);
  EXPECT_EQ(parse_size("2TiB"), 2ull << 40);
}

TEST(Sizes, AreRefusedInAnyOtherForm) {
  for (const char* text : {"", "GiB", "12GB", "12gib", "12 GiB", "1.5GiB", "-1", "+1", "0x10", "18446744073709551616",
                           "99999999999999TiB"})
    EXPECT_EQ(parse_size(text), std::nullopt) << text;
}

TEST(Durations, AreNumbersWithAUnit) {
  EXPECT_EQ(parse_duration("0s"), milliseconds(0));
  EXPECT_EQ(parse_duration("250ms"), milliseconds(250));
  EXPECT_EQ(parse_duration("8s"), milliseconds(8000));
  EXPECT_EQ(parse_duration("5m"), milliseconds(300'000));
  EXPECT_EQ(parse_duration("1h"), milliseconds(3'600'000));
}

TEST(Durations, AreRefusedInAnyOtherForm) {
  for (const char* text :
       {"", "8", "s", "8 s", "8sec", "-8s", "1.5s", "1d", "99999999999999999999s", "9999999999999999h"})
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
}

}  // namespace
}  // namespace millrace::config
