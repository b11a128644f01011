#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "journal/head.hpp"
#include "millrace/base/files.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

/// A frame to be written: length and checksum are found here.
struct OutFrame {
  Frame frame;
  std::span<const ByteView> payload;
};

/// The file of a generation.
std::filesystem::path file_path(const std::filesystem::path& directory, Generation generation);

/// Puts commits into files, one after the other, and knows of no threads: commit() is called by one thread at a time,
/// prepare() by any.
///
/// A commit that failed is never called kept: nothing more is written to its file, and the head of the next one says
/// where this one ends, on disk before the next commit is.
class Writer {
 public:
  struct Options {
    std::filesystem::path directory;
    bool sync = true;
    std::uint64_t file_bytes = 64u << 20;
  };
  /// Goes on in a new file. The directory exists.
  /// @param last  the newest generation that there is a file of
  /// @param end   what lies at or above it in those files is none; offset 0: all of it counts
  Writer(Files& files, Options options, Generation last, Lsn end);

  /// Makes the file after the one in use, written once to its full length, so that a commit changes no metadata.
  /// Nothing to do when there is one.
  Result<> prepare(std::int64_t now_ms);

  /// Writes the frames as one commit and, where Options::sync says so, waits for the disk.
  /// @return where the commit lies
  Result<Lsn> commit(std::span<const OutFrame> frames, std::int64_t now_ms);

  Generation generation() const noexcept { return generation_; }

 private:
  struct Open {
    std::unique_ptr<File> file;
    Generation generation;
  };
  Result<> begin_file(std::int64_t now_ms);
  Result<Open> make_file(Generation generation, std::int64_t now_ms);
  void layout(std::span<const OutFrame> frames, std::int64_t now_ms);

  Files& files_;
  const Options options_;
  std::unique_ptr<File> file_;  // in use; null before the first commit and after one that failed
  Generation generation_;
  std::uint64_t offset_ = 0;
  Lsn synced_;
  std::optional<Lsn> cut_;  // to be said by the next file's head

  std::mutex preparing_;  // held while a file is made
  std::mutex mutex_;      // of next_ and newest_
  std::optional<Open> next_;
  Generation newest_;

  // Of the commit under way, kept for its memory.
  std::string heads_;
  std::vector<ByteView> pieces_;
};

}  // namespace millrace::journal
