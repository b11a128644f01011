#include "millrace/net/server.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <charconv>
#include <cstring>

#include "millrace/base/log.hpp"
#include "net/connection.hpp"
#include "net/core.hpp"
#include "net/tuning.hpp"

namespace millrace::net {

namespace {

namespace asio = boost::asio;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;
using Endpoint = asio::ip::tcp::endpoint;
using Timer =
    asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor>;
using ErrorCode = boost::system::error_code;

/// How long accepting rests when the machine is out of file descriptors, or the listener full.
constexpr std::chrono::milliseconds kAcceptRest{100};
constexpr std::chrono::minutes kRestLogInterval{1};
constexpr int kAcceptsAtOnce = 64;  // then other work of the core gets its turn
constexpr std::size_t kPlacesAtOnce = 64;
/// How often a stopping server looks whether its last connection has gone.
constexpr std::chrono::milliseconds kStopPoll{5};
constexpr std::chrono::milliseconds kHardStopTime{1000};

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& o) noexcept : fd_(o.release()) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }
  int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct Peer {
  int family = AF_UNSPEC;
  std::string address;
};

Peer peer_of(const sockaddr_storage& from) {
  char text[INET6_ADDRSTRLEN] = "";
  Peer peer;
  peer.family = from.ss_family;
  if (from.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(from).sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&v6))
      ::inet_ntop(AF_INET, &v6.s6_addr[12], text, sizeof text);
    else
      ::inet_ntop(AF_INET6, &v6, text, sizeof text);
  } else {
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in&>(from).sin_addr, text, sizeof text);
  }
  peer.address = text;
  return peer;
}

std::string text_of(const Endpoint& endpoint) {
  const std::string address = endpoint.address().to_string();
  const std::string port = std::to_string(endpoint.port());
  return endpoint.address().is_v6() ? "[" + address + "]:" + port : address + ":" + port;
}

/// An address as configured, taken apart.
struct HostPort {
  std::string host;
  std::uint16_t port;
};

std::optional<HostPort> split_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  if (host.starts_with('[') && host.ends_with(']'))
    host = host.substr(1, host.size() - 2);
  else if (host.find(':') != std::string_view::npos)
    return std::nullopt;
  HostPort result{std::string(host), 0};
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), result.port);
  if (host.empty() || parsed.ec != std::errc{} || parsed.ptr != port.data() + port.size()) return std::nullopt;
  return result;
}

