// Peers that mean no good, or are unwell: what each holds is bounded, and the others are served meanwhile.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <mutex>

#include "net/site.hpp"

namespace millrace::net {
namespace {

using test::Client;
using test::WireReply;

constexpr std::size_t kBuffer = 64 * 1024;
constexpr std::size_t kMuch = 64u << 20;  // more than sockets hold
const std::string kGet = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const std::string kHalfAHead = "POST / HTTP/1.1\r\nHost: a\r\nX-Lo";
const std::string kLargeHalf = kHalfAHead + std::string(20'000, 'x');  // so much that it keeps the whole buffer

/// What is sent back piece by piece: kMuch bytes, or "little" where the path says so.
awaitable<void> answer_much(http::Request& request, http::ResponseWriter& writer) {
  if (request.path == "/little") {
    co_await answer(writer, 200, "little");
    co_return;
  }
  static const std::string piece(1u << 20, 'm');
  const http::ResponseHead head{200, {}};
  bool ok = (co_await writer.start(head, kMuch)).has_value();
  for (std::size_t sent = 0; ok && sent < kMuch; sent += piece.size()) {
    const Slice slice{piece, {}};
    ok = (co_await writer.write(slice)).has_value();
  }
  if (ok) (void)co_await writer.finish();
}

std::vector<std::unique_ptr<Client>> connect(const Site& site, std::size_t count) {
  std::vector<std::unique_ptr<Client>> clients;
  while (clients.size() < count) clients.push_back(std::make_unique<Client>(site.port));
  return clients;
}

bool time_passes_until(Site& site, const std::function<bool()>& condition) {
  return eventually([&] {
    site.pass(std::chrono::milliseconds{100});
    return condition();
  });
}

/// The reply to `request`, while time passes.
WireReply patient_request(Site& site, Client& client, const std::string& request) {
  auto reply = std::async(std::launch::async, [&] { return client.request(request); });
  EXPECT_TRUE(time_passes_until(
      site, [&] { return reply.wait_for(std::chrono::milliseconds{1}) == std::future_status::ready; }));
  return reply.get();
}

// ---- what unfinished requests and replies hold

TEST(SlowHeads, HoldLittleMoreThanWhatHasCome) {
  Site site(echo, {}, 1, 2 * kBuffer);
  const auto slow = connect(site, 50);
  for (const auto& client : slow) client->send(kHalfAHead);
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == slow.size() * 1024; }));
  EXPECT_EQ(Client(site.port).request(post("/", "abc")).status, 200);
  for (const auto& client : slow)
    EXPECT_EQ(client->request("ng: b\r\nContent-Length: 3\r\n\r\nabc").body, "POST /?\nabc");
  EXPECT_EQ(site.stats().cut, 0u);
}

TEST(SlowHeads, AreReadAsTheyGrow) {
  Site site([](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    std::string text;
    for (const http::Header& field : request.headers) text.append(field.value).append(",");
    co_await answer(writer, 200, std::move(text));
  });
  std::string head = "GET / HTTP/1.1\r\nHost: a\r\n", values = "a,";
  for (int i = 0; i < 40; ++i) {
    const std::string value(700, static_cast<char>('a' + i % 26));
    head.append("X: ").append(value).append("\r\n");
    values.append(value).append(",");
  }
  for (const std::size_t piece : {1u, 100u, 700u, 9000u}) {
    Client client(site.port);
    for (std::size_t at = 0; at < head.size(); at += piece) client.send(std::string_view(head).substr(at, piece));
    EXPECT_EQ(client.request("\r\n").body, values) << piece;
    EXPECT_EQ(client.request(kGet).body, "a,") << piece;
  }
}

TEST(SlowHeads, AreCutWhereMemoryIsShort) {
  Site site(echo, {}, 1, 3 * kBuffer + 1000);
  const auto slow = connect(site, 3);
  for (const auto& client : slow) client->send(kLargeHalf);
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == 3 * kBuffer; }));
  Client good(site.port);
  EXPECT_EQ(patient_request(site, good, post("/", "abc")).body, "POST /?\nabc");
  EXPECT_GE(site.stats().cut, 1u);
  EXPECT_EQ(site.stats().timed_out, 0u);
}

