#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string_view>

#include "journal/frame_index.hpp"

namespace millrace::journal {

/// The last file that there can be: an LSN behind it is one still.
inline constexpr Generation kGenerationMax{UINT32_MAX - 1};
/// The file of a generation.
std::filesystem::path file_path(const std::filesystem::path& directory, Generation generation);
/// Of the file with that name; nothing when it is none of a journal's.
std::optional<Generation> generation_in(std::string_view name) noexcept;
/// What a file made ahead is called while a start takes it for its own: its number may have been told of, and is not
/// given again.
inline constexpr std::string_view kTakenPrefix = "taken-";
std::optional<Generation> generation_taken_in(std::string_view name) noexcept;

struct FoundFile {
  std::uint64_t bytes = 0;  ///< its length
  bool footer = false;
  bool damaged = false;
  bool synced = false;                ///< as its head says
  Lsn previous_end;                   ///< as its head says
  Lsn follows;                        ///< as its commits say
  Lsn end;                            ///< what counts in it ends here
  std::uint64_t frames = 0;           ///< that count
  bool moved = false;                 ///< there are such that were written again; of scan_index() only
  std::set<std::uint32_t> key_ids;    ///< that seal frames of them; of one with a footer, frames of records only
  std::shared_ptr<FrameIndex> index;  ///< of them, when there is no footer; of scan_index() only
};

/// What a scan hands on to the journal that goes on.
struct Found {
  bool indexed = false;  ///< by scan_index()
  Lsn synced;            ///< all below is on disk
  std::map<Generation, FoundFile> files;
};

/// As scan(); what is told of a file is told when all of it was read, files by generation, and its damage is not kept.
using FileRead = std::function<void(Generation file, const FoundFile& found, std::span<const Damage> damage)>;
Result<Scanned> scan_by_file(Files& files, const std::filesystem::path& directory,
                             const std::function<void(const Frame& frame, ByteView payload, Lsn lsn)>& visit,
                             const FileRead& read);

}  // namespace millrace::journal
