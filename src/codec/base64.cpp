#include "millrace/codec/base64.hpp"

#include <array>
#include <cstdint>
#include <cstring>

#include "codec/base64_kernels.hpp"

#if defined(MILLRACE_BASE64_X86)
#include <immintrin.h>
#endif

namespace millrace::codec::base64 {
namespace {

constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::uint8_t kBad = 0xff;

constexpr std::array<std::uint8_t, 256> kDigit = [] {
  std::array<std::uint8_t, 256> table{};
  table.fill(kBad);
  for (std::uint8_t i = 0; i < 64; ++i) table[static_cast<unsigned char>(kAlphabet[i])] = i;
  return table;
}();

std::uint8_t digit(char c) noexcept { return kDigit[static_cast<unsigned char>(c)]; }

/// Decodes whole groups without padding; false when a character is bad (what was written then means nothing).
bool decode_groups(const char* text, const char* end, char* out) noexcept {
  unsigned bad = 0;
  for (; text != end; text += 4, out += 3) {
    const unsigned a = digit(text[0]), b = digit(text[1]), c = digit(text[2]), d = digit(text[3]);
    bad |= a | b | c | d;  // digits leave the two high bits clear
    out[0] = static_cast<char>(a << 2 | b >> 4);
    out[1] = static_cast<char>(b << 4 | c >> 2);
    out[2] = static_cast<char>(c << 6 | d);
  }
  return bad < 64;
}

Decoded bad_character(std::string_view text, std::size_t from) noexcept {
  while (digit(text[from]) != kBad) ++from;
  return {0, Errc::character, from};
}

/// The last group, the only one that may be padded; all before it is good and `done` bytes lie at `out`.
Decoded finish(std::string_view text, char* out, std::size_t done) noexcept {
  const std::size_t at = text.size() - 4;
  const char* group = text.data() + at;
  out += done;
  const unsigned a = digit(group[0]), b = digit(group[1]), c = digit(group[2]), d = digit(group[3]);
  if ((a | b | c | d) < 64) [[likely]] {
    out[0] = static_cast<char>(a << 2 | b >> 4);
    out[1] = static_cast<char>(b << 4 | c >> 2);
    out[2] = static_cast<char>(c << 6 | d);
    return {done + 3};
  }
  const bool padded = group[3] == '=';
  if ((a | b) >= 64 || !padded) return bad_character(text, at);
  if (c == kBad) {
    if (group[2] != '=') return {0, Errc::character, at + 2};
    if (b & 15) return {0, Errc::last_character};
    out[0] = static_cast<char>(a << 2 | b >> 4);
    return {done + 1};
  }
  if (c & 3) return {0, Errc::last_character};
  out[0] = static_cast<char>(a << 2 | b >> 4);
  out[1] = static_cast<char>(b << 4 | c >> 2);
  return {done + 2};
}

/// The last 0 to 2 bytes, with padding; returns the end of the text.
char* encode_rest(const char* bytes, std::size_t size, char* out) noexcept {
  for (; size >= 3; size -= 3, bytes += 3, out += 4) {
    const auto a = static_cast<std::uint8_t>(bytes[0]), b = static_cast<std::uint8_t>(bytes[1]),
               c = static_cast<std::uint8_t>(bytes[2]);
    out[0] = kAlphabet[a >> 2];
    out[1] = kAlphabet[(a & 3) << 4 | b >> 4];
    out[2] = kAlphabet[(b & 15) << 2 | c >> 6];
    out[3] = kAlphabet[c & 63];
  }
  if (size == 0) return out;
  const auto a = static_cast<std::uint8_t>(bytes[0]);
  const auto b = size == 2 ? static_cast<std::uint8_t>(bytes[1]) : std::uint8_t{0};
  out[0] = kAlphabet[a >> 2];
  out[1] = kAlphabet[(a & 3) << 4 | b >> 4];
  out[2] = size == 2 ? kAlphabet[(b & 15) << 2] : '=';
  out[3] = '=';
  return out + 4;
}

#if defined(MILLRACE_BASE64_X86)

// A character's high nibble names its class, its low nibble the classes in which it is bad:
//   1: 2x, good only + and /    2: 3x, good 0-9    4: 4x and 6x, bad only nibble 0    8: 5x and 7x, good up to nibble a
//   16: no class at all.
#define MILLRACE_CLASS_OF_HIGH 16, 16, 1, 2, 4, 8, 4, 8, 16, 16, 16, 16, 16, 16, 16, 16
#define MILLRACE_BAD_OF_LOW \
  0x15, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x13, 0x1a, 0x1b, 0x1b, 0x1b, 0x1a
// What to add to a character of that high nibble to get its digit; '/' is looked up one place lower than '+'.
#define MILLRACE_DIGIT_SHIFT 0, 16, 19, 4, -65, -65, -71, -71, 0, 0, 0, 0, 0, 0, 0, 0
// Four digits came together as a 24-bit number: its bytes, most significant first.
#define MILLRACE_PACK 2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1

/// 16 characters to 12 bytes (16 are written); bad characters leave bits in `bad`.
[[gnu::target("ssse3"), gnu::always_inline]] inline void step16(const char* text, char* out, __m128i& bad) noexcept {
  const __m128i c = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text));
  const __m128i nibble = _mm_set1_epi8(15);
  const __m128i high = _mm_and_si128(_mm_srli_epi32(c, 4), nibble);
  const __m128i low = _mm_and_si128(c, nibble);
  bad = _mm_or_si128(bad, _mm_and_si128(_mm_shuffle_epi8(_mm_setr_epi8(MILLRACE_CLASS_OF_HIGH), high),
                                        _mm_shuffle_epi8(_mm_setr_epi8(MILLRACE_BAD_OF_LOW), low)));
  const __m128i slash = _mm_cmpeq_epi8(c, _mm_set1_epi8('/'));
  const __m128i digits =
      _mm_add_epi8(c, _mm_shuffle_epi8(_mm_setr_epi8(MILLRACE_DIGIT_SHIFT), _mm_add_epi8(high, slash)));
  const __m128i pairs = _mm_maddubs_epi16(digits, _mm_set1_epi32(0x01400140));
  const __m128i groups = _mm_madd_epi16(pairs, _mm_set1_epi32(0x00011000));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(groups, _mm_setr_epi8(MILLRACE_PACK)));
}

