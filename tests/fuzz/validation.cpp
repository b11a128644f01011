// Every operation of Kinesis and Firehose on any body: it answers in AWS's words, and reading the body in its two ways
// comes to the same. The first byte picks the operation, the second lets time pass; the rest is the body.
#include <algorithm>
#include <set>

#include "fuzz/fuzz.hpp"
#include "fuzz/quiet.hpp"
#include "services/firehose_world.hpp"

namespace millrace::test {
namespace {

using fuzz::require;

constexpr int kRunsMax = 3000;  // with one pair of worlds

/// Two worlds that go through the same.
struct Worlds {
  static streams::Options options() {
    streams::Options out;
    out.shards_max = 24;
    return out;
  }
  static constexpr std::size_t kMemory = 48u << 20;
  FirehoseWorld plain{delivery::Options{}, options(), kMemory};
  FirehoseWorld other{delivery::Options{}, options(), kMemory};
  Worlds() {
    for (FirehoseWorld* world : {&plain, &other}) {
      world->create("s", 3);
      world->create("clicks");
      require(world->call_firehose("CreateDeliveryStream", delivery_stream("d")).status == 200, "a world can be made");
    }
  }
};

std::unique_ptr<Worlds> worlds;
int runs = 0;

struct Called {
  bool firehose;
  std::string_view name;
};
const std::vector<Called>& operations() {
  static const std::vector<Called> all = [] {
    std::vector<Called> list;
    for (const char* service : {"kinesis", "firehose"})
      for (const services::Operation* operation : services::find_service(service)->operations)
        list.push_back({std::string_view(service) == "firehose", operation->name});
    std::sort(list.begin(), list.end(),
              [](const Called& a, const Called& b) { return a.firehose != b.firehose ? b.firehose : a.name < b.name; });
    return list;
  }();
  return all;
}

/// A member whose value has an escape makes PutRecord and PutRecords read the whole by the table.
std::string made_unusual(std::string text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos || text[first] != '{') return text;
  const std::size_t next = text.find_first_not_of(" \t\r\n", first + 1);
  text.insert(first + 1,
              next != std::string::npos && text[next] == '}' ? R"("StreamId":"\u0061")" : R"("StreamId":"\u0061",)");
  return text;
}

void check_answer(const Answer& answer, std::string_view operation) {
  static const std::set<std::string> kTypes{
      "SerializationException",    "ValidationException",       "InvalidArgumentException",
      "ResourceNotFoundException", "ResourceInUseException",    "LimitExceededException",
      "ExpiredIteratorException",  "ExpiredNextTokenException", "ProvisionedThroughputExceededException"};
  require(answer.status == 200 || answer.status == 400, "an answer is a success or the client's fault");
  if (answer.status == 200 && answer.body.empty()) return;
  require(Json::accept(answer.body), "an answer is JSON");
  if (answer.status == 400 && !kTypes.contains(answer.type()))
    std::fprintf(stderr, "%.*s: %s\n", static_cast<int>(operation.size()), operation.data(), answer.body.c_str());
  if (answer.status == 400) require(kTypes.contains(answer.type()), "an error has one of AWS's types");
}

void check(fuzz::Input& input) {
  if (!worlds || ++runs > kRunsMax) {
    worlds.reset();
    worlds = std::make_unique<Worlds>();
    runs = 0;
  }
  const Called& called = operations()[input.byte() % operations().size()];
  const std::chrono::milliseconds passed{input.byte() * 10};
  std::string body(input.rest());
  if (body.empty()) body = "{}";  // the front answers an empty one
  worlds->plain.clock.advance(passed);
  worlds->other.clock.advance(passed);
  if (called.firehose) {
    const Answer answer = worlds->plain.call_firehose_text(called.name, body);
    check_answer(answer, called.name);
    require(worlds->other.call_firehose_text(called.name, body).body == answer.body, "the same gives the same");
  } else {
    const Answer answer = worlds->plain.call_text(called.name, body);
    check_answer(answer, called.name);
    const bool puts = called.name == "PutRecord" || called.name == "PutRecords";
    const Answer other = worlds->other.call_text(called.name, puts ? made_unusual(body) : body);
    require(other.status == answer.status && other.body == answer.body, "both ways to read a body come to the same");
  }
  require(worlds->plain.streams->open_shards() <= Worlds::options().shards_max, "shards have a limit");
}

}  // namespace
}  // namespace millrace::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz::quiet();
  testing::GTEST_FLAG(throw_on_failure) = true;
  millrace::fuzz::Input input(data, size);
  millrace::test::check(input);
  return 0;
}
