// HTTP/2 peers that mean no good: what is malformed has one answer, what floods is cut with little work done for it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "net/frame_meter.hpp"
#include "net/site.hpp"
#include "support/http2_client.hpp"

namespace millrace::net {
namespace {

using test::Fields;
using test::frame;
using test::FrameClient;
using test::Http2Client;
using test::plain_fields;
using test::request_fields;

constexpr std::uint8_t kEnds = NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS;

std::string headers(std::int32_t id, const Fields& fields, std::uint8_t flags = kEnds) {
  return frame(NGHTTP2_HEADERS, flags, id, plain_fields(fields));
}

// ---- requests that are none

TEST(Http2Malformed, RequestsAreResetAndTheConnectionGoesOn) {
  Site site(echo);
  const Fields get = request_fields("GET", "/");
  const struct {
    const char* name;
    Fields fields;
  } cases[] = {
      {"Connection", request_fields("GET", "/", {{"connection", "close"}})},
      {"KeepAlive", request_fields("GET", "/", {{"keep-alive", "1"}})},
      {"ProxyConnection", request_fields("GET", "/", {{"proxy-connection", "x"}})},
      {"TransferEncoding", request_fields("GET", "/", {{"transfer-encoding", "chunked"}})},
      {"Upgrade", request_fields("GET", "/", {{"upgrade", "h2c"}})},
      {"TeOtherThanTrailers", request_fields("GET", "/", {{"te", "gzip"}})},
      {"CapitalLetters", request_fields("GET", "/", {{"X-Y", "z"}})},
      {"BlankInName", request_fields("GET", "/", {{"x y", "z"}})},
      {"EmptyName", request_fields("GET", "/", {{"", "z"}})},
      {"LineBreakInValue", request_fields("GET", "/", {{"x", "y\r\nz"}})},
      {"NulInValue", request_fields("GET", "/", {{"x", std::string("y\0z", 3)}})},
      {"BlankBeforeValue", request_fields("GET", "/", {{"x", " y"}})},
      {"PseudoFieldBehindOthers", {{":method", "GET"}, {":scheme", "http"}, {"x", "y"}, {":path", "/"}}},
      {"UnknownPseudoField", request_fields("GET", "/", {{":x", "y"}})},
      {"StatusInARequest", request_fields("GET", "/", {{":status", "200"}})},
      {"TwoMethods", {{":method", "GET"}, {":method", "GET"}, {":scheme", "http"}, {":path", "/"}}},
      {"NoMethod", {{":scheme", "http"}, {":authority", "a"}, {":path", "/"}}},
      {"NoHost", {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}}},
      {"NoPath", {{":method", "GET"}, {":scheme", "http"}, {":authority", "a"}}},
      {"EmptyPath", request_fields("GET", "")},
      {"PathWithoutSlash", request_fields("GET", "a")},
      {"AsteriskWithoutOptions", request_fields("GET", "*")},
      {"TwoLengths", request_fields("POST", "/", {{"content-length", "1"}, {"content-length", "1"}})},
      {"LengthThatIsNone", request_fields("POST", "/", {{"content-length", "+1"}})},
      {"LengthWithoutABody", request_fields("POST", "/", {{"content-length", "1"}})},
      {"TwoHosts", request_fields("GET", "/", {{"host", "a"}, {"host", "a"}})},
  };
  for (const auto& one : cases) {
    FrameClient client(site.port);
    client.send(test::opening() + headers(1, one.fields) + headers(3, get));
    const auto reset = client.receive(NGHTTP2_RST_STREAM, 1);
    ASSERT_TRUE(reset) << one.name;
    EXPECT_EQ(reset->error(), static_cast<std::uint32_t>(NGHTTP2_PROTOCOL_ERROR)) << one.name;
    EXPECT_TRUE(client.receive(NGHTTP2_HEADERS, 3)) << one.name;
  }
  EXPECT_EQ(site.stats().rejected, std::size(cases));
  EXPECT_EQ(site.stats().requests, std::size(cases));
}

TEST(Http2Malformed, WhatHttp1WouldRefuseIsAnsweredTheSameWay) {
  Site site(echo);
  const struct {
    const char* name;
    int status;
    Fields fields;
  } cases[] = {
      {"OtherScheme", 400, {{":method", "GET"}, {":scheme", "ftp"}, {":authority", "a"}, {":path", "/"}}},
      {"Fragment", 400, request_fields("GET", "/a#b")},
      {"BeyondAscii", 400, request_fields("GET", "/\xc3\xbc")},
      {"UserInAuthority", 400, {{":method", "GET"}, {":scheme", "http"}, {":authority", "u@a"}, {":path", "/"}}},
      {"Connect", 400, {{":method", "CONNECT"}, {":authority", "a:1"}}},
      {"OtherExpectation", 417, request_fields("POST", "/", {{"expect", "x"}})},
      {"LargeHead", 431, request_fields("GET", "/", {{"x", std::string(40'000, 'x')}})},
      {"LargeTarget", 431, request_fields("GET", "/" + std::string(40'000, 'x'))},
      {"ManyFields", 431,
       [] {
         Fields many = request_fields("GET", "/");
         for (int i = 0; i < 256; ++i) many.emplace_back("x", "y");
         return many;
       }()},
  };
  Http2Client client(site.port);
  for (const auto& one : cases) {
    const auto reply = client.request(one.fields);
    EXPECT_EQ(reply.status, one.status) << one.name;
    EXPECT_TRUE(reply.complete) << one.name;
  }
  EXPECT_EQ(client.request(request_fields("GET", "/")).status, 200);
  EXPECT_EQ(site.stats().rejected, std::size(cases));
  EXPECT_EQ(site.stats().requests, 1u);
}

TEST(Http2Malformed, FramesEndTheConnectionWithTheirError) {
  Site site(echo);
  const std::string get = plain_fields(request_fields("GET", "/"));
  const struct {
    const char* name;
    std::uint32_t error;
    std::string bytes;
  } cases[] = {
      {"NoSettingsFirst", NGHTTP2_PROTOCOL_ERROR, ""},
      {"FrameOverTheSize", NGHTTP2_FRAME_SIZE_ERROR, frame(NGHTTP2_DATA, 0, 1, std::string(16'385, 'x'))},
      {"HeadersOnStreamZero", NGHTTP2_PROTOCOL_ERROR, frame(NGHTTP2_HEADERS, kEnds, 0, get)},
      {"HeadersOnAnEvenStream", NGHTTP2_PROTOCOL_ERROR, frame(NGHTTP2_HEADERS, kEnds, 2, get)},
      {"DataOnStreamZero", NGHTTP2_PROTOCOL_ERROR, frame(NGHTTP2_DATA, 0, 0, "x")},
      {"DataOnAnIdleStream", NGHTTP2_PROTOCOL_ERROR, frame(NGHTTP2_DATA, 0, 1, "x")},
      {"PaddingOverTheFrame", NGHTTP2_PROTOCOL_ERROR, frame(NGHTTP2_HEADERS, kEnds | NGHTTP2_FLAG_PADDED, 1, "\x7f")},
      {"PushPromise", NGHTTP2_PROTOCOL_ERROR, frame(NGHTTP2_PUSH_PROMISE, 4, 1, std::string("\0\0\0\2", 4))},
      {"ContinuationAlone", NGHTTP2_PROTOCOL_ERROR, frame(NGHTTP2_CONTINUATION, 4, 1, get)},
      {"AnotherFrameInAHead", NGHTTP2_PROTOCOL_ERROR,
       frame(NGHTTP2_HEADERS, 0, 1, get) + frame(NGHTTP2_PING, 0, 0, "12345678")},
      {"BadCompression", NGHTTP2_COMPRESSION_ERROR, frame(NGHTTP2_HEADERS, kEnds, 1, "\xff\xff\xff\xff\xff")},
      {"ShortPing", NGHTTP2_FRAME_SIZE_ERROR, frame(NGHTTP2_PING, 0, 0, "1234")},
      {"ShortSettings", NGHTTP2_FRAME_SIZE_ERROR, frame(NGHTTP2_SETTINGS, 0, 0, "1234")},
      {"SettingsAckNobodyAskedFor", NGHTTP2_PROTOCOL_ERROR,
       frame(NGHTTP2_SETTINGS, 1, 0, "") + frame(NGHTTP2_SETTINGS, 1, 0, "")},
      {"WindowOfZero", NGHTTP2_PROTOCOL_ERROR, frame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string(4, '\0'))},
      {"WindowOverTheLimit", NGHTTP2_FLOW_CONTROL_ERROR, frame(NGHTTP2_WINDOW_UPDATE, 0, 0, "\x7f\xff\xff\xff")},
      {"InitialWindowOverTheLimit", NGHTTP2_FLOW_CONTROL_ERROR,
       frame(NGHTTP2_SETTINGS, 0, 0, std::string("\0\4\x80\0\0\0", 6))},
      {"ResetOfAnIdleStream", NGHTTP2_PROTOCOL_ERROR, frame(NGHTTP2_RST_STREAM, 0, 9, std::string(4, '\0'))},
      {"DependsOnItself", NGHTTP2_PROTOCOL_ERROR,
       frame(NGHTTP2_HEADERS, kEnds | NGHTTP2_FLAG_PRIORITY, 1, std::string("\0\0\0\1\x10", 5) + get)},
  };
  for (const auto& one : cases) {
    FrameClient client(site.port);
    if (one.bytes.empty())
      client.send(std::string(NGHTTP2_CLIENT_MAGIC) + frame(NGHTTP2_PING, 0, 0, "12345678"));
    else
      client.send(test::opening() + one.bytes);
    const auto goaway = client.receive(NGHTTP2_GOAWAY);
    ASSERT_TRUE(goaway) << one.name;
    EXPECT_EQ(goaway->error(), one.error) << one.name;
    EXPECT_TRUE(client.ended()) << one.name;
  }
  EXPECT_EQ(site.stats().requests, 0u);
  EXPECT_EQ(Http2Client(site.port).request(request_fields("GET", "/")).status, 200);
}

TEST(Http2Malformed, MoreStreamsThanAllowedAreRefused) {
  std::atomic<int> entered{0};
  Site site([&](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    ++entered;
    co_await echo(request, writer);  // the body never comes
  });
  FrameClient client(site.port);
  std::string many = test::opening();
  for (std::int32_t id = 1; id < 2 * 150; id += 2)
    many += headers(id, request_fields("POST", "/"), NGHTTP2_FLAG_END_HEADERS);
  client.send(many);
  for (std::int32_t id = 201; id < 2 * 150; id += 2) {
    const auto refused = client.receive(NGHTTP2_RST_STREAM);
    ASSERT_TRUE(refused) << id;
    EXPECT_EQ(refused->stream, id);
    EXPECT_EQ(refused->error(), static_cast<std::uint32_t>(NGHTTP2_REFUSED_STREAM));
  }
  EXPECT_TRUE(eventually([&] { return entered == 100; }));
  // Once it has agreed to the number, a client that passes it does not know what it says.
  client.send(frame(NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "") + headers(301, request_fields("GET", "/")));
  const auto goaway = client.receive(NGHTTP2_GOAWAY);
  ASSERT_TRUE(goaway);
  EXPECT_EQ(goaway->error(), static_cast<std::uint32_t>(NGHTTP2_PROTOCOL_ERROR));
  EXPECT_EQ(entered, 100);
}

// ---- floods

/// Sends it over and over until the server says that it is enough.
void flood(std::uint16_t port, const std::function<std::string(std::int32_t)>& piece, const char* name) {
  FrameClient client(port);
  std::string bytes = test::opening();
  for (std::int32_t i = 0; i < 5000; ++i) bytes += piece(2 * i + 1);
  client.send(bytes);
  const auto goaway = client.receive(NGHTTP2_GOAWAY);
  ASSERT_TRUE(goaway) << name;
  EXPECT_EQ(goaway->error(), static_cast<std::uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM)) << name;
  EXPECT_TRUE(client.ended()) << name;
}

TEST(Http2Flood, OfAnyKindIsToldToCalmDown) {
  Site site(echo);
  const Fields get = request_fields("GET", "/"), post = request_fields("POST", "/");
  const Fields malformed = request_fields("POST", "/", {{"te", "x"}});
  const std::string cancel = std::string("\0\0\0\x8", 4);
  flood(
      site.port, [](std::int32_t) { return frame(NGHTTP2_PING, 0, 0, "12345678"); }, "Ping");
  flood(
      site.port, [](std::int32_t) { return frame(NGHTTP2_SETTINGS, 0, 0, ""); }, "Settings");
  flood(
      site.port, [](std::int32_t) { return frame(NGHTTP2_SETTINGS, 0, 0, std::string("\0\4\0\0\xff\xff", 6)); },
      "SettingsOfWindows");
  flood(
      site.port, [](std::int32_t) { return frame(NGHTTP2_PRIORITY, 0, 1, std::string("\0\0\0\3\x10", 5)); },
      "Priority");
  flood(
      site.port, [](std::int32_t) { return frame(NGHTTP2_WINDOW_UPDATE, 0, 0, std::string("\0\0\0\1", 4)); },
      "WindowUpdate");
  flood(
      site.port, [](std::int32_t) { return frame(0x77, 0, 0, ""); }, "Unknown");
  flood(
      site.port,
      [&](std::int32_t id) {
        return (id == 1 ? headers(1, post, NGHTTP2_FLAG_END_HEADERS) : "") + frame(NGHTTP2_DATA, 0, 1, "");
      },
      "EmptyData");
  flood(
      site.port,
      [&](std::int32_t id) {
        return (id == 1 ? headers(1, post, NGHTTP2_FLAG_END_HEADERS) : "") +
               frame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, std::string("\2\0\0", 3));
      },
      "PaddingOnly");
  flood(
      site.port, [&](std::int32_t id) { return headers(id, get) + frame(NGHTTP2_RST_STREAM, 0, id, cancel); },
      "RapidReset");
  flood(
      site.port,
      [&](std::int32_t id) {
        return (id == 1 ? frame(NGHTTP2_HEADERS, 0, 1, "") : "") + frame(NGHTTP2_CONTINUATION, 0, 1, "");
      },
      "Continuation");
  flood(
      site.port,
      [&](std::int32_t id) {
        return headers(id, request_fields("GET", "/", {{"te", "x"}}));
      },
      "Malformed");
  flood(
      site.port,
      [&](std::int32_t id) {
        return (id == 1 ? headers(1, malformed, NGHTTP2_FLAG_END_HEADERS) : "") + frame(NGHTTP2_DATA, 0, 1, "x");
      },
      "DataOnAClosedStream");
  EXPECT_EQ(Http2Client(site.port).request(get).status, 200);
  EXPECT_TRUE(eventually([&] { return site.budget.used() <= 32 * 1024; }));
}

TEST(Http2Flood, OfResetsStartsFewHandlers) {
  std::atomic<int> entered{0};
  Site site([&](http::Request& request, http::ResponseWriter& writer) {
    ++entered;
    return echo(request, writer);
  });
  const std::string cancel = std::string("\0\0\0\x8", 4);
  flood(
      site.port,
      [&](std::int32_t id) {
        return headers(id, request_fields("GET", "/")) + frame(NGHTTP2_RST_STREAM, 0, id, cancel);
      },
      "RapidReset");
  EXPECT_LE(entered, 1000);
}

TEST(Http2Flood, OfOneLongFieldReferredToOverAndOver) {
  Site site(echo);
  FrameClient client(site.port);
  // A field of 4,000 bytes goes to the table, then its place there is named again and again.
  const std::string value(3'900, 'x');
  std::string block = plain_fields(request_fields("GET", "/"));
  std::string indexed = test::plain_field("x", value);
  indexed[0] = 0x40;
  block += indexed;
  block.append(10'000, '\xbe');
  client.send(test::opening() + frame(NGHTTP2_HEADERS, kEnds, 1, block));
  const auto goaway = client.receive(NGHTTP2_GOAWAY);
  ASSERT_TRUE(goaway);
  EXPECT_EQ(goaway->error(), static_cast<std::uint32_t>(NGHTTP2_ENHANCE_YOUR_CALM));
}

TEST(Http2Flood, OfPingsThatAreNotReadStopsAtTheSockets) {
  Site site(echo);
  test::Client client(site.port, 4096);
  client.send(test::opening());
  std::string pings;
  for (int i = 0; i < 900; ++i) pings += frame(NGHTTP2_PING, 0, 0, "12345678");
  // As many as a client has credit for, over and over, with time for more of it.
  EXPECT_TRUE(eventually([&] {
    client.send_now(pings);
    site.pass(std::chrono::seconds{9});
    return site.stats().timed_out + site.stats().rejected > 0;
  }));
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
}

// ---- short memory

TEST(Http2Memory, IdleConnectionsEndWhereItIsShort) {
  Site site(echo, {}, 1, 400 * 1024);
  std::vector<std::unique_ptr<Http2Client>> idle;
  for (int i = 0; i < 8; ++i) {
    idle.push_back(std::make_unique<Http2Client>(site.port));
    EXPECT_EQ(idle.back()->request(request_fields("GET", "/")).status, 200);
  }
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{10}));
  Http2Client client(site.port);
  auto reply = std::async(std::launch::async, [&] {
    return client.request(request_fields("POST", "/", {{"content-length", "200000"}}), std::string(200'000, 'x'));
  });
  EXPECT_TRUE(eventually([&] {
    site.pass(std::chrono::milliseconds{100});
    return reply.wait_for(std::chrono::milliseconds{1}) == std::future_status::ready && site.stats().cut > 0;
  }));
  const int status = reply.get().status;
  EXPECT_TRUE(status == 503 || status == 200) << status;
}

// ---- the meter

TEST(FrameMeter, PiecesChangeNothing) {
  std::string bytes;
  for (int i = 0; i < 50; ++i) {
    bytes += frame(NGHTTP2_PING, 0, 0, "12345678");
    bytes += frame(NGHTTP2_HEADERS, 0, 1, "abc") + frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, "d");
    bytes += frame(NGHTTP2_DATA, NGHTTP2_FLAG_PADDED, 1, std::string("\2\0\0", 3));
    bytes += frame(NGHTTP2_DATA, 0, 1, std::string(300, 'x'));
  }
  for (const std::size_t piece : {std::size_t{1}, std::size_t{7}, std::size_t{100}, bytes.size()}) {
    FrameMeter meter(SteadyTime{});
    for (std::size_t at = 0; at < bytes.size(); at += piece)
      EXPECT_TRUE(meter.see(std::string_view(bytes).substr(at, piece), SteadyTime{}));
    EXPECT_TRUE(meter.between_frames());
    EXPECT_EQ(meter.frames(), 200u);
    // Of a thousand, 150 were spent.
    EXPECT_TRUE(meter.charge(FrameMeter::kStore - 150));
    EXPECT_FALSE(meter.charge(1));
  }
}

TEST(FrameMeter, TimeFillsTheStore) {
  const std::string ping = frame(NGHTTP2_PING, 0, 0, "12345678");
  SteadyTime now{};
  FrameMeter meter(now);
  EXPECT_TRUE(meter.charge(FrameMeter::kStore));
  EXPECT_FALSE(meter.see(ping, now));
  now += std::chrono::seconds{1};
  EXPECT_TRUE(meter.see(ping, now));
  EXPECT_TRUE(meter.charge(FrameMeter::kPerSecond - 1));
  EXPECT_FALSE(meter.charge(1));
}

TEST(FrameMeter, KnowsWhereAFrameOrAHeadEnds) {
  FrameMeter meter(SteadyTime{});
  const std::string head = frame(NGHTTP2_HEADERS, 0, 1, "abc");
  EXPECT_TRUE(meter.between_frames());
  meter.see(head.substr(0, 4), SteadyTime{});
  EXPECT_FALSE(meter.between_frames());
  meter.see(head.substr(4), SteadyTime{});
  EXPECT_FALSE(meter.between_frames());
  meter.see(frame(NGHTTP2_CONTINUATION, NGHTTP2_FLAG_END_HEADERS, 1, ""), SteadyTime{});
  EXPECT_TRUE(meter.between_frames());
}

}  // namespace
}  // namespace millrace::net
