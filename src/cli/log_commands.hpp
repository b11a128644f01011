#pragma once
#include <filesystem>
#include <string>

#include "cli/owners.hpp"
#include "millrace/base/files.hpp"
#include "millrace/cli/log.hpp"
#include "millrace/journal/frame.hpp"

namespace millrace::cli {

inline constexpr int kDamaged = 1, kUnreadable = 2;

/// A data directory that is looked at.
struct LogDirectory {
  Files& files;  ///< that change nothing
  std::filesystem::path path;
  bool running;
  const journal::Keys& keys;
  bool has_state = true, has_log = true;

  std::filesystem::path log() const { return path / "log"; }
  std::filesystem::path state() const { return path / "state"; }
};

/// Each gives its exit code.
int log_inspect(const LogDirectory& directory, bool json, Output& out, Output& err);
int log_verify(const LogDirectory& directory, std::size_t findings_told, Output& out, Output& err);
int log_export(const LogDirectory& directory, const ExportSelection& selection, Output& out, Output& err);

}  // namespace millrace::cli
