#include "millrace/cli/health.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <future>

namespace millrace::cli {
namespace {

using boost::asio::ip::tcp;
using testing::HasSubstr;
using testing::StartsWith;

/// Accepts one connection, reads a request's head and answers with a fixed text; remembers the head.
class OneAnswer {
 public:
  explicit OneAnswer(std::string answer) {
    served_ = std::async(std::launch::async, [this, answer] {
      tcp::socket socket(context_);
      acceptor_.accept(socket);
      std::string head;
      boost::asio::read_until(socket, boost::asio::dynamic_buffer(head), "\r\n\r\n");
      boost::system::error_code ignored;
      boost::asio::write(socket, boost::asio::buffer(answer), ignored);
      return head;
    });
  }
  std::string url() { return "http://127.0.0.1:" + std::to_string(acceptor_.local_endpoint().port()); }
  std::string head() { return served_.get(); }

 private:
  boost::asio::io_context context_;
  tcp::acceptor acceptor_{context_, tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0)};
  std::future<std::string> served_;
};

TEST(HttpGet, GivesStatusAndBody) {
  OneAnswer server("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nsorry");
  auto answer = http_get(server.url(), "/_millrace/health", std::chrono::seconds(10));
  ASSERT_TRUE(answer) << answer.error().detail;
  EXPECT_EQ(answer->status, 503);
  EXPECT_EQ(answer->body, "sorry");
  EXPECT_THAT(server.head(), StartsWith("GET /_millrace/health HTTP/1.0\r\nHost: 127.0.0.1:"));
}

TEST(HttpGet, RefusesWhatIsNotHttp) {
  OneAnswer server("SSH-2.0-x\r\n\r\n");
  auto answer = http_get(server.url(), "/", std::chrono::seconds(10));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::bad_answer);
  server.head();
}

TEST(HttpGet, SaysThatNobodyListens) {
  boost::asio::io_context context;
  tcp::acceptor bound(context);  // holds a port without listening there
  bound.open(tcp::v4());
  bound.bind(tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
  auto answer =
      http_get("http://127.0.0.1:" + std::to_string(bound.local_endpoint().port()), "/", std::chrono::seconds(10));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::unreachable);
  EXPECT_THAT(answer.error().detail, HasSubstr("cannot reach http://127.0.0.1:"));
}

TEST(HttpGet, EndsAtItsDeadline) {
  boost::asio::io_context context;
  tcp::acceptor silent(context,
                       tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));  // takes connections, never answers
  auto answer = http_get("http://127.0.0.1:" + std::to_string(silent.local_endpoint().port()), "/",
                         std::chrono::milliseconds(20));
  ASSERT_FALSE(answer);
  EXPECT_THAT(answer.error().detail, HasSubstr("within 20 ms"));
}

TEST(HttpGet, RefusesWhatIsNotAUrl) {
  for (const char* url :
       {"", "localhost:4566", "https://localhost:4566", "http://", "http://a b:1", "http://a:b", "http://u@h:1"}) {
    auto answer = http_get(url, "/", std::chrono::seconds(1));
    ASSERT_FALSE(answer) << url;
    EXPECT_EQ(answer.error().code, Errc::bad_url) << url;
  }
}

TEST(UrlOfListener, IsWhereAClientReachesIt) {
  EXPECT_EQ(url_of_listener("localhost:4566"), "http://localhost:4566");
  EXPECT_EQ(url_of_listener("0.0.0.0:1"), "http://127.0.0.1:1");
  EXPECT_EQ(url_of_listener("[::]:1"), "http://[::1]:1");
  EXPECT_EQ(url_of_listener("[::1]:1"), "http://[::1]:1");
  EXPECT_EQ(url_of_listener("localhost:0"), std::nullopt);
}

}  // namespace
}  // namespace millrace::cli
