#include "millrace/codec/decimal.hpp"

#include <bit>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace millrace::codec {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr std::uint64_t kTenTo8 = 100'000'000;
constexpr std::uint64_t kTenTo16 = kTenTo8 * kTenTo8;

constexpr std::uint64_t ten_to(std::size_t n) noexcept {
  std::uint64_t value = 1;
  while (n-- > 0) value *= 10;
  return value;
}

/// The eight digits of `value`, below 10^8, as text: first digit at the lowest address.
void write8(std::uint32_t value, char* out) noexcept {
  if constexpr (std::endian::native == std::endian::little) {
    // Halves of four digits, then pairs, then single digits, all lanes at once; each division is a multiplication.
    const std::uint64_t fours = value / 10000 | static_cast<std::uint64_t>(value % 10000) << 32;
    const std::uint64_t hundreds = ((fours * 10486) >> 20) & 0x0000'007f'0000'007f;
    const std::uint64_t twos = hundreds | (fours - hundreds * 100) << 16;
    const std::uint64_t tens = ((twos * 103) >> 10) & 0x000f'000f'000f'000f;
    const std::uint64_t ones = tens | (twos - tens * 10) << 8;
    const std::uint64_t text = ones | 0x3030'3030'3030'3030;
    std::memcpy(out, &text, 8);
  } else {
    for (int i = 7; i >= 0; --i, value /= 10) out[i] = static_cast<char>('0' + value % 10);
  }
}

#if defined(__SSE2__)
/// Four numbers below 10^8 as 32 digits, all lanes at once; each division is a multiplication and a shift.
[[gnu::always_inline]] inline void write32(const std::uint32_t* limbs, char* out) noexcept {
  const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(limbs));
  const __m128i inverse = _mm_set1_epi32(static_cast<int>(0xd1b71759));  // of 10^4, shifted by 45
  const __m128i even = _mm_srli_epi64(_mm_mul_epu32(x, inverse), 45);
  const __m128i odd = _mm_srli_epi64(_mm_mul_epu32(_mm_srli_epi64(x, 32), inverse), 45);
  const __m128i upper = _mm_or_si128(even, _mm_slli_epi64(odd, 32));
  const __m128i lower = _mm_sub_epi32(x, _mm_madd_epi16(upper, _mm_set1_epi32(10000)));
  const __m128i fours = _mm_or_si128(upper, _mm_slli_epi32(lower, 16));
  const __m128i hundreds = _mm_srli_epi16(_mm_mulhi_epu16(fours, _mm_set1_epi16(5243)), 3);
  const __m128i rest = _mm_sub_epi16(fours, _mm_mullo_epi16(hundreds, _mm_set1_epi16(100)));
  const auto two_digits = [](__m128i value) {
    const __m128i tens = _mm_mulhi_epu16(value, _mm_set1_epi16(6554));
    // tens | (value - 10 * tens) << 8, in one multiplication
    const __m128i both = _mm_sub_epi16(_mm_slli_epi16(value, 8), _mm_mullo_epi16(tens, _mm_set1_epi16(2559)));
    return _mm_or_si128(both, _mm_set1_epi8('0'));
  };
  const __m128i front = two_digits(hundreds), back = two_digits(rest);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi16(front, back));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 16), _mm_unpackhi_epi16(front, back));
}
#endif

void write16(std::uint64_t value, char* out) noexcept {
  write8(static_cast<std::uint32_t>(value / kTenTo8), out);
  write8(static_cast<std::uint32_t>(value % kTenTo8), out + 8);
}

bool all_digits(std::string_view text) noexcept {
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
  }
  return true;
}

std::uint64_t parse_small(std::string_view digits) noexcept {
  std::uint64_t value = 0;
  for (const char c : digits) value = value * 10 + static_cast<std::uint64_t>(c - '0');
  return value;
}

/// Divides in place; returns the remainder. `words` least significant first.
std::uint64_t divide(std::array<std::uint64_t, 4>& words, std::uint64_t divisor) noexcept {
  std::uint64_t rest = 0;
  for (std::size_t i = words.size(); i-- > 0;) {
    if ((words[i] | rest) == 0) continue;
    const Wide part = static_cast<Wide>(rest) << 64 | words[i];
    words[i] = static_cast<std::uint64_t>(part / divisor);
    rest = static_cast<std::uint64_t>(part % divisor);
  }
  return rest;
}

}  // namespace

std::string to_decimal(const Uint256& value) {
  constexpr std::size_t kLimbs = 5;  // of 16 digits: 2^256 has 78
  char text[kLimbs * 16];
  std::array<std::uint64_t, 4> rest = value.words;
  for (std::size_t i = kLimbs; i-- > 0;) write16(divide(rest, kTenTo16), text + i * 16);
  std::size_t first = 0;
  while (first + 1 < sizeof text && text[first] == '0') ++first;
  return {text + first, sizeof text - first};
}

std::string to_decimal(Uint128 value) { return to_decimal(Uint256{{value.low, value.high, 0, 0}}); }

std::optional<Uint256> parse_uint256(std::string_view digits) noexcept {
  if (digits.empty() || !all_digits(digits)) return std::nullopt;
  std::array<std::uint64_t, 4> words{};
  while (!digits.empty()) {
    const std::size_t take = digits.size() % 18 != 0 ? digits.size() % 18 : 18;
    const std::uint64_t scale = ten_to(take);
    std::uint64_t carry = parse_small(digits.substr(0, take));
    for (std::uint64_t& word : words) {
      const Wide product = static_cast<Wide>(word) * scale + carry;
      word = static_cast<std::uint64_t>(product);
      carry = static_cast<std::uint64_t>(product >> 64);
    }
    if (carry != 0) return std::nullopt;
    digits.remove_prefix(take);
  }
  return Uint256{words};
}

std::optional<Uint128> parse_uint128(std::string_view digits) noexcept {
  if (digits.size() > 39 || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
  const auto wide = parse_uint256(digits);
  if (!wide || (wide->words[2] | wide->words[3]) != 0) return std::nullopt;
  return Uint128{wide->words[1], wide->words[0]};
}

Decimal56::Decimal56(const Uint256& value) noexcept {
  std::array<std::uint64_t, 4> rest = value.words;
  for (std::size_t i = limbs_.size(); i > 0;) {
    const std::uint64_t limb = divide(rest, kTenTo16);
    limbs_[--i] = static_cast<std::uint32_t>(limb % kTenTo8);
    if (i > 0) limbs_[--i] = static_cast<std::uint32_t>(limb / kTenTo8);
  }
}

Decimal56& Decimal56::operator+=(const Decimal56& other) noexcept {
  std::uint32_t carry = 0;
  for (std::size_t i = limbs_.size(); i-- > 0;) {
    const std::uint32_t sum = limbs_[i] + other.limbs_[i] + carry;
    carry = sum >= kTenTo8;
    limbs_[i] = carry != 0 ? sum - static_cast<std::uint32_t>(kTenTo8) : sum;
  }
  return *this;
}

void Decimal56::write(char* out) const noexcept {
#if defined(__SSE2__)
  write32(limbs_.data(), out);
  write32(limbs_.data() + 3, out + 24);  // the middle limb is in both
#else
  for (const std::uint32_t limb : limbs_) {
    write8(limb, out);
    out += 8;
  }
#endif
}

}  // namespace millrace::codec
