#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "journal/frame_index.hpp"
#include "journal/head.hpp"

/// What a file that is full ends with: the frames of each log, a table of the logs, a trailer. Each has a checksum that
/// covers its LSN, so that what an earlier life of the file left is none of this one.
/// Format: docs/formats/journal.md.
namespace millrace::journal {

/// Stands at the very end of a file. It is written when all before it is on disk: what it tells of is.
struct Trailer {
  Lsn end;                         ///< of the last commit that counts
  Lsn previous_end;                ///< as the file's head says
  Lsn follows;                     ///< as its commits say
  bool synced = false;             ///< the same
  bool closed = false;             ///< the journal was closed, and this was its last file
  bool moved = false;              ///< there are frames that were written again
  std::uint32_t parts = 0;         ///< rows of the table
  std::uint32_t other_frames = 0;  ///< frames that are not of records
  std::uint32_t footer_bytes = 0;  ///< lists, table and trailer
  std::uint32_t table_checksum = 0;
};
inline constexpr std::size_t kTrailerBytes = 64;
void encode_trailer(const Trailer& trailer, Lsn lsn, char* out) noexcept;
/// Nothing, too, when it tells of what cannot be in the file that it ends.
std::optional<Trailer> decode_trailer(ByteView bytes, Lsn lsn) noexcept;

/// A row of the table: a part and where its list lies.
struct TableRow {
  Part part;
  std::uint32_t offset = 0;  ///< of the list
  std::uint32_t frames = 0;  ///< entries in it
  std::uint32_t checksum = 0;
  std::uint32_t key_id = 0;  ///< of the key that seals its frames; 0: they are plain
};
inline constexpr std::size_t kTableRowBytes = 72;
using Table = std::vector<TableRow>;

/// A footer's bytes, whose end is the end of the file at `file_bytes`.
struct Footer {
  std::string body;  ///< lists and table, to be on disk before the trailer is written
  std::uint64_t at = 0;
  std::string trailer;
};
/// @param trailer  the parts of it that are not found here
/// @param file_bytes  how long the file is; the footer makes it longer when it has no room behind `trailer.end`
Footer make_footer(const FrameIndex& index, Trailer trailer, std::uint64_t file_bytes);

/// Where the table of a file of `file_bytes` begins.
inline std::uint64_t table_at(const Trailer& trailer, std::uint64_t file_bytes) noexcept {
  return file_bytes - kTrailerBytes - std::uint64_t{trailer.parts} * kTableRowBytes;
}
/// Nothing when `bytes`, all of the table, are not what was written, or tell of what cannot be in the file.
std::optional<Table> decode_table(ByteView bytes, const Trailer& trailer, Generation file, std::uint64_t file_bytes);
std::optional<std::vector<IndexEntry>> decode_list(ByteView bytes, const TableRow& row);

/// Reads trailer and table of the file, in one piece where that is enough.
/// @return nothing when there is none; an error when the system does not give the bytes
struct FileFooter {
  Trailer trailer;
  Table table;
};
Result<std::optional<FileFooter>> read_footer(File& file, Generation generation, std::uint64_t file_bytes);

}  // namespace millrace::journal
