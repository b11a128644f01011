// Connections over time: deadlines, streams, peers that go, stopping, listening.
#include "millrace/net/server.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <mutex>
#include <set>

#include "net/site.hpp"

namespace millrace::net {
namespace {

using test::Client;
using test::WireReply;
using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// Holds a coroutine until another thread lets go.
awaitable<void> wait_for(std::atomic<bool>& go_on) {
  Timer timer(co_await boost::asio::this_coro::executor);
  while (!go_on) {
    timer.expires_after(std::chrono::milliseconds{1});
    co_await timer.async_wait(use_awaitable);
  }
}

TEST(Connections, AnIdleOneHoldsNoBuffer) {
  Site site(echo);
  Client client(site.port);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(client.request(post("/", "abc")).status, 200);
    EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == 0; }));
  }
}

TEST(Connections, OneThatIsIdleTooLongEnds) {
  Site site(echo);
  Client client(site.port);
  EXPECT_EQ(client.request(post("/", "abc")).status, 200);
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == 0; }));
  site.pass(std::chrono::minutes{4});
  EXPECT_EQ(client.request(post("/", "abc")).status, 200);
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == 0; }));
  site.pass(std::chrono::minutes{6});
  EXPECT_TRUE(client.ended());
}

TEST(Connections, ASenderThatTakesTooLongIsCut) {
  ListenerOptions options;
  options.idle_timeout = std::chrono::hours{1000};
  Site site(echo, options);
  const std::string request = post("/", "abc");
  for (const std::size_t sent : {std::size_t{5}, request.size() - 1}) {
    Client client(site.port);
    client.send(std::string_view(request).substr(0, sent));
    const std::uint64_t before = site.stats().timed_out;
    // Time passes until the server has seen the first byte, and a minute more.
    EXPECT_TRUE(eventually([&] {
      site.pass(std::chrono::milliseconds{100});
      return site.stats().timed_out > before;
    }));
    EXPECT_TRUE(client.ended()) << sent;
  }
}

TEST(Connections, TheHandlersOwnTimeIsNotTheSenders) {
  std::promise<void> entered;
  std::atomic<bool> go_on{false};
  Site site([&](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    entered.set_value();
    co_await wait_for(go_on);
    co_await echo(request, writer);
  });
  Client client(site.port);
  client.send(post("/", "abc"));
  entered.get_future().wait();
  site.pass(std::chrono::hours{1});
  Client other(site.port);  // its end shows that the sweep has seen the hour
  site.pass(std::chrono::hours{1});
  EXPECT_TRUE(eventually([&] {
    site.pass(std::chrono::minutes{6});
    return site.stats().timed_out == 1;
  }));
  go_on = true;
  EXPECT_EQ(client.receive().body, "POST /?\nabc");
}

/// What a streaming handler got done.
struct Progress {
  std::atomic<std::size_t> written{0};
  std::atomic<int> outcome{0};  // 1: finished, -1: the peer was gone
};

awaitable<void> stream(http::ResponseWriter& writer, std::size_t pieces, std::size_t piece_bytes, bool announce,
                       Progress& progress) {
  const auto piece = std::make_shared<std::string>(piece_bytes, 's');
  const http::ResponseHead head{200, {}};
  std::optional<std::uint64_t> length;
  if (announce) length = pieces * piece_bytes;
  bool ok = (co_await writer.start(head, length)).has_value();
  for (std::size_t i = 0; ok && i < pieces; ++i) {
    const Slice slice{*piece, piece};
    ok = (co_await writer.write(slice)).has_value();
    if (ok) progress.written += piece_bytes;
  }
  if (ok) ok = (co_await writer.finish()).has_value();
  progress.outcome = ok ? 1 : -1;
}

