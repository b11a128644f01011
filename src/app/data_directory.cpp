#include "app/data_directory.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "app/start_error.hpp"

namespace millrace::app {
namespace {

StartError unusable(const std::filesystem::path& path, const std::string& why) {
  return StartError("data_dir: " + path.string() + " " + why);
}

}  // namespace

DataDirectory::DataDirectory(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error && !std::filesystem::is_directory(path)) throw unusable(path, "cannot be made: " + error.message());
  // A lock is no file of data, so it does not go through Files. It also proves that the directory can be written.
  lock_ = ::open((path / ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (lock_ < 0) throw unusable(path, "cannot be written: " + std::generic_category().message(errno));
  if (::flock(lock_, LOCK_EX | LOCK_NB) != 0) {
    int failed = errno;
    ::close(lock_);
    throw unusable(path, failed == EWOULDBLOCK ? "is in use by another millrace"
                                               : "cannot be locked: " + std::generic_category().message(failed));
  }
}

DataDirectory::~DataDirectory() { ::close(lock_); }

}  // namespace millrace::app
