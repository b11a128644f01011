#pragma once
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "millrace/base/cores.hpp"
#include "net/tuning.hpp"
#include "support/client.hpp"
#include "support/run.hpp"

namespace millrace::net {

using Handle = std::function<awaitable<void>(http::Request&, http::ResponseWriter&)>;

class FunctionHandler final : public http::Handler {
 public:
  explicit FunctionHandler(Handle handle) : handle_(std::move(handle)) {}
  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    return handle_(request, writer);
  }

 private:
  Handle handle_;
};

inline awaitable<void> answer(http::ResponseWriter& writer, int status, std::string body) {
  const http::ResponseHead head{status, {}};
  const Slice slice{body, {}};
  (void)co_await writer.send(head, std::span(&slice, 1));
}

/// Replies with what it understood: "METHOD path?query\n" and the body; 413, 503 or 400 when the body does not come.
inline awaitable<void> echo(http::Request& request, http::ResponseWriter& writer) {
  const auto body = co_await request.body->collect(4u << 20);
  if (!body) {
    const http::Errc code = body.error().code;
    const int status = code == http::Errc::too_large ? 413 : code == http::Errc::no_memory ? 503 : 400;
    co_await answer(writer, status, "");
    co_return;
  }
  std::string text(request.method);
  text.append(" ").append(request.path).append("?").append(request.query).append("\n").append(*body);
  co_await answer(writer, 200, std::move(text));
}

/// Waits, within patience, for what other threads bring about.
template <class Condition>
bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

/// A server on real sockets whose deadlines move only when a test says so.
class Site {
 public:
  explicit Site(Handle handle, ListenerOptions options = {}, std::size_t cores_count = 1,
                std::size_t memory = 256u << 20, std::size_t kept_from_chunks = 0)
      : budget(memory, kept_from_chunks), cores(cores_count), handler(std::move(handle)) {
    Tuning tuning;
    tuning.now = [this] {
      ++looked_;
      return SteadyTime{} + std::chrono::milliseconds{now_.load()};
    };
    tuning.sweep_interval = std::chrono::milliseconds{1};
    server = make_server(cores, budget, std::move(tuning));
    if (options.address.empty()) options.address = "127.0.0.1:0";
    const auto bound = server->listen(std::move(options), handler);
    if (!bound) throw std::runtime_error(bound.error().detail);
    port = static_cast<std::uint16_t>(std::stoi(bound->front().substr(bound->front().rfind(':') + 1)));
    server->start();
    cores.start();
  }
  ~Site() {
    cores.stop();
    cores.join();
  }

  void pass(std::chrono::milliseconds time) { now_ += time.count(); }
  /// Time passes, and every deadline has been looked at. With one core and a connection only.
  bool pass_and_sweep(std::chrono::milliseconds time) {
    now_ += time.count();
    const std::uint64_t enough = looked_ + 2;  // the sweep under way may have looked before
    return eventually([&] { return looked_ >= enough; });
  }
  Stats stats() const { return server->stats(http::Listener::aws); }
  /// stop() on a thread of its own, as main would.
  std::future<void> stop(std::chrono::milliseconds within) {
    return std::async(std::launch::async,
                      [this, within] { test::run(server->stop(std::chrono::steady_clock::now() + within)); });
  }

 private:
  std::atomic<std::int64_t> now_{0};
  std::atomic<std::uint64_t> looked_{0};  // how often a core has

 public:
  MemoryBudget budget;
  Cores cores;
  FunctionHandler handler;
  std::unique_ptr<Server> server;
  std::uint16_t port = 0;
};

inline std::string post(std::string_view path, std::string_view body, std::string_view more_headers = "") {
  return "POST " + std::string(path) + " HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + std::string(more_headers) + "\r\n" + std::string(body);
}

}  // namespace millrace::net
