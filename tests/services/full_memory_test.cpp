#include <algorithm>
#include <map>
#include <set>

#include "delivery/world.hpp"
#include "services/kinesis_world.hpp"

/// The memory limit reached and held: operations, engine, delivery and retention together, on the manual clock.
namespace millrace::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kLimit = 32u << 20, kKeptFromRecords = kLimit / 8;
constexpr std::size_t kDataBytes = 16'000;
constexpr int kShards = 2;

/// Every record's data begins with a number of its own.
constexpr std::size_t kIdChars = 12;  // 16 characters of base64
std::string data_of(int id) {
  std::string digits = std::to_string(id);
  std::string data = std::string(kIdChars - digits.size(), '0') + digits;
  data.resize(kDataBytes, 'x');
  return data;
}
std::vector<int> ids_in(std::string_view reply) {
  constexpr std::string_view kMember = R"("Data":")";
  std::vector<int> ids;
  for (std::size_t at = reply.find(kMember); at != reply.npos; at = reply.find(kMember, at + 1))
    ids.push_back(std::stoi(*codec::base64::decode(reply.substr(at + kMember.size(), kIdChars / 3 * 4))));
  return ids;
}
std::string shard_name(int index) { return "shardId-00000000000" + std::to_string(index); }

/// Follows a shard a page at a time, as a consumer does.
struct Reader {
  std::string iterator;
  std::vector<int> seen;
};

class FullMemory : public testing::Test {
 protected:
  FullMemory() : world_({}, {}, kLimit, kKeptFromRecords) {}

