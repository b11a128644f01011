// TLS on the port of everything else: what is told apart, what a peer can do to a handshake and behind it, and what a
// connection holds. The client is OpenSSL's other side, or bytes.
#include <gtest/gtest.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

#include "millrace/net/certificates.hpp"
#include "net/site.hpp"
#include "net/tls_stream.hpp"
#include "support/http2_client.hpp"
#include "support/tls_client.hpp"

namespace millrace::net {
namespace {

using test::Client;
using test::Http2Client;
using test::TlsClient;
using test::TlsClientOptions;
using test::WireReply;

constexpr std::string_view kH2 = "\x02h2", kBoth = "\x02h2\x08http/1.1", kHttp1 = "\x08http/1.1";

/// Made once: what is tested here does not depend on them.
const TlsMaterial& authority() {
  static const TlsMaterial one = make_authority(std::chrono::system_clock::now()).value();
  return one;
}

TlsMaterial certificate(const std::vector<std::string>& names = {"localhost", "127.0.0.1"}) {
  return make_certificate(authority(), names, std::chrono::system_clock::now()).value();
}

std::shared_ptr<Tls> make_tls() {
  static const TlsMaterial material = certificate();
  return Tls::make(material).value();
}

ListenerOptions with_tls(std::shared_ptr<Tls> tls = make_tls()) {
  ListenerOptions options;
  options.tls = std::move(tls);
  return options;
}

TlsClientOptions trusting(std::string_view protocols = {}, int version = 0) {
  TlsClientOptions options;
  options.authority = authority().certificates;
  options.protocols = protocols;
  options.version = version;
  return options;
}

std::string pattern(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 7 + i / 1000) % 26);
  return text;
}

/// The bytes of a ClientHello, as OpenSSL writes them.
std::string client_hello(int version_max = TLS1_3_VERSION) {
  const std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::shared_ptr<SSL> ssl(SSL_new(context.get()), SSL_free);
  SSL_set_max_proto_version(ssl.get(), version_max);
  BIO* const in = BIO_new(BIO_s_mem());
  BIO* const out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), in, out);
  SSL_connect(ssl.get());
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(out, &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

/// The type of the alert that a plain client sees; -1: something else came, or nothing.
int alert(Client& client) {
  std::string in;
  char piece[4096];
  for (ssize_t got; (got = client.read(piece, sizeof piece)) > 0;) in.append(piece, static_cast<std::size_t>(got));
  // An alert in the clear is a record of two bytes, the last one.
  if (in.size() < 7 || in[in.size() - 7] != SSL3_RT_ALERT) return -1;
  return static_cast<unsigned char>(in.back());
}

// ---- told apart

TEST(Tls, IsServedBesideBothPlainProtocolsOnOnePort) {
  Site site(echo, with_tls());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(site.port, trusting({}, version));
    ASSERT_TRUE(client.made()) << client.error();
    EXPECT_EQ(client.request(post("/a", "tls")).body, "POST /a?\ntls");
    EXPECT_EQ(client.request(post("/b", "again")).body, "POST /b?\nagain");
  }
  Client plain(site.port);
  EXPECT_EQ(plain.request(post("/c", "plain")).body, "POST /c?\nplain");
  Http2Client http2(site.port);
  EXPECT_EQ(http2.request(test::request_fields("POST", "/d"), "h2c").body, "POST /d?\nh2c");
}

TEST(Tls, AgreesToHttp2WhereTheClientKnowsIt) {
  Site site(echo, with_tls());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    auto client = std::make_unique<TlsClient>(site.port, trusting(kBoth, version));
    ASSERT_TRUE(client->made()) << client->error();
    EXPECT_EQ(client->protocol(), "h2");
    Http2Client http2(std::move(client));
    EXPECT_EQ(http2.request(test::request_fields("POST", "/"), pattern(300'000)).body, "POST /?\n" + pattern(300'000));
  }
  TlsClient old(site.port, trusting(kHttp1));
  EXPECT_EQ(old.protocol(), "http/1.1");
  EXPECT_EQ(old.request(post("/", "x")).status, 200);
  TlsClient none(site.port, trusting());
  EXPECT_EQ(none.protocol(), "");
}

