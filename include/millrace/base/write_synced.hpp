#pragma once
#include <filesystem>
#include <string_view>

#include "millrace/base/files.hpp"

namespace millrace {

/// Creates or replaces a file with `text` in it, synced; its directory is not. Blocking.
FileResult<> write_synced(Files& files, const std::filesystem::path& path, std::string_view text);

}  // namespace millrace
