
#include <regex>

#include "services/golden_files.hpp"

// tests/golden/<service>/<Operation>/<case>.json: what a request is answered, on a manual clock. A file has
//   given    steps before it: {"call": operation, "with": request} or {"advance_ms": n}
//   options  of the streams domain: create_delay_ms, ...
//   request  an object, or a text sent as it is
//   then     of operations that push: steps as in given, while their reply is held open
//   status, reply  what comes back; UPDATE_GOLDEN=1 writes them anew, and the diff is the review
// In requests ${ShardIterator}, ${SequenceNumber}, ${NextToken} and ${NextShardIterator} stand for the latest given
// step's member; in replies tokens are replaced by <token>.
namespace millrace::test {
namespace {

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

using services::Wire;

/// A text that is JSON goes over CBOR as the same; any other as bytes that are no CBOR either.
Answer call(KinesisWorld& world, std::string_view operation, const std::string& text, Wire wire) {
  if (wire == Wire::json) return world.call_text(operation, text);
  const Json request = Json::parse(text, nullptr, false);
  return world.call_cbor(operation, request.is_discarded() ? "\xa1" : cbor_of(request));
}

struct Played {
  int status;
  Json reply;
};

/// The first one that was refused.
std::optional<Played> take_steps(KinesisWorld& world, const Json& steps, std::map<std::string, std::string>& known,
                                 Wire wire) {
  for (const Json& step : steps) {
    if (step.contains("advance_ms")) {
      world.clock.advance(std::chrono::milliseconds(step["advance_ms"].get<int>()));
      settle(world.io);
      continue;
    }
    const Answer answer = call(world, step["call"].get<std::string>(), request_text(step["with"], known), wire);
    EXPECT_EQ(answer.status, 200) << "a step failed: " << answer.body;
    if (answer.status != 200) return Played{answer.status, answer.json()};
    settle(world.io);
    if (answer.body.empty()) continue;
    const Json given = answer.json();
    for (const auto& [key, value] : given.items())
      if (value.is_string()) known[key] = value.get<std::string>();
  }
  return std::nullopt;
}

Played play(const Json& file, const std::string& operation, Wire wire) {
  streams::Options options;
  if (file.contains("options")) {
    options.create_delay = std::chrono::milliseconds(file["options"].value("create_delay_ms", 0));
    options.update_delay = std::chrono::milliseconds(file["options"].value("update_delay_ms", 0));
    options.delete_delay = std::chrono::milliseconds(file["options"].value("delete_delay_ms", 0));
  }
  KinesisWorld world(options);
  std::map<std::string, std::string> known;
  if (std::optional<Played> failed = take_steps(world, file.value("given", Json::array()), known, wire)) return *failed;
  if (file.contains("then")) {
    const std::string text = request_text(file["request"], known);
    const auto held = world.hold(operation, wire == Wire::json ? text : cbor_of(Json::parse(text)), wire);
    if (!held) return {0, {}};
    if (std::optional<Played> failed = take_steps(world, file["then"], known, wire)) return *failed;
    held->settle();
    return {200, held->json()};
  }
  const Answer answer = call(world, operation, request_text(file["request"], known), wire);
  Json reply = answer.body.empty() ? Json("") : answer.json();
  normalise(reply);
  return {answer.status, std::move(reply)};
}

class Golden : public ::testing::TestWithParam<std::string> {
 protected:
  const fs::path path = golden_folder("kinesis") / (GetParam() + ".json");
  const std::string operation = path.parent_path().filename().string();
};

TEST_P(Golden, ReplyIsAsRecorded) {
  Json file = Json::parse(text_of(path));
  const Played played = play(file, operation, Wire::json);
  expect_golden(path, std::move(file), played.status, played.reply);
}

/// A structure that AWS shows by its class and hash has another hash on another wire.
std::string without_hashes(const Json& reply) {
  static const std::regex hash("Entry@[0-9a-f]+");
  return std::regex_replace(reply.dump(2), hash, "Entry@<hash>");
}

TEST_P(Golden, CborIsAnsweredAsJsonIs) {
  const Json file = Json::parse(text_of(path));
  const Played played = play(file, operation, Wire::cbor);
  EXPECT_EQ(file["status"], played.status);
  EXPECT_EQ(without_hashes(file["reply"]), without_hashes(played.reply));
}

INSTANTIATE_TEST_SUITE_P(Kinesis, Golden, ::testing::ValuesIn(golden_cases("kinesis")), golden_case_name);

TEST(OperationTable, EveryOperationHasItsSourceAGoldenReplyAndARejection) {
  expect_every_operation_is_documented("kinesis");
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
  EXPECT_TRUE(services::known_unserved_service("AmazonAthena"));
  EXPECT_FALSE(services::known_unserved_service(""));
  EXPECT_FALSE(services::known_unserved_service("nosuchservice"));
  for (const services::Service& service : services::all_services())
    EXPECT_FALSE(services::known_unserved_service(service.name));
}

}  // namespace
}  // namespace millrace::test
