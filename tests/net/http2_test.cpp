// HTTP/2 on real sockets: what handlers get and give, streams side by side, windows, deadlines, stopping.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "net/site.hpp"
#include "support/http2_client.hpp"

namespace millrace::net {
namespace {

using test::Http2Client;
using test::request_fields;
using testing::HasSubstr;
using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

std::string pattern(std::size_t size, std::size_t salt = 0) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 7 + salt) % 26);
  return text;
}

awaitable<void> stream_back(http::Request& request, http::ResponseWriter& writer) {
  const http::ResponseHead head{200, {}};
  const auto begun = co_await writer.start(head, request.body->length());
  bool ok = begun.has_value();
  while (ok) {
    const auto piece = co_await request.body->pull();
    if (!piece) co_return;
    if (piece->empty()) break;
    const Slice slice{*piece, {}};
    const auto written = co_await writer.write(slice);
    ok = written.has_value();
  }
  if (ok) (void)co_await writer.finish();
}

/// "method target path query protocol", then each field.
awaitable<void> tell(http::Request& request, http::ResponseWriter& writer) {
  std::string text;
  for (const std::string_view part : {request.method, request.target, request.path, request.query, request.protocol})
    text.append(part).append(" ");
  for (const http::Header& field : request.headers) text.append(field.name).append("=").append(field.value).append("|");
  co_await answer(writer, 200, std::move(text));
}

TEST(Http2, RequestsAreToldFromHttp1ByTheFirstBytes) {
  Site site(echo);
  Http2Client modern(site.port);
  test::Client old(site.port);
  const auto reply = modern.reply(modern.post("/a?b=c", "abc"));
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, "POST /a?b=c\nabc");
  EXPECT_EQ(reply.header("content-length"), std::to_string(reply.body.size()));
  EXPECT_FALSE(reply.header("date").empty());
  EXPECT_FALSE(reply.has("connection"));
  EXPECT_EQ(old.request(post("/a", "abc")).body, "POST /a?\nabc");
  EXPECT_EQ(site.stats().requests, 2u);
}

TEST(Http2, ThePrefaceMayComeByteByByte) {
  Site site(echo);
  test::Client client(site.port);
  const std::string bytes =
      test::opening() + test::frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, 1,
                                    test::plain_fields(request_fields("GET", "/")));
  client.send_byte_by_byte(bytes);
  EXPECT_TRUE(eventually([&] { return site.stats().requests == 1; }));
}

TEST(Http2, APrefaceThatDoesNotGoOnIsNotWaitedForLongerThanAHead) {
  Site site(echo);
  for (const std::size_t sent : {1u, 3u, 23u}) {
    test::Client client(site.port);
    client.send(test::opening().substr(0, sent));
    const std::uint64_t before = site.stats().timed_out;
    EXPECT_TRUE(eventually([&] {
      site.pass(std::chrono::milliseconds{100});
      return site.stats().timed_out > before;
    }));
    EXPECT_TRUE(client.ended());
  }
}

TEST(Http2, WhatOnlyBeginsLikeThePrefaceIsHttp1) {
  Site site(tell);
  for (const std::string sent : {"P / HTTP/1.1\r\nHost: a\r\n\r\n", "PR / HTTP/1.1\r\nHost: a\r\n\r\n"}) {
    test::Client client(site.port);
    client.send_byte_by_byte(sent);
    EXPECT_EQ(client.receive().status, 200) << sent;
  }
  for (const std::string sent : {"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", "\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"})
    EXPECT_EQ(test::Client(site.port).request(sent).status, 505) << sent;
  test::Client later(site.port);
  EXPECT_EQ(later.request(post("/", "")).status, 200);
  EXPECT_EQ(later.request(test::opening()).status, 505);
}

TEST(Http2, AHandlerSeesARequestAsItWouldFromHttp1) {
  Site site(tell);
  Http2Client client(site.port);
  EXPECT_EQ(client.request(request_fields("PUT", "/a/b?c=d", {{"x-one", "1"}, {"x-two", ""}})).body,
            "PUT /a/b?c=d /a/b c=d HTTP/2.0 host=a|x-one=1|x-two=|");
  EXPECT_EQ(client.request({{":method", "GET"}, {":scheme", "https"}, {":path", "/"}, {"host", "b"}}).body,
            "GET / /  HTTP/2.0 host=b|");
  EXPECT_EQ(client.request(request_fields("GET", "/", {{"host", "b"}})).body, "GET / /  HTTP/2.0 host=a|");
  EXPECT_EQ(client.request(request_fields("OPTIONS", "*")).body, "OPTIONS * /  HTTP/2.0 host=a|");
  EXPECT_EQ(client.request(request_fields("GET", "/", {{"cookie", "a=b"}, {"x", "y"}, {"cookie", "c=d"}})).body,
            "GET / /  HTTP/2.0 host=a|cookie=a=b; c=d|x=y|");
  EXPECT_EQ(client.request(request_fields("GET", "/", {{"te", "trailers"}})).status, 200);
}

