#pragma once
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <variant>

/// The daemon's log: text on a terminal, JSON lines otherwise. spdlog is behind it. Never carries record data or a
/// secret.
namespace millrace::logging {

enum class Level { debug, info, warn, error };

struct Field {
  std::string_view name;
  std::variant<std::string_view, std::int64_t, double> value;
  Field(std::string_view n, std::string_view v) : name(n), value(v) {}
  Field(std::string_view n, const char* v) : name(n), value(std::string_view(v)) {}
  template <class I>
  requires std::is_integral_v<I> Field(std::string_view n, I v) : name(n), value(static_cast<std::int64_t>(v)) {}
  Field(std::string_view n, double v) : name(n), value(v) {}
};

enum class Format { automatic, text, json };
/// Once, before threads start. automatic: text when standard error is a terminal.
void configure(Level level, Format format);
bool enabled(Level level) noexcept;
void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void debug(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::debug, m, f); }
inline void info(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::info, m, f); }
inline void warn(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::warn, m, f); }
inline void error(std::string_view m, std::initializer_list<Field> f = {}) { write(Level::error, m, f); }

}  // namespace millrace::logging
