// The text of the keys that seal what is stored. The first byte says whether it comes as a file or by the environment.
#include "millrace/config/encryption_keys.hpp"

#include <charconv>
#include <map>

#include "fuzz/fuzz.hpp"
#include "fuzz/text_file.hpp"
#include "millrace/codec/base64.hpp"

namespace millrace::config {
namespace {

using fuzz::require;
using journal::Keys;

constexpr std::string_view kBlanks = " \t\r\v\f";

std::vector<std::string_view> words(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    line.remove_prefix(std::min(line.find_first_not_of(kBlanks), line.size()));
    if (line.empty()) return out;
    out.push_back(line.substr(0, line.find_first_of(kBlanks)));
    line.remove_prefix(out.back().size());
  }
}

/// Whether all of the word is a number of 32 bits that is not 0.
std::optional<std::uint32_t> id_in(std::string_view word) {
  std::uint64_t id = 0;
  for (const char c : word) {
    if (c < '0' || c > '9') return std::nullopt;
    id = std::min<std::uint64_t>(id * 10 + static_cast<std::uint64_t>(c - '0'), UINT32_MAX + std::uint64_t{1});
  }
  if (id == 0 || id > UINT32_MAX) return std::nullopt;
  return static_cast<std::uint32_t>(id);
}

/// The keys, read another way; nothing when a line is none.
std::optional<std::map<std::uint32_t, Keys::Key>> keys_in(std::string_view text, std::string_view line_ends) {
  std::map<std::uint32_t, Keys::Key> keys;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find_first_of(line_ends));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const auto told = words(line.substr(0, line.find('#')));
    if (told.empty()) continue;
    if (told.size() != 2) return std::nullopt;
    const auto id = id_in(told[0]);
    const auto bytes = codec::base64::decode(told[1]);
    Keys::Key key;
    if (!id || !bytes || bytes->size() != key.size()) return std::nullopt;
    std::memcpy(key.data(), bytes->data(), key.size());
    for (const auto& [other_id, other] : keys)
      if (other_id == *id || other == key) return std::nullopt;
    keys.emplace(*id, key);
    require(looks_like_a_key(line), "a key looks like one");
  }
  if (keys.empty()) return std::nullopt;
  return keys;
}

void check_error(std::string_view detail, std::string_view where, std::string_view text, std::string_view line_ends) {
  const auto lines =
      1 + std::count_if(text.begin(), text.end(), [&](char c) { return line_ends.find(c) != std::string_view::npos; });
  require(!detail.empty(), "an error says what is wrong");
  for (std::string_view left = detail; !left.empty();) {
    std::string_view line = left.substr(0, left.find('\n'));
    left.remove_prefix(std::min(left.size(), line.size() + 1));
    if (line.starts_with("and ") && line.ends_with(" more")) continue;
    require(line.starts_with(where), "an error names the file");
    line.remove_prefix(where.size());
    if (line.starts_with(": ")) continue;  // of the file as a whole
    std::ptrdiff_t number = 0;
    require(line.starts_with(":"), "an error names the line");
    const auto [end, failed] = std::from_chars(line.data() + 1, line.data() + line.size(), number);
    require(failed == std::errc{} && number >= 1 && number <= lines, "an error names a line that there is");
  }
  // No message holds a part of a key: what is long enough not to be there by chance, but for where it is.
  std::string told_of(detail);
  for (std::size_t at; (at = told_of.find(where)) != std::string::npos;) told_of.erase(at, where.size());
  constexpr std::size_t kPart = 12;
  std::string_view left = text;
  while (!left.empty()) {
    std::string_view line = left.substr(0, left.find_first_of(line_ends));
    left.remove_prefix(std::min(line.size() + 1, left.size()));
    const auto told = words(line.substr(0, line.find('#')));
    for (std::size_t i = 1; i < told.size(); ++i)
      for (std::size_t at = 0; at + kPart <= told[i].size(); at += kPart)
        if (told[i].find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/=") ==
            std::string_view::npos)
          require(told_of.find(told[i].substr(at, kPart)) == std::string::npos, "no message holds a part of a key");
  }
}

void check_keys(const EncryptionKeys& read, bool seals, const std::map<std::uint32_t, Keys::Key>& expected) {
  require(read.keys != nullptr, "there are keys");
  require(read.keys->current() == (seals ? expected.rbegin()->first : 0), "the highest id seals");
  for (const auto& [id, key] : expected) {
    require(read.keys->key(id) == key, "a key is what its line says");
    if (!expected.contains(id + 1)) require(!read.keys->key(id + 1), "there are no other keys");
  }
  require(!read.keys->key(0), "no key has the id 0");
}

}  // namespace
}  // namespace millrace::config

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using namespace millrace::config;
  fuzz::Input input(data, size);
  const std::uint8_t first = input.byte();
  const bool seals = (first & 1) != 0, by_file = (first & 2) != 0;
  const std::string_view text = input.rest();
  const std::string_view line_ends = by_file ? "\n" : "\n,";
  const auto expected = keys_in(text, line_ends);
  static fuzz::TextFile file;
  std::string where;
  Result<std::optional<EncryptionKeys>> read = std::optional<EncryptionKeys>();
  if (by_file) {
    file.write(text);
    where = file.path();
    auto keys = read_encryption_keys(where, seals);
    if (keys)
      read = std::optional(std::move(*keys));
    else
      read = keys.error();
  } else {
    const Environment environment{{std::string(kKeysVariable), std::string(text)}};
    where = "environment: " + std::string(kKeysVariable);
    read = encryption_keys_in(environment, seals);
    if (text.empty()) {
      fuzz::require(read && !*read, "an empty variable is none");
      return 0;
    }
  }
  fuzz::require(static_cast<bool>(read) == expected.has_value(), "a text of keys is taken, and no other");
  if (read)
    check_keys(**read, seals, *expected);
  else
    check_error(read.error().detail, where, text, line_ends);
  return 0;
}
