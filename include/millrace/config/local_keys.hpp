#pragma once
#include <filesystem>
#include <memory>

#include "millrace/config/config.hpp"
#include "millrace/journal/frame.hpp"

namespace millrace {
class Random;
}

namespace millrace::config {

/// What a data directory's own key is called.
inline constexpr std::string_view kLocalKeyFile = "local-key";

/// Where the configuration gives no keys: one that the daemon makes when the first stream is to be encrypted, in a file
/// of the data directory that its owner alone may read, in the form that read_encryption_keys() reads. It seals what
/// asks for it, and nothing else. Thread-safe.
class LocalKeys : public journal::Keys {
 public:
  /// From now on newest() is a key; on disk, where there is to be a file. Blocking.
  virtual Result<> prepare(Random& random) = 0;
};
/// @param file  read if it is there; empty: a key is kept in memory only, for what no later start reads
Result<std::shared_ptr<LocalKeys>> local_keys(const std::filesystem::path& file);

}  // namespace millrace::config