TEST(Http2, RepliesKeepTheirFieldsButThoseOfAConnection) {
  Site site([](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    const http::Header fields[] = {{"X-Amzn-RequestId", "id"}, {"Connection", "close"}, {"Keep-Alive", "x"},
                                   {"Transfer-Encoding", "x"}, {"X-Split", "a\r\nb"},   {"Bad Name", "x"},
                                   {"X-Blank", " y "}};
    const http::ResponseHead head{201, fields};
    (void)co_await writer.send(head, {});
  });
  Http2Client client(site.port);
  const auto reply = client.request(request_fields("GET", "/"));
  EXPECT_EQ(reply.status, 201);
  EXPECT_EQ(reply.header("x-amzn-requestid"), "id");
  EXPECT_EQ(reply.header("x-split"), "a  b");
  EXPECT_EQ(reply.header("x-blank"), "y");
  EXPECT_EQ(reply.header("content-length"), "0");
  EXPECT_EQ(reply.headers.size(), 5u);
}

TEST(Http2, HeadAndBodilessReplies) {
  Site site([](http::Request& request, http::ResponseWriter& writer) {
    return answer(writer, request.path == "/304" ? 304 : 200, "text");
  });
  Http2Client client(site.port);
  const auto head = client.request(request_fields("HEAD", "/"));
  EXPECT_EQ(head.header("content-length"), "4");
  EXPECT_EQ(head.body, "");
  const auto not_modified = client.request(request_fields("GET", "/304"));
  EXPECT_EQ(not_modified.status, 304);
  EXPECT_FALSE(not_modified.has("content-length"));
}

