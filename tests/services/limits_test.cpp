#include <algorithm>
#include <set>

#include "services/kinesis_world.hpp"

// AWS's rates and quotas where limits are enforced: which calls are refused when, and in which words.
namespace millrace::test {
namespace {

using namespace std::chrono_literals;
using Options = streams::Options;

constexpr const char* kFirst = "shardId-000000000000";
const std::string kArn = "arn:aws:kinesis:us-east-1:000000000000:stream/";

Options enforced() {
  Options options;
  options.limits.enforce = true;
  return options;
}

/// Time passes between what a test prepares and what it is about.
struct LimitedWorld : KinesisWorld {
  explicit LimitedWorld(Options options = enforced()) : KinesisWorld(std::move(options)) {}
  void pass(std::chrono::milliseconds time = 1h) {
    clock.advance(time);
    settle(io);
  }
  void make(const std::string& name, int shards = 1) {
    create(name, shards);
    pass();
  }
};

/// To the shard that holds the lowest hash keys, or the one that holds the highest.
Json entry(bool high, std::size_t bytes) {
  return {{"PartitionKey", "k"},
          {"ExplicitHashKey", high ? "340282366920938463463374607431768211455" : "0"},
          {"Data", codec::base64::encode(std::string(bytes - 1, 'x'))}};
}
Json request(const std::string& stream, std::vector<Json> records) {
  return {{"StreamName", stream}, {"Records", std::move(records)}};
}
/// Which of them were taken, as `+` and `-`. What is said of those that were not is looked at.
std::string taken(const Json& reply, const std::string& stream) {
  std::string out;
  std::map<std::string, std::string> last;
  for (const Json& one : reply["Records"]) {
    out += one.contains("ErrorCode") ? '-' : '+';
    if (!one.contains("ErrorCode")) {
      EXPECT_GT(one["SequenceNumber"].get<std::string>(), last[one["ShardId"]]);
      last[one["ShardId"]] = one["SequenceNumber"];
      continue;
    }
    EXPECT_EQ(one.size(), 2u) << one;
    EXPECT_EQ(one["ErrorCode"], "ProvisionedThroughputExceededException");
    const std::string text = one["ErrorMessage"];
    EXPECT_EQ(text.substr(0, 32), "Rate exceeded for shard shardId-");
    EXPECT_EQ(text.substr(text.find(" in ")), " in stream " + stream + " under account 000000000000.");
  }
  EXPECT_EQ(reply["FailedRecordCount"], std::count(out.begin(), out.end(), '-'));
  return out;
}

TEST(ShardLimits, PutRecordsFailsRecordByRecord) {
  for (const services::Wire wire : {services::Wire::json, services::Wire::cbor}) {
    LimitedWorld world;
    world.make("s", 2);
    const auto put = [&](const std::vector<Json>& records) {
      const Json body = request("s", records);
      const Answer answer =
          wire == services::Wire::json ? world.call("PutRecords", body) : world.call_cbor("PutRecords", cbor_of(body));
      EXPECT_EQ(answer.status, 200) << answer.body;
      return taken(answer.json(), "s");
    };
    const Json low = entry(false, 10), high = entry(true, 10);
    // 1,000 records a second, in each shard.
    EXPECT_EQ(put(std::vector<Json>(500, low)), std::string(500, '+'));
    EXPECT_EQ(put(std::vector<Json>(498, low)), std::string(498, '+'));
    EXPECT_EQ(put({low, high, low, low, high, low, high}), "+++-+-+");
    world.pass(3ms);
    EXPECT_EQ(put({low, low, high, low, low, low}), "++++--");
    EXPECT_EQ(put({high, low, high}), "+-+");
    EXPECT_EQ(put({low}), "-");
    world.pass();
    // 1 MiB a second: what is too large for what is left does not keep a smaller one out.
    const Json large = entry(false, 400 * 1024), rest = entry(false, 224 * 1024), one = entry(false, 1);
    EXPECT_EQ(put({large, large, large, high, rest, one}), "++-++-");
    const streams::StreamRef stream = world.streams->find("s");
    EXPECT_EQ(stream->shards[0]->log->progress().records_total, 500u + 498 + 2 + 3 + 3);
    EXPECT_EQ(stream->shards[0]->limits->refused_writes(), 2u + 2 + 1 + 1 + 2);
    EXPECT_EQ(stream->shards[1]->limits->refused_writes(), 0u);
    // Nothing is left of what was refused, and the rest is in order.
    std::vector<std::size_t> sizes;
    const Json page = world.ok("GetRecords", {{"ShardIterator", world.iterator("s")}});
    for (const Json& record : page["Records"])
      sizes.push_back(codec::base64::decode(record["Data"].get<std::string>())->size() + 1);
    ASSERT_EQ(sizes.size(), 1006u);
    EXPECT_EQ(std::vector(sizes.end() - 4, sizes.end()),
              (std::vector<std::size_t>{10, 400 * 1024, 400 * 1024, 224 * 1024}));
  }
}

TEST(ShardLimits, ARequestThatIsBadTakesNothing) {
  LimitedWorld world;
  world.make("s");
  const Json body = request("s", std::vector<Json>(500, entry(false, 10)));
  std::string bad = body.dump();
  bad.replace(bad.rfind("eHh4"), 4, "eH?4");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(world.call_text("PutRecords", bad).status, 400);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(world.ok("PutRecords", body)["FailedRecordCount"], 0);
  EXPECT_EQ(world.call_text("PutRecords", bad).status, 400) << "also where its records would be refused";
  EXPECT_EQ(world.ok("PutRecords", body)["FailedRecordCount"], 500);
}

TEST(ShardLimits, PutRecordIsRefusedInTheSameWords) {
  LimitedWorld world;
  world.make("s");
  Json record = entry(false, 1024 * 1024);
  record["StreamName"] = "s";
  world.ok("PutRecord", record);
  const Answer answer = world.call("PutRecord", record);
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.type(), "ProvisionedThroughputExceededException");
  EXPECT_EQ(answer.message(), "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.");
  world.pass(999ms);
  EXPECT_EQ(world.call("PutRecord", record).status, 400);
  world.pass(1ms);
  world.ok("PutRecord", record);
}

TEST(ShardLimits, ALargeRecordIsTakenByAShardThatRestedAndPaidForAfterwards) {
  LimitedWorld world;
  world.ok("CreateStream", {{"StreamName", "s"}, {"ShardCount", 1}, {"MaxRecordSizeInKiB", 10240}});
  world.pass();
  Json large = entry(false, 10 * 1024 * 1024), small = entry(false, 100);
  large["StreamName"] = small["StreamName"] = "s";
  world.ok("PutRecord", small);
  EXPECT_EQ(world.call("PutRecord", large).type(), "ProvisionedThroughputExceededException");
  world.pass(1s);
  world.ok("PutRecord", large);
  world.pass(9s);
  EXPECT_EQ(world.call("PutRecord", small).type(), "ProvisionedThroughputExceededException");
  world.pass(1ms);
  world.ok("PutRecord", small);
}

TEST(ShardLimits, AReshardsChildrenHaveTheirOwn) {
  LimitedWorld world;
  world.make("s");
  const Json body = request("s", std::vector<Json>(500, entry(false, 10)));
  for (int i = 0; i < 2; ++i) world.ok("PutRecords", body);
  EXPECT_EQ(world.ok("PutRecords", body)["FailedRecordCount"], 500);
  world.ok("UpdateShardCount", {{"StreamName", "s"}, {"TargetShardCount", 2}, {"ScalingType", "UNIFORM_SCALING"}});
  EXPECT_EQ(world.ok("PutRecords", body)["FailedRecordCount"], 0);
}

TEST(ShardLimits, GetRecordsIsCalledFiveTimesASecond) {
  LimitedWorld world;
  world.make("s", 2);
  const std::string next = world.iterator("s"), other = world.iterator("s", "shardId-000000000001");
  for (int i = 0; i < 5; ++i) world.ok("GetRecords", {{"ShardIterator", next}});
  const Answer answer = world.call("GetRecords", {{"ShardIterator", next}});
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.type(), "ProvisionedThroughputExceededException");
  EXPECT_EQ(answer.message(), "Rate exceeded for Shard - 000000000000/s/shardId-000000000000");
  world.ok("GetRecords", {{"ShardIterator", other}});
  world.pass(199ms);
  EXPECT_EQ(world.call("GetRecords", {{"ShardIterator", next}}).status, 400);
  world.pass(1ms);
  world.ok("GetRecords", {{"ShardIterator", next}});
  EXPECT_EQ(world.streams->find("s")->shards[0]->limits->refused_reads(), 2u);
}

