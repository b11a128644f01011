#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace millrace::cli {

/// Where a daemon listens: http://host, https://[::1]:4566. A path behind it does not count.
struct Url {
  bool tls = false;
  std::string host, port;  ///< without brackets
  std::string authority;   ///< as it stands in a Host header
};
std::optional<Url> parse_url(std::string_view text);

}  // namespace millrace::cli
