#include "millrace/config/declare.hpp"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <nlohmann/json.hpp>

#include "config/support.hpp"

namespace millrace::config {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

/// Services that remember what they were asked and answer as told.
class FakeServices final : public gateway::ServiceCaller {
 public:
  awaitable<gateway::ServiceReply> call(const gateway::ServiceCall& call) override {
    calls.push_back(std::string(call.action) + " " + json::parse(call.body).dump());
    if (auto& script = answers[std::string(call.action)]; !script.empty()) {
      gateway::ServiceReply reply = script.front();
      if (script.size() > 1) script.erase(script.begin());  // the last answer stays
      co_return reply;
    }
    co_return gateway::ServiceReply{200, ""};
  }
  bool has(std::string_view, std::string_view) const override { return true; }

  void stream_is(int shards, int retention, const char* state = "ACTIVE") {
    answers["DescribeStreamSummary"].push_back(
        {200, json{{"StreamDescriptionSummary",
                    {{"StreamStatus", state}, {"OpenShardCount", shards}, {"RetentionPeriodHours", retention}}}}
                  .dump()});
  }
  void delivery_is(const char* state) {
    answers["DescribeDeliveryStream"].push_back(
        {200, json{{"DeliveryStreamDescription", {{"DeliveryStreamStatus", state}}}}.dump()});
  }
  void fails(const std::string& action, const char* type, const char* message) {
    answers[action].push_back({400, json{{"__type", type}, {"message", message}}.dump()});
  }

  std::vector<std::string> calls;
  std::map<std::string, std::vector<gateway::ServiceReply>> answers;
};

class Declare : public testing::Test {
 protected:
  void stream(std::string members, const std::string& name = "events") {
    const int line = 7 + static_cast<int>(config_.streams.size()) * 10;
    const std::string path = "streams[" + std::to_string(config_.streams.size()) + "]";
    config_.streams.push_back(
        {name, std::move(members), line, path, {{path + ".StreamName", "StreamName", name, line}}});
  }
  /// At line 50, with the members at lines 51, 52, ...
  void delivery_stream(std::vector<std::pair<std::string, std::string>> members = {}) {
    Declaration declared{"to-s3", R"({"DeliveryStreamName":"to-s3"})", 50, "delivery_streams[0]", {}};
    for (const auto& [path, value] : members) {
      const int line = declared.line + static_cast<int>(declared.members.size()) + 1;
      declared.members.push_back({"delivery_streams[0]." + path, path.substr(path.rfind('.') + 1), value, line});
    }
    config_.delivery_streams.push_back(std::move(declared));
  }
  Result<Notices> run() {
    boost::asio::io_context context;
    std::optional<Result<Notices>> result;
    boost::asio::co_spawn(context.get_executor(), declare(config_, services_),
                          [&](std::exception_ptr error, Result<Notices> r) {
                            if (error) std::rethrow_exception(error);
                            result = std::move(r);
                          });
    context.run();
    return *result;
  }

