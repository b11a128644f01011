#include "millrace/admin/admin.hpp"

#include <nlohmann/json.hpp>

#include "admin/answer.hpp"
#include "admin/measures.hpp"
#include "admin/neighbours.hpp"
#include "admin/query.hpp"
#include "admin/reset.hpp"
#include "admin/snapshot_pages.hpp"
#include "millrace/delivery/flush_all.hpp"

namespace millrace::admin {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds kFlushDeadline = std::chrono::seconds{30};
constexpr std::chrono::milliseconds kFlushDeadlineMax = std::chrono::minutes{15};

constexpr std::string_view kOwnPages = "/_millrace", kSnapshots = "/snapshots";

class Pages final : public Admin {
 public:
  explicit Pages(Dependencies dependencies) : dependencies_(std::move(dependencies)), measures_(dependencies_) {}

  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    const Answer answer = co_await answer_to(request);
    co_await send(answer, writer);
  }
  void set_ready(bool ready) noexcept override { ready_ = ready; }

 private:
  awaitable<Answer> answer_to(const http::Request& request) {
    if (!request.path.starts_with(kOwnPages)) co_return co_await neighbours_.answer(request, ready_, uptime());
    const std::string_view path = request.path.substr(kOwnPages.size());
    if (path == kSnapshots || path.starts_with(std::string(kSnapshots) + "/"))
      co_return co_await snapshots_.answer(request, path.substr(kSnapshots.size()), ready_);
    const bool reads = path == "/health" || path == "/ready" || path == "/metrics" || path == "/ca.pem";
    const bool acts = path == "/flush" || path == "/reset";
    if (!reads && !acts)
      co_return refused(404,
                        "no such page; there are /health, /ready, /metrics, /ca.pem, /flush, /reset and /snapshots");
    if (reads && request.method != "GET" && request.method != "HEAD") co_return not_allowed("GET, HEAD");
    if (path == "/health") co_return health();
    if (path == "/ready") co_return ready();
    if (path == "/ca.pem") co_return authority();
    if (path == "/metrics") co_return co_await metrics();
    if (path == "/reset") co_return co_await reset_.run(request);
    if (request.method != "POST") co_return not_allowed("POST");
    co_return co_await flush(request.query);
  }

  std::chrono::seconds uptime() const {
    return std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - started_);
  }

  Answer health() const {
    Json problems = Json::array();
    for (const Part& part : parts_of(dependencies_))
      for (const auto& info : all_delivery_streams(part.delivery))
        if (!info->last_error.empty())
          problems.push_back({{"delivery_stream", part.prefix + info->spec.name}, {"reason", info->last_error}});
    if (dependencies_.degraded)
      for (const std::string& reason : dependencies_.degraded())
        problems.push_back({{"part", "storage"}, {"reason", reason}});
    return json(200, {{"status", problems.empty() ? "ok" : "degraded"},
                      {"version", MILLRACE_VERSION},
                      {"uptime_seconds", uptime().count()},
                      {"storage", dependencies_.storage_mode},
                      {"problems", problems}});
  }

  Answer ready() const {
    const bool yes = ready_;
    return json(yes ? 200 : 503, {{"ready", yes}});
  }

  Answer authority() const {
    std::string pem = dependencies_.authority ? dependencies_.authority() : std::string();
    if (pem.empty())
      return refused(404, "there is no authority of the daemon's own: TLS is off, or the certificate is the user's");
    return Answer{200, std::move(pem), "application/x-pem-file"};
  }

  awaitable<Answer> metrics() {
    Answer answer{200, {}, "text/plain; version=0.0.4; charset=utf-8"};
    auto work = [&] { answer.body = dependencies_.metrics.render(); };
    co_await dependencies_.file_threads.run(work);
    co_return answer;
  }

  awaitable<Answer> flush(std::string_view query) {
    std::chrono::milliseconds wait = kFlushDeadline;
    for (const auto& [name, value] : query_parameters(query)) {
      if (name != "deadline") co_return unknown_parameter(name);
      const auto given = parse_wait(value, kFlushDeadlineMax);
      if (!given) co_return refused(400, "deadline must be like 250ms, 5s or 2m, and at most 15m");
      wait = *given;
    }
    std::vector<delivery::Named> all;
    for (const Part& part : parts_of(dependencies_)) all.push_back({part.prefix, &part.delivery});
    const std::vector<delivery::FlushFailure> failed =
        co_await delivery::flush_all(std::move(all), std::chrono::steady_clock::now() + wait);
    if (failed.empty()) co_return json(200, {{"flushed", true}});
    Json failures = Json::array();
    for (const delivery::FlushFailure& failure : failed)
      failures.push_back({{"delivery_stream", failure.delivery_stream}, {"reason", failure.reason}});
    co_return json(503, {{"flushed", false}, {"failures", failures}});
  }

  const Dependencies dependencies_;
  const Measures measures_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::atomic<bool> ready_{false};
  Reset reset_{dependencies_};
  SnapshotPages snapshots_{dependencies_};
  Neighbours neighbours_{dependencies_, reset_};
};

}  // namespace

std::unique_ptr<Admin> make_admin(Dependencies dependencies) {
  return std::make_unique<Pages>(std::move(dependencies));
}

}  // namespace millrace::admin
