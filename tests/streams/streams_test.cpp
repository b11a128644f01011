#include "millrace/streams/streams.hpp"

#include <gtest/gtest.h>

#include <boost/multiprecision/cpp_int.hpp>
#include <set>

#include "streams/world.hpp"
#include "support/run.hpp"

namespace millrace::streams {
namespace {

using namespace std::chrono_literals;
using boost::multiprecision::cpp_int;
using test::run;

cpp_int wide(Uint128 v) { return (cpp_int(v.high) << 64) + v.low; }

TEST(EqualRanges, PartitionAllHashesInStepsOfTheFloor) {
  for (const std::uint32_t n : {1u, 2u, 3u, 4u, 7u, 100u, 1'000u, 20'000u}) {
    const auto ranges = equal_ranges(n);
    ASSERT_EQ(ranges.size(), n);
    const cpp_int step = (cpp_int(1) << 128) / n;
    for (std::uint32_t i = 0; i < n; ++i) {
      ASSERT_EQ(wide(ranges[i].first), step * i) << n;
      ASSERT_EQ(wide(ranges[i].last), i + 1 == n ? (cpp_int(1) << 128) - 1 : step * (i + 1) - 1) << n;
    }
  }
}

struct Fixture : World {
  Fixture() : World(64u << 20) {}
  std::unique_ptr<Streams> open(Options options = {}) {
    return run(context, make_streams(clock, *random, *store, *engine, options));
  }
  static CreateStream spec(std::string name, std::uint32_t shards = 2) {
    CreateStream s;
    s.name = std::move(name);
    s.shard_count = shards;
    return s;
  }
};
using StreamsTest = Fixture;

TEST_F(StreamsTest, CreatedStreamIsFoundByNameAndIncarnation) {
  auto streams = open();
  auto made = run(context, streams->create(spec("orders", 3)));
  ASSERT_TRUE(made);
  const StreamRef stream = streams->find("orders");
  ASSERT_TRUE(stream);
  EXPECT_EQ(streams->find_incarnation(stream->incarnation), stream);
  EXPECT_EQ(stream->open_shards(), 3u);
  EXPECT_EQ(streams->open_shards(), 3u);
  EXPECT_EQ(stream->shards[2]->id, "shardId-000000000002");
  EXPECT_EQ(stream->status(clock.now()), Status::active);
  EXPECT_EQ(streams->find("order"), nullptr);
  auto again = run(context, streams->create(spec("orders")));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Errc::exists);
}

TEST_F(StreamsTest, RouteFindsTheShardWhoseRangeHoldsTheHash) {
  auto streams = open();
  const StreamRef stream = *run(context, streams->create(spec("orders", 7)));
  for (const auto& shard : stream->shards) {
    EXPECT_EQ(stream->route(shard->range.first).index, shard->index);
    EXPECT_EQ(stream->route(shard->range.last).index, shard->index);
  }
}

TEST_F(StreamsTest, ShardIdsAreReadAsLenientlyAsAwsDoes) {
  auto streams = open();
  const StreamRef stream = *run(context, streams->create(spec("orders", 3)));
  for (const char* id : {"shardId-000000000002", "shardId-2", "2", "x-2", "a-00002"}) {
    ASSERT_NE(stream->find_shard(id), nullptr) << id;
    EXPECT_EQ(stream->find_shard(id)->index, 2u);
  }
  for (const char* id : {"", "shardId-3", "shardId-", "shardId-2147483648", "shardId-2x", "shardId--2", "a-b-2"})
    EXPECT_EQ(stream->find_shard(id), nullptr) << id;
}

TEST_F(StreamsTest, TwoIncarnationsOfANameNeverShareACreationSecond) {
  auto streams = open();
  std::set<std::int64_t> seconds;
  std::set<std::uint64_t> incarnations;
  for (int i = 0; i < 5; ++i) {
    const StreamRef stream = *run(context, streams->create(spec("again")));
    EXPECT_TRUE(seconds.insert(stream->shards[0]->created_s).second);
    EXPECT_TRUE(incarnations.insert(stream->incarnation).second);
    ASSERT_TRUE(run(context, streams->remove("again")));
    EXPECT_EQ(streams->find("again"), nullptr);
  }
  EXPECT_EQ(streams->open_shards(), 0u);
}

TEST_F(StreamsTest, TombstonesOfDeletedNamesDoNotPileUp) {
  auto streams = open();
  for (int i = 0; i < 20; ++i) {
    const std::string name = "short-lived-" + std::to_string(i);
    ASSERT_TRUE(run(context, streams->create(spec(name, 1))));
    ASSERT_TRUE(run(context, streams->remove(name)));
    clock.advance(5s);
  }
  auto left = run(context, store->list("stream-seconds/"));
  ASSERT_TRUE(left);
  EXPECT_LT(left->size(), 5u);
}

TEST_F(StreamsTest, DelaysShowTheTransitionalStates) {
  Options options;
  options.create_delay = 3s;
  options.update_delay = 2s;
  options.delete_delay = 4s;
  auto streams = open(options);
  ASSERT_TRUE(run(context, streams->create(spec("slow"))));
  EXPECT_EQ(streams->find("slow")->status(clock.now()), Status::creating);
  clock.advance(3s);
  EXPECT_EQ(streams->find("slow")->status(clock.now()), Status::active);
  ASSERT_TRUE(run(context, streams->set_retention("slow", 48h, Streams::RetentionChange::increase)));
  EXPECT_EQ(streams->find("slow")->status(clock.now()), Status::updating);
  auto early = run(context, streams->set_retention("slow", 72h, Streams::RetentionChange::increase));
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code, Errc::not_active);
  EXPECT_EQ(early.error().detail, "UPDATING");
  clock.advance(2s);
  ASSERT_TRUE(run(context, streams->remove("slow")));
  EXPECT_EQ(streams->find("slow")->status(clock.now()), Status::deleting);
  context.restart();
  context.poll();
  clock.advance(4s);
  context.restart();
  context.poll();
  EXPECT_EQ(streams->find("slow"), nullptr);
}

