#pragma once
#include "millrace/base/log.hpp"

namespace millrace::fuzz {

/// What is expected of hostile input would fill the log: from here on nothing is written to it.
inline void quiet() {
  static const bool once = [] {
    logging::configure(static_cast<logging::Level>(static_cast<int>(logging::Level::error) + 1), logging::Format::text);
    return true;
  }();
  static_cast<void>(once);
}

}  // namespace millrace::fuzz
