#pragma once
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "journal/behind_writer.hpp"
#include "journal/head.hpp"
#include "journal/seal.hpp"
#include "journal/shelf.hpp"
#include "millrace/base/files.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

/// A frame to be written: length and checksum are found here.
struct OutFrame {
  Frame frame;
  std::span<const ByteView> payload;
};

/// Memory from which a file is written to directly.
class AlignedBuffer {
 public:
  /// At least so many bytes; what was in it is gone.
  char* make(std::size_t bytes);

 private:
  struct Free {
    void operator()(char* memory) const noexcept { std::free(memory); }
  };
  std::unique_ptr<char, Free> memory_;
  std::size_t bytes_ = 0;
};

/// Puts commits into files, one after the other, and makes the files. Knows of no threads: commit() is called by one at
/// a time, what belongs to the making of files and to the sync behind commits by another one.
///
/// A commit that failed is never called kept: nothing more is written to its file, and the head of the next one says
/// where this one ends, on disk before the next commit is.
class Writer {
 public:
  struct Options {
    std::filesystem::path directory = {};
    bool sync = true;
    std::uint64_t direct_from = UINT64_MAX;
    std::uint64_t file_bytes = 64u << 20;
    std::size_t commit_bytes_max = 8u << 20;
    std::uint64_t disk_limit = UINT64_MAX;
    const Keys* keys = nullptr;
    Random* random = nullptr;
  };
  /// @param scanned  goes on behind its end, in a new file
  Writer(Files& files, Options options, Shelf& shelf, const Scanned& scanned);

  /// Sees to it that what was found is on disk, and begins the first file, whose number is then taken for good.
  Result<> begin(const Scanned& scanned, std::int64_t now_ms);

  /// Makes the file after the one in use, with all its room on the disk. Nothing to do when there is one.
  Result<> prepare(std::int64_t now_ms);
  /// A piece of what makes commits to the file that prepare() made quick: writes zeros, since a sync of what was
  /// written before costs half of one of what was not; or, in a file that is used again, asks for what is there, since
  /// a page that is written to in part is read first. False when there is nothing left to do.
  bool work_ahead();

  /// Whether a commit of about that many bytes goes to the file in use. Of the committing thread.
  bool has_room(std::uint64_t bytes) const {
    constexpr std::uint64_t kFrames = 64;  // and what they take beside their records
    return current_.file && !suspect_ &&
           offset_ + bytes + kFrames * kFrameHeadBytes + shelf_.footer_bytes(kFrames) <= current_.bytes;
  }
  /// Writes the frames as one commit and, where Options::sync says so, waits for the disk.
  /// @return where the frames lie; until the next call
  Result<std::span<const Lsn>> commit(std::span<const OutFrame> frames, std::int64_t now_ms);
  /// Writes the footers that are due and, without Options::sync, syncs what was written so far. When that fails,
  /// commits go on in another file. False when it failed.
  bool sync_written();
  /// Commits go to another file from now on, if there is one in this. Of the committing thread.
  Result<> end_file(std::int64_t now_ms);
  /// Ends the last file. With `whole` it says that nothing is missing.
  void close(bool whole);

  /// All commits below are on the disk.
  Lsn synced() const noexcept { return Lsn{synced_.load(std::memory_order_acquire)}; }
  /// The file that the next commit goes to.
  Generation generation() const noexcept { return announced_.load(std::memory_order_acquire); }
  /// Whether the next file cannot be made for want of room.
  bool blocked() const noexcept { return blocked_.load(std::memory_order_acquire); }
  /// That, and records find no more room in the one in use.
  bool full() const noexcept { return blocked() && left_.load(std::memory_order_relaxed) < margin_; }

 private:
  struct Open {
    std::shared_ptr<File> file;
    std::unique_ptr<File> direct;  // the same, for commits from Options::direct_from on; null: all go by `file`
    Generation generation;
    std::uint64_t bytes = 0;
    Lsn previous_end;
    Lsn follows;  // the end of the last commit that was kept before
    FileSalt salt{};
  };
  struct Ahead {  // what is zeroed of the file made ahead
    std::unique_ptr<File> file;
    Generation generation;
    bool recycled = false;
    std::uint64_t done = kFileHeadBytes, synced = kFileHeadBytes, bytes = 0;
  };