  Answer call(std::string_view service, std::string_view operation, std::string_view body) {
    services::Context context{environment_, "00000000-0000-4000-8000-000000000000"};
    services::Reply reply;
    const services::Operation* found = services::find_service(service)->find(operation);
    test::run(world_.io(), found->run(context, body, reply));
    Answer answer = KinesisWorld::answer(reply);
    expect_within_limits();
    return answer;
  }
  Json ok(std::string_view operation, const Json& body, std::string_view service = "kinesis") {
    const Answer got = call(service, operation, body.dump());
    EXPECT_EQ(got.status, 200) << operation << " gave " << got.body.substr(0, 300);
    return got.body.empty() ? Json() : got.json();
  }
  void expect_within_limits() {
    ASSERT_LE(world_.budget.used(), kLimit);
    ASSERT_LE(world_.budget.used(Account::chunks), kLimit - kKeptFromRecords);
  }
  std::vector<std::size_t> accounts() const {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < kAccounts; ++i) all.push_back(world_.budget.used(static_cast<Account>(i)));
    return all;
  }

  /// A stream and a delivery stream of that name: 1 MiB or a minute.
  void create(const std::string& name, int shards) {
    ok("CreateStream", {{"StreamName", name}, {"ShardCount", shards}});
    const std::string role = "arn:aws:iam::000000000000:role/firehose";
    const Json source = {{"KinesisStreamARN", "arn:aws:kinesis:us-east-1:000000000000:stream/" + name},
                         {"RoleARN", role}};
    const Json newline = {{"Enabled", true}, {"Processors", {{{"Type", "AppendDelimiterToRecord"}}}}};
    ok("CreateDeliveryStream",
       {{"DeliveryStreamName", name},
        {"DeliveryStreamType", "KinesisStreamAsSource"},
        {"KinesisStreamSourceConfiguration", source},
        {"ExtendedS3DestinationConfiguration",
         {{"BucketARN", "arn:aws:s3:::lake"},
          {"RoleARN", role},
          {"BufferingHints", {{"SizeInMBs", 1}, {"IntervalInSeconds", 60}}},
          {"ProcessingConfiguration", newline}}}},
       "firehose");
    world_.settle();
  }
  void remove(const std::string& name) {
    ok("DeleteDeliveryStream", {{"DeliveryStreamName", name}}, "firehose");
    ok("DeleteStream", {{"StreamName", name}});
    world_.settle();
  }

  /// What was stored of `count` new records; what was not must have been refused as AWS throttles.
  std::vector<int> put(const std::string& stream, int count) {
    std::string body = R"({"StreamName":")" + stream + R"(","Records":[)";
    const int first = next_id_;
    for (int i = 0; i < count; ++i)
      body += std::string(i ? "," : "") + R"({"PartitionKey":"key-)" + std::to_string(next_id_) + R"(","Data":")" +
              codec::base64::encode(data_of(next_id_)) + R"("})",
          ++next_id_;
    const Answer answer = call("kinesis", "PutRecords", body + "]}");
    EXPECT_EQ(answer.status, 200);
    const Json reply = answer.json();
    std::vector<int> stored;
    int failed = 0;
    for (int i = 0; i < count; ++i) {
      const Json& one = reply["Records"][i];
      if (one.contains("SequenceNumber")) {
        stored.push_back(first + i);
        numbers_[first + i] = one["SequenceNumber"];
        continue;
      }
      ++failed;
      EXPECT_EQ(one.size(), 2u);
      EXPECT_EQ(one["ErrorCode"], "ProvisionedThroughputExceededException");
      const std::string text = one["ErrorMessage"];
      EXPECT_TRUE(text == refusal(stream, 0) || text == refusal(stream, 1)) << text;
    }
    EXPECT_EQ(reply["FailedRecordCount"], failed);
    refused_ += failed;
    for (const int id : stored) EXPECT_TRUE(stored_[stream].insert(id).second);
    return stored;
  }
  static std::string refusal(const std::string& stream, int shard) {
    return "Rate exceeded for shard " + shard_name(shard) + " in stream " + stream + " under account 000000000000.";
  }
  /// Until nothing more is taken, not even where a small block is left or a shard's last chunk has room.
  void fill(const std::string& stream) {
    while (!put(stream, 20).empty()) {
    }
    for (int in_a_row = 0; in_a_row < 12;) in_a_row = put(stream, 1).empty() ? in_a_row + 1 : 0;
  }
  void expect_put_record_is_refused(const std::string& stream) {
    const std::string data = codec::base64::encode(data_of(0));
    const Answer refused = call("kinesis", "PutRecord",
                                R"({"StreamName":")" + stream + R"(","PartitionKey":"a","Data":")" + data + R"("})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_EQ(refused.type(), "ProvisionedThroughputExceededException");
    EXPECT_TRUE(refused.message() == refusal(stream, 0) || refused.message() == refusal(stream, 1));
  }

  std::string iterator(const std::string& stream, int shard, const std::string& type, const std::string& number = "") {
    Json body = {{"StreamName", stream}, {"ShardId", shard_name(shard)}, {"ShardIteratorType", type}};
    if (!number.empty()) body["StartingSequenceNumber"] = number;
    return ok("GetShardIterator", body)["ShardIterator"];
  }
  /// One page; false when it was empty.
  bool read(Reader& reader, int limit) {
    const Answer page = call("kinesis", "GetRecords",
                             R"({"ShardIterator":")" + reader.iterator + R"(","Limit":)" + std::to_string(limit) + "}");
    EXPECT_EQ(page.status, 200) << page.body.substr(0, 300);
    const std::vector<int> ids = ids_in(page.body);
    reader.seen.insert(reader.seen.end(), ids.begin(), ids.end());
    constexpr std::string_view kNext = R"("NextShardIterator":")";
    const std::size_t at = page.body.find(kNext) + kNext.size();
    reader.iterator = page.body.substr(at, page.body.find('"', at) - at);
    return !ids.empty();
  }
  std::vector<int> all_of(const std::string& stream, int shards) {
    std::vector<int> ids;
    for (int shard = 0; shard < shards; ++shard) {
      Reader reader{iterator(stream, shard, "TRIM_HORIZON"), {}};
      while (read(reader, 1'000)) {
      }
      EXPECT_TRUE(std::is_sorted(reader.seen.begin(), reader.seen.end())) << "out of order in a shard";
      ids.insert(ids.end(), reader.seen.begin(), reader.seen.end());
    }
    std::sort(ids.begin(), ids.end());
    return ids;
  }

  /// A minute of domain time; what delivery wrote in it is noted and taken away.
  void pass_minute() {
    world_.advance(60s);
    expect_within_limits();
    note_objects();
  }
  void note_objects() {
    for (const auto& [path, content] : world_.objects()) {
      ASSERT_EQ(content.size() % (kDataBytes + 1), 0u) << path;
      for (std::size_t at = 0; at < content.size(); at += kDataBytes + 1) {
        const int id = std::stoi(content.substr(at, kIdChars));
        ASSERT_EQ(content.substr(at, kDataBytes + 1), data_of(id) + "\n");
        EXPECT_TRUE(delivered_.insert(id).second) << id << " is delivered twice";
      }
    }
    ASSERT_TRUE(world_.files->remove_all("data/s3"));
  }
  void expect_delivered(const std::string& stream) {
    for (const int id : stored_[stream])
      EXPECT_TRUE(delivered_.contains(id)) << id << " of " << stream << " is not delivered";
  }
  std::vector<int> stored(const std::string& stream) const {
    const std::set<int>& ids = stored_.at(stream);
    return {ids.begin(), ids.end()};
  }

  delivery::World world_;
  std::unique_ptr<Random> random_ = make_seeded_random(7);
  services::Environment environment_{world_.clock, *random_, world_.budget, *world_.streams, world_.delivery.get()};
  int next_id_ = 1;
  int refused_ = 0;
  std::map<std::string, std::set<int>> stored_;
  std::map<int, std::string> numbers_;  // id -> sequence number
  std::set<int> delivered_;
};

