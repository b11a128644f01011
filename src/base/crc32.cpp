#include "millrace/base/crc32.hpp"

#include <isa-l/crc.h>

namespace millrace {

std::uint32_t crc32(ByteView bytes, std::uint32_t before) noexcept {
  return ::crc32_gzip_refl(before, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

}  // namespace millrace
