#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/digest.hpp"

/// Decimal text of wide unsigned numbers, as Kinesis writes hash keys (128 bits) and sequence numbers (186 bits).
namespace millrace::codec {

std::string to_decimal(Uint128 value);
/// Strict: digits only, no leading zero but "0", below 2^128.
std::optional<Uint128> parse_uint128(std::string_view digits) noexcept;

/// A 256-bit unsigned number, least significant word first.
struct Uint256 {
  std::array<std::uint64_t, 4> words{};
  friend constexpr bool operator==(const Uint256&, const Uint256&) = default;
};
std::string to_decimal(const Uint256& value);
/// Digits only; nothing when it does not fit in 256 bits.
std::optional<Uint256> parse_uint256(std::string_view digits) noexcept;

/// Exactly 56 decimal digits in limbs of 8, so that a run of numbers is made by addition, not by division.
class Decimal56 {
 public:
  static constexpr std::size_t kDigits = 56;
  Decimal56() = default;
  /// @param value below 10^56
  explicit Decimal56(const Uint256& value) noexcept;
  /// Modulo 10^56.
  Decimal56& operator+=(const Decimal56& other) noexcept;
  /// kDigits characters, leading zeros included.
  void write(char* out) const noexcept;

 private:
  std::array<std::uint32_t, 7> limbs_{};  // most significant first, each below 10^8
};

}  // namespace millrace::codec