TEST(Replies, StreamWithAndWithoutALength) {
  Progress progress;
  Site site([&](http::Request& request, http::ResponseWriter& writer) {
    return stream(writer, 100, 100'000, request.path == "/length", progress);
  });
  Client client(site.port);
  const std::string expected(10'000'000, 's');
  const WireReply known = client.request("GET /length HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(known.header("Content-Length"), "10000000");
  EXPECT_TRUE(known.body == expected);
  const WireReply chunked = client.request("GET /chunked HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(chunked.header("Transfer-Encoding"), "chunked");
  EXPECT_TRUE(chunked.complete);
  EXPECT_TRUE(chunked.body == expected);
  const WireReply head = client.request("HEAD /length HTTP/1.1\r\nHost: a\r\n\r\n", true);
  EXPECT_EQ(head.header("Content-Length"), "10000000");
  const WireReply old = client.request("GET /chunked HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(old.header("Connection"), "close");
  EXPECT_TRUE(old.complete);
  EXPECT_TRUE(old.body == expected);
}

TEST(Replies, ABigOneToASlowReaderTakesNoMoreThanTheSocketHolds) {
  constexpr std::size_t kPieces = 10'000, kPieceBytes = 100'000;
  Progress progress;
  Site site([&](http::Request&, http::ResponseWriter& writer) {
    return stream(writer, kPieces, kPieceBytes, true, progress);
  });
  Client client(site.port);
  client.send(kGet);
  EXPECT_TRUE(client.skip(1000));
  // Nothing more is read: the writer waits, and is cut in the end.
  EXPECT_TRUE(eventually([&] {
    site.pass(std::chrono::milliseconds{100});
    return progress.outcome != 0;
  }));
  EXPECT_EQ(progress.outcome, -1);
  EXPECT_LT(progress.written, kPieces * kPieceBytes / 10);
  EXPECT_EQ(site.stats().timed_out, 1u);
}

TEST(Replies, ThatRestAreNotCut) {
  std::promise<void> written;
  std::atomic<bool> go_on{false};
  Site site([&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    const http::ResponseHead head{200, {}};
    const Slice first{"first", {}}, last{"last", {}};
    (void)co_await writer.start(head, std::nullopt);
    (void)co_await writer.write(first);
    written.set_value();
    co_await wait_for(go_on);
    (void)co_await writer.write(last);
    (void)co_await writer.finish();
  });
  Client client(site.port);
  client.send(kGet);
  written.get_future().wait();
  for (int minutes = 0; minutes < 30; ++minutes) EXPECT_TRUE(site.pass_and_sweep(std::chrono::minutes{1}));
  go_on = true;
  const WireReply reply = client.receive();
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.body, "firstlast");
  EXPECT_EQ(site.stats().timed_out, 0u);
}

TEST(Replies, APeerThatGoesCancelsTheHandlerThatWaits) {
  std::promise<void> started;
  std::promise<bool> ended;
  Site site([&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    const http::ResponseHead head{200, {}};
    (void)co_await writer.start(head, std::nullopt);
    started.set_value();
    Timer never(co_await boost::asio::this_coro::executor, SteadyTime::max());
    const auto [error] = co_await never.async_wait(boost::asio::as_tuple(use_awaitable));
    const Slice piece{"x", {}};
    const auto written = co_await writer.write(piece);
    ended.set_value(error == boost::asio::error::operation_aborted && !written &&
                    written.error().code == http::Errc::peer_gone);
  });
  Client client(site.port);
  client.send(kGet);
  started.get_future().wait();
  client.close();
  auto result = ended.get_future();
  ASSERT_EQ(result.wait_for(test::kPatience), std::future_status::ready);
  EXPECT_TRUE(result.get());
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
}

TEST(Replies, APeerThatResetsInTheMiddleEndsTheHandler) {
  Progress progress;
  Site site(
      [&](http::Request&, http::ResponseWriter& writer) { return stream(writer, 10'000, 100'000, false, progress); });
  Client client(site.port);
  client.send(kGet);
  EXPECT_TRUE(client.skip(100'000));
  client.reset();
  EXPECT_TRUE(eventually([&] { return progress.outcome == -1; }));
  EXPECT_TRUE(Client(site.port).connected());
}

TEST(Replies, WhatThePeerSendsAheadOfAStreamIsKept) {
  std::promise<void> started;
  std::atomic<bool> go_on{false};
  std::atomic<int> requests{0};
  Site site([&](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    if (++requests > 1) {
      co_await echo(request, writer);
      co_return;
    }
    const http::ResponseHead head{200, {}};
    (void)co_await writer.start(head, std::nullopt);
    started.set_value();
    co_await wait_for(go_on);
    const Slice piece{"first", {}};
    (void)co_await writer.write(piece);
    (void)co_await writer.finish();
  });
  Client client(site.port);
  client.send(kGet);
  started.get_future().wait();
  client.send(post("/second", "abc"));
  client.send(post("/third", "def"));
  go_on = true;
  EXPECT_EQ(client.receive().body, "first");
  EXPECT_EQ(client.receive().body, "POST /second?\nabc");
  EXPECT_EQ(client.receive().body, "POST /third?\ndef");
}

TEST(Replies, ABodyIsStreamedBackWhileItComes) {
  Site site([](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    const http::ResponseHead head{200, {}};
    (void)co_await writer.start(head, request.body->length());
    for (;;) {
      const auto piece = co_await request.body->pull();
      if (!piece) {
        writer.abort();
        co_return;
      }
      if (piece->empty()) break;
      const Slice slice{*piece, {}};
      if (!co_await writer.write(slice)) co_return;
    }
    (void)co_await writer.finish();
  });
  Client client(site.port);
  std::string body(3'000'000, ' ');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i * 11 % 26);
  std::thread sender([&] { client.send(post("/", body) + post("/", "next")); });
  EXPECT_TRUE(client.receive().body == body);
  EXPECT_EQ(client.receive().body, "next");
  sender.join();
  std::thread chunk_sender([&] {
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2DC6C0\r\n" + body +
                "\r\n3\r\nabc\r\n0\r\n\r\n");
  });
  EXPECT_TRUE(client.receive().body == body + "abc");
  chunk_sender.join();
}

TEST(Replies, AnExceptionOfAHandlerIsA500AndNoMore) {
  Site site([](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    if (request.path == "/silent") co_return;
    if (request.path == "/late") {
      const http::ResponseHead head{200, {}};
      (void)co_await writer.start(head, 10);
    }
    throw std::runtime_error("bug");
  });
  for (const char* path : {"/early", "/silent"}) {
    Client client(site.port);
    EXPECT_EQ(client.request(post(path, "abc")).status, 500) << path;
    EXPECT_TRUE(client.ended()) << path;
  }
  Client late(site.port);
  EXPECT_FALSE(late.request(post("/late", "")).complete);
  EXPECT_TRUE(late.ended());
}

TEST(Replies, AnAbortedOneShowsThatItIsNotWhole) {
  Site site([](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    const http::ResponseHead head{200, {}};
    (void)co_await writer.start(head, std::nullopt);
    const Slice piece{"part", {}};
    (void)co_await writer.write(piece);
    writer.abort();
  });
  Client client(site.port);
  EXPECT_FALSE(client.request(post("/", "")).complete);
  EXPECT_FALSE(client.ended_cleanly());
}

TEST(Replies, ManySlicesAreOneBody) {
  std::string expected;
  for (int i = 0; i < 300; ++i) expected += std::to_string(i) + (i % 7 ? "," : "");
  Site site([](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    std::vector<std::string> texts;
    for (int i = 0; i < 300; ++i) texts.push_back(std::to_string(i) + (i % 7 ? "," : ""));
    std::vector<Slice> slices;
    for (const std::string& text : texts) slices.push_back({text, {}});
    const http::ResponseHead head{200, {}};
    (void)co_await writer.send(head, slices);
  });
  Client client(site.port);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(client.request(post("/", "")).body, expected);
}

TEST(Replies, OneLargerThanTheSocketIsWhole) {
  std::string large(20'000'000, ' ');
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i * 13 % 26);
  Site site([&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    const Slice slices[] = {{std::string_view(large).substr(0, 100), {}}, {std::string_view(large).substr(100), {}}};
    const http::ResponseHead head{200, {}};
    (void)co_await writer.send(head, slices);
  });
  Client client(site.port);
  EXPECT_TRUE(client.request(post("/", "")).body == large);
}

TEST(Replies, HeadersCannotSplitThem) {
  Site site([](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
    const http::Header fields[] = {{"X-Evil", "a\r\nSet-Cookie: b"},
                                   {"Content-Length", "1"},
                                   {"Date", "never"},
                                   {"Connection", "close"},
                                   {"X-Ok", "ok"}};
    const http::ResponseHead head{200, fields};
    const Slice slice{"body", {}};
    (void)co_await writer.send(head, std::span(&slice, 1));
  });
  Client client(site.port);
  const WireReply reply = client.request(post("/", ""));
  EXPECT_EQ(reply.header("X-Evil"), "a  Set-Cookie: b");
  EXPECT_FALSE(reply.has("Set-Cookie"));
  EXPECT_EQ(reply.header("X-Ok"), "ok");
  EXPECT_EQ(reply.body, "body");
  EXPECT_EQ(reply.headers.size(), 4u);
}

TEST(Replies, ToAMalformedRequestAreTheHandlers) {
  class Handler final : public http::Handler {
   public:
    awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
      return echo(request, writer);
    }
    Rejection reject(int status) const noexcept override {
      static constexpr http::Header kFields[] = {{"Content-Type", "text/x"}};
      return {status + 1, kFields, "rejected"};
    }
  } handler;
  Cores cores(1);
  MemoryBudget budget(1u << 20);
  const auto server = make_server(cores, budget);
  ListenerOptions options;
  options.address = "127.0.0.1:0";
  const auto bound = server->listen(options, handler);
  ASSERT_TRUE(bound);
  server->start();
  cores.start();
  Client client(static_cast<std::uint16_t>(std::stoi(bound->front().substr(10))));
  const WireReply reply = client.request("bad\r\n\r\n");
  EXPECT_EQ(reply.status, 401);
  EXPECT_EQ(reply.header("Content-Type"), "text/x");
  EXPECT_EQ(reply.body, "rejected");
  cores.stop();
  cores.join();
}

TEST(Connections, AreSpreadOverTheCores) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  const auto note = [&](http::Request& request, http::ResponseWriter& writer) {
    std::lock_guard lock(mutex);
    threads.insert(std::this_thread::get_id());
    return echo(request, writer);
  };
  Site site(note, {}, 2);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(std::make_unique<Client>(site.port));
    EXPECT_EQ(clients.back()->request(post("/", "a")).status, 200);
  }
  std::lock_guard lock(mutex);
  EXPECT_EQ(threads.size(), 2u);
}

