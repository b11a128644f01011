#pragma once
#include <string_view>

#include "millrace/base/http.hpp"
#include "millrace/gateway/gateway.hpp"

/// What a request's host and path name.
namespace millrace::front {

/// What a Host header names by its labels. Letters' case, the port and a trailing dot do not count. Both are empty for
/// an IPv6 address and for a name of one label.
struct HostName {
  std::string_view api;      ///< of {api}.execute-api.*, as sent
  std::string_view service;  ///< of kinesis.*, kinesis-fips.*, {id}.data-kinesis.*; may be no service at all
};
HostName read_host(std::string_view host) noexcept;

/// Cuts the first segment off, with the slashes before it: "/a/b" gives "a" and leaves "/b".
std::string_view take_segment(std::string_view& path) noexcept;
/// Cuts whole segments off: "/a" is a prefix of "/a" and "/a/b", not of "/ab".
bool take_prefix(std::string_view& path, std::string_view prefix) noexcept;

/// Has the API `api` answer, in whatever case its id came. `path` is /{stage}/{resource...}; both views live as long as
/// the request.
awaitable<void> invoke(gateway::Gateway& gateway, std::string_view api, std::string_view path, http::Request& request,
                       http::ResponseWriter& writer);

}  // namespace millrace::front
