#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>

/// The command line, and the commands that talk to a running daemon.
namespace millrace::cli {

enum class Command { serve, check, version, health };

struct Arguments {
  Command command = Command::serve;
  std::optional<std::filesystem::path> config;  ///< of serve, check and health
  std::string url;                              ///< of health; empty: where the config says the daemon listens
  bool ready = false;                           ///< of health: ask /ready instead
  std::chrono::milliseconds timeout = std::chrono::seconds{2};
};

/// Nothing to run: help was asked for (0), or the command line is wrong (2). `text` goes to standard output or error.
struct Ended {
  int exit_code;
  std::string text;
};

std::variant<Arguments, Ended> parse(int argc, const char* const* argv);

}  // namespace millrace::cli
