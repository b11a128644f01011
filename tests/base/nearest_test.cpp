#include "millrace/base/nearest.hpp"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(Nearest, FindsASlipAndNothingFar) {
  std::string_view words[] = {"storage", "streams", "shutdown", "log"};
  EXPECT_EQ(nearest("storge", words), "storage");
  EXPECT_EQ(nearest("STREAMS", words), "streams");
  EXPECT_EQ(nearest("elephant", words), "");
  EXPECT_EQ(nearest("xyz", words), "");
}

}  // namespace
}  // namespace millrace
