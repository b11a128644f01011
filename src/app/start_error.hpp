#pragma once
#include <stdexcept>

namespace millrace::app {

/// Why the daemon cannot start: what() is the whole message for the user.
struct StartError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

}  // namespace millrace::app