  Result<> prove(const Scanned& scanned);
  Result<> begin_file(std::int64_t now_ms);
  Result<Open> make_file(Generation generation, Lsn previous_end, std::int64_t now_ms);
  Result<Open> make_short_file(Generation generation, Lsn previous_end, std::int64_t now_ms);
  Result<Open> fill(const std::filesystem::path& unfinished, std::shared_ptr<File> file, Open made, bool recycled,
                    std::int64_t now_ms);
  void use(Open file);
  void leave_file(bool failed);
  void announce_next();
  Result<> room_for(std::span<const OutFrame> frames, std::uint64_t bytes, std::int64_t now_ms);
  Result<> find_key(std::span<const OutFrame> frames);
  /// Whether this one is sealed, all being plain or not.
  bool seals(const Frame& frame) const noexcept { return key_id_ && (seals_all_ || (frame.flags & kSealFlag)); }
  void put_commit_head(std::size_t frames, std::uint64_t end, std::int64_t now_ms, char* to);
  /// Through the system's memory, from where the payloads are.
  FileResult<> write_through(std::span<const OutFrame> frames, std::int64_t now_ms);
  /// Past it, from an image of the commit.
  FileResult<> write_directly(std::span<const OutFrame> frames, std::uint64_t bytes, std::int64_t now_ms);
  /// The payload as it is stored, in pieces; or at `to`, when there is one.
  std::span<const ByteView> store(Frame& frame, Lsn lsn, const OutFrame& out, char* to);
  /// Whether direct commits and others come to stand in one file. Not of the file in use: a commit may begin another.
  bool mixes() const noexcept { return options_.direct_from > 0 && options_.direct_from != UINT64_MAX; }
  std::size_t alignment(bool direct) const noexcept;
  void kept();
  std::shared_ptr<Ahead> ahead_of_use();

  Files& files_;
  const Options options_;
  Shelf& shelf_;
  const std::uint64_t reserve_, margin_;

  // Of the committing thread.
  Open current_;  // no file after a commit that failed
  std::uint64_t offset_ = 0;
  Lsn cut_;   // to be said by the next file's head; offset 0: nothing
  Lsn kept_;  // the end of the last commit that was
  std::string heads_;
  std::vector<ByteView> pieces_;
  std::vector<Frame> frames_;
  std::vector<Lsn> places_;
  std::string sealed_;  // payloads of the commit under way
  std::size_t sealed_bytes_ = 0;
  BehindWriter behind_;
  AlignedBuffer image_;  // the commit under way as it will lie in the file, when it goes there directly
  ByteView stored_piece_;
  std::uint64_t commit_bytes_ = 0;  // of the commit under way, all of it
  std::optional<FileSealer> sealer_;
  Generation sealer_file_;
  std::uint32_t key_id_ = 0;         // of sealer_; 0: payloads are plain
  bool seals_all_ = false;           // else those frames that ask for it
  std::uint64_t sealed_frames_ = 0;  // counter in the file in use: never given twice under its key

  std::atomic<Generation> announced_;
  std::atomic<bool> blocked_{false};
  std::atomic<std::uint64_t> left_{0};
  std::atomic<std::uint64_t> synced_{0};  // LSN
  std::atomic<bool> suspect_{false};      // a sync of the file in use failed behind commits

  std::mutex preparing_;  // held while a file is made
  std::mutex zeroing_;    // held while a piece of zeros is written; before mutex_
  mutable std::mutex mutex_;
  std::optional<Open> next_;
  std::shared_ptr<Ahead> ahead_;
  Generation newest_;
  std::shared_ptr<File> written_file_;  // the file in use and how far it is written
  Lsn written_;
};

}  // namespace millrace::journal
