#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "millrace/delivery/delivery.hpp"
#include "support/run.hpp"

namespace millrace::delivery {
namespace {

namespace fs = std::filesystem;

/// All of a bucket's objects, in the order of the first record they hold.
std::vector<std::string> contents(Files& files, const fs::path& path) {
  std::vector<std::string> found;
  const auto names = files.list(path);
  if (!names) return found;
  for (const std::string& name : *names) {
    if (*files.kind(path / name) == Files::Kind::file) {
      found.push_back(*files.read_all(path / name, 1u << 30));
    } else {
      for (std::string& below : contents(files, path / name)) found.push_back(std::move(below));
    }
  }
  return found;
}

TEST(DeliveryThreads, PutsFlushesAndQuestionsAtOnceLoseAndRepeatNothing) {
  constexpr int kRecords = 6000, kDeliveryStreams = 3;
  boost::asio::io_context io{1};
  Cores cores{2};
  FileThreads threads{2};
  ManualClock clock;
  MemoryBudget budget{512u << 20};
  const auto random = make_seeded_random(3);
  const auto store = state::make_memory_store();
  const auto files = make_memory_files();
  const auto engine = log::make_memory_engine(clock, budget);
  const auto streams = test::run(io, streams::make_streams(clock, *random, *store, *engine, {}));
  const auto tree = objects::make_tree(*files, threads, "data/s3", false);
  const Dependencies dependencies{clock, *random, cores, budget, *store, *streams, *tree};
  const auto delivery = make_delivery(dependencies, {});
  cores.start();

  streams::CreateStream create;
  create.name = "events";
  create.shard_count = 2;
  ASSERT_TRUE(test::run(io, streams->create(create)));
  for (int i = 0; i < kDeliveryStreams; ++i) {
    DeliveryStreamSpec spec;
    spec.name = "F" + std::to_string(i);
    spec.source_stream = "events";
    spec.s3.bucket = "lake-" + std::to_string(i);
    spec.s3.size_mib = 1;
    ASSERT_TRUE(test::run(io, delivery->create(spec)));
  }

  std::atomic<int> putting{2};
  std::vector<std::thread> putters;
  for (std::uint32_t shard = 0; shard < 2; ++shard)
    putters.emplace_back([&streams, &putting, shard] {
      const auto log = streams->find("events")->shards[shard]->log;
      log::BatchBuilder builder;
      for (int i = 0; i < kRecords; ++i) {
        std::string data = std::to_string(shard) + "." + std::to_string(i) + ".";
        data.resize(512, 'x');
        builder.reset(log::batch_bytes_needed(1, data.size() + 1));
        builder.begin_batch();
        builder.add("k", data);
        if (!log->stage(log->epoch(), builder.batch())) std::abort();
      }
      --putting;
    });
  while (putting > 0) {
    clock.advance(std::chrono::seconds{20});
    EXPECT_TRUE(test::run(io, delivery->flush(std::chrono::steady_clock::now() + test::kPatience)).empty());
    for (const auto& info : delivery->list("", 10)) EXPECT_LE(info->records, 2u * kRecords);
    EXPECT_LE(delivery->undelivered_records(), std::uint64_t{kDeliveryStreams} * 2 * kRecords);
  }
  for (std::thread& putter : putters) putter.join();
  EXPECT_TRUE(test::run(io, delivery->flush(std::chrono::steady_clock::now() + test::kPatience)).empty());
  EXPECT_EQ(delivery->undelivered_records(), 0u);

  for (int i = 0; i < kDeliveryStreams; ++i) {
    std::vector<bool> seen(2 * kRecords);
    std::size_t records = 0;
    for (const std::string& content : contents(*files, "data/s3/lake-" + std::to_string(i))) {
      EXPECT_LE(content.size(), 1u << 20);
      std::vector<int> last(2, -1);
      for (std::size_t at = 0; at < content.size(); at += 512) {
        const auto shard = static_cast<std::size_t>(content[at] - '0');
        const int number = std::stoi(content.substr(at + 2, 10));
        EXPECT_GT(number, last[shard]) << "order within a shard";
        last[shard] = number;
        const std::size_t index = shard * kRecords + static_cast<std::size_t>(number);
        EXPECT_FALSE(seen[index]);
        seen[index] = true;
        ++records;
      }
    }
    EXPECT_EQ(records, seen.size());
    EXPECT_EQ(delivery->find("F" + std::to_string(i))->records, seen.size());
  }
  ASSERT_TRUE(test::run(io, delivery->remove("F0")));
  test::run(io, delivery->clear());
  test::run(io, delivery->stop());
  cores.stop();
  cores.join();
}

}  // namespace
}  // namespace millrace::delivery
