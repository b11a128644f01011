#include "millrace/base/crc32c.hpp"

#include <isa-l/crc.h>

#include <algorithm>
#include <climits>

namespace millrace {

std::uint32_t crc32c(ByteView bytes, std::uint32_t before) noexcept {
  std::uint32_t crc = ~before;
  while (!bytes.empty()) {
    const std::size_t size = std::min<std::size_t>(bytes.size(), INT_MAX);
    // The library takes its input as writable, and does not write to it.
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data()));
    crc = ::crc32_iscsi(data, static_cast<int>(size), crc);
    bytes.remove_prefix(size);
  }
  return ~crc;
}

}  // namespace millrace
