#pragma once
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "millrace/base/http.hpp"
#include "net/block_pool.hpp"
#include "net/http2_session.hpp"

namespace millrace::net {

/// One request of an HTTP/2 connection and its reply. Bytes of the body that nobody has asked for are kept, at most a
/// stream's window of them; the window opens as the handler takes them. A reply's bytes stay where they are until the
/// peer's windows and the connection's block have room.
class Http2Stream final : public http::Body, public http::ResponseWriter {
 public:
  Http2Stream(Http2Session& session, std::int32_t id) : session_(session), id_(id) {}

  // http::Body
  std::optional<std::uint64_t> length() const noexcept override { return announced_; }
  awaitable<http::Result<std::string_view>> collect(std::size_t bytes_max) override;
  awaitable<http::Result<std::string_view>> pull() override;

  // http::ResponseWriter
  awaitable<http::Result<>> send(const http::ResponseHead& head, std::span<const Slice> body) override;
  awaitable<http::Result<>> start(const http::ResponseHead& head, std::optional<std::uint64_t> length) override;
  awaitable<http::Result<>> write(Slice piece) override;
  awaitable<http::Result<>> finish() override;
  void abort() noexcept override;
  bool started() const noexcept override { return started_; }

 private:
  friend class Http2Session;
  friend struct Http2Callbacks;
  using Timer = Http2Session::Timer;

  /// How much of a body nobody asks for is read behind the reply: clients take a reset for an error, whatever it says,
  /// and lose the reply.
  static constexpr std::uint64_t kDrainBytesMax = 64u << 20;

  void received(std::string_view bytes);
  void body_ends();
  bool make_room(std::size_t bytes);
  void fail_body(http::Errc code);
  void consume(std::size_t bytes);
  void leave_to_send();

  bool submit(const http::ResponseHead& head, std::optional<std::uint64_t> length, bool body);
  /// Hands over what a reply goes on with, and waits until it has gone or the peer has.
  awaitable<bool> pass(std::span<const Slice> parts, std::uint64_t bytes);
  void reply_now(const http::Handler::Rejection& rejection);
  std::size_t take_pending(char* out, std::size_t bytes) noexcept;
  /// Whether the reply has something to send, or its end.
  bool sends() const noexcept { return submitted_ && !end_sent_ && (pending_ > 0 || ends_); }
  bool streaming() const noexcept { return started_ && !finished_; }
  void reset(std::uint32_t error) noexcept;
  awaitable<void> changed();
  void wake() noexcept {
    if (changed_) changed_->cancel();
  }

  Http2Session& session_;
  const std::int32_t id_;
  std::size_t slot_ = 0;  // in the session's list
  boost::asio::cancellation_signal cancel_;
  std::optional<Timer> changed_;
  http::Request request_;
  BlockPool::Lent head_;
  int reject_ = 0;  // what the head is answered with, before any handler
  SteadyTime request_deadline_ = SteadyTime::max(), body_since_ = SteadyTime::max();

  // the body
  std::optional<std::uint64_t> announced_;
  std::uint64_t body_taken_ = 0, dropped_ = 0;
  BlockPool::Lent body_, held_;  // what has come; what the handler was given last
  std::size_t have_ = 0, unconsumed_ = 0, collect_max_ = 0;
  std::string_view collected_;
  std::optional<http::Errc> body_failed_;
  bool body_ended_ = false, collecting_ = false, collected_whole_ = false, expects_continue_ = false;
  bool waits_for_body_ = false;

  // the reply
  std::span<const Slice> parts_;
  std::size_t part_at_ = 0, part_offset_ = 0;
  std::uint64_t pending_ = 0;
  std::optional<std::uint64_t> left_;  // of an announced length
  Slice own_part_;
  Patience patience_;
  bool started_ = false, finished_ = false, submitted_ = false, no_body_ = false, ends_ = false, end_sent_ = false;

  bool running_ = false;  // a handler is
  bool handled_ = false;  // and nobody asks for more of the body
  bool closed_ = false;   // for nghttp2
  bool gone_ = false;     // the peer, as far as this request goes
  bool draining_ = false;
  bool noted_ = false;  // for reap()
};

}  // namespace millrace::net
