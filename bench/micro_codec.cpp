// Nanoseconds of the hot codec calls, one line each: the least of several rounds, which a busy machine disturbs least.
// Built and run by hand: cmake --build --preset release --target bench_micro_codec && build/release/bench_micro_codec
// [filter]
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/digest.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/codec/cbor.hpp"
#include "millrace/codec/decimal.hpp"
#include "millrace/codec/json_reader.hpp"

namespace {

using namespace millrace;

std::string_view g_filter;
std::uint64_t g_sink;  // keeps results alive

template <class F>
void measure(const char* name, double units, F&& call) {
  using Clock = std::chrono::steady_clock;
  if (std::string_view(name).find(g_filter) == std::string_view::npos) return;
  double best = 1e18;
  std::size_t calls = 16;
  const auto stop = Clock::now() + std::chrono::milliseconds(200);
  while (Clock::now() < stop) {
    const auto start = Clock::now();
    for (std::size_t i = 0; i < calls; ++i) g_sink += call();
    const double spent = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
    best = std::min(best, spent / static_cast<double>(calls));
    if (spent < 1e6) calls *= 2;
  }
  std::printf("%-44s %9.1f ns\n", name, best / units);
}

std::string random_bytes(std::mt19937& random, std::size_t size) {
  std::string bytes(size, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

std::string key(std::mt19937& random) {
  std::string text(32, '0');
  for (char& c : text) c = "0123456789abcdef"[random() % 16];
  return text;
}

std::string records(std::mt19937& random, std::size_t count, std::size_t bytes) {
  std::string body = R"({"StreamName":"events","Records":[)";
  for (std::size_t i = 0; i < count; ++i) {
    if (i > 0) body += ',';
    body += R"({"Data":")" + codec::base64::encode(random_bytes(random, bytes)) + R"(","PartitionKey":")" +
            key(random) + "\"}";
  }
  return body + "]}";
}

std::string cbor_records(std::mt19937& random, std::size_t count, std::size_t bytes) {
  Buffer body;
  codec::CborWriter out(body);
  out.begin_map(2);
  out.text("StreamName");
  out.text("events");
  out.text("Records");
  out.begin_array(count);
  for (std::size_t i = 0; i < count; ++i) {
    out.begin_map(2);
    out.text("Data");
    out.bytes(random_bytes(random, bytes));
    out.text("PartitionKey");
    out.text(key(random));
  }
  return std::string(body.view());
}

struct JsonCalls {
  codec::JsonReader reader;
  codec::JsonString string;
  bool begin_map() { return reader.begin_object(); }
  std::size_t data() { return reader.read_string(string) ? string.raw.size() : 0; }
  std::size_t key() { return data(); }
};
struct CborCalls {
  codec::CborReader reader;
  std::string_view string;
  std::string scratch;
  bool begin_map() { return reader.begin_map(); }
  std::size_t data() { return reader.read_bytes(string, scratch) ? string.size() : 0; }
  std::size_t key() { return reader.read_text(string, scratch) ? string.size() : 0; }
};

template <class Calls>
std::uint64_t read_records(std::string_view body) {
  Calls calls{.reader = decltype(Calls::reader)(body)};
  auto& reader = calls.reader;
  std::uint64_t sum = 0;
  std::string_view name;
  if (!calls.begin_map()) return 0;
  while (reader.next_member(name)) {
    if (name != "Records") {
      reader.skip_value();
      continue;
    }
    if (!reader.begin_array()) return 0;
    while (reader.next_element()) {
      if (!calls.begin_map()) return 0;
      while (reader.next_member(name)) {
        if (name == "Data") {
          sum += calls.data();
        } else if (name == "PartitionKey") {
          sum += calls.key();
        } else {
          reader.skip_value();
        }
      }
    }
  }
  return reader.at_end() ? sum : 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) g_filter = argv[1];
  std::mt19937 random(1);
  std::vector<char> out(1 << 21);

  for (const std::size_t bytes : {16u, 100u, 300u, 1024u, 65536u}) {
    const std::string plain = random_bytes(random, bytes);
    const std::string text = codec::base64::encode(plain);
    measure(("base64 decode " + std::to_string(text.size()) + " chars").c_str(), 1,
            [&] { return codec::base64::decode(text, out.data()).size; });
    measure(("base64 encode " + std::to_string(bytes) + " bytes").c_str(), 1,
            [&] { return codec::base64::encode(plain, out.data()); });
  }
  for (const std::size_t bytes : {100u, 1024u}) {
    const std::string one = records(random, 1, bytes), batch = records(random, 500, bytes);
    measure(("json read request, 1 x " + std::to_string(bytes)).c_str(), 1,
            [&] { return read_records<JsonCalls>(one); });
    measure(("json read a record, 500 x " + std::to_string(bytes)).c_str(), 500,
            [&] { return read_records<JsonCalls>(batch); });
    measure(("json skip a record, 500 x " + std::to_string(bytes)).c_str(), 500,
            [&] { return codec::JsonReader(batch).skip_value().size(); });
  }
  for (const std::size_t bytes : {100u, 1024u}) {
    const std::string batch = cbor_records(random, 500, bytes);
    measure(("cbor read a record, 500 x " + std::to_string(bytes)).c_str(), 500,
            [&] { return read_records<CborCalls>(batch); });
  }
  const std::string event =
      R"({ "event": "click", "user_id": "Aster-564", "at": 1718098765.25, "tags": ["a", "b"], "page": "/products/17", "ref": null, "nested": {"x": 1, "y": -2.5} })";
  std::string compact;
  measure("json compact, an event of 150 bytes", 1, [&] {
    compact.clear();
    codec::json_compact(event, compact);
    return compact.size();
  });
  std::string accents;
  while (accents.size() < 1000) accents += "na\xc3\xafve caf\xc3\xa9 \xe2\x82\xac 12 \xe6\x97\xa5\xe6\x9c\xac ";
  measure("utf8 valid, 1000 bytes mixed", 1, [&] { return codec::valid_utf8(accents); });
  measure("utf8 code points, 32 bytes", 1, [&] { return codec::code_points(std::string_view(accents).substr(0, 32)); });
  const std::string plain(1368, 'x');
  measure("json quote 32 chars", 1,
          [&] { return codec::json_quote(std::string_view(plain).substr(0, 32), out.data()) - out.data(); });
  measure("json quote 1368 chars", 1, [&] { return codec::json_quote(plain, out.data()) - out.data(); });
  measure("json quoted size 1368 chars", 1, [&] { return codec::json_quoted_size(plain); });

  const codec::Uint256 number{{random(), 0x9e3779b97f4a7c15, 0x0123456789abcdef, 0}};
  codec::Decimal56 digits(number);
  const codec::Decimal56 step(codec::Uint256{{0, 1 << 16, 0, 0}});
  // Texts go one behind the other, as in a reply: the same few bytes written over and over measure their own latency.
  std::size_t place = 0;
  const auto next_place = [&] { return out.data() + (place = (place + 138) & 0xffff); };
  measure("decimal from 186 bits, written", 1, [&] {
    codec::Decimal56(number).write(next_place());
    return 1;
  });
  measure("decimal add 56 digits, written", 1, [&] {
    digits += step;
    digits.write(next_place());
    return 1;
  });
  const std::string number_text = codec::to_decimal(number);
  measure("decimal parse 56 digits", 1, [&] { return codec::parse_uint256(number_text)->words[0]; });
  measure("decimal parse 39 digits", 1,
          [&] { return codec::parse_uint128("170141183460469231731687303715884105727")->low; });

  std::vector<std::string> keys(500);
  for (std::string& one : keys) one = key(random);
  const std::vector<std::string_view> views(keys.begin(), keys.end());
  std::vector<Uint128> hashes(views.size());
  measure("md5 of one key", 1, [&] { return md5(views[7]).low; });
  measure("md5 of a key, 500 at once", 500, [&] {
    md5_many(views, hashes);
    return hashes[499].low;
  });
  measure("md5 of a key, 5 at once", 5, [&] {
    md5_many({views.data(), 5}, {hashes.data(), 5});
    return hashes[4].low;
  });
  measure("sha256 of 100 bytes", 1, [&] { return sha256(std::string_view(plain).substr(0, 100))[0]; });
  std::array<std::byte, Sealer::kKeyBytes> secret{};
  std::array<std::byte, Sealer::kNonceBytes> nonce{};
  const Sealer sealer(secret);
  measure("seal 96 bytes", 1, [&] {
    sealer.seal(nonce, std::string_view(plain).substr(0, 96), out.data());
    return static_cast<unsigned char>(out[0]);
  });
  std::printf("%s", g_sink == 1 ? " " : "");
}
