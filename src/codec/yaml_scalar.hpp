#pragma once
#include <cstddef>
#include <optional>
#include <string_view>

/// Scalars in the text of a YAML document, beside their values.
namespace millrace::codec::yaml {

/// From a node's mark past its tag and anchor: where the scalar itself begins.
std::size_t scalar_begin(std::string_view text, std::size_t mark) noexcept;

/// Whether the scalar that begins at `begin` is one in quotes that never close.
bool unclosed(std::string_view text, std::size_t begin) noexcept;

/// Where in `text` the byte at `offset` of `value` comes from, the value of the scalar that begins at `begin`. Reads
/// both side by side; nothing when they do not agree.
std::optional<std::size_t> source_offset(std::string_view text, std::size_t begin, std::string_view value,
                                         std::size_t offset);

}  // namespace millrace::codec::yaml
