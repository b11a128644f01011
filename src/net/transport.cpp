#include "net/transport.hpp"

#include <sys/socket.h>

#include <boost/asio/error.hpp>
#include <cerrno>

namespace millrace::net {

namespace {

/// What is there is read so often without a wait; then the core's other connections have their turn, as they have at
/// each read of Asio's.
constexpr int kReadsAtOnce = 16;

Transport::ErrorCode error_of(int number) noexcept {
  if (number == EAGAIN || number == EWOULDBLOCK) return {};
  return {number, boost::system::system_category()};
}

}  // namespace

awaitable<void> Transport::take_turns() {
  at_once_ = 0;
  co_await boost::asio::post(socket_.get_executor(), use_awaitable);
}

awaitable<std::tuple<Transport::ErrorCode, std::size_t>> Transport::read_some_tls(char* out, std::size_t size) {
  for (;;) {
    ErrorCode error;
    const std::size_t got = tls_->read_now(out, size, error);
    if (got > 0 || error) {
      if (++at_once_ >= kReadsAtOnce) co_await take_turns();
      co_return std::tuple(error, got);
    }
    at_once_ = 0;
    const auto [failed] = co_await socket_.async_wait(Socket::wait_read, boost::asio::as_tuple(use_awaitable));
    if (failed) co_return std::tuple(failed, std::size_t{0});
    tls_->socket_is_ready();
  }
}

awaitable<std::tuple<Transport::ErrorCode>> Transport::readable_tls() {
  if (tls_->has_unread()) {
    if (++at_once_ >= kReadsAtOnce) co_await take_turns();
    co_return std::tuple(ErrorCode{});
  }
  at_once_ = 0;
  const auto ready = co_await socket_.async_wait(Socket::wait_read, boost::asio::as_tuple(use_awaitable));
  tls_->socket_is_ready();
  co_return ready;
}

bool Transport::has_unread() const noexcept {
  if (tls_ && tls_->has_unread()) return true;
  ErrorCode ignored;
  return socket_.available(ignored) > 0;
}

std::size_t Transport::read_now(char* out, std::size_t size, ErrorCode& error) noexcept {
  if (tls_) return tls_->read_now(out, size, error);
  for (;;) {
    const ssize_t got = ::recv(socket_.native_handle(), out, size, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    error = got > 0 ? ErrorCode{} : got == 0 ? ErrorCode{boost::asio::error::eof} : error_of(errno);
    return got > 0 ? static_cast<std::size_t>(got) : 0;
  }
}

std::size_t Transport::write_now(std::span<const iovec> parts, ErrorCode& error) noexcept {
  if (tls_) return tls_->write_now(parts, error);
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(parts.data());
  message.msg_iovlen = parts.size();
  for (;;) {
    const ssize_t sent = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      error = {};
      return static_cast<std::size_t>(sent);
    }
    if (errno == EINTR) continue;
    error = error_of(errno);
    return 0;
  }
}

void Transport::cancel() noexcept {
  ErrorCode ignored;
  socket_.cancel(ignored);
}

void Transport::shutdown_send() noexcept {
  if (tls_) tls_->say_goodbye();
  ErrorCode ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void Transport::close(bool whole) noexcept {
  if (tls_) {
    if (whole) tls_->say_goodbye();
    tls_->socket_is_closed();
  }
  ErrorCode ignored;
  socket_.close(ignored);
}

void Transport::reset() noexcept {
  if (tls_) tls_->socket_is_closed();
  ErrorCode ignored;
  socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
}

}  // namespace millrace::net
