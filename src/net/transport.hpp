#pragma once
#include <sys/uio.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <span>
#include <tuple>

#include "millrace/base/awaitable.hpp"
#include "net/tls_stream.hpp"

namespace millrace::net {

/// One accepted connection's byte stream. Everything above knows only this class, so that sessions are compiled once
/// whatever carries the bytes: the socket alone, or TLS over it from start_tls() on.
class Transport {
 public:
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Executor>;
  using ErrorCode = boost::system::error_code;

  explicit Transport(Socket socket) : socket_(std::move(socket)) {}

  /// From now on all bytes go through it. Once.
  void start_tls(std::unique_ptr<TlsStream> tls) noexcept { tls_ = std::move(tls); }
  TlsStream* tls() const noexcept { return tls_.get(); }
  int native_handle() noexcept { return socket_.native_handle(); }

  /// Waits for bytes and reads some; error eof when the peer has finished.
  awaitable<std::tuple<ErrorCode, std::size_t>> read_some(char* out, std::size_t size) {
    if (tls_) return read_some_tls(out, size);
    return socket_.async_read_some(boost::asio::buffer(out, size), boost::asio::as_tuple(use_awaitable));
  }
  template <class Done>  // void(ErrorCode, std::size_t)
  void read_some(char* out, std::size_t size, Done done) {
    if (tls_) return read_some_tls(out, size, std::move(done));
    socket_.async_read_some(boost::asio::buffer(out, size), std::move(done));
  }
  awaitable<std::tuple<ErrorCode>> readable() {
    if (tls_) return readable_tls();
    return socket_.async_wait(Socket::wait_read, boost::asio::as_tuple(use_awaitable));
  }
  awaitable<std::tuple<ErrorCode>> writable() { return ready(Socket::wait_write); }
  /// Waits for the socket, whatever is over it.
  awaitable<std::tuple<ErrorCode>> ready(Socket::wait_type what) {
    return socket_.async_wait(what, boost::asio::as_tuple(use_awaitable));
  }
  template <class Done>  // void(ErrorCode)
  void writable(Done done) {
    socket_.async_wait(Socket::wait_write, std::move(done));
  }
  /// Whether the peer has sent what was not read yet.
  bool has_unread() const noexcept;
  /// Reads what is there; 0 bytes and no error when nothing is, error eof when the peer has finished.
  std::size_t read_now(char* out, std::size_t size, ErrorCode& error) noexcept;
  /// Writes what fits at once; 0 bytes and no error when nothing does.
  std::size_t write_now(std::span<const iovec> parts, ErrorCode& error) noexcept;
  /// What is pending ends with operation_aborted.
  void cancel() noexcept;
  /// Tells the peer that nothing more comes; reading goes on.
  void shutdown_send() noexcept;
  /// At once; what is pending ends with operation_aborted.
  /// @param whole  a peer of TLS is told that this is the end of all there is to say, if that goes at once
  void close(bool whole = true) noexcept;
  /// close(), and the peer sees a reset instead of a clean end.
  void reset() noexcept;

 private:
  awaitable<std::tuple<ErrorCode, std::size_t>> read_some_tls(char* out, std::size_t size);
  awaitable<std::tuple<ErrorCode>> readable_tls();
  template <class Done>
  void read_some_tls(char* out, std::size_t size, Done done) {
    ErrorCode error;
    const std::size_t got = tls_->read_now(out, size, error);
    if (got > 0 || error)
      return boost::asio::post(socket_.get_executor(), [done = std::move(done), error, got] { done(error, got); });
    socket_.async_wait(Socket::wait_read, [this, out, size, done = std::move(done)](ErrorCode failed) mutable {
      if (failed) return done(failed, 0);
      tls_->socket_is_ready();
      read_some_tls(out, size, std::move(done));
    });
  }

  awaitable<void> take_turns();

  Socket socket_;
  std::unique_ptr<TlsStream> tls_;  // goes before the socket
  int at_once_ = 0;                 // reads over TLS since the socket was waited for
};

}  // namespace millrace::net
