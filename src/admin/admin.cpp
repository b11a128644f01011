#include "millrace/admin/admin.hpp"

#include <array>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>
#include <span>

#include "admin/measures.hpp"
#include "admin/query.hpp"
#include "millrace/base/log.hpp"

namespace millrace::admin {
namespace {

namespace asio = boost::asio;
using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds kFlushDeadline = std::chrono::seconds{30};
constexpr std::chrono::milliseconds kFlushDeadlineMax = std::chrono::minutes{15};

/// A reply on its way: built first, sent once.
struct Answer {
  int status = 200;
  std::string body;
  std::string_view content_type = "application/json";
  std::string_view allow = {};
};

Answer json(int status, const Json& body) {
  // A file system's error text may hold bytes that are not UTF-8.
  return {status, body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

Answer refused(int status, std::string_view why) { return json(status, Json{{"error", why}}); }

awaitable<void> send(const Answer& answer, http::ResponseWriter& writer) {
  std::array<http::Header, 3> headers{
      {{"Content-Type", answer.content_type}, {"Cache-Control", "no-store"}, {"Allow", answer.allow}}};
  const http::ResponseHead head{answer.status, std::span(headers).first(answer.allow.empty() ? 2 : 3)};
  const std::array<Slice, 1> body{Slice{answer.body, nullptr}};
  // The peer may be gone: then nobody is left to tell.
  (void)co_await writer.send(head, body);
}

// Set while it lives, so that two resets do not run into each other.
class Turn {
 public:
  explicit Turn(std::atomic<bool>& taken) : taken_(taken), mine_(!taken.exchange(true)) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (mine_) taken_ = false;
  }
  explicit operator bool() const noexcept { return mine_; }

 private:
  std::atomic<bool>& taken_;
  bool mine_;
};

class Pages final : public Admin {
 public:
  explicit Pages(Dependencies dependencies) : dependencies_(std::move(dependencies)), measures_(dependencies_) {}

  awaitable<void> handle(std::string_view path, http::Request& request, http::ResponseWriter& writer) override {
    const Answer answer = co_await answer_to(path, request);
    co_await send(answer, writer);
  }
  void set_ready(bool ready) noexcept override { ready_ = ready; }

 private:
  awaitable<Answer> answer_to(std::string_view path, const http::Request& request) {
    const bool reads = path == "/health" || path == "/ready" || path == "/metrics";
    const bool acts = path == "/flush" || path == "/reset";
    if (!reads && !acts) co_return refused(404, "no such page; there are /health, /ready, /metrics, /flush and /reset");
    if (reads && request.method != "GET" && request.method != "HEAD") co_return not_allowed("GET, HEAD");
    if (acts && request.method != "POST") co_return not_allowed("POST");
    if (path == "/health") co_return health();
    if (path == "/ready") co_return ready();
    if (path == "/metrics") co_return metrics();
    if (path == "/flush") co_return co_await flush(request.query);
    co_return co_await reset(request);
  }

  static Answer not_allowed(std::string_view methods) {
    Answer answer = refused(405, "method not allowed");
    answer.allow = methods;
    return answer;
  }

  Answer health() const {
    Json problems = Json::array();
    for (const auto& info : all_delivery_streams(dependencies_.delivery))
      if (!info->last_error.empty())
        problems.push_back({{"delivery_stream", info->spec.name}, {"reason", info->last_error}});
    const auto uptime = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_);
    return json(200, {{"status", problems.empty() ? "ok" : "degraded"},
                      {"version", MILLRACE_VERSION},
                      {"uptime_seconds", uptime.count()},
                      {"storage", dependencies_.storage_mode},
                      {"problems", problems}});
  }

  Answer ready() const {
    const bool yes = ready_;
    return json(yes ? 200 : 503, {{"ready", yes}});
  }

  Answer metrics() const { return {200, dependencies_.metrics.render(), "text/plain; version=0.0.4; charset=utf-8"}; }

  awaitable<Answer> flush(std::string_view query) {
    std::chrono::milliseconds wait = kFlushDeadline;
    for (const auto& [name, value] : query_parameters(query)) {
      if (name != "deadline") co_return unknown_parameter(name);
      const auto given = parse_wait(value, kFlushDeadlineMax);
      if (!given) co_return refused(400, "deadline must be like 250ms, 5s or 2m, and at most 15m");
      wait = *given;
    }
    const std::vector<delivery::FlushFailure> failed =
        co_await dependencies_.delivery.flush(std::chrono::steady_clock::now() + wait);
    if (failed.empty()) co_return json(200, {{"flushed", true}});
    Json failures = Json::array();
    for (const delivery::FlushFailure& failure : failed)
      failures.push_back({{"delivery_stream", failure.delivery_stream}, {"reason", failure.reason}});
    co_return json(503, {{"flushed", false}, {"failures", failures}});
  }

  awaitable<Answer> reset(const http::Request& request) {
    if (request.headers.find("Origin"))
      co_return refused(403, "reset is not for browsers: the request has an Origin header");
    if (!dependencies_.reset_enabled) co_return refused(403, "reset is not enabled");
    bool objects = false;
    for (const auto& [name, value] : query_parameters(request.query)) {
      if (name != "objects") co_return unknown_parameter(name);
      if (value != "true" && value != "false") co_return refused(400, "objects must be true or false");
      objects = value == "true";
    }
    const Turn turn(resetting_);
    if (!turn) co_return refused(409, "another reset is running");
    logging::warn("reset", {{"objects", objects ? "removed" : "kept"}});

    // A peer that goes away does not leave half a reset behind.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    Answer answer = co_await reset_all(objects);
    co_await asio::this_coro::reset_cancellation_state(asio::enable_terminal_cancellation());
    co_return answer;
  }

  awaitable<Answer> reset_all(bool objects) {
    // Delivery first: it reads the streams and writes the objects.
    co_await dependencies_.delivery.clear();
    auto streams_cleared = co_await dependencies_.streams.clear();
    if (!streams_cleared) co_return reset_failed("streams", streams_cleared.error().detail);
    if (objects) {
      auto objects_cleared = co_await dependencies_.objects.clear();
      if (!objects_cleared) co_return reset_failed("objects", objects_cleared.error().detail);
    }
    if (dependencies_.declare_again) {
      const std::string wrong = co_await dependencies_.declare_again();
      if (!wrong.empty()) co_return reset_failed("declarations", wrong);
    }
    co_return json(200, {{"reset", true}, {"objects", objects}});
  }

  static Answer unknown_parameter(std::string_view name) {
    return refused(400, "unknown parameter " + std::string(name));
  }

  static Answer reset_failed(std::string_view what, std::string_view why) {
    logging::error("reset failed", {{"at", what}, {"error", why}});
    return json(500, {{"reset", false}, {"failed", what}, {"error", why}});
  }

  const Dependencies dependencies_;
  const Measures measures_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::atomic<bool> ready_{false};
  std::atomic<bool> resetting_{false};
};

}  // namespace

std::unique_ptr<Admin> make_admin(Dependencies dependencies) {
  return std::make_unique<Pages>(std::move(dependencies));
}

}  // namespace millrace::admin
