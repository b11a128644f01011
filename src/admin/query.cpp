#include "admin/query.hpp"

#include <charconv>
#include <cstdint>

namespace millrace::admin {

std::vector<std::pair<std::string_view, std::string_view>> query_parameters(std::string_view query) {
  std::vector<std::pair<std::string_view, std::string_view>> parameters;
  while (!query.empty()) {
    const std::string_view parameter = query.substr(0, query.find('&'));
    query.remove_prefix(parameter.size() < query.size() ? parameter.size() + 1 : query.size());
    if (parameter.empty()) continue;
    const std::size_t equals = parameter.find('=');
    const std::string_view value = equals == std::string_view::npos ? std::string_view() : parameter.substr(equals + 1);
    parameters.emplace_back(parameter.substr(0, equals), value);
  }
  return parameters;
}

std::optional<std::chrono::milliseconds> parse_wait(std::string_view text, std::chrono::milliseconds most) noexcept {
  std::uint32_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc()) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  std::chrono::milliseconds wait{};
  if (unit == "ms") {
    wait = std::chrono::milliseconds{count};
  } else if (unit == "s") {
    wait = std::chrono::seconds{count};
  } else if (unit == "m") {
    wait = std::chrono::minutes{count};
  } else if (unit == "h") {
    wait = std::chrono::hours{count};
  } else {
    return std::nullopt;
  }
  if (wait > most) return std::nullopt;
  return wait;
}

}  // namespace millrace::admin
