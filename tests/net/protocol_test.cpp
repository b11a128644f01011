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

/// Replies with the fields, as they came.
awaitable<void> tell_fields(http::Request& request, http::ResponseWriter& writer) {
  std::string text;
  for (const http::Header& field : request.headers) text.append(field.name).append("=").append(field.value).append(";");
  text.append(request.protocol).append(" ").append(request.peer_address);
  co_await answer(writer, 200, std::move(text));
}

TEST(Server, GivesHeadersAsTheyCame) {
  Site site(tell_fields);
  Client client(site.port);
  EXPECT_EQ(client.request("GET / HTTP/1.1\r\nHost: a:1\r\nX-Two:  b \t\r\nx-two:\r\nX-High:\t\xff c\r\n\r\n").body,
            "Host=a:1;X-Two=b;x-two=;X-High=\xff c;HTTP/1.1 127.0.0.1");
}

TEST(Server, TakesThePathOutOfAnAbsoluteTarget) {
  Site site(echo);
  Client client(site.port);
  EXPECT_EQ(client.request("GET http://h:1/p/q?x=/y HTTP/1.1\r\nHost: a\r\n\r\n").body, "GET /p/q?x=/y\n");
  EXPECT_EQ(client.request("GET HTTPS://h?x HTTP/1.1\r\nHost: a\r\n\r\n").body, "GET /?x\n");
  EXPECT_EQ(client.request("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").body, "OPTIONS /?\n");
}

