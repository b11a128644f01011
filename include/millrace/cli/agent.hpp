#pragma once
#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

#include "millrace/cli/log.hpp"

/// `millrace agent`: follows log files and sends what is written to them, as the Amazon Kinesis Agent does.
namespace millrace::cli {

struct AgentCommand {
  std::filesystem::path file;  ///< agent.json
  bool check = false;          ///< say what is wrong with it, and run nothing

  std::string url = {};        ///< instead of the endpoints that the file says; empty: those
  std::string otherwise = {};  ///< for those that it does not say
  std::string region = {};     ///< empty: the endpoint's, or us-east-1
  std::string ca_file = {};
  std::string access_key_id = "test", secret_access_key = "test", session_token = {};  ///< unless the file says
};

/// @param wait  sleeps so long; false: it is to end
/// @return exit code: 0 when it was ended; 1 when it cannot run; 2 when the file is wrong
int run_agent(const AgentCommand& command, const std::function<bool(std::chrono::milliseconds)>& wait, Output& out,
              Output& err);

}  // namespace millrace::cli
