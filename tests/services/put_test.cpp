#include <random>

#include "services/kinesis_world.hpp"
#include "services/odd_streams.hpp"
#include "support/test_engine.hpp"

namespace millrace::test {
namespace {

std::string base64(std::string_view bytes) { return codec::base64::encode(bytes); }
Json entry(const std::string& key, std::string_view data) { return {{"PartitionKey", key}, {"Data", base64(data)}}; }
Json request(const std::string& stream, Json records) {
  return {{"StreamName", stream}, {"Records", std::move(records)}};
}
// Large requests and replies are put together and looked at as text: a JSON tree is slow without optimisation.
std::string large_request(const std::string& data, int count, const std::string& key = "k") {
  const std::string one = R"({"PartitionKey":")" + key + R"(","Data":")" + base64(data) + R"("})";
  std::string text = R"({"StreamName":"s","Records":[)";
  for (int i = 0; i < count; ++i) (text += i ? "," : "") += one;
  return text + "]}";
}
std::size_t occurrences(const std::string& text, std::string_view what) {
  std::size_t count = 0;
  for (std::size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
  return count;
}
std::string shard_name(int index) {
  std::string digits = std::to_string(index);
  return "shardId-" + std::string(12 - digits.size(), '0') + digits;
}
// Every member of a request that names it makes the table-driven decoder read the whole: the value has an escape.
std::string made_unusual(std::string text) {
  if (const auto brace = text.find('{'); brace != std::string::npos && text.find_first_not_of(" \t\r\n") == brace)
    text.insert(brace + 1, text.find_first_not_of(" \t\r\n", brace + 1) == text.find('}') ? R"("StreamId":"\u0061")"
                                                                                          : R"("StreamId":"\u0061",)");
  return text;
}

TEST(PutRecords, FiveHundredOverManyShardsComeBackInOrderWithinEachShard) {
  KinesisWorld world;
  world.create("s", 7);
  std::map<std::string, std::vector<std::string>> sent;  // shard -> numbers in request order
  for (int round = 0; round < 3; ++round) {
    Json records = Json::array();
    for (int i = 0; i < 500; ++i)
      records.push_back(entry("key-" + std::to_string(i * 37 % 91), std::to_string(round * 500 + i)));
    const Json reply = world.ok("PutRecords", request("s", records));
    EXPECT_EQ(reply["FailedRecordCount"], 0);
    ASSERT_EQ(reply["Records"].size(), 500u);
    for (const Json& one : reply["Records"]) sent[one["ShardId"]].push_back(one["SequenceNumber"]);
    world.clock.advance(std::chrono::milliseconds(700));
  }
  std::size_t total = 0;
  for (int shard = 0; shard < 7; ++shard) {
    const Json records = world.records("s", shard_name(shard));
    std::vector<std::string> numbers;
    int last = -1;
    for (const Json& record : records) {
      numbers.push_back(record["SequenceNumber"]);
      const int data = std::stoi(*codec::base64::decode(record["Data"].get<std::string>()));
      EXPECT_GT(data, last);
      last = data;
    }
    EXPECT_EQ(numbers, sent[shard_name(shard)]);
    EXPECT_TRUE(std::is_sorted(numbers.begin(), numbers.end()));
    total += numbers.size();
  }
  EXPECT_EQ(total, 1500u);
}

TEST(PutRecords, AnyBytesAndKeysSurviveTheRoundTrip) {
  KinesisWorld world;
  world.create("s");
  std::string all_bytes;
  for (int i = 0; i < 256; ++i) all_bytes += static_cast<char>(i);
  const std::vector<std::pair<std::string, std::string>> pairs = {{"plain", "text"},
                                                                  {"\xe4\xb8\xad\xe6\x96\x87", all_bytes},
                                                                  {"\xf0\x9f\x98\x80", std::string(1, '\0')},
                                                                  {"q\"b\\s/", "\xff\xfb"},
                                                                  {"ctl\x01\n\t\x7f", ""},
                                                                  {std::string(256, 'k'), std::string(1000, 'd')}};
  Json records = Json::array();
  for (const auto& [key, data] : pairs) records.push_back(entry(key, data));
  world.ok("PutRecords", request("s", records));
  for (const auto& [key, data] : pairs) world.put("s", key, data);
  const Json got = world.records("s");
  ASSERT_EQ(got.size(), 2 * pairs.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    EXPECT_EQ(got[i]["PartitionKey"], pairs[i % pairs.size()].first);
    EXPECT_EQ(got[i]["Data"], base64(pairs[i % pairs.size()].second));
  }
}

TEST(PutRecords, EscapesAreUndoneWhereverTheyStand) {
  KinesisWorld world;
  world.create("s");
  const Answer answer = world.call_text("PutRecords", R"({"\u0053treamName":"\u0073","Records":[
      {"D\u0061ta":"\/\/8=","PartitionKey":"caf\u00e9 \ud83d\ude00"},{"PartitionKey":"plain","Data":"MQ=="}],"Extra":[{"a":[1]}]})");
  ASSERT_EQ(answer.status, 200) << answer.body;
  const Json got = world.records("s");
  ASSERT_EQ(got.size(), 2u);
  EXPECT_EQ(got[0]["PartitionKey"], "caf\xc3\xa9 \xf0\x9f\x98\x80");
  EXPECT_EQ(got[0]["Data"], "//8=");
}

TEST(PutRecords, ExplicitHashKeysChooseTheShard) {
  KinesisWorld world;
  world.create("s", 4);
  const std::vector<std::string> hashes = {
      "0", "85070591730234615865843651857942052863", "85070591730234615865843651857942052864",
      "170141183460469231731687303715884105728", "340282366920938463463374607431768211455"};
  Json records = Json::array();
  for (const std::string& hash : hashes) {
    records.push_back(entry("same key", "x"));
    records.back()["ExplicitHashKey"] = hash;
  }
  records.push_back(entry("a", "x"));  // MD5 0cc1...: the first quarter
  const Json reply = world.ok("PutRecords", request("s", records));
  std::vector<std::string> shards;
  for (const Json& one : reply["Records"]) shards.push_back(one["ShardId"]);
  EXPECT_EQ(shards, (std::vector<std::string>{shard_name(0), shard_name(0), shard_name(1), shard_name(2), shard_name(3),
                                              shard_name(0)}));
}

TEST(PutRecords, NothingIsPutWhenOneRecordIsRefused) {
  KinesisWorld world;
  world.create("s", 2);
  for (const char* bad :
       {R"({"PartitionKey":"k","Data":"?==="})", R"({"PartitionKey":"","Data":""})", R"({"PartitionKey":"k"})",
        R"({"PartitionKey":"k","Data":"","ExplicitHashKey":"999999999999999999999999999999999999999"})"}) {
    const Answer answer = world.call_text(
        "PutRecords", std::string(R"({"StreamName":"s","Records":[{"PartitionKey":"a","Data":"MQ=="},)") + bad + "]}");
    EXPECT_EQ(answer.status, 400) << bad;
  }
  EXPECT_TRUE(world.records("s", shard_name(0)).empty());
  EXPECT_TRUE(world.records("s", shard_name(1)).empty());
}

TEST(PutRecords, CountAndSizesAreBounded) {
  KinesisWorld world;
  world.create("s");
  Json records = Json::array();
  for (int i = 0; i < 501; ++i) records.push_back(entry("k", ""));
  Answer answer = world.call("PutRecords", request("s", records));
  EXPECT_EQ(answer.type(), "ValidationException");
  EXPECT_NE(answer.message().find(
                "at 'records' failed to satisfy constraint: Member must have length less than or equal to 500"),
            std::string::npos);
  EXPECT_LT(answer.body.size(), 100'000u);

  const std::string largest(1024 * 1024 - 1, 'x');
  EXPECT_EQ(world.call_text("PutRecords", large_request(largest, 1)).status, 200);
  answer = world.call_text("PutRecords", large_request(largest, 1, "kk"));
  EXPECT_EQ(
      answer.message(),
      "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048575 cap=1048575]' at "
      "'records.1.member.data' failed to satisfy constraint: Member must have length less than or equal to 1048576");
  answer = world.call_text("PutRecords", large_request(largest + "xx", 1));
  EXPECT_EQ(
      answer.message(),
      "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048577 cap=1048577]' at "
      "'records.1.member.data' failed to satisfy constraint: Member must have length less than or equal to 1048576");

  std::string most = large_request(largest, 10);
  EXPECT_EQ(world.call_text("PutRecords", most).status, 200);
  most.insert(most.size() - 2, R"(,{"PartitionKey":"k","Data":""})");
  answer = world.call_text("PutRecords", most);
  EXPECT_EQ(answer.type(), "InvalidArgumentException");
  EXPECT_EQ(answer.message(), "Records size exceeds 10 MB limit");
  EXPECT_EQ(world.streams->find("s")->shards[0]->log->progress().records_total, 11u);
}

TEST(PutRecord, SizesAreBounded) {
  KinesisWorld world;
  world.create("s");
  auto put = [&](const std::string& key, std::size_t bytes) {
    return world.call("PutRecord",
                      Json{{"StreamName", "s"}, {"PartitionKey", key}, {"Data", base64(std::string(bytes, 'x'))}});
  };
  EXPECT_EQ(put("k", 1024 * 1024 - 1).status, 200);
  EXPECT_EQ(put("k", 1024 * 1024).message(),
            "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=1048576 cap=1048576]' at "
            "'data' failed to satisfy constraint: Member must have length less than or equal to 1048576");
}

TEST(PutRecord, ALargerRecordIsTakenWhereTheStreamSaysSo) {
  KinesisWorld world;
  world.ok("CreateStream", {{"StreamName", "s"}, {"ShardCount", 1}, {"MaxRecordSizeInKiB", 10240}});
  const std::string arn = "arn:aws:kinesis:us-east-1:000000000000:stream/s";
  constexpr std::size_t kMost = 10 * 1024 * 1024;
  auto put = [&](std::size_t bytes, bool in_batch) {
    const std::string data = base64(std::string(bytes, 'x'));
    return in_batch ? world.call_text("PutRecords",
                                      R"({"StreamName":"s","Records":[{"PartitionKey":"k","Data":")" + data + R"("}]})")
                    : world.call("PutRecord", Json{{"StreamName", "s"}, {"PartitionKey", "k"}, {"Data", data}});
  };
  for (const bool in_batch : {false, true}) {
    EXPECT_EQ(put(kMost - 1, in_batch).status, 200);
    const Answer answer = put(kMost, in_batch);
    EXPECT_EQ(answer.type(), "ValidationException");
    EXPECT_TRUE(answer.message().ends_with("Member must have length less than or equal to 10485760"))
        << answer.message();
  }
  world.ok("UpdateMaxRecordSize", {{"StreamARN", arn}, {"MaxRecordSizeInKiB", 2048}});
  for (const bool in_batch : {false, true}) {
    EXPECT_EQ(put(2048 * 1024 - 1, in_batch).status, 200);
    EXPECT_TRUE(
        put(2048 * 1024, in_batch).message().ends_with("Member must have length less than or equal to 2097152"));
  }
  // What was put before is still read, a record of the largest size in a page of its own.
  std::vector<std::size_t> sizes;
  for (const Json& record : world.records("s"))
    sizes.push_back(codec::base64::decode(record["Data"].get<std::string>())->size());
  EXPECT_EQ(sizes, (std::vector<std::size_t>{kMost - 1, kMost - 1, 2048 * 1024 - 1, 2048 * 1024 - 1}));
}

TEST(PutRecord, PartitionKeysAreCountedInCodePoints) {
  KinesisWorld world;
  world.create("s");
  std::string wide;
  for (int i = 0; i < 256; ++i) wide += "\xf0\x9f\x98\x80";
  world.put("s", wide, "x");
  const Answer answer = world.call("PutRecord", Json{{"StreamName", "s"}, {"PartitionKey", wide + "a"}, {"Data", ""}});
  EXPECT_EQ(answer.type(), "ValidationException");
  EXPECT_NE(answer.message().find("Member must have length less than or equal to 256"), std::string::npos);
  EXPECT_EQ(world.records("s")[0]["PartitionKey"], wide);
}

TEST(PutRecord, OrderingNumberMayNotComeFromTheFuture) {
  KinesisWorld world;
  world.create("s");
  world.clock.advance(std::chrono::seconds(10));
  const std::string number = world.put("s", "k", "1")["SequenceNumber"];
  const Json again{{"StreamName", "s"}, {"PartitionKey", "k"}, {"Data", ""}, {"SequenceNumberForOrdering", number}};
  EXPECT_GT(world.ok("PutRecord", again)["SequenceNumber"].get<std::string>(), number);
  const streams::SequenceNumbers numbers(0, world.streams->find("s")->shards[0]->created_s);
  Json future = again;
  future["SequenceNumberForOrdering"] =
      numbers.text(log::Position{5}, world.clock.now().time_since_epoch().count() + 1000);
  const Answer answer = world.call("PutRecord", future);
  EXPECT_EQ(answer.message(), "ExclusiveMinimumSequenceNumber " +
                                  future["SequenceNumberForOrdering"].get<std::string>() +
                                  " used in PutRecord on stream s under account 000000000000 is invalid.");
}

TEST(PutRecords, FullLogRefusesRecordByRecord) {
  ManualClock clock;
  auto engine = std::make_unique<TestEngine>(clock, TestEngine::Commits::at_once);
  TestEngine& control = *engine;
  KinesisWorld world({}, std::move(engine));
  world.create("s", 2);
  control.set_full(true);
  const Json two = request("s", {entry("a", "1"), entry("b", "2")});
  Answer answer = world.call("PutRecords", two);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["FailedRecordCount"], 2);
  const Json reply = answer.json();
  EXPECT_EQ(world.call_cbor("PutRecords", cbor_of(two)).json(), reply);
  for (const Json& one : reply["Records"]) {
    EXPECT_EQ(one["ErrorCode"], "ProvisionedThroughputExceededException");
    EXPECT_EQ(one["ErrorMessage"].get<std::string>().substr(0, 32), "Rate exceeded for shard shardId-");
    EXPECT_FALSE(one.contains("SequenceNumber"));
  }
  answer = world.call("PutRecord", Json{{"StreamName", "s"}, {"PartitionKey", "a"}, {"Data", ""}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.type(), "ProvisionedThroughputExceededException");
  EXPECT_EQ(answer.message(), "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.");
}

TEST(PutRecords, MemoryLimitRefusesAndReadsGoOn) {
  KinesisWorld world({}, nullptr, 8u << 20);
  world.create("s");
  const std::string text = large_request(std::string(400'000, 'x'), 5);
  std::size_t kept = 0;
  bool refused = false;
  for (int i = 0; i < 10 && !refused; ++i) {
    const Json reply = world.call_text("PutRecords", text).json();
    refused = reply["FailedRecordCount"] != 0;
    for (const Json& one : reply["Records"]) kept += one.contains("SequenceNumber");
  }
  EXPECT_TRUE(refused);
  EXPECT_GT(kept, 0u);
  const Answer read = world.call("GetRecords", Json{{"ShardIterator", world.iterator("s")}});
  EXPECT_EQ(occurrences(read.body, "\"SequenceNumber\""), kept);
}

class LateCommits : public ::testing::Test {
 protected:
  LateCommits() {
    world_.create("s", 2);
    body_ = request("s", {entry("a", "1"), entry("b", "2")}).dump();
  }
  ManualClock clock_;
  TestEngine* engine_ = nullptr;
  KinesisWorld world_{{}, [this] {
                        auto engine = std::make_unique<TestEngine>(clock_, TestEngine::Commits::held);
                        engine_ = engine.get();
                        return engine;
                      }()};
  std::string body_;
  services::Reply reply_;
  services::Context context_{world_.environment, "id"};
};

TEST_F(LateCommits, TheAnswerWaitsForThem) {
  auto put = start(world_.io, KinesisWorld::find("PutRecords").run(context_, body_, reply_));
  settle(world_.io);
  EXPECT_FALSE(put.done());
  EXPECT_EQ(engine_->pending(), 2u);
  // Another request on the thread meanwhile: it must not disturb the one that waits.
  services::Reply other_reply;
  const std::string other_body = request("s", {entry("c", "3")}).dump();
  auto other = start(world_.io, KinesisWorld::find("PutRecords").run(context_, other_body, other_reply));
  settle(world_.io);
  engine_->commit();
  run_until(world_.io, [&] { return put.done() && other.done(); });
  put.result();
  const Answer answer = KinesisWorld::answer(reply_);
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["Records"].size(), 2u);
  EXPECT_EQ(KinesisWorld::answer(other_reply).json()["Records"].size(), 1u);
}

TEST_F(LateCommits, AFailedOneIsAnInternalFailure) {
  auto put = start(world_.io, KinesisWorld::find("PutRecords").run(context_, body_, reply_));
  settle(world_.io);
  engine_->fail_staged();
  run_until(world_.io, [&] { return put.done(); });
  put.result();
  const Answer answer = KinesisWorld::answer(reply_);
  EXPECT_EQ(answer.status, 500);
  EXPECT_EQ(answer.type(), "InternalFailure");
}

TEST(PutRecords, RoutesAgainWhenALogHasEndedMeanwhile) {
  KinesisWorld world;
  world.create("s", 2);
  const streams::StreamRef old = world.streams->find("s");
  world.ok("DeleteStream", {{"StreamName", "s"}});
  world.create("s", 3);
  OddStreams odd(*world.streams);
  int lookups = 0;
  odd.found_by_name = [&](std::string_view name) { return lookups++ == 0 ? old : world.streams->find(name); };
  services::Environment environment{world.clock, *world.random, world.budget, odd};
  Json records = Json::array();
  for (int i = 0; i < 50; ++i) records.push_back(entry("key" + std::to_string(i), std::to_string(i)));
  const Answer answer = world.call_in(environment, "PutRecords", request("s", records).dump());
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json()["FailedRecordCount"], 0);
  std::size_t found = 0;
  for (int shard = 0; shard < 3; ++shard) {
    int last = -1;
    const Json records_there = world.records("s", shard_name(shard));
    for (const Json& record : records_there) {
      const int data = std::stoi(*codec::base64::decode(record["Data"].get<std::string>()));
      EXPECT_GT(data, last);
      last = data;
      ++found;
      EXPECT_EQ(answer.json()["Records"][static_cast<std::size_t>(data)]["SequenceNumber"], record["SequenceNumber"]);
      EXPECT_EQ(answer.json()["Records"][static_cast<std::size_t>(data)]["ShardId"], shard_name(shard));
    }
  }
  EXPECT_EQ(found, 50u);
}

TEST(PutRecords, StreamDeletedMeanwhileIsNotFound) {
  KinesisWorld world;
  world.create("s", 2);
  const streams::StreamRef old = world.streams->find("s");
  world.ok("DeleteStream", {{"StreamName", "s"}});
  OddStreams odd(*world.streams);
  int lookups = 0;
  odd.found_by_name = [&](std::string_view name) { return lookups++ == 0 ? old : world.streams->find(name); };
  services::Environment environment{world.clock, *world.random, world.budget, odd};
  const std::string body = request("s", {entry("a", "1"), entry("b", "2")}).dump();
  EXPECT_EQ(world.call_in(environment, "PutRecords", body).message(), "Stream s under account 000000000000 not found.");
}

TEST(PutRecords, EndedLogsThatStayAreNotTriedForever) {
  KinesisWorld world;
  world.create("s", 1);
  const streams::StreamRef old = world.streams->find("s");
  world.ok("DeleteStream", {{"StreamName", "s"}});
  OddStreams odd(*world.streams);
  odd.found_by_name = [&](std::string_view) { return old; };
  services::Environment environment{world.clock, *world.random, world.budget, odd};
  const Answer answer = world.call_in(environment, "PutRecords", request("s", {entry("a", "1")}).dump());
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.json()["Records"][0]["ErrorCode"], "InternalFailure");
  EXPECT_EQ(answer.json()["Records"][0]["ErrorMessage"], "Internal Service Failure");
}

TEST(PutRecords, RequestsKeepNoDeletedStreamAlive) {
  KinesisWorld world;
  world.create("s", 1);
  world.ok("PutRecords", request("s", {entry("a", "1")}));
  const std::weak_ptr<const streams::Stream> stream = world.streams->find("s");
  world.ok("DeleteStream", {{"StreamName", "s"}});
  EXPECT_TRUE(stream.expired());
}

// Requests of all kinds, right and wrong, through the plain way and through the table-driven one: one answer, one log.
class RequestMaker {
 public:
  explicit RequestMaker(std::uint32_t seed) : random_(seed) {}