/// 32 characters to 24 bytes (32 are written).
[[gnu::target("avx2"), gnu::always_inline]] inline void step32(const char* text, char* out, __m256i& bad) noexcept {
  const __m256i c = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(text));
  const __m256i nibble = _mm256_set1_epi8(15);
  const __m256i high = _mm256_and_si256(_mm256_srli_epi32(c, 4), nibble);
  const __m256i low = _mm256_and_si256(c, nibble);
  const __m256i class_of = _mm256_setr_epi8(MILLRACE_CLASS_OF_HIGH, MILLRACE_CLASS_OF_HIGH);
  const __m256i bad_of = _mm256_setr_epi8(MILLRACE_BAD_OF_LOW, MILLRACE_BAD_OF_LOW);
  bad = _mm256_or_si256(bad, _mm256_and_si256(_mm256_shuffle_epi8(class_of, high), _mm256_shuffle_epi8(bad_of, low)));
  const __m256i slash = _mm256_cmpeq_epi8(c, _mm256_set1_epi8('/'));
  const __m256i shift = _mm256_setr_epi8(MILLRACE_DIGIT_SHIFT, MILLRACE_DIGIT_SHIFT);
  const __m256i digits = _mm256_add_epi8(c, _mm256_shuffle_epi8(shift, _mm256_add_epi8(high, slash)));
  const __m256i pairs = _mm256_maddubs_epi16(digits, _mm256_set1_epi32(0x01400140));
  const __m256i groups = _mm256_madd_epi16(pairs, _mm256_set1_epi32(0x00011000));
  const __m256i halves = _mm256_shuffle_epi8(groups, _mm256_setr_epi8(MILLRACE_PACK, MILLRACE_PACK));
  const __m256i packed = _mm256_permutevar8x32_epi32(halves, _mm256_setr_epi32(0, 1, 2, 4, 5, 6, 7, 7));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), packed);
}