TEST(ShardLimits, TenMebibytesAreFollowedByFiveSecondsAndMoreThanTwoByThePauseTheyTake) {
  LimitedWorld world;
  world.make("s");
  Json record = entry(false, 1024 * 1024);
  record["StreamName"] = "s";
  for (int i = 0; i < 13; ++i) {
    world.ok("PutRecord", record);
    world.pass(1s);
  }
  const auto get = [&](const std::string& iterator, int limit) {
    return world.call("GetRecords", {{"ShardIterator", iterator}, {"Limit", limit}});
  };
  const std::string first = world.iterator("s");
  const Answer ten = get(first, 10'000);
  ASSERT_EQ(ten.status, 200);
  ASSERT_EQ(ten.json()["Records"].size(), 10u);
  world.pass(4999ms);
  EXPECT_EQ(get(first, 1).type(), "ProvisionedThroughputExceededException");
  world.pass(1ms);
  EXPECT_EQ(get(first, 2).status, 200);
  EXPECT_EQ(get(first, 1).status, 200) << "2 MiB were no more than there may be";
  EXPECT_EQ(get(first, 1).type(), "ProvisionedThroughputExceededException");
  world.pass(1499ms);
  EXPECT_EQ(get(first, 1).type(), "ProvisionedThroughputExceededException");
  world.pass(1ms);
  EXPECT_EQ(get(first, 1).status, 200);
}

TEST(ShardLimits, GetShardIteratorIsCalledFiveTimesASecond) {
  LimitedWorld world;
  world.make("s");
  for (int i = 0; i < 5; ++i) world.iterator("s");
  const Answer answer =
      world.call("GetShardIterator", {{"StreamName", "s"}, {"ShardId", kFirst}, {"ShardIteratorType", "TRIM_HORIZON"}});
  EXPECT_EQ(answer.type(), "ProvisionedThroughputExceededException");
  EXPECT_EQ(answer.message(), "Rate exceeded for shard shardId-000000000000 in stream s under account 000000000000.");
  world.pass(200ms);
  world.iterator("s");
}

struct Rate {
  const char* operation;
  Json request;
  int per_second;
  const char* text;  // of the refusal
};
void PrintTo(const Rate& rate, std::ostream* out) { *out << rate.operation; }

const char* const kOfStream = "Rate exceeded for stream s under account 000000000000.";
const char* const kOfAccount = "Rate exceeded for account 000000000000.";
const Json kStream{{"StreamName", "s"}};
Json with(Json base, const Json& more) {
  base.update(more);
  return base;
}

const Rate kRates[] = {
    {"AddTagsToStream", with(kStream, {{"Tags", {{"a", "b"}}}}), 5, kOfStream},
    {"CreateStream", with(kStream, {{"ShardCount", 1}}), 5, kOfStream},
    {"DecreaseStreamRetentionPeriod", with(kStream, {{"RetentionPeriodHours", 24}}), 5, kOfStream},
    {"DeleteStream", {{"StreamName", "none"}}, 5, "Rate exceeded for stream none under account 000000000000."},
    {"DeregisterStreamConsumer", {{"StreamARN", kArn + "s"}, {"ConsumerName", "c"}}, 5, kOfStream},
    {"DescribeAccountSettings", Json::object(), 5, kOfAccount},
    {"DescribeLimits", Json::object(), 1, kOfAccount},
    {"DescribeStream", kStream, 10, kOfStream},
    {"DescribeStreamConsumer", {{"StreamARN", kArn + "s"}, {"ConsumerName", "c"}}, 20, kOfStream},
    {"DescribeStreamSummary", {{"StreamARN", kArn + "s"}}, 20, kOfStream},
    {"DisableEnhancedMonitoring", with(kStream, {{"ShardLevelMetrics", {"ALL"}}}), 5, kOfStream},
    {"EnableEnhancedMonitoring", with(kStream, {{"ShardLevelMetrics", {"ALL"}}}), 5, kOfStream},
    {"IncreaseStreamRetentionPeriod", with(kStream, {{"RetentionPeriodHours", 24}}), 5, kOfStream},
    {"ListShards", kStream, 1000, kOfStream},
    {"ListStreamConsumers", {{"StreamARN", kArn + "s"}}, 5, kOfStream},
    {"ListStreams", Json::object(), 5, kOfAccount},
    {"ListTagsForStream", kStream, 5, kOfStream},
    {"MergeShards", with(kStream, {{"ShardToMerge", "0"}, {"AdjacentShardToMerge", "0"}}), 5, kOfStream},
    {"RegisterStreamConsumer", {{"StreamARN", kArn + "s"}, {"ConsumerName", "c"}}, 5, kOfStream},
    {"RemoveTagsFromStream", with(kStream, {{"TagKeys", {"a"}}}), 5, kOfStream},
    {"SplitShard", with(kStream, {{"ShardToSplit", "0"}, {"NewStartingHashKey", "0"}}), 5, kOfStream},
    {"UpdateAccountSettings", {{"MinimumThroughputBillingCommitment", {{"Status", "DISABLED"}}}}, 5, kOfAccount},
    {"UpdateShardCount", with(kStream, {{"TargetShardCount", 1}, {"ScalingType", "UNIFORM_SCALING"}}), 10, kOfStream},
    {"UpdateStreamWarmThroughput", with(kStream, {{"WarmThroughputMiBps", 1}}), 5, kOfStream},
};

class CallRates : public ::testing::TestWithParam<Rate> {};

TEST_P(CallRates, AreAsAwsSays) {
  const Rate& rate = GetParam();
  Options options = enforced();
  options.delete_delay = 24h;  // a consumer that is deregistered is there for a while
  LimitedWorld world(std::move(options));
  world.make("s");
  world.ok("RegisterStreamConsumer", {{"StreamARN", kArn + "s"}, {"ConsumerName", "c"}});
  world.pass();
  const auto refused = [&] {
    const Answer answer = world.call(rate.operation, rate.request);
    if (answer.type() != "LimitExceededException") return false;
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.message(), rate.text);
    return true;
  };
  for (int i = 0; i < rate.per_second; ++i) ASSERT_FALSE(refused()) << i;
  EXPECT_TRUE(refused());
  if (rate.text != kOfAccount) {
    EXPECT_EQ(world.call(rate.operation, {{"StreamName", 1}, {"StreamARN", 1}, {"ConsumerName", 1}}).type(),
              "SerializationException")
        << "what is no such request is told first";
  }
  world.pass(std::chrono::milliseconds(1000 / rate.per_second - 1));
  EXPECT_TRUE(refused());
  world.pass(1ms);
  EXPECT_FALSE(refused());
  EXPECT_TRUE(refused());
}

