#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/digest.hpp"

/// Records as the Kinesis Producer Library writes them, byte by byte.
namespace millrace::test::kpl {

inline std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
  return out;
}

inline std::string number_field(std::uint32_t field, std::uint64_t value) { return varint(field << 3) + varint(value); }

inline std::string bytes_field(std::uint32_t field, std::string_view bytes) {
  return varint(field << 3 | 2) + varint(bytes.size()) + std::string(bytes);
}

inline std::string record(std::uint64_t partition_key, std::string_view data,
                          std::optional<std::uint64_t> explicit_hash_key = {}) {
  std::string inside = number_field(1, partition_key);
  if (explicit_hash_key) inside += number_field(2, *explicit_hash_key);
  return bytes_field(3, inside + bytes_field(3, data));
}

/// The message in its frame.
inline std::string framed(std::string_view message) {
  std::string out = "\xF3\x89\x9A\xC2";
  out += message;
  const Uint128 sum = md5(message);
  for (const std::uint64_t half : {sum.high, sum.low})
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(half >> shift);
  return out;
}

/// User records of one partition key.
inline std::string aggregated(const std::vector<std::string>& data, std::string_view key = "key") {
  std::string message = bytes_field(1, key);
  for (const std::string& each : data) message += record(0, each);
  return framed(message);
}

}  // namespace millrace::test::kpl
