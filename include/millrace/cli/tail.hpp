#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "millrace/cli/log.hpp"

/// `millrace tail`: writes the records of a stream as they come, through the daemon's public API.
namespace millrace::cli {

struct TailCommand {
  std::string stream;
  std::string shard = {};  ///< empty: all, children after their parents
  enum class From { horizon, tip, time };
  From from = From::tip;
  std::int64_t from_ms = 0;  ///< of time
  bool raw = false;          ///< data and a line end, else an object of JSON each
  std::uint64_t limit = UINT64_MAX;

  std::string url, region = "us-east-1", ca_file = {};
  std::string access_key_id = "test", secret_access_key = "test", session_token = {};
};

/// @param wait     sleeps so many milliseconds; false: it is to end
/// @return exit code: 0 when it was ended, the limit is reached, the shards are at their end, or the reader of `out`
/// went;
///         1 when the stream cannot be read
int run_tail(const TailCommand& command, const std::function<bool(std::int64_t)>& wait, Output& out, Output& err);

}  // namespace millrace::cli
