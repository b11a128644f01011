// ListStreamConsumers: a stream's consumers in order of name, a page at a time.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListStreamConsumers.html
#include <algorithm>

#include "services/kinesis/resource.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::int32_t kPageMax = 100;  // asking for more, up to 10,000, is allowed and gives 100

struct Input {
  std::optional<std::int32_t> max_results;
  std::optional<std::string> next_token;
  std::optional<TimePoint> stream_created;  // tells same-named streams apart; there is one
  StreamArnSelector stream;
};
constexpr auto kInput =
    fields(field<&Input::max_results>("MaxResults", within(1, 10'000)),
           field<&Input::next_token>("NextToken", length(1, 1'048'576)),
           field<&Input::stream_created>("StreamCreationTimestamp"), stream_arn_selector<&Input::stream>());

struct Output {
  std::vector<ConsumerOutput> consumers;
  std::optional<std::string> next_token;
};
constexpr auto kOutput =
    fields(field<&Output::consumers>("Consumers", of(kConsumerFields)), field<&Output::next_token>("NextToken"));

awaitable<Outcome<Output>> list_stream_consumers(Context& context, Input in) {
  const Environment& environment = context.environment;
  const Outcome<streams::StreamRef> found = find_stream(context, in.stream, streams::Call::list_stream_consumers);
  if (!found) co_return found.error();
  const streams::Stream& stream = **found;
  const std::string listing = "ListStreamConsumers " + stream.name + " " + std::to_string(stream.incarnation);
  std::string after;
  if (in.next_token) {
    Outcome<PageToken> token = read_page_token(environment, *in.next_token, "ListStreamConsumers ");
    if (!token) co_return token.error();
    if (token->listing != listing) co_return invalid_argument("NextToken and StreamARN do not name the same stream.");
    after = std::move(token->after);
  }
  const TimePoint now = environment.clock.now();
  const auto limit = static_cast<std::size_t>(std::min(in.max_results.value_or(kPageMax), kPageMax));
  const auto& consumers = stream.consumers.by_name;
  Output out;
  for (auto at = consumers.upper_bound(after); at != consumers.end(); ++at) {
    if (at->second.gone(now)) continue;
    if (out.consumers.size() == limit) {
      out.next_token = write_page_token(environment, {listing, out.consumers.back().name});
      break;
    }
    out.consumers.push_back(consumer_output(environment, stream.name, at->second));
  }
  co_return out;
}

}  // namespace

extern constinit const Operation list_stream_consumers_operation =
    operation<list_stream_consumers, kInput, kOutput>("ListStreamConsumers");

}  // namespace millrace::services::kinesis
