#include "millrace/base/file_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

namespace millrace {

FileLock::FileLock(const std::filesystem::path& path)
    : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
  if (file_ < 0 || ::flock(file_, LOCK_EX | LOCK_NB) != 0) error_number_ = errno;
}
FileLock::~FileLock() {
  if (file_ >= 0) ::close(file_);
}

}  // namespace millrace
