#pragma once
#include <atomic>
#include <boost/asio/cancellation_signal.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/http.hpp"
#include "net/core.hpp"
#include "net/http2_session.hpp"
#include "net/request_parser.hpp"
#include "net/transport.hpp"

namespace millrace::net {

class Connection;

/// What a listener's connections share.
struct Served {
  Served(ListenerOptions o, http::Handler& h) : options(std::move(o)), handler(h) {}
  const ListenerOptions options;
  http::Handler& handler;
  std::atomic<std::size_t> open{0};  ///< connections accepted and not ended
};

/// Bytes read and not yet used up: [begin, end) of a lent block. What lies before `begin` stays where it is while a
/// request is answered, because its head and body are views into it.
struct Input {
  BlockPool::Lent block;
  std::size_t begin = 0, end = 0;

  std::string_view unread() const noexcept { return {block.data() + begin, end - begin}; }
  char* free_begin() const noexcept { return block.data() + end; }
  std::size_t free() const noexcept { return block.capacity() - end; }
  /// Moves what lies in [from, end) to `to`; begin follows.
  void move(std::size_t from, std::size_t to) noexcept;
  /// Moves what lies in [from, end) to the front of another block; begin is there.
  void move_to(BlockPool::Lent other, std::size_t from) noexcept;
};

/// The body of the request under way.
class RequestBody final : public http::Body {
 public:
  explicit RequestBody(Connection& connection) noexcept : connection_(connection) {}

  std::optional<std::uint64_t> length() const noexcept override;
  awaitable<http::Result<std::string_view>> collect(std::size_t bytes_max) override;
  awaitable<http::Result<std::string_view>> pull() override;

  /// The head just parsed says what comes.
  void begin(RequestParser& parser);
  /// The handler is done: lends the memory back.
  void end() noexcept { block_.give_back(); }
  bool complete() const noexcept { return complete_; }
  /// Whether the peer may be waiting for leave to send: not one that has begun to.
  bool continue_pending() const noexcept;
  /// Whether reading what the handler leaves over is worth keeping the connection for.
  bool worth_draining() const noexcept;
  /// Reads what is left over; false when that is too much.
  awaitable<bool> drain();

 private:
  awaitable<http::Result<>> leave_to_send();
  awaitable<http::Result<>> collect_rest();
  awaitable<http::Result<>> collect_chunks(std::size_t bytes_max);
  awaitable<http::Result<>> next_piece(std::string_view& piece);
  void used(std::size_t bytes) noexcept;

  Connection& connection_;
  RequestParser* parser_ = nullptr;
  std::uint64_t announced_ = 0, left_ = 0;
  std::size_t room_ = 0;  // where pieces may be read to in the input: behind the head
  BlockPool::Lent block_;
  std::string_view collected_;
  bool chunked_ = false, complete_ = true, broken_ = false, expects_continue_ = false;
};

/// The reply to the request under way.
class ReplyWriter final : public http::ResponseWriter {
 public:
  explicit ReplyWriter(Connection& connection) noexcept : connection_(connection) {}

  awaitable<http::Result<>> send(const http::ResponseHead& head, std::span<const Slice> body) override;
  awaitable<http::Result<>> start(const http::ResponseHead& head, std::optional<std::uint64_t> length) override;
  awaitable<http::Result<>> write(Slice piece) override;
  awaitable<http::Result<>> finish() override;
  void abort() noexcept override;
  bool started() const noexcept override { return started_; }

  void begin(bool head_only, bool http11, bool may_keep_alive) noexcept;
  bool finished() const noexcept { return finished_; }
  bool streaming() const noexcept { return started_ && !finished_; }
  /// Whether the head said how long the reply is.
  bool announced() const noexcept { return left_.has_value(); }
  /// Whether the head said that the connection goes on.
  bool keep_alive() const noexcept { return keep_alive_; }
  /// The next reply ends the connection.
  void close_after() noexcept { may_keep_alive_ = false; }

 private:
  void render(const http::ResponseHead& head, std::optional<std::uint64_t> length, bool keep_alive, Buffer& out);

