#pragma once
#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/snapshots/snapshots.hpp"

/// What lies where below a data directory, and the small files that say what the rest is.
namespace millrace::snapshots {

/// What a snapshot holds, each in a directory of its own, as the data directory does.
inline constexpr std::array<std::string_view, 2> kParts{"log", "state"};
inline constexpr std::string_view kLog = kParts[0], kState = kParts[1];
inline constexpr std::string_view kManifest = "snapshot.json";

struct Layout {
  explicit Layout(const std::filesystem::path& data_dir)
      : data(data_dir),
        snapshots(data_dir / "snapshots"),
        making(snapshots / ".making"),
        removing(snapshots / ".removing"),
        restoring(data_dir / "restoring"),
        asked(restoring / "restore.json"),
        numbered(restoring / "numbered"),
        kept(restoring / "kept"),
        restored(data_dir / "restored.json") {}

  std::filesystem::path data, snapshots;
  std::filesystem::path making, removing;  ///< snapshots that are not there yet, or any more
  std::filesystem::path restoring;         ///< what takes the place of what there is, as long as `asked` is there
  std::filesystem::path asked;
  std::filesystem::path numbered;  ///< it goes on behind what there is
  std::filesystem::path kept;      ///< what there is, is a snapshot
  std::filesystem::path restored;  ///< the last restore
};

/// A time as a name: such names sort as the times do.
std::string name_of(TimePoint at);

Error error_of(const FileError& error);
FileResult<bool> is_there(Files& files, const std::filesystem::path& path);
/// A file that is on disk, under its name, when this returns.
FileResult<> write_lasting(Files& files, const std::filesystem::path& path, std::string_view text);

std::string manifest_text(const Snapshot& snapshot);
/// @error not_found, damaged, failed
Result<Snapshot> read_manifest(Files& files, const std::filesystem::path& directory);

std::string restore_text(const Restore& restore);
/// Nothing when there is none, or it is not whole.
std::optional<Restore> read_restore(Files& files, const std::filesystem::path& path);

}  // namespace millrace::snapshots
