#pragma once
#include <filesystem>
#include <optional>

#include "millrace/base/file_lock.hpp"

namespace millrace::app {

/// The data directory, made where it is missing and held by this process alone.
class DataDirectory {
 public:
  /// Throws StartError when it cannot be made, written, or is held by another daemon.
  explicit DataDirectory(const std::filesystem::path& path);

 private:
  std::optional<FileLock> lock_;
};

}  // namespace millrace::app
