// Shard iterators and page tokens, whole, damaged and made up. The first byte says which.
#include <algorithm>
#include <set>

#include "fuzz/fuzz.hpp"
#include "millrace/codec/json_reader.hpp"
#include "services/kinesis_world.hpp"

namespace millrace::test {
namespace {

using fuzz::require;

struct Tokens {
  KinesisWorld world;
  std::string streams[3] = {"a", "b.c", "d-e_f"};
  Tokens() {
    for (const std::string& name : streams) world.create(name, 3);
  }
};

const Tokens& tokens() {
  static Tokens made;
  return made;
}
KinesisWorld& world() { return const_cast<Tokens&>(tokens()).world; }

/// Changes some characters, cuts, or adds.
std::string damaged(std::string token, fuzz::Input& input) {
  while (!input.empty()) {
    const unsigned how = input.byte() % 4;
    const std::size_t at = token.empty() ? 0 : input.byte() % token.size();
    const char value = static_cast<char>(input.byte());
    if (how == 0 && !token.empty())
      token[at] = static_cast<char>(token[at] ^ (1 << (value & 7)));
    else if (how == 1 && !token.empty())
      token[at] = value;
    else if (how == 2)
      token.insert(at, 1, value);
    else if (!token.empty())
      token.erase(at, 1 + static_cast<unsigned char>(value) % 8);
  }
  return token;
}

/// An error of those that a bad token may give.
void check_refusal(const Answer& answer) {
  static const std::set<std::string> kTypes{"InvalidArgumentException",  "ExpiredIteratorException",
                                            "ExpiredNextTokenException", "ResourceNotFoundException",
                                            "ValidationException",       "SerializationException"};
  require(answer.status == 400 && kTypes.contains(answer.type()), "a bad token is refused in AWS's words");
}

void check_iterator(fuzz::Input& input) {
  const streams::IteratorCodec& codec = world().streams->iterators();
  streams::IteratorFields fields;
  fields.account = input.number();
  fields.incarnation = input.number();
  fields.shard_index = static_cast<std::uint32_t>(input.number(4));
  fields.next = log::Position{input.number()};
  fields.issued = TimePoint{std::chrono::milliseconds{static_cast<std::int64_t>(input.number())}};
  std::string token(streams::IteratorCodec::kChars, '?');
  codec.write(fields, token.data());
  for (const std::string& form : {token, '"' + token + '"'}) {
    const auto read = codec.read(form);
    require(read && read->account == fields.account && read->incarnation == fields.incarnation &&
                read->shard_index == fields.shard_index && read->next == fields.next && read->issued == fields.issued,
            "an iterator says what was written");
  }
  const std::string other = damaged(token, input);
  if (other != token && other != '"' + token + '"') require(!codec.read(other), "a damaged iterator is none");
}

void check_made_up_iterator(std::string_view text) {
  require(!world().streams->iterators().read(text), "an iterator that was not issued is none");
  std::string body;
  try {
    body = Json{{"ShardIterator", text}}.dump();
  } catch (const Json::exception&) {
    body = R"({"ShardIterator":")" + std::string(text) + "\"}";  // not UTF-8
  }
  check_refusal(world().call_text("GetRecords", body));
}

/// Pages of a listing from a token that is damaged or made up: they end, and hold nothing that is not there.
void check_pages(bool shards, const std::string& token) {
  std::string next = token;
  for (int page = 0;; ++page) {
    require(page < 20, "pages end");
    const Answer answer = shards ? world().call("ListShards", {{"NextToken", next}, {"MaxResults", 1}})
                                 : world().call("ListStreams", {{"NextToken", next}, {"Limit", 1}});
    if (answer.status != 200) {
      require(page == 0, "a token that was issued is taken");
      check_refusal(answer);
      return;
    }
    const Json reply = answer.json();
    if (shards) {
      for (const Json& shard : reply["Shards"])
        require(shard["ShardId"].get<std::string>().starts_with("shardId-00000000000"),
                "a shard is one of the stream's");
    } else {
      for (const Json& name : reply["StreamNames"])
        require(std::find(std::begin(tokens().streams), std::end(tokens().streams), name.get<std::string>()) !=
                    std::end(tokens().streams),
                "a stream is one of those that there are");
    }
    if (!reply.contains("NextToken") || reply["NextToken"].is_null()) return;
    next = reply["NextToken"];
  }
}

void check_issued_pages(fuzz::Input& input) {
  const bool shards = input.byte() % 2 == 0;
  const std::string& name = tokens().streams[input.byte() % 3];
  const Answer first = shards ? world().call("ListShards", {{"StreamName", name}, {"MaxResults", 1}})
                              : world().call("ListStreams", {{"Limit", 1}});
  require(first.status == 200, "a listing begins");
  const std::string token = first.json()["NextToken"];
  check_pages(shards, token);
  const std::string other = damaged(token, input);
  if (codec::valid_utf8(other) && !other.empty()) check_pages(shards, other);
}

/// A page token with a listing of the client's own making, issued now or some time else.
void check_made_up_pages(fuzz::Input& input) {
  const bool shards = input.byte() % 2 == 0;
  const auto skew = static_cast<std::int64_t>(input.number(3)) - (1 << 20);
  const std::int64_t now = world().clock.now().time_since_epoch().count();
  const std::string plain = "1 " + std::to_string(now + (input.byte() % 2 == 0 ? 0 : skew)) + " " +
                            (shards ? "ListShards " : "ListStreams") + std::string(input.rest());
  check_pages(shards, codec::base64::encode(plain));
}

}  // namespace
}  // namespace millrace::test

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::test;
  testing::GTEST_FLAG(throw_on_failure) = true;
  millrace::fuzz::Input input(data, size);
  switch (input.byte() % 4) {
    case 0:
      check_iterator(input);
      break;
    case 1:
      check_made_up_iterator(input.rest());
      break;
    case 2:
      check_issued_pages(input);
      break;
    case 3:
      check_made_up_pages(input);
      break;
  }
  return 0;
}
