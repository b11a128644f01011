// HTTP/1.1 as it comes over a socket: framing, limits, and what must not get through.
#include <gtest/gtest.h>

#include "net/site.hpp"

namespace millrace::net {
namespace {

using test::Client;
using test::WireReply;

TEST(Server, AnswersAPostWithItsBody) {
  Site site(echo);
  Client client(site.port);
  const WireReply reply = client.request(post("/a/b?c=%2e", "hello"));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "POST /a/b?c=%2e\nhello");
  EXPECT_EQ(reply.header("Content-Length"), "21");
  EXPECT_EQ(reply.header("Date").size(), 29u);
  EXPECT_FALSE(reply.has("Connection"));
}

TEST(Server, KeepsAConnectionForTheNextRequest) {
  Site site(echo);
  Client client(site.port);
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(client.request(post("/", std::to_string(i))).body, "POST /?\n" + std::to_string(i));
  EXPECT_EQ(site.stats().accepted, 1u);
  EXPECT_EQ(site.stats().requests, 20u);
}

TEST(Server, AnswersPipelinedRequestsInOrder) {
  Site site(echo);
  Client client(site.port);
  std::string all;
  constexpr int kRequests = 1500;  // more than a read buffer holds
  const auto body = [](int i) { return std::string(static_cast<std::size_t>(i % 97), 'x'); };
  for (int i = 0; i < kRequests; ++i) all += post("/" + std::to_string(i), body(i));
  std::thread sender([&] { client.send(all); });
  for (int i = 0; i < kRequests; ++i) EXPECT_EQ(client.receive().body, "POST /" + std::to_string(i) + "?\n" + body(i));
  sender.join();
}

TEST(Server, UnderstandsRequestsThatComeByteByByte) {
  Site site(echo);
  Client client(site.port);
  client.send_byte_by_byte(post("/slow", "abc") +
                           "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
                           "chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: v\r\n\r\n" +
                           "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(client.receive().body, "POST /slow?\nabc");
  EXPECT_EQ(client.receive().body, "POST /chunks?\nabcde");
  EXPECT_EQ(client.receive().body, "GET /?\n");
}

TEST(Server, KeepsRequestsApartWhereverTheyAreSplit) {
  Site site(echo);
  const std::string requests =
      post("/1", "abc") + "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" +
      post("/3", "");
  for (std::size_t split = 1; split < requests.size(); ++split) {
    Client client(site.port);
    client.send(std::string_view(requests).substr(0, split));
    client.send(std::string_view(requests).substr(split));
    ASSERT_EQ(client.receive().body, "POST /1?\nabc") << split;
    ASSERT_EQ(client.receive().body, "POST /2?\nabc") << split;
    ASSERT_EQ(client.receive().body, "POST /3?\n") << split;
  }
}

TEST(Server, GivesHeadersAsTheyCameAndFoldedValuesOnOneLine) {
  Site site([](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    std::string text;
    for (const http::Header& field : request.headers)
      text.append(field.name).append("=").append(field.value).append(";");
    text.append(request.protocol).append(" ").append(request.peer_address);
    co_await answer(writer, 200, std::move(text));
  });
  Client client(site.port);
  EXPECT_EQ(client.request("GET / HTTP/1.1\r\nHost: a:1\r\nX-Two:  b  \r\nx-two:\r\nFold: one\r\n\ttwo\r\n\r\n").body,
            "Host=a:1;X-Two=b;x-two=;Fold=one two;HTTP/1.1 127.0.0.1");
}

TEST(Server, TakesThePathOutOfAnAbsoluteTarget) {
  Site site(echo);
  Client client(site.port);
  EXPECT_EQ(client.request("GET http://h:1/p/q?x=/y HTTP/1.1\r\nHost: a\r\n\r\n").body, "GET /p/q?x=/y\n");
  EXPECT_EQ(client.request("GET http://h?x HTTP/1.1\r\nHost: a\r\n\r\n").body, "GET /?x\n");
  EXPECT_EQ(client.request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").body, "OPTIONS /?\n");
}

TEST(Server, PassesOverEmptyLinesBetweenRequests) {
  Site site(echo);
  Client client(site.port);
  EXPECT_EQ(client.request(post("/", "a") + "\r\n" + post("/", "b") + "\r\n").body, "POST /?\na");
  EXPECT_EQ(client.receive().body, "POST /?\nb");
  EXPECT_EQ(client.request(post("/", "c")).body, "POST /?\nc");
}

TEST(Server, TakesBodiesOfEverySizeAroundItsBuffers) {
  Site site(echo);
  Client client(site.port);
  for (const std::size_t size : {1u, 1000u, 65'000u, 65'450u, 65'536u, 65'537u, 200'000u, 4u << 20}) {
    std::string body(size, ' ');
    for (std::size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i * 7 % 26);
    std::thread sender([&] { client.send(post("/", body) + post("/next", "")); });
    EXPECT_TRUE(client.receive().body == "POST /?\n" + body) << size;
    EXPECT_EQ(client.receive().body, "POST /next?\n") << size;
    sender.join();
  }
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::bodies) == 0; }));
}

