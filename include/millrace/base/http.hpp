#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/bytes.hpp"
#include "millrace/base/result.hpp"

/// The plain HTTP types that services' fronts and the gateway speak. Nothing here or above knows the HTTP version.
namespace millrace::http {

enum class Errc {
  peer_gone = 1,  ///< closed, reset or timed out: stop working for it
  too_large,      ///< the body passes the limit given; nothing more of it is read
  no_memory,      ///< the memory budget refuses the body
  malformed,      ///< the body's framing is broken
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

/// Whether two header names (or other ASCII tokens) are equal without case.
bool same_token(std::string_view a, std::string_view b) noexcept;

struct Header {
  std::string_view name;
  std::string_view value;
};

/// Header fields in the order they came; names keep their letter case, values are without surrounding blanks.
class Headers {
 public:
  void clear() noexcept { fields_.clear(); }
  void add(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }
  /// The first value, or nothing.
  std::optional<std::string_view> find(std::string_view name) const noexcept;
  /// The first value, or an empty text.
  std::string_view get(std::string_view name) const noexcept { return find(name).value_or(std::string_view{}); }
  auto begin() const noexcept { return fields_.begin(); }
  auto end() const noexcept { return fields_.end(); }
  std::size_t size() const noexcept { return fields_.size(); }

 private:
  std::vector<Header> fields_;
};

/// A request's body, not read before the handler asks: the first collect() or pull() answers `Expect: 100-continue`.
/// A handler that replies without asking leaves the rest to the transport (drained within bounds, or the connection
/// ends).
class Body {
 public:
  virtual ~Body() = default;
  /// Bytes announced; nothing when the length is not known in advance.
  virtual std::optional<std::uint64_t> length() const noexcept = 0;
  /// The whole body; the view lives as long as the request. Memory is reserved from the budget before it is read.
  /// @error too_large when more than bytes_max is announced or comes; no_memory; malformed; peer_gone
  virtual awaitable<Result<std::string_view>> collect(std::size_t bytes_max) = 0;
  /// The next piece, valid until the next call; empty at the end.
  virtual awaitable<Result<std::string_view>> pull() = 0;
};

enum class Listener : std::uint8_t { aws, gateway };

/// All views live as long as the request, that is, until the handler has returned.
struct Request {
  std::string_view method;
  std::string_view target;    ///< as sent: path and query, raw
  std::string_view path;      ///< raw, still percent-encoded, at least "/"
  std::string_view query;     ///< raw, without '?'
  std::string_view protocol;  ///< "HTTP/1.1", for access logs and $context.protocol only
  std::string_view peer_address;
  Listener listener = Listener::aws;
  Headers headers;
  Body* body = nullptr;  ///< never null
};

/// Status and headers of a reply. Content-Length, Connection, Date and framing are the transport's own.
struct ResponseHead {
  int status = 200;
  std::span<const Header> headers;
};

/// One reply: either send(), or start(), write()..., finish(). What is passed must live until the call's awaitable is
/// done. When the peer goes, the handler's coroutine is cancelled: the pending call, or the next, gives peer_gone.
class ResponseWriter {
 public:
  virtual ~ResponseWriter() = default;
  /// The whole reply in one gather send.
  virtual awaitable<Result<>> send(const ResponseHead& head, std::span<const Slice> body) = 0;
  /// Begins a streamed reply. With a length, exactly that many bytes must be written; without, the transport frames.
  virtual awaitable<Result<>> start(const ResponseHead& head, std::optional<std::uint64_t> length) = 0;
  /// Returns when the peer has room for more (socket buffer or window): bounded memory comes from awaiting this.
  virtual awaitable<Result<>> write(Slice piece) = 0;
  virtual awaitable<Result<>> finish() = 0;
  /// Ends the connection or stream without a clean end: the peer sees that the reply is incomplete.
  virtual void abort() noexcept = 0;
  /// Whether a reply has been begun.
  virtual bool started() const noexcept = 0;
};

/// What answers requests: one object for a listener, called concurrently from every core. Answers errors itself; an
/// exception that leaves it is a bug (500 if nothing was started, logged with the connection).
class Handler {
 public:
  virtual ~Handler() = default;
  virtual awaitable<void> handle(Request& request, ResponseWriter& writer) = 0;
  /// Whether to answer a request that is not valid HTTP, or whose head passes the limit, and with what. The body text
  /// and headers must be static. Default: 400/431/413 with an empty body.
  struct Rejection {
    int status;
    std::span<const Header> headers;
    std::string_view body;
  };
  virtual Rejection reject(int status) const noexcept { return {status, {}, {}}; }
};

/// The standard reason phrase, or "".
std::string_view reason_phrase(int status) noexcept;

}  // namespace millrace::http