TEST(Connections, TakeNoBufferBeforeTheySaySomething) {
  Site site(echo, {}, 1, 100 * 1024);  // room for one buffer
  std::vector<std::unique_ptr<Client>> silent;
  for (int i = 0; i < 20; ++i) silent.push_back(std::make_unique<Client>(site.port));
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 20; }));
  EXPECT_EQ(site.budget.used(), 0u);
  Client talks(site.port);
  EXPECT_EQ(talks.request(post("/", "a")).status, 200);
}

TEST(Stopping, LetsRequestsFinishAndEndsIdleConnections) {
  std::promise<void> entered;
  std::atomic<bool> go_on{false};
  Site site([&](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    if (request.path == "/wait") {
      entered.set_value();
      co_await wait_for(go_on);
    }
    co_await echo(request, writer);
  });
  Client idle(site.port), busy(site.port);
  EXPECT_EQ(idle.request(post("/", "")).status, 200);
  busy.send(post("/wait", "abc"));
  entered.get_future().wait();
  auto stopped = site.stop(test::kPatience);
  EXPECT_TRUE(idle.ended());
  EXPECT_TRUE(eventually([&] { return !Client(site.port).connected(); }));
  go_on = true;
  const WireReply reply = busy.receive();
  EXPECT_EQ(reply.body, "POST /wait?\nabc");
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(busy.ended());
  stopped.get();
  EXPECT_EQ(site.stats().connections, 0u);
}