TEST(Server, PutsChunksTogether) {
  Site site(echo);
  Client client(site.port);
  std::string request = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", body;
  for (std::size_t size = 1; size < 100'000; size = size * 3 + 1) {
    char line[20];
    std::snprintf(line, sizeof line, "%zX\r\n", size);
    const std::string chunk(size, static_cast<char>('a' + size % 26));
    request += line + chunk + "\r\n";
    body += chunk;
  }
  request += "0\r\nTrailer: x\r\n\r\n" + post("/next", "");
  std::thread sender([&] { client.send(request); });
  EXPECT_TRUE(client.receive().body == "POST /?\n" + body);
  EXPECT_EQ(client.receive().body, "POST /next?\n");
  sender.join();
}

TEST(Server, RefusesBrokenChunks) {
  Site site(echo);
  for (const char* chunks : {"x\r\n\r\n\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "-1\r\nabc\r\n",
                             "11111111111111111\r\nabc\r\n", "3;a=\"\n\"\r\nabc\r\n0\r\n\r\n",
                             "0x3\r\nabc\r\n0\r\n\r\n", " 3\r\nabc\r\n0\r\n\r\n", "0\r\nContent-Length: 1\r\n\r\n"}) {
    Client client(site.port);
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(chunks);
    const WireReply reply = client.receive();
    EXPECT_EQ(reply.status, 400) << chunks;
    EXPECT_EQ(reply.header("Connection"), "close") << chunks;
    EXPECT_TRUE(client.ended()) << chunks;
  }
}

