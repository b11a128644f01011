#include "millrace/codec/sigv4.hpp"

#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <utility>
#include <vector>

#include "millrace/base/digest.hpp"
#include "millrace/codec/percent.hpp"

namespace millrace::codec::sigv4 {

namespace {

constexpr char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

constexpr bool unreserved(char c) noexcept {
  return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
}

void encode(std::string_view text, std::string& out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : text) {
    if (unreserved(c)) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kDigits[byte >> 4];
    out += kDigits[byte & 0xf];
  }
}

/// The part up to `separator`, which is taken away with it.
std::string_view take(std::string_view& text, char separator) noexcept {
  const std::size_t end = std::min(text.find(separator), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(text.size(), end + 1));
  return part;
}

/// Without `.`, `..` and empty segments; what is encoded is so once more.
void canonical_path(std::string_view path, std::string& out) {
  const bool directory = path.ends_with('/');
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    const std::string_view segment = take(path, '/');
    if (segment == "..") {
      if (!segments.empty()) segments.pop_back();
    } else if (!segment.empty() && segment != ".") {
      segments.push_back(segment);
    }
  }
  for (const std::string_view segment : segments) {
    out += '/';
    encode(segment, out);
  }
  if (directory || segments.empty()) out += '/';
}

void canonical_query(std::string_view query, std::string& out) {
  std::vector<std::pair<std::string, std::string>> parameters;
  while (!query.empty()) {
    std::string_view value = take(query, '&');
    if (value.empty()) continue;
    const std::string name = decode_form(take(value, '='));
    if (name == "X-Amz-Signature") continue;
    std::pair<std::string, std::string>& encoded = parameters.emplace_back();
    encode(name, encoded.first);
    encode(decode_form(value), encoded.second);
  }
  std::sort(parameters.begin(), parameters.end());
  for (const auto& [name, value] : parameters) {
    if (&name != &parameters.front().first) out += '&';
    out.append(name).append("=").append(value);
  }
}

/// Blanks around are gone, several in a row are one.
void canonical_value(std::string_view value, std::string& out) {
  bool blank = false, begun = false;
  for (const char c : value) {
    if (c == ' ' || c == '\t') {
      blank = begun;
      continue;
    }
    if (std::exchange(blank, false)) out += ' ';
    out += c;
    begun = true;
  }
}

std::optional<int> number(std::string_view digits) noexcept {
  int out = 0;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    out = out * 10 + (c - '0');
  }
  return out;
}

std::optional<std::chrono::sys_seconds> time_of(std::string_view year, unsigned month, std::string_view day,
                                                std::string_view hour, std::string_view minute,
                                                std::string_view second) noexcept {
  const auto y = number(year), d = number(day), h = number(hour), m = number(minute), s = number(second);
  if (!y || !d || !h || !m || !s || *h > 23 || *m > 59 || *s > 60) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*y}, std::chrono::month{month},
                                         std::chrono::day{static_cast<unsigned>(*d)}};
  if (!date.ok()) return std::nullopt;
  return std::chrono::sys_days{date} + std::chrono::hours{*h} + std::chrono::minutes{*m} + std::chrono::seconds{*s};
}

}  // namespace

std::optional<Credential> parse_credential(std::string_view text) noexcept {
  if (std::count(text.begin(), text.end(), '/') != 4) return std::nullopt;
  Credential out;
  for (std::string_view* part : {&out.access_key_id, &out.date, &out.region, &out.service}) *part = take(text, '/');
  out.terminator = text;
  return out;
}

