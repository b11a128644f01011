#include "millrace/base/http.hpp"

#include <gtest/gtest.h>

#include "support/http.hpp"
#include "support/run.hpp"

namespace millrace {
namespace {

TEST(SameToken, IgnoresLetterCaseOnly) {
  EXPECT_TRUE(http::same_token("Content-Type", "content-TYPE"));
  EXPECT_TRUE(http::same_token("", ""));
  EXPECT_FALSE(http::same_token("Content-Type", "Content-Typ"));
  EXPECT_FALSE(http::same_token("a", "b"));
  // These pairs differ in the bit that folds letters, but are not letters.
  EXPECT_FALSE(http::same_token("@", "`"));
  EXPECT_FALSE(http::same_token("[", "{"));
  EXPECT_FALSE(http::same_token("\x10", "0"));
  EXPECT_FALSE(http::same_token("\xc0", "\xe0"));
}

TEST(Headers, FindGivesTheFirstValueWithoutCase) {
  http::Headers headers;
  headers.add("X-One", "1");
  headers.add("x-two", "2");
  headers.add("X-TWO", "3");
  EXPECT_EQ(headers.find("x-one"), "1");
  EXPECT_EQ(headers.get("X-Two"), "2");
  EXPECT_FALSE(headers.find("x-tw"));
  EXPECT_EQ(headers.get("absent"), "");
  EXPECT_EQ(headers.size(), 3u);
}

TEST(ReasonPhrase, KnowsWhatIsSentAndIsEmptyOtherwise) {
  EXPECT_EQ(http::reason_phrase(200), "OK");
  EXPECT_EQ(http::reason_phrase(413), "Content Too Large");
  EXPECT_EQ(http::reason_phrase(299), "");
}

TEST(MemoryBody, CollectRefusesAnAnnouncedLengthWithoutAskingThePeer) {
  test::MemoryBody body("12345");
  auto refused = test::run(body.collect(4));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, http::Errc::too_large);
  EXPECT_FALSE(body.asked());
  EXPECT_EQ(*test::run(body.collect(5)), "12345");
  EXPECT_TRUE(body.asked());
}

TEST(MemoryBody, PullGivesThePiecesThenNothing) {
  test::MemoryBody body("abcdef", {1, 2}, false);
  EXPECT_FALSE(body.length());
  EXPECT_EQ(*test::run(body.pull()), "a");
  EXPECT_EQ(*test::run(body.pull()), "bc");
  EXPECT_EQ(*test::run(body.pull()), "def");
  EXPECT_EQ(*test::run(body.pull()), "");
}

TEST(RecordedResponse, NamesABrokenRule) {
  test::RecordedResponse writer;
  const http::ResponseHead head{200, {}};
  ASSERT_TRUE(test::run(writer.start(head, 3)));
  ASSERT_TRUE(test::run(writer.write({"ab", nullptr})));
  ASSERT_TRUE(test::run(writer.finish()));
  EXPECT_EQ(writer.misuse, "the length announced was not written");
}

TEST(RecordedResponse, PeerLeavesInMidReply) {
  test::RecordedResponse writer;
  writer.peer_leaves_after(2);
  const http::ResponseHead head{200, {}};
  ASSERT_TRUE(test::run(writer.start(head, std::nullopt)));
  EXPECT_TRUE(test::run(writer.write({"a", nullptr})));
  auto gone = test::run(writer.write({"b", nullptr}));
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, http::Errc::peer_gone);
}

}  // namespace
}  // namespace millrace
