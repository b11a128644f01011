#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

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
