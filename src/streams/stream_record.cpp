#include "millrace/streams/stream_record.hpp"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "millrace/codec/decimal.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::streams {

using nlohmann::json;

namespace {

constexpr int kForm = 1;

std::int64_t ms(TimePoint time) { return time.time_since_epoch().count(); }
TimePoint time_at(const json& object, const char* name) {
  return TimePoint{std::chrono::milliseconds{object.at(name).get<std::int64_t>()}};
}

// Only what differs from what a stream has unless something is said.
json written(const Settings& settings) {
  const Settings usual;
  json out = json::object();
  if (settings.mode != usual.mode) out["mode"] = mode_name(settings.mode);
  if (settings.record_kib_max != usual.record_kib_max) out["record_kib_max"] = settings.record_kib_max;
  if (settings.warm_mibps) out["warm_mibps"] = *settings.warm_mibps;
  if (settings.warm_mibps_before) out["warm_mibps_before"] = settings.warm_mibps_before;
  if (settings.metrics) out["metrics"] = settings.metrics;
  if (settings.key_id) out["key_id"] = *settings.key_id;
  if (settings.key_until) out["key_until_ms"] = ms(*settings.key_until);
  if (!settings.policy.empty()) out["policy"] = settings.policy;
  return out;
}

Settings read_settings(const json& object) {
  Settings settings;
  if (object.value("mode", "") == mode_name(Mode::on_demand)) settings.mode = Mode::on_demand;
  settings.record_kib_max = object.value("record_kib_max", settings.record_kib_max);
  if (object.contains("warm_mibps")) settings.warm_mibps = object.at("warm_mibps").get<std::uint32_t>();
  settings.warm_mibps_before = object.value("warm_mibps_before", settings.warm_mibps_before);
  settings.metrics = object.value("metrics", settings.metrics);
  if (object.contains("key_id")) settings.key_id = object.at("key_id").get<std::string>();
  if (object.contains("key_until_ms")) settings.key_until = time_at(object, "key_until_ms");
  settings.policy = object.value("policy", std::string());
  return settings;
}

json written(const std::vector<TimePoint>& times) {
  json out = json::array();
  for (const TimePoint time : times) out.push_back(ms(time));
  return out;
}

std::vector<TimePoint> read_times(const json& object, const char* name) {
  std::vector<TimePoint> times;
  for (const json& time : object.value(name, json::array()))
    times.push_back(TimePoint{std::chrono::milliseconds{time.get<std::int64_t>()}});
  return times;
}

json written(const History& history) {
  json out = json::object();
  const auto times = [&out](const char* name, const std::vector<TimePoint>& all) {
    if (!all.empty()) out[name] = written(all);
  };
  times("shard_counts_ms", history.shard_counts);
  times("modes_ms", history.modes);
  times("encryptions_ms", history.encryptions);
  times("encryption_stops_ms", history.encryption_stops);
  for (const History::Peak& peak : history.peaks)
    out["peaks"].push_back({{"day", peak.day}, {"bytes", peak.bytes_per_s}, {"records", peak.records_per_s}});
  if (history.scaled) out["scaled_ms"] = ms(*history.scaled);
  return out;
}

History read_history(const json& object) {
  History history;
  history.shard_counts = read_times(object, "shard_counts_ms");
  history.modes = read_times(object, "modes_ms");
  history.encryptions = read_times(object, "encryptions_ms");
  history.encryption_stops = read_times(object, "encryption_stops_ms");
  for (const json& peak : object.value("peaks", json::array()))
    history.peaks.push_back({peak.at("day").get<std::int64_t>(), peak.at("bytes").get<std::uint64_t>(),
                             peak.at("records").get<std::uint64_t>()});
  if (object.contains("scaled_ms")) history.scaled = time_at(object, "scaled_ms");
  return history;
}

json written(const Consumers& consumers) {
  json out = json::object();
  if (consumers.gone_s) out["gone_s"] = consumers.gone_s;
  for (const auto& [name, consumer] : consumers.by_name) {
    json c{{"name", name}, {"created_s", consumer.created_s}, {"active_ms", ms(consumer.active_at)}};
    if (consumer.gone_at) c["gone_ms"] = ms(*consumer.gone_at);
    if (!consumer.tags.empty()) c["tags"] = consumer.tags;
    if (!consumer.policy.empty()) c["policy"] = consumer.policy;
    out["list"].push_back(std::move(c));
  }
  return out;
}

Consumers read_consumers(const json& object) {
  Consumers consumers;
  consumers.gone_s = object.value("gone_s", consumers.gone_s);
  for (const json& c : object.value("list", json::array())) {
    Consumer consumer;
    consumer.name = c.at("name").get<std::string>();
    consumer.created_s = c.at("created_s").get<std::int64_t>();
    consumer.active_at = time_at(c, "active_ms");
    if (c.contains("gone_ms")) consumer.gone_at = time_at(c, "gone_ms");
    consumer.tags = c.value("tags", Tags{});
    consumer.policy = c.value("policy", std::string());
    std::string name = consumer.name;
    consumers.by_name.emplace(std::move(name), std::move(consumer));
  }
  return consumers;
}

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
  const auto part = [&out](std::string_view name, const json& value) {
    if (!value.empty()) out.append(",\"").append(name).append("\":").append(value.dump());
  };
  part("settings", written(stream.settings));
  part("consumers", written(stream.consumers));
  part("history", written(stream.history));
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
    if (value.contains("settings")) stream.settings = read_settings(value.at("settings"));
    if (value.contains("consumers")) stream.consumers = read_consumers(value.at("consumers"));
    if (value.contains("history")) stream.history = read_history(value.at("history"));
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
