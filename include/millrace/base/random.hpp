#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace millrace {

/// All randomness. Thread-safe.
class Random {
 public:
  virtual ~Random() = default;
  /// Fast, not secret: request ids, jitter. A generator a thread, no lock.
  virtual std::uint64_t next() noexcept = 0;
  /// Unpredictable bytes for keys; from the operating system outside tests.
  virtual void secret(std::span<std::byte> out) = 0;
};

std::unique_ptr<Random> make_system_random();
/// The same numbers for the same seed, in call order.
std::unique_ptr<Random> make_seeded_random(std::uint64_t seed);

inline constexpr std::size_t kUuidChars = 36;
/// A version 4 UUID in lower case, kUuidChars characters to `out`.
void write_uuid(Random& random, char* out) noexcept;
std::string make_uuid(Random& random);
/// A version 5 style UUID of `name`: the same name gives the same text (object names that survive a repeat).
std::string name_uuid(std::string_view name);

}  // namespace millrace
