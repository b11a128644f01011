#pragma once
#include <filesystem>
#include <string>

#include "journal/head.hpp"
#include "millrace/base/files.hpp"

namespace millrace::journal {

/// Whether the file has been dropped. A name never comes back, so that what was wrong with a file that has gone may
/// have been its next life.
bool is_gone(Files& files, const std::filesystem::path& path);

std::string unknown_version(const FileHead& head);

}  // namespace millrace::journal
