#include <random>

#include "services/kinesis_world.hpp"

namespace millrace::test {
namespace {

// Requests made of every member name there is and of values that do not suit them.
class Nonsense {
 public:
  explicit Nonsense(std::uint32_t seed) : random_(seed) {}

  std::string object(int depth) {
    std::string out = "{";
    const int count = below(5);
    for (int i = 0; i < count; ++i) (out += i ? "," : "") += "\"" + pick(kNames) + "\":" + value(depth - 1);
    return out + "}";
  }
  std::string mangled(std::string text) {
    for (int i = below(3); i > 0 && !text.empty(); --i)
      text[static_cast<std::size_t>(below(static_cast<int>(text.size())))] = static_cast<char>(random_());
    return text.empty() ? " " : text;
  }
  int below(int limit) { return static_cast<int>(random_() % static_cast<std::uint32_t>(limit)); }

 private:
  static inline const std::vector<std::string> kNames = {"StreamName",
                                                         "StreamARN",
                                                         "StreamId",
                                                         "ShardCount",
                                                         "StreamModeDetails",
                                                         "StreamMode",
                                                         "Tags",
                                                         "TagKeys",
                                                         "Limit",
                                                         "ExclusiveStartTagKey",
                                                         "ExclusiveStartShardId",
                                                         "NextToken",
                                                         "MaxResults",
                                                         "ShardFilter",
                                                         "Type",
                                                         "ShardId",
                                                         "Timestamp",
                                                         "Records",
                                                         "Data",
                                                         "PartitionKey",
                                                         "ExplicitHashKey",
                                                         "ShardIterator",
                                                         "ShardIteratorType",
                                                         "StartingSequenceNumber",
                                                         "SequenceNumberForOrdering",
                                                         "RetentionPeriodHours",
                                                         "StreamCreationTimestamp"};
  static inline const std::vector<std::string> kValues = {
      R"("s")",
      R"("")",
      R"("../../etc/passwd")",
      R"("\u0000")",
      R"("\ud83d\ude00")",
      R"("a%2e")",
      "0",
      "-1",
      "3",
      "1e308",
      "-1e-308",
      "9999999999999999999999",
      "true",
      "false",
      "null",
      "[]",
      "{}",
      R"("TRIM_HORIZON")",
      R"("LATEST")",
      R"("AT_TIMESTAMP")",
      R"("AT_SEQUENCE_NUMBER")",
      R"("PROVISIONED")",
      R"("FROM_TIMESTAMP")",
      R"("shardId-000000000000")",
      R"("49670424472017546014708914442613742440540493018770178050")",
      R"("MQ==")",
      R"("MQ")",
      R"("arn:aws:kinesis:us-east-1:123456789012:stream/s")",
      R"("MSAxNzY3MjI1NjAwMDAwIExpc3RTaGFyZHMgcwox")",
      R"("340282366920938463463374607431768211456")"};
  std::string pick(const std::vector<std::string>& from) {
    return from[static_cast<std::size_t>(below(static_cast<int>(from.size())))];
  }
  std::string value(int depth) {
    if (depth <= 0 || below(3) != 0) return pick(kValues);
    if (below(2) == 0) return object(depth);
    std::string out = "[";
    const int count = below(4);
    for (int i = 0; i < count; ++i) (out += i ? "," : "") += value(depth - 1);
    return out + "]";
  }
  std::mt19937 random_;
};

TEST(AnyInput, IsAnsweredInAwsWords) {
  constexpr std::uint32_t kSeed = 77;
  Nonsense nonsense(kSeed);
  KinesisWorld world;
  world.create("s");
  std::map<std::string, int> types;
  for (int i = 0; i < 300; ++i)
    for (const services::Operation* operation : services::find_service("kinesis")->operations) {
      std::string body = nonsense.object(4);
      // Half of them name the stream, so that more than the first check is reached; some are damaged as text.
      if (nonsense.below(2) == 0) body.insert(1, body == "{}" ? R"("StreamName":"s")" : R"("StreamName":"s",)");
      if (nonsense.below(8) == 0) body = nonsense.mangled(std::move(body));
      Answer answer;
      ASSERT_NO_THROW(answer = world.call_text(operation->name, body)) << operation->name << " " << body;
      ASSERT_TRUE(answer.status == 200 || answer.status == 400)
          << operation->name << " " << body << " gave " << answer.body;
      if (!answer.body.empty()) {
        ASSERT_TRUE(Json::accept(answer.body)) << answer.body;
      }
      if (answer.status == 400) ++types[answer.type()];
      if (!world.streams->find("s")) world.create("s");
    }
  for (const char* type :
       {"SerializationException", "ValidationException", "InvalidArgumentException", "ResourceNotFoundException"})
    EXPECT_GT(types[type], 0) << type;
}

TEST(AnyInput, HugeListsAreRefusedWithoutBeingKept) {
  KinesisWorld world;
  world.create("s");
  std::string body = R"({"StreamName":"s","Records":[{})";
  for (int i = 0; i < 200'000; ++i) body += ",{}";
  body += "]}";
  const Answer answer = world.call_text("PutRecords", body);
  EXPECT_EQ(answer.type(), "ValidationException");
  EXPECT_LT(answer.body.size(), 200'000u);
}

}  // namespace
}  // namespace millrace::test
