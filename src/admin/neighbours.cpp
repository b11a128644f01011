#include "admin/neighbours.hpp"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

#include "admin/measures.hpp"

namespace millrace::admin {
namespace {

// One line with a blank after each colon and comma, as Python writes JSON: scripts grep for `"kinesis": "available"`,
// some for several such pairs one after the other.
void add_member(std::string& object, std::string_view name, std::string_view value) {
  object += object.empty() ? "{\"" : ", \"";
  object.append(name).append("\": ").append(value);
}

std::string object_of(std::initializer_list<std::pair<std::string_view, std::string_view>> members) {
  std::string object;
  for (const auto& [name, value] : members) add_member(object, name, value);
  return object + "}";
}

constexpr std::string_view kEdition = R"("community")", kVersion = "\"" MILLRACE_VERSION "\"";

constexpr std::string_view kNoSuchPage =
    "no such page; of LocalStack's there are /_localstack/health, /_localstack/info, /_localstack/init, "
    "/_localstack/state/reset, /health and /_aws/execute-api/{api}/{stage}/..., of moto's /moto-api/reset";

Answer info(std::chrono::seconds uptime) {
  const std::string seconds = std::to_string(uptime.count());
  return {200,
          object_of(
              {{"version", kVersion}, {"edition", kEdition}, {"is_license_activated", "false"}, {"uptime", seconds}})};
}

// Its stages of starting are over when ours is: what the config file declares is there. It has scripts, we have none.
constexpr std::string_view kInit = "/_localstack/init";

// The stage that follows that path, if it is a page: stages are named in any case there.
std::optional<std::string_view> init_stage(std::string_view path) {
  if (!path.starts_with(kInit)) return std::nullopt;
  for (const std::string_view known : {"", "/boot", "/start", "/ready", "/shutdown"})
    if (http::same_token(path.substr(kInit.size()), known)) return known;
  return std::nullopt;
}

Answer init(std::string_view stage, bool ready) {
  const std::string_view started = ready ? "true" : "false", stopped = "false";
  std::string completed(stage == "/shutdown" ? stopped : started);
  if (stage.empty())
    completed = object_of({{"BOOT", started}, {"START", started}, {"READY", started}, {"SHUTDOWN", stopped}});
  return {200, object_of({{"completed", completed}, {"scripts", "[]"}})};
}

}  // namespace

// LocalStack says `available` of a service that nobody has used and `running` of one that holds something. Scripts wait
// for either word and never for both, so `also` has the one that `services` has not: a script that greps finds its own.
Answer Neighbours::health(bool ready) const {
  if (!ready) return refused(503, "not ready");
  std::string services, also;
  const auto add = [&](std::string_view name, bool running) {
    constexpr std::string_view kAvailable = R"("available")", kRunning = R"("running")";
    add_member(services, name, running ? kRunning : kAvailable);
    add_member(also, name, running ? kAvailable : kRunning);
  };
  if (!dependencies_.gateway.apis().empty()) add("apigateway", true);  // only what is deployed answers
  add("cloudwatch", false);  // holds nothing that a suite would wait for, as `sts`
  const std::vector<Part> parts = parts_of(dependencies_);
  add("firehose",
      std::any_of(parts.begin(), parts.end(), [](const Part& p) { return !p.delivery.list("", 1).empty(); }));
  add("kinesis", std::any_of(parts.begin(), parts.end(), [](const Part& p) { return !p.streams.list("", 1).empty(); }));
  add("sts", false);
  services += '}';
  also += '}';
  return {200, object_of({{"services", services}, {"also", also}, {"edition", kEdition}, {"version", kVersion}})};
}

awaitable<Answer> Neighbours::answer(const http::Request& request, bool ready, std::chrono::seconds uptime) {
  constexpr std::string_view kState = "/_localstack/state/";
  const std::string_view path = request.path;
  if (path == "/_localstack/state/reset") co_return co_await reset_.run(request);
  if (path == "/moto-api/reset") {
    Answer answer = co_await reset_.run(request);
    if (answer.status == 200) answer.body = R"({"status": "ok"})";  // moto's own, to the byte
    co_return answer;
  }
  if (path.starts_with(kState) && path.ends_with("/reset"))
    co_return refused(404, "one service cannot be reset alone; POST /_localstack/state/reset resets all");
  const bool is_health = path == "/_localstack/health" || path == "/health";
  const bool is_info = path == "/_localstack/info";
  const std::optional<std::string_view> stage = init_stage(path);
  if (!is_health && !is_info && !stage) co_return refused(404, kNoSuchPage);
  if (request.method != "GET" && request.method != "HEAD") co_return not_allowed("GET, HEAD");
  if (is_health) co_return health(ready);
  if (is_info) co_return info(uptime);
  co_return init(*stage, ready);
}

}  // namespace millrace::admin
