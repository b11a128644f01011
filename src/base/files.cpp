#include "millrace/base/files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace millrace {

void throw_exception_from_error(const FileError& error, const boost::source_location&) {
  throw std::logic_error("value taken from a file error: " + error.detail);
}

namespace {

namespace fs = std::filesystem;

FileError file_error(int error_number, std::string_view call, const fs::path& path) {
  std::string detail(call);
  detail.append(" ").append(path.native()).append(": ").append(std::generic_category().message(error_number));
  return {error_number, std::move(detail)};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_;
};

int open_retrying(const fs::path& path, int flags) noexcept {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

// Reads until `size` bytes or the end of the file are reached; -1 with errno.
ssize_t read_fully(int fd, char* out, std::size_t size, std::uint64_t offset) noexcept {
  std::size_t got = 0;
  while (got < size) {
    const ssize_t n = ::pread(fd, out + got, size - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(got);
}

class SystemFile final : public File {
 public:
  SystemFile(Descriptor fd, fs::path path) : fd_(std::move(fd)), path_(std::move(path)) {}

  FileResult<> append(std::span<const ByteView> pieces) override {
    return transfer_all("write", pieces,
                        [this](const iovec* parts, int count) { return ::writev(fd_.get(), parts, count); });
  }

  FileResult<> write_at(std::uint64_t offset, std::span<const ByteView> pieces) override {
    return transfer_all("write", pieces, [this, &offset](const iovec* parts, int count) {
      const ssize_t n = ::pwritev(fd_.get(), parts, count, static_cast<off_t>(offset));
      if (n > 0) offset += static_cast<std::uint64_t>(n);
      return n;
    });
  }

  FileResult<std::string> read_at(std::uint64_t offset, std::size_t size) override {
    std::string bytes(size, '\0');
    const ssize_t got = read_fully(fd_.get(), bytes.data(), size, offset);
    if (got < 0) return file_error(errno, "read", path_);
    bytes.resize(static_cast<std::size_t>(got));
    return bytes;
  }

  FileResult<std::uint64_t> read_into(std::uint64_t offset, std::span<const std::span<char>> pieces) override {
    std::uint64_t got = 0;
    const auto read = [&](const iovec* parts, int count) {
      const ssize_t n = ::preadv(fd_.get(), parts, count, static_cast<off_t>(offset + got));
      if (n > 0) got += static_cast<std::uint64_t>(n);
      return n;
    };
    if (auto done = transfer_all("read", pieces, read); !done) return done.error();
    return {boost::system::in_place_value, got};
  }

  void will_read(std::uint64_t offset, std::uint64_t size) noexcept override {
    (void)::posix_fadvise(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(size), POSIX_FADV_WILLNEED);
  }

  FileResult<> allocate(std::uint64_t size) override {
    int failed = 0;
    do {
      failed = ::fallocate(fd_.get(), 0, 0, static_cast<off_t>(size)) == 0 ? 0 : errno;
    } while (failed == EINTR);
    if (failed == EOPNOTSUPP) {
      struct stat info {};
      failed = ::fstat(fd_.get(), &info) == 0 ? 0 : errno;
      if (failed == 0 && static_cast<std::uint64_t>(info.st_size) < size)
        failed = ::ftruncate(fd_.get(), static_cast<off_t>(size)) == 0 ? 0 : errno;
    }
    if (failed != 0) return file_error(failed, "allocate", path_);
    return {};
  }

  FileResult<std::uint64_t> size() override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return file_error(errno, "fstat", path_);
    return {boost::system::in_place_value, static_cast<std::uint64_t>(info.st_size)};
  }

  FileResult<> sync(bool data_only) override {
    if ((data_only ? ::fdatasync(fd_.get()) : ::fsync(fd_.get())) != 0) return file_error(errno, "fsync", path_);
    return {};
  }

 private:
  /// `transfer` is given some of what is left, in pieces of bytes to be written or room to be filled, and tells how
  /// much of it is done; nothing: there is no more to come.
  template <class Pieces, class Transfer>
  FileResult<> transfer_all(std::string_view call, const Pieces& pieces, Transfer&& transfer) {
    std::array<iovec, 256> batch;
    std::size_t piece = 0, done = 0;  // `done` bytes of pieces[piece] are
    while (piece < pieces.size()) {
      int count = 0;
      std::size_t asked = 0;
      for (std::size_t i = piece; i < pieces.size() && count < static_cast<int>(batch.size()); ++i) {
        const std::size_t skipped = i == piece ? done : 0;
        iovec& part = batch[static_cast<std::size_t>(count++)];
        part = {const_cast<char*>(pieces[i].data()) + skipped, pieces[i].size() - skipped};
        asked += part.iov_len;
      }
      const ssize_t n = transfer(batch.data(), count);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return file_error(errno, call, path_);
      if (n == 0 && asked > 0) return call == "read" ? FileResult<>{} : file_error(EIO, call, path_);
      std::size_t went = static_cast<std::size_t>(n);
      while (piece < pieces.size() && went >= pieces[piece].size() - done) {
        went -= pieces[piece].size() - done;
        done = 0;
        ++piece;
      }
      done += went;
    }
    return {};
  }

  Descriptor fd_;
  fs::path path_;
};

class SystemFiles final : public Files {
 public:
  FileResult<std::unique_ptr<File>> create(const fs::path& path) override {
    return open_as("create", path, O_RDWR | O_CREAT | O_TRUNC);
  }
  FileResult<std::unique_ptr<File>> open(const fs::path& path) override { return open_as("open", path, O_RDONLY); }
  FileResult<std::unique_ptr<File>> open_writable(const fs::path& path) override {
    return open_as("open", path, O_RDWR);
  }

  FileResult<std::unique_ptr<File>> open_direct(const fs::path& path) override {
    Descriptor fd(open_retrying(path, O_RDWR | O_DIRECT));
    if (!fd) return file_error(errno, "open", path);
    struct statx info {};
    if (::statx(fd.get(), "", AT_EMPTY_PATH, STATX_DIOALIGN, &info) != 0) return file_error(errno, "statx", path);
    // Where the system does not say what it asks for, a write may still be refused.
    const bool can = (info.stx_mask & STATX_DIOALIGN) != 0 && info.stx_dio_offset_align != 0 &&
                     kDirectBytes % info.stx_dio_offset_align == 0 && kDirectMemory % info.stx_dio_mem_align == 0;
    if (!can) return file_error(EINVAL, "open", path);
    return std::unique_ptr<File>(std::make_unique<SystemFile>(std::move(fd), path));
  }

  FileResult<> rename(const fs::path& from, const fs::path& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    const int error_number = errno;
    FileError error = file_error(error_number, "rename", from);
    error.detail =
        "rename " + from.native() + " to " + to.native() + ": " + std::generic_category().message(error_number);
    return error;
  }
  FileResult<> link(const fs::path& from, const fs::path& to) override {
    if (::link(from.c_str(), to.c_str()) != 0) return file_error(errno, "link", to);
    return {};
  }
  FileResult<std::uint64_t> names_of(const fs::path& path) override {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return file_error(errno, "stat", path);
    return {boost::system::in_place_value, static_cast<std::uint64_t>(info.st_nlink)};
  }
  FileResult<> remove(const fs::path& path) override {
    if (::remove(path.c_str()) != 0) return file_error(errno, "remove", path);
    return {};
  }
  FileResult<> remove_all(const fs::path& path) override {
    std::error_code error;
    fs::remove_all(path, error);
    if (error) return file_error(error.value(), "remove", path);
    return {};
  }
  FileResult<> make_directories(const fs::path& path) override {
    std::error_code error;
    fs::create_directories(path, error);
    if (error) return file_error(error.value(), "mkdir", path);
    return {};
  }
  FileResult<> sync_directory(const fs::path& path) override {
    const Descriptor fd(open_retrying(path, O_RDONLY | O_DIRECTORY));
    if (!fd) return file_error(errno, "open", path);
    if (::fsync(fd.get()) != 0) return file_error(errno, "fsync", path);
    return {};
  }
  FileResult<Kind> kind(const fs::path& path) override {
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) return S_ISDIR(info.st_mode) ? Kind::directory : Kind::file;
    if (errno == ENOENT || errno == ENOTDIR) return Kind::none;
    return file_error(errno, "stat", path);
  }
  FileResult<std::vector<std::string>> list(const fs::path& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), &::closedir);
    if (!directory) return file_error(errno, "opendir", path);
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(directory.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return file_error(errno, "readdir", path);
    return names;
  }
  FileResult<std::uint64_t> free_bytes(const fs::path& directory) override {
    struct statvfs info {};
    if (::statvfs(directory.c_str(), &info) != 0) return file_error(errno, "statvfs", directory);
    return {boost::system::in_place_value, std::uint64_t{info.f_bavail} * info.f_frsize};
  }

  std::uint64_t fetched_here() const noexcept override {
    constexpr std::uint64_t kBlockBytes = 512;  // whatever the blocks of the file system are
    struct rusage used {};
    return ::getrusage(RUSAGE_THREAD, &used) == 0 ? static_cast<std::uint64_t>(used.ru_inblock) * kBlockBytes : 0;
  }

  FileResult<std::string> read_all(const fs::path& path, std::size_t bytes_max) override {
    const Descriptor fd(open_retrying(path, O_RDONLY));
    if (!fd) return file_error(errno, "open", path);
    // In growing pieces, not by the size that stat tells: files under /proc tell 0.
    std::string bytes;
    for (std::size_t room = 64 * 1024;; room = bytes.size()) {
      const std::size_t had = bytes.size();
      room = std::min(room, bytes_max - had + 1);
      bytes.resize(had + room);
      const ssize_t got = read_fully(fd.get(), bytes.data() + had, room, had);
      if (got < 0) return file_error(errno, "read", path);
      bytes.resize(had + static_cast<std::size_t>(got));
      if (bytes.size() > bytes_max) return file_error(EFBIG, "read", path);
      if (static_cast<std::size_t>(got) < room) return bytes;
    }
  }

 private:
  static FileResult<std::unique_ptr<File>> open_as(std::string_view call, const fs::path& path, int flags) {
    Descriptor fd(open_retrying(path, flags));
    if (!fd) return file_error(errno, call, path);
    return std::unique_ptr<File>(std::make_unique<SystemFile>(std::move(fd), path));
  }
};

}  // namespace

