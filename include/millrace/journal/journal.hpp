#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/files.hpp"
#include "millrace/base/result.hpp"
#include "millrace/journal/frame.hpp"

/// Frames in files: commits that many wait for at once, and what is left of them after a crash.
/// Format: docs/formats/journal.md.
namespace millrace::journal {

enum class Errc {
  write_failed = 1,  ///< and what was to be written is not kept, nor will be
  full,              ///< the disk is: the same, and it passes by itself
  unknown_format,    ///< a file of a version that is not known here
  unreadable,
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

/// What one commit takes. Used by the committer's thread only.
class Batch {
 public:
  virtual ~Batch() = default;
  /// Whether add() takes no more: what is left comes with the next commit.
  virtual bool full() const noexcept = 0;
  /// Length and checksum of the frame are found here.
  /// @param payload  at most kFramePayloadBytesMax in all; the bytes stay as they are until settled()
  virtual void add(const Frame& frame, std::span<const ByteView> payload) = 0;
};

/// Who has something to be kept: a shard's log, the state.
class Source {
 public:
  virtual ~Source() = default;
  /// On the committer's thread: adds what is staged now. True when some of it is left, the batch being full.
  virtual bool gather(Batch& batch) = 0;
  /// On the same thread, after each gather(): what that added is kept, or it failed and never will be.
  virtual void settled(const Result<>& outcome) noexcept = 0;

 private:
  friend class CommitThread;
  bool announced_ = false;
};

struct Options {
  std::filesystem::path directory;  ///< exists
  bool sync = true;                 ///< storage.sync: always. Else a commit is over when it is written
  std::uint64_t file_bytes = 64u << 20;
  std::size_t commit_bytes_max = 8u << 20;  ///< but for a single frame that is larger
};

/// One writer for all: what is staged while a commit is on its way to the disk waits for the next one and shares it.
class Journal {
 public:
  /// Commits are counted; a turn is over when the commit of that number is.
  using Turn = std::uint64_t;
  /// Commits what is announced, then ends.
  virtual ~Journal() = default;
  /// What `source` has staged is settled when the turn is over, but for what it left. From any thread, without waiting.
  virtual Turn announce(std::shared_ptr<Source> source) = 0;
  /// Waits until the turn is over, for better or worse. One wake-up a core for all that wait there.
  virtual awaitable<void> over(Turn turn) = 0;
};
/// @param found  what scan() gave
std::unique_ptr<Journal> make_journal(Files& files, Clock& clock, Options options, const struct Scanned& found);

/// Bytes that were on disk and cannot be read.
struct Damage {
  std::filesystem::path file;
  std::uint64_t offset = 0, bytes = 0;
  std::string hides;  ///< as far as it can be told: "records 7 to 9 of log 4"
};

/// What a scan found.
struct Scanned {
  Generation last;              ///< newest file there is; 0: none
  Lsn end;                      ///< what counts ends here; a journal goes on in a new file
  std::uint64_t cut_bytes = 0;  ///< behind the end: written and never acknowledged
  std::vector<Damage> damage;
};

/// Calls `visit` for each frame that counts, in the order in which they were written.
/// @param visit  its payload is checked; the view lives as long as the call
Result<Scanned> scan(Files& files, const std::filesystem::path& directory,
                     const std::function<void(const Frame& frame, ByteView payload, Lsn lsn)>& visit);

}  // namespace millrace::journal
