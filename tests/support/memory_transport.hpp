#pragma once
#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/http.hpp"
#include "support/run.hpp"

/// Requests and replies without sockets, many at a time: bodies come in pieces when the test says so, replies go no
/// further than the window the test grants, peers go in the middle. What a handler does here it may do on any
/// transport.
namespace millrace::test {

/// One request and its reply, of several under way on a MemoryTransport.
class MemoryStream final : public http::Body, public http::ResponseWriter {
 public:
  MemoryStream(boost::asio::io_context& io, std::string method, std::string target)
      : io_(io), method_(std::move(method)), target_(std::move(target)), changed_(io.get_executor(), Time::max()) {
    request_.method = method_;
    request_.target = target_;
    const std::string_view whole = target_;
    request_.path = whole.substr(0, whole.find('?'));
    if (whole.find('?') != std::string_view::npos) request_.query = whole.substr(whole.find('?') + 1);
    request_.protocol = "HTTP/2.0";
    request_.peer_address = "127.0.0.1";
    request_.body = this;
  }

  // What the peer does.
  MemoryStream& header(std::string name, std::string value) {
    const auto& kept = texts_.emplace_back(std::move(name), std::move(value));
    request_.headers.add(kept.first, kept.second);
    return *this;
  }
  /// Announces the body's length; without, it is not known in advance.
  MemoryStream& announce(std::uint64_t length) {
    announced_ = length;
    return *this;
  }
  void feed(std::string_view bytes) {
    incoming_.append(bytes);
    notify();
  }
  void end_body() {
    body_ended_ = true;
    notify();
  }
  /// Lets the reply go on by this many body bytes.
  void grant(std::size_t bytes) {
    window_ += bytes;
    notify();
  }
  void reset() {
    gone_ = true;
    cancel_.emit(boost::asio::cancellation_type::terminal);
    notify();
  }

  // What the peer sees.
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string received;
  bool finished = false, aborted = false;
  bool body_asked = false;  ///< a 100-continue would have been sent
  bool handled = false;     ///< the handler has returned
  std::exception_ptr failure;
  /// The first rule of the contract that the handler broke; empty when none.
  std::string misuse;
  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (http::same_token(key, name)) return value;
    return "";
  }

  // Body
  std::optional<std::uint64_t> length() const noexcept override { return announced_; }
  awaitable<http::Result<std::string_view>> collect(std::size_t bytes_max) override {
    if (announced_ && *announced_ > bytes_max) co_return http::Error{http::Errc::too_large, ""};
    body_asked = true;
    while (!body_ended_ && incoming_.size() <= bytes_max && !gone_) co_await wait();
    if (gone_) co_return http::Error{http::Errc::peer_gone, ""};
    if (incoming_.size() > bytes_max) co_return http::Error{http::Errc::too_large, ""};
    taken_ = std::exchange(incoming_, {});
    co_return std::string_view(taken_);
  }
  awaitable<http::Result<std::string_view>> pull() override {
    body_asked = true;
    // The piece before must not be looked at any more: its memory goes.
    taken_ = std::string();
    while (incoming_.empty() && !body_ended_ && !gone_) co_await wait();
    if (gone_) co_return http::Error{http::Errc::peer_gone, ""};
    taken_ = std::exchange(incoming_, {});
    co_return std::string_view(taken_);
  }

  // ResponseWriter
  awaitable<http::Result<>> send(const http::ResponseHead& head, std::span<const Slice> body) override {
    begin(head);
    for (const Slice& slice : body)
      if (!co_await put(slice.bytes)) co_return http::Error{http::Errc::peer_gone, ""};
    finished = true;
    co_return http::Result<>{};
  }
  awaitable<http::Result<>> start(const http::ResponseHead& head, std::optional<std::uint64_t> length) override {
    begin(head);
    streaming_ = true;
    left_ = length;
    if (gone_) co_return http::Error{http::Errc::peer_gone, ""};
    co_return http::Result<>{};
  }
  awaitable<http::Result<>> write(Slice piece) override {
    if (!streaming_ || finished) broken("write() outside start() and finish()");
    if (writing_) broken("two calls of write() at a time");
    writing_ = true;
    if (left_ && piece.bytes.size() > *left_) broken("more written than announced");
    if (left_) *left_ -= std::min<std::uint64_t>(*left_, piece.bytes.size());
    const bool ok = co_await put(piece.bytes);
    writing_ = false;
    if (!ok) co_return http::Error{http::Errc::peer_gone, ""};
    co_return http::Result<>{};
  }
  awaitable<http::Result<>> finish() override {
    if (!streaming_ || finished) broken("finish() without start()");
    if (left_ && *left_ > 0) broken("less written than announced");
    if (gone_) co_return http::Error{http::Errc::peer_gone, ""};
    finished = true;
    co_return http::Result<>{};
  }
  void abort() noexcept override { aborted = true; }
  bool started() const noexcept override { return begun_; }