INSTANTIATE_TEST_SUITE_P(Kinesis, CallRates, ::testing::ValuesIn(kRates),
                         [](const auto& one) { return std::string(one.param.operation); });

TEST(CallRates, EachOperationHasOneOrNone) {
  std::set<std::string_view> none{"DeleteResourcePolicy", "GetRecords",          "GetResourcePolicy",
                                  "GetShardIterator",     "ListTagsForResource", "PutRecord",
                                  "PutRecords",           "PutResourcePolicy",   "StartStreamEncryption",
                                  "StopStreamEncryption", "SubscribeToShard",    "TagResource",
                                  "UntagResource",        "UpdateMaxRecordSize", "UpdateStreamMode"};
  for (const Rate& rate : kRates) none.insert(rate.operation);
  for (const services::Operation* operation : services::find_service("kinesis")->operations)
    EXPECT_TRUE(none.contains(operation->name)) << operation->name;
  EXPECT_EQ(std::size(kRates), streams::kCalls);
}

TEST(CallRates, AreOfAnAccountOrOfEachStream) {
  LimitedWorld world;
  world.make("a");
  world.make("b");
  const auto consumers = [&](const char* stream) {
    return world.call("ListStreamConsumers", {{"StreamARN", kArn + stream}}).status;
  };
  for (int i = 0; i < 5; ++i) EXPECT_EQ(consumers("a"), 200);
  EXPECT_EQ(consumers("a"), 400);
  EXPECT_EQ(consumers("b"), 200);
  for (int i = 0; i < 5; ++i) world.ok("ListTagsForStream", {{"StreamName", i % 2 ? "a" : "b"}});
  EXPECT_EQ(world.call("ListTagsForStream", {{"StreamName", "a"}}).type(), "LimitExceededException");
}

