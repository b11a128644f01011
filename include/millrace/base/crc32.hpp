#pragma once
#include <cstdint>

#include "millrace/base/bytes.hpp"

namespace millrace {

/// CRC-32 of IEEE 802.3 (as gzip and AWS's event streams have it) of `bytes`; `before` is the CRC of what stands in
/// front of them.
std::uint32_t crc32(ByteView bytes, std::uint32_t before = 0) noexcept;

}  // namespace millrace
