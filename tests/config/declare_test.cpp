#include "millrace/config/declare.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

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
  void stream(std::string members) { config_.streams.push_back({"events", std::move(members), 7}); }
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

TEST_F(Declare, TellsFileLineAndTheOperationsOwnError) {
  stream(R"({"StreamName":"events","ShardCount":0})");
  services_.fails("CreateStream", "ValidationException", "too few");
  auto notices = run();
  ASSERT_FALSE(notices);
  EXPECT_EQ(notices.error().detail, "millrace.yaml:7: stream 'events': CreateStream: ValidationException: too few");
}

TEST_F(Declare, ReadsTheCapitalMessageOfASerializationError) {
  stream(R"({"StreamName":"events"})");
  services_.answers["CreateStream"].push_back({400, R"({"__type":"SerializationException","Message":"not a string"})"});
  auto notices = run();
  ASSERT_FALSE(notices);
  EXPECT_THAT(notices.error().detail, HasSubstr("SerializationException: not a string"));
}

TEST_F(Declare, CreatesDeliveryStreamsAfterTheirSources) {
  stream(R"({"StreamName":"events"})");
  config_.delivery_streams.push_back({"to-s3", R"({"DeliveryStreamName":"to-s3"})", 9});
  services_.stream_is(1, 24);
  services_.delivery_is("CREATING");
  services_.delivery_is("ACTIVE");
  ASSERT_TRUE(run());
  EXPECT_THAT(services_.calls, ElementsAre(HasSubstr("CreateStream"), HasSubstr("DescribeStreamSummary"),
                                           R"(CreateDeliveryStream {"DeliveryStreamName":"to-s3"})",
                                           R"(DescribeDeliveryStream {"DeliveryStreamName":"to-s3"})",
                                           HasSubstr("DescribeDeliveryStream")));
}

TEST_F(Declare, RefusedDeliveryStreamIsNamed) {
  config_.delivery_streams.push_back({"to-s3", R"({"DeliveryStreamName":"to-s3"})", 9});
  services_.fails("CreateDeliveryStream", "InvalidArgumentException", "no compression yet");
  auto notices = run();
  ASSERT_FALSE(notices);
  EXPECT_EQ(
      notices.error().detail,
      "millrace.yaml:9: delivery stream 'to-s3': CreateDeliveryStream: InvalidArgumentException: no compression yet");
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

TEST(DeployApis, PassesTheFilesTextAndTheGatewaysOwnMessage) {
  std::string pattern = (std::filesystem::temp_directory_path() / "millrace-declare-XXXXXX").string();
  int descriptor = mkstemp(pattern.data());
  ASSERT_GE(descriptor, 0);
  ASSERT_EQ(::write(descriptor, "openapi: 3.0.1\n", 15), 15);
  ::close(descriptor);
  Config config;
  config.file = "millrace.yaml";
  config.apis.push_back({"ingest", "abcdefghij", pattern, {"PROD"}, 4});
  FakeGateway gateway;
  auto deployed = deploy_apis(config, gateway);
  ASSERT_TRUE(deployed);
  ASSERT_EQ(gateway.specs.size(), 1u);
  EXPECT_EQ(gateway.specs[0].openapi_text, "openapi: 3.0.1\n");
  EXPECT_EQ(gateway.specs[0].openapi_file, pattern);
  EXPECT_EQ(gateway.specs[0].stages, std::vector<std::string>{"PROD"});
  gateway.refusal = "api.yaml:3: no paths";
  auto refused = deploy_apis(config, gateway);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().detail, "api.yaml:3: no paths");
  std::filesystem::remove(pattern);
  auto gone = deploy_apis(config, gateway);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().detail, "millrace.yaml:4: API 'ingest': " + pattern + ": there is no such file");
}

}  // namespace
}  // namespace millrace::config