TEST(Http2, InterleavedStreamsKeepTheirBodies) {
  for (const bool streamed : {false, true}) {
    Site site(streamed ? Handle(stream_back) : Handle(echo));
    Http2Client client(site.port);
    std::vector<std::int32_t> ids;
    for (std::size_t i = 0; i < 60; ++i) {
      std::string path = "/" + std::to_string(i);
      test::Fields fields = request_fields("POST", path);
      if (i % 2) fields.emplace_back("content-length", std::to_string(i * 9'999));
      ids.push_back(client.submit(fields, pattern(i * 9'999, i)));
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto reply = client.reply(ids[i]);
      EXPECT_TRUE(reply.complete) << i;
      EXPECT_EQ(reply.error, 0u) << i;
      const std::string body = pattern(i * 9'999, i);
      EXPECT_TRUE(reply.body == (streamed ? body : "POST /" + std::to_string(i) + "?\n" + body)) << i;
    }
    EXPECT_TRUE(eventually([&] { return site.budget.used(Account::bodies) == 0; }));
  }
}

TEST(Http2, HandlersOfOneConnectionRunAtOnce) {
  std::atomic<int> under_way{0};
  Site site([&](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    ++under_way;
    Timer timer(co_await boost::asio::this_coro::executor);
    while (under_way < 100) {
      timer.expires_after(std::chrono::milliseconds{1});
      co_await timer.async_wait(use_awaitable);
    }
    co_await echo(request, writer);
  });
  Http2Client client(site.port);
  std::vector<std::int32_t> ids;
  for (int i = 0; i < 100; ++i) ids.push_back(client.post("/", "abc"));
  for (const std::int32_t id : ids) EXPECT_EQ(client.reply(id).body, "POST /?\nabc");
}

TEST(Http2, TrailersArePassedOver) {
  Site site(echo);
  Http2Client client(site.port);
  const std::int32_t id = client.submit(request_fields("POST", "/"), "abc", false);
  client.flush();
  client.send_raw(test::frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM | NGHTTP2_FLAG_END_HEADERS, id,
                              test::plain_field("x-sum", "1")));
  client.until([&] { return client.replies[id].complete; });
  EXPECT_EQ(client.replies[id].body, "POST /?\nabc");
}

TEST(Http2, LeaveToSendIsGivenWhereItIsAskedFor) {
  Site site(echo);
  Http2Client client(site.port);
  const std::int32_t id =
      client.submit(request_fields("POST", "/", {{"expect", "100-continue"}, {"content-length", "3"}}), "", false);
  EXPECT_TRUE(client.until([&] { return client.replies[id].interim; }));
  client.send_body(id, "abc", true);
  EXPECT_EQ(client.reply(id).body, "POST /?\nabc");
  const auto too_long = client.submit(
      request_fields("POST", "/", {{"expect", "100-continue"}, {"content-length", "5000000"}}), "", false);
  EXPECT_TRUE(client.until([&] { return client.replies[too_long].complete; }));
  const auto refused = client.replies[too_long];
  EXPECT_EQ(refused.status, 413);
  EXPECT_FALSE(refused.interim);
  EXPECT_TRUE(refused.complete);
}

// ---- bodies

TEST(Http2, ABodyOverTheLimitIsRefusedAndItsStreamEnds) {
  Site site(echo);
  Http2Client client(site.port);
  for (const bool announced : {true, false}) {
    test::Fields fields = request_fields("POST", "/");
    if (announced) fields.emplace_back("content-length", "5000000");
    const auto reply = client.request(fields, std::string(5'000'000, 'x'));
    EXPECT_EQ(reply.status, 413);
    EXPECT_TRUE(reply.complete);
    EXPECT_EQ(reply.error, static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
  }
  EXPECT_EQ(client.reply(client.post("/", "abc")).body, "POST /?\nabc");
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::bodies) == 0; }));
}

TEST(Http2, ABodyThatMemoryHasNoRoomForIsRefused) {
  Site site(echo, {}, 1, 1u << 20);
  Http2Client client(site.port);
  EXPECT_EQ(client.reply(client.post("/", std::string(2'000'000, 'x'))).status, 503);
  EXPECT_EQ(client.reply(client.post("/", std::string(200'000, 'x'))).status, 200);
}

/// Echoes, but for a request for /wait: that is held until it may go on.
struct HeldEcho {
  std::promise<void> entered;
  std::atomic<bool> go_on{false};

  awaitable<void> operator()(http::Request& request, http::ResponseWriter& writer) {
    if (request.path == "/wait") {
      entered.set_value();
      Timer timer(co_await boost::asio::this_coro::executor);
      while (!go_on) {
        timer.expires_after(std::chrono::milliseconds{1});
        co_await timer.async_wait(use_awaitable);
      }
    }
    co_await echo(request, writer);
  }
};

TEST(Http2, ABodyNobodyAskedForIsHeldToTheWindow) {
  HeldEcho held;
  Site site(std::ref(held));
  Http2Client client(site.port);
  const std::string body = pattern(1'000'000);
  const std::int32_t waits = client.post("/wait", body);
  client.flush();
  held.entered.get_future().wait();
  // It holds nobody else up.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(client.reply(client.post("/", body)).body, "POST /?\n" + body);
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::bodies) <= 64 * 1024 + 4'194'304; }));
  EXPECT_LE(nghttp2_session_get_stream_remote_window_size(client.session, waits), 0);
  held.go_on = true;
  EXPECT_EQ(client.reply(waits).body, "POST /wait?\n" + body);
}

TEST(Http2, WhatAHandlerLeavesOfABodyIsReadForAMomentOnly) {
  Site site([](http::Request&, http::ResponseWriter& writer) { return answer(writer, 200, "no"); });
  Http2Client client(site.port);
  for (const std::size_t size : {1'000u, 200'000u, 2'000'000u}) {
    const auto reply = client.reply(client.post("/", std::string(size, 'x')));
    EXPECT_EQ(reply.body, "no") << size;
    EXPECT_EQ(reply.error, 0u) << size;
  }
  const std::int32_t stops = client.submit(request_fields("POST", "/"), "abc", false);
  EXPECT_TRUE(client.until([&] { return client.replies[stops].complete; }));
  EXPECT_FALSE(client.replies[stops].closed);
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{10}));
  EXPECT_EQ(client.reply(stops).error, static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
  EXPECT_EQ(client.reply(client.get("/")).body, "no");
  EXPECT_EQ(site.stats().timed_out, 0u);
}

TEST(Http2, WhatAHandlerLeavesOfABodyIsReadWithinBounds) {
  Site site([](http::Request&, http::ResponseWriter& writer) { return answer(writer, 200, "no"); });
  Http2Client client(site.port);
  const auto reply = client.reply(client.post("/", std::string(80u << 20, 'x')));
  EXPECT_EQ(reply.body, "no");
  EXPECT_GT(nghttp2_session_get_remote_window_size(client.session), 0);
  EXPECT_EQ(client.reply(client.get("/")).body, "no");
}

TEST(Http2, ABodyOfAnotherLengthThanAnnouncedIsReset) {
  std::atomic<int> entered{0}, peers_gone{0};
  Site site([&](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    ++entered;
    const auto body = co_await request.body->collect(1u << 20);
    if (!body && body.error().code == http::Errc::peer_gone) ++peers_gone;
    co_await answer(writer, 200, "");
  });
  Http2Client client(site.port);
  for (const std::string length : {"2", "4"}) {
    const int before = entered;
    const std::int32_t id = client.submit(request_fields("POST", "/", {{"content-length", length}}), "", false);
    client.flush();
    EXPECT_TRUE(eventually([&] { return entered > before; }));
    client.send_body(id, "abc", true);
    const auto reply = client.reply(id);
    EXPECT_EQ(reply.error, static_cast<std::uint32_t>(NGHTTP2_PROTOCOL_ERROR)) << length;
  }
  EXPECT_TRUE(eventually([&] { return peers_gone == 2; }));
}

// ---- windows

TEST(Http2, AReplyGoesNoFurtherThanTheStreamsWindow) {
  Site site(echo);
  Http2Client client(site.port, {.window = 1, .updates = false});
  const std::int32_t narrow = client.post("/", "abc");
  EXPECT_TRUE(client.until([&] { return client.replies[narrow].body == "P"; }));
  const std::string expected = "POST /?\nabc";
  for (std::size_t size = 2; size <= expected.size(); ++size) {
    nghttp2_session_consume(client.session, narrow, 1);
    EXPECT_TRUE(client.until([&] { return client.replies[narrow].body.size() == size; }));
  }
  EXPECT_EQ(client.reply(narrow).body, expected);
}

TEST(Http2, AFullWindowOfOneStreamHoldsNoOtherUp) {
  Site site(echo);
  Http2Client client(site.port, {.window = 1000, .updates = false});
  const std::int32_t large = client.post("/", pattern(5000));
  EXPECT_TRUE(client.until([&] { return client.replies[large].body.size() == 1000; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(client.reply(client.post("/", "abc")).body, "POST /?\nabc");
  EXPECT_EQ(client.replies[large].body.size(), 1000u);
  nghttp2_submit_window_update(client.session, NGHTTP2_FLAG_NONE, large, 10'000);
  EXPECT_EQ(client.reply(large).body, "POST /?\n" + pattern(5000));
}

TEST(Http2, AReplyThatRestsIsNotCut) {
  std::atomic<bool> go_on{false};
  Site site([&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    const http::ResponseHead head{200, {}};
    const Slice first{"first", {}}, last{"last", {}};
    (void)co_await writer.start(head, std::nullopt);
    (void)co_await writer.write(first);
    Timer poll(co_await boost::asio::this_coro::executor);
    while (!go_on) {
      poll.expires_after(std::chrono::milliseconds{1});
      co_await poll.async_wait(boost::asio::as_tuple(use_awaitable));
    }
    (void)co_await writer.write(last);
    (void)co_await writer.finish();
  });
  Http2Client client(site.port);
  const std::int32_t id = client.get("/");
  EXPECT_TRUE(client.until([&] { return client.replies[id].body == "first"; }));
  for (int minutes = 0; minutes < 30; ++minutes) EXPECT_TRUE(site.pass_and_sweep(std::chrono::minutes{1}));
  go_on = true;
  EXPECT_EQ(client.reply(id).body, "firstlast");
  EXPECT_EQ(site.stats().timed_out, 0u);
}

TEST(Http2, AWindowThatStandsStillIsWaitedForAMinute) {
  Site site(echo);
  Http2Client client(site.port, {.window = 0, .updates = false});
  const std::int32_t id = client.post("/", "abc");
  EXPECT_TRUE(client.until([&] { return client.replies[id].status == 200; }));
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{30}));
  EXPECT_EQ(site.stats().timed_out, 0u);
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{40}));
  const auto reply = client.reply(id);
  EXPECT_EQ(reply.error, static_cast<std::uint32_t>(NGHTTP2_CANCEL));
  EXPECT_EQ(site.stats().timed_out, 1u);
  EXPECT_EQ(site.stats().connections, 1u);
}

TEST(Http2, AConnectionsWindowThatStandsStillEndsTheConnection) {
  Site site(echo);
  Http2Client client(site.port, {.window = 1'000'000, .updates = false});
  const std::int32_t id = client.post("/", std::string(100'000, 'x'));
  EXPECT_TRUE(client.until([&] { return client.replies[id].body.size() == NGHTTP2_INITIAL_WINDOW_SIZE; }));
  EXPECT_TRUE(eventually([&] {
    site.pass(std::chrono::seconds{1});
    return site.stats().timed_out == 1;
  }));
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(client.goaway);
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
}

TEST(Http2, AReaderThatTakesNothingHoldsNoMoreThanASocketAndABlock) {
  std::atomic<std::size_t> written{0};
  std::atomic<int> outcome{0};
  Site site([&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    static const std::string piece(100'000, 'm');
    const http::ResponseHead head{200, {}};
    const auto begun = co_await writer.start(head, std::nullopt);
    bool ok = begun.has_value();
    for (int i = 0; ok && i < 10'000; ++i) {
      const Slice slice{piece, {}};
      const auto sent = co_await writer.write(slice);
      ok = sent.has_value();
      if (ok) written += piece.size();
    }
    outcome = ok ? 1 : -1;
  });
  Http2Client client(site.port, {.window = NGHTTP2_MAX_WINDOW_SIZE});
  client.get("/");
  nghttp2_session_set_local_window_size(client.session, NGHTTP2_FLAG_NONE, 0, NGHTTP2_MAX_WINDOW_SIZE);
  client.flush();
  EXPECT_TRUE(eventually([&] {
    site.pass(std::chrono::milliseconds{100});
    return outcome != 0;
  }));
  EXPECT_EQ(outcome, -1);
  EXPECT_LT(written, 100'000'000u);
  EXPECT_EQ(site.stats().timed_out, 1u);
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0 && site.budget.used() == 0; }));
}

// ---- peers that go

TEST(Http2, AResetCancelsOneHandlerAndNoOther) {
  std::atomic<int> entered{0}, cancelled{0};
  Site site([&](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    if (request.path != "/wait") co_return co_await echo(request, writer);
    ++entered;
    Timer never(co_await boost::asio::this_coro::executor, SteadyTime::max());
    const auto [error] = co_await never.async_wait(boost::asio::as_tuple(use_awaitable));
    const http::ResponseHead head{200, {}};
    const auto sent = co_await writer.send(head, {});
    if (error == boost::asio::error::operation_aborted && !sent && sent.error().code == http::Errc::peer_gone)
      ++cancelled;
  });
  Http2Client client(site.port);
  const std::int32_t first = client.get("/wait"), second = client.get("/wait");
  client.flush();
  EXPECT_TRUE(eventually([&] { return entered == 2; }));
  nghttp2_submit_rst_stream(client.session, NGHTTP2_FLAG_NONE, first, NGHTTP2_CANCEL);
  client.flush();
  EXPECT_TRUE(eventually([&] { return cancelled == 1; }));
  EXPECT_EQ(client.reply(client.post("/", "abc")).body, "POST /?\nabc");
  EXPECT_EQ(cancelled, 1);
  (void)second;
  client.close();
  EXPECT_TRUE(eventually([&] { return cancelled == 2 && site.stats().connections == 0; }));
  EXPECT_TRUE(eventually([&] { return site.budget.used() == 0; }));
}

TEST(Http2, AHandlerThatFailsIsAnswered500) {
  Site site([](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    if (request.path == "/throws") throw std::runtime_error("as asked");
    if (request.path == "/half") {
      const http::ResponseHead head{200, {}};
      (void)co_await writer.start(head, 10);
    }
    if (request.path == "/abort") {
      const http::ResponseHead head{200, {}};
      (void)co_await writer.start(head, std::nullopt);
      writer.abort();
    }
  });
  Http2Client client(site.port);
  EXPECT_EQ(client.reply(client.get("/throws")).status, 500);
  EXPECT_EQ(client.reply(client.get("/none")).status, 500);
  EXPECT_EQ(client.reply(client.get("/half")).error, static_cast<std::uint32_t>(NGHTTP2_INTERNAL_ERROR));
  EXPECT_EQ(client.reply(client.get("/abort")).error, static_cast<std::uint32_t>(NGHTTP2_INTERNAL_ERROR));
}

// ---- time

TEST(Http2, AnIdleConnectionHoldsNoBlockAndEndsInTheEnd) {
  Site site(echo);
  Http2Client client(site.port);
  EXPECT_EQ(client.reply(client.post("/", "abc")).status, 200);
  EXPECT_TRUE(eventually([&] { return site.budget.used() == 32 * 1024; }));
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::minutes{4}));
  EXPECT_EQ(client.reply(client.post("/", "abc")).status, 200);
  EXPECT_TRUE(eventually([&] { return site.budget.used() == 32 * 1024; }));
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::minutes{6}));
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(client.goaway);
  EXPECT_EQ(client.goaway_error, static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
  EXPECT_EQ(site.stats().timed_out, 1u);
  EXPECT_TRUE(eventually([&] { return site.budget.used() == 0; }));
}

