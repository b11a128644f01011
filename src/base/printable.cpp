#include "millrace/base/printable.hpp"

namespace millrace {
namespace {

bool continues_a_character(char byte) noexcept { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

}  // namespace

std::string printable(std::string_view text, std::size_t bytes_max) {
  const bool cut = text.size() > bytes_max;
  text = first_bytes(text, bytes_max);
  std::string out;
  out.reserve(text.size() + 3);
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0u;
    if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {  // U+0080 to U+009F are controls too
      out += '?';
      ++i;
    } else {
      out += byte < 0x20 || byte == 0x7f ? '?' : text[i];
    }
  }
  if (cut) out += "...";
  return out;
}

std::string in_quotes(std::string_view text) { return "'" + printable(text) + "'"; }

std::string_view first_bytes(std::string_view text, std::size_t bytes_max) noexcept {
  if (text.size() <= bytes_max) return text;
  while (bytes_max > 0 && continues_a_character(text[bytes_max])) --bytes_max;
  return text.substr(0, bytes_max);
}

std::string_view first_character(std::string_view text) noexcept {
  std::size_t size = text.empty() ? 0 : 1;
  while (size < text.size() && continues_a_character(text[size])) ++size;
  return text.substr(0, size);
}

}  // namespace millrace