 private:
  friend class MemoryTransport;
  using Time = std::chrono::steady_clock::time_point;

  awaitable<bool> put(std::string_view bytes) {
    while (!bytes.empty()) {
      while (window_ == 0 && !gone_) co_await wait();
      if (gone_) co_return false;
      // Read after the wait: what was passed must still live.
      const std::string_view part = bytes.substr(0, window_);
      received.append(part);
      window_ -= part.size();
      bytes.remove_prefix(part.size());
    }
    co_return !gone_;
  }
  awaitable<void> wait() { (void)co_await changed_.async_wait(boost::asio::as_tuple(use_awaitable)); }
  void notify() { changed_.cancel(); }
  void begin(const http::ResponseHead& head) {
    if (begun_) broken("a second reply was begun");
    begun_ = true;
    status = head.status;
    for (const http::Header& field : head.headers) {
      for (const char* own : {"content-length", "connection", "transfer-encoding", "date"})
        if (http::same_token(field.name, own)) broken("a header of the transport's own");
      headers.emplace_back(field.name, field.value);
    }
  }
  void broken(const char* rule) {
    if (misuse.empty()) misuse = rule;
  }

  boost::asio::io_context& io_;
  const std::string method_, target_;
  http::Request request_;
  std::deque<std::pair<std::string, std::string>> texts_;  // a deque: views into it stay valid
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>,
                                    Executor>
      changed_;
  boost::asio::cancellation_signal cancel_;
  std::optional<std::uint64_t> announced_, left_;
  std::string incoming_, taken_;
  std::size_t window_ = 0;
  bool body_ended_ = false, gone_ = false, begun_ = false, streaming_ = false, writing_ = false;
};

/// Streams of one peer, handled side by side on one thread. Nothing moves but in settle().
class MemoryTransport {
 public:
  explicit MemoryTransport(http::Handler& handler) : handler_(handler) {}
  ~MemoryTransport() {
    for (const auto& stream : streams_) stream->reset();
    test::settle(io_);
  }

  /// Prepares a request; begin() hands it to the handler.
  MemoryStream& open(std::string method, std::string target) {
    streams_.push_back(std::make_unique<MemoryStream>(io_, std::move(method), std::move(target)));
    return *streams_.back();
  }
  void begin(MemoryStream& stream) {
    boost::asio::co_spawn(
        io_.get_executor(), serve(handler_, stream),
        boost::asio::bind_cancellation_slot(stream.cancel_.slot(), [&stream](std::exception_ptr failure) {
          stream.handled = true;
          stream.failure = failure;
        }));
  }
  /// Runs what can go on.
  void settle() { test::settle(io_); }
  /// The whole of one request at once, with a window for any reply.
  MemoryStream& exchange(MemoryStream& stream, std::string_view body) {
    stream.announce(body.size());
    stream.feed(body);
    stream.end_body();
    stream.grant(std::size_t{1} << 40);
    begin(stream);
    settle();
    return stream;
  }
  boost::asio::io_context& io() noexcept { return io_; }

 private:
  static awaitable<void> serve(http::Handler& handler, MemoryStream& stream) {
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    co_await handler.handle(stream.request_, stream);
  }

  boost::asio::io_context io_{1};
  http::Handler& handler_;
  std::vector<std::unique_ptr<MemoryStream>> streams_;
};

/// A body on its way to a stream in pieces.
struct Upload {
  MemoryStream* stream;
  std::string body;
  std::size_t sent = 0;
};

/// Moves all uploads and replies on in small random steps, interleaved, until every handler has returned; false when
/// they come to a standstill.
inline bool interleave(MemoryTransport& transport, std::vector<Upload>& uploads, std::uint32_t seed,
                       std::size_t step_max = 7'000) {
  std::mt19937 random(seed);
  constexpr int kStepsMax = 200'000;
  for (int step = 0; step < kStepsMax; ++step) {
    transport.settle();
    if (std::all_of(uploads.begin(), uploads.end(), [](const Upload& u) { return u.stream->handled; })) return true;
    Upload& one = uploads[random() % uploads.size()];
    const std::size_t size = 1 + random() % step_max;
    if (random() % 2) {
      one.stream->grant(size);
    } else if (one.sent < one.body.size()) {
      one.stream->feed(std::string_view(one.body).substr(one.sent, size));
      one.sent = std::min(one.body.size(), one.sent + size);
      if (one.sent == one.body.size()) one.stream->end_body();
    }
  }
  return false;
}

}  // namespace millrace::test
