#include "millrace/base/nearest.hpp"

#include <gtest/gtest.h>

#include <string>

namespace millrace {
namespace {

TEST(Nearest, FindsASlipAndNothingFar) {
  std::string_view words[] = {"storage", "streams", "shutdown", "log"};
  EXPECT_EQ(nearest("storge", words), "storage");
  EXPECT_EQ(nearest("STREAMS", words), "streams");
  EXPECT_EQ(nearest("elephant", words), "");
  EXPECT_EQ(nearest("xyz", words), "");
  EXPECT_EQ(nearest(std::string(65, 'l'), words), "");
  EXPECT_EQ(nearest("", words), "");
}

TEST(Nearest, TakesTheLeastChangesAndASwapOfNeighboursForOne) {
  std::string_view words[] = {"get", "put", "post", "patch"};
  EXPECT_EQ(nearest("pots", words), "post");
  EXPECT_EQ(nearest("ptu", words), "put");
  EXPECT_EQ(nearest("poost", words), "post");
  EXPECT_EQ(nearest("pos", words), "post");
  EXPECT_EQ(nearest("petch", words), "patch");
}

}  // namespace
}  // namespace millrace
