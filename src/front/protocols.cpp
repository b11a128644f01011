#include "front/protocols.hpp"

#include <charconv>
#include <chrono>
#include <cmath>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "front/replies.hpp"
#include "front/routing.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/codec/cbor.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/codec/percent.hpp"

namespace millrace::front {
namespace {

using services::Field;
using services::Kind;

/// The parameters of a form by the parts of their names.
struct Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> below;
  std::string value;

  const Node* find(std::string_view name) const {
    const auto at = below.find(name);
    return at == below.end() ? nullptr : at->second.get();
  }
};

constexpr int kDepthMax = 16;
constexpr std::uint32_t kItemsMax = 10'000;

Node tree_of(std::string_view form) {
  Node root;
  while (!form.empty()) {
    const std::string_view part = form.substr(0, form.find('&'));
    form.remove_prefix(std::min(form.size(), part.size() + 1));
    const auto equals = std::min(part.find('='), part.size());
    const std::string name = codec::decode_form(part.substr(0, equals));
    Node* at = &root;
    std::string_view left = name;
    for (int depth = 0; !left.empty() && depth < kDepthMax; ++depth) {
      const std::string_view step = left.substr(0, left.find('.'));
      left.remove_prefix(std::min(left.size(), step.size() + 1));
      auto& below = at->below[std::string(step)];
      if (!below) below = std::make_unique<Node>();
      at = below.get();
    }
    if (left.empty()) at->value = codec::decode_form(part.substr(std::min(equals + 1, part.size())));
  }
  return root;
}

bool two_digits(std::string_view& text, int& value) {
  if (text.size() < 2 || text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9') return false;
  value = (text[0] - '0') * 10 + text[1] - '0';
  text.remove_prefix(2);
  return true;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

/// `2026-01-31T17:00:00.5Z`, or with an offset; epoch seconds.
std::optional<double> seconds_of(std::string_view text) {
  int century = 0, year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (!two_digits(text, century) || !two_digits(text, year) || !take(text, '-') || !two_digits(text, month) ||
      !take(text, '-') || !two_digits(text, day) || !take(text, 'T') || !two_digits(text, hour) || !take(text, ':') ||
      !two_digits(text, minute) || !take(text, ':') || !two_digits(text, second))
    return std::nullopt;
  double fraction = 0, place = 0.1;
  if (take(text, '.'))
    for (; !text.empty() && text[0] >= '0' && text[0] <= '9'; text.remove_prefix(1), place /= 10)
      fraction += place * (text[0] - '0');
  int offset = 0;
  if (!take(text, 'Z')) {
    const int sign = text.starts_with('-') ? -1 : 1;
    int hours = 0, minutes = 0;
    if (!(take(text, '+') || take(text, '-')) || !two_digits(text, hours) ||
        (take(text, ':'), !two_digits(text, minutes)))
      return std::nullopt;
    offset = sign * (hours * 60 + minutes);
  }
  const std::chrono::year_month_day date{std::chrono::year{century * 100 + year},
                                         std::chrono::month{static_cast<unsigned>(month)},
                                         std::chrono::day{static_cast<unsigned>(day)}};
  if (!text.empty() || !date.ok() || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  return static_cast<double>(((days * 24 + hour) * 60 + minute - offset) * 60 + second) + fraction;
}

void put_scalar(Kind kind, const std::string& value, std::string& out) {
  double number = 0;
  const char* const end = value.data() + value.size();
  switch (kind) {
    case Kind::integer:
    case Kind::long_integer:
    case Kind::real: {
      const auto [at, error] = std::from_chars(value.data(), end, number);
      if (error == std::errc{} && at == end && std::isfinite(number)) {
        out += nlohmann::json(number).dump();
        return;
      }
      break;
    }
    case Kind::boolean:
      if (value == "true" || value == "false") {
        out += value;
        return;
      }
      break;
    case Kind::timestamp:
      if (const auto seconds = seconds_of(value)) {
        out += nlohmann::json(*seconds).dump();
        return;
      }
      break;
    default:
      break;
  }
  codec::json_quote(value, out);
}

void put_members(const Node& node, std::span<const Field> members, std::string& out);

void put_list(const Node& node, const Field& field, std::string& out) {
  std::map<std::uint32_t, const Node*> items;
  if (const Node* member = node.find("member"))
    for (const auto& [name, item] : member->below) {
      std::uint32_t index = 0;
      const auto [at, error] = std::from_chars(name.data(), name.data() + name.size(), index);
      if (error == std::errc{} && at == name.data() + name.size() && index > 0 && index <= kItemsMax)
        items.emplace(index, item.get());
    }
  out += '[';
  bool first = true;
  for (const auto& [index, item] : items) {
    if (!std::exchange(first, false)) out += ',';
    if (field.item_kind == Kind::structure)
      put_members(*item, field.members, out);
    else
      put_scalar(field.item_kind, item->value, out);
  }
  out += ']';
}

void put_members(const Node& node, std::span<const Field> members, std::string& out) {
  out += '{';
  bool first = true;
  for (const Field& field : members) {
    const Node* const value = node.find(field.name);
    if (!value) continue;
    if (!std::exchange(first, false)) out += ',';
    codec::json_quote(field.name, out);
    out += ':';
    if (field.kind == Kind::structure)
      put_members(*value, field.members, out);
    else if (field.kind == Kind::list)
      put_list(*value, field, out);
    else
      put_scalar(field.kind, value->value, out);
  }
  out += '}';
}

codec::CborType peek_behind_tags(codec::CborReader& reader) {
  std::uint64_t tag = 0;
  while (reader.peek() == codec::CborType::tag && reader.read_tag(tag)) {
  }
  return reader.peek();
}

/// The next value as JSON; the reader bounds how deep it goes. Tags do not count: a time is a number of seconds.
bool put_json(codec::CborReader& reader, std::string& out) {
  using codec::CborType;
  std::string_view view;
  std::string scratch;
  bool first = true;
  switch (peek_behind_tags(reader)) {
    case CborType::integer: {
      codec::CborInteger integer;
      if (!reader.read_integer(integer)) return false;
      // -1 - n, also where that is no 64-bit number.
      if (integer.negative && integer.magnitude >= static_cast<std::uint64_t>(INT64_MAX))
        out += nlohmann::json(-1.0 - static_cast<double>(integer.magnitude)).dump();
      else
        out += integer.negative ? std::to_string(-1 - static_cast<std::int64_t>(integer.magnitude))
                                : std::to_string(integer.magnitude);
      return true;
    }
    case CborType::real: {
      double real = 0;
      if (!reader.read_real(real)) return false;
      // JSON has no infinity; this is one to whoever reads it.
      out += std::isinf(real) ? (real < 0 ? "-1e999" : "1e999") : nlohmann::json(real).dump();
      return true;
    }
    case CborType::bytes:
      if (!reader.read_bytes(view, scratch)) return false;
      out += '"';
      out += codec::base64::encode(view);
      out += '"';
      return true;
    case CborType::text:
      if (!reader.read_text(view, scratch)) return false;
      codec::json_quote(view, out);
      return true;
    case CborType::boolean: {
      bool truth = false;
      if (!reader.read_bool(truth)) return false;
      out += truth ? "true" : "false";
      return true;
    }
    case CborType::null:
      if (!reader.read_null()) return false;
      out += "null";
      return true;
    case CborType::array:
      if (!reader.begin_array()) return false;
      out += '[';
      while (reader.next_element()) {
        if (!std::exchange(first, false)) out += ',';
        if (!put_json(reader, out)) return false;
      }
      out += ']';
      return !reader.failed();
    case CborType::map:
      if (!reader.begin_map()) return false;
      out += '{';
      while (reader.next_member(view)) {
        if (!std::exchange(first, false)) out += ',';
        codec::json_quote(view, out);
        out += ':';
        if (!put_json(reader, out)) return false;
      }
      out += '}';
      return !reader.failed();
    case CborType::tag:
    case CborType::error:
      break;
  }
  return false;
}

void put_xml(const nlohmann::json& value, std::string& out) {
  if (value.is_object()) {
    for (const auto& [name, member] : value.items()) {
      out.append("<").append(name).append(">");
      put_xml(member, out);
      out.append("</").append(name).append(">");
    }
  } else if (value.is_array()) {
    for (const nlohmann::json& item : value) {
      out += "<member>";
      put_xml(item, out);
      out += "</member>";
    }
  } else {
    out += xml_text(value.is_string() ? value.get_ref<const std::string&>() : value.dump());
  }
}

}  // namespace

std::optional<RpcPath> read_rpc_path(std::string_view path) noexcept {
  if (!take_prefix(path, "/service")) return std::nullopt;
  RpcPath out;
  out.service = take_segment(path);
  if (take_segment(path) != "operation") return std::nullopt;
  out.operation = take_segment(path);
  if (out.service.empty() || out.operation.empty() || !path.empty()) return std::nullopt;
  return out;
}

std::optional<std::string> json_of_cbor(std::string_view body) {
  codec::CborReader reader(body);
  std::string out;
  if (peek_behind_tags(reader) != codec::CborType::map || !put_json(reader, out) || !reader.at_end())
    return std::nullopt;
  return out;
}

std::string cbor_of_json(std::string_view text) {
  std::string out;
  nlohmann::json::to_cbor(nlohmann::json::parse(text), out);
  return out;
}

std::string json_of_form(std::string_view form, std::span<const Field> members) {
  std::string out;
  put_members(tree_of(form), members, out);
  return out;
}

std::string form_parameter(std::string_view form, std::string_view name) {
  while (!form.empty()) {
    const std::string_view part = form.substr(0, form.find('&'));
    form.remove_prefix(std::min(form.size(), part.size() + 1));
    const auto equals = std::min(part.find('='), part.size());
    if (codec::decode_form(part.substr(0, equals)) == name)
      return codec::decode_form(part.substr(std::min(equals + 1, part.size())));
  }
  return {};
}

std::string query_reply(const services::Service& service, std::string_view operation, std::string_view output,
                        std::string_view request_id) {
  const std::string name(operation);
  std::string out = "<" + name + "Response xmlns=\"" + std::string(service.query_namespace) + "\">";
  if (!output.empty()) {
    out += "<" + name + "Result>";
    put_xml(nlohmann::json::parse(output), out);
    out += "</" + name + "Result>";
  }
  out.append("<ResponseMetadata><RequestId>").append(request_id).append("</RequestId></ResponseMetadata>");
  return out + "</" + name + "Response>";
}

std::string query_error(const services::Service& service, const services::ServiceError& error,
                        std::string_view request_id) {
  std::string out = "<ErrorResponse xmlns=\"" + std::string(service.query_namespace) + "\"><Error><Type>";
  out += error.status < 500 ? "Sender" : "Receiver";
  out += "</Type><Code>" + query_code(error.type) + "</Code><Message>" + xml_text(error.message) + "</Message></Error>";
  return out.append("<RequestId>").append(request_id).append("</RequestId></ErrorResponse>");
}

bool forbids(std::string_view type) noexcept {
  for (const std::string_view one :
       {"UnrecognizedClientException", "InvalidSignatureException", "MissingAuthenticationTokenException",
        "IncompleteSignatureException", "ExpiredTokenException"})
    if (type == one) return true;
  return false;
}

std::string query_code(std::string_view type) {
  constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"ValidationException", "ValidationError"},
      {"MissingRequiredParameterException", "MissingParameter"},
      {"SerializationException", "MalformedInput"},
      {"UnknownOperationException", "InvalidAction"},
      {"UnrecognizedClientException", "InvalidClientTokenId"},
      {"InvalidSignatureException", "SignatureDoesNotMatch"},
      {"MissingAuthenticationTokenException", "MissingAuthenticationToken"},
      {"IncompleteSignatureException", "IncompleteSignature"},
      {"AccessDeniedException", "AccessDenied"},
      {"InternalServiceFault", "InternalServiceError"}};
  for (const auto& [long_name, code] : kNames)
    if (type == long_name) return std::string(code);
  constexpr std::string_view kEnd = "Exception";
  return std::string(type.ends_with(kEnd) ? type.substr(0, type.size() - kEnd.size()) : type);
}

}  // namespace millrace::front
