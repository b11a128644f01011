#include <gtest/gtest.h>

#include <string>

#include "millrace/log/record.hpp"

namespace millrace::log {
namespace {

std::vector<std::pair<std::string, std::string>> records_of(const BatchView& batch) {
  std::vector<std::pair<std::string, std::string>> out;
  const char* at = batch.bytes;
  for (const std::uint32_t end : batch.ends) {
    RecordView record;
    at = read_record(at, record);
    EXPECT_EQ(at, batch.bytes + end);
    out.emplace_back(record.key, record.data);
  }
  return out;
}
using Pairs = std::vector<std::pair<std::string, std::string>>;

TEST(BatchBuilder, RecordsLieAsInAChunk) {
  BatchBuilder builder;
  builder.reset(batch_bytes_needed(3, 100));
  builder.begin_batch();
  builder.add("key", "data");
  builder.add("", "");
  char* at = builder.begin_record("k2", 40);
  std::memset(at, 'x', 40 + kBatchSlack);
  builder.finish_record(3);
  EXPECT_EQ(builder.batch_records(), 3u);
  EXPECT_EQ(builder.batch_bytes(), 3 * 16u + 7 + 0 + 5);
  EXPECT_EQ(builder.batch().size(), builder.batch_bytes());
  EXPECT_EQ(records_of(builder.batch()), (Pairs{{"key", "data"}, {"", ""}, {"k2", "xxx"}}));
}

TEST(BatchBuilder, EarlierBatchesStayWhileOneBuildsTheNext) {
  BatchBuilder builder;
  builder.reset(batch_bytes_needed(4, 100));
  builder.begin_batch();
  builder.add("a", "1");
  const BatchView first = builder.batch();
  builder.begin_batch();
  EXPECT_EQ(builder.batch_records(), 0u);
  builder.add("b", "22");
  builder.add("c", "3");
  EXPECT_EQ(records_of(builder.batch()), (Pairs{{"b", "22"}, {"c", "3"}}));
  EXPECT_EQ(first.size(), 18u);
  EXPECT_EQ(std::string(first.bytes + 16, 2), "a1");
}

TEST(BatchBuilder, RightResetMeansNoMovedMemory) {
  BatchBuilder builder;
  const std::string data(1000, 'd');
  builder.reset(batch_bytes_needed(50, 50 * 1003));
  builder.begin_batch();
  builder.add("key", data);
  const char* const at = builder.batch().bytes;
  for (int i = 1; i < 50; ++i) builder.add("key", data);
  EXPECT_EQ(builder.batch().bytes, at);
  EXPECT_EQ(builder.batch_records(), 50u);
}

TEST(BatchBuilder, GrowsWhenResetWasTooSmall) {
  BatchBuilder builder;
  builder.begin_batch();
  Pairs expected;
  for (int i = 0; i < 300; ++i) {
    expected.emplace_back("key" + std::to_string(i), std::string(i, 'd'));
    builder.add(expected.back().first, expected.back().second);
  }
  EXPECT_EQ(records_of(builder.batch()), expected);
}

TEST(BatchBuilder, KeepsMemoryUpToABoundOnly) {
  BatchBuilder builder;
  builder.reset(1 << 20);
  builder.reset(100);
  EXPECT_EQ(builder.capacity(), 1u << 20) << "kept for the next use";
  builder.reset(BatchBuilder::kKeptBytesMax + 1);
  EXPECT_EQ(builder.capacity(), BatchBuilder::kKeptBytesMax + 1);
  builder.reset(1000);
  EXPECT_EQ(builder.capacity(), 1000u) << "given back";
}

}  // namespace
}  // namespace millrace::log
