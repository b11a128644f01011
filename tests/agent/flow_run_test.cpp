#include "agent/flow_run.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/checkpoints.hpp"
#include "millrace/codec/base64.hpp"
#include "support/temporary_directory.hpp"

namespace millrace::agent {
namespace {

using namespace std::chrono_literals;
using Json = nlohmann::json;
using testing::ElementsAre;

/// An agent whose destination is a function, and whose time only passes as it waits.
class Sending : public testing::Test {
 protected:
  Sending() {
    flow_.file_pattern = (directory_.path() / "log").string();
    flow_.destination = "s";
    flow_.from_start = true;
    settings_.metrics = false;
    settings_.checkpoints = directory_.path() / "checkpoints";
  }
  void write(int first, int last) {
    std::ofstream file(flow_.file_pattern, std::ios::app);
    for (int i = first; i < last; ++i) file << i << "\n";
  }
  Answer call(Service service, std::string_view operation, const std::string& body) {
    const Json asked = Json::parse(body);
    if (service == Service::monitoring) {
      metrics_.push_back(asked);
      return {200, "{}"};
    }
    EXPECT_EQ(operation, flow_.firehose ? "PutRecordBatch" : "PutRecords");
    EXPECT_EQ(asked[flow_.firehose ? "DeliveryStreamName" : "StreamName"], "s");
    std::vector<std::string> data;
    for (const Json& record : asked["Records"]) {
      data.push_back(*codec::base64::decode(record["Data"].get<std::string>()));
      keys_.push_back(record.value("PartitionKey", ""));
    }
    calls_.push_back(data);
    return answer_(data);
  }
  static Answer taken(const std::vector<std::string>& data, const std::function<bool(const std::string&)>& refused = {},
                      const char* list = "Records") {
    Json results = Json::array();
    for (const std::string& one : data)
      results.push_back(refused && refused(one)
                            ? Json{{"ErrorCode", "ProvisionedThroughputExceededException"}, {"ErrorMessage", "x"}}
                            : Json{{"SequenceNumber", "1"}});
    return {200, Json{{list, results}}.dump()};
  }
  /// Runs for so long, then ends.
  void run(std::chrono::milliseconds time) {
    const TimePoint until = now_ + time;
    Dependencies dependencies{[this] { return now_; }, *random_, *files_,
                              [this](Service service, std::string_view operation, std::string body) {
                                return call(service, operation, body);
                              },
                              [this, until](std::chrono::milliseconds pause) {
                                now_ += std::max(pause, 1ms);
                                return now_ < until;
                              }};
    settings_.flows = {flow_};
    EXPECT_EQ(agent::run(settings_, dependencies), "");
  }
  std::vector<std::string> all() const {
    std::vector<std::string> out;
    for (const auto& one : calls_) out.insert(out.end(), one.begin(), one.end());
    return out;
  }

