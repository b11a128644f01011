#pragma once
#include <cstddef>
#include <string_view>

#include "millrace/base/digest.hpp"

/// Several short keys at once, one in each lane of a vector; each takes 1 to its number of keys of at most 55 bytes.
namespace millrace::md5_kernels {

inline constexpr std::size_t kShortKeyMax = 55;  // with its padding a longer key needs a second block
inline constexpr std::size_t kGroupMax = 32;

using Kernel = void (*)(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept;

void lanes4(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept;

#if defined(__x86_64__)
#define MILLRACE_MD5_X86 1
bool has_avx2() noexcept;
bool has_avx512() noexcept;
void lanes8(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept;    // needs AVX2
void lanes16(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept;  // needs AVX-512 F
#endif

/// md5_many() by a given kernel of `lanes` lanes.
void many(Kernel kernel, std::size_t lanes, std::span<const std::string_view> keys, std::span<Uint128> out) noexcept;

}  // namespace millrace::md5_kernels
