#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "services/kinesis_world.hpp"

// tests/golden/<service>/<Operation>/<case>.json: what a request is answered, on a manual clock. A file has
//   given    steps before it: {"call": operation, "with": request} or {"advance_ms": n}
//   options  of the streams domain: create_delay_ms, ...
//   request  an object, or a text sent as it is
//   status, reply  what comes back; UPDATE_GOLDEN=1 writes them anew, and the diff is the review
// In requests ${ShardIterator}, ${SequenceNumber}, ${NextToken} and ${NextShardIterator} stand for the latest given
// step's member; in replies tokens are replaced by <token>.
namespace millrace::test {
namespace {

namespace fs = std::filesystem;

const fs::path kGolden = fs::path(MILLRACE_TEST_DATA) / ".." / "golden" / "kinesis";
const fs::path kOps = fs::path(MILLRACE_TEST_DATA) / ".." / ".." / "src" / "services" / "kinesis" / "ops";

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

constexpr const char* kVolatile[] = {"ShardIterator", "NextShardIterator", "NextToken"};

void normalise(Json& value) {
  if (value.is_object())
    for (auto& [key, member] : value.items()) {
      if (std::find(std::begin(kVolatile), std::end(kVolatile), key) != std::end(kVolatile) && member.is_string())
        member = "<token>";
      else
        normalise(member);
    }
  else if (value.is_array())
    for (Json& item : value) normalise(item);
}

std::string substituted(std::string text, const std::map<std::string, std::string>& known) {
  for (const auto& [name, value] : known) {
    const std::string hole = "${" + name + "}";
    for (std::size_t at = text.find(hole); at != text.npos; at = text.find(hole, at + value.size()))
      text.replace(at, hole.size(), value);
  }
  return text;
}

std::string request_text(const Json& request, const std::map<std::string, std::string>& known) {
  return substituted(request.is_string() ? request.get<std::string>() : request.dump(), known);
}

class Golden : public ::testing::TestWithParam<std::string> {};

TEST_P(Golden, ReplyIsAsRecorded) {
  const fs::path path = kGolden / (GetParam() + ".json");
  Json file = Json::parse(text_of(path));
  const std::string operation = path.parent_path().filename().string();
  streams::Options options;
  if (file.contains("options")) {
    options.create_delay = std::chrono::milliseconds(file["options"].value("create_delay_ms", 0));
    options.update_delay = std::chrono::milliseconds(file["options"].value("update_delay_ms", 0));
    options.delete_delay = std::chrono::milliseconds(file["options"].value("delete_delay_ms", 0));
  }
  KinesisWorld world(options);
  std::map<std::string, std::string> known;
  for (const Json& step : file.value("given", Json::array())) {
    if (step.contains("advance_ms")) {
      world.clock.advance(std::chrono::milliseconds(step["advance_ms"].get<int>()));
      continue;
    }
    const Answer answer = world.call_text(step["call"].get<std::string>(), request_text(step["with"], known));
    ASSERT_EQ(answer.status, 200) << "a given step failed: " << answer.body;
    if (answer.body.empty()) continue;
    const Json given = answer.json();
    for (const auto& [key, value] : given.items())
      if (value.is_string()) known[key] = value.get<std::string>();
  }
  const Answer answer = world.call_text(operation, request_text(file["request"], known));
  Json reply = answer.body.empty() ? Json("") : answer.json();
  normalise(reply);
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
INSTANTIATE_TEST_SUITE_P(Kinesis, Golden, ::testing::ValuesIn(cases()), case_name);

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

TEST(OperationTable, EveryOperationHasItsSourceAGoldenReplyAndARejection) {
  const auto operations = services::find_service("kinesis")->operations;
  ASSERT_FALSE(operations.empty());
  for (const services::Operation* operation : operations) {
    const std::string name(operation->name);
    SCOPED_TRACE(name);
    const std::string source = text_of(kOps / (snake(name) + ".cpp"));
    EXPECT_NE(
        source.find("\n// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_" + name + ".html\n"),
        source.npos);
    int replies = 0, rejections = 0;
    if (fs::exists(kGolden / name))
      for (const auto& entry : fs::directory_iterator(kGolden / name)) {
        const Json file = Json::parse(text_of(entry.path()));
        (file.value("status", 0) == 200 ? replies : rejections) += file.contains("status");
      }
    EXPECT_GE(replies, 1);
    EXPECT_GE(rejections, 1);
  }
}

TEST(OperationTable, NamesAreUniqueAndFound) {
  for (const services::Service& service : services::all_services())
    for (const services::Operation* operation : service.operations) EXPECT_EQ(service.find(operation->name), operation);
  EXPECT_EQ(services::find_service("kinesis")->find("NoSuchOperation"), nullptr);
  EXPECT_EQ(services::find_service_by_target("Kinesis_20131202"), services::find_service("kinesis"));
}

TEST(KnownServices, AreFoundByTargetPrefixAndSigningName) {
  EXPECT_TRUE(services::known_unserved_service("DynamoDB_20120810"));
  EXPECT_TRUE(services::known_unserved_service("s3"));
  EXPECT_TRUE(services::known_unserved_service("GraniteServiceVersion20100801"));
  EXPECT_FALSE(services::known_unserved_service(""));
  EXPECT_FALSE(services::known_unserved_service("nosuchservice"));
  for (const services::Service& service : services::all_services())
    EXPECT_FALSE(services::known_unserved_service(service.name));
}

}  // namespace
}  // namespace millrace::test
