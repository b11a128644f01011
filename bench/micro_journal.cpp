// What the journal costs on its own, on a real disk: bench_micro_journal DIRECTORY [os|always|start]
#include <sys/resource.h>
#include <sys/vfs.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "micro.hpp"
#include "millrace/base/cores.hpp"
#include "millrace/journal/journal.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;
namespace fs = std::filesystem;

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

/// A log that counts: what is staged is `size` bytes a record.
class Shard final : public journal::Source {
 public:
  Shard(std::uint64_t log, std::string record) : log_(log), record_(std::move(record)) {}
  std::uint64_t stage() {
    std::lock_guard lock(mutex_);
    return ++staged_;
  }
  bool gather(journal::Batch& batch) override {
    std::lock_guard lock(mutex_);
    const std::uint64_t count = staged_ - settled_;
    gathered_ = std::min<std::uint64_t>(count, 512);
    if (gathered_ == 0) return false;
    journal::Frame frame;
    frame.log = log_;
    frame.base = settled_;
    frame.count = static_cast<std::uint32_t>(gathered_);
    pieces_.assign(gathered_, record_);
    batch.add(frame, pieces_);
    return gathered_ < count;
  }
  void settled(const journal::Result<>& outcome, std::span<const journal::Lsn>) noexcept override {
    if (!outcome) std::fprintf(stderr, "%s\n", outcome.error().detail.c_str()), std::abort();
    std::lock_guard lock(mutex_);
    settled_ += gathered_;
  }
  std::size_t record_bytes() const noexcept { return record_.size(); }
  std::uint64_t settled() const {
    std::lock_guard lock(mutex_);
    return settled_;
  }

 private:
  const std::uint64_t log_;
  const std::string record_;
  mutable std::mutex mutex_;
  std::vector<ByteView> pieces_;
  std::uint64_t staged_ = 0, settled_ = 0, gathered_ = 0;
};

const bool thread = std::getenv("BENCH_THREAD") != nullptr;

awaitable<void> put_in_turn(journal::Journal& journal, std::shared_ptr<Shard> shard, const std::atomic<bool>& stop,
                            std::uint64_t& count) {
  while (!stop) {
    const std::uint64_t end = shard->stage();
    while (shard->settled() < end) {
      const journal::Journal::Turn turn =
          thread ? journal.announce(shard) : journal.announce(shard, shard->record_bytes());
      co_await journal.over(turn);
    }
    ++count;
  }
}

/// Puts of `size` bytes by `writers` coroutines on two cores for some seconds.
void load(const fs::path& directory, bool sync, std::size_t size, int writers) {
  fs::remove_all(directory);
  fs::create_directories(directory);
  const auto files = make_system_files();
  WallClock clock;
  journal::Options options;
  options.directory = directory;
  options.sync = sync;
  options.index = true;
  auto journal = std::move(*journal::make_journal(*files, clock, options, {}));
  Cores cores(2);
  std::atomic<bool> stop{false};
  std::atomic<int> ended{0};
  std::vector<std::shared_ptr<Shard>> shards;
  for (std::uint64_t i = 0; i < 4; ++i) shards.push_back(std::make_shared<Shard>(i, std::string(size, 'd')));
  std::deque<std::uint64_t> counts;
  for (int i = 0; i < writers; ++i) {
    counts.push_back(0);
    boost::asio::co_spawn(cores.executor(static_cast<std::size_t>(i) % 2),
                          put_in_turn(*journal, shards[static_cast<std::size_t>(i) % 4], stop, counts.back()),
                          [&](std::exception_ptr) {
                            if (++ended == writers) cores.stop();
                          });
  }
  const double cpu = cpu_seconds();
  const auto start = Watch::now();
  cores.start();
  std::this_thread::sleep_for(std::chrono::seconds(3));
  stop = true;
  cores.join();
  const double seconds = seconds_since(start), used = cpu_seconds() - cpu;
  std::uint64_t puts = 0;
  for (const std::uint64_t count : counts) puts += count;
  std::printf("%-7s %8zu B, %3d writers: %9.0f/s %8.1f MB/s %6.2f us CPU each\n", sync ? "always" : "os", size, writers,
              static_cast<double>(puts) / seconds, static_cast<double>(puts * size) / seconds / 1e6,
              used / static_cast<double>(puts) * 1e6);
  journal.reset();
  fs::remove_all(directory);
}

/// Makes `count` full files of 300 logs, drops what is cached of them if it may, and starts.
void start(const fs::path& directory, int count) {
  fs::remove_all(directory);
  fs::create_directories(directory);
  const auto files = make_system_files();
  WallClock clock;
  journal::Options options;
  options.directory = directory;
  options.sync = false;
  options.index = true;
  {
    auto journal = std::move(*journal::make_journal(*files, clock, options, {}));
    std::vector<std::shared_ptr<Shard>> shards;
    for (std::uint64_t i = 0; i < 300; ++i) shards.push_back(std::make_shared<Shard>(i, std::string(20'000, 'd')));
    while (journal->generation().get() <= static_cast<std::uint32_t>(count)) {
      std::uint64_t staged = 0;
      for (const auto& shard : shards) {
        staged = shard->stage();
        journal->announce(shard);
      }
      while (shards.back()->settled() < staged) std::this_thread::yield();
    }
  }
  if (std::system("sync; echo 3 > /proc/sys/vm/drop_caches 2>/dev/null") != 0) std::printf("(not from a cold cache)\n");
  const auto begun = Watch::now();
  const auto scanned = journal::scan_index(*files, directory);
  const double scan = seconds_since(begun);
  auto journal = std::move(*journal::make_journal(*files, clock, options, *scanned));
  std::printf("start   %d files, %zu parts: scan %.1f ms, all %.1f ms\n", count, scanned->parts.size(), scan * 1e3,
              seconds_since(begun) * 1e3);
  journal.reset();
  fs::remove_all(directory);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return std::fprintf(stderr, "usage: bench_micro_journal DIRECTORY [os|always|start]\n"), 2;
  const fs::path directory = fs::path(argv[1]) / "micro-journal";
  const std::string_view only = argc > 2 ? argv[2] : "";
  constexpr long kTmpfsMagic = 0x01021994;
  struct statfs info {};
  if (::statfs(argv[1], &info) != 0 || info.f_type == kTmpfsMagic)
    return std::fprintf(stderr, "%s: not a directory on a disk\n", argv[1]), 2;
  for (const bool sync : {false, true}) {
    if (!only.empty() && only != (sync ? "always" : "os")) continue;
    load(directory, sync, 1'200, 1);
    load(directory, sync, 1'200, 64);
    load(directory, sync, 600'000, 16);
  }
  if (only.empty() || only == "start") start(directory, 160);
}
