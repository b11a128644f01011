#pragma once
#include <cstdint>

#include "millrace/base/bytes.hpp"

namespace millrace {

/// CRC-32C (Castagnoli) of `bytes`; `before` is the CRC of what stands in front of them.
std::uint32_t crc32c(ByteView bytes, std::uint32_t before = 0) noexcept;

}  // namespace millrace