TEST(CallRates, AreNotForWhatTheConfigurationDeclares) {
  Options options = enforced();
  options.create_delay = 1h;
  LimitedWorld world(std::move(options));
  for (int i = 0; i < 20; ++i) {
    services::Context context{.environment = world.environment, .request_id = "id", .declared = true};
    services::Reply reply;
    const std::string body = Json{{"StreamName", "s" + std::to_string(i)}, {"ShardCount", 1}}.dump();
    run(world.io, KinesisWorld::find("CreateStream").run(context, body, reply));
    EXPECT_FALSE(reply.error) << i;
  }
}

TEST(AccountQuotas, AreToldInAwsWords) {
  Options options = enforced();
  options.create_delay = 1h;
  options.shards_max = 30;
  options.limits.quotas.on_demand_streams = 6;
  LimitedWorld world(std::move(options));
  const auto refused = [&](const char* operation, const Json& body) {
    const Answer answer = world.call(operation, body);
    EXPECT_EQ(answer.status, 400);
    EXPECT_EQ(answer.type(), "LimitExceededException");
    world.pass(1s);
    return answer.message();
  };
  for (int i = 0; i < 5; ++i) {
    world.ok("CreateStream", {{"StreamName", "s" + std::to_string(i)}});  // on demand
    world.pass(1s);
  }
  EXPECT_EQ(refused("CreateStream", {{"StreamName", "s5"}}),
            "This request would have exceed the limit on the number of streams that can simultaneously be in CREATING "
            "or DELETING for the account 000000000000. Limit: 5.");
  world.pass();
  world.ok("CreateStream", {{"StreamName", "s5"}});
  EXPECT_EQ(refused("CreateStream", {{"StreamName", "s6"}}),
            "This request would exceed the on-demand stream limit for the account 000000000000 in us-east-1. Current "
            "on-demand stream count for the account: 6. Limit: 6.");
  EXPECT_EQ(refused("CreateStream", {{"StreamName", "s6"}, {"ShardCount", 7}}),
            "This request would exceed the shard limit for the account 000000000000 in us-east-1. Current shard count "
            "for the account: 24. Limit: 30. Number of additional shards that would have resulted from this request: "
            "7. Refer to the AWS Service Limits page "
            "(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for current limits and how to "
            "request higher limits.");
  world.ok("CreateStream", {{"StreamName", "s6"}, {"ShardCount", 1}});
  world.pass();
  EXPECT_EQ(
      refused("UpdateStreamMode", {{"StreamARN", kArn + "s6"}, {"StreamModeDetails", {{"StreamMode", "ON_DEMAND"}}}}),
      "This request would exceed the on-demand stream limit for the account 000000000000 in us-east-1. Current "
      "on-demand stream count for the account: 6. Limit: 6.");
  const Json limits = world.ok("DescribeLimits", Json::object());
  EXPECT_EQ(
      limits,
      (Json{{"ShardLimit", 30}, {"OpenShardCount", 25}, {"OnDemandStreamCount", 6}, {"OnDemandStreamCountLimit", 6}}));

  for (const char* mode : {"PROVISIONED", "ON_DEMAND"})
    world.ok("UpdateStreamMode", {{"StreamARN", kArn + "s5"}, {"StreamModeDetails", {{"StreamMode", mode}}}});
  EXPECT_EQ(
      refused("UpdateStreamMode", {{"StreamARN", kArn + "s5"}, {"StreamModeDetails", {{"StreamMode", "PROVISIONED"}}}}),
      "Stream s5 under account 000000000000 has reached the limit of 2 UpdateStreamMode calls within 24 hours.");
  Json scale{{"StreamName", "s6"}, {"TargetShardCount", 0}, {"ScalingType", "UNIFORM_SCALING"}};
  for (int i = 0; i < 10; ++i) {
    scale["TargetShardCount"] = 2 - i % 2;
    world.ok("UpdateShardCount", scale);
  }
  world.pass(1s);
  scale["TargetShardCount"] = 2;
  EXPECT_EQ(refused("UpdateShardCount", scale),
            "Stream s6 under account 000000000000 has reached the limit of 10 UpdateShardCount calls within 24 hours.");
}

