#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/md5_kernels.hpp"
#include "base/md5_lanes.hpp"
#include "millrace/base/digest.hpp"

static_assert(std::endian::native == std::endian::little, "blocks are read as little-endian words in place");

namespace millrace {
namespace {

using V4 [[gnu::vector_size(16)]] = std::uint32_t;

Uint128 md5_short(std::string_view key) noexcept {
  std::uint32_t words[16];
  md5_pad(key, words);
  Md5State<std::uint32_t> s = {kMd5A, kMd5B, kMd5C, kMd5D};
  md5_block(s, words);
  return md5_number(s.a, s.b, s.c, s.d);
}

Uint128 md5_long(std::string_view key) noexcept {
  std::uint32_t words[16];
  Md5State<std::uint32_t> s = {kMd5A, kMd5B, kMd5C, kMd5D};
  const std::uint64_t bits = static_cast<std::uint64_t>(key.size()) * 8;
  for (; key.size() >= 64; key.remove_prefix(64)) {
    std::memcpy(words, key.data(), 64);
    md5_block(s, words);
  }
  std::memset(words, 0, 64);
  if (!key.empty()) std::memcpy(words, key.data(), key.size());
  reinterpret_cast<char*>(words)[key.size()] = static_cast<char>(0x80);
  if (key.size() > md5_kernels::kShortKeyMax) {
    md5_block(s, words);
    std::memset(words, 0, 64);
  }
  std::memcpy(words + 14, &bits, 8);
  md5_block(s, words);
  return md5_number(s.a, s.b, s.c, s.d);
}

}  // namespace

namespace md5_kernels {

void lanes4(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept {
  md5_lanes<V4, 2>(keys, count, out);
}

#if defined(MILLRACE_MD5_X86)
bool has_avx2() noexcept { return __builtin_cpu_supports("avx2"); }
bool has_avx512() noexcept { return __builtin_cpu_supports("avx512f"); }
#endif

void many(const Kernel& kernel, std::span<const std::string_view> keys, std::span<Uint128> out) noexcept {
  const std::string_view* group[kKeysMax];
  Uint128* into[kKeysMax];
  std::size_t waiting = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].size() > kShortKeyMax) {
      out[i] = md5_long(keys[i]);
      continue;
    }
    group[waiting] = &keys[i];
    into[waiting] = &out[i];
    if (++waiting == kernel.keys_max) {
      kernel.run(group, waiting, into);
      waiting = 0;
    }
  }
  if (waiting == 1) {
    *into[0] = md5_short(*group[0]);
  } else if (waiting != 0) {
    kernel.run(group, waiting, into);
  }
}

}  // namespace md5_kernels

Uint128 md5(std::string_view key) noexcept {
  return key.size() <= md5_kernels::kShortKeyMax ? md5_short(key) : md5_long(key);
}

void md5_many(std::span<const std::string_view> keys, std::span<Uint128> out) noexcept {
#if defined(MILLRACE_MD5_X86)
  if (md5_kernels::has_avx512() && keys.size() > 16) return md5_kernels::many(md5_kernels::kLanes16, keys, out);
  if (md5_kernels::has_avx2()) return md5_kernels::many(md5_kernels::kLanes8, keys, out);
#endif
  md5_kernels::many(md5_kernels::kLanes4, keys, out);
}

}  // namespace millrace
