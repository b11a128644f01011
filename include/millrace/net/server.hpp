#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/cores.hpp"
#include "millrace/base/http.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/result.hpp"

/// Listeners: HTTP/1.1 and HTTP/2, plain and over TLS, told apart by a connection's first bytes. Implements
/// http::ResponseWriter and http::Body.
namespace millrace::net {

class Tls;

enum class Errc {
  address = 1,  ///< not an address, or a name that does not resolve
  in_use,       ///< somebody listens there
  failed,
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

struct ListenerOptions {
  /// `localhost:4566` means 127.0.0.1 and ::1 (::1 may be missing); a literal address binds only itself; port 0 is any
  /// free one, the same for both addresses.
  std::string address;
  http::Listener kind = http::Listener::aws;
  std::size_t head_bytes_max = 32 * 1024;
  std::chrono::milliseconds idle_timeout = std::chrono::minutes{5};      ///< between requests
  std::chrono::milliseconds request_timeout = std::chrono::seconds{60};  ///< from a request's first byte to its last
  std::chrono::milliseconds write_timeout = std::chrono::seconds{60};    ///< without progress of a reply
  /// Bytes a second, above 0, that a reader must take once it has kept a reply waiting for write_timeout in all.
  std::uint64_t write_rate_min = 16 * 1024;
  /// Beyond it, those that were idle longest end.
  std::size_t connections_max = 60'000;
  /// For connections that begin with a handshake; null: what they begin with is no request.
  std::shared_ptr<Tls> tls{};
};

struct Stats {
  std::uint64_t connections = 0, accepted = 0, requests = 0;
  std::uint64_t rejected = 0;   ///< requests and handshakes that are none, and connections ended for their frames
  std::uint64_t timed_out = 0;  ///< connections, and single requests of HTTP/2, whose peer let a deadline pass
  std::uint64_t cut = 0;        ///< connections ended to make room for others
};

/// Real sockets under the handlers. Network deadlines use the steady clock and one coarse sweep a core.
class Server {
 public:
  virtual ~Server() = default;
  /// Binds now; accepts after start(). Gives the addresses bound, "127.0.0.1:4566".
  virtual Result<std::vector<std::string>> listen(ListenerOptions options, http::Handler& handler) = 0;
  virtual void start() = 0;
  /// Stops accepting, ends idle connections, lets requests finish until `deadline`, then ends the rest.
  virtual awaitable<void> stop(std::chrono::steady_clock::time_point deadline) = 0;
  virtual Stats stats(http::Listener kind) const noexcept = 0;
};

std::unique_ptr<Server> make_server(Cores& cores, MemoryBudget& budget);

}  // namespace millrace::net
