#pragma once
#include "millrace/config/config.hpp"

namespace millrace::app {

/// Serves until SIGINT or SIGTERM. Exit code 0; 3 when records were acknowledged and not delivered, and are not
/// kept either. Throws StartError.
int serve(const config::Config& config);

/// Builds everything in memory and says what would be served; listens nowhere and writes nothing. Throws StartError.
int check(const config::Config& config);

}  // namespace millrace::app
