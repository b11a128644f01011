#include "millrace/base/printable.hpp"
#include "millrace/objects/tree.hpp"

namespace millrace::objects {
namespace {

constexpr std::size_t kNameBytesMax = 255;                 // NAME_MAX of every Linux file system that matters
constexpr std::size_t kPieceBytesMax = kNameBytesMax - 2;  // behind "%+" or "%="

void append_escaped(std::string& out, char byte) {
  constexpr char kHex[] = "0123456789ABCDEF";
  const auto value = static_cast<unsigned char>(byte);
  out += '%';
  out += kHex[value >> 4];
  out += kHex[value & 15];
}

bool continues_a_character(char byte) noexcept { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

/// `segment` with every % and NUL escaped, and as many bytes at its beginning as `first` says.
std::string escaped(std::string_view segment, std::size_t first) {
  std::string out;
  for (char byte : segment.substr(0, first)) append_escaped(out, byte);
  for (char byte : segment.substr(first)) {
    if (byte == '%' || byte == '\0')
      append_escaped(out, byte);
    else
      out += byte;
  }
  return out;
}

/// A name too long for the file system becomes nested directories: `%+` says that the name goes on below, `%=` ends it.
void append_long(std::string& path, std::string_view text) {
  while (text.size() > kPieceBytesMax) {
    std::size_t cut = kPieceBytesMax;
    for (int back = 0; back < 3 && continues_a_character(text[cut]); ++back) --cut;
    for (std::size_t back = 1; back <= 2; ++back)  // in escaped text every % begins an escape
      if (text[cut - back] == '%') {
        cut -= back;
        break;
      }
    path += "%+";
    path += text.substr(0, cut);
    path += '/';
    text.remove_prefix(cut);
  }
  path += "%=";
  path += text;
}

void append_segment(std::string& path, std::string_view segment) {
  if (segment.empty()) {
    path += '%';
    return;
  }
  const bool plain =
      segment != "." && segment != ".." && segment.front() != '%' && segment.find('\0') == std::string_view::npos;
  if (plain && segment.size() <= kNameBytesMax) {
    path += segment;
    return;
  }
  if (!plain) {
    const std::string text = escaped(segment, first_character(segment).size());
    if (text.size() <= kNameBytesMax) {
      path += text;
      return;
    }
  }
  append_long(path, escaped(segment, 0));
}

bool ipv4_shaped(std::string_view name) noexcept {
  int parts = 1;
  std::size_t digits = 0;
  for (char c : name) {
    if (c == '.') {
      if (digits == 0 || digits > 3) return false;
      ++parts;
      digits = 0;
    } else if (c >= '0' && c <= '9') {
      ++digits;
    } else {
      return false;
    }
  }
  return parts == 4 && digits >= 1 && digits <= 3;
}

}  // namespace

bool valid_bucket_name(std::string_view name) noexcept {
  if (name.size() < 3 || name.size() > 63) return false;
  const auto alphanumeric = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  if (!alphanumeric(name.front()) || !alphanumeric(name.back())) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (!alphanumeric(name[i]) && name[i] != '.' && name[i] != '-') return false;
    if (name[i] == '.' && name[i - 1] == '.') return false;
  }
  return !ipv4_shaped(name);
}

std::filesystem::path path_of_key(std::string_view key) {
  std::string path;
  path.reserve(key.size() + 16);
  for (;;) {
    const std::size_t slash = key.find('/');
    append_segment(path, key.substr(0, slash));
    if (slash == std::string_view::npos) return path;
    path += '/';
    key.remove_prefix(slash + 1);
  }
}

}  // namespace millrace::objects
