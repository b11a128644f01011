// ListShards: a stream's shards, filtered, a page at a time.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListShards.html
#include <algorithm>
#include <charconv>
#include <sstream>

#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::int32_t kPageMax = 1'000;  // asking for more, up to 10,000, is allowed and gives 1,000

constexpr std::string_view kFilterTypes[] = {"AFTER_SHARD_ID", "AT_TRIM_HORIZON", "FROM_TRIM_HORIZON",
                                             "AT_LATEST",      "AT_TIMESTAMP",    "FROM_TIMESTAMP"};
struct Filter {
  std::string type = "FROM_TRIM_HORIZON";
  std::optional<std::string> shard_id;
  std::optional<TimePoint> timestamp;
};
constexpr auto kFilter = fields(field<&Filter::type>("Type", one_of(kFilterTypes)),
                                field<&Filter::shard_id>("ShardId", length(1, 128), pattern(kNamePattern)),
                                field<&Filter::timestamp>("Timestamp"));

struct Input {
  std::optional<std::int32_t> max_results;
  std::optional<std::string> after, next_token;
  std::optional<TimePoint> stream_created;  // tells same-named streams apart; there is one
  std::optional<Filter> filter;
  StreamSelector stream;
};
constexpr auto kInput = fields(field<&Input::max_results>("MaxResults", within(1, 10'000)),
                               field<&Input::after>("ExclusiveStartShardId", length(1, 128), pattern(kNamePattern)),
                               field<&Input::next_token>("NextToken", length(1, 1'048'576)),
                               field<&Input::stream_created>("StreamCreationTimestamp"),
                               field<&Input::filter>("ShardFilter", of(kFilter)), stream_selector<&Input::stream>());

struct Output {
  std::vector<ShardOutput> shards;
  std::optional<std::string> next_token;
};
constexpr auto kOutput =
    fields(field<&Output::shards>("Shards", of(kShardFields)), field<&Output::next_token>("NextToken"));

// What is being listed: all that a page token carries.
struct Listing {
  streams::StreamRef stream;
  std::string type;
  std::int64_t at_ms = 0;   // of the filters by time
  std::int64_t after = -1;  // shard index
};

Outcome<Listing> first_page(Context& context, const Input& in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> found = find_stream(context, in.stream, streams::Call::list_shards);
  if (!found) return found.error();
  Listing listing;
  listing.stream = *found;
  const std::string& name = listing.stream->name;
  const Filter filter = in.filter.value_or(Filter{});
  listing.type = filter.type;
  if (filter.type == "AFTER_SHARD_ID") {
    if (!filter.shard_id) return invalid_argument("ShardId must be provided in a ShardFilter of type AFTER_SHARD_ID.");
    const auto index = shard_index(*filter.shard_id);
    if (!index) return shard_id_unknown(environment, name, *filter.shard_id);
    listing.after = *index;
  }
  if (filter.type == "AT_TIMESTAMP" || filter.type == "FROM_TIMESTAMP") {
    if (!filter.timestamp)
      return invalid_argument("Timestamp must be provided in a ShardFilter of type " + filter.type + ".");
    listing.at_ms = filter.timestamp->time_since_epoch().count();
  }
  if (in.after) {
    const auto index = shard_index(*in.after);
    if (!index) return shard_id_unknown(environment, name, *in.after);
    listing.after = std::max<std::int64_t>(listing.after, *index);
  }
  return listing;
}

Outcome<Listing> next_page(Context& context, const std::string& text) {
  const Outcome<PageToken> token = read_page_token(context.environment, text, "ListShards ");
  if (!token) return token.error();
  std::istringstream in(token->listing);
  std::string operation, name;
  std::uint64_t incarnation = 0;
  Listing listing;
  in >> operation >> name >> incarnation >> listing.type >> listing.at_ms;
  const std::string& after = token->after;
  const auto parsed = std::from_chars(after.data(), after.data() + after.size(), listing.after);
  if (!in || parsed.ec != std::errc{} ||
      std::find(std::begin(kFilterTypes), std::end(kFilterTypes), listing.type) == std::end(kFilterTypes))
    return invalid_argument("Invalid NextToken.");
  listing.stream = context.environment.streams.find(name);
  if (!listing.stream || listing.stream->incarnation != incarnation) return stream_not_found(context.environment, name);
  if (auto refused = check_rate(context, streams::Call::list_shards, *listing.stream)) return *refused;
  return listing;
}

bool shown(const Listing& listing, const streams::Shard& shard, TimePoint now) {
  const std::int64_t horizon_ms = std::max((now - listing.stream->retention).time_since_epoch().count(),
                                           listing.stream->created.time_since_epoch().count());
  const std::int64_t at_ms = std::max(horizon_ms, listing.at_ms);
  const bool ended_before = shard.ended_s && *shard.ended_s * 1000 + 999 < at_ms;
  if (listing.type == "AT_LATEST") return !shard.ended_s;
  if (listing.type == "AT_TRIM_HORIZON" || listing.type == "AT_TIMESTAMP")
    return shard.created_s * 1000 <= at_ms && !ended_before;
  if (listing.type == "FROM_TIMESTAMP") return !ended_before;
  return true;  // AFTER_SHARD_ID, FROM_TRIM_HORIZON
}

awaitable<Outcome<Output>> list_shards(Context& context, Input in) {
  const bool named = in.stream.name || in.stream.arn;
  if (!named && !in.next_token) co_return invalid_argument("Either NextToken or StreamName should be provided.");
  if (named && in.next_token) co_return invalid_argument("NextToken and StreamName cannot be provided together.");
  if (in.next_token && in.after)
    co_return invalid_argument("NextToken and ExclusiveStartShardId cannot be provided together.");
  if (in.next_token && in.stream_created)
    co_return invalid_argument("NextToken and StreamCreationTimestamp cannot be provided together.");
  const Outcome<Listing> listing = in.next_token ? next_page(context, *in.next_token) : first_page(context, in);
  if (!listing) co_return listing.error();
  const streams::Stream& stream = *listing->stream;
  const TimePoint now = context.environment.clock.now();
  const auto limit = static_cast<std::size_t>(std::min(in.max_results.value_or(kPageMax), kPageMax));
  Output out;
  std::uint32_t last = 0;
  const auto add = [&](const streams::Shard& shard) {
    if (!shown(*listing, shard, now)) return true;
    if (out.shards.size() == limit) {
      PageToken token{"ListShards " + stream.name + " " + std::to_string(stream.incarnation) + " " + listing->type +
                          " " + std::to_string(listing->at_ms),
                      std::to_string(last)};
      out.next_token = write_page_token(context.environment, token);
      return false;
    }
    out.shards.push_back(shard_output(shard));
    last = shard.index;
    return true;
  };
  visit_listed_shards(stream, listing->after, now, add);
  co_return out;
}

}  // namespace

extern constinit const Operation list_shards_operation = operation<list_shards, kInput, kOutput>("ListShards");

}  // namespace millrace::services::kinesis
