#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace millrace {

/// A 128-bit unsigned number, most significant half first: an MD5 digest read as AWS reads it.
struct Uint128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend constexpr auto operator<=>(const Uint128&, const Uint128&) = default;
};

/// MD5 of one key as a big-endian 128-bit number.
Uint128 md5(std::string_view key) noexcept;
/// MD5 of many keys at once; out.size() == keys.size(). Keys of up to 55 bytes go side by side through the lanes of
/// vectors: 4, or 8 (AVX2), or 16 (AVX-512), as the CPU says at run time. Longer ones go one by one.
void md5_many(std::span<const std::string_view> keys, std::span<Uint128> out) noexcept;

/// SHA-256, 32 bytes.
std::array<std::uint8_t, 32> sha256(std::string_view bytes) noexcept;
std::array<std::uint8_t, 32> hmac_sha256(std::string_view key, std::string_view bytes) noexcept;

/// HKDF with SHA-256 (RFC 5869), its first 32 bytes: a key for one use made of one for many.
std::array<std::uint8_t, 32> hkdf_sha256(std::string_view key, std::string_view salt, std::string_view info) noexcept;

/// AES-256-GCM under one key; the nonce must never repeat under it. Thread-safe: a context a thread.
class Sealer {
 public:
  static constexpr std::size_t kKeyBytes = 32, kNonceBytes = 12, kTagBytes = 16;
  explicit Sealer(std::span<const std::byte, kKeyBytes> key);
  /// Ciphertext (as long as `plain`) then tag go to `out`, plain.size() + kTagBytes bytes.
  void seal(std::span<const std::byte, kNonceBytes> nonce, std::string_view plain, char* out) const;
  /// `sealed` is ciphertext then tag; plain text of sealed.size() - kTagBytes bytes goes to `out`. False: forged or
  /// damaged.
  [[nodiscard]] bool open(std::span<const std::byte, kNonceBytes> nonce, std::string_view sealed, char* out) const;
  /// The same of pieces, one behind the other. `beside` is not hidden, but cannot be changed either.
  void seal(std::span<const std::byte, kNonceBytes> nonce, std::string_view beside,
            std::span<const std::string_view> plain, char* out) const;
  [[nodiscard]] bool open(std::span<const std::byte, kNonceBytes> nonce, std::string_view beside,
                          std::string_view sealed, char* out) const;

 private:
  std::array<std::byte, kKeyBytes> key_;
  std::uint64_t key_id_;  ///< what a thread's context knows its key by
};

}  // namespace millrace
