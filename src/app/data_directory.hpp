#pragma once
#include <filesystem>

namespace millrace::app {

/// The data directory, made where it is missing and held by this process alone.
class DataDirectory {
 public:
  /// Throws StartError when it cannot be made, written, or is held by another daemon.
  explicit DataDirectory(const std::filesystem::path& path);
  ~DataDirectory();
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;

 private:
  int lock_ = -1;
};

}  // namespace millrace::app
