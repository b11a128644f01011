#include "net/tls_stream.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "net/core.hpp"

namespace millrace::net {

namespace {

/// Records of a peer that carry nothing of HTTP: changes of keys, warnings, attempts to negotiate again. So many it may
/// send, and one more with each MiB.
constexpr std::uint64_t kMessagesMax = 32;
constexpr std::uint64_t kBytesAMessage = 1u << 20;

const TlsStream::ErrorCode kBroken = boost::asio::error::connection_reset;

}  // namespace

/// What OpenSSL calls.
struct TlsHooks {
  static TlsStream& of(BIO* bio) noexcept { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

  static int read(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    const int got = of(bio).take(out, size);
    if (got < 0 && of(bio).socket_error_ == 0) BIO_set_retry_read(bio);
    return got;
  }
  static int write(BIO* bio, const char* bytes, int size) {
    BIO_clear_retry_flags(bio);
    return of(bio).give(bytes, size);
  }
  static long control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    return command == BIO_CTRL_EOF && of(bio).eof_ ? 1 : 0;
  }
  static void message(int incoming_is_0, int, int type, const void* bytes, std::size_t size, SSL* ssl, void* stream) {
    if (incoming_is_0 != 0 || size == 0) return;
    // In TLS 1.3 every record looks like one of data from outside.
    const bool told =
        type == SSL3_RT_INNER_CONTENT_TYPE || (type == SSL3_RT_HEADER && SSL_version(ssl) < TLS1_3_VERSION);
    if (told && *static_cast<const unsigned char*>(bytes) != SSL3_RT_APPLICATION_DATA)
      static_cast<TlsStream*>(stream)->count_message();
  }

  static const BIO_METHOD* method() {
    static BIO_METHOD* const one = [] {
      BIO_METHOD* m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "connection");
      BIO_meth_set_read(m, read);
      BIO_meth_set_write(m, write);
      BIO_meth_set_ctrl(m, control);
      return m;
    }();
    return one;
  }
};

TlsStream::TlsStream(Core& core, const Tls& tls, int socket, BlockPool::Lent first, std::size_t begin, std::size_t end)
    : core_(core),
      scratch_(core.tls_scratch()),
      socket_(socket),
      first_(std::move(first)),
      first_begin_(begin),
      first_end_(end) {
  const Tls::Context context = tls.context();
  ssl_ = SSL_new(context.get());
  bio_ = ssl_ ? BIO_new(TlsHooks::method()) : nullptr;
  if (!bio_) {
    SSL_free(ssl_);
    throw std::bad_alloc();
  }
  BIO_set_data(bio_, this);
  BIO_set_init(bio_, 1);
  SSL_set_bio(ssl_, bio_, bio_);
  SSL_set_accept_state(ssl_);
}

TlsStream::~TlsStream() {
  say_goodbye();
  SSL_free(ssl_);
}

int TlsStream::take(char* out, int size) noexcept {
  if (first_) {
    const std::size_t got = std::min(first_end_ - first_begin_, static_cast<std::size_t>(size));
    std::memcpy(out, first_.data() + first_begin_, got);
    first_begin_ += got;
    if (first_begin_ == first_end_) first_.give_back();
    if (got > 0) return static_cast<int>(got);
  }
  if (messages_ > kMessagesMax + read_ / kBytesAMessage) {
    socket_error_ = EPROTO;
    return -1;
  }
  if (std::exchange(drained_, false)) return -1;
  ssize_t got;
  do got = ::recv(socket_, out, static_cast<std::size_t>(size), MSG_DONTWAIT);
  while (got < 0 && errno == EINTR);
  eof_ = got == 0;
  drained_ = got > 0 && got < size;
  if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK) socket_error_ = errno;
  return static_cast<int>(got);
}

int TlsStream::give(const char* bytes, int signed_size) noexcept {
  const auto size = static_cast<std::size_t>(signed_size);
  if (rest_end_ == 0 && size > sizeof scratch_.wire - wire_size_ && !flush()) return -1;
  if (rest_end_ > 0) {
    // A peer that does not read may not make the server say more and more.
    if (size > rest_.capacity() - rest_end_) return -1;
    std::memcpy(rest_.data() + rest_end_, bytes, size);
    rest_end_ += size;
  } else {
    if (size > sizeof scratch_.wire - wire_size_) return -1;
    std::memcpy(scratch_.wire + wire_size_, bytes, size);
    wire_size_ += size;
  }
  return signed_size;
}

void TlsStream::count_message() noexcept { ++messages_; }

