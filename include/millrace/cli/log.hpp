#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/files.hpp"

namespace millrace::journal {
class Keys;
}

/// `millrace log`: looks at a data directory, of a stopped daemon or a running one. Reads only, and takes no lock.
namespace millrace::cli {

/// What a command writes, in pieces of some size.
class Output {
 public:
  /// @param write  gives 0 or errno
  explicit Output(std::function<int(std::string_view)> write) : write_(std::move(write)) {}
  Output& operator<<(std::string_view text);
  void flush();
  /// errno of the write that failed: nothing is written after it.
  int error() const noexcept { return error_; }

 private:
  std::function<int(std::string_view)> write_;
  std::string buffer_;
  int error_ = 0;
};
/// To a file descriptor.
Output output_to(int descriptor);

/// What export takes.
struct ExportSelection {
  std::string stream = {}, shard = {};                   ///< empty: all
  std::optional<std::int64_t> from_ms = {}, to_ms = {};  ///< arrived at or after, and before
  std::uint64_t limit = UINT64_MAX;                      ///< of records
  bool orphans = false;                                  ///< those of no stream too
};

struct LogCommand {
  enum class What { inspect, verify, export_records };
  What what = What::inspect;
  bool json = false;  ///< of inspect
  ExportSelection selection = {};
  std::shared_ptr<const journal::Keys> keys = {};  ///< of what is sealed; null: none
  std::size_t findings_told = 10'000;              ///< verify: of each kind, the others are counted
};

/// @param running  a daemon has the directory
/// @return exit code: 0; 1 when something is damaged (verify, export); 2 when the directory cannot be read or `out` not
///         be written. A reader of `out` that went ends it quietly.
int run_log(Files& files, const std::filesystem::path& data_dir, bool running, const LogCommand& command, Output& out,
            Output& err);

/// Whether a process has the lock of the data directory, seen without touching that; a process of another container may
/// not be seen.
bool held_by_daemon(const std::filesystem::path& data_dir);

/// `2026-01-31`, `2026-01-31T17:00`, `2026-01-31T17:00:00.5Z`, `2026-01-31T17:00:00+01:00`: milliseconds since 1970;
/// UTC where no offset is said. Nothing when it is no such time.
std::optional<std::int64_t> parse_time(std::string_view text) noexcept;

}  // namespace millrace::cli
