#include "services/kinesis_world.hpp"
#include "services/odd_streams.hpp"

namespace millrace::test {
namespace {

const std::string kFirst = "shardId-000000000000";
std::string at(const Json& records, std::size_t index) {
  return *codec::base64::decode(records[index]["Data"].get<std::string>());
}

class Reading : public ::testing::Test {
 protected:
  Reading() { world_.create("s"); }
  Json page(const std::string& iterator, int limit = 10'000) {
    return world_.ok("GetRecords", {{"ShardIterator", iterator}, {"Limit", limit}});
  }
  std::string iterator_at(const std::string& type, const std::string& number) {
    return world_.ok("GetShardIterator", {{"StreamName", "s"},
                                          {"ShardId", kFirst},
                                          {"ShardIteratorType", type},
                                          {"StartingSequenceNumber", number}})["ShardIterator"];
  }
  std::string iterator_at(TimePoint time) {
    return world_.ok("GetShardIterator",
                     {{"StreamName", "s"},
                      {"ShardId", kFirst},
                      {"ShardIteratorType", "AT_TIMESTAMP"},
                      {"Timestamp", static_cast<double>(time.time_since_epoch().count()) / 1000.0}})["ShardIterator"];
  }
  std::string put(const std::string& data) { return world_.put("s", "k", data)["SequenceNumber"]; }

