#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

#include "config/table.hpp"

namespace millrace::config {
namespace {

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

std::size_t limit_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  std::size_t bytes = 0;
  return in >> bytes && bytes > 0 ? bytes : kNoLimit;  // "max" is not a number: no limit
}

/// The least limit on the way from this process's cgroup up to the root, as version 2 or 1 of cgroups has it.
std::size_t cgroup_limit() {
  std::size_t least = kNoLimit;
  std::ifstream in("/proc/self/cgroup");
  for (std::string line; std::getline(in, line);) {
    std::size_t first = line.find(':'), second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    bool unified = controllers.empty();
    if (!unified && controllers != "memory") continue;
    std::filesystem::path root = unified ? "/sys/fs/cgroup" : "/sys/fs/cgroup/memory";
    const char* name = unified ? "memory.max" : "memory.limit_in_bytes";
    // Inside a container the path may be the host's while the tree is the container's own: the root is always asked
    // too.
    std::filesystem::path below = std::filesystem::path(line.substr(second + 1)).relative_path();
    for (; !below.empty(); below = below.parent_path()) least = std::min(least, limit_in(root / below / name));
    least = std::min(least, limit_in(root / name));
  }
  return least;
}

}  // namespace

std::size_t default_memory_limit() {
  long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  std::size_t machine =
      pages > 0 && page > 0 ? static_cast<std::size_t>(pages) * static_cast<std::size_t>(page) : std::size_t{1} << 30;
  return std::max<std::size_t>(std::min(machine, cgroup_limit()) / 4, 16u << 20);
}

}  // namespace millrace::config
