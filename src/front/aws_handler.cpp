#include <algorithm>
#include <array>
#include <boost/asio/post.hpp>
#include <mutex>
#include <set>

#include "front/authentication.hpp"
#include "front/exchange.hpp"
#include "front/operations.hpp"
#include "front/protocols.hpp"
#include "front/replies.hpp"
#include "front/routing.hpp"
#include "millrace/base/guarded.hpp"
#include "millrace/base/log.hpp"
#include "millrace/codec/cbor.hpp"
#include "millrace/codec/gzip.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/services/accounts.hpp"

namespace millrace::front {

namespace {

/// A reply up to this size goes out in one send.
constexpr std::size_t kOneSendBytesMax = 256 * 1024;
/// What rendering a larger reply takes at a time: a piece, and room for what the last record of one adds.

/// So many bytes of a push go out before the core's others have their turn.
constexpr std::size_t kPushedAtOnce = 256 * 1024;
/// A request that is answered by a push lasts, and its body with it.
constexpr std::size_t kPushingRequestBytesMax = 64 * 1024;

/// Requests that are converted have a tree for a while.
constexpr std::size_t kConvertedBytesMax = 2 * 1024 * 1024;

/// The header fields that routing, checks and CORS look at.
struct Fields {
  HostName host;
  std::string_view target, content_type, origin, request_headers, request_method;
  Credentials credentials;
  services::Wire wire = services::Wire::json;  ///< of the request and so of its reply; CBOR only when it says so
};

Fields fields_of(const http::Headers& headers) noexcept {
  Fields fields;
  std::string_view host;
  const auto first = [](std::string_view& out, const http::Header& field, std::string_view name) {
    if (out.empty() && http::same_token(field.name, name)) out = field.value;
  };
  for (const http::Header& field : headers) {
    switch (field.name.size()) {
      case 4:
        first(host, field, "host");
        if (http::same_token(field.name, "date") && !field.value.empty()) fields.credentials.dated = true;
        break;
      case 6:
        first(fields.origin, field, "origin");
        break;
      case 10:
        if (http::same_token(field.name, "x-amz-date") && !field.value.empty()) fields.credentials.dated = true;
        break;
      case 12:
        first(fields.target, field, "x-amz-target");
        first(fields.content_type, field, "content-type");
        break;
      case 13:
        first(fields.credentials.authorization, field, "authorization");
        break;
      case 29:
        first(fields.request_method, field, "access-control-request-method");
        break;
      case 30:
        first(fields.request_headers, field, "access-control-request-headers");
        break;
      default:
        break;
    }
  }
  fields.host = read_host(host);
  // Text after ';' and blanks around do not count.
  fields.content_type = fields.content_type.substr(0, fields.content_type.find(';'));
  const auto last = fields.content_type.find_last_not_of(" \t");
  fields.content_type = fields.content_type.substr(0, last == std::string_view::npos ? 0 : last + 1);
  if (fields.content_type == kCborType) fields.wire = services::Wire::cbor;
  return fields;
}

/// Whether admin answers it: the operator's pages, and those that users of other emulators ask for.
bool is_page(std::string_view path) noexcept {
  for (const std::string_view prefix : {"/_millrace", "/_localstack", "/_aws"})
    if (take_prefix(path, prefix)) return true;
  return false;
}

bool is_object(std::string_view body, services::Wire wire) {
  if (wire == services::Wire::cbor) {
    codec::CborReader reader(body);
    std::uint64_t tag = 0;
    while (reader.peek() == codec::CborType::tag && reader.read_tag(tag)) {
    }
    return reader.peek() == codec::CborType::map && !reader.skip_value().empty() && reader.at_end();
  }
  codec::JsonReader reader(body);
  return reader.peek() == codec::JsonType::object && !reader.skip_value().empty() && reader.at_end();
}

/// Where a request belongs.
struct Route {
  const services::Service* service = nullptr;
  const Operations::Entry* operation = nullptr;  // the target names the service and one of its operations
  std::optional<std::string_view> unserved;      // title of an AWS service that is known but not served
  Protocol protocol = Protocol::json;            // of the unserved one
  bool query_action = false;                     // a query protocol's call of nobody knows which service
  std::optional<std::string_view> rpc;           // the path names the service and this operation

