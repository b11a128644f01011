#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/http.hpp"

namespace millrace::test {

/// A reply as it came over the wire, chunks put together.
struct WireReply {
  int status = 0;
  std::string protocol;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  bool complete = false;  ///< false: the connection ended before the reply did

  std::string header(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (http::same_token(key, name)) return value;
    return "";
  }
  bool has(std::string_view name) const {
    for (const auto& [key, value] : headers)
      if (http::same_token(key, name)) return true;
    return false;
  }
};

/// A small blocking HTTP/1.1 client that sends exactly the bytes it is given.
class Client {
 public:
  /// @param receive_buffer  SO_RCVBUF in bytes, 0: the system's
  explicit Client(std::uint16_t port, int receive_buffer = 0) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receive_buffer) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    const timeval patience{20, 0};  // never waited for when nothing is wrong
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    const int one = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0;
  }
  Client(const Client&) = delete;
  virtual ~Client() { close(); }
  bool connected() const noexcept { return connected_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  /// The server sees a reset.
  void reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

  /// False when the server has closed meanwhile.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = write(bytes);
      if (sent < 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  /// As much as goes without waiting.
  std::size_t send_now(std::string_view bytes) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<std::size_t>(sent);
  }
  /// The server sees the end of what is sent; reading goes on.
  void finish_sending() { ::shutdown(fd_, SHUT_WR); }
  void send_byte_by_byte(std::string_view bytes) {
    for (const char& byte : bytes) send({&byte, 1});
  }

  /// The next reply. `to_head`: without a body whatever its head says.
  WireReply receive(bool to_head = false) {
    WireReply reply;
    std::size_t end;
    while ((end = in_.find("\r\n\r\n")) == std::string::npos)
      if (!fill()) return reply;
    const std::string head = take(end + 4);
    std::size_t at = head.find("\r\n");
    reply.protocol = head.substr(0, 8);
    reply.status = std::atoi(head.c_str() + 9);
    for (at += 2; at < head.size() - 2;) {
      const std::size_t line_end = head.find("\r\n", at);
      const std::size_t colon = head.find(": ", at);
      reply.headers.emplace_back(head.substr(at, colon - at), head.substr(colon + 2, line_end - colon - 2));
      at = line_end + 2;
    }
    if (to_head || reply.status < 200 || reply.status == 204 || reply.status == 304) {
      reply.complete = true;
    } else if (reply.has("Content-Length")) {
      const std::size_t size = std::strtoul(reply.header("Content-Length").c_str(), nullptr, 10);
      while (in_.size() < size && fill()) {
      }
      reply.complete = in_.size() >= size;
      reply.body = take(std::min(size, in_.size()));
    } else if (reply.header("Transfer-Encoding") == "chunked") {
      receive_chunks(reply);
    } else {
      while (fill()) {
      }
      reply.complete = clean_end_;
      reply.body = take(in_.size());
    }
    return reply;
  }
  WireReply request(std::string_view bytes, bool to_head = false) {
    send(bytes);
    return receive(to_head);
  }
  /// Nothing more comes, and the connection ends (reset or not).
  bool ended() {
    while (fill()) {
    }
    return in_.empty() && !timed_out_;
  }
  bool ended_cleanly() { return ended() && clean_end_; }
  /// Reads at least `bytes` of whatever comes and forgets them.
  bool skip(std::size_t bytes) {
    while (in_.size() < bytes)
      if (!fill()) return false;
    take(bytes);
    return true;
  }
  int descriptor() const noexcept { return fd_; }

  /// As recv() and send().
  virtual ssize_t read(char* out, std::size_t size) { return ::recv(fd_, out, size, 0); }
  virtual ssize_t write(std::string_view bytes) { return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }

 private:
  bool fill() {
    char buffer[65536];
    const ssize_t got = read(buffer, sizeof buffer);
    if (got > 0) {
      in_.append(buffer, static_cast<std::size_t>(got));
      return true;
    }
    timed_out_ = got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    // Only the first answer tells: after a reset has been reported, the next read sees a plain end.
    if (!std::exchange(over_, true)) clean_end_ = got == 0;
    return false;
  }
  std::string take(std::size_t bytes) {
    std::string taken = in_.substr(0, bytes);
    in_.erase(0, bytes);
    return taken;
  }
  void receive_chunks(WireReply& reply) {
    for (;;) {
      std::size_t end;
      while ((end = in_.find("\r\n")) == std::string::npos)
        if (!fill()) return;
      const std::size_t size = std::strtoul(take(end + 2).c_str(), nullptr, 16);
      while (in_.size() < size + 2)
        if (!fill()) return;
      reply.body += take(size);
      take(2);
      if (size == 0) {
        reply.complete = true;
        return;
      }
    }
  }

  int fd_;
  std::string in_;
  bool connected_ = false, over_ = false, clean_end_ = false, timed_out_ = false;
};

}  // namespace millrace::test
