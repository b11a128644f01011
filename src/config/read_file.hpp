#pragma once
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>

namespace millrace::config {

/// A whole file. Nothing: `why` says what is wrong ("there is no such file").
std::optional<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max, std::string& why);

}  // namespace millrace::config
