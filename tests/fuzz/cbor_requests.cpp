// Every operation of Kinesis on any body in CBOR: it answers in AWS's words and AWS's CBOR, and reading the body in its
// two ways comes to the same. The input is the operation's name, a line end, a byte that lets time pass; the rest is
// the body.
#include "fuzz/fuzz.hpp"
#include "fuzz/operations.hpp"
#include "fuzz/quiet.hpp"
#include "services/kinesis_world.hpp"

namespace millrace::test {
namespace {

using fuzz::require;

using Worlds = fuzz::TwoWorlds<KinesisWorld>;

/// A member whose text comes in pieces makes PutRecord and PutRecords read the whole by the table.
std::string made_unusual(std::string body) {
  constexpr std::string_view kMember = "\x68StreamId\x7f\x61\x61\x61\x62\xff";
  const auto head = body.empty() ? 0 : static_cast<unsigned char>(body[0]);
  if (head >= 0xa0 && head < 0xb7)
    ++body[0];
  else if (head != 0xbf)
    return body;
  return body.insert(1, kMember);
}

void check(fuzz::Input& input) {
  const auto make = [] { return std::make_unique<Worlds>(Worlds::options(), nullptr, Worlds::kMemory); };
  Worlds& worlds = fuzz::worlds_of_run<Worlds>(make);
  static const std::vector<std::string_view> operations = fuzz::operation_names("kinesis");
  std::string_view operation = input.until('\n');
  if (!std::binary_search(operations.begin(), operations.end(), operation))
    operation = operations[operation.size() % operations.size()];
  const std::chrono::milliseconds passed{input.byte() * 10};
  const std::string body = input.empty() ? "\xa0" : std::string(input.rest());  // the front answers an empty one
  worlds.advance(passed);
  const Answer answer = worlds.plain.call_cbor(operation, body);
  fuzz::check_answer(answer.status, answer.body, operation);
  const bool puts = operation == "PutRecord" || operation == "PutRecords";
  const Answer other = worlds.other.call_cbor(operation, puts ? made_unusual(body) : body);
  require(other.status == answer.status && other.body == answer.body, "both ways to read a body come to the same");
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
