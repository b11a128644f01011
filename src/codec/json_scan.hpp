#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

/// How the JSON reader looks through text, in the forms its CPUs offer. Each form is a function of its own, so that a
/// test can compare them. None reads outside [begin, end).
namespace millrace::codec::json_scan {

/// What ends a run of plain characters inside a string: a quote, a backslash or a control character.
constexpr bool is_special(char c) noexcept { return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20; }

/// The first special character of [at, end), or end. `non_ascii` is set when a byte above 0x7f stands before it, and
/// never cleared.
inline const char* special_portable(const char* at, const char* end, bool& non_ascii) noexcept {
  constexpr std::uint64_t kOnes = 0x0101'0101'0101'0101, kHighs = 0x8080'8080'8080'8080;
  for (; end - at >= 8; at += 8) {
    std::uint64_t word;
    std::memcpy(&word, at, 8);
    const std::uint64_t quote = word ^ (kOnes * '"'), backslash = word ^ (kOnes * '\\');
    // A byte below n borrows into its high bit when n is taken from it; borrows from lower bytes only add false hits,
    // which the byte loop then sees through.
    const std::uint64_t hits =
        ((quote - kOnes) & ~quote) | ((backslash - kOnes) & ~backslash) | ((word - kOnes * 0x20) & ~word);
    if ((hits & kHighs) != 0) break;
    if ((word & kHighs) != 0) non_ascii = true;
  }
  for (; at != end && !is_special(*at); ++at) {
    if (static_cast<signed char>(*at) < 0) non_ascii = true;
  }
  return at;
}

#if defined(__SSE2__)
#define MILLRACE_JSON_SSE2 1

/// Bits of the special characters, and of the bytes above 0x7f, in 16 bytes.
struct Bits16 {
  std::uint32_t special, high;
};
[[gnu::always_inline]] inline Bits16 bits16(const char* at) noexcept {
  const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(c, _mm_set1_epi8(0x1f)), c);
  const __m128i marks = _mm_or_si128(_mm_cmpeq_epi8(c, _mm_set1_epi8('"')), _mm_cmpeq_epi8(c, _mm_set1_epi8('\\')));
  return {static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_or_si128(control, marks))),
          static_cast<std::uint32_t>(_mm_movemask_epi8(c))};
}

/// Passes whole blocks of 64 bytes without a special character, with AVX2; stops at the first that has one.
bool has_avx2() noexcept;
const char* plain_blocks_avx2(const char* at, const char* end, bool& non_ascii) noexcept;

/// As special_portable; `begin` tells how far back a vector may reach to look at the last bytes.
[[gnu::always_inline]] inline const char* special_sse2(const char* at, const char* begin, const char* end,
                                                       bool& non_ascii) noexcept {
  constexpr std::ptrdiff_t kLong = 64;  // after that much, going on in the wider kernel is worth its call
  const char* const stretch = end - at > kLong ? at + kLong : end;
  const char* limit = stretch;
  std::uint32_t high = 0;
  for (;;) {
    for (; limit - at >= 16; at += 16) {
      const Bits16 bits = bits16(at);
      if (bits.special != 0) {
        const int before = std::countr_zero(bits.special);
        high |= bits.high & ((1u << before) - 1);
        non_ascii |= high != 0;
        return at + before;
      }
      high |= bits.high;
    }
    if (limit == end) break;
    if (has_avx2()) {
      bool wide_high = false;
      at = plain_blocks_avx2(at, end, wide_high);
      non_ascii |= wide_high;
    }
    limit = end;
  }
  non_ascii |= high != 0;
  if (at == end) return end;
  if (end - begin < 16) return special_portable(at, end, non_ascii);
  // The last bytes, with those before them, which are shifted out.
  Bits16 bits = bits16(end - 16);
  const auto passed = static_cast<unsigned>(16 - (end - at));
  bits.special >>= passed;
  bits.high >>= passed;
  if (bits.special != 0) {
    const int before = std::countr_zero(bits.special);
    non_ascii |= (bits.high & ((1u << before) - 1)) != 0;
    return at + before;
  }
  non_ascii |= bits.high != 0;
  return end;
}
#endif

[[gnu::always_inline]] inline const char* special(const char* at, const char* begin, const char* end,
                                                  bool& non_ascii) noexcept {
#if defined(MILLRACE_JSON_SSE2)
  return special_sse2(at, begin, end, non_ascii);
#else
  static_cast<void>(begin);
  return special_portable(at, end, non_ascii);
#endif
}

/// The first byte of [at, end) that is no part of well-formed UTF-8, or end.
const char* invalid_utf8(const char* at, const char* end) noexcept;

}  // namespace millrace::codec::json_scan