  /// Whether its requests become JSON first.
  bool converted() const noexcept { return service && !service->query_version.empty(); }
};

/// How a request that is converted came, and how its reply goes.
enum class Converted { json, form, rpc };

class AwsHandler final : public http::Handler {
 public:
  AwsHandler(Operations& operations, gateway::Gateway& gateway, AdminHandler admin, Options options)
      : operations_(operations),
        gateway_(gateway),
        admin_(std::move(admin)),
        options_(options),
        authenticator_(options) {
    const auto services = operations_.services();
    for (std::size_t i = 0; i < services.size(); ++i) {
      served_names_ += i == 0 ? "" : i + 1 == services.size() ? " and " : ", ";
      served_names_ += services[i].name;
    }
  }

  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    const Fields fields = fields_of(request.headers);
    std::string_view path = request.path;
    if (path.starts_with("/_")) {
      if (take_prefix(path, "/_aws/execute-api")) {
        const std::string_view api = take_segment(path);
        return invoke(gateway_, api, path, request, writer);
      }
      if (is_page(path)) return admin_(request, writer);
    }
    if (!fields.host.api.empty()) return invoke(gateway_, fields.host.api, path, request, writer);
    if (path.size() > 1) {  // SDKs of what is served here post to "/"
      if (take_prefix(path, "/restapis")) {
        const std::string_view api = take_segment(path), stage = take_segment(path);
        if (take_segment(path) == "_user_request_")
          return gateway_.handle_api(api, stage, path.empty() ? "/" : path, request, writer);
        path = request.path;
      }
      if (take_prefix(path, "/moto-api") || is_old_health(path, request, fields)) return admin_(request, writer);
    }
    return serve(fields, request, writer);
  }

  Rejection reject(int status) const noexcept override {
    static constexpr http::Header kFields[] = {{"Content-Type", kJsonType}};
    switch (status) {
      case 417:
        return {417, kFields,
                R"({"__type":"ExpectationFailed","message":"Only the expectation 100-continue is known here."})"};
      case 431:
        return {431, kFields,
                R"({"__type":"RequestHeaderSectionTooLarge","message":"The headers of the request are too large."})"};
      case 500:
        return {500, kFields, R"({"__type":"InternalFailure"})"};
      case 501:
        return {501, kFields,
                R"({"__type":"NotImplemented","message":"The transfer coding of the request is not known here."})"};
      case 505:
        return {505, kFields,
                R"({"__type":"HttpVersionNotSupported","message":"This version of HTTP is not served here."})"};
      default:
        return {status, kFields,
                R"({"__type":"MalformedHttpRequestException","message":"The request is not valid HTTP."})"};
    }
  }

 private:
  /// LocalStack's first health URL, still polled. A signed request means something of AWS by it.
  static bool is_old_health(std::string_view path, const http::Request& request, const Fields& fields) noexcept {
    return path == "/health" && (request.method == "GET" || request.method == "HEAD") &&
           scope_service(fields.credentials.authorization, request.query).empty();
  }

  awaitable<void> serve(Fields fields, http::Request& request, http::ResponseWriter& writer) {
    Lease lease;
    lease->new_ids(operations_.environment().random);
    if (request.method == "OPTIONS" && !fields.origin.empty()) {
      co_await preflight(fields, *lease, writer);
      co_return;
    }
    const Route route = find_route(fields, request);
    if (route.converted()) {
      co_await convert(route, fields, request, *lease, writer);
      co_return;
    }
    std::string_view body;
    const bool post = request.method == "POST";
    if ((post && !route.unserved) || route.query_action) {
      const bool pushes = route.operation && route.operation->operation->pushes;
      const std::size_t bytes_max = pushes ? kPushingRequestBytesMax : options_.body_bytes_max;
      const auto collected = co_await request.body->collect(bytes_max);
      if (!collected) {
        co_await answer_unread(collected.error().code, bytes_max, route, fields, *lease, writer);
        co_return;
      }
      body = *collected;
    }
    // Nothing but an object reaches an operation, and each says so itself: its text is looked at once.
    if (post && route.operation && typed(route, fields) && !body.empty()) {
      std::optional<Signer> signer;
      if (options_.multi_account) signer.emplace();
      if (!refuse(route, body, fields, request, signer ? &*signer : nullptr)) {
        co_await run(*route.operation, body, fields, signer, *lease, writer);
        co_return;
      }
    }
    co_await refuse(route, body, fields, request, *lease, writer);
  }

