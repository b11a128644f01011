#pragma once
#include <sys/uio.h>

#include <boost/system/error_code.hpp>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "millrace/net/tls.hpp"
#include "net/block_pool.hpp"

struct bio_st;
struct ssl_st;

namespace millrace::net {

class Core;
struct TlsHooks;

/// Where the connections of a core make records ready, each done with it before the next one's turn.
struct TlsScratch {
  static constexpr std::size_t kRecordBytes = 16 * 1024;  // of plaintext, the most that one record carries
  static constexpr std::size_t kRecordExcess = 512;       // what a record is longer than its plaintext, and more
  static constexpr std::size_t kRecordsAtOnce = 3;        // in one call of the system
  static constexpr std::size_t kWireBytes = kRecordsAtOnce * (kRecordBytes + kRecordExcess);
  char plain[kRecordBytes];
  char wire[kWireBytes + 8 * 1024];  // and what answers the peer's own messages
};

/// The TLS of one connection, over a socket that never blocks. OpenSSL does the protocol; reading from and writing to
/// the socket is done here, so that one call reads all that has come, one sends several records, and an idle connection
/// has no buffer of its own. (Boost.Asio's stream keeps 34 KiB for as long as it lives.) On the core's thread.
class TlsStream {
 public:
  using ErrorCode = boost::system::error_code;
  enum class Step { done, wants_read, wants_write, failed };

  /// What a connection holds for its TLS while it is idle; and what more a handshake may come to: OpenSSL makes room
  /// for a hello as long as the peer says it will be, up to 128 KiB, and for a record.
  static constexpr std::size_t kBytes = 24 * 1024, kHandshakeBytes = 148 * 1024;

  /// @param first  what was read of the connection so far: [begin, end) of it
  TlsStream(Core& core, const Tls& tls, int socket, BlockPool::Lent first, std::size_t begin, std::size_t end);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;

  /// A step further, until it is done or has failed; failed: the peer was told why, as far as that goes at once.
  Step handshake();
  /// Whether it failed by what the peer said, not by the peer's going.
  bool broken() const noexcept { return failed_ && !eof_ && socket_error_ != ECONNRESET; }
  /// Why the handshake, or what followed it, failed; for the log.
  const std::string& failure() const noexcept { return failure_; }

  /// As Transport's. The end that the peer announces is eof; one that it does not (truncation) is connection_reset,
  /// since anybody on the way can bring it about. After a failure what comes is raw, to be thrown away.
  std::size_t read_now(char* out, std::size_t size, ErrorCode& error) noexcept;
  /// As Transport's. Bytes count as written when the socket has taken the records that hold them: after fewer than
  /// all, the next call begins with those that follow.
  std::size_t write_now(std::span<const iovec> parts, ErrorCode& error) noexcept;
  /// Whether something can be read that is no longer in the socket.
  bool has_unread() const noexcept;
  /// The socket was waited for: there may be something in it.
  void socket_is_ready() noexcept { drained_ = false; }
  /// close_notify, if it goes at once and does not stand for the end of what was not sent.
  void say_goodbye() noexcept;
  /// Nothing is said, read or written any more: the descriptor may soon be another's.
  void socket_is_closed() noexcept;

 private:
  friend struct TlsHooks;
  int take(char* out, int size) noexcept;
  int give(const char* bytes, int size) noexcept;
  void count_message() noexcept;
  bool flush() noexcept;
  bool flush_rest() noexcept;
  void fail() noexcept;

  Core& core_;
  TlsScratch& scratch_;
  int socket_;
  ssl_st* ssl_ = nullptr;
  bio_st* bio_ = nullptr;  // ssl_'s
  BlockPool::Lent first_;
  std::size_t first_begin_, first_end_;
  std::size_t wire_size_ = 0;  // of scratch_.wire, within one call
  BlockPool::Lent rest_;       // records that the socket did not take
  std::size_t rest_begin_ = 0, rest_end_ = 0;
  std::size_t held_ = 0;  // bytes of the caller that are in them
  std::uint64_t read_ = 0, messages_ = 0;
  std::string failure_;
  int socket_error_ = 0;
  bool established_ = false;
  bool drained_ = false;  // the last read took all that the socket had
  bool more_ = false;     // the last read stopped before OpenSSL had nothing more
  bool eof_ = false;
  bool failed_ = false;
  bool said_ = false;  // close_notify
};

}  // namespace millrace::net
