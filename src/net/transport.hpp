#pragma once
#include <sys/uio.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <span>
#include <tuple>

#include "millrace/base/awaitable.hpp"

namespace millrace::net {

/// One accepted connection's byte stream. Everything above knows only this class, so that sessions are compiled once
/// whatever carries the bytes.
class Transport {
 public:
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Executor>;
  using ErrorCode = boost::system::error_code;

  explicit Transport(Socket socket) : socket_(std::move(socket)) {}

  /// Waits for bytes and reads some; error eof when the peer has finished.
  awaitable<std::tuple<ErrorCode, std::size_t>> read_some(char* out, std::size_t size) {
    return socket_.async_read_some(boost::asio::buffer(out, size), boost::asio::as_tuple(use_awaitable));
  }
  template <class Done>  // void(ErrorCode, std::size_t)
  void read_some(char* out, std::size_t size, Done done) {
    socket_.async_read_some(boost::asio::buffer(out, size), std::move(done));
  }
  awaitable<std::tuple<ErrorCode>> readable() {
    return socket_.async_wait(Socket::wait_read, boost::asio::as_tuple(use_awaitable));
  }
  awaitable<std::tuple<ErrorCode>> writable() {
    return socket_.async_wait(Socket::wait_write, boost::asio::as_tuple(use_awaitable));
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
  void close() noexcept;
  /// close(), and the peer sees a reset instead of a clean end.
  void reset() noexcept;

 private:
  Socket socket_;
};

}  // namespace millrace::net