TEST(Tls, BehindTheHandshakeTheFirstBytesTellWhateverWasAgreedTo) {
  Site site(echo, with_tls());
  TlsClient says_h2(site.port, trusting(kH2));
  ASSERT_EQ(says_h2.protocol(), "h2");
  EXPECT_EQ(says_h2.request(post("/", "one")).body, "POST /?\none");
  for (const std::string_view protocols : {std::string_view{}, kHttp1}) {
    Http2Client http2(std::make_unique<TlsClient>(site.port, trusting(protocols)));
    EXPECT_EQ(http2.request(test::request_fields("POST", "/"), "two").body, "POST /?\ntwo");
  }
}

TEST(Tls, AClientThatKnowsNoneOfTheProtocolsIsRefused) {
  Site site(echo, with_tls());
  TlsClient client(site.port, trusting("\x08spdy/3.1"));
  EXPECT_FALSE(client.made());
  EXPECT_EQ(client.error(), "tlsv1 alert no application protocol");
  client.close();
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
}

TEST(Tls, VersionsAndCiphersThatAreTooOldAreRefused) {
  Site site(echo, with_tls());
  TlsClient old(site.port, trusting({}, TLS1_1_VERSION));
  EXPECT_FALSE(old.made());
  EXPECT_EQ(old.error(), "tlsv1 alert protocol version");
  TlsClientOptions weak = trusting({}, TLS1_2_VERSION);
  weak.ciphers = "ECDHE-ECDSA-AES128-SHA:AES128-GCM-SHA256";
  TlsClient cbc(site.port, weak);
  EXPECT_FALSE(cbc.made());
  EXPECT_EQ(cbc.error(), "sslv3 alert handshake failure");
  EXPECT_TRUE(eventually([&] { return site.stats().rejected == 2; }));
}

TEST(Tls, AHandshakeIsNoRequestWhereItIsOff) {
  Site site(echo);
  Client client(site.port);
  client.send(client_hello());
  client.finish_sending();
  EXPECT_EQ(client.receive().status, 400);
}

TEST(Tls, AHandshakeWithinAHandshakeIsNoRequest) {
  Site site(echo, with_tls());
  TlsClient client(site.port, trusting());
  EXPECT_EQ(client.request(client_hello() + "\r\n\r\n").status, 400);
}

TEST(Tls, WhatOnlyBeginsWithTheFirstByteOfAHandshakeIsHttp1) {
  Site site(echo, with_tls());
  Client client(site.port);
  EXPECT_EQ(client.request("\x16\x02 / HTTP/1.1\r\n\r\n").status, 400);
}

// ---- handshakes

TEST(TlsHandshake, MayComeByteByByte) {
  Site site(echo, with_tls());
  Client client(site.port);
  client.send_byte_by_byte(client_hello());
  char first = 0;
  ASSERT_EQ(client.read(&first, 1), 1);
  EXPECT_EQ(first, SSL3_RT_HANDSHAKE);  // ServerHello
}

TEST(TlsHandshake, HasTheTimeOfAHead) {
  Site site(echo, with_tls());
  const std::string hello = client_hello();
  for (const std::string& sent : {hello.substr(0, 1), hello.substr(0, 2), hello.substr(0, hello.size() / 2), hello}) {
    const std::uint64_t before = site.stats().timed_out;
    Client client(site.port);
    client.send(sent);
    ASSERT_TRUE(eventually([&] { return site.stats().connections == 1; }));
    ASSERT_TRUE(eventually([&] {
      site.pass(std::chrono::seconds{1});
      return site.stats().connections == 0;
    }));
    EXPECT_EQ(site.stats().timed_out, before + 1) << sent.size();
    char piece[16384];
    while (client.read(piece, sizeof piece) > 0) {
    }
    EXPECT_TRUE(client.ended());
  }
}

TEST(TlsHandshake, HoldsWhatIsSetAsideForItAndLessAfterwards) {
  Site site(echo, with_tls());
  Client slow(site.port);
  slow.send(client_hello());
  ASSERT_TRUE(eventually(
      [&] { return site.budget.used(Account::connections) >= TlsStream::kBytes + TlsStream::kHandshakeBytes; }));
  slow.close();
  ASSERT_TRUE(eventually([&] { return site.stats().connections == 0; }));
  TlsClient done(site.port, trusting());
  ASSERT_TRUE(done.made());
  ASSERT_EQ(done.request(post("/", "x")).status, 200);
  // Buffers go back when it has been idle for two looks.
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == TlsStream::kBytes; }));
  done.close();
  EXPECT_TRUE(eventually([&] { return site.budget.used(Account::connections) == 0; }));
}