// Three bytes spread over four (middle, first, last, middle), so that each 16-bit half holds two digits.
#define MILLRACE_SPREAD 1, 0, 2, 1, 4, 3, 5, 4, 7, 6, 8, 7, 10, 9, 11, 10
// From a digit to its character, by range: 26-51, 52-61 (ten times), 62, 63, 0-25.
#define MILLRACE_CHARACTER_SHIFT 71, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -19, -16, 65, 0, 0

[[gnu::target("ssse3"), gnu::always_inline]] inline __m128i characters16(__m128i bytes) noexcept {
  const __m128i in = _mm_shuffle_epi8(bytes, _mm_setr_epi8(MILLRACE_SPREAD));
  const __m128i even = _mm_mulhi_epu16(_mm_and_si128(in, _mm_set1_epi32(0x0fc0fc00)), _mm_set1_epi32(0x04000040));
  const __m128i odd = _mm_mullo_epi16(_mm_and_si128(in, _mm_set1_epi32(0x003f03f0)), _mm_set1_epi32(0x01000010));
  const __m128i digits = _mm_or_si128(even, odd);
  const __m128i upper = _mm_and_si128(_mm_cmpgt_epi8(_mm_set1_epi8(26), digits), _mm_set1_epi8(13));
  const __m128i range = _mm_or_si128(_mm_subs_epu8(digits, _mm_set1_epi8(51)), upper);
  return _mm_add_epi8(digits, _mm_shuffle_epi8(_mm_setr_epi8(MILLRACE_CHARACTER_SHIFT), range));
}

/// `bytes` has 12 in each half.
[[gnu::target("avx2"), gnu::always_inline]] inline __m256i characters32(__m256i bytes) noexcept {
  const __m256i in = _mm256_shuffle_epi8(bytes, _mm256_setr_epi8(MILLRACE_SPREAD, MILLRACE_SPREAD));
  const __m256i even =
      _mm256_mulhi_epu16(_mm256_and_si256(in, _mm256_set1_epi32(0x0fc0fc00)), _mm256_set1_epi32(0x04000040));
  const __m256i odd =
      _mm256_mullo_epi16(_mm256_and_si256(in, _mm256_set1_epi32(0x003f03f0)), _mm256_set1_epi32(0x01000010));
  const __m256i digits = _mm256_or_si256(even, odd);
  const __m256i upper = _mm256_and_si256(_mm256_cmpgt_epi8(_mm256_set1_epi8(26), digits), _mm256_set1_epi8(13));
  const __m256i range = _mm256_or_si256(_mm256_subs_epu8(digits, _mm256_set1_epi8(51)), upper);
  const __m256i shift = _mm256_setr_epi8(MILLRACE_CHARACTER_SHIFT, MILLRACE_CHARACTER_SHIFT);
  return _mm256_add_epi8(digits, _mm256_shuffle_epi8(shift, range));
}

#undef MILLRACE_CLASS_OF_HIGH
#undef MILLRACE_BAD_OF_LOW
#undef MILLRACE_DIGIT_SHIFT
#undef MILLRACE_PACK
#undef MILLRACE_SPREAD
#undef MILLRACE_CHARACTER_SHIFT
#endif

}  // namespace

