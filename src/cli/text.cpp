#include "cli/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>

#include "millrace/cli/log.hpp"

namespace millrace::cli {

namespace {

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Takes exactly `digits` of them off the front.
std::optional<int> take_number(std::string_view& text, std::size_t digits) noexcept {
  int number = 0;
  if (text.size() < digits || !std::all_of(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(digits), is_digit))
    return std::nullopt;
  std::from_chars(text.data(), text.data() + digits, number);
  text.remove_prefix(digits);
  return number;
}
bool take(std::string_view& text, char c) noexcept {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

/// `T17:00:00.5` as milliseconds; nothing of it is nothing.
std::optional<std::int64_t> take_time_of_day(std::string_view& text) noexcept {
  if (!take(text, 'T') && !take(text, 't') && !take(text, ' ')) return text.empty() ? std::optional(0) : std::nullopt;
  const auto hours = take_number(text, 2);
  const bool colon = take(text, ':');
  const auto minutes = take_number(text, 2);
  if (!hours || !colon || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  std::int64_t ms = (*hours * 60 + *minutes) * std::int64_t{60'000};
  if (!take(text, ':')) return ms;
  const auto seconds = take_number(text, 2);
  if (!seconds || *seconds > 59) return std::nullopt;
  ms += *seconds * 1'000;
  if (!take(text, '.')) return ms;
  if (text.empty() || !is_digit(text[0])) return std::nullopt;
  for (int weight = 100; !text.empty() && is_digit(text[0]); weight /= 10, text.remove_prefix(1))
    ms += (text[0] - '0') * weight;
  return ms;
}

/// `Z`, `+01:00`, `-0530`; nothing of it is UTC.
std::optional<std::int64_t> take_offset(std::string_view& text) noexcept {
  if (text.empty() || take(text, 'Z') || take(text, 'z')) return 0;
  const bool behind = take(text, '-');
  if (!behind && !take(text, '+')) return std::nullopt;
  const auto hours = take_number(text, 2);
  take(text, ':');
  const auto minutes = take_number(text, 2);
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  const std::int64_t ms = (*hours * 60 + *minutes) * std::int64_t{60'000};
  return behind ? -ms : ms;
}

}  // namespace

std::optional<std::int64_t> parse_time(std::string_view text) noexcept {
  namespace chrono = std::chrono;
  const auto year = take_number(text, 4);
  const bool first = take(text, '-');
  const auto month = take_number(text, 2);
  const bool second = take(text, '-');
  const auto day = take_number(text, 2);
  if (!year || !month || !day || !first || !second) return std::nullopt;
  const chrono::year_month_day date{chrono::year{*year}, chrono::month{static_cast<unsigned>(*month)},
                                    chrono::day{static_cast<unsigned>(*day)}};
  const auto time = take_time_of_day(text);
  const auto offset = time ? take_offset(text) : std::nullopt;
  if (!date.ok() || !time || !offset || !text.empty()) return std::nullopt;
  const auto midnight = chrono::time_point_cast<chrono::milliseconds>(chrono::sys_days{date});
  return midnight.time_since_epoch().count() + *time - *offset;
}

std::string keys_needed(const std::set<std::uint32_t>& ids) {
  std::string text = ids.size() == 1 ? "key " : "keys ";
  const char* before = "";
  for (const std::uint32_t id : ids) text += std::exchange(before, ", ") + std::to_string(id);
  return text + (ids.size() == 1 ? " is needed: give it with --keys\n" : " are needed: give them with --keys\n");
}

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3;) digits.insert(at -= 3, ",");
  return digits;
}

std::string counted(std::uint64_t number, const std::string& one, const std::string& many) {
  return grouped(number) + " " + (number == 1 ? one : many);
}

std::string sized(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  constexpr std::array<const char*, 4> kUnits{"KiB", "MiB", "GiB", "TiB"};
  double size = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; size >= 1024 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1f %s", size, kUnits[unit]);
  return text.data();
}

std::string Table::text(const std::string& indent) const {
  std::vector<std::size_t> widths;
  for (const Row& row : rows_) {
    widths.resize(std::max(widths.size(), row.cells.size()));
    for (std::size_t i = 0; i < row.cells.size(); ++i) widths[i] = std::max(widths[i], row.cells[i].size());
  }
  // A column of numbers, but for its head, stands to the right.
  std::vector<bool> right(widths.size(), true);
  for (std::size_t r = 1; r < rows_.size(); ++r)
    for (std::size_t i = 0; i < rows_[r].cells.size(); ++i) {
      const std::string& cell = rows_[r].cells[i];
      right[i] = right[i] && (cell == "-" || (is_digit(cell[0]) && cell.find_first_of(":(") == std::string::npos));
    }
  std::string out;
  for (const Row& row : rows_) {
    std::string line = indent;
    for (std::size_t i = 0; i < row.cells.size(); ++i) {
      const std::string padding(widths[i] - row.cells[i].size(), ' ');
      if (i > 0) line += "  ";
      line += right[i] ? padding + row.cells[i] : row.cells[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + '\n';
    for (const std::string& below : row.below) out.append(indent).append("  ").append(below).append("\n");
  }
  return out;
}

}  // namespace millrace::cli