  Config config_ = [] {
    Config config;
    config.file = "millrace.yaml";
    return config;
  }();
  FakeServices services_;
};

TEST_F(Declare, CreatesAStreamWithoutTheMemberThatCreateStreamHasNot) {
  stream(R"({"StreamName":"events","ShardCount":2,"RetentionPeriodHours":48,"Tags":{"a":"b"}})");
  services_.stream_is(2, 24);
  auto notices = run();
  ASSERT_TRUE(notices) << notices.error().detail;
  EXPECT_TRUE(notices->empty());
  EXPECT_THAT(services_.calls,
              ElementsAre(R"(CreateStream {"ShardCount":2,"StreamName":"events","Tags":{"a":"b"}})",
                          R"(DescribeStreamSummary {"StreamName":"events"})",
                          R"(IncreaseStreamRetentionPeriod {"RetentionPeriodHours":48,"StreamName":"events"})",
                          R"(DescribeStreamSummary {"StreamName":"events"})"));
}

TEST_F(Declare, LeavesTheRetentionAloneWhereItIsWhatIsDeclared) {
  stream(R"({"StreamName":"events","RetentionPeriodHours":24})");
  services_.stream_is(1, 24);
  ASSERT_TRUE(run());
  EXPECT_THAT(services_.calls, ElementsAre(R"(CreateStream {"StreamName":"events"})",
                                           R"(DescribeStreamSummary {"StreamName":"events"})"));
}

TEST_F(Declare, WaitsUntilAStreamIsActive) {
  stream(R"({"StreamName":"events"})");
  services_.stream_is(0, 24, "CREATING");
  services_.stream_is(0, 24, "CREATING");
  services_.stream_is(1, 24);
  ASSERT_TRUE(run());
  EXPECT_EQ(services_.calls.size(), 4u);
}

TEST_F(Declare, TellsOfAnotherModeAndRecordSizeThanAnExistingStreamHas) {
  const auto notices_of = [&](const char* members) {
    config_.streams.clear();
    stream(members);
    services_.answers.clear();
    services_.fails("CreateStream", "ResourceInUseException",
                    "Stream events under account 000000000000 already exists.");
    const json held{{"StreamStatus", "ACTIVE"},
                    {"OpenShardCount", 4},
                    {"RetentionPeriodHours", 24},
                    {"StreamModeDetails", {{"StreamMode", "ON_DEMAND"}}},
                    {"MaxRecordSizeInKiB", 2048}};
    services_.answers["DescribeStreamSummary"].push_back({200, json{{"StreamDescriptionSummary", held}}.dump()});
    return *run();
  };
  EXPECT_THAT(notices_of(R"({"StreamName":"events","ShardCount":4,"MaxRecordSizeInKiB":1024})"),
              ElementsAre("stream 'events' is ON_DEMAND where the config declares PROVISIONED; it stays so",
                          "stream 'events' takes records of 2048 KiB where the config declares 1024; it stays so"));
  EXPECT_THAT(notices_of(R"({"StreamName":"events","MaxRecordSizeInKiB":2048})"), ElementsAre());
  EXPECT_THAT(notices_of(R"({"StreamName":"events","StreamModeDetails":{"StreamMode":"ON_DEMAND"}})"), ElementsAre());
}

TEST_F(Declare, KeepsAnExistingStreamAndAppliesTagsAndRetention) {
  stream(R"({"StreamName":"events","ShardCount":2,"RetentionPeriodHours":24,"Tags":{"a":"b"}})");
  services_.fails("CreateStream", "ResourceInUseException", "Stream events under account 000000000000 already exists.");
  services_.stream_is(4, 48);
  auto notices = run();
  ASSERT_TRUE(notices) << notices.error().detail;
  EXPECT_THAT(*notices, ElementsAre("stream 'events' has 4 shards where the config declares 2; it keeps them"));
  ASSERT_EQ(services_.calls.size(), 5u);
  EXPECT_EQ(services_.calls[2], R"(AddTagsToStream {"StreamName":"events","Tags":{"a":"b"}})");
  EXPECT_EQ(services_.calls[3], R"(DecreaseStreamRetentionPeriod {"RetentionPeriodHours":24,"StreamName":"events"})");
}

TEST_F(Declare, TellsFileLineAndTheOperationsOwnWords) {
  stream(R"({"StreamName":"events","ShardCount":0})");
  services_.fails("CreateStream", "ValidationException", "too few");
  auto notices = run();
  ASSERT_FALSE(notices);
  EXPECT_EQ(notices.error().detail, "millrace.yaml:7: streams[0]: CreateStream: too few");
  EXPECT_EQ(notices.error().mistakes, 1u);
}

TEST_F(Declare, TellsTheTypeOfAnErrorThatIsNotAboutTheInput) {
  stream(R"({"StreamName":"events"})");
  services_.fails("CreateStream", "LimitExceededException", "too many");
  auto notices = run();
  ASSERT_FALSE(notices);
  EXPECT_EQ(notices.error().detail, "millrace.yaml:7: streams[0]: CreateStream: LimitExceededException: too many");
  services_.answers.clear();
  services_.fails("CreateStream", "InternalFailure", "");
  EXPECT_EQ(run().error().detail, "millrace.yaml:7: streams[0]: CreateStream: InternalFailure");
}

TEST_F(Declare, ReadsTheCapitalMessageOfASerializationError) {
  stream(R"({"StreamName":"events"})");
  services_.answers["CreateStream"].push_back({400, R"({"__type":"SerializationException","Message":"not a string"})"});
  auto notices = run();
  ASSERT_FALSE(notices);
  EXPECT_THAT(notices.error().detail, HasSubstr("SerializationException: not a string"));
}

TEST_F(Declare, TellsEachDeclarationThatFails) {
  stream(R"({"StreamName":"a"})", "a");
  stream(R"({"StreamName":"b"})", "b");
  delivery_stream();
  services_.fails("CreateStream", "ValidationException", "wrong");
  services_.fails("CreateDeliveryStream", "InvalidArgumentException", "wrong too");
  auto notices = run();
  ASSERT_FALSE(notices);
  EXPECT_EQ(notices.error().detail,
            "millrace.yaml:7: streams[0]: CreateStream: wrong\n"
            "millrace.yaml:17: streams[1]: CreateStream: wrong\n"
            "millrace.yaml:50: delivery_streams[0]: CreateDeliveryStream: wrong too");
  EXPECT_EQ(notices.error().mistakes, 3u);
}

TEST_F(Declare, DoesNotTellWhatFollowsFromAMistakeBefore) {
  stream(R"({"StreamName":"events"})");
  delivery_stream();
  services_.fails("CreateStream", "ValidationException", "wrong");
  services_.fails("CreateDeliveryStream", "InvalidArgumentException", "Stream events under account 1 not found.");
  EXPECT_EQ(run().error().detail, "millrace.yaml:7: streams[0]: CreateStream: wrong");
}

struct Meant {
  const char* message;
  const char* place;
};

TEST_F(Declare, AnErrorIsToldAtTheMemberThatItNames) {
  delivery_stream({{"DeliveryStreamName", "to-s3"},
                   {"KinesisStreamSourceConfiguration", ""},
                   {"KinesisStreamSourceConfiguration.KinesisStreamARN", "arn:aws:kinesis:us-east-1:1:stream/event"},
                   {"S3.CompressionFormat", "GZIP"},
                   {"S3.Processors[0].Type", "Lambda"}});
  for (const Meant& meant :
       {Meant{"CompressionFormat GZIP is not supported yet.", "54: delivery_streams[0].S3.CompressionFormat"},
        Meant{"GZIP wants a CompressionFormat", "54: delivery_streams[0].S3.CompressionFormat"},
        Meant{"Processor type Lambda is not supported yet.", "55: delivery_streams[0].S3.Processors[0].Type"},
        Meant{"Stream event under account 1 not found.",
              "53: delivery_streams[0].KinesisStreamSourceConfiguration.KinesisStreamARN"},
        Meant{"KinesisStreamSourceConfiguration must be given",
              "52: delivery_streams[0].KinesisStreamSourceConfiguration"},
        Meant{"Firehose to-s3 is broken", "50: delivery_streams[0]"},
        Meant{"Types of events, Lambdas", "50: delivery_streams[0]"}}) {
    services_.answers.clear();
    services_.fails("CreateDeliveryStream", "InvalidArgumentException", meant.message);
    EXPECT_EQ(run().error().detail,
              std::string("millrace.yaml:") + meant.place + ": CreateDeliveryStream: " + meant.message);
  }
}

TEST_F(Declare, CreatesDeliveryStreamsAfterTheirSources) {
  stream(R"({"StreamName":"events"})");
  delivery_stream();
  services_.stream_is(1, 24);
  services_.delivery_is("CREATING");
  services_.delivery_is("ACTIVE");
  ASSERT_TRUE(run());
  EXPECT_THAT(services_.calls, ElementsAre(HasSubstr("CreateStream"), HasSubstr("DescribeStreamSummary"),
                                           R"(CreateDeliveryStream {"DeliveryStreamName":"to-s3"})",
                                           R"(DescribeDeliveryStream {"DeliveryStreamName":"to-s3"})",
                                           HasSubstr("DescribeDeliveryStream")));
}

class FakeGateway final : public gateway::Gateway {
 public:
  gateway::Result<gateway::ApiSummary> deploy(const gateway::ApiSpec& spec) override {
    specs.push_back(spec);
    if (!refusal.empty()) return gateway::Error{gateway::Errc::invalid, refusal};
    return gateway::ApiSummary{spec.id, spec.name, spec.stages, 1};
  }
  std::vector<gateway::ApiSummary> apis() const override { return {}; }
  awaitable<void> handle(http::Request&, http::ResponseWriter&) override { co_return; }
  awaitable<void> handle_api(std::string_view, std::string_view, std::string_view, http::Request&,
                             http::ResponseWriter&) override {
    co_return;
  }