TEST(SlowBodies, AreCutWhereMemoryIsShort) {
  Site site(echo, {}, 1, 1u << 20);
  Client slow(site.port), good(site.port);
  slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 800000\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::bodies) >= 800'000; }));
  const std::string request = post("/", std::string(500'000, 'x'));
  EXPECT_EQ(good.request(request).status, 503);
  // A client tries again after such an answer.
  EXPECT_TRUE(time_passes_until(site, [&] { return Client(site.port).request(request).status == 200; }));
  EXPECT_EQ(site.stats().cut, 1u);
  EXPECT_TRUE(slow.ended());
}

TEST(SlowBodies, AreCutWhereTheyTakeTheRecordsPart) {
  Site site(echo, {}, 1, 4u << 20, 1u << 20);
  Client slow(site.port);
  slow.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::bodies) >= 3'000'000; }));
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{10}));
  EXPECT_EQ(site.stats().cut, 0u);
  EXPECT_FALSE(site.budget.try_take(Account::chunks, 1u << 20));
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{0}));
  EXPECT_EQ(site.stats().cut, 1u);
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::bodies) == 0; }));
  // Records that have filled their own part are nobody's fault.
  EXPECT_TRUE(site.budget.try_take(Account::chunks, 3u << 20));
  Client other(site.port);
  other.send(kHalfAHead);
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == 1024; }));
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{10}));
  EXPECT_FALSE(site.budget.try_take(Account::chunks, 1));
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{0}));
  EXPECT_EQ(site.stats().cut, 1u);
}

TEST(SlowReaders, AreCutWhereMemoryIsShort) {
  Site site(answer_much, {}, 1, 2 * kBuffer + 1000);
  const auto slow = connect(site, 2);
  for (const auto& client : slow) client->send(kGet);
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == 2 * kBuffer; }));
  Client good(site.port);
  EXPECT_EQ(patient_request(site, good, post("/little", "")).body, "little");
  EXPECT_GE(site.stats().cut, 1u);
  EXPECT_EQ(site.stats().timed_out, 0u);
}

TEST(Buffers, GoRoundWhereThereIsOnlyOne) {
  Site site(echo, {}, 1, kBuffer + 1000);
  const auto clients = connect(site, 20);
  for (int round = 0; round < 3; ++round) {
    for (const auto& client : clients) client->send(post("/", "abc"));
    for (const auto& client : clients) EXPECT_EQ(client->receive().body, "POST /?\nabc");
  }
  EXPECT_EQ(site.stats().cut, 0u);
  EXPECT_EQ(site.stats().timed_out, 0u);
}

TEST(Buffers, AreWaitedForNoLongerThanARequestMayTake) {
  Site site(echo, {}, 1, 1000);
  Client client(site.port);
  client.send(post("/", "a"));
  EXPECT_TRUE(eventually([&] { return site.budget.refused(Account::connections) > 0; }));
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{50}));
  EXPECT_EQ(site.stats().connections, 1u);
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{20}));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(site.stats().timed_out, 1u);
}

TEST(Buffers, AreNotWaitedForBeyondAStop) {
  Site site(echo, {}, 1, 1000);
  Client client(site.port);
  client.send(post("/", "a"));
  EXPECT_TRUE(eventually([&] { return site.budget.refused(Account::connections) > 0; }));
  site.stop(std::chrono::milliseconds{1}).get();
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(site.stats().connections, 0u);
}

// ---- readers

/// Reads 8 MiB every four minutes until all has come, or the connection has ended; gives the replies that were whole.
bool read_slowly(Site& site) {
  Client client(site.port);
  client.send(kGet);
  constexpr std::size_t kAtOnce = 8u << 20;
  for (std::size_t taken = 0; taken < kMuch; taken += kAtOnce) {
    if (!client.skip(kAtOnce)) return false;
    EXPECT_TRUE(site.pass_and_sweep(std::chrono::minutes{4}));
  }
  return true;
}

