#include <charconv>
#include <limits>

#include "millrace/config/config.hpp"

namespace millrace::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

/// A whole number and its unit; nothing when either is not one, or the product passes `max`.
std::optional<std::uint64_t> parse_amount(std::string_view text, std::span<const Unit> units,
                                          std::uint64_t max) noexcept {
  std::uint64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) return std::nullopt;
  std::string_view name(end, static_cast<std::size_t>(text.data() + text.size() - end));
  for (const Unit& unit : units)
    if (unit.name == name) {
      if (number > max / unit.factor) return std::nullopt;
      return number * unit.factor;
    }
  return std::nullopt;
}

}  // namespace

std::optional<std::size_t> parse_size(std::string_view text) noexcept {
  static constexpr Unit units[] = {
      {"", 1}, {"KiB", 1ull << 10}, {"MiB", 1ull << 20}, {"GiB", 1ull << 30}, {"TiB", 1ull << 40}};
  auto bytes = parse_amount(text, units, std::numeric_limits<std::size_t>::max());
  if (!bytes) return std::nullopt;
  return static_cast<std::size_t>(*bytes);
}

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) noexcept {
  static constexpr Unit units[] = {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}};
  auto ms = parse_amount(text, units, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()) / 1'000'000);
  if (!ms) return std::nullopt;
  return std::chrono::milliseconds(static_cast<std::int64_t>(*ms));
}

}  // namespace millrace::config
