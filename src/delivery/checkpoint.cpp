#include "delivery/checkpoint.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "millrace/base/random.hpp"

namespace millrace::delivery {

using Json = nlohmann::json;
using log::Position;

void ShardProgress::finish(Position from, Position to) {
  std::uint64_t first = std::max(from.get(), next_.get()), end = to.get();
  if (first >= end) return;
  auto at = finished_.upper_bound(first);
  if (at != finished_.begin() && std::prev(at)->second >= first) --at;
  while (at != finished_.end() && at->first <= end) {
    first = std::min(first, at->first);
    end = std::max(end, at->second);
    at = finished_.erase(at);
  }
  finished_.emplace(first, end);
  join_next();
}

void ShardProgress::skip_to(Position position) {
  if (position <= next_) return;
  next_ = position;
  while (!finished_.empty() && finished_.begin()->second <= next_.get()) finished_.erase(finished_.begin());
  join_next();
}

void ShardProgress::join_next() {
  if (finished_.empty() || finished_.begin()->first > next_.get()) return;
  next_ = Position{std::max(next_.get(), finished_.begin()->second)};
  finished_.erase(finished_.begin());
}

namespace {

std::int64_t milliseconds(TimePoint at) { return at.time_since_epoch().count(); }
TimePoint time_point(const Json& value) { return TimePoint{std::chrono::milliseconds{value.get<std::int64_t>()}}; }
Position position(const Json& value) { return Position{value.get<std::uint64_t>()}; }

}  // namespace

std::string write_stored(const Stored& stored) {
  const S3Destination& s3 = stored.spec.s3;
  Json shards = Json::array();
  for (const auto& [index, progress] : stored.shards) {
    Json finished = Json::array();
    for (const auto& [from, to] : progress.finished()) finished.push_back({from, to});
    shards.push_back({{"shard", index}, {"next", progress.next().get()}, {"finished", std::move(finished)}});
  }
  Json out{{"form", 1},
           {"name", stored.spec.name},
           {"source",
            {{"stream", stored.spec.source_stream},
             {"incarnation", stored.source_incarnation},
             {"arn", stored.spec.source_arn},
             {"role", stored.spec.source_role_arn}}},
           {"s3",
            {{"role", s3.role_arn},
             {"bucket_arn", s3.bucket_arn},
             {"bucket", s3.bucket},
             {"prefix", s3.prefix},
             {"error_output_prefix", s3.error_output_prefix},
             {"size_mib", s3.size_mib},
             {"interval_s", s3.interval.count()},
             {"append_delimiter", s3.append_delimiter},
             {"delimiter", s3.delimiter},
             {"processing", s3.processing_json},
             {"logging", s3.logging_json},
             {"time_zone", s3.custom_time_zone}}},
           {"incarnation", stored.incarnation},
           {"version", stored.version},
           {"created_ms", milliseconds(stored.created)},
           {"active_ms", milliseconds(stored.active_at)},
           {"shards", std::move(shards)}};
  if (stored.planned) {
    Json ranges = Json::array();
    for (const ShardRange& range : stored.planned->ranges)
      ranges.push_back({range.shard, range.from.get(), range.to.get()});
    out["planned"] = {{"instant_ms", milliseconds(stored.planned->instant)},
                      {"version", stored.planned->version},
                      {"ranges", std::move(ranges)}};
  }
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::optional<Stored> read_stored(const std::string& text) try {
  const Json in = Json::parse(text);
  if (in.at("form") != 1) return std::nullopt;
  Stored stored;
  stored.spec.name = in.at("name");
  const Json& source = in.at("source");
  stored.spec.source_stream = source.at("stream");
  stored.spec.source_arn = source.at("arn");
  stored.spec.source_role_arn = source.at("role");
  stored.source_incarnation = source.at("incarnation");
  S3Destination& s3 = stored.spec.s3;
  const Json& destination = in.at("s3");
  s3.role_arn = destination.at("role");
  s3.bucket_arn = destination.at("bucket_arn");
  s3.bucket = destination.at("bucket");
  s3.prefix = destination.at("prefix");
  s3.error_output_prefix = destination.at("error_output_prefix");
  s3.size_mib = destination.at("size_mib");
  s3.interval = std::chrono::seconds{destination.at("interval_s").get<std::int64_t>()};
  s3.append_delimiter = destination.at("append_delimiter");
  s3.delimiter = destination.at("delimiter");
  s3.processing_json = destination.at("processing");
  s3.logging_json = destination.at("logging");
  s3.custom_time_zone = destination.at("time_zone");
  stored.incarnation = in.at("incarnation");
  stored.version = in.at("version");
  stored.created = time_point(in.at("created_ms"));
  stored.active_at = time_point(in.at("active_ms"));
  for (const Json& shard : in.at("shards")) {
    ShardProgress progress(position(shard.at("next")));
    for (const Json& range : shard.at("finished")) progress.finish(position(range.at(0)), position(range.at(1)));
    stored.shards.emplace(shard.at("shard").get<std::uint32_t>(), std::move(progress));
  }
  if (in.contains("planned")) {
    const Json& planned = in.at("planned");
    Plan plan{time_point(planned.at("instant_ms")), planned.at("version"), {}};
    for (const Json& range : planned.at("ranges"))
      plan.ranges.push_back({range.at(0).get<std::uint32_t>(), position(range.at(1)), position(range.at(2))});
    stored.planned = std::move(plan);
  }
  return stored;
} catch (const Json::exception&) {
  return std::nullopt;
}

std::string object_uuid(std::uint64_t incarnation, const Plan& plan) {
  std::string name = std::to_string(incarnation) + '/' + std::to_string(plan.version);
  for (const ShardRange& range : plan.ranges)
    name += '/' + std::to_string(range.shard) + ':' + std::to_string(range.from.get()) + '-' +
            std::to_string(range.to.get());
  return name_uuid(name);
}

}  // namespace millrace::delivery
