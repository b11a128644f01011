#include "codec/yaml_scalar.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

namespace millrace::codec::yaml {
namespace {

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }
bool is_break(char c) noexcept { return c == '\n' || c == '\r'; }

std::size_t skip_blanks(std::string_view text, std::size_t at) noexcept {
  while (at < text.size() && is_blank(text[at])) ++at;
  return at;
}

/// Past one line break; `at` itself where none stands.
std::size_t skip_break(std::string_view text, std::size_t at) noexcept {
  std::size_t next = at;
  if (next < text.size() && text[next] == '\r') ++next;
  return next < text.size() && text[next] == '\n' ? next + 1 : at;
}

/// Bytes that the escape sequence at `at` (on its backslash) gives, and its own.
struct Escape {
  std::size_t source, value;
};
Escape escape_at(std::string_view text, std::size_t at) noexcept {
  const char kind = at + 1 < text.size() ? text[at + 1] : '\0';
  const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  if (digits == 0) return {2, kind == 'L' || kind == 'P' ? 3u : 1u};
  std::uint32_t code = 0;
  const std::string_view hex = text.substr(std::min(at + 2, text.size()), digits);
  std::from_chars(hex.data(), hex.data() + hex.size(), code, 16);
  return {2 + digits, code < 0x80 ? 1u : code < 0x800 ? 2u : code < 0x10000 ? 3u : 4u};
}

/// A scalar in quotes, or a plain one when `quote` is 0; `at` is behind the opening quote.
std::optional<std::size_t> in_flow(std::string_view text, std::size_t at, char quote, std::string_view value,
                                   std::size_t offset) {
  std::size_t done = 0;  // of the value
  while (at < text.size()) {
    if (quote == '"' && text[at] == '\\') {
      const std::size_t next = skip_break(text, at + 1);
      if (next != at + 1) {  // a line break that is escaped gives nothing
        at = skip_blanks(text, next);
        continue;
      }
    }
    if (done >= offset) return at;
    if (done >= value.size()) return std::nullopt;
    if (quote == '"' && text[at] == '\\') {
      const Escape escape = escape_at(text, at);
      at += escape.source;
      done += escape.value;
      continue;
    }
    std::size_t end = skip_blanks(text, at), breaks = 0;
    for (std::size_t next = skip_break(text, end); next != end; next = skip_break(text, end)) {
      end = skip_blanks(text, next);
      ++breaks;
    }
    if (breaks > 0) {  // a line break is a blank, and empty lines behind it are the breaks
      const std::size_t given = std::max<std::size_t>(breaks - 1, 1);
      const std::string_view here = value.substr(done, given);
      if (here.size() < given || here.find_first_not_of(breaks == 1 ? ' ' : '\n') != std::string_view::npos)
        return std::nullopt;
      if (offset < done + given) return at;
      done += given;
      at = end;
      continue;
    }
    if (text[at] != value[done]) return std::nullopt;
    if (quote == '\'' && text[at] == '\'') ++at;  // doubled
    ++at;
    ++done;
  }
  if (done == offset) return at;
  return std::nullopt;
}

/// A block scalar, literal or folded; `at` is on its indicator.
std::optional<std::size_t> in_block(std::string_view text, std::size_t at, std::string_view value, std::size_t offset) {
  const bool folded = text[at] == '>';
  const auto line_end = [&](std::size_t from) { return std::min(text.find('\n', from), text.size()); };
  const auto leading = [](std::string_view line) { return std::min(line.find_first_not_of(' '), line.size()); };
  at = line_end(at) + 1;
  std::size_t done = std::min(value.find_first_not_of('\n'), value.size());
  for (std::size_t empty = 0; empty < done; ++empty) at = line_end(at) + 1;
  if (at >= text.size()) return std::nullopt;
  const std::size_t in_text = leading(text.substr(at, line_end(at) - at)), in_value = leading(value.substr(done));
  if (in_text < in_value) return std::nullopt;
  const std::size_t indentation = in_text - in_value;
  while (at < text.size()) {
    const std::size_t end = line_end(at);
    std::string_view line = text.substr(at, end - at);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.size() < indentation) return std::nullopt;
    line.remove_prefix(indentation);
    if (value.substr(done, line.size()) != line) return std::nullopt;
    if (offset >= done && offset <= done + line.size()) return at + indentation + (offset - done);
    done += line.size();
    std::size_t breaks = 0;
    while (done + breaks < value.size() && value[done + breaks] == '\n') ++breaks;
    if (breaks == 0 && (!folded || done >= value.size() || value[done] != ' ')) return std::nullopt;
    if (offset < done + breaks) return at + indentation + line.size();
    done += std::max<std::size_t>(breaks, 1);
    at = end + 1;
    if (folded) {
      while (at < text.size() && leading(text.substr(at, line_end(at) - at)) == line_end(at) - at)
        at = line_end(at) + 1;
    } else {
      for (std::size_t empty = 1; empty < breaks; ++empty) at = line_end(at) + 1;
    }
  }
  return std::nullopt;
}

}  // namespace

std::size_t scalar_begin(std::string_view text, std::size_t mark) noexcept {
  std::size_t at = mark;
  while (at < text.size() && (text[at] == '!' || text[at] == '&')) {
    while (at < text.size() && !is_blank(text[at]) && !is_break(text[at])) ++at;
    while (at < text.size() && (is_blank(text[at]) || is_break(text[at]))) ++at;
  }
  return at;
}

bool unclosed(std::string_view text, std::size_t begin) noexcept {
  const char quote = begin < text.size() ? text[begin] : '\0';
  if (quote != '"' && quote != '\'') return false;
  for (std::size_t at = begin + 1; at < text.size(); ++at) {
    if (quote == '"' && text[at] == '\\') {
      ++at;
    } else if (text[at] == quote) {
      if (quote == '"' || at + 1 == text.size() || text[at + 1] != quote) return false;
      ++at;
    }
  }
  return true;
}

std::optional<std::size_t> source_offset(std::string_view text, std::size_t begin, std::string_view value,
                                         std::size_t offset) {
  if (begin >= text.size() || offset > value.size()) return std::nullopt;
  const char first = text[begin];
  if (first == '|' || first == '>') return in_block(text, begin, value, offset);
  if (first == '"' || first == '\'') return in_flow(text, begin + 1, first, value, offset);
  return in_flow(text, begin, '\0', value, offset);
}

}  // namespace millrace::codec::yaml
