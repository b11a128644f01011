#pragma once
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

namespace millrace::admin {

/// A raw query's parameters in order; a name without '=' has an empty value. Nothing is percent-decoded: no parameter
/// of ours needs it.
std::vector<std::pair<std::string_view, std::string_view>> query_parameters(std::string_view query);

/// `250ms`, `5s`, `2m`, `1h`: digits and a unit; nothing for anything else, or for more than `most`.
std::optional<std::chrono::milliseconds> parse_wait(std::string_view text, std::chrono::milliseconds most) noexcept;

}  // namespace millrace::admin
