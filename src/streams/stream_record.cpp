#include "millrace/streams/stream_record.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "millrace/codec/decimal.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::streams {

using nlohmann::json;

namespace {

constexpr int kForm = 1;

}  // namespace

std::string shard_id(std::uint32_t index) {
  char text[24];
  std::snprintf(text, sizeof text, "shardId-%012u", index);
  return text;
}

// Without a tree: a stream of thousands of shards is written at a reshard, on a core that serves puts.
std::string serialise(const Stream& stream) {
  constexpr std::size_t kUsualShardBytes = 192;
  std::string out;
  out.reserve(512 + stream.shards.size() * kUsualShardBytes + stream.reshard.size() * 64);
  const auto text = [&out](std::string_view name, std::string_view value) {
    out.append("\"").append(name).append("\":");
    codec::json_quote(value, out);
  };
  const auto number = [&out](std::string_view name, auto value) {
    out.append("\"").append(name).append("\":").append(std::to_string(value));
  };
  const auto flag = [&out](std::string_view name, bool value) {
    out.append("\"").append(name).append(value ? "\":true" : "\":false");
  };
  out += '{';
  number("form", kForm);
  out += ',';
  text("name", stream.name);
  out += ',';
  number("incarnation", stream.incarnation);
  out += ',';
  number("created_ms", stream.created.time_since_epoch().count());
  out += ',';
  number("settled_ms", stream.settled.time_since_epoch().count());
  out += ',';
  flag("created_settled", stream.created_settled);
  out += ',';
  flag("deleting", stream.deleting);
  out += ',';
  number("retention_hours", stream.retention.count());
  out += ',';
  number("records_since_ms", stream.records_since.time_since_epoch().count());
  out += ",\"tags\":{";
  for (const auto& [key, value] : stream.tags) {
    if (out.back() != '{') out += ',';
    codec::json_quote(key, out);
    out += ':';
    codec::json_quote(value, out);
  }
  out += "},\"shards\":[";
  for (const auto& shard : stream.shards) {
    out += out.back() == '[' ? "{" : ",{";
    number("index", shard->index);
    out += ',';
    text("first", codec::to_decimal(shard->range.first));
    out += ',';
    text("last", codec::to_decimal(shard->range.last));
    out += ',';
    number("created_s", shard->created_s);
    const auto maybe = [&](std::string_view name, const auto& value) {
      if (!value) return;
      out += ',';
      number(name, *value);
    };
    maybe("parent", shard->parent);
    maybe("adjacent_parent", shard->adjacent_parent);
    maybe("ended_s", shard->ended_s);
    out += '}';
  }
  out += ']';
  if (!stream.reshard.empty()) {
    out += ",\"reshard\":[";
    for (const ReshardStep& step : stream.reshard) {
      out += out.back() == '[' ? "{" : ",{";
      number(step.adjacent ? "merge" : "split", step.shard);
      out += ',';
      if (step.adjacent)
        number("with", *step.adjacent);
      else
        text("at", codec::to_decimal(step.at));
      out += '}';
    }
    out += ']';
  }
  return out += '}';
}

std::optional<Stream> parse_stream(std::string_view text) {
  try {
    const json value = json::parse(text);
    if (value.at("form") != kForm) return std::nullopt;
    Stream stream;
    stream.name = value.at("name").get<std::string>();
    stream.incarnation = value.at("incarnation").get<std::uint64_t>();
    stream.created = TimePoint{std::chrono::milliseconds{value.at("created_ms").get<std::int64_t>()}};
    stream.settled = TimePoint{std::chrono::milliseconds{value.at("settled_ms").get<std::int64_t>()}};
    stream.created_settled = value.at("created_settled").get<bool>();
    stream.deleting = value.at("deleting").get<bool>();
    stream.retention = std::chrono::hours{value.at("retention_hours").get<std::int64_t>()};
    stream.records_since = TimePoint{std::chrono::milliseconds{value.at("records_since_ms").get<std::int64_t>()}};
    stream.tags = value.at("tags").get<Tags>();
    for (const json& s : value.at("shards")) {
      auto shard = std::make_shared<Shard>();
      shard->index = s.at("index").get<std::uint32_t>();
      shard->id = shard_id(shard->index);
      const auto first = codec::parse_uint128(s.at("first").get<std::string>());
      const auto last = codec::parse_uint128(s.at("last").get<std::string>());
      if (!first || !last) return std::nullopt;
      shard->range = {*first, *last};
      shard->created_s = s.at("created_s").get<std::int64_t>();
      if (s.contains("parent")) shard->parent = s.at("parent").get<std::uint32_t>();
      if (s.contains("adjacent_parent")) shard->adjacent_parent = s.at("adjacent_parent").get<std::uint32_t>();
      if (s.contains("ended_s")) shard->ended_s = s.at("ended_s").get<std::int64_t>();
      shard->numbers = SequenceNumbers(shard->index, shard->created_s);
      stream.shards.push_back(std::move(shard));
    }
    if (stream.shards.empty()) return std::nullopt;
    for (const json& s : value.value("reshard", json::array())) {
      ReshardStep step;
      if (s.contains("merge")) {
        step.shard = s.at("merge").get<std::uint32_t>();
        step.adjacent = s.at("with").get<std::uint32_t>();
      } else {
        const auto at = codec::parse_uint128(s.at("at").get<std::string>());
        if (!at) return std::nullopt;
        step.shard = s.at("split").get<std::uint32_t>();
        step.at = *at;
      }
      stream.reshard.push_back(step);
    }
    return stream;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace millrace::streams
