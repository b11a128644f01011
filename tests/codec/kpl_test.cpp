#include "millrace/codec/kpl.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/kpl.hpp"

namespace millrace::codec::kpl {
namespace {

using namespace test::kpl;

// Made by protobuf's own library from the published schema: keys "a", "bb"; hash keys "0",
// "170141183460469231731687303715884105728"; records (0, none, "first"), (1, 1, "" with tag t=v), (0, 0, ff 00 0a).
constexpr std::string_view kFromProtobuf(
    "\x0a\x01\x61\x0a\x02\x62\x62\x12\x01\x30\x12\x27"
    "170141183460469231731687303715884105728"
    "\x1a\x09\x08\x00\x1a\x05"
    "first"
    "\x1a\x0e\x08\x01\x10\x01\x1a\x00\x22\x06\x0a\x01t\x12\x01v"
    "\x1a\x09\x08\x00\x10\x00\x1a\x03\xff\x00\x0a",
    12 + 39 + 6 + 5 + 16 + 11);

std::vector<std::string> data_of(std::string_view bytes) {
  std::vector<std::string> all;
  auto aggregate = Aggregate::open(bytes);
  if (!aggregate) return {"plain"};
  for (UserRecord record; aggregate->next(record);) all.emplace_back(record.data);
  EXPECT_EQ(all.size(), aggregate->size());
  return all;
}

using All = std::vector<std::string>;

TEST(Kpl, ReadsUserRecordsWithTheirKeys) {
  const std::string bytes = framed(kFromProtobuf);
  auto aggregate = Aggregate::open(bytes);
  ASSERT_TRUE(aggregate);
  EXPECT_EQ(aggregate->size(), 3u);
  EXPECT_EQ(aggregate->partition_keys(), (std::vector<std::string_view>{"a", "bb"}));
  EXPECT_EQ(aggregate->explicit_hash_keys(),
            (std::vector<std::string_view>{"0", "170141183460469231731687303715884105728"}));
  UserRecord record;
  ASSERT_TRUE(aggregate->next(record));
  EXPECT_EQ(record.partition_key, 0u);
  EXPECT_EQ(record.explicit_hash_key, std::nullopt);
  EXPECT_EQ(record.data, "first");
  ASSERT_TRUE(aggregate->next(record));
  EXPECT_EQ(record.partition_key, 1u);
  EXPECT_EQ(record.explicit_hash_key, 1u);
  EXPECT_EQ(record.data, "");
  ASSERT_TRUE(aggregate->next(record));
  EXPECT_EQ(record.explicit_hash_key, 0u);
  EXPECT_EQ(record.data, std::string_view("\xff\x00\x0a", 3));
  EXPECT_FALSE(aggregate->next(record));
}

TEST(Kpl, TakesWhatTheFormatAllows) {
  const std::string key = bytes_field(1, "k");
  EXPECT_EQ(data_of(framed("")), All{}) << "none at all";
  EXPECT_EQ(data_of(framed(record(0, "x") + key)), All{"x"}) << "the table behind";
  EXPECT_EQ(data_of(framed(key + bytes_field(9, "?") + varint(10 << 3 | 5) + "1234" + varint(11 << 3 | 1) + "12345678" +
                           number_field(12, UINT64_MAX) + record(0, "x"))),
            All{"x"})
      << "fields that came later";
  EXPECT_EQ(data_of(framed(key + bytes_field(3, number_field(1, 7) + number_field(1, 0) + bytes_field(3, "no") +
                                                    bytes_field(3, "yes")))),
            All{"yes"})
      << "the last one counts";
}

TEST(Kpl, LeavesARecordPlainThatIsNone) {
  const std::string good = aggregated({"one", "two"});
  ASSERT_EQ(data_of(good), (All{"one", "two"}));
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_EQ(data_of(good.substr(0, size)), All{"plain"}) << size;
  for (std::size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    EXPECT_EQ(data_of(changed), All{"plain"}) << at;
  }
  const std::string key = bytes_field(1, "k");
  const std::vector<std::pair<std::string, std::string>> messages{
      {"no such key", key + record(1, "x")},
      {"no such hash key", key + record(0, "x", 0)},
      {"an index beyond all", key + record(UINT64_MAX, "x")},
      {"a hash key's index beyond all", key + record(0, "x", UINT64_MAX)},
      {"no key named", key + bytes_field(3, bytes_field(3, "x"))},
      {"no data", key + bytes_field(3, number_field(1, 0))},
      {"a tag without its key", key + bytes_field(3, number_field(1, 0) + bytes_field(3, "x") + bytes_field(4, ""))},
      {"a field number of nothing", key + number_field(0, 1)},
      {"a group", key + varint(5 << 3 | 3) + varint(5 << 3 | 4)},
      {"longer than there is", key + varint(3 << 3 | 2) + varint(100) + "x"},
      {"a number without an end", key + std::string(11, '\xff')},
  };
  for (const auto& [what, message] : messages) EXPECT_EQ(data_of(framed(message)), All{"plain"}) << what;
}

TEST(Kpl, LeavesARecordPlainWhoseMessageEndsTooSoon) {
  for (std::size_t size = 1; size < kFromProtobuf.size(); ++size) {
    const auto aggregate = Aggregate::open(framed(kFromProtobuf.substr(0, size)));
    if (aggregate) {
      EXPECT_LT(aggregate->size(), 3u) << size;
    }
  }
}

}  // namespace
}  // namespace millrace::codec::kpl