TEST(Limits, OfSomeStreamsLeaveTheOthersAndTheAccountAlone) {
  Options options;
  options.limits.streams = {"limited"};
  LimitedWorld world(std::move(options));
  world.make("limited");
  world.make("free");
  const auto failed = [&](const char* stream) {
    int count = 0;
    for (int i = 0; i < 3; ++i)
      count += world.ok("PutRecords", request(stream, std::vector<Json>(500, entry(false, 10))))["FailedRecordCount"]
                   .get<int>();
    return count;
  };
  EXPECT_EQ(failed("limited"), 500);
  EXPECT_EQ(failed("free"), 0);
  const std::string next = world.iterator("free");
  for (int i = 0; i < 50; ++i) {
    world.ok("GetRecords", {{"ShardIterator", next}, {"Limit", 1}});
    world.iterator("free");
    world.ok("ListStreams", Json::object());
    world.ok("DescribeStream", {{"StreamName", "limited"}});
    world.ok("ListStreamConsumers", {{"StreamARN", kArn + "free"}});
  }
}

TEST(Limits, OffByDefaultRefuseNothing) {
  KinesisWorld world;
  for (int i = 0; i < 60; ++i) world.ok("CreateStream", {{"StreamName", "s" + std::to_string(i)}});
  for (int i = 0; i < 5; ++i)
    EXPECT_EQ(world.ok("PutRecords", request("s0", std::vector<Json>(500, entry(false, 1000))))["FailedRecordCount"],
              0);
  for (int i = 0; i < 30; ++i) {
    world.ok("DescribeLimits", Json::object());
    world.ok("UpdateStreamMode", {{"StreamARN", kArn + "s1"},
                                  {"StreamModeDetails", {{"StreamMode", i % 2 ? "ON_DEMAND" : "PROVISIONED"}}}});
    world.ok("GetRecords", {{"ShardIterator", world.iterator("s0")}, {"Limit", 1}});
  }
  EXPECT_EQ(world.streams->find("s1")->history, streams::History{});
}

}  // namespace
}  // namespace millrace::test