TEST(Server, RefusesAChunkHeadWithoutEnd) {
  Site site(echo);
  Client client(site.port);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;");
  client.send(std::string(100'000, 'x'));
  EXPECT_EQ(client.receive().status, 400);
}

TEST(Server, RefusesAHeadThatCannotEndWellAsSoonAsThatIsPlain) {
  Site site(echo);
  // Pieces, because it is between them that the parser waits for an end.
  for (const auto& pieces : std::vector<std::vector<std::string>>{{"GET / HTTP/1.1\n", "Host: a\n", "\n"},
                                                                  {"GET / HTTP/1.1\r\nHo", "st: a\n"},
                                                                  {"GET / \r\n\r\n"},
                                                                  {"GE", "T / HTTP/\r\n\r\n"}}) {
    Client client(site.port);
    for (std::size_t i = 0; i < pieces.size(); ++i) client.send(pieces[i]);
    const WireReply reply = client.receive();
    EXPECT_EQ(reply.status, 400) << pieces[0];
    EXPECT_TRUE(client.ended());
  }
}

struct Rejected {
  const char* name;
  std::string request;
  int status;
};
class Rejection : public testing::TestWithParam<Rejected> {};
TEST_P(Rejection, IsAnsweredOnceAndEndsTheConnection) {
  std::atomic<int> handled{0};
  Site site([&](http::Request& request, http::ResponseWriter& writer) {
    ++handled;
    return echo(request, writer);
  });
  Client client(site.port);
  client.send(GetParam().request + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  const WireReply reply = client.receive();
  EXPECT_EQ(reply.status, GetParam().status);
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(handled, 0);
  EXPECT_EQ(site.stats().rejected, 1u);
}
const std::string kPost = "POST / HTTP/1.1\r\nHost: a\r\n";
const std::string kGet = "GET / HTTP/1.1\r\n";
INSTANTIATE_TEST_SUITE_P(
    Malformed, Rejection,
    testing::Values(
        Rejected{"LengthThenCoding", kPost + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        Rejected{"CodingThenLength", kPost + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", 400},
        Rejected{"TwoLengths", kPost + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400},
        Rejected{"ListOfLengths", kPost + "Content-Length: 3, 4\r\n\r\nabc", 400},
        Rejected{"SignedLength", kPost + "Content-Length: +3\r\n\r\nabc", 400},
        Rejected{"NegativeLength", kPost + "Content-Length: -1\r\n\r\nabc", 400},
        Rejected{"HexLength", kPost + "Content-Length: 0x3\r\n\r\nabc", 400},
        Rejected{"LengthBeyond64Bits", kPost + "Content-Length: 18446744073709551616\r\n\r\n", 400},
        Rejected{"EmptyLength", kPost + "Content-Length:\r\n\r\n", 400},
        Rejected{"UnknownCoding", kPost + "Transfer-Encoding: gzip\r\n\r\n", 501},
        Rejected{"CodingOverChunks", kPost + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501},
        Rejected{"ChunksNotLast", kPost + "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 501},
        Rejected{"AlmostChunked", kPost + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 501},
        Rejected{"CodingTwice", kPost + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                 400},
        Rejected{"CodingInHttp10", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        Rejected{"BareLineFeeds", "GET / HTTP/1.1\nHost: a\n\n", 400},
        Rejected{"BareLineFeedInAValue", kGet + "Host: a\nX: y\r\n\r\n", 400},
        Rejected{"BareCarriageReturn", kGet + "Host: a\rX: y\r\n\r\n", 400},
        Rejected{"BlankBeforeColon", kGet + "Host : a\r\n\r\n", 400},
        Rejected{"FoldedFirstLine", kGet + " Host: a\r\n\r\n", 400}, Rejected{"NoFieldName", kGet + ": a\r\n\r\n", 400},
        Rejected{"NulInAValue", kGet + "Host: a" + std::string(1, '\0') + "b\r\n\r\n", 400},
        Rejected{"NoHost", kGet + "\r\n", 400}, Rejected{"TwoHosts", kGet + "Host: a\r\nHost: b\r\n\r\n", 400},
        Rejected{"BlankInTheTarget", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        Rejected{"NoVersion", "GET /\r\n\r\n", 400}, Rejected{"NotHttp", "\x16\x03\x01\x02\x01\x01\r\n\r\n", 400},
        Rejected{"Http2Preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        Rejected{"LaterMinorVersion", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
        Rejected{"LongHead", kGet + "Host: a\r\nX: " + std::string(32 * 1024, 'x') + "\r\n\r\n", 431},
        Rejected{"LongTarget", "GET /" + std::string(32 * 1024, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", 431}),
    [](const auto& rejected) { return rejected.param.name; });

TEST(Server, TakesAHeadOfExactlyItsLimit) {
  ListenerOptions options;
  options.head_bytes_max = 1000;
  Site site(echo, options);
  const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  for (const auto& [bytes, status] : {std::pair(1000u, 200), std::pair(1001u, 431)}) {
    const std::string head = begin + std::string(bytes - begin.size() - 4, 'x') + "\r\n\r\n";
    Client client(site.port);
    // The request before puts this head somewhere in the buffer's middle.
    EXPECT_EQ(client.request(post("/", "abc") + head).status, 200);
    EXPECT_EQ(client.receive().status, status) << bytes;
  }
}

TEST(Server, IgnoresAnUpgradeItDoesNotKnow) {
  Site site(echo);
  Client client(site.port);
  const WireReply reply = client.request(
      post("/", "kept", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "POST /?\nkept");
  EXPECT_EQ(client.request(post("/", "again")).body, "POST /?\nagain");
}

TEST(Server, SendsNoBodyToHead) {
  Site site(echo);
  Client client(site.port);
  const WireReply reply = client.request("HEAD /x HTTP/1.1\r\nHost: a\r\n\r\n", true);
  EXPECT_EQ(reply.header("Content-Length"), "9");
  EXPECT_EQ(client.request(post("/", "b")).body, "POST /?\nb");
}

TEST(Server, SendsNeitherBodyNorLengthWith204) {
  Site site([](http::Request&, http::ResponseWriter& writer) { return answer(writer, 204, "x"); });
  Client client(site.port);
  for (int i = 0; i < 2; ++i) {
    const WireReply reply = client.request(post("/", ""));
    EXPECT_EQ(reply.status, 204);
    EXPECT_FALSE(reply.has("Content-Length"));
  }
}

TEST(Server, EndsTheConnectionWhenAsked) {
  Site site(echo);
  Client client(site.port);
  const WireReply reply = client.request(post("/", "b", "Connection: close\r\n"));
  EXPECT_EQ(reply.body, "POST /?\nb");
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(client.ended_cleanly());
}

TEST(Server, ServesHttp10) {
  Site site(echo);
  Client once(site.port);
  EXPECT_EQ(once.request("POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nb").header("Connection"), "close");
  EXPECT_TRUE(once.ended_cleanly());
  Client kept(site.port);
  EXPECT_EQ(kept.request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").header("Connection"), "keep-alive");
  EXPECT_EQ(kept.request("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").body, "GET /?\n");
}

TEST(Server, GivesLeaveToSendOnlyWhenTheBodyIsWanted) {
  Site site(echo);
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ";
  Client wanted(site.port);
  EXPECT_EQ(wanted.request(head + "3\r\n\r\n").status, 100);
  EXPECT_EQ(wanted.request("abc").body, "POST /?\nabc");
  EXPECT_EQ(wanted.request(head + "300000\r\n\r\n").status, 100);
  EXPECT_EQ(wanted.request(std::string(300'000, 'x')).body.size(), 300'008u);

  Client large(site.port);
  const WireReply refused = large.request(head + "5000000\r\n\r\n");
  EXPECT_EQ(refused.status, 413);
  EXPECT_EQ(refused.header("Connection"), "close");
  large.close();

  Client eager(site.port);
  EXPECT_EQ(eager.request(head + "3\r\n\r\nabc").body, "POST /?\nabc");

  Client chunks(site.port);
  EXPECT_EQ(
      chunks.request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n").status,
      100);
  EXPECT_EQ(chunks.request("3\r\nabc\r\n0\r\n\r\n").body, "POST /?\nabc");
}

TEST(Server, AReplyWithoutLeaveToSendEndsTheConnection) {
  Site site([](http::Request&, http::ResponseWriter& writer) { return answer(writer, 403, "no"); });
  Client client(site.port);
  const WireReply reply =
      client.request("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(reply.status, 403);
  EXPECT_EQ(reply.header("Connection"), "close");
}

TEST(Server, DrainsASmallBodyNobodyAskedFor) {
  Site site([](http::Request&, http::ResponseWriter& writer) { return answer(writer, 200, "ok"); });
  Client client(site.port);
  std::thread sender([&] {
    client.send(post("/", std::string(200'000, 'x')));
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    client.send(post("/", ""));
  });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(client.receive().body, "ok") << i;
  sender.join();
  EXPECT_EQ(site.stats().accepted, 1u);
}

TEST(Server, ALargeBodyNobodyAskedForEndsTheConnectionButNotTheReply) {
  Site site(echo);
  Client client(site.port);
  // A client that sends all before it reads still gets the answer.
  EXPECT_TRUE(client.send(post("/", std::string(5'000'000, 'x'))));
  const WireReply reply = client.receive();
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(client.ended_cleanly());
}

TEST(Server, AChunkedBodyOverTheLimitIsRefused) {
  Site site(echo);
  Client client(site.port);
  std::string request = kPost + "Transfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 5; ++i) request += "100000\r\n" + std::string(0x100000, 'x') + "\r\n";
  client.send(request + "0\r\n\r\n");
  const WireReply reply = client.receive();
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.header("Connection"), "close");
}

TEST(Server, RefusesABodyTheBudgetHasNoRoomFor) {
  Site site(echo, {}, 1, 1u << 20);
  Client client(site.port);
  const std::string head = kPost + "Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n";
  EXPECT_EQ(client.request(head).status, 503);
  EXPECT_EQ(site.budget.used(Account::bodies), 0u);
  Client small(site.port);
  EXPECT_EQ(small.request(post("/", "abc")).status, 200);
}

}  // namespace
}  // namespace millrace::net
