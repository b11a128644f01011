#include "millrace/base/crc32.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

// The check value of every catalogue of CRCs, and zlib's of a long text.
TEST(Crc32, GivesTheKnownValues) {
  EXPECT_EQ(crc32("123456789"), 0xcbf43926u);
  EXPECT_EQ(crc32(std::string(32, '\0')), 0x190a55adu);
  EXPECT_EQ(crc32(std::string(32, '\xff')), 0xff6cab0bu);
  EXPECT_EQ(crc32(""), 0u);
}

TEST(Crc32, GoesOnWhereItWas) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += static_cast<char>(i * 7);
  for (std::size_t at = 0; at <= text.size(); ++at)
    EXPECT_EQ(crc32(text.substr(at), crc32(text.substr(0, at))), crc32(text));
}

}  // namespace
}  // namespace millrace