  std::string put_records() {
    std::string body = "{" + stream() + ",\"Records\":";
    if (one_in(40))
      body += pick({"null", "{}", "\"x\"", "[]", "[null]", "[1]"});
    else {
      body += "[";
      const int count = one_in(20) ? below(60) : 1 + below(5);
      for (int i = 0; i < count; ++i) body += (i ? "," : "") + record();
      body += "]";
    }
    return damaged(body + extra() + "}");
  }
  std::string put_record() {
    const std::string members = record();
    std::string body = "{" + stream() + "," + members.substr(1, members.size() - 2) + extra();
    if (one_in(6))
      body += ",\"SequenceNumberForOrdering\":" +
              pick({"\"0\"", "\"x\"", "1", "\"49670424472017546014708914442613742440540493018770178050\"",
                    "\"99999999999999999999999999999999999999999999999999999999\""});
    return damaged(body + "}");
  }

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<std::uint32_t>(limit)); }
  bool one_in(int n) { return below(n) == 0; }
  std::string pick(std::vector<std::string> options) {
    return options[static_cast<std::size_t>(below(static_cast<int>(options.size())))];
  }

  std::string stream() {
    if (one_in(15))
      return pick({R"("StreamName":"nosuch")", R"("StreamName":"a b")", R"("StreamName":5)", R"("Other":1)",
                   R"("StreamName":null)", R"("StreamARN":"arn:aws:kinesis:x:1:stream/s")",
                   R"("StreamName":"t","StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s")"});
    return pick({R"("StreamName":"s")", R"("StreamName":"s")",
                 R"("StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s")", R"( "StreamName" : "\u0073" )",
                 R"("StreamName":"s","StreamARN":"arn:aws:kinesis:us-east-1:123456789012:stream/s")",
                 R"("StreamName":"nosuch","StreamName":"s")"});
  }
  std::string record() {
    std::string out = "{";
    std::vector<std::string> members;
    if (!one_in(60)) members.push_back("\"PartitionKey\":" + key());
    if (!one_in(60)) members.push_back("\"Data\":" + data());
    if (one_in(5))
      members.push_back("\"ExplicitHashKey\":" +
                        pick({"\"0\"", "\"170141183460469231731687303715884105728\"", "\"1\"", "\"5\"",
                              one_in(8) ? "\"999999999999999999999999999999999999999\"" : "\"7\"",
                              one_in(8) ? "\"01\"" : "\"8\"", "null"}));
    if (one_in(12))
      members.push_back(
          pick({R"("Extra":{"Data":1})", R"("PartitionKey":"twice")", R"("Data":"AA==")", R"("PartitionKey":null)"}));
    std::shuffle(members.begin(), members.end(), random_);
    for (std::size_t i = 0; i < members.size(); ++i) (out += i ? "," : "") += members[i];
    return out + "}";
  }
  std::string key() {
    if (one_in(50)) return pick({"\"\"", "1", "true", "\"" + std::string(257, 'k') + "\"", "[]"});
    return pick({"\"k" + std::to_string(below(1000)) + "\"", "\"caf\xc3\xa9\"", R"("\u00e9\ud83d\ude00")",
                 R"("a\/b\\")", "\"" + std::string(256, 'k') + "\""});
  }
  std::string data() {
    if (one_in(50)) return pick({"\"abc\"", "\"ab=c\"", "\"ab*d\"", "\"YR==\"", "5", "{}"});
    if (one_in(10)) return R"("\/\/8=")";
    std::string bytes(static_cast<std::size_t>(below(one_in(60) ? 20'000 : 60)), '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    return "\"" + base64(bytes) + "\"";
  }
  std::string extra() { return one_in(8) ? R"(,"Unknown":[1,{"a":"\n"}],"StreamId":"abc")" : ""; }
  std::string damaged(std::string body) {
    if (!one_in(25)) return body;
    const auto at = static_cast<std::size_t>(below(static_cast<int>(body.size())));
    switch (below(3)) {
      case 0:
        body.resize(at);
        break;
      case 1:
        body[at] = static_cast<char>(random_());
        break;
      default:
        body.insert(at, 1, "{}[]\",:\\"[below(8)]);
        break;
    }
    return body.empty() ? "{" : body;
  }

  std::mt19937 random_;
};

TEST(PlainAndTableDriven, AnswerAlikeAndPutAlike) {
  constexpr std::uint32_t kSeed = 20261120;
  constexpr int kRequests = 1500;
  SCOPED_TRACE(kSeed);
  RequestMaker maker(kSeed);
  KinesisWorld plain, unusual;
  for (KinesisWorld* world : {&plain, &unusual}) world->create("s", 3);
  int good = 0;
  for (int i = 0; i < kRequests; ++i) {
    const bool many = i % 2 == 0;
    const std::string body = many ? maker.put_records() : maker.put_record();
    const char* operation = many ? "PutRecords" : "PutRecord";
    const Answer a = plain.call_text(operation, body);
    const Answer b = unusual.call_text(operation, made_unusual(body));
    ASSERT_EQ(a.status, b.status) << i << " " << body.substr(0, 2000) << "\n"
                                  << a.body.substr(0, 500) << "\n"
                                  << b.body.substr(0, 500);
    ASSERT_EQ(a.body, b.body) << i << " " << body.substr(0, 2000);
    good += a.status == 200;
  }
  EXPECT_GT(good, kRequests / 3);
  EXPECT_LT(good, kRequests);
  for (int shard = 0; shard < 3; ++shard) {
    const Json a = plain.records("s", shard_name(shard)), b = unusual.records("s", shard_name(shard));
    EXPECT_GT(a.size(), 0u);
    EXPECT_TRUE(a == b) << "shard " << shard << " holds other records";
  }
}

}  // namespace
}  // namespace millrace::test
