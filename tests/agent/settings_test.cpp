#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/checkpoints.hpp"
#include "millrace/agent/agent.hpp"

namespace millrace::agent {
namespace {

using testing::ElementsAre;

std::vector<std::string> mistakes(std::string_view text) {
  auto parsed = parse_settings(text, "/etc/agent.json");
  return std::holds_alternative<Settings>(parsed) ? std::vector<std::string>{} : std::get<1>(parsed);
}
/// Of one flow with these members beside what it needs.
std::vector<std::string> flow_mistakes(const std::string& members) {
  return mistakes(R"({"flows":[{"filePattern":"/a","kinesisStream":"s",)" + members + "}]}");
}
std::vector<std::string> processing_mistakes(const std::string& members) {
  return flow_mistakes(R"("dataProcessingOptions":[{)" + members + "}]");
}

TEST(AgentSettings, AreTheAgentsOwn) {
  const auto parsed = parse_settings(R"j({
    "cloudwatch.emitMetrics": false, "kinesis.endpoint": "http://a:1", "firehose.endpoint": "", "checkpointFile": "/var/c",
    "awsAccessKeyId": "id", "awsSecretAccessKey": "secret",
    "flows": [
      {"filePattern": "/tmp/app.log*", "kinesisStream": "s", "partitionKeyOption": "DETERMINISTIC", "initialPosition": "START_OF_FILE",
       "maxBufferAgeMillis": 1000, "maxBufferSizeBytes": 7, "maxBufferSizeRecords": 3, "minTimeBetweenFilePollsMillis": 5,
       "multiLineStartPattern": "^\\d+", "skipHeaderLines": 2, "truncatedRecordTerminator": "!"},
      {"filePattern": "/tmp/b", "deliveryStream": "d", "dataProcessingOptions": [
        {"optionName": "SINGLELINE"}, {"optionName": "CSVTOJSON", "customFieldNames": ["a"], "delimiter": "\t"},
        {"optionName": "LOGTOJSON", "logFormat": "SYSLOG"},
        {"optionName": "LOGTOJSON", "logFormat": "SYSLOG", "matchPattern": "(a)(b)", "customFieldNames": ["x", "y"]}]}]})j",
                                     "/etc/agent.json");
  ASSERT_TRUE(std::holds_alternative<Settings>(parsed)) << std::get<1>(parsed)[0];
  const Settings& settings = std::get<Settings>(parsed);
  EXPECT_FALSE(settings.metrics);
  EXPECT_EQ(settings.kinesis_endpoint, "http://a:1");
  EXPECT_EQ(settings.checkpoints, "/var/c");
  EXPECT_EQ(settings.access_key_id + settings.secret_access_key, "idsecret");
  const Flow& one = settings.flows[0];
  EXPECT_TRUE(one.from_start && one.deterministic_keys && !one.firehose);
  EXPECT_EQ(one.age_max, std::chrono::milliseconds{1000});
  EXPECT_EQ(one.poll, std::chrono::milliseconds{5});
  EXPECT_EQ(one.bytes_max, 7u);
  EXPECT_EQ(one.records_max, 3u);
  EXPECT_EQ(one.skip_lines, 2u);
  EXPECT_EQ(one.terminator + one.start_pattern, "!^\\d+");
  const Flow& two = settings.flows[1];
  EXPECT_TRUE(two.firehose && !two.from_start);
  EXPECT_EQ(two.age_max, std::chrono::minutes{1});
  ASSERT_EQ(two.processing.size(), 4u);
  EXPECT_EQ(two.processing[1].delimiter, "\t");
  EXPECT_THAT(two.processing[2].field_names, ElementsAre("timestamp", "hostname", "program", "processid", "message"));
  EXPECT_THAT(two.processing[3].field_names, ElementsAre("x", "y"));
}