TEST(SlowReaders, AreServedAsLongAsTheyKeepTheLeastRate) {
  ListenerOptions options;
  options.write_timeout = std::chrono::minutes{10};
  Site site(answer_much, options);
  EXPECT_TRUE(read_slowly(site));
  EXPECT_EQ(site.stats().timed_out, 0u);
}

TEST(SlowReaders, AreCutBelowTheLeastRateThoughTheyNeverRest) {
  ListenerOptions options;
  options.write_timeout = std::chrono::minutes{10};  // longer than any wait here
  options.write_rate_min = 128 * 1024;
  Site site(answer_much, options);
  EXPECT_FALSE(read_slowly(site));
  EXPECT_EQ(site.stats().timed_out, 1u);
}

// ---- one side closed, or both

TEST(HalfClosed, StillGetsTheReply) {
  Site site(echo);
  Client client(site.port);
  client.send(post("/1", "abc") + post("/2", std::string(100'000, 'x')) + post("/3", ""));
  client.finish_sending();
  EXPECT_EQ(client.receive().body, "POST /1?\nabc");
  EXPECT_EQ(client.receive().body, "POST /2?\n" + std::string(100'000, 'x'));
  EXPECT_EQ(client.receive().body, "POST /3?\n");
  EXPECT_TRUE(client.ended_cleanly());
}

TEST(HalfClosed, StillGetsAReplyInPieces) {
  Site site(answer_much);
  Client client(site.port);
  client.send(kGet + post("/little", ""));
  client.finish_sending();
  EXPECT_EQ(client.receive().body.size(), kMuch);
  EXPECT_EQ(client.receive().body, "little");
  EXPECT_TRUE(client.ended_cleanly());
}

TEST(HalfClosed, InTheMiddleOfARequestGetsNoAnswer) {
  std::atomic<int> peers_gone{0};
  Site site([&](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
    const auto body = co_await request.body->collect(1u << 20);
    if (!body && body.error().code == http::Errc::peer_gone) ++peers_gone;
    co_await answer(writer, 200, "");
  });
  const std::string chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string large = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n";
  const std::string whole = post("/", "abc");
  for (const std::string& sent :
       {std::string("G"), kHalfAHead, kLargeHalf, std::string("\r\n\r"), whole.substr(0, whole.size() - 1), large,
        large + std::string(400'000, 'x'), chunked + "3\r\nab", chunked + "3\r\nabc\r\n0\r\n"}) {
    Client client(site.port);
    client.send(sent);
    client.finish_sending();
    EXPECT_TRUE(client.ended_cleanly()) << sent.substr(0, 100);
  }
  EXPECT_TRUE(eventually([&] { return peers_gone == 5; }));
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
  EXPECT_TRUE(eventually([&] { return site.budget.used() == 0; }));
}

TEST(Reset, AnywhereLeavesNothingBehind) {
  Site site(answer_much);
  for (const std::string& sent : {std::string(), std::string("G"), kHalfAHead, kLargeHalf, kGet,
                                  "POST /little HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\nabc" + kGet}) {
    for (int i = 0; i < 20; ++i) {
      Client client(site.port);
      client.send(sent);
      if (i % 2 && sent == kGet) {
        EXPECT_TRUE(client.skip(1000));
      }
      client.reset();
    }
  }
  EXPECT_EQ(Client(site.port).request(post("/little", "")).status, 200);
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
  EXPECT_TRUE(eventually([&] { return site.budget.used() == 0; }));
}

// ---- bodies

TEST(LongerBody, ThanAnnouncedIsTakenForTheNextRequest) {
  Site site(echo);
  Client client(site.port);
  client.send(
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\x01"
      "def");
  EXPECT_EQ(client.receive().body, "POST /?\nabc");
  EXPECT_EQ(client.receive().status, 400);
  EXPECT_TRUE(client.ended());
}

const std::string kExpecting = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: ";

TEST(Expect, LeaveThatIsNotUsedEndsWithTheRequestsTime) {
  Site site(echo);
  Client client(site.port);
  EXPECT_EQ(client.request(kExpecting + "3\r\n\r\n").status, 100);
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{70}));
  EXPECT_TRUE(client.ended());
  EXPECT_EQ(site.stats().timed_out, 1u);
}

TEST(Expect, ABodySentAgainstARefusalIsReadAndForgotten) {
  Site site(echo);
  Client client(site.port);
  const WireReply reply = client.request(kExpecting + "5000000\r\n\r\n");
  EXPECT_EQ(reply.status, 413);
  EXPECT_EQ(reply.header("Connection"), "close");
  EXPECT_TRUE(client.send(std::string(5'000'000, 'x') + kGet));
  EXPECT_TRUE(client.ended_cleanly());
  EXPECT_EQ(site.stats().requests, 1u);
}

TEST(Expect, ARefusedBodyHoldsNothingWhileItIsReadAndForgotten) {
  Site site(echo);
  Client client(site.port);
  std::string chunks = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (int i = 0; i < 5; ++i) chunks += "100000\r\n" + std::string(0x100000, 'x') + "\r\n";
  client.send(chunks);
  EXPECT_EQ(client.receive().status, 413);
  EXPECT_TRUE(eventually([&] { return site.budget.used() == 0; }));
  EXPECT_EQ(site.stats().connections, 1u);
}

TEST(Rejected, SenderIsListenedToForAMomentOnly) {
  Site site(echo);
  Client client(site.port);
  EXPECT_EQ(client.request("bad\r\n\r\n").status, 400);
  EXPECT_TRUE(client.send("more"));
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == 0; }));
  EXPECT_EQ(site.stats().connections, 1u);
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{10}));
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
  EXPECT_EQ(site.stats().timed_out, 0u);
}

