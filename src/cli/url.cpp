#include "cli/url.hpp"

namespace millrace::cli {

std::optional<Url> parse_url(std::string_view text) {
  Url url;
  if (text.starts_with("http://")) {
    url.port = "80";
    text.remove_prefix(7);
  } else if (text.starts_with("https://")) {
    url.tls = true;
    url.port = "443";
    text.remove_prefix(8);
  } else {
    return std::nullopt;
  }
  url.authority = text.substr(0, text.find('/'));
  if (url.authority.find_first_of(" \r\n@") != std::string::npos) return std::nullopt;
  url.host = url.authority;
  const auto colon = url.host.rfind(':'), bracket = url.host.find(']');
  if (colon != std::string::npos && (bracket == std::string::npos || colon > bracket)) {
    url.port = url.host.substr(colon + 1);
    url.host.resize(colon);
  }
  if (url.host.starts_with('[') && url.host.ends_with(']')) url.host = url.host.substr(1, url.host.size() - 2);
  if (url.host.empty() || url.port.empty() || url.port.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return url;
}

}  // namespace millrace::cli
