#include "journal/behind_writer.hpp"

#include <pthread.h>

#include <array>
#include <utility>

namespace millrace::journal {

BehindWriter::~BehindWriter() {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wanted_.notify_one();
  thread_.join();
}

void BehindWriter::write(File& file, std::uint64_t offset, ByteView bytes) {
  if (!thread_.joinable()) {
    thread_ = std::thread([this] { run(); });
    ::pthread_setname_np(thread_.native_handle(), "journal-writes");
  }
  {
    std::lock_guard lock(mutex_);
    pieces_.push_back({&file, offset, bytes});
  }
  wanted_.notify_one();
}

FileResult<> BehindWriter::end() {
  std::unique_lock lock(mutex_);
  written_.wait(lock, [this] { return pieces_.empty(); });
  if (auto failed = std::exchange(failed_, std::nullopt)) return std::move(*failed);
  return {};
}

void BehindWriter::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wanted_.wait(lock, [this] { return stopping_ || !pieces_.empty(); });
    if (pieces_.empty()) return;
    const Piece piece = pieces_.front();
    if (!failed_) {
      lock.unlock();
      const std::array<ByteView, 1> bytes{piece.bytes};
      auto done = piece.file->write_at(piece.offset, bytes);
      lock.lock();
      if (!done) failed_ = done.error();
    }
    pieces_.pop_front();
    if (pieces_.empty()) written_.notify_one();
  }
}

}  // namespace millrace::journal
