#pragma once
#include <filesystem>

#include "journal/found.hpp"
#include "millrace/base/files.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

/// Whether what was found can be opened with `keys`: that they are known, and, by the newest frames of each, that they
/// are the right ones. Reads a frame a key where all is well.
/// @error unreadable: which file needs which key
Result<> check_keys(Files& files, const std::filesystem::path& directory, const Keys& keys, const Found& found);

}  // namespace millrace::journal
