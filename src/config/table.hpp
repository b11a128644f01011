#pragma once
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "millrace/config/config.hpp"

namespace millrace::config {

enum class Kind { address, region, account, path, key_file, choice, size, duration, count, boolean, names, streams };

/// One key: the file's path, the environment's name, the check and the documentation all come from here; the default is
/// what Config's own initialiser says.
struct Key {
  using Target = std::variant<std::string Config::*, std::filesystem::path Config::*, std::size_t Config::*,
                              std::chrono::milliseconds Config::*, bool Config::*, std::optional<bool> Config::*,
                              std::vector<std::string> Config::*>;
  std::string_view path;
  Kind kind;
  Target target;
  std::string_view sentence;
  std::span<const std::string_view> choices = {};  ///< of Kind::choice
  std::uint64_t min = 0;                           ///< bytes, milliseconds or a number
  std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
  std::string_view fallback_text = {};  ///< where the default depends on the machine or another key
};

std::span<const Key> keys() noexcept;

/// A member of the entries of a declared list.
struct Member {
  std::string_view name;
  std::string_view sentence;
};
struct List {
  std::string_view path;
  std::string_view sentence;
  std::span<const Member> members;  ///< empty: the operation knows its members
};
std::span<const List> lists() noexcept;

/// `MILLRACE_LISTEN_AWS` for `listen.aws`.
std::string environment_name(std::string_view path);
/// Checks and takes over one value. Empty when all is well, otherwise what is wrong.
std::string set_value(const Key& key, std::string_view text, Config& config);
/// The default as a person writes it.
std::string default_text(const Key& key);
/// "1 to 1024"; empty where there are none.
std::string bounds_text(const Key& key);
std::string_view kind_text(Kind kind) noexcept;

/// Whether `text` is a name that a certificate may hold: of a machine, `*.` before one for all below it, or an address.
bool is_certificate_name(std::string_view text);

/// What is wrong with one of a list's names: "is no name of a stream"; empty when nothing is.
std::string wrong_name(const Key& key, std::string_view name);

/// What a key takes, for a message: "twelve digits".
std::string accepted_text(const Key& key);

/// The words one after the other, each in `quote`s.
std::string joined(std::span<const std::string_view> words, std::string_view quote);
/// `path.name`
std::string below(std::string_view path, std::string_view name);
/// What is said of a name that is none of `known`. `section`: below which that very name would be right, if any.
std::string unknown_text(std::string_view name, std::span<const std::string_view> known, std::string_view section);

/// `host:port`, `[::1]:port`. The host in lower case, a literal address in its shortest form, without brackets.
struct Address {
  std::string host;
  std::uint16_t port = 0;
};
std::optional<Address> parse_address(std::string_view text);
/// Whether both cannot be bound at once.
bool same_listener(const Address& a, const Address& b);

/// A quarter of what the machine, or the cgroup around this process, allows.
std::size_t default_memory_limit();

}  // namespace millrace::config