  KinesisWorld world_;
};

TEST_F(Reading, IteratorTypesStandWhereAwsPutsThem) {
  const std::string a = put("a"), b = put("b"), c = put("c");
  EXPECT_EQ(at(page(world_.iterator("s"))["Records"], 0), "a");
  EXPECT_EQ(at(page(iterator_at("AT_SEQUENCE_NUMBER", b))["Records"], 0), "b");
  EXPECT_EQ(at(page(iterator_at("AFTER_SEQUENCE_NUMBER", b))["Records"], 0), "c");
  EXPECT_TRUE(page(iterator_at("AFTER_SEQUENCE_NUMBER", c))["Records"].empty());
  const std::string latest = world_.iterator("s", kFirst, "LATEST");
  EXPECT_TRUE(page(latest)["Records"].empty());
  put("d");
  EXPECT_EQ(at(page(latest)["Records"], 0), "d");
  EXPECT_EQ(at(page(iterator_at("AFTER_SEQUENCE_NUMBER", c))["Records"], 0), "d");
}

TEST_F(Reading, AShardsOwnStartingAndEndingNumbersAreAccepted) {
  put("a");
  const streams::Shard& shard = *world_.streams->find("s")->shards[0];
  for (const char* type : {"AT_SEQUENCE_NUMBER", "AFTER_SEQUENCE_NUMBER"}) {
    EXPECT_EQ(at(page(iterator_at(type, shard.numbers.starting()))["Records"], 0), "a") << type;
    const std::int64_t now_s = world_.clock.now().time_since_epoch().count() / 1000;
    EXPECT_TRUE(page(iterator_at(type, shard.numbers.ending(now_s)))["Records"].empty()) << type;
  }
}

TEST_F(Reading, NumbersNotYetGivenStandAtTheTip) {
  put("a");
  const streams::Shard& shard = *world_.streams->find("s")->shards[0];
  const std::string far = shard.numbers.text(log::Position{1'000}, world_.clock.now().time_since_epoch().count());
  const std::string iterator = iterator_at("AT_SEQUENCE_NUMBER", far);
  put("b");
  EXPECT_EQ(at(page(iterator)["Records"], 0), "b");
}

TEST_F(Reading, TrimmedNumbersAndTimesReadFromTheHorizon) {
  const std::string old = put("old");
  const TimePoint then = world_.clock.now();
  world_.clock.advance(std::chrono::hours(23));
  put("new");
  world_.clock.advance(std::chrono::hours(2));
  for (const std::string& iterator : {iterator_at("AT_SEQUENCE_NUMBER", old), iterator_at("AFTER_SEQUENCE_NUMBER", old),
                                      iterator_at(then), world_.iterator("s")}) {
    const Json records = page(iterator)["Records"];
    ASSERT_EQ(records.size(), 1u);
    EXPECT_EQ(at(records, 0), "new");
  }
}

TEST_F(Reading, TimestampsFindTheFirstRecordAtOrAfter) {
  put("a");
  world_.clock.advance(std::chrono::milliseconds(10));
  const TimePoint second = world_.clock.now();
  put("b");
  world_.clock.advance(std::chrono::milliseconds(10));
  put("c");
  EXPECT_EQ(at(page(iterator_at(second))["Records"], 0), "b");
  EXPECT_EQ(at(page(iterator_at(second + std::chrono::milliseconds(1)))["Records"], 0), "c");
  EXPECT_EQ(at(page(iterator_at(second - std::chrono::hours(1)))["Records"], 0), "a");
}

TEST_F(Reading, NextIteratorsGoOnAndNeverRepeat) {
  for (int i = 0; i < 5; ++i) put(std::to_string(i));
  std::string iterator = world_.iterator("s");
  for (int i = 0; i < 5; i += 2) {
    const Json got = page(iterator, 2);
    EXPECT_EQ(at(got["Records"], 0), std::to_string(i));
    iterator = got["NextShardIterator"];
  }
  const std::string first = page(iterator)["NextShardIterator"], second = page(iterator)["NextShardIterator"];
  EXPECT_NE(first, second);
  EXPECT_EQ(page("\"" + first + "\"")["Records"].size(), 0u);
  EXPECT_EQ(first.substr(0, 11), "AAAAAAAAAAE");
}

TEST_F(Reading, MillisBehindLatestIsZeroOnlyWhenCaughtUp) {
  put("a");
  put("b");
  world_.clock.advance(std::chrono::milliseconds(250));
  put("c");
  std::string iterator = world_.iterator("s");
  Json got = page(iterator, 1);
  EXPECT_EQ(got["MillisBehindLatest"], 250);
  got = page(got["NextShardIterator"], 2);
  EXPECT_EQ(got["MillisBehindLatest"], 0);
  // Behind by records of the same millisecond is behind.
  put("d");
  put("e");
  got = page(got["NextShardIterator"], 1);
  EXPECT_EQ(got["MillisBehindLatest"], 1);
  EXPECT_EQ(page(got["NextShardIterator"])["MillisBehindLatest"], 0);
}

TEST_F(Reading, IteratorsOfOtherAccountsAreInvalid) {
  services::Environment other{world_.clock, *world_.random, world_.budget, *world_.streams};
  other.account_id = "000000000001";
  const std::string iterator = world_.iterator("s");
  EXPECT_EQ(world_.call_in(other, "GetRecords", Json{{"ShardIterator", iterator}}.dump()).message(),
            "Invalid ShardIterator.");
}

TEST_F(Reading, IteratorsLiveThreeHundredSecondsExactly) {
  const std::string iterator = world_.iterator("s");
  world_.clock.advance(std::chrono::milliseconds(300'000));
  EXPECT_EQ(world_.call("GetRecords", Json{{"ShardIterator", iterator}}).status, 200);
  world_.clock.advance(std::chrono::milliseconds(1));
  EXPECT_EQ(world_.call("GetRecords", Json{{"ShardIterator", iterator}}).type(), "ExpiredIteratorException");
}

TEST_F(Reading, LargeRepliesComeInPiecesOfTheAnnouncedSize) {
  std::vector<std::string> sent;
  for (int round = 0; round < 2; ++round) {
    Json records = Json::array();
    for (int i = 0; i < 500; ++i) {
      std::string data(static_cast<std::size_t>(100 + i), static_cast<char>(i));
      records.push_back({{"PartitionKey", "k\"\xc3\xa9" + std::to_string(i)}, {"Data", codec::base64::encode(data)}});
      sent.push_back(std::move(data));
    }
    world_.ok("PutRecords", {{"StreamName", "s"}, {"Records", records}});
    world_.clock.advance(std::chrono::milliseconds(333));
  }
  const Answer answer = world_.call("GetRecords", Json{{"ShardIterator", world_.iterator("s")}});
  ASSERT_EQ(answer.status, 200);
  EXPECT_TRUE(answer.in_pieces);
  EXPECT_LE(answer.largest_piece, 260u * 1024);
  const Json got = answer.json()["Records"];
  ASSERT_EQ(got.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) {
    ASSERT_EQ(at(got, i), sent[i]);
    ASSERT_EQ(got[i]["PartitionKey"], "k\"\xc3\xa9" + std::to_string(i % 500));
    ASSERT_LT(got[i ? i - 1 : 0]["SequenceNumber"].get<std::string>(),
              got[i]["SequenceNumber"].get<std::string>() + (i ? "" : "+"));
  }
}

TEST_F(Reading, LargeRecordsComeInPartsThatFitTogether) {
  std::vector<std::string> sent;
  for (const std::size_t size : {1'000'000u, 0u, 196'607u, 196'608u, 196'609u, 393'216u, 393'217u, 1u}) {
    std::string data(size, 'x');
    for (std::size_t i = 0; i < size; ++i) data[i] = static_cast<char>(i * 7 + i / 251);
    world_.put("s", "k", data);
    sent.push_back(std::move(data));
  }
  const Answer answer = world_.call("GetRecords", Json{{"ShardIterator", world_.iterator("s")}});
  ASSERT_EQ(answer.status, 200);
  EXPECT_LE(answer.largest_piece, 512u * 1024);
  const Json got = answer.json()["Records"];
  ASSERT_EQ(got.size(), sent.size());
  for (std::size_t i = 0; i < sent.size(); ++i) ASSERT_TRUE(at(got, i) == sent[i]) << i;
}

TEST_F(Reading, APieceOutlivesTheStream) {
  Json records = Json::array();
  for (int i = 0; i < 500; ++i)
    records.push_back({{"PartitionKey", "k"}, {"Data", codec::base64::encode(std::string(1'000, 'x'))}});
  world_.ok("PutRecords", {{"StreamName", "s"}, {"Records", records}});
  services::Context context{world_.environment, "id"};
  services::Reply reply;
  const std::string body = Json{{"ShardIterator", world_.iterator("s")}}.dump();
  run(world_.io, KinesisWorld::find("GetRecords").run(context, body, reply));
  ASSERT_TRUE(reply.pieces);
  world_.ok("DeleteStream", {{"StreamName", "s"}});
  EXPECT_EQ(KinesisWorld::answer(reply).json()["Records"].size(), 500u);
}

TEST_F(Reading, APageHasAtMostTenMebibytesAndTenThousandRecords) {
  // As text: a JSON tree of such pages is slow without optimisation.
  auto fill = [&](const std::string& stream, const std::string& data, int count, int times) {
    std::string text = R"({"StreamName":")" + stream + R"(","Records":[)";
    for (int i = 0; i < count; ++i)
      text += (i ? R"(,{"PartitionKey":"k","Data":")" : R"({"PartitionKey":"k","Data":")") +
              codec::base64::encode(data) + "\"}";
    text += "]}";
    for (int i = 0; i < times; ++i) ASSERT_EQ(world_.call_text("PutRecords", text).status, 200);
  };
  auto records_in_page = [&](const std::string& stream) {
    const std::string body = world_.call("GetRecords", Json{{"ShardIterator", world_.iterator(stream)}}).body;
    std::size_t count = 0;
    for (std::size_t at = body.find("\"PartitionKey\""); at != body.npos; at = body.find("\"PartitionKey\"", at + 1))
      ++count;
    return count;
  };
  fill("s", std::string(1'000'000, 'x'), 5, 3);
  EXPECT_EQ(records_in_page("s"), 10u);
  world_.create("small");
  fill("small", "", 500, 21);
  EXPECT_EQ(records_in_page("small"), 10'000u);
}

// A stream as a reshard leaves it: shard 0 split into 1 and 2, then 1 and 2 merged into 3.
class AfterReshard : public ::testing::Test {
 protected:
  AfterReshard() {
    world_.create("s");
    const streams::StreamRef made = world_.streams->find("s");
    auto stream = std::make_shared<streams::Stream>(*made);
    const std::int64_t created_s = made->shards[0]->created_s;
    auto shard = [&](std::uint32_t index, std::int64_t after_s, std::optional<std::int64_t> ended_after_s) {
      auto next = std::make_shared<streams::Shard>(*made->shards[0]);
      next->index = index;
      next->id = "shardId-00000000000" + std::to_string(index);
      next->created_s = created_s + after_s;
      next->numbers = streams::SequenceNumbers(index, next->created_s);
      if (ended_after_s) next->ended_s = created_s + *ended_after_s;
      return next;
    };
    auto zero = shard(0, 0, 100), one = shard(1, 101, 200), two = shard(2, 101, 200),
         three = shard(3, 201, std::nullopt);
    one->parent = two->parent = 0;
    three->parent = 1;
    three->adjacent_parent = 2;
    world_.put("s", "k", "last");
    run(world_.io, zero->log->end(zero->log->epoch()));
    stream->shards = {zero, one, two, three};
    stream->index_routing();
    stream_ = stream;
    odd_.found_by_name = [this](std::string_view) { return stream_; };
    odd_.found_by_incarnation = [this](std::uint64_t) { return stream_; };
    start_ = world_.clock.now();
    world_.clock.advance(std::chrono::seconds(300));
  }
  std::string listed(Json filter) {
    Json request{{"StreamName", "s"}};
    if (!filter.is_null()) request["ShardFilter"] = std::move(filter);
    const Answer answer = world_.call_in(environment_, "ListShards", request.dump());
    EXPECT_EQ(answer.status, 200) << answer.body;
    std::string out;
    const Json reply = answer.json();
    for (const Json& shard : reply["Shards"]) out += shard["ShardId"].get<std::string>().back();
    return out;
  }
  Json at_time(const char* type, int after_s) {
    return {{"Type", type}, {"Timestamp", static_cast<double>(start_.time_since_epoch().count()) / 1000 + after_s}};
  }

  KinesisWorld world_;
  OddStreams odd_{*world_.streams};
  services::Environment environment_{world_.clock, *world_.random, world_.budget, odd_};
  streams::StreamRef stream_;
  TimePoint start_;
};

TEST_F(AfterReshard, FiltersChooseShards) {
  EXPECT_EQ(listed(nullptr), "0123");
  EXPECT_EQ(listed({{"Type", "FROM_TRIM_HORIZON"}}), "0123");
  EXPECT_EQ(listed({{"Type", "AT_TRIM_HORIZON"}}), "0");
  EXPECT_EQ(listed({{"Type", "AT_LATEST"}}), "3");
  EXPECT_EQ(listed({{"Type", "AFTER_SHARD_ID"}, {"ShardId", "shardId-000000000001"}}), "23");
  EXPECT_EQ(listed(at_time("AT_TIMESTAMP", 50)), "0");
  EXPECT_EQ(listed(at_time("AT_TIMESTAMP", 150)), "12");
  EXPECT_EQ(listed(at_time("AT_TIMESTAMP", 250)), "3");
  EXPECT_EQ(listed(at_time("AT_TIMESTAMP", -5000)), "0");
  EXPECT_EQ(listed(at_time("FROM_TIMESTAMP", 50)), "0123");
  EXPECT_EQ(listed(at_time("FROM_TIMESTAMP", 150)), "123");
  EXPECT_EQ(listed(at_time("FROM_TIMESTAMP", 250)), "3");
}

TEST_F(AfterReshard, ExpiredShardsAreNotListed) {
  world_.clock.advance(std::chrono::hours(24) - std::chrono::seconds(150));
  EXPECT_EQ(listed(nullptr), "123");
  EXPECT_EQ(listed({{"Type", "AT_TRIM_HORIZON"}}), "12");
  world_.clock.advance(std::chrono::hours(1));
  EXPECT_EQ(listed(nullptr), "3");
}

TEST_F(AfterReshard, PagesKeepTheirFilter) {
  Answer answer = world_.call_in(
      environment_, "ListShards",
      Json{{"StreamName", "s"}, {"MaxResults", 1}, {"ShardFilter", at_time("FROM_TIMESTAMP", 150)}}.dump());
  std::string out;
  for (int pages = 0; pages < 5; ++pages) {
    const Json reply = answer.json();
    ASSERT_EQ(reply["Shards"].size(), 1u);
    out += reply["Shards"][0]["ShardId"].get<std::string>().back();
    if (!reply.contains("NextToken")) break;
    answer =
        world_.call_in(environment_, "ListShards", Json{{"NextToken", reply["NextToken"]}, {"MaxResults", 1}}.dump());
  }
  EXPECT_EQ(out, "123");
}

TEST_F(AfterReshard, ClosedShardsShowTheirEndAndTheirParents) {
  const Json reply = world_.call_in(environment_, "ListShards", Json{{"StreamName", "s"}}.dump()).json();
  EXPECT_TRUE(reply["Shards"][0]["SequenceNumberRange"].contains("EndingSequenceNumber"));
  EXPECT_FALSE(reply["Shards"][0].contains("ParentShardId"));
  EXPECT_EQ(reply["Shards"][1]["ParentShardId"], "shardId-000000000000");
  EXPECT_EQ(reply["Shards"][3]["ParentShardId"], "shardId-000000000001");
  EXPECT_EQ(reply["Shards"][3]["AdjacentParentShardId"], "shardId-000000000002");
  EXPECT_FALSE(reply["Shards"][3]["SequenceNumberRange"].contains("EndingSequenceNumber"));
}

TEST_F(AfterReshard, TheEndOfAShardNamesItsChildrenAndHasNoNextIterator) {
  const Answer iterator =
      world_.call_in(environment_, "GetShardIterator",
                     Json{{"StreamName", "s"}, {"ShardId", kFirst}, {"ShardIteratorType", "TRIM_HORIZON"}}.dump());
  const Json got =
      world_.call_in(environment_, "GetRecords", Json{{"ShardIterator", iterator.json()["ShardIterator"]}}.dump())
          .json();
  EXPECT_EQ(got["Records"].size(), 1u);
  EXPECT_FALSE(got.contains("NextShardIterator"));
  ASSERT_EQ(got["ChildShards"].size(), 2u);
  EXPECT_EQ(got["ChildShards"][0]["ShardId"], "shardId-000000000001");
  EXPECT_EQ(got["ChildShards"][0]["ParentShards"], Json::array({"shardId-000000000000"}));
  EXPECT_TRUE(got["ChildShards"][0]["HashKeyRange"].contains("StartingHashKey"));
}

TEST(ListStreams, PagesCoverAllStreamsInOrder) {
  KinesisWorld world;
  std::vector<std::string> names;
  for (int i = 0; i < 23; ++i) names.push_back("stream-" + std::to_string(i));
  for (const std::string& name : names) world.create(name);
  std::sort(names.begin(), names.end());
  std::vector<std::string> seen;
  Json request{{"Limit", 10}};
  for (int pages = 0; pages < 4; ++pages) {
    const Json reply = world.ok("ListStreams", request);
    for (const Json& name : reply["StreamNames"]) seen.push_back(name);
    EXPECT_EQ(reply["HasMoreStreams"], reply.contains("NextToken"));
    if (!reply.contains("NextToken")) break;
    request = {{"NextToken", reply["NextToken"]}, {"Limit", 10}};
  }
  EXPECT_EQ(seen, names);
}

TEST(Pages, AreCapped) {
  KinesisWorld world;
  world.create("s", 1500);
  const Json described = world.ok("DescribeStream", {{"StreamName", "s"}, {"Limit", 10'000}});
  EXPECT_EQ(described["StreamDescription"]["Shards"].size(), 100u);
  EXPECT_EQ(described["StreamDescription"]["HasMoreShards"], true);
  const Json listed = world.ok("ListShards", {{"StreamName", "s"}, {"MaxResults", 10'000}});
  EXPECT_EQ(listed["Shards"].size(), 1000u);
  EXPECT_EQ(world.ok("ListShards", {{"NextToken", listed["NextToken"]}})["Shards"].size(), 500u);
}

TEST(Pages, ATokenThatIsNotUtf8IsRefusedInUtf8) {
  KinesisWorld world;
  const std::string now = std::to_string(world.clock.now().time_since_epoch().count());
  const std::string token = codec::base64::encode("1 " + now + " ListShards \xfe 1 AT_LATEST 0\n0");
  const Answer answer = world.call("ListShards", {{"NextToken", token}});
  EXPECT_EQ(answer.type(), "InvalidArgumentException");
  EXPECT_EQ(answer.message(), "Invalid NextToken.");
}

TEST(Retention, IncreasesAndDecreasesAreSeenAtOnce) {
  KinesisWorld world;
  world.create("s");
  auto hours = [&] {
    return world.ok("DescribeStreamSummary", {{"StreamName", "s"}})["StreamDescriptionSummary"]["RetentionPeriodHours"]
        .get<int>();
  };
  world.ok("IncreaseStreamRetentionPeriod", {{"StreamName", "s"}, {"RetentionPeriodHours", 8760}});
  EXPECT_EQ(hours(), 8760);
  world.put("s", "k", "old");
  world.clock.advance(std::chrono::hours(30));
  EXPECT_EQ(world.records("s").size(), 1u);
  world.ok("DecreaseStreamRetentionPeriod", {{"StreamName", "s"}, {"RetentionPeriodHours", 24}});
  EXPECT_EQ(hours(), 24);
  EXPECT_TRUE(world.records("s").empty());
  world.ok("IncreaseStreamRetentionPeriod", {{"StreamName", "s"}, {"RetentionPeriodHours", 48}});
  EXPECT_TRUE(world.records("s").empty());
}

}  // namespace
}  // namespace millrace::test
