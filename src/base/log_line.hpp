#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "millrace/base/clock.hpp"
#include "millrace/base/log.hpp"

namespace millrace::logging {

/// One line of the log, without its line feed. JSON is always valid UTF-8; in text no control character survives, so
/// that what a client sends cannot forge a line.
std::string json_line(TimePoint at, Level level, std::string_view message, std::initializer_list<Field> fields);
std::string text_line(TimePoint at, Level level, std::string_view message, std::initializer_list<Field> fields);

}  // namespace millrace::logging
