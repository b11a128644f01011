#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "millrace/cli/log.hpp"

namespace millrace::cli {

namespace {

struct Device {
  unsigned major = 0, minor = 0;
  friend bool operator==(const Device&, const Device&) = default;
};

/// Of the file system that is mounted there. Some (btrfs) give each file another one in stat().
Device device_of_mount(std::uint64_t mount) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    unsigned long long id = 0;
    Device device;
    if (std::sscanf(line.c_str(), "%llu %*u %u:%u", &id, &device.major, &device.minor) == 3 && id == mount)
      return device;
  }
  return {};
}

}  // namespace

bool held_by_daemon(const std::filesystem::path& data_dir) {
  struct statx info {};
  if (::statx(AT_FDCWD, (data_dir / ".lock").c_str(), 0, STATX_INO | STATX_MNT_ID, &info) != 0) return false;
  const Device by_stat{info.stx_dev_major, info.stx_dev_minor};
  const Device by_mount = (info.stx_mask & STATX_MNT_ID) ? device_of_mount(info.stx_mnt_id) : by_stat;
  // To try the lock would be to take it: a daemon that starts at that moment would find it in use.
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    // 1: FLOCK  ADVISORY  WRITE 7325 fe:00:5472563 0 EOF
    Device device;
    unsigned long long inode = 0;
    if (std::sscanf(line.c_str(), "%*u: FLOCK %*s WRITE %*d %x:%x:%llu", &device.major, &device.minor, &inode) != 3)
      continue;
    if (inode == info.stx_ino && (device == by_stat || device == by_mount)) return true;
  }
  return false;
}

}  // namespace millrace::cli
