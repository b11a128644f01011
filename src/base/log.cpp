#include "millrace/base/log.hpp"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <atomic>
#include <charconv>
#include <cmath>

#include "base/log_line.hpp"
#include "millrace/base/utc_text.hpp"

namespace millrace::logging {
namespace {

std::string_view level_name(Level level) noexcept {
  switch (level) {
    case Level::debug:
      return "debug";
    case Level::info:
      return "info";
    case Level::warn:
      return "warn";
    case Level::error:
      return "error";
  }
  return "";
}

// Length of the well-formed UTF-8 character at the start of `text`; 0 when there is none.
std::size_t character_size(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xc2 && lead <= 0xdf   ? 2
                           : lead >= 0xe0 && lead <= 0xef ? 3
                           : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                          : 0;
  if (size == 0 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) || (lead == 0xf0 && byte(1) < 0x90) ||
      (lead == 0xf4 && byte(1) > 0x8f))
    return 0;
  return size;
}

constexpr char kHex[] = "0123456789abcdef";

// json: what stands between a JSON string's quotes. quoted: the same in a text line, where a byte that is not UTF-8 is
// shown instead of replaced. bare: a text line's message.
enum class Escape { json, quoted, bare };

void append_escaped(std::string_view text, Escape how, std::string& out) {
  while (!text.empty()) {
    const std::size_t size = character_size(text);
    const auto byte = static_cast<unsigned char>(text[0]);
    if (size == 0) {
      if (how == Escape::json) {
        out.append("\xef\xbf\xbd");
      } else {
        out.append({'\\', 'x', kHex[byte >> 4], kHex[byte & 15]});
      }
      text.remove_prefix(1);
      continue;
    }
    if (byte == '\n') {
      out.append("\\n");
    } else if (byte == '\r') {
      out.append("\\r");
    } else if (byte == '\t') {
      out.append("\\t");
    } else if (byte < 0x20 || byte == 0x7f) {
      out.append({'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]});
    } else {
      if (how != Escape::bare && (byte == '"' || byte == '\\')) out.push_back('\\');
      out.append(text.substr(0, size));
    }
    text.remove_prefix(size);
  }
}

template <class Number>
void append_number(Number value, std::string& out) {
  char text[40];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value);
  out.append(text, end);
}

bool plain(std::string_view text) noexcept {
  if (text.empty()) return false;
  for (const char c : text)
    if (c <= ' ' || c == '"' || c == '\\' || c == '=' || c == 0x7f) return false;
  return true;
}

std::atomic<Level> level_min{Level::info};
std::atomic<bool> as_json{false};

spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    spdlog::logger made("millrace", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made.set_pattern("%v");
    made.set_level(spdlog::level::trace);  // our own filter comes first
    made.flush_on(spdlog::level::trace);
    return made;
  }();
  return instance;
}

bool json_unless_terminal() { return ::isatty(STDERR_FILENO) == 0; }

// What runs before configure() (a test, or a message about the config file itself) is written as automatic would.
const bool default_format_set = [] {
  as_json = json_unless_terminal();
  return true;
}();

}  // namespace

std::string json_line(TimePoint at, Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line = R"({"time":")";
  line += utc_text(at);
  line.append(R"(","level":")").append(level_name(level)).append(R"(","message":")");
  append_escaped(message, Escape::json, line);
  line.push_back('"');
  for (const Field& field : fields) {
    line.append(",\"");
    append_escaped(field.name, Escape::json, line);
    line.append("\":");
    if (const auto* text = std::get_if<std::string_view>(&field.value)) {
      line.push_back('"');
      append_escaped(*text, Escape::json, line);
      line.push_back('"');
    } else if (const auto* whole = std::get_if<std::int64_t>(&field.value)) {
      append_number(*whole, line);
    } else if (const double real = std::get<double>(field.value); std::isfinite(real)) {
      append_number(real, line);
    } else {
      line.append("null");
    }
  }
  line.push_back('}');
  return line;
}

std::string text_line(TimePoint at, Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line;
  line += utc_text(at);
  line.push_back(' ');
  line.append(level_name(level)).append(level_name(level).size() < 5 ? 2 : 1, ' ');
  append_escaped(message, Escape::bare, line);
  for (const Field& field : fields) {
    line.push_back(' ');
    append_escaped(field.name, Escape::bare, line);
    line.push_back('=');
    if (const auto* text = std::get_if<std::string_view>(&field.value)) {
      const bool quoted = !plain(*text);
      if (quoted) line.push_back('"');
      append_escaped(*text, quoted ? Escape::quoted : Escape::bare, line);
      if (quoted) line.push_back('"');
    } else if (const auto* whole = std::get_if<std::int64_t>(&field.value)) {
      append_number(*whole, line);
    } else {
      append_number(std::get<double>(field.value), line);
    }
  }
  return line;
}

void configure(Level level, Format format) {
  level_min = level;
  as_json = format == Format::json || (format == Format::automatic && json_unless_terminal());
}

bool enabled(Level level) noexcept { return level >= level_min.load(std::memory_order_relaxed); }

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const std::string line = as_json ? json_line(now, level, message, fields) : text_line(now, level, message, fields);
  logger().log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace millrace::logging
