#include <gtest/gtest.h>

#include "admin/fixture.hpp"

namespace millrace::admin {
namespace {

using nlohmann::json;

/// One reset with three URLs, so each case runs on each.
struct ResetUrl {
  const char* name;
  std::string path;
  std::string reply, reply_with_objects;
};

class ResetAt : public AdminPages, public testing::WithParamInterface<ResetUrl> {
 protected:
  test::RecordedResponse post(const std::string& query = "", const std::string& origin = "") {
    return ask_whole("POST", GetParam().path + query, origin);
  }
};

const std::string kKept = R"({"reset":true,"objects":false})"
                          "\n",
                  kRemoved = R"({"reset":true,"objects":true})"
                             "\n";
const std::string kMoto = R"({"status": "ok"})";

INSTANTIATE_TEST_SUITE_P(Urls, ResetAt,
                         testing::Values(ResetUrl{"Own", "/_millrace/reset", kKept, kRemoved},
                                         ResetUrl{"LocalStack", "/_localstack/state/reset", kKept, kRemoved},
                                         ResetUrl{"Moto", "/moto-api/reset", kMoto, kMoto}),
                         [](const auto& url) { return url.param.name; });

TEST_P(ResetAt, ClearsDeliveryThenStreamsThenDeclaresAgainAndKeepsObjects) {
  const auto reply = post();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, GetParam().reply);
  EXPECT_EQ(reply.header("Content-Type"), "application/json");
  EXPECT_EQ(reply.header("X-Millrace-Objects"), "kept");
  EXPECT_EQ(calls_, (Calls{"delivery.clear", "streams.clear", "declare"}));
}

TEST_P(ResetAt, TakesObjectsTooWhenAskedAndSaysSo) {
  const auto reply = post("?objects=true");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, GetParam().reply_with_objects);
  EXPECT_EQ(reply.header("X-Millrace-Objects"), "removed");
  EXPECT_EQ(calls_, (Calls{"delivery.clear", "streams.clear", "objects.clear", "declare"}));
}

TEST_P(ResetAt, TakesNothingButPost) {
  for (const char* method : {"GET", "HEAD", "PUT", "DELETE", "OPTIONS"}) {
    const auto reply = ask_whole(method, GetParam().path);
    EXPECT_EQ(reply.status, 405) << method;
    EXPECT_EQ(reply.header("Allow"), "POST") << method;
  }
  EXPECT_EQ(calls_, Calls{});
}

TEST_P(ResetAt, IsRefusedFromABrowserPage) {
  EXPECT_EQ(post("", "http://evil.example").status, 403);
  EXPECT_EQ(post("?objects=true", "null").status, 403);
  EXPECT_EQ(calls_, Calls{});
}

TEST_P(ResetAt, IsRefusedWhereItIsSwitchedOff) {
  reset_enabled_ = false;
  const auto reply = post();
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(body(reply)["error"], "reset is not enabled");
  EXPECT_FALSE(reply.has_header("X-Millrace-Objects"));
  EXPECT_EQ(calls_, Calls{});
}

TEST_P(ResetAt, IsRefusedWhereDataLastsUnlessSwitchedOn) {
  storage_mode_ = "durable";
  EXPECT_EQ(post().status, 403);
  EXPECT_EQ(calls_, Calls{});
  reset_enabled_ = true;
  admin_.reset();
  EXPECT_EQ(post().status, 200);
  EXPECT_EQ(calls_.size(), 3u);
}

TEST_P(ResetAt, RefusesParametersItDoesNotKnow) {
  for (const char* query : {"?objects=yes", "?objects", "?object=true", "?services=kinesis"}) {
    const auto reply = post(query);
    EXPECT_EQ(reply.status, 400) << query;
    EXPECT_TRUE(body(reply).contains("error"));
  }
  EXPECT_EQ(calls_, Calls{});
}

TEST_P(ResetAt, IsRefusedWhileAnotherRunsAtWhicheverUrl) {
  hold_declare_ = true;
  boost::asio::io_context io;
  test::TestRequest request("POST", "/_millrace/reset");
  test::RecordedResponse first_reply;
  auto first = test::start(io, admin().handle(request.request, first_reply));
  test::settle(io);
  EXPECT_FALSE(first.done());
  EXPECT_EQ(post().status, 409);
  release_.notify();
  test::settle(io);
  ASSERT_TRUE(first.done());
  EXPECT_EQ(first_reply.status, 200);
  hold_declare_ = false;
  EXPECT_EQ(post().status, 200) << "the turn is given back";
}

TEST_P(ResetAt, SaysWhatFailed) {
  streams_.fail_clear = true;
  auto reply = post();
  EXPECT_EQ(reply.status, 500);
  EXPECT_EQ(body(reply)["failed"], "streams");
  streams_.fail_clear = false;
  objects_.fail_clear = true;
  reply = post("?objects=true");
  EXPECT_EQ(reply.status, 500);
  EXPECT_EQ(body(reply)["failed"], "objects");
  declare_error_ = "stream events: no";
  reply = post();
  EXPECT_EQ(reply.status, 500);
  EXPECT_EQ(body(reply)["error"], "stream events: no");
  declare_error_.clear();
  EXPECT_EQ(post().status, 200) << "a failed reset does not block the next";
}

}  // namespace
}  // namespace millrace::admin