  test::TemporaryDirectory directory_;
  TimePoint now_ = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  std::unique_ptr<Random> random_ = make_seeded_random(3);
  std::unique_ptr<Files> files_ = make_system_files();
  Flow flow_;
  Settings settings_;
  std::function<Answer(const std::vector<std::string>&)> answer_ = [](const auto& data) { return taken(data); };
  std::vector<std::vector<std::string>> calls_;
  std::vector<std::string> keys_;
  std::vector<Json> metrics_;
};

TEST_F(Sending, WhenThereIsEnoughOrItIsOldEnough) {
  flow_.records_max = 4;
  flow_.age_max = 2s;
  write(0, 10);
  run(1s);
  EXPECT_EQ(calls_.size(), 3u) << "two that are full, and the rest at the end";
  calls_.clear();
  write(10, 11);
  run(1'900ms);
  EXPECT_THAT(all(), ElementsAre("10\n")) << "sent at the end";
  calls_.clear();
  flow_.bytes_max = 7;
  flow_.records_max = 500;
  write(11, 16);
  run(3s);
  EXPECT_THAT(calls_, ElementsAre(ElementsAre("11\n", "12\n"), ElementsAre("13\n", "14\n"), ElementsAre("15\n")));
  calls_.clear();
  run(10s);
  EXPECT_TRUE(calls_.empty()) << "nothing twice";
}

TEST_F(Sending, WhatIsRefusedIsSentAgainAndNothingElse) {
  flow_.records_max = 5;
  write(0, 5);
  int times = 0;
  answer_ = [&](const auto& data) {
    ++times;
    return taken(data, [&](const std::string& one) { return times < 3 && (one == "1\n" || one == "3\n"); });
  };
  run(30s);
  ASSERT_GE(calls_.size(), 3u);
  EXPECT_EQ(calls_[1], (std::vector<std::string>{"1\n", "3\n"}));
  EXPECT_EQ(calls_[2], (std::vector<std::string>{"1\n", "3\n"}));
  calls_.clear();
  run(30s);
  EXPECT_TRUE(calls_.empty());
}

TEST_F(Sending, AnEndpointThatIsNotThereIsWaitedForAndNothingIsForgotten) {
  flow_.records_max = 10;
  write(0, 1000);
  answer_ = [](const auto&) { return Answer{0, "cannot reach"}; };
  run(60s);
  EXPECT_LT(calls_.size(), 30u) << "not without a pause";
  for (const auto& one : calls_) EXPECT_EQ(one, calls_[0]);
  for (const char* wrong : {"", "[]", "{}", R"({"Records":[{}]})"}) {
    answer_ = [wrong](const auto&) { return Answer{200, wrong}; };
    run(5s);
  }
  answer_ = [](const auto&) { return Answer{400, R"({"__type":"ResourceNotFoundException","message":"x"})"}; };
  run(5s);
  calls_.clear();
  answer_ = [](const auto& data) { return taken(data); };
  run(60s);
  const std::vector<std::string> sent = all();
  ASSERT_EQ(sent.size(), 1000u);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(sent[static_cast<std::size_t>(i)], std::to_string(i) + "\n");
}

TEST_F(Sending, HoldsNoMoreThanTwoCalls) {
  flow_.records_max = 10;
  flow_.bytes_max = 100;
  write(0, 1000);
  Dependencies dependencies{[this] { return now_; },
                            *random_,
                            *files_,
                            [](Service, std::string_view, std::string) {
                              return Answer{500, ""};
                            },
                            {}};
  FlowRun flow(flow_, nullptr, dependencies);
  for (int i = 0; i < 100; ++i) now_ = std::max(now_ + 1ms, flow.step(now_));
  const auto marks = flow.marks();
  ASSERT_EQ(marks.size(), 1u);
  EXPECT_EQ(marks[0].offset, 0u);
  EXPECT_GT(flow.waiting_bytes(), 100u);
  EXPECT_LE(flow.waiting_bytes(), 200u);
}

TEST_F(Sending, KeysAreByChanceOrTheRecords) {
  write(0, 3);
  run(1s);
  ASSERT_EQ(keys_.size(), 3u);
  EXPECT_NE(keys_[0], keys_[1]);
  keys_.clear();
  flow_.deterministic_keys = true;
  write(0, 1);
  run(1s);
  EXPECT_THAT(keys_, ElementsAre("897316929176464ebc9ad085f31e7284"));  // MD5 of "0\n"
}

TEST_F(Sending, FirehoseIsAskedInItsWords) {
  flow_.firehose = true;
  answer_ = [](const auto& data) { return taken(data, {}, "RequestResponses"); };
  write(0, 2);
  run(1s);
  EXPECT_THAT(all(), ElementsAre("0\n", "1\n"));
  EXPECT_THAT(keys_, ElementsAre("", ""));
}

TEST_F(Sending, TellsCloudWatchWhatItDid) {
  settings_.metrics = true;
  write(0, 2);
  answer_ = [](const auto& data) { return taken(data, [](const std::string& one) { return one == "1\n"; }); };
  run(500ms);
  ASSERT_EQ(metrics_.size(), 1u);
  EXPECT_EQ(metrics_[0]["Namespace"], "AWSKinesisAgent");
  std::map<std::string, std::uint64_t> values;
  for (const Json& one : metrics_[0]["MetricData"]) {
    values[one["MetricName"]] = one["Value"];
    EXPECT_EQ(one["Dimensions"][0], (Json{{"Name", "KinesisStream"}, {"Value", "s"}}));
  }
  EXPECT_EQ(values["BytesSent"], 2u);
  EXPECT_EQ(values["RecordSendAttempts"], values["RecordSendErrors"] + 1);
}

TEST_F(Sending, CheckpointsThatAreNoneEndIt) {
  std::ofstream(settings_.checkpoints) << "SQLite format 3";
  settings_.flows = {flow_};
  Dependencies dependencies{[this] { return now_; }, *random_, *files_, {}, {}};
  EXPECT_EQ(agent::run(settings_, dependencies),
            settings_.checkpoints.string() + " is no file of checkpoints that this agent has written");
}

}  // namespace
}  // namespace millrace::agent
