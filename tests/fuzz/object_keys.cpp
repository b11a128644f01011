// Paths of object keys: below the bucket, made of names that a file system takes, and telling the key. The input is two
// keys, split at the byte 0xff, which no key has, or one key.
#include <filesystem>
#include <set>
#include <string>

#include "fuzz/fuzz.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/objects/tree.hpp"

namespace millrace::objects {
namespace {

using fuzz::require;

int hex(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1; }

/// The way back, as docs/objects.md tells it.
std::string key_of(std::string_view path) {
  std::string key;
  bool first = true, joining = false;
  while (true) {
    const std::size_t slash = path.find('/');
    const std::string_view name = path.substr(0, slash);
    if (!first && !joining) key += '/';
    first = false;
    joining = name.starts_with("%+");
    if (!name.starts_with('%')) {
      key += name;
    } else if (name != "%") {
      for (std::size_t i = joining || name.starts_with("%=") ? 2 : 0; i < name.size(); ++i) {
        if (name[i] != '%') {
          key += name[i];
          continue;
        }
        require(i + 2 < name.size() && hex(name[i + 1]) >= 0 && hex(name[i + 2]) >= 0, "an escape is whole");
        key += static_cast<char>(hex(name[i + 1]) << 4 | hex(name[i + 2]));
        i += 2;
      }
    }
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  require(!joining, "a long name ends");
  return key;
}

std::string check_key(std::string_view key) {
  const std::filesystem::path encoded = path_of_key(key);
  const std::string& path = encoded.native();
  require(encoded.is_relative() && encoded.lexically_normal() == encoded, "a path is what it says");
  require(path.find('\0') == std::string::npos, "a path has no NUL");
  for (std::string_view rest = path;;) {
    const std::size_t slash = rest.find('/');
    const std::string_view name = rest.substr(0, slash);
    require(!name.empty() && name != "." && name != "..", "a name is a name");
    require(name.size() <= 255, "a name is not too long");
    if (codec::valid_utf8(key)) require(codec::valid_utf8(name), "no character is cut");
    if (slash == std::string_view::npos) break;
    rest.remove_prefix(slash + 1);
  }
  require(key_of(path) == key, "a path tells its key");
  return path;
}

void check_bucket(std::string_view name) {
  if (!valid_bucket_name(name)) return;
  require(name.size() >= 3 && name.size() <= 63, "a bucket's name has 3 to 63 characters");
  require(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789.-") == std::string_view::npos,
          "a bucket's name has small letters, digits, dots and hyphens");
  require(name.find("..") == std::string_view::npos && name.front() != '.' && name.back() != '.',
          "a bucket's name is one name in a path");
}

}  // namespace
}  // namespace millrace::objects

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  fuzz::Input input(data, size);
  const std::string_view first = input.until('\xff'), second = input.rest();
  if (first.empty()) return 0;
  const std::string path = objects::check_key(first);
  objects::check_bucket(first);
  if (second.empty()) return 0;
  objects::check_bucket(second);
  const std::string other = objects::check_key(second);
  fuzz::require((first == second) == (path == other), "two keys have two paths");
  return 0;
}
