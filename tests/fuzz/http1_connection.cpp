// A whole connection over a pair of sockets: it never hangs, answers what the parser makes of the stream, and every
// reply is one. The input is the handler, a byte of flags, a count of sizes, the sizes of the pieces, and the stream.
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <charconv>
#include <stdexcept>

#include "fuzz/http1.hpp"
#include "fuzz/quiet.hpp"
#include "net/connection.hpp"

namespace millrace::fuzz {
namespace {

constexpr std::size_t kHeadBytesMax = 1024;

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

struct Reply {
  int status = 0;
  std::string body;
  bool whole = false, close = false;
};

/// Takes one reply off `text`; nothing but a cut one is let pass.
Reply take_reply(std::string_view& text, bool to_head) {
  Reply reply;
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    text = {};
    return reply;
  }
  std::string_view head = text.substr(0, end + 2);
  text.remove_prefix(end + 4);
  require(head.starts_with("HTTP/1.1 ") && head.size() > 14, "a reply begins with its status");
  require(std::from_chars(head.data() + 9, head.data() + 12, reply.status).ec == std::errc{} && reply.status >= 100,
          "a status is three digits");
  head.remove_prefix(head.find("\r\n") + 2);
  bool chunked = false;
  std::optional<std::size_t> length;
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(line.size() + 2);
    const std::size_t colon = line.find(": ");
    require(colon != std::string_view::npos, "a field is a name and a value");
    const std::string_view name = line.substr(0, colon), value = line.substr(colon + 2);
    if (name == "Content-Length") {
      std::size_t number = 0;
      require(!length && std::from_chars(value.data(), value.data() + value.size(), number).ec == std::errc{},
              "one length");
      length = number;
    }
    chunked |= name == "Transfer-Encoding";
    reply.close |= name == "Connection" && value == "close";
  }
  require(!(chunked && length), "a reply is framed in one way");
  if (to_head || reply.status < 200 || reply.status == 204 || reply.status == 304) {
    reply.whole = true;
  } else if (chunked) {
    for (;;) {
      const std::size_t line = text.find("\r\n");
      if (line == std::string_view::npos) return text = {}, reply;
      std::size_t size = 0;
      const auto [at, error] = std::from_chars(text.data(), text.data() + line, size, 16);
      require(error == std::errc{} && at == text.data() + line, "a chunk has a size");
      if (text.size() < line + 2 + size + 2) return text = {}, reply;
      reply.body += text.substr(line + 2, size);
      require(text.substr(line + 2 + size, 2) == "\r\n", "a chunk ends");
      text.remove_prefix(line + 2 + size + 2);
      if (size == 0) break;
    }
    reply.whole = true;
  } else if (length) {
    reply.body = text.substr(0, *length);
    reply.whole = text.size() >= *length;
    text.remove_prefix(reply.body.size());
  } else {
    require(reply.close, "a reply without a length ends with the connection");
    reply.body = text;
    text = {};
    reply.whole = true;
  }
  return reply;
}

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

void check(Answers::Way way, unsigned flags, Pieces pieces, std::string_view bytes) {
  boost::asio::io_context io{1};
  MemoryBudget budget(64u << 20);
  net::Tuning tuning;
  tuning.now = [] { return net::SteadyTime{} + std::chrono::hours{1}; };
  tuning.sweep_interval = std::chrono::hours{1};
  auto core = std::make_shared<net::Core>(io.get_executor(), budget, tuning);
  Answers answers(way);
  net::ListenerOptions options;
  options.head_bytes_max = kHeadBytesMax;
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

  const ParsedStream parsed = parse_stream(bytes, Pieces({}), kHeadBytesMax);
  std::vector<ParsedRequest> expected = parsed.requests;
  if (parsed.cut_in_body) expected.push_back(parsed.cut);
  require(answers.asked.size() <= expected.size(), "no request is made up");
  for (std::size_t i = 0; i < answers.asked.size(); ++i) {
    const Answers::Asked& asked = answers.asked[i];
    require(asked.method == expected[i].method && asked.target == expected[i].target &&
                asked.headers == expected[i].headers,
            "a handler sees the request that came");
    require(asked.path.starts_with('/') || !asked.target.starts_with('/'), "a path begins with a slash");
    require(!asked.path.empty() && asked.path.find('?') == std::string::npos,
            "a path is not empty and ends before the query");
    if (asked.body_whole)
      require(i < parsed.requests.size() && asked.body == expected[i].body, "and the body that came");
  }

  // A head that does not end may be refused sooner in pieces, or later, or wait for its end.
  const bool undecided =
      parsed.end == ParsedStream::End::bad_head || (parsed.end == ParsedStream::End::more && !parsed.cut_in_body);
  const bool head_ends =
      bytes.substr(parsed.head_begin).substr(0, kHeadBytesMax).find("\r\n\r\n") != std::string_view::npos;
  std::string_view text = peer.received;
  std::size_t replies = 0;
  bool ended = false;
  while (!text.empty()) {
    require(!ended, "nothing follows a reply that ends the connection");
    if (text.starts_with("HTTP/1.1 100 ")) {
      require(take_reply(text, false).whole, "an interim reply is whole");
      continue;
    }
    const bool rejection = replies == answers.asked.size();
    require(replies <= answers.asked.size(), "there is one reply a request, and one to what is none");
    if (rejection) require(undecided, "only what is no request is rejected");
    const bool to_head = !rejection && answers.asked[replies].method == "HEAD";
    const Reply reply = take_reply(text, to_head || rejection);
    ++replies;
    if (rejection) require(reply.close && text.empty(), "a rejection ends the connection");
    if (!reply.whole) require(text.empty(), "a reply that is cut is the last");
    if (way == Answers::echo && reply.whole && !rejection && !to_head && reply.status == 200)
      require(reply.body == answers.asked[replies - 1].body, "the reply is the one sent");
    if (way == Answers::throws && !rejection) require(reply.status == 500, "a handler that throws is a 500");
    ended = reply.close;
  }
  // With a handler that takes all, all is answered.
  if (way == Answers::echo) {
    require(answers.asked.size() == expected.size(), "every request is handled");
    if (parsed.end == ParsedStream::End::bad_head && head_ends)
      require(replies == answers.asked.size() + 1, "what is no request is rejected");
  }
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  fuzz::quiet();
  fuzz::Input input(data, size);
  const auto way = static_cast<fuzz::Answers::Way>(input.byte() % fuzz::Answers::ways);
  const unsigned flags = input.byte();
  const std::size_t count = input.byte() % 16;
  const fuzz::Pieces pieces(input.text(count));
  fuzz::check(way, flags, pieces, input.rest());
  return 0;
}
