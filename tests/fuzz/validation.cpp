// Every operation of Kinesis and Firehose on any body: it answers in AWS's words, and reading the body in its two ways
// comes to the same. The first byte picks the operation, the second lets time pass; the rest is the body.
#include "fuzz/fuzz.hpp"
#include "fuzz/operations.hpp"
#include "fuzz/quiet.hpp"
#include "services/firehose_world.hpp"

namespace millrace::test {
namespace {

using fuzz::require;

using Worlds = fuzz::TwoWorlds<FirehoseWorld>;

std::unique_ptr<Worlds> make_worlds() {
  auto worlds = std::make_unique<Worlds>(delivery::Options{}, Worlds::options(), Worlds::kMemory);
  for (FirehoseWorld* world : {&worlds->plain, &worlds->other})
    require(world->call_firehose("CreateDeliveryStream", delivery_stream("d")).status == 200, "a world can be made");
  return worlds;
}

struct Called {
  bool firehose;
  std::string_view name;
};
const std::vector<Called>& operations() {
  static const std::vector<Called> all = [] {
    std::vector<Called> list;
    for (const char* service : {"kinesis", "firehose"})
      for (const std::string_view name : fuzz::operation_names(service))
        list.push_back({std::string_view(service) == "firehose", name});
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

void check(fuzz::Input& input) {
  Worlds& worlds = fuzz::worlds_of_run<Worlds>(make_worlds);
  const Called& called = operations()[input.byte() % operations().size()];
  const std::chrono::milliseconds passed{input.byte() * 10};
  std::string body(input.rest());
  if (body.empty()) body = "{}";  // the front answers an empty one
  worlds.advance(passed);
  if (called.firehose) {
    const Answer answer = worlds.plain.call_firehose_text(called.name, body);
    fuzz::check_answer(answer.status, answer.body, called.name);
    require(worlds.other.call_firehose_text(called.name, body).body == answer.body, "the same gives the same");
  } else {
    const Answer answer = worlds.plain.call_text(called.name, body);
    fuzz::check_answer(answer.status, answer.body, called.name);
    const bool puts = called.name == "PutRecord" || called.name == "PutRecords";
    const Answer other = worlds.other.call_text(called.name, puts ? made_unusual(body) : body);
    require(other.status == answer.status && other.body == answer.body, "both ways to read a body come to the same");
  }
  require(worlds.plain.streams->open_shards() <= Worlds::kShardsMax, "shards have a limit");
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
