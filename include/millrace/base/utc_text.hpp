#pragma once
#include <string>

#include "millrace/base/clock.hpp"

namespace millrace {

/// `2026-01-31T17:00:00.123Z`
std::string utc_text(TimePoint at);

}  // namespace millrace
