#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
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
namespace millrace {
class Random;
}

namespace millrace::journal {

enum class Errc {
  write_failed = 1,  ///< and what was to be written is not kept, nor will be
  full,              ///< the disk is, or Options::disk_limit is reached: the same, and it passes by itself
  unknown_format,    ///< a file of a version that is not known here
  unreadable,        ///< the system does not give the bytes
  damaged,           ///< the bytes are not what was written; detail: file, offset, what it hides
  gone,              ///< the file was dropped
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

/// What one commit takes. Used by the thread that makes the commit only.
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
  /// On the thread that makes the commit, a core's or the journal's own, one commit at a time: adds what is staged now.
  /// True when some of it is left, the batch being full.
  virtual bool gather(Batch& batch) = 0;
  /// On the same thread, after each gather(): what that added is kept, or it failed and never will be.
  /// @param places  of the frames that gather() added, in its order; none when it failed
  virtual void settled(const Result<>& outcome, std::span<const Lsn> places) noexcept = 0;

 private:
  friend class CommitThread;
  bool announced_ = false;
};

/// Consecutive records of one log and one epoch that lie in one file.
struct Part {
  Generation file;
  std::uint64_t log = 0, epoch = 0;
  std::uint64_t base = 0, count = 0;       ///< positions [base, base + count)
  std::int64_t first_ms = 0, last_ms = 0;  ///< arrival of its first and last record
  std::uint64_t bytes = 0;                 ///< of payload, plain
  friend bool operator==(const Part&, const Part&) = default;
};

/// A frame and where its head lies.
struct Place {
  Lsn lsn;
  Frame frame;
};

/// A file, and how much more its reads took of the disk than they would have taken had all that they wanted lain
/// together: in bytes read in one piece. What was read out of the system's memory takes nothing.
struct Scattered {
  Generation file;
  std::uint64_t excess_bytes = 0;
};

struct Options {
  std::filesystem::path directory;          ///< exists
  bool sync = true;                         ///< storage.sync: always. Else a commit is over when it is written
  std::uint64_t file_bytes = 64u << 20;     ///< at most 1 GiB
  std::size_t commit_bytes_max = 8u << 20;  ///< but for a single frame that is larger
  /// Files get a footer when they are full, and frames of records are found again by places().
  bool index = false;
  std::uint64_t disk_limit = UINT64_MAX;  ///< of all files together, those made ahead or kept for reuse too
  /// Commits of at least so many bytes go past the system's memory where the file system lets them: no page of it is
  /// taken for what will hardly be read, and less is to be done for a byte. Their files are read as any others.
  std::uint64_t direct_from = UINT64_MAX;
  const Keys* keys = nullptr;  ///< outlive the journal; null: payloads are plain
  Random* random = nullptr;    ///< the same; needed with keys
};

/// One writer for all: what is staged while a commit is on its way to the disk waits for the next one and shares it.
/// Thread-safe.
class Journal {
 public:
  /// Commits are counted; a turn is over when the commit of that number is.
  using Turn = std::uint64_t;
  /// Commits what is announced, then ends; what was not synced yet is.
  virtual ~Journal() = default;
  /// What `source` has staged is settled when the turn is over, but for what it left. From any thread, without waiting.
  /// @param bytes  how many were just staged by a coroutine that goes on to over(): when little is staged in all and
  ///               nothing is to be synced, the commit is made there, on its core, once what is ready there has run.
  ///               Left away: it is begun at once, elsewhere
  virtual Turn announce(std::shared_ptr<Source> source, std::size_t bytes = SIZE_MAX) = 0;
  /// Waits until the turn is over, for better or worse. One wake-up a core for all that wait there.
  virtual awaitable<void> over(Turn turn) = 0;

  /// The file that commits go to. A commit after a failed one goes to a later file.
  virtual Generation generation() const noexcept = 0;
  /// All commits below are on the disk. Without Options::sync it follows within seconds.
  virtual Lsn synced() const noexcept = 0;
  /// Nothing more fits: to be asked before staging records. State changes have a reserve and need not ask.
  virtual bool full() const noexcept = 0;
  /// Nothing in this file is wanted any more: it is used again or removed. Never the one that commits go to.
  virtual void drop(Generation file) = 0;
  /// The same of all files before this one.
  virtual void drop_before(Generation file) = 0;
  /// Of all files, on disk.
  virtual std::uint64_t disk_bytes() const noexcept = 0;