TEST(Stopping, AnswersWhatWasSentBeforeItThoughNotReadYet) {
  Site site([](http::Request& request, http::ResponseWriter& writer) { return echo(request, writer); });
  Client client(site.port);
  EXPECT_EQ(client.request(post("/", "")).status, 200);
  std::promise<void> held, release;
  boost::asio::post(site.cores.executor(0), [&] {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();
  client.send(post("/late", "abc"));
  boost::asio::io_context io{1};
  auto stopped = test::start(io, site.server->stop(std::chrono::steady_clock::now() + test::kPatience));
  test::settle(io);  // the core has been told
  release.set_value();
  EXPECT_EQ(client.receive().body, "POST /late?\nabc");
  EXPECT_TRUE(client.ended());
  test::run_until(io, [&] { return stopped.done(); });
  EXPECT_EQ(site.stats().connections, 0u);
}

TEST(Stopping, CutsWhatDoesNotFinish) {
  std::promise<void> entered;
  Site site([&](http::Request&, http::ResponseWriter&) -> awaitable<void> {
    entered.set_value();
    Timer never(co_await boost::asio::this_coro::executor, SteadyTime::max());
    co_await never.async_wait(use_awaitable);
  });
  Client client(site.port);
  client.send(post("/", ""));
  entered.get_future().wait();
  site.stop(std::chrono::milliseconds{1}).get();
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(site.stats().connections, 0u);
}

class Listen : public testing::Test {
 protected:
  Result<std::vector<std::string>> listen(std::string address) {
    ListenerOptions options;
    options.address = std::move(address);
    return server_->listen(options, handler_);
  }
  Cores cores_{1};
  MemoryBudget budget_{1u << 20};
  FunctionHandler handler_{echo};
  std::unique_ptr<Server> server_ = make_server(cores_, budget_);
};

TEST_F(Listen, SaysWhenAPortIsInUse) {
  const auto first = listen("127.0.0.1:0");
  ASSERT_TRUE(first);
  const auto second = listen(first->front());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::in_use);
  EXPECT_THAT(second.error().detail, testing::HasSubstr(first->front()));
}

TEST_F(Listen, LocalhostIsOnePortOnEveryLoopbackAddress) {
  const auto bound = listen("localhost:0");
  ASSERT_TRUE(bound);
  EXPECT_THAT(bound->front(), testing::StartsWith("127.0.0.1:"));
  const std::string port = bound->front().substr(10);
  EXPECT_NE(port, "0");
  if (bound->size() > 1) {
    EXPECT_EQ(bound->back(), "[::1]:" + port);
  }
}

TEST_F(Listen, TakesLiteralAddresses) {
  const auto any = listen("0.0.0.0:0");
  ASSERT_TRUE(any);
  EXPECT_THAT(any->front(), testing::StartsWith("0.0.0.0:"));
  const auto any6 = listen("[::]:0");
  if (any6) {
    EXPECT_THAT(any6->front(), testing::StartsWith("[::]:"));
  } else {
    EXPECT_EQ(any6.error().code, Errc::address);
  }
}

TEST_F(Listen, RefusesWhatIsNoAddress) {
  for (const char* address : {"", "4566", "localhost", "localhost:", "localhost:x", "localhost:70000", ":4566",
                              "::1:4566", "127.0.0.1:-1", "192.0.2.77:0", "[]:1"}) {
    const auto bound = listen(address);
    ASSERT_FALSE(bound) << address;
    EXPECT_EQ(bound.error().code, Errc::address) << address;
    EXPECT_FALSE(bound.error().detail.empty()) << address;
  }
}

}  // namespace
}  // namespace millrace::net