TEST(Http2, ABodyThatDoesNotComeIsGivenUpAlone) {
  Site site(echo);
  Http2Client client(site.port);
  const std::int32_t slow = client.submit(request_fields("POST", "/", {{"content-length", "5"}}), "abc", false);
  client.flush();
  EXPECT_TRUE(eventually([&] { return site.stats().requests == 1; }));
  EXPECT_TRUE(eventually([&] {
    site.pass(std::chrono::seconds{1});
    return site.stats().timed_out == 1;
  }));
  EXPECT_EQ(client.reply(slow).error, static_cast<std::uint32_t>(NGHTTP2_CANCEL));
  EXPECT_EQ(client.reply(client.post("/", "abc")).body, "POST /?\nabc");
}

TEST(Http2, AFrameThatDoesNotEndEndsTheConnection) {
  ListenerOptions options;
  options.idle_timeout = std::chrono::hours{1000};
  Site site(echo, options);
  const std::string whole = test::frame(NGHTTP2_HEADERS, NGHTTP2_FLAG_END_STREAM, 1, test::plain_field("a", "b"));
  for (const std::size_t sent : {std::size_t{4}, std::size_t{12}, whole.size()}) {
    test::Client client(site.port);
    client.send(test::opening() + whole.substr(0, sent));
    const std::uint64_t before = site.stats().timed_out;
    EXPECT_TRUE(eventually([&] {
      site.pass(std::chrono::milliseconds{100});
      return site.stats().timed_out > before;
    })) << sent;
  }
}