  Route find_route(const Fields& fields, const http::Request& request) const {
    Route route;
    if (const auto rpc = read_rpc_path(request.path)) {
      route.service = operations_.service_by_target(rpc->service);
      route.rpc = rpc->operation;
      if (route.converted()) return route;
      route = {};
    }
    for (const services::Service& service : operations_.services())
      if (http::same_token(service.name, fields.host.service)) route.service = &service;
    const auto dot = fields.target.find('.');
    const std::string_view prefix = fields.target.substr(0, dot);
    // A host may be called kinesis.something and still be asked for Firehose: a target that is served decides.
    if (const services::Service* service = operations_.service_by_target(prefix)) {
      route.service = service;
      if (dot != std::string_view::npos) {
        const std::string_view name = fields.target.substr(dot + 1);
        route.operation = operations_.find(*service, name.substr(0, name.find('.')));
      }
      return route;
    }
    if (route.service) return route;
    if (const auto title = services::known_unserved_service(prefix); title && !fields.target.empty()) {
      route.unserved = title;
      return route;
    }
    const std::string_view scope = scope_service(fields.credentials.authorization, request.query);
    route.service = operations_.service_by_name(scope);
    if (route.service) return route;
    if (const auto title = services::known_unserved_service(scope)) {
      route.unserved = title;
      route.protocol = protocol_of(scope);
      return route;
    }
    if (std::string_view path = request.path; take_prefix(path, "/restapis")) {
      route.unserved = services::known_unserved_service("apigateway");
      return route;
    }
    route.query_action = fields.target.empty() && (fields.content_type == "application/x-www-form-urlencoded" ||
                                                   has_parameter(request.query, "Action"));
    return route;
  }

  /// Whether the body is of a type that the service takes, as far as there is a service.
  static bool typed(const Route& route, const Fields& fields) noexcept {
    return fields.content_type == kJsonType ||
           (fields.content_type == kCborType && (!route.service || route.service->cbor));
  }

  /// The checks of a signature, with a known operation.
  std::optional<services::ServiceError> refuse(const Route& route, std::string_view body, const Fields& fields,
                                               const http::Request& request, Signer* signer = nullptr) const {
    return authenticator_.refuse(fields.credentials, request, body, route.service->name, signer);
  }

  /// Whose call it is. Its environment is null where there are several accounts, and no room for another one.
  awaitable<Caller> caller_of(const Signer& signer) {
    Caller caller{&operations_.environment(), signer.session ? &*signer.session : nullptr};
    services::Accounts* const accounts = caller.environment->accounts;
    if (!options_.multi_account || !accounts) co_return caller;
    const std::string& account = signer.account.empty() ? caller.environment->account_id : signer.account;
    const std::string& region = signer.region.empty() ? caller.environment->region : signer.region;
    caller.environment = accounts->find(account, region);
    if (!caller.environment) caller.environment = co_await accounts->of(account, region);
    co_return caller;
  }

  static services::ServiceError too_many_accounts() {
    return {
        "LimitExceededException", 400,
        "There are " + std::to_string(services::Accounts::kMost) + " accounts and regions here: no more are taken."};
  }

  /// A request to a service that is asked by forms and by RPC v2 CBOR, too.
  awaitable<void> convert(const Route& route, const Fields& fields, http::Request& request, Exchange& exchange,
                          http::ResponseWriter& writer) {
    const auto collected = co_await request.body->collect(kConvertedBytesMax);
    if (!collected) {
      co_await answer_unread(collected.error().code, kConvertedBytesMax, route, fields, exchange, writer);
      co_return;
    }
    const Converted as = route.rpc ? Converted::rpc : fields.target.empty() ? Converted::form : Converted::json;
    services::Reply& reply = exchange.reply;
    reply.clear();
    std::string operation;
    Signer signer;
    reply.error = refuse_converted(route, as, *collected, fields, request, operation, signer);
    Caller caller;
    if (!reply.error) {
      caller = co_await caller_of(signer);
      if (!caller.environment) reply.error = too_many_accounts();
    }
    if (!reply.error) {
      std::string_view body = *collected;
      std::optional<std::string> plain, json;
      const bool packed = http::same_token(request.headers.get("content-encoding"), "gzip");
      if (packed) plain = codec::gunzip(body, kConvertedBytesMax);
      if (plain) body = *plain;
      const Operations::Entry& entry = *operations_.find(*route.service, operation);
      if (packed && !plain)
        reply.error = services::ServiceError{"SerializationException", 400, "The body is not in gzip, or too large."};
      else if (as == Converted::form)
        json = json_of_form(body.empty() ? request.query : body, entry.operation->input);
      else if (as == Converted::rpc)
        json = json_of_cbor(body.empty() ? std::string_view("\xA0") : body);
      else
        json = std::string(body);
      if (json)
        (void)co_await operations_.run(entry, exchange.request_id(), *json, reply, services::Wire::json, caller);
      else if (!reply.error)
        reply.error = services::ServiceError{"SerializationException", 400, ""};
    }
    co_await send_converted(*route.service, as, operation, fields, request, exchange, writer);
  }

