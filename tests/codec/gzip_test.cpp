#include "millrace/codec/gzip.hpp"

#include <gtest/gtest.h>

namespace millrace::codec {
namespace {

using namespace std::string_literals;

// Python's gzip.compress(b"hello hello hello", mtime=0).
const std::string kHello =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\x57\xc8\x40\x90\x00\x80\x88\xf9\xe5\x11\x00\x00\x00"s;

TEST(Gzip, GivesWhatWasCompressed) {
  EXPECT_EQ(gunzip(kHello, 17), "hello hello hello");
  EXPECT_EQ(gunzip(kHello + kHello, 100), "hello hello hellohello hello hello") << "several members";
}

TEST(Gzip, HoldsNoMoreThanIsAllowed) { EXPECT_EQ(gunzip(kHello, 16), std::nullopt); }

TEST(Gzip, RefusesWhatIsCutOrChanged) {
  EXPECT_EQ(gunzip("", 100), std::nullopt);
  EXPECT_EQ(gunzip("hello", 100), std::nullopt);
  for (std::size_t size = 0; size < kHello.size(); ++size)
    EXPECT_EQ(gunzip(kHello.substr(0, size), 100), std::nullopt) << size;
  std::string changed = kHello;
  changed[changed.size() - 6] ^= 1;  // of the checksum
  EXPECT_EQ(gunzip(changed, 100), std::nullopt);
  EXPECT_EQ(gunzip(kHello + "!", 100), std::nullopt);
}

}  // namespace
}  // namespace millrace::codec