TEST_F(FullMemory, AnHourAtTheLimitGrowsNothingAndRetentionEndsIt) {
  const TimePoint begun = world_.clock.now();
  create("kept", kShards);
  // Ten minutes in which most of the memory goes to a stream that keeps its records for a day.
  std::map<int, TimePoint> put_at;
  for (int minute = 0; minute < 10; ++minute) {
    for (int batch = 0; batch < 7; ++batch)
      for (const int id : put("kept", 20)) put_at[id] = world_.clock.now();
    pass_minute();
  }
  ASSERT_EQ(refused_, 0);
  ASSERT_EQ(put_at.size(), 1'400u);

  std::vector<Reader> from_horizon(kShards), at_latest(kShards);
  for (int shard = 0; shard < kShards; ++shard) {
    from_horizon[shard].iterator = iterator("kept", shard, "TRIM_HORIZON");
    at_latest[shard].iterator = iterator("kept", shard, "LATEST");
  }
  // An hour in which the rest of it is filled, put to in vain, read, delivered and let go, once a minute.
  const int newest_before = next_id_;
  std::vector<std::size_t> at_minute_ten;
  for (int minute = 1; minute <= 60; ++minute) {
    const std::string turn = "turn-" + std::to_string(minute);
    create(turn, 1);
    fill(turn);
    ASSERT_GE(stored_[turn].size(), 100u) << "what the stream before it had is not to be had again";
    fill("kept");  // what its last chunks have room for
    const int refused_before = refused_;
    EXPECT_TRUE(put("kept", 3).empty());
    EXPECT_TRUE(put(turn, 3).empty());
    EXPECT_EQ(refused_, refused_before + 6);
    expect_put_record_is_refused("kept");
    EXPECT_EQ(all_of(turn, 1), stored(turn));
    for (int shard = 0; shard < kShards; ++shard) {
      read(from_horizon[shard], 20);
      read(at_latest[shard], 10'000);
    }
    pass_minute();
    expect_delivered(turn);
    remove(turn);
    if (minute == 10) at_minute_ten = accounts();
  }
  EXPECT_EQ(accounts(), at_minute_ten);
  std::vector<int> seen_late, seen_all;
  for (int shard = 0; shard < kShards; ++shard) {
    while (read(from_horizon[shard], 1'000)) {
    }
    seen_all.insert(seen_all.end(), from_horizon[shard].seen.begin(), from_horizon[shard].seen.end());
    seen_late.insert(seen_late.end(), at_latest[shard].seen.begin(), at_latest[shard].seen.end());
  }
  std::sort(seen_all.begin(), seen_all.end());
  std::sort(seen_late.begin(), seen_late.end());
  const std::vector<int> kept = stored("kept");
  EXPECT_EQ(seen_all, kept);
  EXPECT_EQ(seen_late, std::vector<int>(std::lower_bound(kept.begin(), kept.end(), newest_before), kept.end()));
  expect_delivered("kept");

  // Full again until retention passes over the first of what was put; nobody has to do anything for it.
  fill("kept");
  expect_put_record_is_refused("kept");
  const std::size_t full = world_.budget.used(Account::chunks);
  while (world_.clock.now() + 1h < begun + 24h) world_.advance(1h);
  world_.advance(begun + 24h - world_.clock.now());
  EXPECT_EQ(world_.budget.used(Account::chunks), full) << "nothing is dropped before its retention ends";
  expect_put_record_is_refused("kept");
  EXPECT_EQ(all_of("kept", kShards), stored("kept"));

  std::vector<Reader> left_behind(kShards);
  for (int shard = 0; shard < kShards; ++shard) {
    Reader first{iterator("kept", shard, "TRIM_HORIZON"), {}};
    read(first, 1);
    left_behind[shard].iterator = iterator("kept", shard, "AT_SEQUENCE_NUMBER", numbers_.at(first.seen.at(0)));
  }
  world_.advance(4min + 30s);  // what was put in the first five minutes is over
  const auto readable = [&](int id) { return !put_at.contains(id) || put_at[id] >= world_.clock.now() - 24h; };
  std::vector<int> rest;
  for (const int id : stored("kept"))
    if (readable(id)) rest.push_back(id);
  ASSERT_EQ(rest.size(), stored("kept").size() - 5 * 140);
  EXPECT_EQ(all_of("kept", kShards), rest);
  std::vector<int> seen_behind;
  for (Reader& reader : left_behind) {
    read(reader, 1'000);  // its place is gone: it goes on with the oldest there is
    while (read(reader, 1'000)) {
    }
    seen_behind.insert(seen_behind.end(), reader.seen.begin(), reader.seen.end());
  }
  std::sort(seen_behind.begin(), seen_behind.end());
  EXPECT_EQ(seen_behind, rest);
  EXPECT_LT(world_.budget.used(Account::chunks), full - (4u << 20));
  const std::vector<int> taken = put("kept", 20);
  EXPECT_EQ(taken.size(), 20u);

  world_.advance(24h);
  EXPECT_EQ(all_of("kept", kShards), taken);
  world_.advance(2min);
  EXPECT_EQ(world_.budget.used(Account::chunks), 0u);
  EXPECT_TRUE(all_of("kept", kShards).empty());
  EXPECT_EQ(put("kept", 20).size(), 20u);
  pass_minute();
  expect_delivered("kept");
  std::size_t every = 0;
  for (const auto& [stream, ids] : stored_) every += ids.size();
  EXPECT_EQ(delivered_.size(), every) << "what was refused is not delivered";
}

}  // namespace
}  // namespace millrace::test
