#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Standard base64 with padding (RFC 4648 §4), strict: no blanks, no missing padding, unused bits zero.
/// Vector kernels are chosen at run time.
namespace millrace::codec::base64 {

/// Bytes that decode() may touch past what it returns, and encode() likewise: give that much slack after the output.
inline constexpr std::size_t kSlack = 64;
constexpr std::size_t encoded_size(std::size_t bytes) noexcept { return (bytes + 2) / 3 * 4; }
constexpr std::size_t decoded_size_max(std::size_t chars) noexcept { return chars / 4 * 3; }

enum class Errc : std::uint8_t { none, length, character, last_character };
struct Decoded {
  std::size_t size = 0;  ///< bytes written
  Errc error = Errc::none;
  std::size_t at = 0;  ///< where the offending character stands, for Errc::character
};
/// Decodes `text` to `out`, which has room for decoded_size_max(text.size()) + kSlack bytes.
Decoded decode(std::string_view text, char* out) noexcept;
/// Encodes to `out`, which has room for encoded_size(bytes.size()) + kSlack chars; returns the chars written.
std::size_t encode(std::string_view bytes, char* out) noexcept;
std::string encode(std::string_view bytes);
std::optional<std::string> decode(std::string_view text);

}  // namespace millrace::codec::base64
