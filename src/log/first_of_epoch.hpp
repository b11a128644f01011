#pragma once
#include <algorithm>
#include <cstdint>

namespace millrace::log {

/// The first position of an epoch that begins with journal file `generation`, in a log whose last known position is
/// below `end`. No earlier life can have given it: each has files of lower generations, and what it gave in the epoch
/// of such a file lies below this one's, also where nothing of it is left.
inline std::uint64_t first_of_epoch(std::uint64_t end, std::uint64_t generation) noexcept {
  return std::max(end + (std::uint64_t{1} << 32), generation << 32);
}

}  // namespace millrace::log