  std::optional<services::ServiceError> refuse_converted(const Route& route, Converted as, std::string_view body,
                                                         const Fields& fields, const http::Request& request,
                                                         std::string& operation, Signer& signer) const {
    std::string version(route.service->query_version);
    const std::string_view form = body.empty() ? request.query : body;
    if (as == Converted::rpc) {
      operation = *route.rpc;
    } else if (as == Converted::json) {
      const auto dot = fields.target.find('.');
      operation = fields.target.substr(dot == std::string_view::npos ? fields.target.size() : dot + 1);
    } else {
      operation = form_parameter(form, "Action");
      if (const std::string said = form_parameter(form, "Version"); !said.empty()) version = said;
    }
    if (!operations_.find(*route.service, operation) || version != route.service->query_version)
      return services::ServiceError{"UnknownOperationException", as == Converted::form ? 400 : 404,
                                    "Could not find operation " + operation + " for version " + version};
    return refuse(route, body, fields, request, &signer);
  }

  static awaitable<void> send_converted(const services::Service& service, Converted as, std::string_view operation,
                                        const Fields& fields, const http::Request& request, Exchange& exchange,
                                        http::ResponseWriter& writer) {
    const services::Reply& reply = exchange.reply;
    int status = reply.error ? reply.error->status : 200;
    std::string body(reply.body.view()), query_error_header;
    ReplyFields reply_fields;
    if (as == Converted::form) {
      if (reply.error && forbids(reply.error->type)) status = 403;
      body = reply.error ? query_error(service, *reply.error, exchange.request_id())
                         : query_reply(service, operation, body, exchange.request_id());
    } else {
      if (reply.error) {
        Buffer out;
        services::write_error_body(*reply.error, out);
        body = out.view();
        query_error_header = query_code(reply.error->type) + (status < 500 ? ";Sender" : ";Receiver");
      }
      if (body.empty()) body = "{}";
      if (as == Converted::rpc) body = cbor_of_json(body);
    }
    reply_fields.fill(as == Converted::form  ? kXmlType
                      : as == Converted::rpc ? kRpcCborType
                                             : kOldJsonType,
                      fields, exchange);
    if (as == Converted::rpc) reply_fields.add("smithy-protocol", "rpc-v2-cbor");
    if (!query_error_header.empty() && request.headers.get("x-amzn-query-mode") == "true")
      reply_fields.add("x-amzn-query-error", query_error_header);
    const http::ResponseHead head{status, reply_fields.span()};
    const Slice slice{body, {}};
    (void)co_await writer.send(head, std::span(&slice, 1));
  }

  awaitable<void> run(const Operations::Entry& entry, std::string_view body, const Fields& fields,
                      const std::optional<Signer>& signer, Exchange& exchange, http::ResponseWriter& writer) {
    services::Reply& reply = exchange.reply;
    const std::string_view content_type = content_type_of(fields.wire);
    Caller caller;
    if (signer) {
      caller = co_await caller_of(*signer);
      if (!caller.environment) {
        co_await send_error(too_many_accounts(), fields, exchange, writer);
        co_return;
      }
    }
    const int status = co_await operations_.run(entry, exchange.request_id(), body, reply, fields.wire, caller);
    if (reply.pushed) {
      co_await push(fields, exchange, writer);
      co_return;
    }
    if (!reply.pieces) {
      co_await send(status, content_type, reply.body.view(), fields, exchange, writer);
      co_return;
    }
    const std::uint64_t size = reply.pieces->size();
    if (size <= kOneSendBytesMax) {
      while (reply.pieces->next(exchange.pieces)) {
      }
      co_await send(status, content_type, exchange.pieces.view(), fields, exchange, writer);
      co_return;
    }
    const Reservation reserved =
        Reservation::take(operations_.environment().budget, Account::replies, reply.pieces->piece_bytes_max());
    if (!reserved) {
      co_await send_error(no_memory(entry.service->name), fields, exchange, writer);
      co_return;
    }
    ReplyFields reply_fields;
    reply_fields.fill(content_type, fields, exchange);
    const http::ResponseHead head{status, reply_fields.span()};
    auto written = co_await writer.start(head, size);
    while (written && reply.pieces->next(exchange.pieces)) {
      const Slice piece{exchange.pieces.view(), {}};
      written = co_await writer.write(piece);
      exchange.pieces.clear();
    }
    if (written) (void)co_await writer.finish();
  }

