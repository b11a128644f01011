#include "front/authentication.hpp"

#include <string>

#include "millrace/codec/json_reader.hpp"

namespace millrace::front {

namespace {

/// The value of one part of an Authorization header, as AWS takes it apart: after the scheme's name, parts between
/// commas or blanks, each up to its second '='.
std::string_view header_part(std::string_view authorization, std::string_view name) noexcept {
  std::size_t at = authorization.find_first_of(", ");
  while (at != std::string_view::npos) {
    const std::size_t end = authorization.find_first_of(", ", ++at);
    const std::string_view part = authorization.substr(at, end == std::string_view::npos ? end : end - at);
    if (part.size() > name.size() && part.starts_with(name) && part[name.size()] == '=') {
      const std::string_view value = part.substr(name.size() + 1);
      return value.substr(0, value.find('='));
    }
    at = end;
  }
  return {};
}

/// Header bytes may be anything; a reply is UTF-8.
std::string printable(std::string_view text) {
  std::string out(text);
  if (!codec::valid_utf8(text))
    for (char& c : out)
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
  return out;
}

}  // namespace

bool has_parameter(std::string_view query, std::string_view name) noexcept {
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    if (part.starts_with(name) && (part.size() == name.size() || part[name.size()] == '=')) return true;
    query.remove_prefix(std::min(query.size(), part.size() + 1));
  }
  return false;
}

std::string_view parameter(std::string_view query, std::string_view name) noexcept {
  while (!query.empty()) {
    const std::string_view part = query.substr(0, query.find('&'));
    if (part.size() > name.size() && part.starts_with(name) && part[name.size()] == '=')
      return part.substr(name.size() + 1);
    query.remove_prefix(std::min(query.size(), part.size() + 1));
  }
  return {};
}

std::optional<services::ServiceError> missing_authentication(const Credentials& credentials, std::string_view query) {
  const bool by_header = !credentials.authorization.empty();
  const bool by_query = has_parameter(query, "X-Amz-Algorithm");
  if (by_header && by_query)
    return services::ServiceError{
        "InvalidSignatureException", 400,
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."};
  if (!by_header && !by_query)
    return services::ServiceError{"MissingAuthenticationTokenException", 400, "Missing Authentication Token"};
  std::string missing;
  if (by_header) {
    for (const char* part : {"Credential", "Signature", "SignedHeaders"})
      if (header_part(credentials.authorization, part).empty())
        missing.append("Authorization header requires '").append(part).append("' parameter. ");
    if (!credentials.dated)
      missing += "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";
    if (!missing.empty()) missing += "Authorization=" + printable(credentials.authorization);
  } else {
    for (const char* name :
         {"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"})
      if (!has_parameter(query, name))
        missing.append("AWS query-string parameters must include '").append(name).append("'. ");
    if (!missing.empty()) missing += "Re-examine the query-string parameters.";
  }
  if (missing.empty()) return std::nullopt;
  return services::ServiceError{"IncompleteSignatureException", 400, std::move(missing)};
}

std::string_view scope_service(std::string_view authorization, std::string_view query) noexcept {
  // AKID/20261120/us-east-1/kinesis/aws4_request, its slashes percent-encoded in a query.
  std::string_view scope = header_part(authorization, "Credential");
  std::string_view slash = "/";
  if (scope.empty()) {
    scope = parameter(query, "X-Amz-Credential");
    if (scope.find('/') == std::string_view::npos) slash = scope.find("%2F") != std::string_view::npos ? "%2F" : "%2f";
  }
  const auto end = scope.rfind(slash);
  if (end == std::string_view::npos || end == 0) return {};
  const auto begin = scope.rfind(slash, end - 1);
  if (begin == std::string_view::npos) return {};
  return scope.substr(begin + slash.size(), end - begin - slash.size());
}

}  // namespace millrace::front
