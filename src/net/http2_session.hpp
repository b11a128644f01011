#pragma once
#include <boost/asio/basic_waitable_timer.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/http.hpp"
#include "net/core.hpp"
#include "net/frame_meter.hpp"

struct nghttp2_session;

namespace millrace::net {

class Connection;
class Http2Stream;
struct Http2Callbacks;

/// What a connection of HTTP/2 with prior knowledge begins with.
inline constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long a peer has kept replies waiting for room: write_timeout at once, and on the whole as long as what was sent
/// takes at the least rate. Looked at by the sweep.
class Patience {
 public:
  void sent(std::uint64_t bytes) noexcept { sent_ += bytes; }
  /// There was no room since the last sweep, `elapsed` ago; false when that is too long.
  bool wait(SteadyTime now, SteadyTime::duration elapsed, const ListenerOptions& options) noexcept;
  /// There is room.
  void stop() noexcept { since_.reset(); }
  /// All has been sent.
  void reset() noexcept { *this = {}; }
  std::optional<SteadyTime> since() const noexcept { return since_; }

 private:
  std::uint64_t sent_ = 0, seen_ = 0;
  SteadyTime::duration waited_{0};
  std::optional<SteadyTime> since_;  // nothing was sent
};

/// One connection that speaks HTTP/2: frames by nghttp2, a coroutine for each request's handler. Lives in its
/// Connection, on the core's thread. It holds a block for what is to be sent while anything is under way; what comes is
/// read to the core's own block and is done with before the next connection's turn.
///
/// nghttp2's functions must not be called from within its callbacks: these only take notes, which take() and flush()
/// act on. Handlers are started and cancelled by those two alone.
class Http2Session {
 public:
  static constexpr std::uint32_t kStreamsMax = 100;

  explicit Http2Session(Connection& connection);
  ~Http2Session();
  Http2Session(const Http2Session&) = delete;

  /// Until the connection is over and every handler has ended. The connection's input begins with the preface.
  awaitable<void> serve();
  /// False when the peer has let a deadline of the whole connection pass.
  bool sweep(SteadyTime now);
  /// No new requests; the connection ends when those under way have been answered.
  void stop();
  /// The connection is being closed: tells the peer as far as that goes at once, and cancels the handlers.
  void end();
  bool keeps_waiting(SteadyTime then) const noexcept { return waiting_since_ <= then; }

 private:
  friend class Http2Stream;
  friend struct Http2Callbacks;
  using Timer = boost::asio::basic_waitable_timer<std::chrono::steady_clock,
                                                  boost::asio::wait_traits<std::chrono::steady_clock>, Executor>;

  awaitable<bool> get_memory();
  awaitable<void> changed();
  void notify() { changed_.cancel(); }
  bool open_session();
  void take(std::string_view bytes);
  void start_ready();
  void run_handler(Http2Stream& stream);
  static awaitable<void> handle(std::shared_ptr<Connection> self, Http2Stream* stream);
  void handled(Http2Stream& stream, std::exception_ptr failed);
  void reap();
  void remove(Http2Stream& stream) noexcept;
  Http2Stream* open_stream(std::int32_t id);
  void head_complete(Http2Stream& stream, bool ends);
  void settle(Http2Stream& stream);
  void note(Http2Stream& stream);
  void sweep_stream(Http2Stream& stream, SteadyTime now, SteadyTime::duration elapsed);
  void expire(Http2Stream& stream);

  /// Takes frames from nghttp2 until there are no more, or neither the block nor the socket has room.
  void pump();
  bool put(std::string_view bytes) noexcept;
  std::size_t room() const noexcept { return output_.capacity() - out_end_; }
  void write_out();
  void wait_for_room();
  void flush();
  void schedule_flush();
  void on_writable(const boost::system::error_code& error);
  void rest();
  void leave();
  void farewell() noexcept;
  void end_soon();
  /// GOAWAY with this error, and nothing more.
  void terminate(std::uint32_t error);
  /// The same where nghttp2 can no longer be asked for it.
  void break_off(std::uint32_t error);
  void reject() noexcept;
  void lost() noexcept;
  void cancel_all();
  bool sent_all() const noexcept { return out_begin_ == out_end_; }
  bool finished() const noexcept;
  bool alive(const Http2Stream& stream) const noexcept;
  std::string_view goaway(std::uint32_t error, std::span<char, 17> out) const noexcept;

  Connection& connection_;
  Core& core_;
  const ListenerOptions& options_;
  nghttp2_session* session_ = nullptr;
  Reservation reservation_;
  FrameMeter meter_;
  std::vector<std::unique_ptr<Http2Stream>> streams_;
  std::vector<std::unique_ptr<Http2Stream>> retired_;  // until no caller can be one of them
  std::vector<Http2Stream*> ready_, noted_;
  // The head that is coming: there is one at a time on a connection.
  struct Field {
    std::uint32_t name, value, end;  // places in head_text_
  };
  std::string head_text_;
  std::vector<Field> head_fields_;
  BlockPool::Lent output_;
  std::size_t out_begin_ = 0, out_end_ = 0;
  Timer changed_;
  Patience patience_;
  SteadyTime swept_, frame_deadline_ = SteadyTime::max(), waiting_since_ = SteadyTime::max();
  std::uint64_t frame_seen_ = 0;
  std::uint64_t head_excess_ = 0;
  int reads_at_stop_ = 0;
  bool blocked_ = false;     // the socket has no room
  bool wants_room_ = false;  // and neither has the block, for the next frame
  bool reading_ = false;     // waits for bytes of the peer
  bool flush_posted_ = false;
  bool preface_seen_ = false;
  bool head_too_large_ = false;  // the one that is coming
  bool calm_ = false;            // the peer has had more answered than it has credit for
  bool leaving_ = false;         // GOAWAY has been said: no new requests
  bool over_ = false;            // nothing more is taken from the peer or made for it
  bool broken_ = false;          // nghttp2 must not be asked any more
};

}  // namespace millrace::net
