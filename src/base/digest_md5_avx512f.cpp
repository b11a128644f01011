#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "base/md5_kernels.hpp"

#if defined(MILLRACE_MD5_X86)
#if defined(__clang__)
#pragma clang attribute push([[gnu::target("avx512f")]], apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f")
#endif
#include "base/md5_lanes.hpp"

namespace millrace::md5_kernels {
namespace {
using V16 [[gnu::vector_size(64)]] = std::uint32_t;
}

void lanes16(const std::string_view* const* keys, std::size_t count, Uint128* const* out) noexcept {
  md5_lanes<V16, 2>(keys, count, out);
  __builtin_ia32_vzeroupper();  // left dirty, upper halves slow down all SSE code that follows
}

}  // namespace millrace::md5_kernels
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif
