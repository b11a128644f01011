#include "front/authentication.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>

#include "millrace/codec/json_reader.hpp"
#include "millrace/codec/percent.hpp"
#include "millrace/codec/sigv4.hpp"
#include "millrace/services/accounts.hpp"

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

using services::ServiceError;
namespace sigv4 = codec::sigv4;

constexpr std::chrono::minutes kSkewMax{5};
constexpr std::chrono::seconds kExpiresMax = std::chrono::days{7};

ServiceError incomplete(std::string message) { return {"IncompleteSignatureException", 400, std::move(message)}; }
ServiceError invalid(std::string message) { return {"InvalidSignatureException", 400, std::move(message)}; }

/// A signature as the request has it.
struct Signed {
  std::string algorithm, credential, signed_headers, signature, time;
  std::chrono::seconds expires = kSkewMax;
};

std::optional<ServiceError> read_query(std::string_view query, Signed& out) {
  const auto value = [query](std::string_view name) { return codec::decode_form(parameter(query, name)); };
  out = {value("X-Amz-Algorithm"), value("X-Amz-Credential"), value("X-Amz-SignedHeaders"), value("X-Amz-Signature"),
         value("X-Amz-Date")};
  if (!has_parameter(query, "X-Amz-Expires")) return std::nullopt;
  const std::string expires = value("X-Amz-Expires");
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(expires.data(), expires.data() + expires.size(), seconds);
  if (error != std::errc{} || end != expires.data() + expires.size())
    return incomplete("X-Amz-Expires should be a number");
  if (seconds < 0) return incomplete("X-Amz-Expires must be non-negative");
  if (std::chrono::seconds{seconds} > kExpiresMax)
    return incomplete(
        "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
        "604800 seconds");
  out.expires = std::chrono::seconds{seconds};
  return std::nullopt;
}

Signed read_header(const Credentials& credentials, const http::Request& request) {
  const std::string_view text = credentials.authorization;
  Signed out;
  out.algorithm = text.substr(0, text.find(' '));
  out.credential = header_part(text, "Credential");
  out.signed_headers = header_part(text, "SignedHeaders");
  out.signature = header_part(text, "Signature");
  out.time = request.headers.get("x-amz-date");
  if (out.time.empty()) out.time = request.headers.get("date");
  return out;
}

/// What is wrong with where and when the key is for.
/// @param region  empty: any
std::optional<ServiceError> check_scope(const sigv4::Credential& scope, std::string_view region,
                                        std::string_view service, const std::string& time) {
  if (region.empty() ? !services::is_region(scope.region) : scope.region != region)
    return invalid("Credential should be scoped to a valid region, not '" + printable(scope.region) + "'. ");
  if (scope.service != service)
    return invalid("Credential should be scoped to correct service: '" + std::string(service) + "'. ");
  if (scope.terminator != sigv4::kTerminator)
    return invalid("Credential should be scoped with a valid terminator: 'aws4_request', not '" +
                   printable(scope.terminator) + "'. ");
  if (const std::string day = time.substr(0, 8); scope.date != day)
    return invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '" +
                   printable(scope.date) + "' != '" + day + "', from '" + time + "'.");
  return std::nullopt;
}

std::optional<ServiceError> check_age(std::chrono::sys_seconds at, std::chrono::seconds lasts,
                                      std::chrono::sys_seconds now) {
  const auto because = [now](std::string_view sign, std::chrono::seconds by) {
    return " (" + sigv4::time_text(now).append(" ").append(sign).append(" ") +
           std::to_string(std::chrono::duration_cast<std::chrono::minutes>(by).count()) + " min.)";
  };
  if (at + lasts < now)
    return invalid("Signature expired: " + sigv4::time_text(at) + " is now earlier than " +
                   sigv4::time_text(now - lasts) + because("-", lasts));
  if (at > now + kSkewMax)
    return invalid("Signature not yet current: " + sigv4::time_text(at) + " is still later than " +
                   sigv4::time_text(now + kSkewMax) + because("+", kSkewMax));
  return std::nullopt;
}

/// The keys that a thread has made: one for each day, region, service and access key, and few of those.
sigv4::SigningKey& key_of(std::uint64_t authenticator, std::string_view secret, const sigv4::Credential& scope) {
  struct Kept {
    std::uint64_t authenticator = 0;
    std::string access_key_id, date, region, service;
    std::optional<sigv4::SigningKey> key;
  };
  constexpr std::size_t kKept = 16;
  thread_local std::array<Kept, kKept> kept;
  thread_local std::size_t oldest = 0;
  for (Kept& one : kept)
    if (one.authenticator == authenticator && one.access_key_id == scope.access_key_id && one.date == scope.date &&
        one.region == scope.region && one.service == scope.service)
      return *one.key;
  Kept& one = kept[oldest++ % kKept];
  one = {authenticator,
         std::string(scope.access_key_id),
         std::string(scope.date),
         std::string(scope.region),
         std::string(scope.service),
         {}};
  return one.key.emplace(secret, scope);
}

std::uint64_t next_number() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

