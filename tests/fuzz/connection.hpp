#pragma once
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "fuzz/pieces.hpp"
#include "fuzz/quiet.hpp"
#include "net/connection.hpp"

/// A connection over a pair of sockets, and handlers of all kinds behind it.
namespace millrace::fuzz {

/// Answers in one of the ways handlers have, and keeps what it was asked.
class Answers final : public http::Handler {
 public:
  enum Way {
    echo,
    pull_and_stream,
    ignore_body,
    stream_before_body,
    small_collect,
    throws,
    no_reply,
    half_reply,
    ways
  };
  explicit Answers(Way way) : way_(way) {}
  struct Asked {
    std::string method, target, path, query, body;
    std::vector<std::pair<std::string, std::string>> headers;
    bool body_whole = false;
  };
  std::vector<Asked> asked;

  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    const std::size_t index = asked.size();
    Asked& now = asked.emplace_back();
    now.method = request.method;
    now.target = request.target;
    now.path = request.path;
    now.query = request.query;
    for (const http::Header& header : request.headers) now.headers.emplace_back(header.name, header.value);
    const http::Header type{"Content-Type", "text/plain"};
    const http::ResponseHead head{200, {&type, 1}};
    switch (way_) {
      case small_collect:
      case echo: {
        const auto body = co_await request.body->collect(way_ == echo ? 1u << 20 : 16);
        if (!body && body.error().code == http::Errc::peer_gone) co_return;
        asked[index].body_whole = body.has_value();
        if (body) asked[index].body = *body;
        const http::ResponseHead got{body ? 200 : body.error().code == http::Errc::too_large ? 413 : 400, {&type, 1}};
        const Slice slice{asked[index].body, {}};
        (void)co_await writer.send(got, {&slice, 1});
        co_return;
      }
      case pull_and_stream: {
        if (!co_await writer.start(head, std::nullopt)) co_return;
        for (;;) {
          const auto piece = co_await request.body->pull();
          if (!piece) {
            writer.abort();
            co_return;
          }
          if (piece->empty()) break;
          asked[index].body += *piece;
          const Slice slice{*piece, {}};
          if (!co_await writer.write(slice)) co_return;
        }
        asked[index].body_whole = true;
        (void)co_await writer.finish();
        co_return;
      }
      case ignore_body: {
        const Slice slice{"ignored", {}};
        (void)co_await writer.send(head, {&slice, 1});
        co_return;
      }
      case stream_before_body: {
        if (!co_await writer.start(head, 5)) co_return;
        const Slice slice{"abc", {}};
        if (!co_await writer.write(slice)) co_return;
        const auto body = co_await request.body->collect(1u << 20);
        asked[index].body_whole = body.has_value();
        if (body) asked[index].body = *body;
        const Slice rest{"de", {}};
        if (!co_await writer.write(rest)) co_return;
        (void)co_await writer.finish();
        co_return;
      }
      case throws:
        throw std::runtime_error("as asked");
      case no_reply:
        co_return;
      case half_reply: {
        if (!co_await writer.start(head, 5)) co_return;
        const Slice slice{"abc", {}};
        (void)co_await writer.write(slice);
        co_return;
      }
      case ways:
        break;
    }
  }

 private:
  const Way way_;
};

/// One end of a pair of sockets, for the peer.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  ~Peer() { ::close(fd_); }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent <= 0) return;  // it has closed, or takes no more
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void finish() { ::shutdown(fd_, SHUT_WR); }
  bool receive() {
    char piece[4096];
    const ssize_t got = ::recv(fd_, piece, sizeof piece, MSG_DONTWAIT);
    if (got <= 0) return false;
    received.append(piece, static_cast<std::size_t>(got));
    return true;
  }
  std::string received;

 private:
  int fd_;
};

/// All that a connection answers to `bytes`, which come in `pieces`. It ends when its peer does, and leaves nothing.
inline std::string converse(http::Handler& answers, std::size_t head_bytes_max, unsigned flags, Pieces pieces,
                            std::string_view bytes, std::shared_ptr<net::Tls> tls = {}) {
  boost::asio::io_context io{1};
  MemoryBudget budget(64u << 20);
  net::Tuning tuning;
  tuning.now = [] { return net::SteadyTime{} + std::chrono::hours{1}; };
  tuning.sweep_interval = std::chrono::hours{1};
  auto core = std::make_shared<net::Core>(io.get_executor(), budget, tuning);
  net::ListenerOptions options;
  options.head_bytes_max = head_bytes_max;
  options.tls = std::move(tls);
  auto served = std::make_shared<net::Served>(std::move(options), answers);

  int ends[2];
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0, "sockets can be had");
  Peer peer(ends[0]);
  net::Transport::Socket socket(core->executor());
  socket.assign(boost::asio::ip::tcp::v4(), ends[1]);
  core->load().fetch_add(1);
  served->open.fetch_add(1);
  std::exception_ptr failed;
  bool over = false;
  {
    auto connection = std::make_shared<net::Connection>(core, served, net::Transport(std::move(socket)), "peer");
    boost::asio::co_spawn(io, net::Connection::serve(connection),
                          boost::asio::bind_cancellation_slot(connection->cancel_signal().slot(),
                                                              [&, connection](std::exception_ptr error) {
                                                                failed = error;
                                                                over = true;
                                                              }));
  }
  const auto settle = [&] {
    int steps = 0;
    do {
      io.restart();
      while (io.poll_one()) require(++steps < 100'000, "a connection comes to rest");
    } while (peer.receive());
  };
  settle();
  for (std::string_view rest = bytes; !rest.empty();) {
    const std::string_view piece = rest.substr(0, pieces.next());
    rest.remove_prefix(piece.size());
    peer.send(piece);
    if ((flags & 1) == 0) settle();
  }
  settle();
  peer.finish();
  settle();
  require(over, "a connection ends when its peer does");
  if (failed) std::rethrow_exception(failed);
  require(core->load().load() == 0 && served->open.load() == 0, "and nothing of it is left");
  require(budget.used(Account::replies) == 0, "no reply is held");
  return std::move(peer.received);
}

/// One input of a target that is a whole connection: the handler, flags, a count of sizes, the sizes of the pieces, and
/// what `check` is given with them.
template <class Check>
int check_connection(const std::uint8_t* data, std::size_t size, Check check) {
  quiet();
  Input input(data, size);
  const auto way = static_cast<Answers::Way>(input.byte() % Answers::ways);
  const unsigned flags = input.byte();
  const std::size_t count = input.byte() % 16;
  const Pieces pieces(input.text(count));
  check(way, flags, pieces, input.rest());
  return 0;
}

}  // namespace millrace::fuzz