std::optional<std::chrono::sys_seconds> parse_time(std::string_view text) noexcept {
  // 20261120T101500Z
  if (text.size() == 16 && text[8] == 'T' && text[15] == 'Z') {
    const auto month = number(text.substr(4, 2));
    if (!month) return std::nullopt;
    return time_of(text.substr(0, 4), static_cast<unsigned>(*month), text.substr(6, 2), text.substr(9, 2),
                   text.substr(11, 2), text.substr(13, 2));
  }
  // Fri, 20 Nov 2026 10:15:00 GMT
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || text.substr(3, 2) != ", " || text.substr(25) != " GMT" || text[7] != ' ' ||
      text[11] != ' ' || text[16] != ' ' || text[19] != ':' || text[22] != ':')
    return std::nullopt;
  const std::size_t month = kMonths.find(text.substr(8, 3));
  if (month == std::string_view::npos || month % 3 != 0) return std::nullopt;
  return time_of(text.substr(12, 4), static_cast<unsigned>(month / 3 + 1), text.substr(5, 2), text.substr(17, 2),
                 text.substr(20, 2), text.substr(23, 2));
}

std::string time_text(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  char text[32];
  std::snprintf(text, sizeof text, "%04d%02u%02uT%02d%02d%02dZ", static_cast<int>(date.year()),
                static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
                static_cast<int>(clock.seconds().count()));
  return text;
}

std::string canonical_request(const http::Request& request, std::string_view signed_headers,
                              std::string_view payload_hash) {
  std::string out;
  out.reserve(1024);
  out.append(request.method).append("\n");
  canonical_path(request.path, out);
  out += '\n';
  canonical_query(request.query, out);
  out += '\n';
  for (std::string_view left = signed_headers; !left.empty();) {
    const std::string_view name = take(left, ';');
    out.append(name).append(":");
    bool first = true;
    for (const http::Header& field : request.headers) {
      if (!http::same_token(field.name, name)) continue;
      if (!std::exchange(first, false)) out += ',';
      canonical_value(field.value, out);
    }
    out += '\n';
  }
  out.append("\n").append(signed_headers).append("\n").append(payload_hash);
  return out;
}

std::string string_to_sign(std::string_view time, const Credential& scope, std::string_view canonical_request) {
  std::string out(kAlgorithm);
  out.append("\n").append(time).append("\n").append(scope.date).append("/").append(scope.region).append("/");
  out.append(scope.service).append("/").append(kTerminator).append("\n").append(hash_text(canonical_request));
  return out;
}

std::string hexadecimal(std::span<const std::uint8_t> bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    out += kDigits[byte >> 4];
    out += kDigits[byte & 0xf];
  }
  return out;
}

std::string hash_text(std::string_view bytes) { return hexadecimal(sha256(bytes)); }

void SigningKey::Free::operator()(evp_mac_ctx_st* context) const noexcept { EVP_MAC_CTX_free(context); }

SigningKey::SigningKey(std::string_view secret_access_key, const Credential& scope) {
  std::string key = "AWS4";
  key += secret_access_key;
  for (const std::string_view part : {scope.date, scope.region, scope.service, kTerminator}) {
    const auto next = hmac_sha256(key, part);
    key.assign(next.begin(), next.end());
  }
  static EVP_MAC* const hmac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  context_.reset(EVP_MAC_CTX_new(hmac));
  char digest[] = "SHA256";
  const OSSL_PARAM parameters[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
  const auto* bytes = reinterpret_cast<const unsigned char*>(key.data());
  if (!context_ || EVP_MAC_init(context_.get(), bytes, key.size(), parameters) != 1) throw std::bad_alloc();
}

std::array<std::uint8_t, 32> SigningKey::sign(std::string_view string_to_sign) {
  std::array<std::uint8_t, 32> out{};
  std::size_t size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(string_to_sign.data());
  // The key stays.
  if (EVP_MAC_init(context_.get(), nullptr, 0, nullptr) != 1 ||
      EVP_MAC_update(context_.get(), bytes, string_to_sign.size()) != 1 ||
      EVP_MAC_final(context_.get(), out.data(), &size, out.size()) != 1)
    throw std::bad_alloc();
  return out;
}

}  // namespace millrace::codec::sigv4