FileResult<> make_lasting_directory(Files& files, const fs::path& path) {
  std::vector<fs::path> holders;  // also of the first that is there: it may have been made just before a crash
  for (fs::path at = path; !at.empty(); at = at.parent_path()) {
    const auto kind = files.kind(at);
    if (!kind) return kind.error();
    holders.push_back(at.has_parent_path() ? at.parent_path() : fs::path("."));
    if (*kind != Files::Kind::none || !at.has_relative_path()) break;
  }
  if (auto made = files.make_directories(path); !made) return made;
  for (const fs::path& holder : holders)
    if (auto synced = files.sync_directory(holder); !synced) return synced;
  return {};
}

FileResult<> copy_file(Files& files, const fs::path& from, const fs::path& to, std::uint64_t bytes) {
  constexpr std::uint64_t kPieceBytes = 1u << 20;
  auto source = files.open(from);
  if (!source) return source.error();
  auto target = files.create(to);
  if (!target) return target.error();
  for (std::uint64_t at = 0; at < bytes;) {
    const auto piece = (*source)->read_at(at, std::min(kPieceBytes, bytes - at));
    if (!piece) return piece.error();
    if (piece->empty()) break;
    const std::array<ByteView, 1> pieces{*piece};
    if (auto written = (*target)->append(pieces); !written) return written;
    at += piece->size();
  }
  return (*target)->sync();
}

FileResult<bool> link_or_copy(Files& files, const fs::path& from, const fs::path& to) {
  const auto linked = files.link(from, to);
  if (linked) return {boost::system::in_place_value, true};
  switch (linked.error().error_number) {
    case EXDEV:
    case EPERM:
    case EMLINK:
    case ENOSYS:
    case EOPNOTSUPP:
      if (auto copied = copy_file(files, from, to); !copied) return copied.error();
      return {boost::system::in_place_value, false};
    default:
      return linked.error();
  }
}

std::unique_ptr<Files> make_system_files() { return std::make_unique<SystemFiles>(); }

}  // namespace millrace
