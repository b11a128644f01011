// Percent and form encoding, the router, and the parts of a query or an Authorization header. The first byte says
// which.
#include <string>
#include <vector>

#include "admin/query.hpp"
#include "front/authentication.hpp"
#include "fuzz/fuzz.hpp"
#include "gateway/router.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/codec/percent.hpp"

namespace millrace {
namespace {

using fuzz::require;

void check_coding(std::string_view text) {
  const std::string encoded = codec::encode_form(text);
  require(encoded.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.*+%") ==
              std::string::npos,
          "form encoding leaves plain characters only");
  require(codec::decode_form(encoded) == text, "form encoding is undone");
  const std::string decoded = codec::decode_percent(text);
  require(decoded.size() <= text.size(), "decoding makes nothing longer");
  if (text.find('%') == std::string_view::npos) require(decoded == text, "what has no escape stays");
  if (text.find('+') == std::string_view::npos) require(codec::decode_form(text) == decoded, "both forms agree");
}

/// What a path is to a route, told in the plainest way: every way to read it, in order of preference.
bool matches(const std::vector<gateway::Segment>& route, std::size_t at, std::string_view path,
             std::vector<std::string_view>& captured) {
  std::string_view after = path;
  const std::string_view segment = gateway::take_segment(after);
  if (at == route.size()) return segment.empty();
  if (segment.empty()) return false;
  switch (route[at].kind) {
    case gateway::Segment::Kind::literal:
      return codec::decode_percent(segment) == route[at].text && matches(route, at + 1, after, captured);
    case gateway::Segment::Kind::parameter:
      captured.push_back(segment);
      return matches(route, at + 1, after, captured);
    case gateway::Segment::Kind::greedy:
      captured.push_back(path);
      return true;
  }
  return false;
}

struct Routes {
  gateway::Api api;
  gateway::Router router;
  Routes() {
    using enum gateway::Segment::Kind;
    const std::vector<std::vector<gateway::Segment>> all{
        {},
        {{literal, "a"}},
        {{literal, "a"}, {parameter, "p"}},
        {{literal, "a"}, {parameter, "p"}, {literal, "c"}},
        {{literal, "a"}, {literal, "b"}, {greedy, "rest"}},
        {{parameter, "x"}, {literal, "b"}},
        {{parameter, "x"}, {parameter, "y"}, {parameter, "z"}},
        {{literal, "%"}, {greedy, "rest"}},
        {{literal, "deep"}, {literal, "a"}, {literal, "a"}, {literal, "a"}, {parameter, "end"}},
    };
    for (const auto& segments : all) {
      gateway::Resource& resource = api.resources.emplace_back();
      resource.segments = segments;
      resource.methods.emplace_back().verb = "POST";
      if (segments.size() % 2) resource.methods.emplace_back().verb = "ANY";
    }
    for (const gateway::Resource& resource : api.resources) router.add(api, resource);
  }
};

void check_route(std::string_view verb, std::string_view path) {
  static const Routes routes;
  std::vector<std::string_view> captured{"left over"};
  const auto* found = routes.router.find(path, verb, captured);
  bool any = false;
  for (const gateway::Resource& resource : routes.api.resources) {
    std::vector<std::string_view> wanted;
    const bool fits = matches(resource.segments, 0, path, wanted);
    any |= fits;
    if (!found || found->resource != &resource) continue;
    require(fits, "a route that is found has the path");
    require(captured.size() == wanted.size() && std::equal(captured.begin(), captured.end(), wanted.begin()),
            "what is captured is what the parameters stand for");
    require(found->method->verb == verb || found->method->verb == "ANY", "the method is the one asked for, or any");
  }
  if (found) require(any, "a route is one of those added");
  std::vector<std::string_view> ignored;
  if (any && !routes.router.find(path, "POST", ignored)) require(false, "a path that some route has is found");
}

void check_parameters(std::string_view query) {
  std::string joined;
  for (const auto& [name, value] : admin::query_parameters(query)) {
    require(name.find('&') == std::string_view::npos && name.find('=') == std::string_view::npos, "a name ends");
    require(value.find('&') == std::string_view::npos, "a value ends");
    require(front::has_parameter(query, name), "the front sees it too");
  }
  using namespace std::chrono_literals;
  const auto wait = admin::parse_wait(query, 1h);
  if (wait) require(*wait >= 0ms && *wait <= 1h, "a wait is within its bound");
}

void check_authentication(std::string_view authorization, std::string_view query) {
  const std::string_view service = front::scope_service(authorization, query);
  require(service.find('/') == std::string_view::npos, "a service is one part of the scope");
  http::Request request;
  request.method = "POST";
  request.path = "/";
  request.query = query;
  if (!authorization.empty()) request.headers.add("Authorization", authorization);
  static const front::Authenticator presence(front::Options{.auth = front::AuthMode::presence});
  static const front::Authenticator verify(
      front::Options{.auth = front::AuthMode::verify, .access_keys = {{"AKID", "secret"}}});
  for (const bool dated : {false, true}) {
    if (dated) request.headers.add("X-Amz-Date", "20261120T101500Z");
    const front::Credentials credentials{authorization, dated};
    const auto incomplete = presence.refuse(credentials, request, "{}", "kinesis");
    const auto refused = verify.refuse(credentials, request, "{}", "kinesis");
    if (!incomplete)
      require(!authorization.empty() || front::has_parameter(query, "X-Amz-Signature"), "a signature is named");
    require(refused.has_value(), "nobody guesses a signature");
    for (const auto& one : {incomplete, refused})
      if (one)
        require(one->status == 400 && codec::valid_utf8(one->message) && !one->message.empty(),
                "a refusal can be told");
  }
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  fuzz::Input input(data, size);
  switch (input.byte() % 4) {
    case 0:
      check_coding(input.rest());
      break;
    case 1: {
      const std::string_view verb = input.until(' ');
      check_route(verb, input.rest());
      break;
    }
    case 2:
      check_parameters(input.rest());
      break;
    case 3: {
      const std::string_view authorization = input.until('\n');
      check_authentication(authorization, input.rest());
      break;
    }
  }
  return 0;
}