TEST(Server, TakesTheHostOutOfAnAbsoluteTarget) {
  Site site(tell_fields);
  Client client(site.port);
  EXPECT_EQ(client.request("GET http://h:1/ HTTP/1.1\r\nX: y\r\nHost: a\r\n\r\n").body,
            "X=y;Host=h:1;HTTP/1.1 127.0.0.1");
  EXPECT_EQ(client.request("GET http://h/ HTTP/1.0\r\nX: y\r\n\r\n").body, "X=y;Host=h;HTTP/1.0 127.0.0.1");
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

/// A form of a request and its answer.
struct Form {
  const char* name;
  std::string sent;
  int status;
};
std::string name_of(const testing::TestParamInfo<Form>& form) { return form.param.name; }

class BrokenChunks : public testing::TestWithParam<Form> {};
TEST_P(BrokenChunks, AreRefusedAndEndTheConnection) {
  Site site(echo);
  Client client(site.port);
  client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  client.send(GetParam().sent + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  const WireReply reply = client.receive();
  EXPECT_EQ(reply.status, GetParam().status);
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(client.ended());
}
INSTANTIATE_TEST_SUITE_P(
    Forms, BrokenChunks,
    testing::Values(Form{"NoSize", "x\r\n{}\r\n0\r\n\r\n", 400}, Form{"HexPrefix", "0x2\r\n{}\r\n0\r\n\r\n", 400},
                    Form{"NegativeSize", "-2\r\n{}\r\n0\r\n\r\n", 400},
                    Form{"SizeBeyond64Bits", "11111111111111111\r\n{}\r\n0\r\n\r\n", 400},
                    Form{"BlankBeforeTheSize", " 2\r\n{}\r\n0\r\n\r\n", 400},
                    Form{"BlankBehindTheSize", "2 \r\n{}\r\n0\r\n\r\n", 400},
                    Form{"ExtensionWithoutAName", "2;\r\n{}\r\n0\r\n\r\n", 400},
                    Form{"LineFeedInAnExtension", "2;a=\"\n\"\r\n{}\r\n0\r\n\r\n", 400},
                    Form{"BareLineFeed", "2\n{}\r\n0\r\n\r\n", 400},
                    Form{"BareLineFeedBehindTheData", "2\r\n{}\n0\r\n\r\n", 400},
                    Form{"DataLongerThanItsSize", "2\r\n{}}\r\n0\r\n\r\n", 400},
                    Form{"LengthInTheTrailers", "2\r\n{}\r\n0\r\nContent-Length: 2\r\n\r\n", 400},
                    Form{"FoldedTrailer", "2\r\n{}\r\n0\r\nX: y\r\n z\r\n\r\n", 400},
                    Form{"LineFeedInTheTrailers", "2\r\n{}\r\n0\r\nX: y\nZ: z\r\n\r\n", 400},
                    Form{"ExtensionWithoutEnd", "2;" + std::string(70'000, 'x'), 400},
                    Form{"TrailersWithoutEnd", "2\r\n{}\r\n0\r\nX: " + std::string(70'000, 'y'), 400}),
    name_of);

/// What docs/http.md says of each form, in its order.
class Rejection : public testing::TestWithParam<Form> {};
TEST_P(Rejection, IsAnsweredOnceAndEndsTheConnection) {
  std::atomic<int> handled{0};
  Site site([&](http::Request& request, http::ResponseWriter& writer) {
    ++handled;
    return echo(request, writer);
  });
  Client client(site.port);
  client.send(GetParam().sent + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  const WireReply reply = client.receive();
  EXPECT_EQ(reply.status, GetParam().status);
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(handled, 0);
  EXPECT_EQ(site.stats().rejected, 1u);
}
TEST_P(Rejection, IsTheSameWhenItComesByteByByte) {
  Site site(echo);
  Client client(site.port);
  client.send_byte_by_byte(GetParam().sent);
  const WireReply reply = client.receive();
  EXPECT_EQ(reply.status, GetParam().status);
  EXPECT_EQ(reply.header("Connection"), "close");
}
const std::string kPost = "POST / HTTP/1.1\r\nHost: a\r\n";
const std::string kGet = "GET / HTTP/1.1\r\n";
const std::string kEnd = "\r\n\r\n";
const std::string kNul(1, '\0');
const std::string kChunks = "\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
INSTANTIATE_TEST_SUITE_P(
    RequestLine, Rejection,
    testing::Values(Form{"NotHttp", "\x16\x03\x01\x02" + kNul + "\x01" + kNul + "\x01\xfc\x03\x03" + kEnd, 400},
                    Form{"NoVersion", "GET /" + kEnd, 400}, Form{"VersionInSmallLetters", "GET / http/1.1" + kEnd, 400},
                    Form{"Http2PrefaceNotAtTheBeginning", "\r\nPRI * HTTP/2.0\r\n\r\nSM" + kEnd, 505},
                    Form{"LaterMinorVersion", "GET / HTTP/1.2\r\nHost: a" + kEnd, 505},
                    Form{"EarlierVersion", "GET / HTTP/0.9\r\nHost: a" + kEnd, 505},
                    Form{"TwoBlanks", "GET  / HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"TabForBlank", "GET\t/ HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"BlankAtTheEnd", "GET / HTTP/1.1 \r\nHost: a" + kEnd, 400},
                    Form{"BlankInTheTarget", "GET /a b HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"MethodThatIsNoToken", "G@T / HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"ControlInTheTarget", "GET /a" + kNul + "b HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"TargetBeyondAscii", "GET /\xc3\xbc HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"FragmentInTheTarget", "GET /a#b HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"TargetWithoutSlash", "GET a HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"OtherScheme", "GET ftp://a/ HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"UserInTheTarget", "GET http://u@a/ HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"NoHostInTheTarget", "GET http:///b HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"Connect", "CONNECT a:1 HTTP/1.1\r\nHost: a:1" + kEnd, 400},
                    Form{"ConnectToAPath", "CONNECT / HTTP/1.1\r\nHost: a:1" + kEnd, 400},
                    Form{"StarWithoutOptions", "GET * HTTP/1.1\r\nHost: a" + kEnd, 400},
                    Form{"LongTarget", "GET /" + std::string(32 * 1024, 'x') + " HTTP/1.1\r\nHost: a" + kEnd, 431}),
    name_of);
INSTANTIATE_TEST_SUITE_P(
    Fields, Rejection,
    testing::Values(Form{"BareLineFeeds", "GET / HTTP/1.1\nHost: a\n\n", 400},
                    Form{"BareLineFeedInAValue", kGet + "Host: a\nX: y" + kEnd, 400},
                    Form{"BareCarriageReturn", kGet + "Host: a\rX: y" + kEnd, 400},
                    Form{"FoldedValue", kGet + "Host: a\r\nX: y\r\n z" + kEnd, 400},
                    Form{"FoldedAtOnce", kGet + "Host: a\r\nX:\r\n\ty" + kEnd, 400},
                    Form{"FoldedBlank", kGet + "Host: a\r\nX: y\r\n " + kEnd, 400},
                    Form{"FoldedHost", kGet + "Host: a\r\n b" + kEnd, 400},
                    Form{"FoldedLong", kGet + "Host: a\r\nX: y\r\n " + std::string(8000, 'z') + kEnd, 400},
                    Form{"BlankBeforeTheFirstField", kGet + " Host: a" + kEnd, 400},
                    Form{"BlankBeforeColon", kGet + "Host : a" + kEnd, 400},
                    Form{"BlankInAName", kGet + "Host: a\r\nX Y: z" + kEnd, 400},
                    Form{"NoFieldName", kGet + ": a" + kEnd, 400}, Form{"NoColon", kGet + "Host: a\r\nX" + kEnd, 400},
                    Form{"NameBeyondAscii", kGet + "Host: a\r\nX\xfc: y" + kEnd, 400},
                    Form{"NulInAName", kGet + "Host: a\r\nX" + kNul + ": y" + kEnd, 400},
                    Form{"NulInAValue", kGet + "Host: a\r\nX: y" + kNul + "z" + kEnd, 400},
                    Form{"ControlInAValue", kGet + "Host: a\r\nX: y\x0bz" + kEnd, 400},
                    Form{"DeleteInAValue", kGet + "Host: a\r\nX: y\x7fz" + kEnd, 400},
                    Form{"NoHost", kGet + "\r\n", 400}, Form{"TwoHosts", kGet + "Host: a\r\nHost: a" + kEnd, 400},
                    Form{"UserInTheHost", kGet + "Host: u@a" + kEnd, 400},
                    Form{"PathInTheHost", kGet + "Host: a/b" + kEnd, 400},
                    Form{"BlankInTheHost", kGet + "Host: a b" + kEnd, 400},
                    Form{"HostBeyondAscii", kGet + "Host: \xc3\xbc" + kEnd, 400},
                    Form{"ConnectionThatIsNoList", kGet + "Host: a\r\nConnection: \"" + kEnd, 400},
                    Form{"LongHead", kGet + "Host: a\r\nX: " + std::string(32 * 1024, 'x') + kEnd, 431},
                    Form{"LongName", kGet + "Host: a\r\n" + std::string(32 * 1024, 'x') + ": y" + kEnd, 431},
                    Form{"ManyFields",
                         [] {
                           std::string fields;
                           for (int i = 0; i < 256; ++i) fields += "X: y\r\n";
                           return kGet + "Host: a\r\n" + fields + "\r\n";
                         }(),
                         431}),
    name_of);
INSTANTIATE_TEST_SUITE_P(
    Framing, Rejection,
    testing::Values(
        Form{"LengthThenCoding", kPost + "Content-Length: 2\r\nTransfer-Encoding: chunked" + kChunks, 400},
        Form{"CodingThenLength", kPost + "Transfer-Encoding: chunked\r\nContent-Length: 2" + kChunks, 400},
        Form{"TwoLengths", kPost + "Content-Length: 2\r\nContent-Length: 3" + kEnd + "{}", 400},
        Form{"LengthTwice", kPost + "Content-Length: 2\r\nContent-Length: 2" + kEnd + "{}", 400},
        Form{"ListOfLengths", kPost + "Content-Length: 2, 2" + kEnd + "{}", 400},
        Form{"BlankInTheLength", kPost + "Content-Length: 2 2" + kEnd + "{}", 400},
        Form{"SignedLength", kPost + "Content-Length: +2" + kEnd + "{}", 400},
        Form{"NegativeLength", kPost + "Content-Length: -1" + kEnd + "{}", 400},
        Form{"HexLength", kPost + "Content-Length: 0x2" + kEnd + "{}", 400},
        Form{"LengthBeyond64Bits", kPost + "Content-Length: 18446744073709551616" + kEnd + "{}", 400},
        Form{"EmptyLength", kPost + "Content-Length:" + kEnd + "{}", 400},
        Form{"FoldedLength", kPost + "Content-Length:\r\n 2" + kEnd + "{}", 400},
        Form{"UnknownCoding", kPost + "Transfer-Encoding: gzip" + kEnd, 501},
        Form{"CodingOverChunks", kPost + "Transfer-Encoding: gzip, chunked" + kChunks, 501},
        Form{"ChunksNotLast", kPost + "Transfer-Encoding: chunked, identity" + kChunks, 501},
        Form{"Identity", kPost + "Transfer-Encoding: identity" + kEnd, 501},
        Form{"AlmostChunked", kPost + "Transfer-Encoding: xchunked" + kChunks, 501},
        Form{"ChunkedWithAParameter", kPost + "Transfer-Encoding: chunked;q=1" + kChunks, 501},
        Form{"EmptyCoding", kPost + "Transfer-Encoding:" + kChunks, 501},
        Form{"ControlInTheCoding", kPost + "Transfer-Encoding: \x0b" + "chunked" + kChunks, 400},
        Form{"FoldedCoding", kPost + "Transfer-Encoding:\r\n chunked" + kChunks, 400},
        Form{"CodingTwice", kPost + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked" + kChunks, 400},
        Form{"CodingInHttp10", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked" + kChunks, 400},
        Form{"UnknownExpectation", kPost + "Expect: 200-ok\r\nContent-Length: 2" + kEnd + "{}", 417},
        Form{"TwoExpectations", kPost + "Expect: 100-continue\r\nExpect: x\r\nContent-Length: 2" + kEnd + "{}", 417}),
    name_of);

/// Odd, and yet what it says: the next request on the connection is answered too.
class Taken : public testing::TestWithParam<Form> {};
TEST_P(Taken, AndTheConnectionGoesOn) {
  Site site(echo);
  Client client(site.port);
  client.send(GetParam().sent + kGet + "Host: a" + kEnd);
  EXPECT_EQ(client.receive(GetParam().sent.starts_with("HEAD")).status, GetParam().status);
  EXPECT_EQ(client.receive().body, "GET /?\n");
  EXPECT_EQ(site.stats().rejected, 0u);
}
INSTANTIATE_TEST_SUITE_P(
    Forms, Taken,
    testing::Values(
        Form{"EmptyLinesBefore", "\r\n\r\n" + kGet + "Host: a" + kEnd, 200},
        Form{"OtherMethod", "Brew / HTTP/1.1\r\nHost: a" + kEnd, 200},
        Form{"Trace", "TRACE / HTTP/1.1\r\nHost: a" + kEnd, 200},
        Form{"OptionsOfAll", "OPTIONS * HTTP/1.1\r\nHost: a" + kEnd, 200},
        Form{"AbsoluteTarget", "GET http://b/ HTTP/1.1\r\nHost: a" + kEnd, 200},
        Form{"EmptyHost", kGet + "Host:" + kEnd, 200},
        Form{"ValueBeyondAscii", kGet + "Host: a\r\nX: \xc3\xbc" + kEnd, 200},
        Form{"Upgrade", kGet + "Host: a\r\nConnection: Upgrade\r\nUpgrade: h2c" + kEnd, 200},
        Form{"LeadingZeros", kPost + "Content-Length: 002" + kEnd + "{}", 200},
        Form{"BlanksAroundTheCoding", kPost + "Transfer-Encoding:\t Chunked \t" + kChunks, 200},
        Form{"ChunkExtension", kPost + "Transfer-Encoding: chunked" + kEnd + "2;a=b;c=\"d\"\r\n{}\r\n0" + kEnd, 200},
        Form{"ChunkSizeWithZeros",
             kPost + "Transfer-Encoding: chunked" + kEnd + std::string(40, '0') + "2\r\n{}\r\n0" + kEnd, 200},
        Form{"Trailers", kPost + "Transfer-Encoding: chunked" + kEnd + "2\r\n{}\r\n0\r\nX: y" + kEnd, 200},
        Form{"ExpectWithTheBody", kPost + "Expect: 100-continue\r\nContent-Length: 2" + kEnd + "{}", 200},
        Form{"ExpectTwice", kPost + "Expect: 100-continue\r\nExpect: 100-Continue\r\nContent-Length: 2" + kEnd + "{}",
             200},
        Form{"ExpectWithoutABody", kGet + "Host: a\r\nExpect: 100-continue" + kEnd, 200},
        Form{"ExpectInHttp10",
             "POST / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: x\r\nContent-Length: 2" + kEnd + "{}", 200}),
    name_of);

TEST(Server, TakesAsManyFieldsAsItSays) {
  Site site(echo);
  std::string fields;
  for (int i = 0; i < 255; ++i) fields += "X: y\r\n";
  EXPECT_EQ(Client(site.port).request(kGet + "Host: a\r\n" + fields + "\r\n").status, 200);
}

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

TEST(Server, AReplyWithoutLeaveToSendKeepsAConnectionWhoseBodyIsThere) {
  Site site([](http::Request&, http::ResponseWriter& writer) { return answer(writer, 403, "no"); });
  Client client(site.port);
  const std::string request = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
  EXPECT_EQ(client.request(request + request).status, 403);
  EXPECT_EQ(client.receive().status, 403);
  EXPECT_EQ(site.stats().rejected, 0u);
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
