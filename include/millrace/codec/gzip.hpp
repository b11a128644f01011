#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::codec {

/// What the gzip members of `bytes` hold, one behind the other; nothing where they are not well-formed, or hold more
/// than `bytes_max`.
std::optional<std::string> gunzip(std::string_view bytes, std::size_t bytes_max);

}  // namespace millrace::codec