TEST(AgentSettings, EachMistakeIsNamed) {
  EXPECT_THAT(mistakes("{\n\"flows\": [}"), ElementsAre("line 2 is no JSON"));
  EXPECT_THAT(mistakes("[]"), ElementsAre("is no JSON object"));
  EXPECT_THAT(mistakes("{}"), ElementsAre("flows must be a list of what to follow"));
  EXPECT_THAT(mistakes(R"({"flows":[]})"), ElementsAre("flows must be a list of what to follow"));
  EXPECT_THAT(mistakes(R"({"flows":[1]})"), ElementsAre("flows[0] must be an object"));
  EXPECT_THAT(mistakes(R"({"flows":[{}]})"),
              ElementsAre("flows[0].filePattern must say which files to follow",
                          "flows[0].kinesisStream or deliveryStream must be there, and not both"));
  EXPECT_THAT(mistakes(R"({"flow":[], "assumeRoleARN":"x", "flows":[{"filePattern":"a*","deliveryStream":"d"}]})"),
              ElementsAre("assumeRoleARN is not available here: leave it out",
                          "flow is not known; did you mean 'flows'?", "flows[0].filePattern must be an absolute path"));
  EXPECT_THAT(mistakes(R"({"awsAccessKeyId":"x","flows":[{"filePattern":"/a","kinesisStream":"s"}]})"),
              ElementsAre("awsAccessKeyId and awsSecretAccessKey are only for each other: say both, or neither"));
  EXPECT_THAT(mistakes(R"({"cloudwatch.emitMetrics":1,"flows":[{"filePattern":"/a","kinesisStream":"s"}]})"),
              ElementsAre("cloudwatch.emitMetrics must be true or false"));
  EXPECT_THAT(
      mistakes(
          R"({"flows":[{"filePattern":"/a","kinesisStream":"s"},{"filePattern":"/a","kinesisStream":"s","skipHeaderLines":1}]})"),
      ElementsAre("flows[1].filePattern and its destination are there twice"));
  const std::pair<const char*, const char*> of_flows[] = {
      {R"("maxBufferAgeMillis":999)", "maxBufferAgeMillis must be a number from 1000 to 900000"},
      {R"("maxBufferSizeRecords":501)", "maxBufferSizeRecords must be a number from 1 to 500"},
      {R"("maxBufferSizeBytes":"1")", "maxBufferSizeBytes must be a number from 1 to 4194304"},
      {R"("minTimeBetweenFilePollsMillis":0)", "minTimeBetweenFilePollsMillis must be a number from 1 to 3600000"},
      {R"("skipHeaderLines":-1)", "skipHeaderLines must be a number from 0 to 1000000"},
      {R"("initialPosition":"MIDDLE")", "initialPosition must be one of START_OF_FILE, END_OF_FILE"},
      {R"("partitionKeyOption":"NONE")", "partitionKeyOption must be one of RANDOM, DETERMINISTIC"},
      {R"("truncatedRecordTerminator":5)", "truncatedRecordTerminator must be a text"},
      {R"("dataProcessingOptions":{})", "dataProcessingOptions must be a list, of at most 10"},
      {R"("colour":1)", "colour is not known"}};
  for (const auto& [members, text] : of_flows)
    EXPECT_THAT(flow_mistakes(members), ElementsAre(std::string("flows[0].") + text)) << members;
  ASSERT_EQ(flow_mistakes(R"("multiLineStartPattern":"(")").size(), 1u);
  EXPECT_THAT(flow_mistakes(R"("multiLineStartPattern":"(")")[0],
              testing::StartsWith("flows[0].multiLineStartPattern is no regular expression: "));
  const std::pair<const char*, const char*> of_processing[] = {
      {R"("optionName":"ADDMETADATA")", "optionName must be one of SINGLELINE, CSVTOJSON, LOGTOJSON"},
      {R"("optionName":"CSVTOJSON")", "customFieldNames must name the columns"},
      {R"("optionName":"CSVTOJSON","customFieldNames":[1])", "customFieldNames must be texts that are not empty"},
      {R"("optionName":"SINGLELINE","delimiter":",")", "delimiter is not for SINGLELINE"},
      {R"("optionName":"LOGTOJSON")", "logFormat must be there"},
      {R"("optionName":"LOGTOJSON","logFormat":"SYSLOG","customFieldNames":["a"])",
       "customFieldNames must be as many as the groups of the pattern: 5, not 1"},
      {R"j("optionName":"LOGTOJSON","logFormat":"SYSLOG","matchPattern":"(a)")j",
       "matchPattern must be as many as the groups of the pattern: 1, not 5"}};
  for (const auto& [members, text] : of_processing)
    EXPECT_THAT(processing_mistakes(members),
                testing::Contains(std::string("flows[0].dataProcessingOptions[0].") + text))
        << members;
}

TEST(AgentCheckpoints, ComeBackAsTheyWere) {
  const Checkpoints all{{"kinesis:s:/a", {{"/a", 1, UINT64_MAX, 12, 12, 3, "aa", "bb"}, {"/b", 2, 3, 0, 0, 0, "", ""}}},
                        {"firehose:d:/b", {}}};
  const auto read = read_checkpoints(write_checkpoints(all));
  ASSERT_TRUE(std::holds_alternative<Checkpoints>(read));
  EXPECT_EQ(std::get<Checkpoints>(read), all);
}

std::string with_number(const std::string& offset) {
  return R"({"version":1,"flows":{"f":[{"path":"/a","device":1,"inode":2,"offset":)" + offset +
         R"(,"head_bytes":0,"head":"","recent_bytes":0,"recent":""}]}})";
}

TEST(AgentCheckpoints, WhatIsNoneIsNotTakenForOne) {
  ASSERT_TRUE(std::holds_alternative<Checkpoints>(read_checkpoints(with_number("1"))));
  const std::string text = write_checkpoints({{"f", {{"/a", 1, 2, 12, 12, 3, "aa", "bb"}}}});
  for (const std::string& wrong :
       {std::string(), std::string("{}"), std::string("SQLite format 3"), text.substr(0, text.size() / 2),
        std::string(R"({"version":1,"flows":{"f":[{"path":"/a"}]}})"), std::string(R"({"version":1,"flows":{"f":3}})"),
        with_number("-1"), with_number("1.5"), with_number("1e300"), with_number("99999999999999999999999")})
    EXPECT_TRUE(std::holds_alternative<std::string>(read_checkpoints(wrong))) << wrong;
  EXPECT_EQ(std::get<std::string>(read_checkpoints(R"({"version":2})")),
            "is of version 2, which this agent does not know");
}

}  // namespace
}  // namespace millrace::agent
