#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/followed_files.hpp"
#include "millrace/base/files.hpp"

namespace millrace::agent {

/// Of each flow, by Flow::id(), also of those that are not run at present.
using Checkpoints = std::map<std::string, std::vector<Mark>>;

/// The text is a version, then the flows (JSON). An error in words where it is none of ours.
std::string write_checkpoints(const Checkpoints& all);
std::variant<Checkpoints, std::string> read_checkpoints(std::string_view text);

/// A file that is not there has none.
std::variant<Checkpoints, std::string> load_checkpoints(Files& files, const std::filesystem::path& path);
/// Replaces the file, so that it is whole also after the machine has lost its power. Empty, or what went wrong.
std::string save_checkpoints(Files& files, const std::filesystem::path& path, const Checkpoints& all);

}  // namespace millrace::agent
