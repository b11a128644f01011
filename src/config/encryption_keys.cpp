#include "millrace/config/encryption_keys.hpp"

#include <string.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <system_error>

#include "config/mistakes.hpp"
#include "config/read_file.hpp"
#include "millrace/codec/base64.hpp"

namespace millrace::config {
namespace {

using journal::Keys;

constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::string_view kBlanks = " \t\r\v\f";
std::string make_one() { return "`openssl rand -base64 32` makes one"; }

/// What lies in memory is not hidden there, but what is not needed any more need not stay.
void wipe(std::string& text) noexcept { ::explicit_bzero(text.data(), text.size()); }

class KeyRing final : public Keys {
 public:
  explicit KeyRing(bool seals) noexcept : seals_(seals) {}
  ~KeyRing() override {
    for (auto& [id, key] : keys_) ::explicit_bzero(key.data(), key.size());
  }
  std::uint32_t current() const noexcept override { return seals_ && !keys_.empty() ? keys_.rbegin()->first : 0; }
  std::uint32_t newest() const noexcept override { return keys_.empty() ? 0 : keys_.rbegin()->first; }
  std::optional<Key> key(std::uint32_t id) const override {
    const auto found = keys_.find(id);
    return found == keys_.end() ? std::nullopt : std::optional(found->second);
  }
  std::map<std::uint32_t, Key>& all() noexcept { return keys_; }

 private:
  const bool seals_;
  std::map<std::uint32_t, Key> keys_;
};

std::string_view trimmed(std::string_view text) noexcept {
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

/// Reads one text of keys.
class KeyText {
 public:
  KeyText(std::shared_ptr<KeyRing> ring, Mistakes& mistakes) : ring_(std::move(ring)), mistakes_(mistakes) {}

  void read(std::string_view text, std::string_view line_ends) {
    for (std::size_t line = 1; !text.empty(); ++line) {
      const std::size_t end = std::min(text.find_first_of(line_ends), text.size());
      const std::string_view whole = text.substr(0, end);
      if (const auto told = trimmed(whole.substr(0, whole.find('#'))); !told.empty()) read_key(told, line);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
    if (ring_->all().empty() && mistakes_.empty())
      mistakes_.add(0, "", "holds no key: write a line `<id> <key>`; " + make_one());
  }

 private:
  void read_key(std::string_view told, std::size_t line) {
    const std::size_t blank = std::min(told.find_first_of(kBlanks), told.size());
    const std::string_view id_text = told.substr(0, blank), key_text = trimmed(told.substr(blank));
    std::uint32_t id = 0;
    const auto [end, failed] = std::from_chars(id_text.data(), id_text.data() + id_text.size(), id);
    if (failed != std::errc{} || end != id_text.data() + id_text.size() || id == 0)
      return mistakes_.add(line, "", "must begin with the key's id: a whole number from 1 to 4294967295");
    const std::string name = "key " + std::to_string(id);
    if (key_text.empty()) return mistakes_.add(line, "", name + " has an id only: write `<id> <key>`; " + make_one());
    if (key_text.find_first_of(kBlanks) != std::string_view::npos)
      return mistakes_.add(line, "", name + " is followed by something else: write `<id> <key>`, a line for each key");
    const auto [known, fresh] = lines_.try_emplace(id, line);
    if (!fresh)
      return mistakes_.add(line, "",
                           name + " is given twice, first in line " + std::to_string(known->second) +
                               ": give the newer one a higher id");
    add(id, key_text, name, line);
  }

  void add(std::uint32_t id, std::string_view key_text, const std::string& name, std::size_t line) {
    auto bytes = codec::base64::decode(key_text);
    if (!bytes) return mistakes_.add(line, "", name + " is not base64: " + make_one());
    Keys::Key key;
    if (bytes->size() != key.size()) {
      mistakes_.add(line, "",
                    name + " has " + std::to_string(bytes->size()) + " bytes, and must have 32: " + make_one());
    } else {
      std::memcpy(key.data(), bytes->data(), key.size());
      const auto same =
          std::find_if(ring_->all().begin(), ring_->all().end(), [&](const auto& one) { return one.second == key; });
      if (same != ring_->all().end())
        mistakes_.add(
            line, "",
            name + " is the same as key " + std::to_string(same->first) + ": a new id needs a new key; " + make_one());
      else
        ring_->all().emplace(id, key);
    }
    wipe(*bytes);
  }
  const std::shared_ptr<KeyRing> ring_;
  Mistakes& mistakes_;
  std::map<std::uint32_t, std::size_t> lines_;  // by id
};

Result<EncryptionKeys> parse(std::string_view text, bool seals, std::string_view line_ends,
                             const std::filesystem::path& where) {
  auto ring = std::make_shared<KeyRing>(seals);
  Mistakes mistakes(where);
  KeyText(ring, mistakes).read(text, line_ends);
  if (!mistakes.empty()) return mistakes.error();
  return EncryptionKeys{std::move(ring)};
}

}  // namespace

Result<EncryptionKeys> read_encryption_keys(const std::filesystem::path& file, bool seals,
                                            std::chrono::milliseconds pipe_patience) {
  std::string why;
  std::optional<std::string> text = read_file(file, kFileBytesMax, why, pipe_patience);
  if (!text) {
    Mistakes mistakes(file);
    mistakes.add(0, "", why + ": it is to hold the keys of storage.encryption, a line `<id> <key>` each");
    return mistakes.error();
  }
  auto parsed = parse(*text, seals, "\n", file);
  wipe(*text);
  if (!parsed) return parsed;
  if (auto warning = open_to_all(file, "keys"); !warning.empty()) parsed->warnings.push_back(std::move(warning));
  return parsed;
}

Result<std::optional<EncryptionKeys>> encryption_keys_in(const Environment& environment, bool seals) {
  using Answer = std::optional<EncryptionKeys>;
  const auto found = environment.find(std::string(kKeysVariable));
  if (found == environment.end() || found->second.empty()) return Answer{};
  auto parsed = parse(found->second, seals, "\n,", "environment: " + std::string(kKeysVariable));
  if (!parsed) return parsed.error();
  return Answer{std::move(*parsed)};
}

bool looks_like_a_key(std::string_view text) noexcept {
  // 32 bytes are 43 characters and a `=`.
  constexpr std::size_t kKeyCharacters = 43;
  std::size_t run = 0;
  for (const char c : text) {
    const bool of_base64 =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/';
    if (c == '=' && run >= kKeyCharacters) return true;
    run = of_base64 ? run + 1 : 0;
  }
  return false;
}

}  // namespace millrace::config