std::vector<asio::ip::address> resolve(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  std::vector<asio::ip::address> addresses;
  if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return addresses;
  for (const addrinfo* one = found; one; one = one->ai_next) {
    asio::ip::address address;
    if (one->ai_family == AF_INET) {
      address = asio::ip::address_v4(ntohl(reinterpret_cast<sockaddr_in*>(one->ai_addr)->sin_addr.s_addr));
    } else if (one->ai_family == AF_INET6) {
      const auto* v6 = reinterpret_cast<sockaddr_in6*>(one->ai_addr);
      asio::ip::address_v6::bytes_type bytes;
      std::memcpy(bytes.data(), &v6->sin6_addr, bytes.size());
      address = asio::ip::address_v6(bytes, v6->sin6_scope_id);
    } else {
      continue;
    }
    if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  return addresses;
}

bool missing_family(const ErrorCode& error) {
  return error == asio::error::address_family_not_supported || error.value() == EADDRNOTAVAIL ||
         error.value() == EPROTONOSUPPORT;
}

/// Accepting comes back to life by itself: these are the machine's or the listener's fullness, not the socket's end.
bool out_of_resources(int error) { return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM; }

/// A listening socket and where its connections go.
struct Listening {
  std::shared_ptr<Served> served;
  Acceptor acceptor;
  Timer rest;
  std::string address;
};

class HttpServer final : public Server {
 public:
  HttpServer(Cores& cores, MemoryBudget& budget, Tuning tuning)
      : cores_(cores), tuning_(std::make_shared<Tuning>(std::move(tuning))) {
    for (std::size_t i = 0; i < cores.size(); ++i) {
      // The tuning lives as long as the cores' state, which the last connection may outlive this object with.
      cores_state_.push_back(std::shared_ptr<Core>(new Core(cores.executor(i), budget, *tuning_),
                                                   [tuning = tuning_](Core* core) { delete core; }));
    }
  }

  Result<std::vector<std::string>> listen(ListenerOptions options, http::Handler& handler) override;
  void start() override;
  awaitable<void> stop(std::chrono::steady_clock::time_point deadline) override;
  Stats stats(http::Listener kind) const noexcept override;

 private:
  Result<Acceptor> bind(const Endpoint& endpoint);
  static awaitable<void> accept(std::shared_ptr<Listening> listening, std::vector<std::shared_ptr<Core>> cores);
  static void hand_over(const std::shared_ptr<Core>& core, std::shared_ptr<Served> served, Descriptor descriptor,
                        Peer peer);
  std::size_t load() const noexcept;

  Cores& cores_;
  std::shared_ptr<Tuning> tuning_;
  std::vector<std::shared_ptr<Core>> cores_state_;
  std::vector<std::shared_ptr<Listening>> listening_;
};

Result<Acceptor> HttpServer::bind(const Endpoint& endpoint) {
  Acceptor acceptor(cores_.executor(0));
  ErrorCode error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && endpoint.address().is_v6() && !endpoint.address().is_unspecified())
    acceptor.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor.non_blocking(true, error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(SOMAXCONN, error);
  if (!error) return acceptor;
  const std::string what = text_of(endpoint);
  if (error == asio::error::address_in_use) return Error{Errc::in_use, what + " is already in use by another program"};
  if (missing_family(error))
    return Error{Errc::address, "this machine has no address " + endpoint.address().to_string()};
  return Error{Errc::failed, "cannot listen on " + what + ": " + error.message()};
}

Result<std::vector<std::string>> HttpServer::listen(ListenerOptions options, http::Handler& handler) {
  const auto where = split_address(options.address);
  if (!where) return Error{Errc::address, "'" + options.address + "' is not an address: host:port or [ipv6]:port is"};
  const bool localhost = http::same_token(where->host, "localhost");
  std::vector<asio::ip::address> addresses;
  ErrorCode not_literal;
  if (localhost)
    addresses = {asio::ip::address_v4::loopback(), asio::ip::address_v6::loopback()};
  else if (const auto literal = asio::ip::make_address(where->host, not_literal); !not_literal)
    addresses = {literal};
  else
    addresses = resolve(where->host);
  if (addresses.empty())
    return Error{Errc::address,
                 "'" + where->host + "' in '" + options.address + "' is not an address and does not resolve"};

  // A head and room for a body must fit in one read buffer.
  options.head_bytes_max = std::min(options.head_bytes_max, Core::kReadBufferBytes * 3 / 4);
  const auto served = std::make_shared<Served>(std::move(options), handler);
  constexpr int kPortAttempts = 16;  // the port that one address was given may be taken on the other
  for (int attempt = 1;; ++attempt) {
    std::vector<Acceptor> acceptors;
    std::uint16_t port = where->port;
    std::optional<Error> failed;
    for (const asio::ip::address& address : addresses) {
      auto acceptor = bind(Endpoint(address, port));
      if (!acceptor) {
        if (localhost && !acceptors.empty() && acceptor.error().code == Errc::address) continue;
        failed = acceptor.error();
        break;
      }
      port = acceptor->local_endpoint().port();
      acceptors.push_back(std::move(*acceptor));
    }
    if (failed && failed->code == Errc::in_use && where->port == 0 && attempt < kPortAttempts) continue;
    if (failed) return *failed;
    std::vector<std::string> bound;
    for (Acceptor& acceptor : acceptors) {
      bound.push_back(text_of(acceptor.local_endpoint()));
      listening_.push_back(
          std::make_shared<Listening>(served, std::move(acceptor), Timer(cores_.executor(0)), bound.back()));
    }
    return bound;
  }
}

void HttpServer::start() {
  for (const auto& listening : listening_) {
    asio::co_spawn(cores_.executor(0), accept(listening, cores_state_), [listening](std::exception_ptr failed) {
      if (!failed) return;
      try {
        std::rethrow_exception(failed);
      } catch (const std::exception& e) {
        logging::error("a listener failed", {{"address", listening->address}, {"error", e.what()}});
      }
    });
  }
}

awaitable<void> HttpServer::accept(std::shared_ptr<Listening> listening, std::vector<std::shared_ptr<Core>> cores) {
  Acceptor& acceptor = listening->acceptor;
  const ListenerOptions& options = listening->served->options;
  std::size_t first = 0, places = 1;
  std::optional<std::chrono::steady_clock::time_point> logged;
  while (acceptor.is_open()) {
    const auto [error] = co_await acceptor.async_wait(Acceptor::wait_read, asio::as_tuple(use_awaitable));
    if (error) co_return;
    std::string_view rest_because;
    for (int i = 0; i < kAcceptsAtOnce && acceptor.is_open(); ++i) {
      if (listening->served->open.load() >= options.connections_max) {
        if (i == 0) rest_because = "the listener's limit of connections is reached";
        break;  // behind the first, nobody knows yet whether another is waiting
      }
      sockaddr_storage from{};
      socklen_t from_size = sizeof from;
      const int fd = ::accept4(acceptor.native_handle(), reinterpret_cast<sockaddr*>(&from), &from_size,
                               SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd < 0) {
        const int failed = errno;
        if (failed == EAGAIN || failed == EWOULDBLOCK) places = 1;  // nobody is left waiting
        if (out_of_resources(failed)) rest_because = std::strerror(failed);
        if (failed == EAGAIN || failed == EWOULDBLOCK || !rest_because.empty()) break;
        continue;  // a connection that went before it was accepted
      }
      Descriptor descriptor(fd);
      // The least loaded core; among equals they take turns.
      std::size_t chosen = first % cores.size();
      for (std::size_t k = 1; k < cores.size(); ++k) {
        const std::size_t other = (first + k) % cores.size();
        if (cores[other]->load().load(std::memory_order_relaxed) <
            cores[chosen]->load().load(std::memory_order_relaxed))
          chosen = other;
      }
      first = chosen + 1;
      cores[chosen]->load().fetch_add(1);
      listening->served->open.fetch_add(1);
      hand_over(cores[chosen], listening->served, std::move(descriptor), peer_of(from));
    }
    if (rest_because.empty()) continue;
    const auto now = std::chrono::steady_clock::now();
    if (!logged || now - *logged >= kRestLogInterval) {
      logged = now;
      logging::warn("accepting rests", {{"address", listening->address}, {"reason", rest_because}});
    }
    // Nobody says how many are waiting outside: room is made for one, then for twice as many each time.
    for (std::size_t i = 0; i < cores.size(); ++i) {
      const std::size_t share = places / cores.size() + (i < places % cores.size() ? 1 : 0);
      if (share == 0) break;
      const auto& core = cores[(first + i) % cores.size()];
      asio::post(core->executor(), [core, served = listening->served, share] { core->make_place(*served, share); });
    }
    ++first;
    places = std::min(2 * places, kPlacesAtOnce);
    listening->rest.expires_after(kAcceptRest);
    co_await listening->rest.async_wait(asio::as_tuple(use_awaitable));
  }
}

void HttpServer::hand_over(const std::shared_ptr<Core>& core, std::shared_ptr<Served> served, Descriptor descriptor,
                           Peer peer) {
  asio::post(core->executor(), [core, served = std::move(served), descriptor = std::move(descriptor),
                                peer = std::move(peer)]() mutable {
    Transport::Socket socket(core->executor());
    ErrorCode error;
    socket.assign(peer.family == AF_INET6 ? asio::ip::tcp::v6() : asio::ip::tcp::v4(), descriptor.get(), error);
    if (error || core->stopping()) {
      core->load().fetch_sub(1);
      served->open.fetch_sub(1);
      if (!error) descriptor.release();
      return;
    }
    descriptor.release();
    socket.set_option(asio::ip::tcp::no_delay(true), error);
    auto connection =
        std::make_shared<Connection>(core, std::move(served), Transport(std::move(socket)), std::move(peer.address));
    auto ended = [connection](std::exception_ptr failed) {
      if (!failed) return;
      try {
        std::rethrow_exception(failed);
      } catch (const std::exception& e) {
        logging::error("a connection failed", {{"peer", connection->peer()}, {"error", e.what()}});
      }
    };
    asio::co_spawn(core->executor(), Connection::serve(connection),
                   asio::bind_cancellation_slot(connection->cancel_signal().slot(), std::move(ended)));
  });
}

std::size_t HttpServer::load() const noexcept {
  std::size_t sum = 0;
  for (const auto& core : cores_state_) sum += core->load().load();
  return sum;
}

awaitable<void> HttpServer::stop(std::chrono::steady_clock::time_point deadline) {
  asio::post(cores_.executor(0), [listening = listening_] {
    for (const auto& one : listening) {
      ErrorCode ignored;
      one->acceptor.close(ignored);
      one->rest.cancel();
    }
  });
  for (const auto& core : cores_state_) asio::post(core->executor(), [core] { core->stop_soon(); });
  Timer timer(co_await asio::this_coro::executor);
  while (load() > 0 && std::chrono::steady_clock::now() < deadline) {
    timer.expires_after(kStopPoll);
    co_await timer.async_wait(asio::as_tuple(use_awaitable));
  }
  if (load() == 0) co_return;
  logging::warn("connections ended with requests under way", {{"connections", load()}});
  for (const auto& core : cores_state_) asio::post(core->executor(), [core] { core->stop_hard(); });
  const auto hard_deadline = std::chrono::steady_clock::now() + kHardStopTime;
  while (load() > 0 && std::chrono::steady_clock::now() < hard_deadline) {
    timer.expires_after(kStopPoll);
    co_await timer.async_wait(asio::as_tuple(use_awaitable));
  }
}

Stats HttpServer::stats(http::Listener kind) const noexcept {
  Stats sum;
  for (const auto& core : cores_state_) {
    const Counters& counters = core->counters(kind);
    sum.connections += counters.connections.load(std::memory_order_relaxed);
    sum.accepted += counters.accepted.load(std::memory_order_relaxed);
    sum.requests += counters.requests.load(std::memory_order_relaxed);
    sum.rejected += counters.rejected.load(std::memory_order_relaxed);
    sum.timed_out += counters.timed_out.load(std::memory_order_relaxed);
    sum.cut += counters.cut.load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace

std::unique_ptr<Server> make_server(Cores& cores, MemoryBudget& budget, Tuning tuning) {
  return std::make_unique<HttpServer>(cores, budget, std::move(tuning));
}

std::unique_ptr<Server> make_server(Cores& cores, MemoryBudget& budget) { return make_server(cores, budget, Tuning{}); }

}  // namespace millrace::net
