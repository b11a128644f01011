#include "millrace/gateway/gateway.hpp"

#include <algorithm>

#include "gateway/execution.hpp"
#include "gateway/openapi.hpp"
#include "gateway/router.hpp"
#include "millrace/base/guarded.hpp"
#include "millrace/codec/percent.hpp"

namespace millrace::gateway {
namespace {

/// The APIs at one time. Never changed: a request keeps the one it began with.
struct Deployment {
  struct Stage {
    std::string name;
    Router router;
  };
  std::vector<std::shared_ptr<const Api>> apis;
  TextMap<Router> by_id;
  TextMap<Stage> listener;  ///< by stage, all APIs that have it
};

bool valid_stage(std::string_view name) noexcept {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name.size() <= 128 && std::all_of(name.begin(), name.end(), allowed);
}

bool valid_id(std::string_view id) noexcept {
  return id.size() == 10 &&
         std::all_of(id.begin(), id.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); });
}

// Whether a request can mean a method of either.
bool share_method(const Resource& a, const Resource& b) noexcept {
  for (const Method& x : a.methods)
    for (const Method& y : b.methods)
      if (x.verb == y.verb || x.verb == "ANY" || y.verb == "ANY") return true;
  return false;
}

ApiSummary summary_of(const Api& api) {
  ApiSummary summary{api.id, api.name, api.stages, 0};
  for (const Resource& resource : api.resources) summary.routes += resource.methods.size();
  return summary;
}

class GatewayImpl final : public Gateway {
 public:
  GatewayImpl(Clock& clock, Random& random, ServiceCaller& services, GatewayOptions options)
      : services_(services),
        options_(std::move(options)),
        execution_(clock, random, services, options_),
        deployment_(std::make_shared<const Deployment>()) {}

  Result<ApiSummary> deploy(const ApiSpec& spec) override {
    auto api = std::make_shared<Api>();
    api->name = spec.name;
    api->id = spec.id.empty() ? api_id_of_name(spec.name) : spec.id;
    if (!valid_id(api->id))
      return refused("API `" + spec.name + "`: id `" + api->id + "` must be ten characters a-z and 0-9");
    if (spec.stages.empty()) return refused("API `" + spec.name + "` has no stage");
    for (const std::string& stage : spec.stages) {
      if (!valid_stage(stage))
        return refused("API `" + spec.name + "`: stage `" + stage +
                       "` must be 1 to 128 letters, digits, hyphens and underscores");
      if (std::count(spec.stages.begin(), spec.stages.end(), stage) > 1)
        return refused("API `" + spec.name + "` has the stage `" + stage + "` twice");
    }
    api->stages = spec.stages;
    api->file = spec.openapi_file;
    auto resources = import_openapi(spec, services_);
    if (!resources) return resources.error();
    api->resources = std::move(*resources);

    return deployment_.with([&](std::shared_ptr<const Deployment>& current) -> Result<ApiSummary> {
      for (const auto& other : current->apis) {
        if (other->name == api->name) return refused("there are two APIs with the name `" + api->name + "`");
        if (other->id == api->id)
          return refused("APIs `" + other->name + "` and `" + api->name + "` have the same id " + api->id);
        if (std::string clashes = find_clashes(*other, *api, spec); !clashes.empty())
          return refused(std::move(clashes));
      }
      auto next = std::make_shared<Deployment>();
      next->apis = current->apis;
      next->apis.push_back(api);
      for (const auto& each : next->apis) {
        Router& own = next->by_id[each->id];
        for (const Resource& resource : each->resources) own.add(*each, resource);
        for (const std::string& stage : each->stages) {
          Deployment::Stage& shared = next->listener[stage];
          shared.name = stage;
          for (const Resource& resource : each->resources) shared.router.add(*each, resource);
        }
      }
      current = std::move(next);
      return summary_of(*api);
    });
  }

