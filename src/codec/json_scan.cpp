#include "codec/json_scan.hpp"

#if defined(MILLRACE_JSON_SSE2)
#include <immintrin.h>
#endif

namespace millrace::codec::json_scan {

#if defined(MILLRACE_JSON_SSE2)

bool has_avx2() noexcept { return __builtin_cpu_supports("avx2"); }

[[gnu::target("avx2")]] const char* plain_blocks_avx2(const char* at, const char* end, bool& non_ascii) noexcept {
  const __m256i last_control = _mm256_set1_epi8(0x1f), quote = _mm256_set1_epi8('"'), slash = _mm256_set1_epi8('\\');
  __m256i high = _mm256_setzero_si256();
  for (; end - at >= 64; at += 64) {
    const __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    const __m256i d = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at + 32));
    const __m256i hit_c = _mm256_or_si256(_mm256_cmpeq_epi8(_mm256_min_epu8(c, last_control), c),
                                          _mm256_or_si256(_mm256_cmpeq_epi8(c, quote), _mm256_cmpeq_epi8(c, slash)));
    const __m256i hit_d = _mm256_or_si256(_mm256_cmpeq_epi8(_mm256_min_epu8(d, last_control), d),
                                          _mm256_or_si256(_mm256_cmpeq_epi8(d, quote), _mm256_cmpeq_epi8(d, slash)));
    const __m256i hit = _mm256_or_si256(hit_c, hit_d);
    if (!_mm256_testz_si256(hit, hit)) break;
    high = _mm256_or_si256(high, _mm256_or_si256(c, d));
  }
  non_ascii = _mm256_movemask_epi8(high) != 0;
  return at;
}

#endif

namespace {

bool continues(char c) noexcept { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

const char* invalid_utf8(const char* at, const char* end) noexcept {
  while (at != end) {
    if (end - at >= 8) {
      std::uint64_t word;
      std::memcpy(&word, at, 8);
      if ((word & 0x8080'8080'8080'8080) == 0) {
        at += 8;
        continue;
      }
    }
    const auto lead = static_cast<unsigned char>(*at);
    if (lead < 0x80) {
      ++at;
      continue;
    }
    // The second byte's range keeps out overlong forms, surrogates and what lies above U+10FFFF.
    const std::ptrdiff_t left = end - at;
    const unsigned second = left > 1 ? static_cast<unsigned char>(at[1]) : 0u;
    if (lead >= 0xc2 && lead <= 0xdf) {
      if (left < 2 || !continues(at[1])) return at;
      at += 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
      const unsigned low = lead == 0xe0 ? 0xa0 : 0x80, high = lead == 0xed ? 0x9f : 0xbf;
      if (left < 3 || second < low || second > high || !continues(at[2])) return at;
      at += 3;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
      const unsigned low = lead == 0xf0 ? 0x90 : 0x80, high = lead == 0xf4 ? 0x8f : 0xbf;
      if (left < 4 || second < low || second > high || !continues(at[2]) || !continues(at[3])) return at;
      at += 4;
    } else {
      return at;
    }
  }
  return at;
}

}  // namespace millrace::codec::json_scan
