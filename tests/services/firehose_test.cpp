
#include "services/firehose/common.hpp"
#include "services/firehose_world.hpp"
#include "services/golden_files.hpp"

// tests/golden/firehose/<Operation>/<case>.json: what a request is answered, on a manual clock. A file has
//   given    steps before it, all Firehose's: {"call": operation, "with": request} or {"advance_ms": n}; the Kinesis
//            stream `clicks` is there
//   options  of delivery: create_delay_ms, delete_delay_ms
//   request  an object, or a text sent as it is
//   patch    for CreateDeliveryStream: a JSON merge patch onto a request that is taken, in place of `request`
//   status, reply  what comes back; UPDATE_GOLDEN=1 writes them anew, and the diff is the review
namespace millrace::test {
namespace {

std::string request_text(const Json& file) {
  if (file.contains("patch")) {
    Json request = delivery_stream("to-lake");
    request.merge_patch(file["patch"]);
    return request.dump();
  }
  return file["request"].is_string() ? file["request"].get<std::string>() : file["request"].dump();
}

class FirehoseGolden : public ::testing::TestWithParam<std::string> {};

TEST_P(FirehoseGolden, ReplyIsAsRecorded) {
  const fs::path path = golden_folder("firehose") / (GetParam() + ".json");
  Json file = Json::parse(text_of(path));
  delivery::Options options;
  if (file.contains("options")) {
    options.create_delay = std::chrono::milliseconds(file["options"].value("create_delay_ms", 0));
    options.delete_delay = std::chrono::milliseconds(file["options"].value("delete_delay_ms", 0));
  }
  FirehoseWorld world(options);
  world.create("clicks", 2);
  for (const Json& step : file.value("given", Json::array())) {
    if (step.contains("advance_ms")) {
      world.clock.advance(std::chrono::milliseconds(step["advance_ms"].get<int>()));
      continue;
    }
    Json with = step.value("with", Json());
    if (step.contains("patch")) {
      with = delivery_stream("to-lake");
      with.merge_patch(step["patch"]);
    }
    const Answer answer = world.call_firehose(step["call"].get<std::string>(), with);
    ASSERT_EQ(answer.status, 200) << "a given step failed: " << answer.body;
  }
  const Answer answer = world.call_firehose_text(path.parent_path().filename().string(), request_text(file));
  const Json reply = answer.body.empty() ? Json("") : answer.json();
  expect_golden(path, std::move(file), answer.status, reply);
}

INSTANTIATE_TEST_SUITE_P(Firehose, FirehoseGolden, ::testing::ValuesIn(golden_cases("firehose")), golden_case_name);

TEST(FirehoseTable, EveryOperationHasItsSourceAGoldenReplyAndARejection) {
  expect_every_operation_is_documented("firehose");
}

TEST(Firehose, DeliversWhatIsPutAfterCreateDeliveryStream) {
  FirehoseWorld world;
  world.create("clicks", 2);
  world.put("clicks", "k", "before");
  Json request = delivery_stream("to-lake");
  request["ExtendedS3DestinationConfiguration"]["Prefix"] = "raw/";
  request["ExtendedS3DestinationConfiguration"]["ProcessingConfiguration"] = {
      {"Enabled", true},
      {"Processors",
       Json::array({{{"Type", "AppendDelimiterToRecord"},
                     {"Parameters", Json::array({{{"ParameterName", "Delimiter"}, {"ParameterValue", "\\r\\n"}}})}}})}};
  ASSERT_EQ(world.call_firehose("CreateDeliveryStream", request).status, 200);
  world.put("clicks", "k", "{\"n\":1}");
  world.put("clicks", "k", "{\"n\":2}");
  const auto failures = test::run(world.io, world.delivery->flush(std::chrono::steady_clock::now() + kPatience));
  EXPECT_TRUE(failures.empty());
  const fs::path hour = "data/s3/datalake/raw/2026/01/01/00";
  const auto names = world.files->list(hour);
  ASSERT_TRUE(names);
  ASSERT_EQ(names->size(), 1u);
  EXPECT_TRUE(names->front().starts_with("to-lake-1-2026-01-01-00-00-00-"));
  EXPECT_EQ(*world.files->read_all(hour / names->front(), 100), "{\"n\":1}\r\n{\"n\":2}\r\n");
}

TEST(Firehose, DelimiterEscapesStandForTheirCharacters) {
  using services::firehose::unescape_delimiter;
  EXPECT_EQ(unescape_delimiter("\\n"), "\n");
  EXPECT_EQ(unescape_delimiter("\n"), "\n");
  EXPECT_EQ(unescape_delimiter("a\\r\\t\\\\n"), "a\r\t\\n");
  EXPECT_EQ(unescape_delimiter("\\x\\"), "\\x\\");
  EXPECT_EQ(unescape_delimiter("||"), "||");
}

}  // namespace
}  // namespace millrace::test
