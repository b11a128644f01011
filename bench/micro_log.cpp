// What the parts of the record log cost on their own: nanoseconds a call, and how fast bytes move.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "micro.hpp"
#include "millrace/log/engine.hpp"

namespace {

using namespace millrace;
using namespace millrace::bench;

struct Bench {
  WallClock clock;
  MemoryBudget budget{std::size_t{3} << 30};
  std::unique_ptr<log::Engine> engine = log::make_memory_engine(clock, budget);
  std::uint64_t next_id = 1;

  std::shared_ptr<log::Log> log() { return *run(engine->create(log::LogId{next_id++}, {})); }
  void drop(const std::shared_ptr<log::Log>& log) { (void)run(engine->remove(log->id())); }

  // Puts `bytes` in batches of `count` records of `size`; returns seconds.
  double fill(log::Log& log, std::size_t size, std::size_t count, std::size_t bytes) {
    log::BatchBuilder builder;
    builder.reset(log::batch_bytes_needed(count, count * (size + 8)));
    builder.begin_batch();
    const std::string data(size, 'd');
    for (std::size_t i = 0; i < count; ++i) builder.add("key-0001", data);
    const log::BatchView batch = builder.batch();
    const auto start = Watch::now();
    for (std::size_t done = 0; done < bytes; done += batch.size()) {
      if (!log.stage(log.epoch(), batch)) std::abort();
    }
    return seconds_since(start);
  }

  void row(const char* name, std::size_t size, std::size_t count, std::size_t bytes) {
    const double batches = static_cast<double>(bytes) / static_cast<double>((size + 24) * count);
    auto fresh = log();
    const double first = fill(*fresh, size, count, bytes);
    drop(fresh);
    double best = 1e9;
    for (int round = 0; round < 3; ++round) {
      auto again = log();
      best = std::min(best, fill(*again, size, count, bytes));
      drop(again);
    }
    std::printf("%-28s first %8.1f ns  reused %8.1f ns a call  (%6.1f ns a record, %5.2f GB/s)\n", name,
                first / batches * 1e9, best / batches * 1e9, best / batches / static_cast<double>(count) * 1e9,
                static_cast<double>(bytes) / best / 1e9);
  }
};

void two_threads(Bench& bench, std::size_t size, std::size_t count) {
  std::vector<std::shared_ptr<log::Log>> logs;
  for (int i = 0; i < 4; ++i) logs.push_back(bench.log());
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  const auto work = [&](unsigned seed) {
    log::BatchBuilder builder;
    builder.reset(log::batch_bytes_needed(count, count * (size + 8)));
    builder.begin_batch();
    const std::string data(size, 'd');
    for (std::size_t i = 0; i < count; ++i) builder.add("key-0001", data);
    const log::BatchView batch = builder.batch();
    std::uint32_t random = seed;
    for (std::size_t done = 0; done < kBytes; done += batch.size()) {
      random = random * 1664525 + 1013904223;
      auto& log = *logs[random >> 30];
      if (!log.stage(log.epoch(), batch)) std::abort();
    }
  };
  const auto start = Watch::now();
  std::thread other(work, 1u);
  work(2u);
  other.join();
  const double took = seconds_since(start);
  const double calls = 2.0 * kBytes / static_cast<double>((size + 24) * count);
  std::printf("2 threads, 4 logs, %3zu x %4zu B  %8.1f ns a call and thread  (%5.2f GB/s together)\n", count, size,
              took / (calls / 2) * 1e9, 2.0 * kBytes / took / 1e9);
  for (auto& log : logs) bench.drop(log);
}

void reads(Bench& bench) {
  auto log = bench.log();
  bench.fill(*log, 1024, 50, 120'000 * std::size_t{1048});
  const auto scan = [&](std::size_t records_max, std::size_t bytes_max) {
    const auto task = [&]() -> awaitable<double> {
      const auto start = Watch::now();
      std::size_t reads = 0;
      for (int round = 0; round < 20; ++round) {
        log::Position next{0};
        for (;;) {
          log::ReadRequest request{.from = next, .records_max = records_max, .bytes_max = bytes_max};
          auto batch = co_await log->read(request);
          if (batch->records == 0) break;
          next = batch->next;
          ++reads;
        }
      }
      co_return seconds_since(start) / static_cast<double>(reads);
    };
    return run(task());
  };
  std::printf("read of 10,000 x 1 KiB %10.1f ns\n", scan(10'000, 100u << 20) * 1e9);
  std::printf("read of 10 MiB of 1 KiB %9.1f ns\n", scan(10'000, 10u << 20) * 1e9);
  std::printf("read of 100 x 1 KiB %13.1f ns\n", scan(100, 10u << 20) * 1e9);
  bench.drop(log);
}

}  // namespace

int main() {
  Bench bench;
  {
    const auto start = Watch::now();
    TimePoint last{};
    for (int i = 0; i < 1'000'000; ++i) last = std::max(last, bench.clock.now());
    std::printf("clock %44.1f ns\n", seconds_since(start) / 1e6 * 1e9);
  }
  constexpr std::size_t kBytes = std::size_t{256} << 20;
  bench.row("stage 1 x 100 B", 100, 1, kBytes / 2);
  bench.row("stage 1 x 1 KiB", 1024, 1, kBytes);
  bench.row("stage 125 x 100 B", 100, 125, kBytes);
  bench.row("stage 62 x 1 KiB (64 KiB)", 1024, 62, kBytes * 2);
  two_threads(bench, 100, 1);
  two_threads(bench, 1024, 1);
  two_threads(bench, 1024, 62);
  reads(bench);
}
