#include "delivery/object_name.hpp"

#include <gtest/gtest.h>

namespace millrace::delivery {
namespace {

using namespace std::chrono;

TimePoint at(sys_days day, hours h, minutes m, seconds s, milliseconds ms) { return TimePoint{day} + h + m + s + ms; }

TEST(ObjectKey, WithoutAPrefixIsTheUtcHourAndTheName) {
  EXPECT_EQ(object_key("", "events-to-s3", 1, at(2026y / 3 / 7, 4h, 5min, 6s, 999ms), "u"),
            "2026/03/07/04/events-to-s3-1-2026-03-07-04-05-06-u");
}

TEST(ObjectKey, PutsNoSlashBehindALiteralPrefix) {
  const TimePoint instant = at(2024y / 12 / 31, 23h, 59min, 59s, 0ms);
  EXPECT_EQ(object_key("legacy", "F", 12, instant, "u"), "legacy2024/12/31/23/F-12-2024-12-31-23-59-59-u");
  EXPECT_EQ(object_key("rawdata/", "F", 1, instant, "u"), "rawdata/2024/12/31/23/F-1-2024-12-31-23-59-59-u");
}

}  // namespace
}  // namespace millrace::delivery