  std::vector<gateway::ApiSpec> specs;
  std::string refusal;
};

class Apply : public ConfigFile {
 protected:
  Apply() {
    config_.file = "millrace.yaml";
    for (const char* name : {"one", "two"}) {
      const std::string number = std::to_string(config_.apis.size());
      write("openapi: 3.0.1\n", std::string(name) + ".yaml");
      const int line = 4 + static_cast<int>(config_.apis.size()) * 10;
      config_.apis.push_back(
          {name, "abcdefghi" + number, std::string(name) + ".yaml", {"PROD"}, line, "apis[" + number + "]", line + 2});
    }
  }
  Result<Notices> run() {
    boost::asio::io_context context;
    std::optional<Result<Notices>> result;
    boost::asio::co_spawn(context.get_executor(), apply(config_, gateway_, services_),
                          [&](std::exception_ptr error, Result<Notices> r) {
                            if (error) std::rethrow_exception(error);
                            result = std::move(r);
                          });
    context.run();
    return *result;
  }

  Config config_;
  FakeGateway gateway_;
  FakeServices services_;
};

TEST_F(Apply, DeploysTheFilesTexts) {
  ASSERT_TRUE(run());
  ASSERT_EQ(gateway_.specs.size(), 2u);
  EXPECT_EQ(gateway_.specs[0].openapi_text, "openapi: 3.0.1\n");
  EXPECT_EQ(gateway_.specs[0].openapi_file, "one.yaml");
  EXPECT_EQ(gateway_.specs[0].stages, std::vector<std::string>{"PROD"});
  EXPECT_EQ(gateway_.specs[1].name, "two");
}

TEST_F(Apply, TellsTheMistakesOfTheConfigThenThoseOfEachApi) {
  gateway_.refusal = "api.yaml:3:1: no paths\napi.yaml:4:2: no more";
  config_.streams.push_back({"events", R"({"StreamName":"events"})", 40, "streams[0]", {}});
  services_.fails("CreateStream", "ValidationException", "wrong");
  auto refused = run();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail,
            "millrace.yaml:40: streams[0]: CreateStream: wrong\n"
            "api.yaml:3:1: no paths\napi.yaml:4:2: no more\napi.yaml:3:1: no paths\napi.yaml:4:2: no more");
  EXPECT_EQ(refused.error().mistakes, 5u);
}

TEST_F(Apply, NamesAnOpenApiFileThatCannotBeRead) {
  std::filesystem::remove("one.yaml");
  std::ofstream("two.yaml", std::ios::binary) << std::string((16 << 20) + 1, ' ');
  auto gone = run();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().detail,
            "millrace.yaml:6: apis[0].openapi: one.yaml: there is no such file\n"
            "millrace.yaml:16: apis[1].openapi: two.yaml: is larger than 16 MiB");
  EXPECT_TRUE(gateway_.specs.empty());
}

}  // namespace
}  // namespace millrace::config
