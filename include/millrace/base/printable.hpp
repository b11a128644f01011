#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace millrace {

/// Text from outside as an error message repeats it: on one line, control characters as `?` so that none moves a
/// terminal's cursor, at most `bytes_max` bytes (cut between code points, then `...`).
std::string printable(std::string_view text, std::size_t bytes_max = 80);

/// The same in single quotes.
std::string in_quotes(std::string_view text);

/// At most `bytes_max` bytes of `text`, cut between code points.
std::string_view first_bytes(std::string_view text, std::size_t bytes_max) noexcept;

/// The first character of `text`, all its bytes; empty when there is none.
std::string_view first_character(std::string_view text) noexcept;

}  // namespace millrace
