// What commits cost the disk itself: the same number of bytes written at once and synced, over and over, into a file
// that has been written before; and what plain writes cost, into the same file and into new ones, as a log that keeps
// what it was given must. A log that many wait for at once cannot be faster on this machine. One JSON line a case.
//
//   bench_commits DIRECTORY [seconds a case] [MiB of the file]
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Case {
  std::size_t records, record_bytes;
  bool sync;
};

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "bench_commits: %s: %s\n", what, std::strerror(errno));
  std::exit(1);
}

void write_all(int fd, const char* from, std::size_t size, off_t at) {
  while (size > 0) {
    const ssize_t n = ::pwrite(fd, from, size, at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("write");
    from += n;
    at += n;
    size -= static_cast<std::size_t>(n);
  }
}

/// Its blocks are allocated and hold data: what a sync then has to do is write, and nothing about the file's shape.
int recycled_file(const std::string& path, std::size_t size) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) fail(path.c_str());
  const std::vector<char> block(1 << 20, '\1');
  for (std::size_t at = 0; at < size; at += block.size())
    write_all(fd, block.data(), block.size(), static_cast<off_t>(at));
  if (::fsync(fd) != 0) fail("fsync");
  return fd;
}

constexpr std::size_t kNewFileBytes = 64u << 20;

/// Its blocks are allocated, and nothing of it was ever in memory. Goes when it is closed.
int new_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || ::unlink(path.c_str()) != 0) fail(path.c_str());
  if (const int failed = ::posix_fallocate(fd, 0, kNewFileBytes); failed != 0) {
    errno = failed;
    fail("posix_fallocate");
  }
  return fd;
}

double percentile(const std::vector<double>& sorted, int percent) {
  return sorted[std::min(sorted.size() - 1, sorted.size() * static_cast<std::size_t>(percent) / 100)];
}

std::vector<char> random_bytes(const Case& each) {
  std::mt19937_64 random(1);
  std::vector<char> bytes(each.records * each.record_bytes);
  for (char& byte : bytes) byte = static_cast<char>(random());
  return bytes;
}

void say(const Case& each, bool new_files, std::vector<double> micros, double spent) {
  std::sort(micros.begin(), micros.end());
  const auto commits = static_cast<double>(micros.size());
  std::printf(
      "{\"sync\": %s, \"new\": %s, \"records\": %zu, \"record_bytes\": %zu, \"commits/s\": %.1f, \"MB/s\": %.2f, "
      "\"p50_us\": %.1f, \"p99_us\": %.1f}\n",
      each.sync ? "true" : "false", new_files ? "true" : "false", each.records, each.record_bytes, commits / spent,
      commits * static_cast<double>(each.records * each.record_bytes) / spent / 1e6, percentile(micros, 50),
      percentile(micros, 99));
  std::fflush(stdout);
}

/// Plain writes; what was written stays in the system's memory or goes to the disk as it sees fit, until all are done.
void measure_new_files(const std::string& path, const Case& each, double seconds) {
  const std::vector<char> bytes = random_bytes(each);
  std::vector<int> files;
  std::vector<double> micros;
  std::size_t at = kNewFileBytes;
  const auto begun = Clock::now();
  const auto end = begun + std::chrono::duration<double>(seconds);
  auto before = begun;
  while (before < end) {
    if (at + bytes.size() > kNewFileBytes) {
      files.push_back(new_file(path + "-new"));
      at = 0;
    }
    write_all(files.back(), bytes.data(), bytes.size(), static_cast<off_t>(at));
    at += bytes.size();
    const auto now = Clock::now();
    micros.push_back(std::chrono::duration<double, std::micro>(now - before).count());
    before = now;
  }
  say(each, true, std::move(micros), std::chrono::duration<double>(before - begun).count());
  for (const int fd : files) ::close(fd);
}

void measure(int fd, std::size_t file_bytes, const Case& each, double seconds) {
  const std::vector<char> bytes = random_bytes(each);
  std::vector<double> micros;
  std::size_t at = 0;
  const auto begun = Clock::now();
  const auto end = begun + std::chrono::duration<double>(seconds);
  auto before = begun;
  while (before < end) {
    if (at + bytes.size() > file_bytes) at = 0;
    write_all(fd, bytes.data(), bytes.size(), static_cast<off_t>(at));
    if (each.sync && ::fdatasync(fd) != 0) fail("fdatasync");
    at += bytes.size();
    const auto now = Clock::now();
    micros.push_back(std::chrono::duration<double, std::micro>(now - before).count());
    before = now;
  }
  say(each, false, std::move(micros), std::chrono::duration<double>(before - begun).count());
  if (!each.sync && ::fsync(fd) != 0) fail("fsync");  // what is left to write is no part of the next case
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bench_commits DIRECTORY [seconds a case] [MiB of the file]\n");
    return 2;
  }
  const double seconds = argc > 2 ? std::atof(argv[2]) : 2.0;
  const std::size_t file_bytes = (argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 512) << 20;
  const std::string path = std::string(argv[1]) + "/commits-" + std::to_string(::getpid());
  measure_new_files(path, Case{500, 1200, false}, seconds);
  const int fd = recycled_file(path, file_bytes);
  ::unlink(path.c_str());  // whatever happens, nothing stays
  for (const Case& each :
       {Case{1, 1200, true}, Case{64, 1200, true}, Case{500, 1200, true}, Case{1, 1200, false}, Case{500, 1200, false}})
    measure(fd, file_bytes, each, seconds);
}