  static awaitable<void> push(const Fields& fields, Exchange& exchange, http::ResponseWriter& writer) {
    // It may last: what others would reuse is not kept from them.
    exchange.pieces.release();
    exchange.reply.body.release();
    services::Pushed& pushed = *exchange.reply.pushed;
    ReplyFields reply_fields;
    reply_fields.fill(pushed.content_type(), fields, exchange);
    const http::ResponseHead head{200, reply_fields.span()};
    auto written = co_await writer.start(head, std::nullopt);
    for (std::size_t at_once = 0; written;) {
      const std::string_view next = co_await pushed.next();
      if (next.empty()) break;
      const Slice piece{next, {}};
      written = co_await writer.write(piece);
      // With much to say and a peer that takes it all, it would never wait: the core's others have their turn.
      at_once += next.size();
      if (at_once < kPushedAtOnce) continue;
      at_once = 0;
      co_await boost::asio::post(use_awaitable);
    }
    if (written) (void)co_await writer.finish();
  }

  /// The rows of AWS's checks that refuse, in AWS's order; reached by no request that is well-formed, signed and known.
  awaitable<void> refuse(const Route& route, std::string_view body, const Fields& fields, const http::Request& request,
                         Exchange& exchange, http::ResponseWriter& writer) {
    const bool action =
        route.query_action && ((has_parameter(body, "Action") && has_parameter(body, "Version")) ||
                               (has_parameter(request.query, "Action") && has_parameter(request.query, "Version")));
    if (route.unserved || action) {
      const std::string_view title = route.unserved.value_or("The query API of this AWS service");
      std::string message(title);
      message.append(" is not served here; ").append(served_names_).append(" are.");
      log_unserved(title);
      const UnservedReply reply =
          unserved_reply(action ? Protocol::query : route.protocol, message, exchange.request_id());
      co_await send(reply.status, reply.content_type, reply.body, fields, exchange, writer);
      co_return;
    }
    const bool known_type = typed(route, fields), plain_json = fields.content_type == kPlainJsonType;
    if (request.method != "POST") {
      co_await send(403, {}, kAccessDeniedXml, fields, exchange, writer);
    } else if (body.empty()) {
      const std::string_view type = route.operation ? "SerializationException" : "UnknownOperationException";
      // CBOR unless the request says JSON.
      services::Reply& reply = exchange.reply;
      const services::Wire wire = fields.content_type == kJsonType ? services::Wire::json : services::Wire::cbor;
      services::write_error_body({std::string(type), 400, ""}, reply.body, wire);
      co_await send(400, content_type_of(wire), reply.body.view(), fields, exchange, writer);
    } else if (!known_type && !plain_json) {
      const int status = route.operation ? 404 : 403;
      co_await send(status, {}, route.operation ? kUnknownOperationXml : kAccessDeniedXml, fields, exchange, writer);
    } else if (!is_object(body, fields.wire)) {
      if (known_type) {
        co_await send_type("SerializationException", fields, exchange, writer);
      } else {
        const std::string text = coral_error("SerializationException");
        co_await send(400, kPlainJsonType, text, fields, exchange, writer);
      }
    } else if (plain_json) {
      const std::string text = coral_error("UnknownOperationException");
      co_await send(404, kPlainJsonType, text, fields, exchange, writer);
    } else if (!route.operation) {
      co_await send_type("UnknownOperationException", fields, exchange, writer);
    } else {
      const std::optional<services::ServiceError> refused = refuse(route, body, fields, request);
      co_await send_error(*refused, fields, exchange, writer);
    }
  }