TEST(TlsHandshake, WaitsForMemoryNoLongerThanForAHead) {
  // Room for the buffer that its first bytes are read to, and not for itself.
  Site site(echo, with_tls(), 1, 64 * 1024 + TlsStream::kBytes);
  Client client(site.port);
  client.send(client_hello());
  ASSERT_TRUE(eventually([&] { return site.budget.refused() > 0; }));
  ASSERT_TRUE(eventually([&] {
    site.pass(std::chrono::seconds{1});
    return site.stats().connections == 0;
  }));
  EXPECT_TRUE(client.ended());
}

TEST(TlsHandshake, GarbageInItIsAnsweredWithAnAlert) {
  Site site(echo, with_tls());
  // In TLS 1.3 what follows the hello is sealed, the alert too.
  const std::string hello = client_hello(), hello12 = client_hello(TLS1_2_VERSION);
  struct Case {
    const char* name;
    std::string bytes;
    int alert;
  };
  const std::string_view http = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const Case cases[] = {
      {"ARecordWithoutAHandshake", std::string("\x16\x03\x01\x00\x04", 5) + "abcd", SSL_AD_UNEXPECTED_MESSAGE},
      {"ARecordThatIsTooLarge", std::string("\x16\x03\x01\xff\xff", 5) + std::string(65'535, 'x'),
       SSL_AD_RECORD_OVERFLOW},
      {"AHelloThatDoesNotParse", hello.substr(0, 43) + std::string(hello.size() - 43, '\xff'), SSL_AD_DECODE_ERROR},
      {"PlainTextBehindTheHello", hello12 + std::string(http), SSL_AD_PROTOCOL_VERSION},
      {"DataBehindTheHello", hello12 + std::string("\x17\x03\x03\x00\x04", 5) + "abcd", SSL_AD_UNEXPECTED_MESSAGE},
  };
  for (const Case& one : cases) {
    Client client(site.port);
    client.send(one.bytes);
    client.finish_sending();
    EXPECT_EQ(alert(client), one.alert) << one.name;
  }
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
  EXPECT_EQ(site.stats().requests, 0u);
}

TEST(TlsHandshake, AnAlertOfTheClientEndsIt) {
  Site site(echo, with_tls());
  TlsClientOptions stranger = trusting();
  stranger.authority = make_authority(std::chrono::system_clock::now()).value().certificates;
  TlsClient client(site.port, stranger);
  EXPECT_FALSE(client.made());
  EXPECT_EQ(client.error(), "certificate verify failed");
  client.close();
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
}

TEST(TlsHandshake, IsShortWithATicket) {
  auto tls = make_tls();
  Site site(echo, with_tls(tls), 2);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient first(site.port, trusting({}, version));
    ASSERT_EQ(first.request(post("/", "x")).status, 200);
    ASSERT_NE(first.session(), nullptr);
    EXPECT_FALSE(SSL_session_reused(first.ssl()));
    // OpenSSL's client uses a ticket once in TLS 1.3, and gets another with it.
    std::vector<std::unique_ptr<TlsClient>> clients;
    TlsClientOptions again = trusting({}, version);
    again.session = first.session();
    for (int i = 0; i < 3; ++i) {  // on either core
      const TlsClient& second = *clients.emplace_back(std::make_unique<TlsClient>(site.port, again));
      ASSERT_EQ(clients.back()->request(post("/", "y")).status, 200);
      EXPECT_TRUE(SSL_session_reused(second.ssl()));
      if (second.session()) again.session = second.session();
    }
    // A ticket that the server cannot open any more does no harm.
    ASSERT_TRUE(tls->use(certificate()));
    TlsClient third(site.port, again);
    ASSERT_EQ(third.request(post("/", "z")).status, 200);
    EXPECT_FALSE(SSL_session_reused(third.ssl()));
  }
}

// ---- what goes through

TEST(Tls, LargeBodiesAndRepliesAreWhole) {
  Site site(echo, with_tls());
  const std::string body = pattern(3'000'000);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(site.port, trusting({}, version));
    std::thread sender([&] { client.send(post("/", body)); });
    sender.join();
    EXPECT_EQ(client.receive().body, "POST /?\n" + body);
  }
}

