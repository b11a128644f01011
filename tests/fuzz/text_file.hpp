#pragma once
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <string_view>

#include "fuzz/fuzz.hpp"

namespace millrace::fuzz {

/// A file in memory with a path.
class TextFile {
 public:
  TextFile() : fd_(::memfd_create("text", MFD_CLOEXEC)) { require(fd_ >= 0, "a file can be had"); }
  ~TextFile() { ::close(fd_); }
  TextFile(const TextFile&) = delete;
  TextFile& operator=(const TextFile&) = delete;
  void write(std::string_view text) {
    require(::ftruncate(fd_, 0) == 0, "a file can be emptied");
    require(::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()), "a file can be written");
  }
  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

}  // namespace millrace::fuzz
