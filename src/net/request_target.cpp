#include "net/request_target.hpp"

#include <algorithm>
#include <array>

#include "millrace/base/http.hpp"

namespace millrace::net {

namespace {

/// What a host and port are written with (RFC 3986: unreserved, sub-delims, escapes, an address in brackets). Not '@':
/// a host has no user here.
constexpr auto kHostChars = [] {
  std::array<bool, 256> chars{};
  for (int c = '0'; c <= '9'; ++c) chars[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) chars[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) chars[static_cast<std::size_t>(c)] = true;
  for (const char c : std::string_view("-._~!$&'()*+,;=%:[]")) chars[static_cast<unsigned char>(c)] = true;
  return chars;
}();

}  // namespace

bool is_host(std::string_view text) noexcept {
  return std::all_of(text.begin(), text.end(), [](char c) { return kHostChars[static_cast<unsigned char>(c)]; });
}

bool split_target(std::string_view method, std::string_view target, RequestTarget& out) noexcept {
  for (const char c : target)
    if (c == '#' || static_cast<unsigned char>(c) > '~') return false;
  std::string_view path = target;
  if (!path.starts_with('/')) {
    if (path == "*") return method == "OPTIONS";
    const auto scheme = path.find("://");
    if (scheme == std::string_view::npos ||
        (!http::same_token(path.substr(0, scheme), "http") && !http::same_token(path.substr(0, scheme), "https")))
      return false;
    path.remove_prefix(scheme + 3);
    out.authority = path.substr(0, path.find_first_of("/?"));
    path.remove_prefix(out.authority.size());
    if (out.authority.empty() || !is_host(out.authority)) return false;
  }
  const auto question = path.find('?');
  if (question != std::string_view::npos) out.query = path.substr(question + 1);
  out.path = path.substr(0, question);
  return method != "CONNECT";
}

}  // namespace millrace::net