TEST_F(StreamsTest, TagsAreKeptUpToFifty) {
  auto streams = open();
  ASSERT_TRUE(run(context, streams->create(spec("tagged"))));
  Tags tags;
  for (int i = 0; i < 50; ++i) tags["k" + std::to_string(i)] = "v";
  ASSERT_TRUE(run(context, streams->add_tags("tagged", tags)));
  Tags one_more{{"k50", "v"}};
  auto refused = run(context, streams->add_tags("tagged", one_more));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::too_many_tags);
  std::vector<std::string> keys{"k0", "unknown"};
  ASSERT_TRUE(run(context, streams->remove_tags("tagged", keys)));
  ASSERT_TRUE(run(context, streams->add_tags("tagged", one_more)));
  EXPECT_EQ(streams->find("tagged")->tags.size(), 50u);
}

TEST_F(StreamsTest, RetentionMovesOnlyInTheDirectionAsked) {
  auto streams = open();
  ASSERT_TRUE(run(context, streams->create(spec("kept"))));
  ASSERT_TRUE(run(context, streams->set_retention("kept", 48h, Streams::RetentionChange::increase)));
  EXPECT_EQ(run(context, streams->set_retention("kept", 24h, Streams::RetentionChange::increase)).error().code,
            Errc::retention_order);
  EXPECT_EQ(run(context, streams->set_retention("kept", 72h, Streams::RetentionChange::decrease)).error().code,
            Errc::retention_order);
  ASSERT_TRUE(run(context, streams->set_retention("kept", 24h, Streams::RetentionChange::decrease)));
  EXPECT_EQ(streams->find("kept")->retention, 24h);
}

TEST_F(StreamsTest, ShardsAreBoundedInAll) {
  Options options;
  options.shards_max = 10;
  auto streams = open(options);
  ASSERT_TRUE(run(context, streams->create(spec("a", 6))));
  EXPECT_EQ(run(context, streams->create(spec("b", 5))).error().code, Errc::shard_limit);
  ASSERT_TRUE(run(context, streams->create(spec("b", 4))));
  ASSERT_TRUE(run(context, streams->remove("a")));
  ASSERT_TRUE(run(context, streams->create(spec("c", 6))));
}

TEST_F(StreamsTest, ListGoesInOrderOfNameAfterAName) {
  auto streams = open();
  for (const char* name : {"b", "d", "a", "c"}) ASSERT_TRUE(run(context, streams->create(spec(name, 1))));
  auto page = streams->list("a", 2);
  ASSERT_EQ(page.size(), 2u);
  EXPECT_EQ(page[0]->name, "b");
  EXPECT_EQ(page[1]->name, "c");
}

TEST_F(StreamsTest, StoredStreamsComeBackWithTheirRecordsAndIterators) {
  auto first = open();
  const StreamRef before = *run(context, first->create(spec("kept", 2)));
  std::string token(IteratorCodec::kChars, ' ');
  IteratorFields fields;
  fields.incarnation = before->incarnation;
  fields.issued = clock.now();
  first->iterators().write(fields, token.data());
  log::BatchBuilder batch;
  batch.reset(log::batch_bytes_needed(1, 8));
  batch.begin_batch();
  batch.add("key", "data");
  ASSERT_TRUE(before->shards[1]->log->stage(before->shards[1]->log->epoch(), batch.batch()));
  first.reset();

  auto second = open();
  const StreamRef after = second->find("kept");
  ASSERT_TRUE(after);
  EXPECT_EQ(after->incarnation, before->incarnation);
  EXPECT_EQ(after->shards[1]->numbers.starting(), before->shards[1]->numbers.starting());
  EXPECT_EQ(after->shards[1]->log->progress().records_total, 1u);
  ASSERT_TRUE(second->iterators().read(token));
  std::string other(IteratorCodec::kChars, ' ');
  second->iterators().write(fields, other.data());
  EXPECT_NE(other, token);
}

TEST_F(StreamsTest, IteratorsTellWhatTheySayAndNothingElseIsAccepted) {
  auto streams = open();
  const IteratorCodec& iterators = streams->iterators();
  IteratorFields fields;
  fields.account = 123456789012;
  fields.incarnation = 77;
  fields.shard_index = 19'999;
  fields.next = log::Position{(std::uint64_t{3} << 32) + 5};
  fields.issued = clock.now();
  std::string token(IteratorCodec::kChars, ' ');
  iterators.write(fields, token.data());
  for (const std::string& text : {token, "\"" + token + "\""}) {
    auto read = iterators.read(text);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->account, fields.account);
    EXPECT_EQ(read->incarnation, fields.incarnation);
    EXPECT_EQ(read->shard_index, fields.shard_index);
    EXPECT_EQ(read->next, fields.next);
    EXPECT_EQ(read->issued, fields.issued);
  }
  std::string again(IteratorCodec::kChars, ' ');
  iterators.write(fields, again.data());
  EXPECT_NE(again, token);
  for (std::size_t i = 0; i < token.size(); ++i) {
    std::string forged = token;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(iterators.read(forged)) << i;
  }
  EXPECT_FALSE(iterators.read(""));
  EXPECT_FALSE(iterators.read(token.substr(4)));
}

}  // namespace
}  // namespace millrace::streams
