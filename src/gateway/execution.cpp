#include "gateway/execution.hpp"

#include <algorithm>
#include <exception>
#include <optional>
#include <span>

#include "millrace/base/log.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/codec/percent.hpp"

namespace millrace::gateway {
namespace {

constexpr std::size_t kKeptWorks = 64;
constexpr std::size_t kKeptBytes = 64u << 10;

constexpr GatewayError kUnsupportedMediaType{415, "BadRequestException", "Unsupported Media Type"};
constexpr GatewayError kTooLarge{413, "RequestTooLargeException", "Request Too Long"};
constexpr GatewayError kBadRequest{400, "BadRequestException", "Bad Request"};
constexpr GatewayError kInternal{500, "InternalServerErrorException", "Internal server error"};
constexpr GatewayError kUnavailable{503, "ServiceUnavailableException", "Service Unavailable"};

constexpr std::string_view kRequestId = "x-amzn-RequestId", kExtendedRequestId = "x-amz-apigw-id",
                           kTraceId = "X-Amzn-Trace-Id";

// Pool of a thread: a request ends on the core where it began.
std::vector<std::unique_ptr<Work>>& kept_works() {
  thread_local std::vector<std::unique_ptr<Work>> works;
  return works;
}

// What is small stays with its thread.
void give_back_large(Buffer& buffer) noexcept {
  buffer.clear();
  if (buffer.capacity() > kKeptBytes) buffer.release();
}

std::string_view without_parameters(std::string_view type) noexcept {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) type.remove_suffix(1);
  while (!type.empty() && (type.front() == ' ' || type.front() == '\t')) type.remove_prefix(1);
  return type;
}

const vtl::Template* template_for(std::span<const TypedTemplate> templates, std::string_view type) noexcept {
  for (const TypedTemplate& candidate : templates)
    if (http::same_token(candidate.content_type, type)) return &candidate.compiled;
  return nullptr;
}

// What the client accepts, in its order; else JSON; else the first one.
const vtl::Template* response_template(std::span<const TypedTemplate> templates, std::string_view accept) noexcept {
  if (templates.empty()) return nullptr;
  while (!accept.empty()) {
    const std::size_t comma = std::min(accept.find(','), accept.size());
    if (const vtl::Template* found = template_for(templates, without_parameters(accept.substr(0, comma)))) return found;
    accept.remove_prefix(std::min(comma + 1, accept.size()));
  }
  if (const vtl::Template* json = template_for(templates, "application/json")) return json;
  return &templates.front().compiled;
}

// Headers of these names belong to the transport or to the gateway: a mapped one gets another name.
std::string_view header_name(std::string_view name) noexcept {
  struct Renamed {
    std::string_view from, to;
  };
  static constexpr std::array kRenamed{Renamed{"Authorization", "x-amzn-Remapped-Authorization"},
                                       Renamed{"Connection", "x-amzn-Remapped-Connection"},
                                       Renamed{"Content-Length", "x-amzn-Remapped-Content-Length"},
                                       Renamed{"Content-MD5", "x-amzn-Remapped-Content-MD5"},
                                       Renamed{"Date", "x-amzn-Remapped-Date"},
                                       Renamed{"Expect", "x-amzn-Remapped-Expect"},
                                       Renamed{"Host", "x-amzn-Remapped-Host"},
                                       Renamed{"Max-Forwards", "x-amzn-Remapped-Max-Forwards"},
                                       Renamed{"Proxy-Authenticate", "x-amzn-Remapped-Proxy-Authenticate"},
                                       Renamed{"Server", "x-amzn-Remapped-Server"},
                                       Renamed{"Trailer", "x-amzn-Remapped-Trailer"},
                                       Renamed{"Transfer-Encoding", "x-amzn-Remapped-Transfer-Encoding"},
                                       Renamed{"Upgrade", "x-amzn-Remapped-Upgrade"},
                                       Renamed{"User-Agent", "x-amzn-Remapped-User-Agent"},
                                       Renamed{"WWW-Authenticate", "x-amzn-Remapped-WWW-Authenticate"},
                                       Renamed{"x-amzn-RequestId", "x-amzn-Remapped-x-amzn-RequestId"},
                                       Renamed{"x-amz-apigw-id", "x-amzn-Remapped-x-amz-apigw-id"}};
  for (const Renamed& renamed : kRenamed)
    if (http::same_token(renamed.from, name)) return renamed.to;
  return name;
}

void set_header(std::vector<http::Header>& headers, std::string_view name, std::string_view value) {
  name = header_name(name);
  for (http::Header& header : headers)
    if (http::same_token(header.name, name)) {
      header.value = value;
      return;
    }
  headers.push_back({name, value});
}

// The root of a trace header, as `Root=1-67891233-abcdef012345678912345678`; empty when it has none.
// Source: https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader
std::string_view trace_root(std::string_view header) noexcept {
  constexpr std::string_view kForm = "Root=1-xxxxxxxx-xxxxxxxxxxxxxxxxxxxxxxxx";
  const auto fits = [](char form, char c) {
    return form == 'x' ? (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') : form == c;
  };
  while (!header.empty()) {
    const std::size_t end = std::min(header.find(';'), header.size());
    std::string_view field = header.substr(0, end);
    while (field.starts_with(' ')) field.remove_prefix(1);
    if (std::equal(kForm.begin(), kForm.end(), field.begin(), field.end(), fits)) return field;
    header.remove_prefix(std::min(end + 1, header.size()));
  }
  return {};
}

std::string_view host_name(std::string_view host) noexcept {
  if (host.starts_with('[')) return host.substr(0, std::min(host.find(']'), host.size() - 1) + 1);
  return host.substr(0, host.find(':'));
}

std::string decoded_parameter(const Segment& segment, std::string_view raw) {
  if (segment.kind != Segment::Kind::greedy) return codec::decode_percent(raw);
  std::string joined;
  for (std::string_view part; !(part = take_segment(raw)).empty();) {
    if (!joined.empty()) joined += '/';
    joined += codec::decode_percent(part);
  }
  return joined;
}

void log_failure(const Router::Target& target, std::string_view request_id, std::string_view what,
                 std::string_view detail) {
  logging::warn(what, {{"request_id", request_id},
                       {"api", target.api->name},
                       {"method", target.method->verb},
                       {"resource", target.resource->path},
                       {"detail", detail}});
}

}  // namespace

LentWork::LentWork() {
  auto& works = kept_works();
  if (works.empty()) {
    work_ = std::make_unique<Work>();
    return;
  }
  work_ = std::move(works.back());
  works.pop_back();
}

LentWork::~LentWork() {
  auto& works = kept_works();
  if (works.size() >= kKeptWorks) return;
  give_back_large(work_->request_body);
  give_back_large(work_->response_body);
  work_->overrides.clear();
  work_->headers.clear();
  work_->path_parameters.clear();
  works.push_back(std::move(work_));
}

void Execution::begin(Work& work) const {
  write_uuid(random_, work.request_id.data());
  // Eleven random bytes in base64: fourteen full characters, four bits, padding.
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::uint64_t bits = random_.next();
  for (std::size_t i = 0; i < 15; ++i) {
    if (i == 10) bits = random_.next();
    work.extended_request_id[i] = kAlphabet[i == 14 ? bits & 60 : bits & 63];
    bits >>= 6;
  }
  work.extended_request_id[15] = '=';
  work.service_called = false;
  work.headers.clear();
  work.headers.push_back({kRequestId, {work.request_id.data(), work.request_id.size()}});
  work.headers.push_back({kExtendedRequestId, {work.extended_request_id.data(), work.extended_request_id.size()}});
  work.headers.push_back({"Content-Type", "application/json"});
}

bool Execution::reserve(const Buffer& rendered, Reservation& reservation) const {
  if (!options_.budget || rendered.capacity() <= kKeptBytes) return true;
  reservation = Reservation::take(*options_.budget, Account::bodies, rendered.capacity());
  return static_cast<bool>(reservation);
}

void Execution::begin_call(http::Request& request, Work& work) const {
  const std::string_view root = trace_root(request.headers.get(kTraceId));
  if (!root.empty()) {
    std::copy(root.begin(), root.end(), work.trace_id.begin());
  } else {
    char* at = work.trace_id.data();
    const auto put_hex = [&at](std::uint64_t bits, int digits) {
      while (digits-- > 0) *at++ = "0123456789abcdef"[bits >> 4 * digits & 15];
    };
    constexpr std::string_view kStart = "Root=1-";
    at = std::copy(kStart.begin(), kStart.end(), at);
    put_hex(
        static_cast<std::uint64_t>(std::chrono::floor<std::chrono::seconds>(clock_.now()).time_since_epoch().count()),
        8);
    *at++ = '-';
    put_hex(random_.next(), 16);
    put_hex(random_.next(), 8);
  }
  work.service_called = true;
  work.headers.push_back({kTraceId, {work.trace_id.data(), work.trace_id.size()}});
}

awaitable<void> Execution::answer(const GatewayError& error, Work& work, http::ResponseWriter& writer) const {
  work.headers.resize(3);
  work.headers[2].value = "application/json";
  work.headers.push_back({"x-amzn-ErrorType", error.type});
  if (work.service_called) work.headers.push_back({kTraceId, {work.trace_id.data(), work.trace_id.size()}});
  work.response_body.clear();
  work.response_body.append(R"({"message":)");
  char* to = work.response_body.prepare(codec::json_quoted_size(error.message));
  work.response_body.commit(static_cast<std::size_t>(codec::json_quote(error.message, to) - to));
  work.response_body.append("}");
  const http::ResponseHead head{error.status, work.headers};
  const Slice slice{work.response_body.view(), nullptr};
  // A peer that is gone needs no answer.
  (void)co_await writer.send(head, {&slice, 1});
}

awaitable<void> Execution::run(const Router::Target& target, std::string_view stage, std::string_view path,
                               http::Request& request, http::ResponseWriter& writer, Work& work) const {
  const Method& method = *target.method;
  const std::string_view request_id(work.request_id.data(), work.request_id.size());

  // The type decides before the body is read: what is refused is never asked for.
  std::string_view type = without_parameters(request.headers.get("content-type"));
  if (type.empty()) type = "application/json";
  const vtl::Template* compiled = template_for(method.templates, type);
  if (!compiled) compiled = template_for(method.templates, "$default");
  if (!compiled && (method.passthrough == Passthrough::never ||
                    (method.passthrough == Passthrough::when_no_templates && !method.templates.empty()))) {
    co_await answer(kUnsupportedMediaType, work, writer);
    co_return;
  }

  const http::Result<std::string_view> collected = co_await request.body->collect(options_.body_bytes_max);
  if (!collected) {
    const GatewayError* error = nullptr;
    switch (collected.error().code) {
      case http::Errc::peer_gone:
        co_return;
      case http::Errc::too_large:
        error = &kTooLarge;
        break;
      case http::Errc::no_memory:
        error = &kUnavailable;
        break;
      case http::Errc::malformed:
        error = &kBadRequest;
        break;
    }
    co_await answer(*error, work, writer);
    co_return;
  }
  const std::string_view body = *collected;

  work.path_parameters.clear();
  std::size_t captured = 0;
  for (const Segment& segment : target.resource->segments)
    if (segment.kind != Segment::Kind::literal)
      work.path_parameters.push_back({segment.text, decoded_parameter(segment, work.captured[captured++])});

  vtl::RequestFacts facts;
  facts.account_id = options_.account_id;
  facts.api_id = target.api->id;
  facts.domain_name = host_name(request.headers.get("host"));
  facts.extended_request_id = {work.extended_request_id.data(), work.extended_request_id.size()};
  facts.http_method = request.method;
  facts.path = path;
  facts.protocol = request.protocol;
  facts.request_id = request_id;
  facts.resource_id = target.resource->id;
  facts.resource_path = target.resource->path;
  facts.source_ip = request.peer_address;
  facts.stage = stage;
  facts.user_agent = request.headers.get("user-agent");
  facts.time = clock_.now();
  facts.path_parameters = work.path_parameters;
  facts.query = request.query;
  facts.headers = &request.headers;

  work.overrides.clear();
  work.request_body.clear();
  ServiceCall call{method.service, method.action, body, request_id};
  Reservation rendered;
  if (compiled) {
    vtl::Outcome outcome = compiled->evaluate(facts, body, work.overrides, work.request_body, options_.budget);
    if (outcome.code == vtl::Outcome::Code::no_memory || !reserve(work.request_body, rendered)) {
      co_await answer(kUnavailable, work, writer);
      co_return;
    }
    if (outcome.code == vtl::Outcome::Code::bad_json) {
      const std::string message = "Could not parse request body into json: " + outcome.detail;
      const GatewayError error{400, "BadRequestException", message};
      co_await answer(error, work, writer);
      co_return;
    }
    if (outcome.code == vtl::Outcome::Code::failed) {
      log_failure(target, request_id, "request template failed", outcome.detail);
      co_await answer(kInternal, work, writer);
      co_return;
    }
    call.body = work.request_body.view();
  }

  begin_call(request, work);
  std::optional<ServiceReply> reply;
  try {
    reply.emplace(co_await services_.call(call));
  } catch (const std::exception& thrown) {
    log_failure(target, request_id, "integration failed", thrown.what());
  }
  give_back_large(work.request_body);
  rendered.release();
  if (!reply) {
    co_await answer(kInternal, work, writer);
    co_return;
  }

  const IntegrationResponse* response = method.response_for(reply->status);
  if (!response) {
    log_failure(target, request_id, "no integration response for the service's status", std::to_string(reply->status));
    co_await answer(kInternal, work, writer);
    co_return;
  }
  std::string_view answered = reply->body;
  if (const vtl::Template* chosen = response_template(response->templates, request.headers.get("accept"))) {
    work.response_body.clear();
    vtl::Outcome outcome = chosen->evaluate(facts, reply->body, work.overrides, work.response_body, options_.budget);
    if (outcome.code == vtl::Outcome::Code::no_memory || !reserve(work.response_body, rendered)) {
      co_await answer(kUnavailable, work, writer);
      co_return;
    }
    if (outcome.code != vtl::Outcome::Code::done) {
      log_failure(target, request_id, "response template failed", outcome.detail);
      co_await answer(kInternal, work, writer);
      co_return;
    }
    answered = work.response_body.view();
  }
  for (const auto& [name, value] : response->headers) set_header(work.headers, name, value);
  for (const auto& [name, value] : work.overrides.headers) set_header(work.headers, name, value);
  const http::ResponseHead head{work.overrides.status ? work.overrides.status : response->status, work.headers};
  const Slice slice{answered, nullptr};
  (void)co_await writer.send(head, {&slice, 1});
}

}  // namespace millrace::gateway
