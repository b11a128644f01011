// What it costs to read records of many shards out of files, before and after they were put together: small puts to so
// many shards in turn, then some shards read from one end to the other, none of it in any memory.
#include <fcntl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "micro.hpp"
#include "millrace/log/engine.hpp"

namespace {

namespace fs = std::filesystem;
using namespace millrace;
using namespace millrace::bench;

constexpr std::uint64_t kStoredBytes = std::uint64_t{512} << 20;
constexpr std::size_t kRecordBytes = 1'000;
constexpr std::uint64_t kShardsRead = 8;

struct Engine {
  explicit Engine(const fs::path& directory, std::uint64_t shards) {
    log::DurableEngineOptions options;
    options.directory = directory;
    options.sync = false;
    engine = std::move(*log::make_durable_engine(clock, budget, *files, threads, options));
    for (std::uint64_t id = 1; id <= shards; ++id) {
      auto opened = run(engine->open(log::LogId{id}));
      logs.push_back(opened ? *opened : *run(engine->create(log::LogId{id}, {})));
      logs.back()->set_retention(std::chrono::hours{24 * 365});
    }
    engine->forget_unopened();
  }

  void fill() {
    log::BatchBuilder builder;
    builder.reset(log::batch_bytes_needed(1, 2 * kRecordBytes));
    builder.add("key-0001", std::string(kRecordBytes, 'd'));
    const log::BatchView batch = builder.batch();
    for (std::uint64_t stored = 0; stored < kStoredBytes; stored += logs.size() * batch.size()) {
      std::vector<log::Ticket> tickets;
      for (const auto& log : logs) tickets.push_back(log->stage(log->epoch(), batch)->ticket);
      if (!run(engine->committed(tickets))) std::abort();
    }
  }

  /// MB a second of some shards, one after the other.
  double read(std::uint64_t first, std::size_t records_max) {
    const auto task = [&]() -> awaitable<double> {
      const auto start = Watch::now();
      double bytes = 0;
      for (std::uint64_t i = 0; i < kShardsRead; ++i) {
        const auto log = logs[(first + i * 7) % logs.size()];
        for (log::Position next{0};;) {
          log::ReadRequest request{.from = next, .records_max = records_max};
          auto batch = co_await log->read(request);
          if (!batch) std::abort();
          if (batch->records == 0) break;
          bytes += static_cast<double>(batch->records * kRecordBytes);
          next = batch->next;
        }
      }
      co_return bytes / 1e6 / seconds_since(start);
    };
    return run(task());
  }

  ManualClock clock;
  MemoryBudget budget{std::size_t{256} << 20};
  std::unique_ptr<Files> files = make_system_files();
  FileThreads threads{2};
  std::unique_ptr<log::Engine> engine;
  std::vector<std::shared_ptr<log::Log>> logs;
};

void drop_from_memory(const fs::path& directory) {
  for (const auto& entry : fs::directory_iterator(directory)) {
    const int file = ::open(entry.path().c_str(), O_RDONLY);
    (void)::fsync(file);
    (void)::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
  }
}

/// Pages as large as GetRecords gives them, and of 100 records as Lambda asks for.
void measure(const fs::path& directory, std::uint64_t shards, const char* when) {
  for (const std::size_t records_max : {10'000, 100}) {
    Engine engine(directory, shards);
    drop_from_memory(directory);
    std::printf("%4llu shards, pages of %6zu, %-16s %8.1f MB/s\n", static_cast<unsigned long long>(shards), records_max,
                when, engine.read(1, records_max));
    std::fflush(stdout);
  }
}

/// Shards are read until files are worth it; then time passes until they are done with.
void put_together(const fs::path& directory, std::uint64_t shards) {
  Engine engine(directory, shards);
  for (int turn = 0; turn < 4; ++turn) {
    drop_from_memory(directory);
    (void)engine.read(static_cast<std::uint64_t>(turn) + 10, 10'000);
  }
  const auto begun = Watch::now();
  for (auto last = Watch::now(); seconds_since(last) < 3;) {
    const std::uint64_t before = engine.engine->status().rewritten_bytes;
    engine.clock.advance(std::chrono::milliseconds{100});
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
    if (engine.engine->status().rewritten_bytes != before) last = Watch::now();
  }
  std::printf("%4llu shards, %.0f MB put together in %.1f s (without the pauses in between)\n",
              static_cast<unsigned long long>(shards),
              static_cast<double>(engine.engine->status().rewritten_bytes) / 1e6, seconds_since(begun) - 3);
}

}  // namespace

int main(int argc, char** argv) {
  constexpr long kTmpfsMagic = 0x01021994;
  struct statfs info {};
  if (argc < 2 || ::statfs(argv[1], &info) != 0 || info.f_type == kTmpfsMagic)
    return std::fprintf(stderr, "usage: bench_micro_cold DIRECTORY, on a disk\n"), 2;
  const fs::path directory = fs::path(argv[1]) / "micro-cold";
  for (const std::uint64_t shards : {8, 64, 256, 1024}) {
    fs::remove_all(directory);
    Engine(directory, shards).fill();
    measure(directory, shards, "as they came");
    put_together(directory, shards);
    measure(directory, shards, "put together");
  }
  fs::remove_all(directory);
}