  Connection& connection_;
  bool head_only_ = false, http11_ = true, may_keep_alive_ = true;
  bool started_ = false, finished_ = false, keep_alive_ = false, chunked_ = false, no_body_ = false;
  std::optional<std::uint64_t> left_;  // of an announced length
};

/// One accepted connection: reads requests, has them answered in order. One that begins with a handshake of TLS makes
/// it first; one that then begins with HTTP/2's preface goes on as an Http2Session. Lives on its core's thread.
class Connection final : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Core> core, std::shared_ptr<Served> served, Transport transport, std::string peer);
  ~Connection();

  /// Until the connection ends. Spawned with the slot of cancel_signal().
  static awaitable<void> serve(std::shared_ptr<Connection> self);
  boost::asio::cancellation_signal& cancel_signal() noexcept { return cancel_; }
  std::string_view peer() const noexcept { return peer_; }

  void sweep(SteadyTime now);
  void end_if_idle();
  /// At once, whatever is under way.
  void end();

  bool belongs_to(const Served& served) const noexcept { return served_.get() == &served; }
  /// When it began to wait for its peer, as far as it does.
  SteadyTime since() const noexcept { return since_; }
  /// Whether since `then` or longer nothing has been under way.
  bool is_idle(SteadyTime then) const noexcept;
  /// Whether it holds memory all the same, which ends with it alone.
  bool idles_dearly(SteadyTime then) const noexcept { return http2_ && is_idle(then); }
  /// Whether the peer has been owing the rest of a request, or room for the reply, since `then` or longer.
  bool keeps_waiting(SteadyTime then) const noexcept;
  /// Ends it to make room for others; what was just sent is answered first.
  void cut();
  /// Gives the buffer back if nothing is in it.
  void give_up_buffer();

 private:
  friend class Core;
  friend class RequestBody;
  friend class ReplyWriter;
  friend class Http2Session;
  enum class Phase : std::uint8_t { idle, busy, wants_buffer, lingering };
  enum class Head : std::uint8_t { ready, closed, rejected, http2, broken };
  enum class Parsed : std::uint8_t { head, rejected, nothing, some, cramped, http2, tls };

  awaitable<Head> read_head();
  void new_head();
  Parsed parse_head(std::size_t& head_begin);
  awaitable<bool> make_room(std::size_t& head_begin);
  void shelve(std::size_t& head_begin);
  awaitable<BlockPool::Lent> wait_for_block(BlockPool& pool, std::size_t bytes);
  awaitable<Head> start_tls();
  Head no_tls(std::string_view what);
  void begin_request();
  awaitable<bool> settle(bool failed);
  awaitable<void> reject(int status);
  awaitable<void> linger();
  void log_failure(std::string_view what) const;

  /// Reads some of the request; peer_gone at its end or deadline.
  awaitable<http::Result<std::size_t>> receive(char* out, std::size_t size);
  /// What fits at once, else the whole under the write deadline.
  std::size_t write_now(std::span<const iovec> parts);
  std::chrono::milliseconds reply_patience() const;
  awaitable<http::Result<>> write_rest(std::vector<iovec> parts, std::size_t written, std::size_t head_bytes);

  /// While a reply streams, a read stays pending: it sees the peer going, and keeps what the peer sends ahead.
  void watch_peer();
  void on_watched(const Transport::ErrorCode& error, std::size_t size);
  awaitable<void> end_watch();
  void gone() noexcept;

  std::shared_ptr<Core> core_;
  const std::shared_ptr<Served> served_;
  Transport transport_;
  const std::string peer_;
  std::size_t slot_ = 0;  // in the core's list
  boost::asio::cancellation_signal cancel_;
  SteadyTime deadline_ = SteadyTime::max();
  SteadyTime request_deadline_ = SteadyTime::max();
  SteadyTime since_ = SteadyTime::max();
  std::uint64_t reply_sent_ = 0;          // bytes of the reply under way, and
  SteadyTime::duration reply_waited_{0};  // how long it has waited for room
  Input input_;
  std::optional<RequestParser> parser_;
  http::Request request_;
  RequestBody body_{*this};
  ReplyWriter writer_{*this};
  std::function<void()> watch_ended_;
  Reservation tls_reservation_;          // what its TLS holds
  std::unique_ptr<Http2Session> http2_;  // what it speaks, if not HTTP/1.1
  int idle_sweeps_ = 0;
  Phase phase_ = Phase::idle;
  bool gone_ = false, watching_ = false;
  bool new_ = true;           // nothing tells yet which HTTP it speaks
  bool input_ended_ = false;  // the peer sends no more; it may still read
};

}  // namespace millrace::net
