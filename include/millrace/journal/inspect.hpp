#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "millrace/base/files.hpp"
#include "millrace/journal/journal.hpp"

/// Looks at a journal's files from outside and changes nothing, also while another process writes them: a file that was
/// dropped or used again meanwhile is told as gone, not as damaged. Blocking; one thread.
namespace millrace::journal {

/// The file of a generation.
std::filesystem::path path_of(const std::filesystem::path& directory, Generation file);

/// `files` for reading only: what would change something is refused with EROFS. A file that is no more when it is
/// opened is empty, so that a scan goes on with the others; the functions below tell it as gone. `files` outlives it.
std::unique_ptr<Files> make_onlooking_files(Files& files);

/// One file as inspect() found it.
struct FileReport {
  enum class State {
    open,        ///< has no footer: it is written to, or the program ended before it was full
    full,        ///< has one
    unreadable,  ///< `trouble` says why; nothing but its length is told
  };
  Generation generation;
  std::filesystem::path path;
  State state = State::open;
  std::string trouble;
  bool damaged = false;     ///< something in it is; Report::scanned says what
  bool closed = false;      ///< its footer says that the program ended in order
  std::uint64_t bytes = 0;  ///< its length
  std::uint64_t end = 0;    ///< offset behind the last commit that counts
  std::uint64_t commits = 0, frames = 0, records = 0;
  std::uint64_t payload_bytes = 0;                       ///< of records
  std::int64_t first_ms = 0, last_ms = 0;                ///< arrival of its first and last record
  std::int64_t first_commit_ms = 0, last_commit_ms = 0;  ///< when they were written
  std::set<std::uint32_t> key_ids;                       ///< that seal frames in it
};

struct Report {
  std::vector<FileReport> files;                   ///< by generation
  std::uint64_t spare_files = 0, spare_bytes = 0;  ///< kept for reuse, or not finished
  std::vector<std::filesystem::path> gone;         ///< while they were looked at
  /// Why it cannot be told what counts: of the files only states and lengths are known then.
  std::optional<Error> error;
  Scanned scanned;  ///< of scan_index(); without damage in files that are gone
};
/// Of full files reads footers and the heads of commits, of others all.
Report inspect(Files& files, const std::filesystem::path& directory);

/// What is wrong somewhere.
struct Finding {
  std::filesystem::path file;
  std::uint64_t offset = 0, bytes = 0;
  std::string what;          ///< "damaged, hides": `hidden` ends the sentence, when there are any
  std::vector<Part> hidden;  ///< records that cannot be read for it, or that it is about, as far as it can be told
};

struct Verified {
  std::vector<Finding> findings;            ///< the first ones, by file and offset
  std::uint64_t more_findings = 0;          ///< behind them
  std::uint64_t more_hidden = 0;            ///< records of what these hide
  std::vector<std::filesystem::path> gone;  ///< while they were looked at; what they held was not wanted any more
  std::uint64_t files = 0, footers = 0, frames = 0;
  std::uint64_t unfinished_bytes = 0;  ///< behind the end: writes that did not end, or have not yet
};
/// As scan(), and compares footers with the frames that are there, and positions with those before them: inside an
/// epoch they are dense, and they only grow. Holds one commit, and the index and findings of one file, at a time.
/// @param visit  what `keys` open is given plain, with key id 0, other sealed payloads as they are stored
/// @param findings_kept  the others are counted
Result<Verified> verify(Files& files, const std::filesystem::path& directory,
                        const std::function<void(const Frame& frame, ByteView payload, Lsn lsn)>& visit,
                        const Keys& keys = no_keys(), std::size_t findings_kept = SIZE_MAX);

class FrameIndex;
class Opener;

/// Reads one log at a time out of a journal's files, by what a scan found in them.
class LogReader {
 public:
  /// @param scanned  of scan_index(); outlives this, as the files and the keys do
  LogReader(Files& files, std::filesystem::path directory, const Scanned& scanned, const Keys& keys = no_keys());
  ~LogReader();

  /// Calls `visit` for the frames of `log` that count and that `wanted` says yes to, in order of position, until it
  /// says no. What cannot be read is told in `damage` and passed over.
  /// @param visit  its payload is checked; what the keys open is plain, with key id 0, other sealed ones are as they
  ///               are stored. The view lives as long as the call
  /// @error unreadable, unknown_format
  using Wanted = std::function<bool(const Frame& frame)>;
  using Visit = std::function<bool(const Frame& frame, ByteView payload, Lsn lsn)>;
  Result<> read(std::uint64_t log, const Wanted& wanted, const Visit& visit, std::vector<Finding>& damage);
  /// Files that were dropped before they were read.
  const std::vector<std::filesystem::path>& gone() const noexcept { return gone_; }

 private:
  struct OpenFile;
  struct Step;
  Result<> read_part(const Part& part, Step& step);
  Result<> read_lists(const FrameIndex& index, const Part& part, Step& step);
  template <class Entries>
  Result<> read_entries(const Part& part, const Entries& entries, Step& step);
  Result<FrameIndex> walk(const Part& part);
  Result<> open(Generation file);
  bool is_gone();

  Files& files_;
  const std::filesystem::path directory_;
  const Scanned& scanned_;
  const std::unique_ptr<Opener> opener_;
  std::vector<Part> parts_;         // by log, then by position
  std::unique_ptr<OpenFile> open_;  // the one that was read last
  std::vector<std::filesystem::path> gone_;
};

}  // namespace millrace::journal
