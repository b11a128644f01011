#pragma once
#include <stdexcept>
#include <string>

#include "millrace/config/config.hpp"

namespace millrace::app {

/// Why the daemon cannot start: what() is the whole message for the user.
struct StartError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The configuration is wrong: a line for each mistake, which names its own place, then how many there are.
struct ConfigError : std::runtime_error {
  explicit ConfigError(const config::Error& error)
      : std::runtime_error(error.detail + "\nmillrace: " + std::to_string(error.mistakes) +
                           (error.mistakes == 1 ? " mistake" : " mistakes")) {}
};

}  // namespace millrace::app
