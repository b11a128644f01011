#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "services/firehose/common.hpp"
#include "services/firehose_world.hpp"

// tests/golden/firehose/<Operation>/<case>.json: what a request is answered, on a manual clock. A file has
//   given    steps before it, all Firehose's: {"call": operation, "with": request} or {"advance_ms": n}; the Kinesis
//            stream `clicks` is there
//   options  of delivery: create_delay_ms, delete_delay_ms
//   request  an object, or a text sent as it is
//   patch    for CreateDeliveryStream: a JSON merge patch onto a request that is taken, in place of `request`
//   status, reply  what comes back; UPDATE_GOLDEN=1 writes them anew, and the diff is the review
namespace millrace::test {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(MILLRACE_TEST_DATA) / ".." / "golden" / "firehose";
const fs::path kOps = fs::path(MILLRACE_TEST_DATA) / ".." / ".." / "src" / "services" / "firehose" / "ops";

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

std::vector<std::string> cases() {
  std::vector<std::string> found;
  for (const auto& entry : fs::recursive_directory_iterator(kGolden))
    if (entry.path().extension() == ".json")
      found.push_back(entry.path().parent_path().filename().string() + "/" + entry.path().stem().string());
  std::sort(found.begin(), found.end());
  return found;
}

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
  const fs::path path = kGolden / (GetParam() + ".json");
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
  if (const char* update = std::getenv("UPDATE_GOLDEN"); update && *update == '1') {
    file["status"] = answer.status;
    file["reply"] = reply;
    std::ofstream(path, std::ios::binary) << file.dump(2) << "\n";
    return;
  }
  EXPECT_EQ(file["status"], answer.status);
  EXPECT_EQ(file["reply"].dump(2), reply.dump(2));
}

std::string case_name(const ::testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == '-' || c == '.'; }, '_');
  return name;
}
INSTANTIATE_TEST_SUITE_P(Firehose, FirehoseGolden, ::testing::ValuesIn(cases()), case_name);

std::string snake(std::string_view name) {
  std::string out;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') {
      if (!out.empty()) out += '_';
      c = static_cast<char>(c - 'A' + 'a');
    }
    out += c;
  }
  return out;
}

TEST(FirehoseTable, EveryOperationHasItsSourceAGoldenReplyAndARejection) {
  const auto operations = services::find_service("firehose")->operations;
  ASSERT_EQ(operations.size(), 4u);
  for (const services::Operation* operation : operations) {
    const std::string name(operation->name);
    SCOPED_TRACE(name);
    const std::string source = text_of(kOps / (snake(name) + ".cpp"));
    EXPECT_NE(
        source.find("\n// Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_" + name + ".html\n"),
        source.npos);
    int replies = 0, rejections = 0;
    for (const auto& entry : fs::directory_iterator(kGolden / name)) {
      const Json file = Json::parse(text_of(entry.path()));
      (file.value("status", 0) == 200 ? replies : rejections) += file.contains("status");
    }
    EXPECT_GE(replies, 1);
    EXPECT_GE(rejections, 1);
  }
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