// ---- stopping

TEST(Http2, AStopLetsRequestsFinishAndSaysSo) {
  HeldEcho held;
  Site site(std::ref(held));
  Http2Client idle(site.port), busy(site.port);
  EXPECT_EQ(idle.reply(idle.get("/")).status, 200);
  const std::int32_t id = busy.post("/wait", "abc");
  busy.flush();
  held.entered.get_future().wait();
  auto stopped = site.stop(test::kPatience);
  EXPECT_TRUE(idle.ended());
  EXPECT_TRUE(idle.goaway);
  EXPECT_TRUE(busy.until([&] { return busy.goaway; }));
  EXPECT_EQ(busy.goaway_last, id);
  EXPECT_EQ(busy.goaway_error, static_cast<std::uint32_t>(NGHTTP2_NO_ERROR));
  held.go_on = true;
  EXPECT_EQ(busy.reply(id).body, "POST /wait?\nabc");
  EXPECT_TRUE(busy.ended());
  stopped.get();
  EXPECT_EQ(site.stats().connections, 0u);
}

TEST(Http2, AStopCutsWhatDoesNotFinish) {
  std::promise<void> entered;
  Site site([&](http::Request&, http::ResponseWriter&) -> awaitable<void> {
    entered.set_value();
    Timer never(co_await boost::asio::this_coro::executor, SteadyTime::max());
    co_await never.async_wait(boost::asio::as_tuple(use_awaitable));
  });
  Http2Client client(site.port);
  client.get("/");
  client.flush();
  entered.get_future().wait();
  site.stop(std::chrono::milliseconds{1}).get();
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(site.stats().connections, 0u);
}

TEST(Http2, AServerThatEndsWithRequestsUnderWayLeavesNothing) {
  std::promise<void> entered;
  Site site([&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    static const std::string much(1u << 20, 'm');
    entered.set_value();
    co_await answer(writer, 200, much);
  });
  Http2Client client(site.port, {.window = 100});
  client.get("/");
  client.flush();
  entered.get_future().wait();
}

}  // namespace
}  // namespace millrace::net
