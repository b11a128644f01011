#pragma once
#include <span>
#include <string_view>

namespace millrace {

/// Of `candidates` the one a person most likely meant by `word`; empty when none is near.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace millrace