/// AWS's refusal when the signature's parts are not all there.
std::optional<ServiceError> missing_authentication(const Credentials& credentials, std::string_view query) {
  const bool by_header = !credentials.authorization.empty();
  const bool by_query = has_parameter(query, "X-Amz-Algorithm");
  if (by_header && by_query)
    return ServiceError{"InvalidSignatureException", 400,
                        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."};
  if (!by_header && !by_query)
    return ServiceError{"MissingAuthenticationTokenException", 400, "Missing Authentication Token"};
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
  return ServiceError{"IncompleteSignatureException", 400, std::move(missing)};
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

std::string session_token(const http::Request& request) {
  if (const std::string_view header = request.headers.get("x-amz-security-token"); !header.empty())
    return std::string(header);
  return codec::decode_percent(parameter(request.query, "X-Amz-Security-Token"));
}

Authenticator::Authenticator(const Options& options)
    : mode_(options.auth),
      multi_account_(options.multi_account),
      region_(options.region),
      sessions_(options.sessions),
      now_(options.system_time
               ? options.system_time
               : [] { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }),
      number_(next_number()) {
  for (const AccessKey& key : options.access_keys) keys_.try_emplace(key.id, Known{key.secret, key.account});
}

std::optional<ServiceError> Authenticator::refuse(const Credentials& credentials, const http::Request& request,
                                                  std::string_view body, std::string_view service,
                                                  Signer* signer) const {
  if (mode_ != AuthMode::ignore)
    if (auto missing = missing_authentication(credentials, request.query)) return missing;
  if (mode_ == AuthMode::verify) return verify(credentials, request, body, service, signer);
  if (signer) take_as_said(credentials, request, *signer);
  return std::nullopt;
}

void Authenticator::take_as_said(const Credentials& credentials, const http::Request& request, Signer& signer) const {
  if (const std::string token = session_token(request); !token.empty() && sessions_)
    signer.session = sessions_->open(token);
  if (!multi_account_) return;
  std::string said(header_part(credentials.authorization, "Credential"));
  if (said.empty()) said = codec::decode_form(parameter(request.query, "X-Amz-Credential"));
  if (const auto scope = sigv4::parse_credential(said)) {
    if (services::is_account(scope->access_key_id)) signer.account = scope->access_key_id;
    if (services::is_region(scope->region)) signer.region = scope->region;
  }
  if (signer.session) signer.account = signer.session->account();
}

std::optional<ServiceError> Authenticator::verify(const Credentials& credentials, const http::Request& request,
                                                  std::string_view body, std::string_view service,
                                                  Signer* signer) const {
  Signed given;
  if (credentials.authorization.empty()) {
    if (auto wrong = read_query(request.query, given)) return wrong;
  } else {
    given = read_header(credentials, request);
  }
  if (given.algorithm != sigv4::kAlgorithm)
    return incomplete("Unsupported AWS 'algorithm': '" + printable(given.algorithm) +
                      "' (only AWS4-HMAC-SHA256 for now). ");
  const auto scope = sigv4::parse_credential(given.credential);
  if (!scope)
    return incomplete(
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '" +
        printable(given.credential) + "'");
  const auto at = sigv4::parse_time(given.time);
  if (!at)
    return incomplete("Date must be in ISO-8601 'basic format'. Got '" + printable(given.time) +
                      "'. See http://en.wikipedia.org/wiki/ISO_8601");
  const std::string time = sigv4::time_text(*at);
  if (auto wrong = check_scope(*scope, multi_account_ ? std::string_view{} : region_, service, time)) return wrong;
  if ((";" + given.signed_headers + ";").find(";host;") == std::string::npos)
    return invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.");
  if (auto wrong = check_age(*at, given.expires, now_())) return wrong;
  std::string_view secret, account;
  std::optional<services::Session> session;
  if (const std::string token = session_token(request); !token.empty()) {
    if (sessions_) session = sessions_->open(token);
    if (session && session->access_key_id == scope->access_key_id) secret = session->secret;
  } else if (const auto found = keys_.find(scope->access_key_id); found != keys_.end()) {
    secret = found->second.secret;
    account = found->second.account;
  }
  if (secret.empty())
    return ServiceError{"UnrecognizedClientException", 400, "The security token included in the request is invalid."};
  if (session && session->expires <= now_())
    return ServiceError{"ExpiredTokenException", 400, "The security token included in the request is expired"};

  const std::string canonical = sigv4::canonical_request(request, given.signed_headers, sigv4::hash_text(body));
  const std::string to_sign = sigv4::string_to_sign(time, *scope, canonical);
  const std::string right = sigv4::hexadecimal(key_of(number_, secret, *scope).sign(to_sign));
  const bool same =
      right.size() == given.signature.size() && CRYPTO_memcmp(right.data(), given.signature.data(), right.size()) == 0;
  if (same) {
    if (signer && multi_account_) {
      signer->account = session ? session->account() : account;
      signer->region = scope->region;
    }
    if (signer) signer->session = std::move(session);
    return std::nullopt;
  }
  return invalid(
      "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
      "and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request "
      "should have been\n'" +
      printable(canonical) + "'\n\nThe String-to-Sign should have been\n'" + printable(to_sign) + "'\n");
}

}  // namespace millrace::front
