#pragma once
#include <filesystem>

namespace millrace {

/// A lock that one process at a time has, on a file that is made where it is missing; given back with this, or the
/// process. No file of data, so it does not go through Files.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& path);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// False: the file cannot be made or written.
  bool opened() const noexcept { return file_ >= 0; }
  bool held() const noexcept { return opened() && error_number_ == 0; }
  /// Of what failed; EWOULDBLOCK: another process has it.
  int error_number() const noexcept { return error_number_; }

 private:
  int file_ = -1, error_number_ = 0;
};

}  // namespace millrace
