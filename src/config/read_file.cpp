#include "config/read_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace millrace::config {
namespace {

/// An open file, or errno.
class Opened {
 public:
  // A pipe opens without waiting for who writes to it, who may never come.
  explicit Opened(const std::filesystem::path& path)
      : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  ~Opened() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  int descriptor() const noexcept { return descriptor_; }
  /// Why it cannot be read; empty when it can be tried.
  std::string problem() const {
    if (descriptor_ < 0) return last_error();
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) return last_error();
    return S_ISDIR(status.st_mode) ? "is a directory, not a file" : "";
  }
  /// Reading waits, but for pipes: whether it is one.
  bool wait_unless_pipe() const noexcept {
    struct stat status {};
    if (::fstat(descriptor_, &status) == 0 && S_ISFIFO(status.st_mode)) return true;
    const int flags = ::fcntl(descriptor_, F_GETFL);
    if (flags >= 0) (void)::fcntl(descriptor_, F_SETFL, flags & ~O_NONBLOCK);
    return false;
  }
  /// False: nothing came, and its writer is not gone.
  bool wait_for_pipe(std::chrono::milliseconds patience) const noexcept {
    pollfd readable{descriptor_, POLLIN, 0};
    return ::poll(&readable, 1, static_cast<int>(patience.count())) != 0;
  }
  static std::string last_error() {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return "there is no such file";
    return "cannot be read: " + std::generic_category().message(error);
  }

 private:
  int descriptor_;
};

}  // namespace

std::optional<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max, std::string& why,
                                     std::chrono::milliseconds pipe_patience) {
  const Opened file(path);
  why = file.problem();
  if (!why.empty()) return std::nullopt;
  const bool pipe = file.wait_unless_pipe();
  // Read in pieces, not by size: /dev/stdin and the like have none.
  std::string text;
  std::array<char, 16 * 1024> piece;
  for (;;) {
    if (pipe && !file.wait_for_pipe(pipe_patience)) {
      why = "is a pipe that nothing comes out of";
      return std::nullopt;
    }
    const ssize_t size = ::read(file.descriptor(), piece.data(), piece.size());
    if (size < 0 && (errno == EINTR || (pipe && errno == EAGAIN))) continue;
    if (size < 0) {
      why = Opened::last_error();
      return std::nullopt;
    }
    if (size == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(size));
    if (text.size() > bytes_max) {
      why = "is larger than " + std::to_string(bytes_max >> 20) + " MiB";
      return std::nullopt;
    }
  }
}

std::string unreadable_because(const std::filesystem::path& path) {
  // Opening a pipe would wait for its writer.
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status) &&
      !std::filesystem::is_directory(status))
    return "is not a regular file";
  return Opened(path).problem();
}

std::string open_to_all(const std::filesystem::path& file, std::string_view what) {
  using std::filesystem::perms;
  std::error_code unknown;
  const perms permissions = std::filesystem::status(file, unknown).permissions();
  // Told and not refused: containers get their secrets like this. A group is a choice that somebody has made.
  if (unknown) return {};
  for (const auto& [may, verb] : {std::pair(perms::others_write, "change"), std::pair(perms::others_read, "read")})
    if ((permissions & may) != perms::none)
      return file.string() + ": everybody on this machine may " + verb + " the " + std::string(what) +
             ": `chmod 600` it";
  return {};
}

}  // namespace millrace::config