/// Sends what was made ready; the socket may leave a rest. False: nobody takes it any more.
bool TlsStream::flush() noexcept {
  const std::size_t size = std::exchange(wire_size_, 0);
  std::size_t sent = 0;
  while (sent < size) {
    const ssize_t now = ::send(socket_, scratch_.wire + sent, size - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (now >= 0) {
      sent += static_cast<std::size_t>(now);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      socket_error_ = errno;
      return false;
    }
  }
  if (sent == size) return true;
  rest_ = core_.read_buffers().take(Core::kReadBufferBytes);
  if (!rest_) {
    socket_error_ = ENOMEM;
    return false;
  }
  static_assert(sizeof TlsScratch::wire <= Core::kReadBufferBytes);
  rest_begin_ = 0;
  rest_end_ = size - sent;
  std::memcpy(rest_.data(), scratch_.wire + sent, rest_end_);
  return true;
}

bool TlsStream::flush_rest() noexcept {
  while (rest_begin_ < rest_end_) {
    const ssize_t now =
        ::send(socket_, rest_.data() + rest_begin_, rest_end_ - rest_begin_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (now >= 0) {
      rest_begin_ += static_cast<std::size_t>(now);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return true;
    } else if (errno != EINTR) {
      socket_error_ = errno;
      return false;
    }
  }
  rest_.give_back();
  rest_begin_ = rest_end_ = 0;
  return true;
}

/// What OpenSSL has found wrong is the end of it; the alert that it made goes out, if there is room.
void TlsStream::fail() noexcept {
  if (failed_) return;
  if (messages_ > kMessagesMax + read_ / kBytesAMessage)
    failure_ = "too many messages that are not of HTTP";
  else if (socket_error_ != 0)
    failure_ = std::strerror(socket_error_);
  else if (const char* reason = ERR_reason_error_string(ERR_peek_last_error()))
    failure_ = reason;
  else
    failure_ = "broken off";
  ERR_clear_error();
  if (socket_error_ == 0 || socket_error_ == EPROTO) (void)flush();
  wire_size_ = 0;
  failed_ = said_ = true;
  established_ = false;
  first_.give_back();
}

TlsStream::Step TlsStream::handshake() {
  if (failed_) return Step::failed;
  if (!flush_rest()) {
    fail();
    return Step::failed;
  }
  if (rest_end_ > 0) return Step::wants_write;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_);
  if (result != 1 && SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) {
    fail();
    return Step::failed;
  }
  if (!flush()) {
    fail();
    return Step::failed;
  }
  if (result == 1) {
    established_ = more_ = true;
    SSL_set_msg_callback(ssl_, TlsHooks::message);
    SSL_set_msg_callback_arg(ssl_, this);
    return Step::done;
  }
  return rest_end_ > 0 ? Step::wants_write : Step::wants_read;
}

std::size_t TlsStream::read_now(char* out, std::size_t size, ErrorCode& error) noexcept {
  error = {};
  if (failed_) {
    const ssize_t got = ::recv(socket_, out, size, MSG_DONTWAIT);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) error = kBroken;
    return 0;
  }
  std::size_t got = 0;
  while (got < size) {
    std::size_t now = 0;
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_, out + got, size - got, &now);
    if (result == 1) {
      got += now;
      read_ += now;
      more_ = true;
      // Another look would only find out what the last call of the system has said.
      if (drained_ && SSL_has_pending(ssl_) == 0) break;
      continue;
    }
    const int why = SSL_get_error(ssl_, result);
    if (why == SSL_ERROR_WANT_READ) {
      more_ = false;
    } else if (why == SSL_ERROR_ZERO_RETURN) {
      more_ = got > 0;
      if (got == 0) error = boost::asio::error::eof;
    } else {
      fail();
      if (got == 0) error = kBroken;
      return got;
    }
    break;
  }
  if (wire_size_ > 0 && !flush()) fail();
  return got;
}

std::size_t TlsStream::write_now(std::span<const iovec> parts, ErrorCode& error) noexcept {
  error = {};
  if (!established_ || !flush_rest()) {
    fail();
    error = kBroken;
    return 0;
  }
  if (rest_end_ > 0) return 0;
  std::size_t at = 0, offset = 0;
  // Forward by up to `bytes`, to where something is.
  const auto advance = [&](std::size_t bytes) {
    offset += bytes;
    while (at < parts.size() && offset >= parts[at].iov_len) offset -= parts[at++].iov_len;
  };
  std::size_t written = std::exchange(held_, 0);
  advance(written);
  while (at < parts.size()) {
    std::size_t batch = 0;
    for (std::size_t records = 0; records < TlsScratch::kRecordsAtOnce && at < parts.size(); ++records) {
      const char* plain = static_cast<const char*>(parts[at].iov_base) + offset;
      std::size_t size = std::min(parts[at].iov_len - offset, TlsScratch::kRecordBytes);
      if (size < TlsScratch::kRecordBytes && at + 1 < parts.size()) {
        // Small parts share a record.
        size = 0;
        while (at < parts.size() && size < TlsScratch::kRecordBytes) {
          const std::size_t piece = std::min(parts[at].iov_len - offset, TlsScratch::kRecordBytes - size);
          std::memcpy(scratch_.plain + size, static_cast<const char*>(parts[at].iov_base) + offset, piece);
          size += piece;
          advance(piece);
        }
        plain = scratch_.plain;
      } else {
        advance(size);
      }
      std::size_t taken = 0;
      ERR_clear_error();
      if (SSL_write_ex(ssl_, plain, size, &taken) != 1 || taken != size) {
        fail();
        error = kBroken;
        return 0;
      }
      batch += size;
    }
    if (!flush()) {
      fail();
      error = kBroken;
      return 0;
    }
    if (rest_end_ > 0) {
      held_ = batch;
      break;
    }
    written += batch;
  }
  return written;
}

bool TlsStream::has_unread() const noexcept { return !failed_ && more_ && SSL_has_pending(ssl_) == 1; }

void TlsStream::say_goodbye() noexcept {
  if (!established_ || rest_end_ > 0 || std::exchange(said_, true)) return;
  ERR_clear_error();
  (void)SSL_shutdown(ssl_);
  (void)flush();
  ERR_clear_error();
}

void TlsStream::socket_is_closed() noexcept {
  socket_ = -1;
  said_ = true;
}

}  // namespace millrace::net
