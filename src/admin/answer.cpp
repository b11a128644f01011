#include "admin/answer.hpp"

#include <array>
#include <nlohmann/json.hpp>
#include <span>

namespace millrace::admin {

using Json = nlohmann::ordered_json;

Answer json(int status, const Json& body) {
  // A file system's error text may hold bytes that are not UTF-8.
  return {status, body.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n"};
}

Answer refused(int status, std::string_view why) { return json(status, Json{{"error", why}}); }

Answer not_allowed(std::string_view methods) {
  Answer answer = refused(405, "method not allowed");
  answer.allow = methods;
  return answer;
}

Answer unknown_parameter(std::string_view name) { return refused(400, "unknown parameter " + std::string(name)); }

awaitable<void> send(const Answer& answer, http::ResponseWriter& writer) {
  std::array<http::Header, 4> headers{{{"Content-Type", answer.content_type}, {"Cache-Control", "no-store"}}};
  std::size_t count = 2;
  if (!answer.allow.empty()) headers[count++] = {"Allow", answer.allow};
  if (!answer.objects.empty()) headers[count++] = {"X-Millrace-Objects", answer.objects};
  const http::ResponseHead head{answer.status, std::span(headers).first(count)};
  const std::array<Slice, 1> body{Slice{answer.body, nullptr}};
  // The peer may be gone: then nobody is left to tell.
  (void)co_await writer.send(head, body);
}

}  // namespace millrace::admin