TEST(Tls, AReplyToASlowReaderComesWholeAndInOrder) {
  const std::string text = pattern(5'000'000);
  std::vector<Slice> slices;
  for (std::size_t at = 0; at < text.size(); at += 9'973)
    slices.push_back({std::string_view(text).substr(at, 9'973), {}});
  Site site(
      [&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
        const http::ResponseHead head{200, {}};
        (void)co_await writer.send(head, slices);
      },
      with_tls());
  TlsClientOptions options = trusting();
  options.receive_buffer = 4096;
  TlsClient client(site.port, options);
  client.send(post("/", "x"));
  // Far more than the sockets hold: the server waits.
  const WireReply reply = client.receive();
  EXPECT_TRUE(reply.complete);
  EXPECT_TRUE(reply.body == text);
  EXPECT_EQ(client.request(post("/", "x")).body.size(), text.size());
}

TEST(Tls, OneThatDoesNotReadIsCutAsWithoutTls) {
  const std::string text = pattern(20'000'000);
  std::atomic<bool> failed{false};
  Site site(
      [&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
        const http::ResponseHead head{200, {}};
        const Slice slice{text, {}};
        failed = !(co_await writer.send(head, std::span(&slice, 1))).has_value();
      },
      with_tls());
  TlsClientOptions options = trusting();
  options.receive_buffer = 4096;
  TlsClient client(site.port, options);
  client.send(post("/", "x"));
  char one = 0;
  ASSERT_EQ(client.read(&one, 1), 1);
  EXPECT_LE(site.budget.used(Account::connections), TlsStream::kBytes + 2 * 64 * 1024);
  ASSERT_TRUE(eventually([&] {
    site.pass(std::chrono::seconds{1});
    return failed.load();
  }));
  // What it finds then is no clean end.
  while (client.read(&one, 1) > 0) {
  }
  EXPECT_FALSE(client.told());
}

TEST(Tls, RequestsSentAheadAreAnsweredInOrder) {
  Site site(echo, with_tls());
  TlsClient client(site.port, trusting());
  std::string all;
  for (int i = 0; i < 100; ++i) all += post("/" + std::to_string(i), std::string(1000, 'x'));
  client.send(all);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(client.receive().body.starts_with("POST /" + std::to_string(i) + "?"));
}

TEST(Tls, WhatASenderSplitsIntoRecordsIsOneRequest) {
  Site site(echo, with_tls());
  TlsClient client(site.port, trusting());
  client.send_byte_by_byte(post("/", "bytes"));
  EXPECT_EQ(client.receive().body, "POST /?\nbytes");
}

TEST(Tls, AStreamedReplySeesItsPeerGo) {
  std::atomic<bool> cancelled{false};
  Site site(
      [&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
        const http::ResponseHead head{200, {}};
        (void)co_await writer.start(head, std::nullopt);
        const Slice slice{"first", {}};
        (void)co_await writer.write(slice);
        boost::asio::steady_timer forever(co_await boost::asio::this_coro::executor);
        forever.expires_at(std::chrono::steady_clock::time_point::max());
        const auto [error] = co_await forever.async_wait(boost::asio::as_tuple(use_awaitable));
        cancelled = error == boost::asio::error::operation_aborted;
      },
      with_tls());
  for (const bool told : {true, false}) {
    cancelled = false;
    TlsClient client(site.port, trusting());
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    char piece[64];
    ASSERT_GT(client.read(piece, sizeof piece), 0);
    if (told) client.finish();
    client.close();
    EXPECT_TRUE(eventually([&] { return cancelled.load(); })) << told;
  }
}

// ---- ends

TEST(TlsEnds, AreToldBothWays) {
  Site site(echo, with_tls());
  TlsClient asks(site.port, trusting());
  asks.send(post("/", "x", "Connection: close\r\n"));
  EXPECT_EQ(asks.receive().status, 200);
  EXPECT_TRUE(asks.ended_cleanly());
  EXPECT_TRUE(asks.told());

  TlsClient says(site.port, trusting());
  says.send(post("/a", "x") + post("/b", "y"));
  says.finish();  // it still reads
  EXPECT_EQ(says.receive().status, 200);
  EXPECT_EQ(says.receive().status, 200);
  EXPECT_TRUE(says.ended_cleanly());
  EXPECT_TRUE(says.told());
}

TEST(TlsEnds, AnIdleOneIsTold) {
  Site site(echo, with_tls());
  TlsClient client(site.port, trusting());
  ASSERT_EQ(client.request(post("/", "x")).status, 200);
  ASSERT_TRUE(eventually([&] {
    site.pass(std::chrono::minutes{1});
    return site.stats().connections == 0;
  }));
  EXPECT_TRUE(client.ended_cleanly());
  EXPECT_TRUE(client.told());
}

TEST(TlsEnds, OneThatIsNotToldIsNoEndOfABody) {
  Site site(echo, with_tls());
  TlsClient client(site.port, trusting());
  client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
  client.finish_sending();  // TCP's, which anybody on the way can send
  char piece[64];
  EXPECT_LE(client.read(piece, sizeof piece), 0);
  TlsClient idle(site.port, trusting());
  ASSERT_EQ(idle.request(post("/", "x")).status, 200);
  idle.close();
  EXPECT_TRUE(eventually([&] { return site.stats().connections == 0; }));
  // Many clients leave so, and have done nothing wrong.
  EXPECT_EQ(site.stats().rejected, 0u);
}

TEST(TlsEnds, PlainTextInTheMiddleEndsItWithAnAlert) {
  Site site(echo, with_tls());
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient client(site.port, trusting({}, version));
    ASSERT_EQ(client.request(post("/", "x")).status, 200);
    client.Client::write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_FALSE(client.receive().complete);
    EXPECT_NE(client.error().find("alert"), std::string::npos) << client.error();
  }
  EXPECT_EQ(site.stats().requests, 2u);
}

TEST(TlsEnds, ARecordThatWasTamperedWithEndsIt) {
  Site site(echo, with_tls());
  TlsClient client(site.port, trusting({}, TLS1_3_VERSION));
  ASSERT_TRUE(client.made());
  client.Client::write(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
  EXPECT_FALSE(client.receive().complete);
  EXPECT_EQ(client.error(), "sslv3 alert bad record mac");
}

TEST(TlsEnds, AStopTellsIdleOnesAndLetsRequestsFinish) {
  std::promise<void> asked, go_on;
  auto gate = std::make_shared<std::shared_future<void>>(go_on.get_future());
  Site site(
      [&](http::Request& request, http::ResponseWriter& writer) -> awaitable<void> {
        if (request.path == "/slow") {
          asked.set_value();
          boost::asio::steady_timer poll(co_await boost::asio::this_coro::executor);
          while (gate->wait_for(std::chrono::seconds{0}) != std::future_status::ready) {
            poll.expires_after(std::chrono::milliseconds{1});
            co_await poll.async_wait(boost::asio::as_tuple(use_awaitable));
          }
        }
        co_await answer(writer, 200, "done");
      },
      with_tls());
  TlsClient idle(site.port, trusting()), busy(site.port, trusting());
  ASSERT_EQ(idle.request(post("/", "x")).status, 200);
  busy.send(post("/slow", "x"));
  asked.get_future().wait();
  auto stopped = site.stop(test::kPatience);
  EXPECT_TRUE(idle.ended_cleanly());
  EXPECT_TRUE(idle.told());
  go_on.set_value();
  EXPECT_EQ(busy.receive().body, "done");
  EXPECT_TRUE(busy.ended_cleanly());
  EXPECT_TRUE(busy.told());
  busy.close();
  stopped.get();
}

TEST(TlsEnds, AReplyThatAStopCutsDoesNotLookWhole) {
  std::promise<void> begun;
  Site site(
      [&](http::Request&, http::ResponseWriter& writer) -> awaitable<void> {
        const http::ResponseHead head{200, {}};
        (void)co_await writer.start(head, std::nullopt);
        const Slice slice{"half", {}};
        (void)co_await writer.write(slice);
        begun.set_value();
        boost::asio::steady_timer forever(co_await boost::asio::this_coro::executor);
        forever.expires_at(std::chrono::steady_clock::time_point::max());
        (void)co_await forever.async_wait(boost::asio::as_tuple(use_awaitable));
      },
      with_tls());
  TlsClient client(site.port, trusting());
  client.send("GET / HTTP/1.0\r\n\r\n");  // the end of the connection is the end of the reply
  begun.get_future().wait();
  auto stopped = site.stop(std::chrono::milliseconds{20});
  EXPECT_FALSE(client.receive().complete);
  EXPECT_FALSE(client.told());
  stopped.get();
}

TEST(TlsEnds, AStopCutsAHandshakeThatDoesNotEnd) {
  Site site(echo, with_tls());
  Client client(site.port);
  client.send(client_hello());
  ASSERT_TRUE(eventually([&] { return site.stats().connections == 1; }));
  char first = 0;
  ASSERT_EQ(client.read(&first, 1), 1);
  site.stop(std::chrono::milliseconds{20}).get();
  EXPECT_EQ(site.stats().connections, 0u);
}

// ---- what a peer may not do

TEST(TlsFloods, NegotiatingAgainIsRefusedAndChangesNothing) {
  Site site(echo, with_tls());
  TlsClient client(site.port, trusting({}, TLS1_2_VERSION));
  ASSERT_EQ(client.request(post("/", "x")).status, 200);
  SSL_renegotiate(client.ssl());
  // The client gives up: it was told no_renegotiation.
  EXPECT_NE(SSL_do_handshake(client.ssl()), 1);
  EXPECT_EQ(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_NO_RENEGOTIATION);
  ERR_clear_error();
}

TEST(TlsFloods, ChangesOfKeysWithoutEndEndTheConnection) {
  Site site(echo, with_tls());
  TlsClient client(site.port, trusting({}, TLS1_3_VERSION));
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(SSL_key_update(client.ssl(), SSL_KEY_UPDATE_REQUESTED), 1);
    ASSERT_EQ(client.request(post("/", "x")).status, 200) << i;
  }
  bool ended = false;
  for (int i = 0; i < 10'000 && !ended; ++i)
    ended = SSL_key_update(client.ssl(), SSL_KEY_UPDATE_NOT_REQUESTED) != 1 || SSL_do_handshake(client.ssl()) != 1;
  ERR_clear_error();
  EXPECT_TRUE(eventually([&] { return site.stats().rejected == 1; }));
}

TEST(TlsFloods, ConnectionsBeyondTheListenersLimitWait) {
  ListenerOptions options = with_tls();
  options.connections_max = 3;
  Site site(echo, options);
  std::vector<std::unique_ptr<TlsClient>> clients;
  for (int i = 0; i < 3; ++i) {
    clients.push_back(std::make_unique<TlsClient>(site.port, trusting()));
    ASSERT_TRUE(clients.back()->made());
  }
  TlsClientOptions later = trusting();
  later.handshake = false;
  TlsClient fourth(site.port, later);
  auto made = std::async(std::launch::async, [&] { return fourth.handshake(); });
  EXPECT_TRUE(eventually([&] {
    site.pass(std::chrono::milliseconds{100});  // the longest idle one goes for it
    return made.wait_for(std::chrono::seconds{0}) == std::future_status::ready;
  }));
  EXPECT_TRUE(made.get());
  // Which of the two, is a matter of how far the clock went meanwhile.
  EXPECT_TRUE(eventually([&] { return site.stats().cut + site.stats().timed_out >= 1; }));
}

// ---- the certificate

TEST(TlsCertificate, IsTheNewOneForHandshakesToComeAndTheOldOneForWhatIsOpen) {
  auto tls = Tls::make(certificate({"before.test"})).value();
  Site site(echo, with_tls(tls));
  TlsClientOptions before = trusting(), after = trusting();
  before.name = "before.test";
  after.name = "after.test";
  TlsClient open(site.port, before);
  ASSERT_TRUE(open.made()) << open.error();
  ASSERT_TRUE(tls->use(certificate({"after.test"})));
  EXPECT_TRUE(TlsClient(site.port, after).made());
  EXPECT_FALSE(TlsClient(site.port, before).made());
  EXPECT_EQ(open.request(post("/", "x")).status, 200);
  // What is no certificate changes nothing.
  EXPECT_FALSE(tls->use({"nothing", "at all"}));
  EXPECT_TRUE(TlsClient(site.port, after).made());
}

TEST(TlsCertificate, MaterialThatCannotBeUsedSaysWhy) {
  const TlsMaterial good = certificate(), other = certificate();
  const auto why = [](const TlsMaterial& material) {
    const auto tls = Tls::make(material);
    return tls ? std::string("usable") : tls.error().detail;
  };
  EXPECT_EQ(why(good), "usable");
  EXPECT_EQ(why({good.certificates + authority().certificates, good.key}), "usable");
  EXPECT_EQ(why({"", good.key}), "there is no certificate (-----BEGIN CERTIFICATE-----)");
  EXPECT_EQ(why({good.certificates, ""}), "there is no private key (-----BEGIN PRIVATE KEY-----)");
  EXPECT_EQ(why({good.certificates, other.key}), "the key is not the first certificate's");
  EXPECT_TRUE(why({good.certificates + "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", good.key})
                  .starts_with("certificate 2 cannot be read"));
  const std::string encrypted =
      "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"
      "00112233445566778899AABBCCDDEEFF\n\nAAAAAAAAAAAAAAAAAAAAAA==\n-----END RSA PRIVATE KEY-----\n";
  EXPECT_TRUE(why({good.certificates, encrypted}).starts_with("the key is encrypted"));
}

}  // namespace
}  // namespace millrace::net
