#pragma once
#include <cstddef>
#include <string_view>

#include "millrace/codec/base64.hpp"

/// The kernels behind base64.hpp, each complete in itself, so that a test can run those its CPU has.
namespace millrace::codec::base64::kernels {

Decoded decode_table(std::string_view text, char* out) noexcept;
std::size_t encode_table(std::string_view bytes, char* out) noexcept;

#if defined(__x86_64__)
#define MILLRACE_BASE64_X86 1
bool has_ssse3() noexcept;
bool has_avx2() noexcept;
Decoded decode_ssse3(std::string_view text, char* out) noexcept;
Decoded decode_avx2(std::string_view text, char* out) noexcept;
std::size_t encode_ssse3(std::string_view bytes, char* out) noexcept;
std::size_t encode_avx2(std::string_view bytes, char* out) noexcept;
#endif

}  // namespace millrace::codec::base64::kernels
