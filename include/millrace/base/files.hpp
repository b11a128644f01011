#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/bytes.hpp"
#include "millrace/base/result.hpp"

namespace millrace {

/// errno of the failed call; detail names the call and the path.
struct FileError {
  int error_number;
  std::string detail;
};
[[noreturn]] void throw_exception_from_error(const FileError& error, const boost::source_location&);
template <class T = void>
using FileResult = ResultOf<T, FileError>;

/// One open file. Blocking calls: make them on a file thread. Closed on destruction.
class File {
 public:
  virtual ~File() = default;
  /// Writes all of `pieces` at the end of what was written so far through this handle.
  virtual FileResult<> append(std::span<const ByteView> pieces) = 0;
  /// Writes all of `pieces` from `offset` on, wherever append() stands; a file grows as needed.
  virtual FileResult<> write_at(std::uint64_t offset, std::span<const ByteView> pieces) = 0;
  /// Up to `size` bytes from `offset`; fewer only at the end of the file.
  virtual FileResult<std::string> read_at(std::uint64_t offset, std::size_t size) = 0;
  /// Fills `pieces`, one behind the other, with what lies from `offset` on. Gives how many bytes came: fewer than there
  /// is room for only at the end of the file.
  virtual FileResult<std::uint64_t> read_into(std::uint64_t offset, std::span<const std::span<char>> pieces) = 0;
  /// Asks for bytes that will be read soon; does not wait for them.
  virtual void will_read(std::uint64_t offset, std::uint64_t size) noexcept = 0;
  /// Room on the disk for the first `size` bytes, so that writing them cannot meet a full one. What was not written
  /// reads as zeros; the file is at least that long afterwards. Where the file system cannot, only its length changes.
  virtual FileResult<> allocate(std::uint64_t size) = 0;
  virtual FileResult<std::uint64_t> size() = 0;
  /// Bytes and all that is needed to find them again; without the times of change, when `data_only`.
  virtual FileResult<> sync(bool data_only = false) = 0;
};

inline constexpr std::size_t kDirectBytes = 512, kDirectMemory = 4096;

/// Every file goes through this. Blocking; thread-safe.
class Files {
 public:
  virtual ~Files() = default;
  /// Creates or truncates. Parents must exist.
  virtual FileResult<std::unique_ptr<File>> create(const std::filesystem::path& path) = 0;
  /// For reading: append() gives EBADF.
  virtual FileResult<std::unique_ptr<File>> open(const std::filesystem::path& path) = 0;
  /// An existing file for reading and writing, as it is.
  virtual FileResult<std::unique_ptr<File>> open_writable(const std::filesystem::path& path) = 0;
  /// An existing file for writing past the system's memory: each write_at() is given one piece, which begins at a
  /// multiple of kDirectMemory in memory; it and its offset in the file are multiples of kDirectBytes. EINVAL: that
  /// cannot be done there.
  virtual FileResult<std::unique_ptr<File>> open_direct(const std::filesystem::path& path) = 0;
  /// Replaces `to` atomically.
  virtual FileResult<> rename(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  /// A second name of a file, which must not be there yet. EXDEV, EPERM, EMLINK: it can have none there.
  virtual FileResult<> link(const std::filesystem::path& from, const std::filesystem::path& to) = 0;
  /// How many names a file has.
  virtual FileResult<std::uint64_t> names_of(const std::filesystem::path& path) = 0;
  virtual FileResult<> remove(const std::filesystem::path& path) = 0;
  virtual FileResult<> remove_all(const std::filesystem::path& path) = 0;
  /// With parents; an existing directory is success.
  virtual FileResult<> make_directories(const std::filesystem::path& path) = 0;
  virtual FileResult<> sync_directory(const std::filesystem::path& path) = 0;
  enum class Kind { none, file, directory };
  virtual FileResult<Kind> kind(const std::filesystem::path& path) = 0;
  /// Names (not paths) in a directory, unsorted.
  virtual FileResult<std::vector<std::string>> list(const std::filesystem::path& path) = 0;
  virtual FileResult<std::string> read_all(const std::filesystem::path& path, std::size_t bytes_max) = 0;
  /// What may still be written in the file system of a directory.
  virtual FileResult<std::uint64_t> free_bytes(const std::filesystem::path& directory) = 0;
  /// Bytes that the calling thread has made the system read from a disk so far, what it reads ahead too; none of what
  /// was in the system's memory. Always 0 where it does not say.
  virtual std::uint64_t fetched_here() const noexcept = 0;
};

/// Files that were linked or copied.
struct SnapshotFiles {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;   ///< of their lengths
  std::uint64_t copied = 0;  ///< bytes of those that are no links
};

/// Makes a directory, with parents, that is still there when the machine has lost its power. Blocking.
FileResult<> make_lasting_directory(Files& files, const std::filesystem::path& path);
/// Copies the first `bytes` of a file, or as many as there are, and syncs them, but not the directory. Blocking.
FileResult<> copy_file(Files& files, const std::filesystem::path& from, const std::filesystem::path& to,
                       std::uint64_t bytes = UINT64_MAX);
/// A second name, or where there can be none a synced copy. Whether it is a link.
FileResult<bool> link_or_copy(Files& files, const std::filesystem::path& from, const std::filesystem::path& to);

std::unique_ptr<Files> make_system_files();

class Random;

/// Files in memory for tests, with faults on demand.
class MemoryFiles : public Files {
 public:
  /// Asked before each call that changes something; a non-zero errno makes that call fail with it. The calls are
  /// create, write, allocate, fsync, rename and link (with the new path), remove and mkdir. A write that fails may have
  /// written a part.
  virtual void on_change(std::function<int(std::string_view call, const std::filesystem::path&)> fault) = 0;
  /// The machine loses its power. Of what was not synced, each sector of 512 bytes and each name in a directory is by
  /// chance as it was at the last sync or as it became, in any order. Open files fail with EIO from now on.
  /// Needs `loses_unsynced`.
  virtual void lose_power(Random& random) = 0;
};
struct MemoryFilesOptions {
  bool loses_unsynced = false;  ///< keeps what lose_power() needs: twice the memory
};
std::unique_ptr<MemoryFiles> make_memory_files(MemoryFilesOptions options = {});

/// A bounded pool for blocking file work; at most `queue_max` jobs wait, a further one suspends its caller.
class FileThreads {
 public:
  explicit FileThreads(std::size_t threads, std::size_t queue_max = 1024);
  /// Runs what is queued, then joins.
  ~FileThreads();
  /// Runs `work` on a pool thread, then resumes on the coroutine's own executor. An exception of `work` comes through.
  template <class Work>
  awaitable<void> run(Work&& work) {
    static_assert(SafeInCoAwait<Work>, "pass a named local: auto work = [...] {...}; co_await threads.run(work);");
    return run_work(std::function<void()>(std::forward<Work>(work)));
  }
  /// Runs `work`, which throws nothing, on a pool thread some time. From any thread, without waiting.
  void post(std::function<void()> work);

 private:
  awaitable<void> run_work(std::function<void()> work);
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace millrace
