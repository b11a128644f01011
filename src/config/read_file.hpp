#pragma once
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::config {

/// A whole file, or what comes out of a pipe. Nothing: `why` says what is wrong ("there is no such file").
/// @param pipe_patience  how long a pipe may give nothing before that is wrong with it
std::optional<std::string> read_file(const std::filesystem::path& path, std::size_t bytes_max, std::string& why,
                                     std::chrono::milliseconds pipe_patience = std::chrono::seconds{10});

/// Why a regular file cannot be read, without reading it; empty when it can.
std::string unreadable_because(const std::filesystem::path& path);

/// A warning when everybody on the machine may change or read a file that holds `what`; else empty.
std::string open_to_all(const std::filesystem::path& file, std::string_view what);

}  // namespace millrace::config
