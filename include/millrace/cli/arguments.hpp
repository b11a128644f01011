#pragma once
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>

#include "millrace/cli/agent.hpp"
#include "millrace/cli/log.hpp"
#include "millrace/cli/tail.hpp"

/// The command line, and the commands that talk to a running daemon or look at what it stores.
namespace millrace::cli {

enum class Command { serve, check, version, health, log, tail, agent };

struct Arguments {
  Command command = Command::serve;
  std::optional<std::filesystem::path> config;  ///< of all but version
  std::string url;     ///< of health, tail and agent; empty: where the config says the daemon listens
  bool ready = false;  ///< of health: ask /ready instead
  std::chrono::milliseconds timeout = std::chrono::seconds{2};
  std::optional<std::filesystem::path> data_dir = {};  ///< of log; nothing: where the config says
  std::optional<std::filesystem::path> keys = {};      ///< of log; nothing: what the config or the environment says
  LogCommand log = {};
  TailCommand tail = {};    ///< but where and with whose credentials
  AgentCommand agent = {};  ///< the same
};

/// Nothing to run: help was asked for (0), or the command line is wrong (2). `text` goes to standard output or error.
struct Ended {
  int exit_code;
  std::string text;
};

std::variant<Arguments, Ended> parse(int argc, const char* const* argv);

}  // namespace millrace::cli
