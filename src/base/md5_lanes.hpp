// MD5 (RFC 1321) of one block in as many lanes as V has, V being a vector of 32-bit words or one plain word.
// No include guard: each source includes this once, with the instruction set it is built for switched on by then, and
// keeps the code in its own unnamed namespace. Standard headers must be included before that switch.

namespace {

template <class V>
struct Md5State {
  V a, b, c, d;
};

struct Md5Constants {
  std::uint32_t sine[64];
  int turn[64];
  int word[64];
};

constexpr Md5Constants kMd5 = {
    {0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
     0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
     0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
     0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
     0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
     0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
     0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
     0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391},
    {7,  12, 17, 22, 7,  12, 17, 22, 7,  12, 17, 22, 7,  12, 17, 22, 5,  9,  14, 20, 5,  9,
     14, 20, 5,  9,  14, 20, 5,  9,  14, 20, 4,  11, 16, 23, 4,  11, 16, 23, 4,  11, 16, 23,
     4,  11, 16, 23, 6,  10, 15, 21, 6,  10, 15, 21, 6,  10, 15, 21, 6,  10, 15, 21},
    {0, 1, 2,  3,  4, 5, 6, 7,  8,  9, 10, 11, 12, 13, 14, 15, 1, 6, 11, 0, 5,  10, 15, 4, 9, 14, 3, 8,  13, 2,  7, 12,
     5, 8, 11, 14, 1, 4, 7, 10, 13, 0, 3,  6,  9,  12, 15, 2,  0, 7, 14, 5, 12, 3,  10, 1, 8, 15, 6, 13, 4,  11, 2, 9}};

constexpr std::uint32_t kMd5A = 0x67452301, kMd5B = 0xefcdab89, kMd5C = 0x98badcfe, kMd5D = 0x10325476;

/// One step; the four states turn their roles with each step, which costs nothing once unrolled.
template <int I, class V>
[[gnu::always_inline]] inline void md5_step(Md5State<V>& s, const V* words) noexcept {
  V mix;
  if constexpr (I < 16) {
    mix = s.d ^ (s.b & (s.c ^ s.d));
  } else if constexpr (I < 32) {
    mix = s.c ^ (s.d & (s.b ^ s.c));
  } else if constexpr (I < 48) {
    mix = s.b ^ s.c ^ s.d;
  } else {
    mix = s.c ^ (s.b | ~s.d);
  }
  const V sum = mix + (s.a + words[kMd5.word[I]] + kMd5.sine[I]);
  const V turned = (sum << kMd5.turn[I]) | (sum >> (32 - kMd5.turn[I]));
  s = {s.d, s.b + turned, s.b, s.c};
}

template <int I, class V, std::size_t... Way>
[[gnu::always_inline]] inline void md5_steps(Md5State<V>* s, const V (*words)[16],
                                             std::index_sequence<Way...>) noexcept {
  (md5_step<I>(s[Way], words[Way]), ...);
}

/// Adds one block of 16 words to each state, step by step side by side.
template <class V, std::size_t... Way, int... I>
[[gnu::always_inline]] inline void md5_blocks(Md5State<V>* states, const V (*words)[16],
                                              std::index_sequence<Way...> ways,
                                              std::integer_sequence<int, I...>) noexcept {
  Md5State<V> s[sizeof...(Way)] = {states[Way]...};
  (md5_steps<I>(s, words, ways), ...);
  ((states[Way].a += s[Way].a, states[Way].b += s[Way].b, states[Way].c += s[Way].c, states[Way].d += s[Way].d), ...);
}

/// Adds one block to one state.
template <class V>
[[gnu::always_inline]] inline void md5_block(Md5State<V>& state, const V (&words)[16]) noexcept {
  md5_blocks(&state, &words, std::index_sequence<0>{}, std::make_integer_sequence<int, 64>{});
}

/// Copies at most 63 bytes by a few fixed-size moves that may overlap.
[[gnu::always_inline]] inline void md5_copy(const char* from, std::size_t size, char* to) noexcept {
  const auto ends = [&]<std::size_t kSize>(std::integral_constant<std::size_t, kSize>) {
    char first[kSize], last[kSize];
    std::memcpy(first, from, kSize);
    std::memcpy(last, from + size - kSize, kSize);
    std::memcpy(to, first, kSize);
    std::memcpy(to + size - kSize, last, kSize);
  };
  if (size >= 32) return ends(std::integral_constant<std::size_t, 32>{});
  if (size >= 16) return ends(std::integral_constant<std::size_t, 16>{});
  if (size >= 8) return ends(std::integral_constant<std::size_t, 8>{});
  if (size >= 4) return ends(std::integral_constant<std::size_t, 4>{});
  for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
}

/// The one block of a key of at most 55 bytes, padded, as 16 words.
[[gnu::always_inline]] inline void md5_pad(std::string_view key, std::uint32_t* words) noexcept {
  std::memset(words, 0, 64);
  char* const bytes = reinterpret_cast<char*>(words);
  md5_copy(key.data(), key.size(), bytes);
  bytes[key.size()] = static_cast<char>(0x80);
  words[14] = static_cast<std::uint32_t>(key.size() * 8);
}

[[gnu::always_inline]] inline millrace::Uint128 md5_number(std::uint32_t a, std::uint32_t b, std::uint32_t c,
                                                           std::uint32_t d) noexcept {
  return {__builtin_bswap64(static_cast<std::uint64_t>(b) << 32 | a),
          __builtin_bswap64(static_cast<std::uint64_t>(d) << 32 | c)};
}

/// Turns as many rows of a square, one vector each, into its columns: each round interleaves the first half of the rows
/// with the second, and the place of an element in row and column, read as one number, turns by one bit.
template <class V, std::size_t... I>
[[gnu::always_inline]] inline void md5_transpose(V* rows, std::index_sequence<I...>) noexcept {
  constexpr std::size_t kLanes = sizeof...(I);
  for (std::size_t round = 1; round < kLanes; round *= 2) {
    V next[kLanes];
    for (std::size_t i = 0; i < kLanes / 2; ++i) {
      const V a = rows[i], b = rows[i + kLanes / 2];
      next[2 * i] = __builtin_shufflevector(a, b, (I / 2 + (I % 2) * kLanes)...);
      next[2 * i + 1] = __builtin_shufflevector(a, b, (I / 2 + kLanes / 2 + (I % 2) * kLanes)...);
    }
    for (std::size_t i = 0; i < kLanes; ++i) rows[i] = next[i];
  }
}

/// Digests of up to kWays times as many short keys as V has lanes. Several ways hide the latency of the steps, each of
/// which needs the one before.
template <class V, std::size_t kWays>
[[gnu::always_inline]] inline void md5_lanes(const std::string_view* const* keys, std::size_t count,
                                             millrace::Uint128* const* out) noexcept {
  constexpr std::size_t kLanes = sizeof(V) / 4;
  alignas(64) std::uint32_t blocks[kWays * kLanes][16];
  for (std::size_t i = 0; i < kWays * kLanes; ++i) md5_pad(i < count ? *keys[i] : std::string_view{}, blocks[i]);
  V words[kWays][16];
  Md5State<V> states[kWays];
  for (std::size_t way = 0; way < kWays; ++way) {
    for (std::size_t part = 0; part < 16; part += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        std::memcpy(&words[way][part + lane], &blocks[way * kLanes + lane][part], sizeof(V));
      }
      md5_transpose(words[way] + part, std::make_index_sequence<kLanes>{});
    }
    states[way] = {V{} + kMd5A, V{} + kMd5B, V{} + kMd5C, V{} + kMd5D};
  }
  md5_blocks(states, words, std::make_index_sequence<kWays>{}, std::make_integer_sequence<int, 64>{});
  for (std::size_t i = 0; i < count; ++i) {
    const Md5State<V>& s = states[i / kLanes];
    const std::size_t lane = i % kLanes;
    *out[i] = md5_number(s.a[lane], s.b[lane], s.c[lane], s.d[lane]);
  }
}

}  // namespace