TEST(Rejected, SenderIsListenedToWithinBounds) {
  Site site(echo);
  Client client(site.port);
  client.send("bad\r\n\r\n");
  const std::string more(1u << 20, 'x');
  std::size_t sent = 0;
  while (sent < (200u << 20) && client.send(more)) sent += more.size();
  EXPECT_LT(sent, 200u << 20);
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
}

// ---- floods

TEST(Flood, OfRequestsWhoseRepliesNobodyReadsStopsAtTheSockets) {
  Site site([](http::Request&, http::ResponseWriter& writer) { return answer(writer, 200, std::string(1000, 'r')); });
  Client flood(site.port, 4096);
  std::string requests;
  while (requests.size() < (1u << 20)) requests += kGet;
  // Until the server reads no more: its requests no longer grow, though we would send.
  std::uint64_t answered = 0;
  EXPECT_TRUE(eventually([&] {
    while (flood.send_now(requests) > 0) {
    }
    EXPECT_TRUE(site.pass_and_sweep(std::chrono::milliseconds{1}));
    return std::exchange(answered, site.stats().requests) == site.stats().requests && answered > 0;
  }));
  EXPECT_EQ(site.budget.used(Account::connections), kBuffer);
  EXPECT_EQ(Client(site.port).request(kGet).status, 200);
  EXPECT_TRUE(time_passes_until(site, [&] { return site.stats().timed_out == 1; }));
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
}

