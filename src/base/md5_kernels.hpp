#pragma once
#include <cstddef>
#include <span>
#include <string_view>

#include "millrace/base/digest.hpp"

/// Several short keys at once, one in each lane of a vector; a call takes 1 to keys_max keys of at most 55 bytes.
namespace millrace::md5_kernels {

inline constexpr std::size_t kShortKeyMax = 55;  // with its padding a longer key needs a second block
inline constexpr std::size_t kKeysMax = 32;      // of any kernel

struct Kernel {
  void (*run)(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept;
  std::size_t keys_max;  ///< twice the lanes: two groups go side by side
};

void lanes4(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept;
inline constexpr Kernel kLanes4{lanes4, 8};

#if defined(__x86_64__)
#define MILLRACE_MD5_X86 1
bool has_avx2() noexcept;
bool has_avx512() noexcept;
void lanes8(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept;
void lanes16(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept;
inline constexpr Kernel kLanes8{lanes8, 16};    // needs AVX2
inline constexpr Kernel kLanes16{lanes16, 32};  // needs AVX-512 F
#endif

/// md5_many() by a given kernel.
void many(const Kernel& kernel, std::span<const std::string_view> keys, std::span<Uint128> out) noexcept;

}  // namespace millrace::md5_kernels