namespace kernels {

Decoded decode_table(std::string_view text, char* out) noexcept {
  if (text.size() % 4 != 0) return {0, Errc::length};
  if (text.empty()) return {};
  const std::size_t body = text.size() - 4;
  if (!decode_groups(text.data(), text.data() + body, out)) return bad_character(text, 0);
  return finish(text, out, body / 4 * 3);
}

std::size_t encode_table(std::string_view bytes, char* out) noexcept {
  return static_cast<std::size_t>(encode_rest(bytes.data(), bytes.size(), out) - out);
}

#if defined(MILLRACE_BASE64_X86)

bool has_ssse3() noexcept { return __builtin_cpu_supports("ssse3"); }
bool has_avx2() noexcept { return __builtin_cpu_supports("avx2"); }

// GCC 12 does not clear the upper vector halves before a return that follows a call to a function it knows to leave
// vectors alone; left dirty, they slow down every SSE instruction the thread runs from then on. So the AVX2 kernels
// clear them.

// All groups but the last are decoded in vectors; where they do not fill the last vector, it is moved back to end with
// them and some groups are decoded twice, which is cheaper than a tail of single ones.

[[gnu::target("ssse3")]] Decoded decode_ssse3(std::string_view text, char* out) noexcept {
  if (text.size() < 20) return decode_table(text, out);
  if (text.size() % 4 != 0) return {0, Errc::length};
  const std::size_t body = text.size() - 4;
  __m128i bad = _mm_setzero_si128();
  std::size_t i = 0;
  for (; i + 16 <= body; i += 16) step16(text.data() + i, out + i / 4 * 3, bad);
  if (i != body) step16(text.data() + body - 16, out + (body - 16) / 4 * 3, bad);
  if (_mm_movemask_epi8(_mm_cmpeq_epi8(bad, _mm_setzero_si128())) != 0xffff) return bad_character(text, 0);
  return finish(text, out, body / 4 * 3);
}

[[gnu::target("avx2")]] Decoded decode_avx2(std::string_view text, char* out) noexcept {
  if (text.size() < 20) return decode_table(text, out);
  if (text.size() % 4 != 0) return {0, Errc::length};
  const std::size_t body = text.size() - 4;
  bool good;
  if (body < 32) {
    __m128i bad = _mm_setzero_si128();
    step16(text.data(), out, bad);
    step16(text.data() + body - 16, out + (body - 16) / 4 * 3, bad);
    good = _mm_testz_si128(bad, bad);
  } else {
    __m256i bad = _mm256_setzero_si256();
    std::size_t i = 0;
    for (; i + 32 <= body; i += 32) step32(text.data() + i, out + i / 4 * 3, bad);
    if (i != body) step32(text.data() + body - 32, out + (body - 32) / 4 * 3, bad);
    good = _mm256_testz_si256(bad, bad);
  }
  _mm256_zeroupper();
  if (!good) return bad_character(text, 0);
  return finish(text, out, body / 4 * 3);
}

[[gnu::target("ssse3")]] std::size_t encode_ssse3(std::string_view bytes, char* out) noexcept {
  const char* in = bytes.data();
  const char* const end = in + bytes.size();
  char* to = out;
  for (; end - in >= 16; in += 12, to += 16) {
    const __m128i chunk = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), characters16(chunk));
  }
  return static_cast<std::size_t>(encode_rest(in, static_cast<std::size_t>(end - in), to) - out);
}

[[gnu::target("avx2")]] std::size_t encode_avx2(std::string_view bytes, char* out) noexcept {
  const char* in = bytes.data();
  const char* const end = in + bytes.size();
  char* to = out;
  for (; end - in >= 28; in += 24, to += 32) {
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + 12));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), characters32(_mm256_set_m128i(high, low)));
  }
  _mm256_zeroupper();
  if (end - in >= 16) {
    const __m128i chunk = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), characters16(chunk));
    in += 12;
    to += 16;
  }
  return static_cast<std::size_t>(encode_rest(in, static_cast<std::size_t>(end - in), to) - out);
}

#endif

}  // namespace kernels

Decoded decode(std::string_view text, char* out) noexcept {
#if defined(MILLRACE_BASE64_X86)
  if (kernels::has_avx2()) return kernels::decode_avx2(text, out);
  if (kernels::has_ssse3()) return kernels::decode_ssse3(text, out);
#endif
  return kernels::decode_table(text, out);
}

std::size_t encode(std::string_view bytes, char* out) noexcept {
#if defined(MILLRACE_BASE64_X86)
  if (kernels::has_avx2()) return kernels::encode_avx2(bytes, out);
  if (kernels::has_ssse3()) return kernels::encode_ssse3(bytes, out);
#endif
  return kernels::encode_table(bytes, out);
}

std::string encode(std::string_view bytes) {
  std::string out(encoded_size(bytes.size()) + kSlack, '\0');
  out.resize(encode(bytes, out.data()));
  return out;
}

std::optional<std::string> decode(std::string_view text) {
  std::string out(decoded_size_max(text.size()) + kSlack, '\0');
  const Decoded decoded = decode(text, out.data());
  if (decoded.error != Errc::none) return std::nullopt;
  out.resize(decoded.size);
  return out;
}

}  // namespace millrace::codec::base64