  /// The body did not come.
  awaitable<void> answer_unread(http::Errc why, std::size_t bytes_max, const Route& route, const Fields& fields,
                                Exchange& exchange, http::ResponseWriter& writer) {
    services::ServiceError error;
    switch (why) {
      case http::Errc::peer_gone:
        co_return;
      case http::Errc::too_large:
        error = {"RequestEntityTooLargeException", 413,
                 "The request is larger than the " + std::to_string(bytes_max) + " bytes taken here."};
        break;
      case http::Errc::no_memory:
        error = no_memory(route.service ? route.service->name : std::string_view{});
        break;
      case http::Errc::malformed:
        error = {"SerializationException", 400, ""};
        break;
    }
    co_await send_error(error, fields, exchange, writer);
  }

  static services::ServiceError no_memory(std::string_view service) {
    if (service == "firehose") return {"ServiceUnavailableException", 503, "Slow down."};
    return {"ProvisionedThroughputExceededException", 400,
            "Rate exceeded. The memory limit of this server is reached."};
  }

  /// The headers of one reply.
  struct ReplyFields {
    std::array<http::Header, 7> fields;
    std::size_t count = 0;

    void add(std::string_view name, std::string_view value) { fields[count++] = {name, value}; }
    void fill(std::string_view content_type, const Fields& request, const Exchange& exchange) {
      add("x-amzn-RequestId", exchange.request_id());
      add("x-amz-id-2", exchange.id2());
      if (!content_type.empty()) add("Content-Type", content_type);
      if (!request.origin.empty()) {
        add("Access-Control-Allow-Origin", "*");
        add("Access-Control-Expose-Headers",
            "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date");
      }
    }
    std::span<const http::Header> span() const noexcept { return std::span(fields).first(count); }
  };

  static awaitable<void> send(int status, std::string_view content_type, std::string_view body, const Fields& fields,
                              const Exchange& exchange, http::ResponseWriter& writer) {
    ReplyFields reply_fields;
    reply_fields.fill(content_type, fields, exchange);
    const http::ResponseHead head{status, reply_fields.span()};
    const Slice slice{body, {}};
    (void)co_await writer.send(head, std::span(&slice, 1));  // a peer that is gone needs nothing more
  }

  static awaitable<void> send_error(const services::ServiceError& error, const Fields& fields, Exchange& exchange,
                                    http::ResponseWriter& writer) {
    exchange.reply.clear();
    services::write_error_body(error, exchange.reply.body, fields.wire);
    return send(error.status, content_type_of(fields.wire), exchange.reply.body.view(), fields, exchange, writer);
  }

  static awaitable<void> send_type(std::string_view type, const Fields& fields, Exchange& exchange,
                                   http::ResponseWriter& writer) {
    const services::ServiceError error{std::string(type), 400, ""};
    return send_error(error, fields, exchange, writer);
  }

  static awaitable<void> preflight(const Fields& fields, const Exchange& exchange, http::ResponseWriter& writer) {
    std::array<http::Header, 5> headers;
    std::size_t count = 0;
    headers[count++] = {"x-amzn-RequestId", exchange.request_id()};
    headers[count++] = {"Access-Control-Allow-Origin", "*"};
    if (!fields.request_headers.empty()) headers[count++] = {"Access-Control-Allow-Headers", fields.request_headers};
    if (!fields.request_method.empty()) headers[count++] = {"Access-Control-Allow-Methods", fields.request_method};
    headers[count++] = {"Access-Control-Max-Age", "172800"};
    const http::ResponseHead head{200, std::span(headers).first(count)};
    (void)co_await writer.send(head, {});
  }

  void log_unserved(std::string_view title) {
    const bool first = logged_.with([&](std::set<std::string_view>& logged) { return logged.insert(title).second; });
    if (first) logging::warn("asked for an AWS service that is not served", {{"service", title}});
  }

  Operations& operations_;
  gateway::Gateway& gateway_;
  const AdminHandler admin_;
  const Options options_;
  const Authenticator authenticator_;
  std::string served_names_;
  Guarded<std::set<std::string_view>> logged_;  // titles, which are static
};

}  // namespace

std::unique_ptr<http::Handler> make_aws_handler(Operations& operations, gateway::Gateway& gateway, AdminHandler admin,
                                                Options options) {
  return std::make_unique<AwsHandler>(operations, gateway, std::move(admin), options);
}

}  // namespace millrace::front