  /// The frames of `log` in `file`, in order of position, from the one that holds position `from` on (or the first
  /// behind it) until their payloads are `bytes_max` together; one at least. Blocking. With Options::index.
  /// @error gone, damaged, unreadable
  virtual Result<std::vector<Place>> places(Generation file, std::uint64_t log, std::uint64_t from,
                                            std::uint64_t bytes_max) = 0;
  /// The first frame of `log` in `file` whose last record arrived at or after `at_ms`; nothing when there is none.
  virtual Result<std::optional<Place>> place_at(Generation file, std::uint64_t log, std::int64_t at_ms) = 0;
  /// `places` of one file, in order, will be read soon: the disk may begin with them.
  virtual void will_read(std::span<const Place> places) noexcept = 0;
  /// The same for a piece of a file. False: it is gone, or ends before the piece begins.
  virtual bool will_read(Generation file, std::uint64_t offset, std::uint64_t bytes) noexcept = 0;
  /// The payloads of consecutive `places` of one file, plain, one behind the other, each checked. Blocking; few reads
  /// for places that lie close together.
  /// @param to  room for all of them
  /// @error gone, unreadable;  damaged: the first `*whole` of them were read
  virtual Result<> read(std::span<const Place> places, std::span<char> to, std::size_t* whole) = 0;

  /// Files in which reads of records found what they wanted scattered; where none of it was written again before. With
  /// Options::index.
  virtual std::vector<Scattered> scattered() const = 0;
  /// What reads of this file took is counted anew.
  virtual void forget_reads(Generation file) = 0;
  /// What files may still take, by Options::disk_limit and the file system. Blocking.
  virtual std::uint64_t room() = 0;

  /// All that is committed when it is called, and perhaps what is while it begins, into a directory of its own: files
  /// that have a footer are linked, and will not be written to again; others, and where there can be no links, are
  /// copied. The file in use is ended first. Commits go on; nothing is dropped meanwhile. All is on disk when it
  /// returns, but for the directory's own name. Blocking; one at a time, others wait.
  /// @param directory  made here
  /// @error full, write_failed, unreadable: nothing is left of it
  virtual Result<SnapshotFiles> snapshot(const std::filesystem::path& directory) = 0;
};

/// For who tells no more of it than a system would: full is ENOSPC, all else EIO.
FileError as_file_error(const Error& error);
/// Journal::snapshot(), told like that.
FileResult<SnapshotFiles> snapshot_of(Journal& journal, const std::filesystem::path& directory);

/// The files of a journal that nobody writes to, in a directory that is made where it is missing: links of those that
/// have a footer, copies of those that have none, which a journal that goes on there may write to. All is on disk, but
/// for the directory's own name. Blocking. After an error some may be there.
FileResult<SnapshotFiles> clone(Files& files, const std::filesystem::path& from, const std::filesystem::path& to);

/// The number of the newest file, or one that epochs in these files have reached, if that is higher; as far as they can
/// be read. Blocking.
Generation highest_given(Files& files, const std::filesystem::path& directory);

/// An empty file in a journal's directory, so that the journal that goes on there begins with a later one: for files
/// that take the place of others, whose numbers are not given again. Blocking.
/// @error full, write_failed
Result<> begin_behind(Files& files, const std::filesystem::path& directory, Generation last, std::int64_t now_ms);

/// Bytes that were on disk and cannot be read.
struct Damage {
  std::filesystem::path file;
  std::uint64_t offset = 0, bytes = 0;
  std::string hides;  ///< as far as it can be told: "records 7 to 9 of log 4"
};

struct Found;

/// What a scan found. Nothing on disk has been changed.
struct Scanned {
  Generation last;              ///< newest file there is; 0: none
  Lsn end;                      ///< what counts ends here; a journal goes on in a new file
  std::uint64_t cut_bytes = 0;  ///< behind the end: written and never acknowledged
  std::vector<Damage> damage;
  /// Nothing that was acknowledged can be missing at the end: it was acknowledged when it was synced, or the journal
  /// was closed by its destructor.
  bool complete = true;
  std::vector<Part> parts;             ///< of scan_index(), by file, then by log
  std::shared_ptr<const Found> found;  ///< the files, for make_journal()
};

/// Calls `visit` for each frame that counts, in the order in which they were written.
/// @param visit  its payload is checked; the view lives as long as the call
/// @param keys   null: sealed payloads are given as they are stored
/// @error unreadable: also when a payload is sealed by a key that is not known, or a key opens nothing of what it is
///        said to have sealed
Result<Scanned> scan(Files& files, const std::filesystem::path& directory,
                     const std::function<void(const Frame& frame, ByteView payload, Lsn lsn)>& visit,
                     const Keys* keys = nullptr);
/// As scan(), for a journal with Options::index: of files with a footer reads only that.
/// @param keys   what they are asked for is known then, and opens a frame of each key. Null: that is not looked at
Result<Scanned> scan_index(Files& files, const std::filesystem::path& directory, const Keys* keys = nullptr);

/// @param found  what scan() or scan_index() gave
/// @error full, write_failed: the first file cannot be made
Result<std::unique_ptr<Journal>> make_journal(Files& files, Clock& clock, Options options, const Scanned& found);

}  // namespace millrace::journal
