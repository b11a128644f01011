#pragma once
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace millrace::config {

/// A whole file. Nothing: `why` says what is wrong ("there is no such file").
std::optional<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max, std::string& why);

/// Why a regular file cannot be read, without reading it; empty when it can.
std::string unreadable_because(const std::filesystem::path& path);

}  // namespace millrace::config
