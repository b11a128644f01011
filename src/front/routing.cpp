#include "front/routing.hpp"

#include <algorithm>
#include <string>

namespace millrace::front {
namespace {

std::string_view take_label(std::string_view& host) noexcept {
  const auto dot = std::min(host.find('.'), host.size());
  const std::string_view label = host.substr(0, dot);
  host.remove_prefix(std::min(dot + 1, host.size()));
  return label;
}

std::string_view without_fips(std::string_view label) noexcept {
  constexpr std::string_view kFips = "-fips";
  if (label.size() <= kFips.size()) return label;
  const std::size_t rest = label.size() - kFips.size();
  return http::same_token(label.substr(rest), kFips) ? label.substr(0, rest) : label;
}

// The SDKs put an account, a stream's id or a resource's before these:
// 123456789012.data-kinesis.us-east-1.amazonaws.com.
bool is_plane_of_kinesis(std::string_view label) noexcept {
  constexpr std::string_view kData = "data-kinesis", kControl = "control-kinesis";
  if (label.size() < kData.size()) return false;
  label = without_fips(label);
  return http::same_token(label, kData) || http::same_token(label, kControl);
}

}  // namespace

HostName read_host(std::string_view host) noexcept {
  if (host.find('.') == std::string_view::npos || host.starts_with('[')) return {};
  host = host.substr(0, host.find(':'));
  const std::string_view first = take_label(host), second = take_label(host);
  if (http::same_token(second, "execute-api")) return {first, {}};
  if (is_plane_of_kinesis(second) || is_plane_of_kinesis(take_label(host))) return {{}, "kinesis"};
  return {{}, without_fips(first)};
}

std::string_view take_segment(std::string_view& path) noexcept {
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  const std::string_view segment = path.substr(0, path.find('/'));
  path.remove_prefix(segment.size());
  return segment;
}

bool take_prefix(std::string_view& path, std::string_view prefix) noexcept {
  if (!path.starts_with(prefix) || (path.size() > prefix.size() && path[prefix.size()] != '/')) return false;
  path.remove_prefix(prefix.size());
  return true;
}

awaitable<void> invoke(gateway::Gateway& gateway, std::string_view api, std::string_view path, http::Request& request,
                       http::ResponseWriter& writer) {
  // Host names have no case, and ids are in small letters.
  std::string id(api);
  for (char& c : id)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  const std::string_view stage = take_segment(path);
  if (path.empty()) path = "/";
  co_await gateway.handle_api(id, stage, path, request, writer);
}

}  // namespace millrace::front
