#include <gtest/gtest.h>

#include <cerrno>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "millrace/base/random.hpp"
#include "millrace/log/engine.hpp"
#include "support/keys.hpp"
#include "support/run.hpp"

namespace millrace::log {
namespace {

using namespace std::chrono_literals;

class SpillingEngine : public testing::Test {
 protected:
  static constexpr std::size_t kMemory = 8u << 20;

  void start() {
    logs_.clear();
    engine_.reset();
    SpillOptions options;
    options.directory = "spill";
    options.file_bytes = 1u << 20;
    options.keys = keys_;
    options.random = random_.get();
    engine_ = make_spilling_engine(clock_, budget_, *files_, threads_, options);
    for (std::uint64_t id = 1; id <= 3; ++id)
      logs_.push_back(*test::run(io_, engine_->create(LogId{id}, {.retention = 1h})));
  }
  Result<Staged> stage(Log& log, std::string data) {
    builder_.reset(0);
    builder_.begin_batch();
    builder_.add("key", data);
    return log.stage(log.epoch(), builder_.batch());
  }
  void put(std::size_t log, std::string data) {
    if (engine_->short_of_room()) test::run(io_, engine_->wait_for_room());
    const auto staged = stage(*logs_[log], data);
    ASSERT_TRUE(staged.has_value()) << data.size() << " bytes are refused";
    EXPECT_TRUE(staged->ticket.committed);
    expected_[log].push_back(std::move(data));
  }
  std::vector<std::string> all(Log& log) {
    std::vector<std::string> out;
    Position next{0};
    for (;;) {
      auto batch = test::run(io_, log.read({.from = next}));
      EXPECT_TRUE(batch.has_value()) << batch.error().detail;
      if (!batch || batch->records == 0) return out;
      for (const RecordRun& run : batch->runs) {
        EXPECT_EQ(run.first.get(), out.size());
        const char* at = run.bytes.data();
        for (std::uint32_t i = 0; i < run.count; ++i) {
          RecordView record;
          at = read_record(at, record);
          out.emplace_back(record.data);
        }
      }
      next = batch->next;
    }
  }

  const journal::Keys* keys_ = nullptr;
  std::unique_ptr<Random> random_ = make_seeded_random(1);
  boost::asio::io_context io_{1};
  ManualClock clock_;
  MemoryBudget budget_{kMemory};
  std::unique_ptr<MemoryFiles> files_ = make_memory_files();
  FileThreads threads_{2};
  std::unique_ptr<Engine> engine_;
  std::vector<std::shared_ptr<Log>> logs_;
  std::vector<std::string> expected_[3];
  BatchBuilder builder_;
};

TEST_F(SpillingEngine, WhatIsSpilledIsSealed) {
  const test::SealingKeys keys{{1, 'a'}};
  for (const bool sealed : {false, true}) {
    SCOPED_TRACE(sealed);
    keys_ = sealed ? &keys : nullptr;
    start();
    expected_[0].clear();
    for (int i = 0; i < 400; ++i) put(0, "a secret " + std::to_string(i) + std::string(50'000, '.'));
    EXPECT_EQ(all(*logs_[0]), expected_[0]);
    EXPECT_GT(engine_->status().file_reads, 0u);
    EXPECT_GT(engine_->status().evicted_chunks, 0u);
    EXPECT_EQ(test::files_with(*files_, "spill", "a secret").empty(), sealed);
  }
  logs_.clear();
  engine_.reset();
}

TEST_F(SpillingEngine, TenTimesTheMemoryIsTakenAndReadsBack) {
  start();
  std::mt19937 random(1);
  for (std::size_t bytes = 0; bytes < 10 * kMemory;) {
    const std::size_t size = random() % 60'000;
    put(random() % 3, std::string(size, static_cast<char>('a' + random() % 26)));
    bytes += size;
    ASSERT_LE(budget_.used(), kMemory);
  }
  EXPECT_GT(engine_->status().file_bytes, 8 * kMemory);
  for (std::size_t log = 0; log < 3; ++log) EXPECT_EQ(all(*logs_[log]), expected_[log]);
}

TEST_F(SpillingEngine, ManySmallLogsSpillToo) {
  start();
  std::vector<std::shared_ptr<Log>> small;
  for (std::uint64_t id = 100; id < 1300; ++id) {  // 16 KiB each at least: more than there is
    small.push_back(*test::run(io_, engine_->create(LogId{id}, {.retention = 1h})));
    if (engine_->short_of_room()) test::run(io_, engine_->wait_for_room());
    ASSERT_TRUE(stage(*small.back(), std::to_string(id)).has_value()) << id;
  }
  for (std::size_t i = 0; i < small.size(); ++i) EXPECT_EQ(all(*small[i]), std::vector{std::to_string(100 + i)});
}

TEST_F(SpillingEngine, ADiskThatIsFullRefusesOnlyWhatMemoryCannotHold) {
  start();
  files_->on_change([](std::string_view call, const std::filesystem::path&) {
    return call == "write" || call == "create" ? ENOSPC : 0;
  });
  std::size_t taken = 0;
  while (stage(*logs_[0], std::string(50'000, 'x'))) ++taken;
  EXPECT_GT(taken * 50'000, kMemory / 2);
  EXPECT_EQ(all(*logs_[0]).size(), taken) << "what was acknowledged stays";
  files_->on_change(nullptr);
  ASSERT_TRUE(test::run(io_, engine_->remove(LogId{1})).has_value());
  logs_[0].reset();
  put(1, "goes on");
  EXPECT_EQ(all(*logs_[1]).size(), 1u);
}

TEST_F(SpillingEngine, TheNextStartKnowsNothingOfIt) {
  start();
  for (int i = 0; i < 400; ++i) put(0, std::string(50'000, 'x'));
  EXPECT_GT(engine_->status().file_bytes, kMemory);
  start();
  EXPECT_EQ(engine_->status().file_bytes, 0u);
  EXPECT_TRUE(all(*logs_[0]).empty());
}

TEST_F(SpillingEngine, RetentionGivesFilesBack) {
  start();
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 200; ++i) put(0, std::string(50'000, 'x'));
    clock_.advance(2h);
    test::settle(io_);
    expected_[0].clear();
  }
  EXPECT_LT(engine_->status().file_bytes, 6 * kMemory) << "of 200 MB that went through";
}

}  // namespace
}  // namespace millrace::log
