#include "millrace/services/sessions.hpp"

#include <gtest/gtest.h>

namespace millrace::services {
namespace {

const Session kSession{"ASIAKEY",  "secret/+\"",
                       "AROAROLE", "arn:aws:sts::000000000000:assumed-role/r/n",
                       "n",        std::chrono::sys_seconds{std::chrono::seconds{1'767'225'600}}};

TEST(Sessions, AreAllInTheirTokens) {
  const auto random = make_seeded_random(1);
  const std::string token = Sessions("secret").token(kSession, *random);
  EXPECT_EQ(Sessions("secret").open(token), kSession) << "also after a restart";
  EXPECT_EQ(token.find("ASIAKEY"), std::string::npos);
  EXPECT_NE(Sessions("secret").token(kSession, *random), token);
}

TEST(Sessions, OpenNothingElse) {
  const auto random = make_seeded_random(1);
  const Sessions sessions("secret");
  const std::string token = sessions.token(kSession, *random);
  EXPECT_EQ(Sessions("other").open(token), std::nullopt);
  for (std::size_t size = 0; size < token.size(); ++size) EXPECT_EQ(sessions.open(token.substr(0, size)), std::nullopt);
  for (std::size_t at = 0; at < token.size(); ++at) {
    std::string changed = token;
    changed[at] = changed[at] == 'A' ? 'B' : 'A';
    EXPECT_NE(sessions.open(changed), kSession) << at;
  }
  EXPECT_EQ(sessions.open("not base64"), std::nullopt);
  EXPECT_EQ(sessions.open(std::string(1'000'000, 'A')), std::nullopt);
}

}  // namespace
}  // namespace millrace::services