TEST(Flood, OfRequestsSentAheadLetsOthersHaveTheirTurn) {
  constexpr std::size_t kAhead = 1500;
  std::vector<std::string> order;  // of the core's thread
  Site site([&](http::Request& request, http::ResponseWriter& writer) {
    order.emplace_back(request.path);
    return echo(request, writer);
  });
  Client flood(site.port), other(site.port);
  EXPECT_EQ(flood.request(kGet).status, 200);
  EXPECT_EQ(other.request(kGet).status, 200);
  std::string requests;
  for (std::size_t i = 0; i < kAhead; ++i) requests += kGet;
  ASSERT_LT(requests.size(), kBuffer);
  std::promise<void> held, release;
  boost::asio::post(site.cores.executor(0), [&] {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();
  // Both have come, the flood first, when the core looks again.
  flood.send(requests);
  other.send(post("/other", ""));
  release.set_value();
  EXPECT_EQ(other.receive().body, "POST /other?\n");
  for (std::size_t i = 0; i < kAhead; ++i) ASSERT_EQ(flood.receive().body, "GET /?\n");
  site.cores.stop();
  site.cores.join();
  const auto turn = std::find(order.begin(), order.end(), "/other") - order.begin();
  EXPECT_LT(turn, 100);
  EXPECT_EQ(order.size(), kAhead + 3);
}

TEST(Flood, OfEmptyLinesIsNoRequest) {
  Site site(echo);
  Client client(site.port);
  std::string lines;
  while (lines.size() < 200'000) lines += "\r\n";
  client.send(lines);
  EXPECT_EQ(client.request(kGet).status, 200);
  EXPECT_EQ(site.stats().requests, 1u);
}

// ---- places

TEST(Places, AreNoMoreThanTheListenersLimit) {
  ListenerOptions options;
  options.connections_max = 1;
  Site site(echo, options);
  Client first(site.port);
  EXPECT_EQ(first.request(post("/", "a")).status, 200);
  Client second(site.port);
  second.send(post("/", "b"));
  // No time passes: the first is not idle for long enough to make place.
  EXPECT_EQ(first.request(post("/", "a")).status, 200);
  EXPECT_EQ(site.stats().accepted, 1u);
  first.reset();
  EXPECT_EQ(second.receive().body, "POST /?\nb");
}

TEST(Places, AreLeftToTheIdleWhileNobodyWants) {
  ListenerOptions options;
  options.connections_max = 3;
  Site site(echo, options);
  const auto all = connect(site, 3);
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 3; }));
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{30}));
  for (const auto& client : all) EXPECT_EQ(client->request(post("/", "a")).status, 200);
  EXPECT_EQ(site.stats().cut, 0u);
}

TEST(Places, GoFromTheLongestIdleToTheNext) {
  ListenerOptions options;
  options.connections_max = 3;
  Site site(echo, options);
  const auto old = connect(site, 3);
  for (const auto& client : old) {
    EXPECT_EQ(client->request(post("/", "a")).status, 200);
    EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{1}));
  }
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{1}));
  Client next(site.port);
  EXPECT_EQ(next.request(post("/", "b")).body, "POST /?\nb");
  EXPECT_TRUE(old[0]->ended());
  EXPECT_EQ(old[2]->request(post("/", "c")).body, "POST /?\nc");
  EXPECT_LE(site.stats().cut, 2u);
}

TEST(Places, AreTakenFromSlowRequestsWhenNobodyIsIdle) {
  ListenerOptions options;
  options.connections_max = 2;
  Site site(echo, options);
  const auto slow = connect(site, 2);
  for (const auto& client : slow) client->send(kHalfAHead);
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == 2 * 1024; }));
  Client next(site.port);
  EXPECT_EQ(patient_request(site, next, post("/", "b")).body, "POST /?\nb");
  EXPECT_GE(site.stats().cut, 1u);
  EXPECT_EQ(site.stats().timed_out, 0u);
}

TEST(Places, AreNotTakenFromWhoHasJustAsked) {
  std::promise<void> held, release;
  ListenerOptions options;
  options.connections_max = 1;
  Site site(echo, options);
  Client first(site.port);
  EXPECT_EQ(first.request(post("/", "a")).status, 200);
  EXPECT_TRUE(site.pass_and_sweep(std::chrono::seconds{10}));
  boost::asio::post(site.cores.executor(0), [&] {
    held.set_value();
    release.get_future().wait();
  });
  held.get_future().wait();
  // When the core looks again, the first has been idle for long, its request has come, and somebody wants its place.
  Client second(site.port);
  first.send(post("/", "c"));
  release.set_value();
  EXPECT_EQ(first.receive().body, "POST /?\nc");
}

}  // namespace
}  // namespace millrace::net
