#include "millrace/streams/stream_record.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

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

std::string serialise(const Stream& stream) {
  json shards = json::array();
  for (const auto& shard : stream.shards) {
    json s{{"index", shard->index},
           {"first", codec::to_decimal(shard->range.first)},
           {"last", codec::to_decimal(shard->range.last)},
           {"created_s", shard->created_s}};
    if (shard->parent) s["parent"] = *shard->parent;
    if (shard->adjacent_parent) s["adjacent_parent"] = *shard->adjacent_parent;
    if (shard->ended_s) s["ended_s"] = *shard->ended_s;
    shards.push_back(std::move(s));
  }
  return json{{"form", kForm},
              {"name", stream.name},
              {"incarnation", stream.incarnation},
              {"created_ms", stream.created.time_since_epoch().count()},
              {"settled_ms", stream.settled.time_since_epoch().count()},
              {"created_settled", stream.created_settled},
              {"deleting", stream.deleting},
              {"retention_hours", stream.retention.count()},
              {"records_since_ms", stream.records_since.time_since_epoch().count()},
              {"tags", stream.tags},
              {"shards", std::move(shards)}}
      .dump();
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
    return stream;
  } catch (const json::exception&) {
    return std::nullopt;
  }
}

}  // namespace millrace::streams
