#include <unistd.h>

#include <cerrno>

#include "millrace/cli/log.hpp"

namespace millrace::cli {

namespace {

constexpr std::size_t kBufferBytes = 256 * 1024;

}  // namespace

Output& Output::operator<<(std::string_view text) {
  if (error_ != 0) return *this;
  buffer_.append(text);
  if (buffer_.size() >= kBufferBytes) flush();
  return *this;
}

void Output::flush() {
  if (error_ == 0 && !buffer_.empty()) error_ = write_(buffer_);
  buffer_.clear();
}

Output output_to(int descriptor) {
  return Output([descriptor](std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(descriptor, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return errno;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return 0;
  });
}

}  // namespace millrace::cli
