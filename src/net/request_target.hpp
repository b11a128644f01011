#pragma once
#include <string_view>

namespace millrace::net {

/// A request's target, taken apart. Views into it.
struct RequestTarget {
  std::string_view authority;  ///< only where a whole URL is asked for
  std::string_view path;       ///< as far as '?'; empty for a URL without one
  std::string_view query;      ///< without '?'
};

/// False for what is no target of a request to an origin: another scheme than http and https, "host:port" of CONNECT, a
/// fragment, bytes beyond ASCII.
bool split_target(std::string_view method, std::string_view target, RequestTarget& out) noexcept;

/// Whether a text is written as a host and port are. A user is no part of either.
bool is_host(std::string_view text) noexcept;

}  // namespace millrace::net
