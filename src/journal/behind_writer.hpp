#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>

#include "millrace/base/files.hpp"

namespace millrace::journal {

/// Writes pieces of a commit while the rest of it is put together. One caller; its thread begins with the first piece.
class BehindWriter {
 public:
  BehindWriter() = default;
  ~BehindWriter();
  BehindWriter(const BehindWriter&) = delete;
  BehindWriter& operator=(const BehindWriter&) = delete;

  /// File and bytes stay as they are until end().
  void write(File& file, std::uint64_t offset, ByteView bytes);
  /// Waits until all of it is written, or some of it could not be: the first failure.
  FileResult<> end();

 private:
  struct Piece {
    File* file;
    std::uint64_t offset;
    ByteView bytes;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable wanted_, written_;
  std::deque<Piece> pieces_;  // the first one is under way
  std::optional<FileError> failed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace::journal
