// Deploying an OpenAPI document, and asking what was deployed. The input is the document.
#include "gateway/openapi.hpp"

#include <charconv>

#include "fuzz/fuzz.hpp"
#include "fuzz/quiet.hpp"
#include "gateway/support.hpp"
#include "gateway/vtl/nodes.hpp"

namespace millrace::gateway {
namespace {

using fuzz::require;

/// Asks for a resource's path, its parameters spelt somehow.
void ask(Gateway& gateway, const Resource& resource, const Method& method) {
  std::string path = "/PROD";
  for (const Segment& segment : resource.segments) {
    path += '/';
    for (const char c : segment.text) {
      constexpr char kHex[] = "0123456789ABCDEF";
      const auto byte = static_cast<unsigned char>(c);
      path += '%';
      path += kHex[byte >> 4];
      path += kHex[byte & 15];
    }
  }
  test::TestRequest request(method.verb == "ANY" ? "OPTIONS" : method.verb, path, R"({"a":1})");
  request.header("Content-Type", method.templates.empty() ? "application/json" : method.templates[0].content_type);
  test::RecordedResponse response;
  test::run(gateway.handle(request.request, response));
  require(response.misuse.empty() && response.finished, "a request is answered");
  require(response.status >= 200 && response.status <= 599, "with a status");
  require(response.status != 403, "what is deployed is found");
  for (const auto& [name, value] : response.headers) {
    require(vtl::is_header_name(name), "a header's name is one");
    require(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "a header's value is one line");
  }
}

void check(std::string_view document) {
  static ManualClock clock;
  static const std::unique_ptr<Random> random = make_seeded_random(7);
  FakeServices services;
  const ApiSpec spec{"api", "", {"PROD"}, std::string(document), "api.yaml"};
  const auto gateway = make_gateway(clock, *random, services, {});
  const auto deployed = gateway->deploy(spec);
  if (!deployed) {
    const Error refused = deployed.error();
    std::string_view detail = refused.detail;
    require(detail.starts_with("api.yaml:"), "an error names the file");
    detail.remove_prefix(9);
    unsigned line = 0;
    const auto [end, error] = std::from_chars(detail.data(), detail.data() + detail.size(), line);
    if (error == std::errc{})
      require(line >= 1 && line <= 2 + std::count(document.begin(), document.end(), '\n') +
                                       std::count(document.begin(), document.end(), '\r'),
              "an error's line is one of the file");
    require(detail.size() > static_cast<std::size_t>(end - detail.data()) + 2, "an error says what is wrong");
    require(gateway->apis().empty(), "what is refused is not deployed");
    return;
  }
  require(gateway->apis().size() == 1, "what is deployed is there");
  const auto resources = import_openapi(spec, services);
  require(resources.has_value(), "importing twice gives the same");
  std::size_t routes = 0;
  for (const Resource& resource : *resources) {
    routes += resource.methods.size();
    for (const Method& method : resource.methods) {
      require(services.has(method.service, method.action), "a method's action is one that there is");
      if (routes <= 8) ask(*gateway, resource, method);
    }
  }
  require(routes == deployed->routes, "all routes are counted");
}

}  // namespace
}  // namespace millrace::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz::quiet();
  millrace::gateway::check({reinterpret_cast<const char*>(data), size});
  return 0;
}
