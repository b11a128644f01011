#include "millrace/codec/gzip.hpp"

#include <isa-l/igzip_lib.h>

#include <algorithm>
#include <memory>

namespace millrace::codec {

std::optional<std::string> gunzip(std::string_view bytes, std::size_t bytes_max) {
  constexpr std::size_t kGrowth = 64 * 1024;
  std::string out;
  if (bytes.empty()) return std::nullopt;
  const auto state = std::make_unique<inflate_state>();  // its window is too large for a coroutine's stack
  std::string_view left = bytes;
  while (!left.empty()) {
    isal_inflate_init(state.get());
    state->crc_flag = ISAL_GZIP;
    state->next_in = reinterpret_cast<std::uint8_t*>(const_cast<char*>(left.data()));
    state->avail_in = static_cast<std::uint32_t>(left.size());
    do {
      const std::size_t size = out.size();
      // One byte more than may be: what fills it is too long.
      const std::size_t room = std::min(kGrowth, bytes_max + 1 - size);
      out.resize(size + room);
      state->next_out = reinterpret_cast<std::uint8_t*>(out.data() + size);
      state->avail_out = static_cast<std::uint32_t>(room);
      const int failed = isal_inflate(state.get());
      out.resize(size + room - state->avail_out);
      if (failed != ISAL_DECOMP_OK || out.size() > bytes_max) return std::nullopt;
      // Nothing more came in, and nothing went out: it ends in its middle.
      if (state->block_state != ISAL_BLOCK_FINISH && state->avail_in == 0 && state->avail_out != 0) return std::nullopt;
    } while (state->block_state != ISAL_BLOCK_FINISH);
    left = left.substr(left.size() - state->avail_in);
  }
  return out;
}

}  // namespace millrace::codec
