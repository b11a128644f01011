#pragma once
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/config/config.hpp"
#include "millrace/journal/frame.hpp"

/// The keys that seal what is stored. Their text is a line for each key, `<id> <base64 of 32 bytes>`; blank lines and
/// what follows a `#` are passed over. Ids are 1 to 4294967295; the highest one seals what is new, the others open what
/// is older. No message holds a part of a key.
namespace millrace::config {

/// The environment variable that holds the text itself; in it a comma ends a line too.
inline constexpr std::string_view kKeysVariable = "MILLRACE_STORAGE_ENCRYPTION_KEYS_TEXT";

struct EncryptionKeys {
  std::shared_ptr<const journal::Keys> keys;  ///< not null
  std::vector<std::string> warnings = {};
};
/// Warns when others than the file's owner and group may read or change it.
/// @param seals  else they only open
/// @param pipe_patience  how long a pipe may give nothing before it is refused
Result<EncryptionKeys> read_encryption_keys(const std::filesystem::path& file, bool seals,
                                            std::chrono::milliseconds pipe_patience = std::chrono::seconds{10});
/// Of the environment; nothing when there are none.
Result<std::optional<EncryptionKeys>> encryption_keys_in(const Environment& environment, bool seals);

/// Whether it holds a key by the looks of it, so that it must not be told.
bool looks_like_a_key(std::string_view text) noexcept;

}  // namespace millrace::config