  std::vector<ApiSummary> apis() const override {
    std::vector<ApiSummary> all;
    for (const auto& api : current()->apis) all.push_back(summary_of(*api));
    return all;
  }

  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    LentWork work;
    execution_.begin(*work);
    const std::shared_ptr<const Deployment> deployment = current();
    std::string_view rest = request.path;
    const std::string_view segment = take_segment(rest);
    auto stage = segment.find('%') == std::string_view::npos
                     ? deployment->listener.find(segment)
                     : deployment->listener.find(codec::decode_percent(segment));
    const Router::Target* target = nullptr;
    if (stage != deployment->listener.end()) target = stage->second.router.find(rest, request.method, work->captured);
    if (!target) {
      const GatewayError& error = stage == deployment->listener.end() ? kForbidden : kMissingToken;
      co_await execution_.answer(error, *work, writer);
      co_return;
    }
    co_await execution_.run(*target, stage->second.name, request.path, request, writer, *work);
  }

  awaitable<void> handle_api(std::string_view api_id, std::string_view stage, std::string_view path,
                             http::Request& request, http::ResponseWriter& writer) override {
    LentWork work;
    execution_.begin(*work);
    const std::shared_ptr<const Deployment> deployment = current();
    const auto router = deployment->by_id.find(api_id);
    const auto api = std::find_if(deployment->apis.begin(), deployment->apis.end(),
                                  [&](const auto& each) { return each->id == api_id; });
    if (router == deployment->by_id.end() ||
        std::find((*api)->stages.begin(), (*api)->stages.end(), stage) == (*api)->stages.end()) {
      co_await execution_.answer(kForbidden, *work, writer);
      co_return;
    }
    const Router::Target* target = router->second.find(path, request.method, work->captured);
    if (!target) {
      co_await execution_.answer(kMissingToken, *work, writer);
      co_return;
    }
    const std::string whole = "/" + std::string(stage) + (path.starts_with('/') ? "" : "/") + std::string(path);
    co_await execution_.run(*target, stage, whole, request, writer, *work);
  }

 private:
  static Error refused(std::string what) { return {Errc::invalid, std::move(what)}; }

  std::shared_ptr<const Deployment> current() const {
    return deployment_.with([](const std::shared_ptr<const Deployment>& deployment) { return deployment; });
  }

  // Paths of two APIs may not overlap on a stage; the very same path with other methods is no overlap. A line for each
  // path of the added one that is in the way, as an importer tells mistakes.
  static std::string find_clashes(const Api& there, const Api& added, const ApiSpec& spec) {
    std::string lines;
    for (const std::string& stage : added.stages) {
      if (std::find(there.stages.begin(), there.stages.end(), stage) == there.stages.end()) continue;
      for (const Resource& ours : added.resources) {
        const auto theirs = std::find_if(there.resources.begin(), there.resources.end(), [&](const Resource& each) {
          if (!overlap(each, ours) || each.methods.empty() || ours.methods.empty()) return false;
          return share_method(each, ours) || !same_paths(each, ours);
        });
        if (theirs == there.resources.end()) continue;
        lines.append(lines.empty() ? "" : "\n")
            .append(place_text(spec, ours.at))
            .append("path `" + ours.path + "` of API `" + added.name + "` answers the same requests on stage `" +
                    stage + "` as `" + theirs->path + "` of API `" + there.name + "` (" + there.file.string() + ":" +
                    std::to_string(theirs->at.line) + "): give one of them another stage or path");
      }
    }
    return lines;
  }

  ServiceCaller& services_;
  const GatewayOptions options_;
  const Execution execution_;
  Guarded<std::shared_ptr<const Deployment>> deployment_;
};

}  // namespace

std::unique_ptr<Gateway> make_gateway(Clock& clock, Random& random, ServiceCaller& services, GatewayOptions options) {
  return std::make_unique<GatewayImpl>(clock, random, services, std::move(options));
}

std::string api_id_of_name(std::string_view name) { return stable_id("api " + std::string(name), 10); }

}  // namespace millrace::gateway
