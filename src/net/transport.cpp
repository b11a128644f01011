#include "net/transport.hpp"

#include <sys/socket.h>

#include <cerrno>

namespace millrace::net {

bool Transport::has_unread() const noexcept {
  ErrorCode ignored;
  return socket_.available(ignored) > 0;
}

std::size_t Transport::write_now(std::span<const iovec> parts, ErrorCode& error) noexcept {
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
    error = errno == EAGAIN || errno == EWOULDBLOCK ? ErrorCode{} : ErrorCode{errno, boost::system::system_category()};
    return 0;
  }
}

void Transport::cancel() noexcept {
  ErrorCode ignored;
  socket_.cancel(ignored);
}

void Transport::shutdown_send() noexcept {
  ErrorCode ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

void Transport::close() noexcept {
  ErrorCode ignored;
  socket_.close(ignored);
}

void Transport::reset() noexcept {
  ErrorCode ignored;
  socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
}

}  // namespace millrace::net
