// ListStreams: the account's streams in order of name, a page at a time.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_ListStreams.html
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::size_t kPageMax = 100;  // asking for more, up to 10,000, is allowed and gives 100

struct Input {
  std::optional<std::int32_t> limit;
  std::optional<std::string> after, next_token;
};
constexpr auto kInput = fields(field<&Input::limit>("Limit", within(1, 10'000)),
                               field<&Input::after>("ExclusiveStartStreamName", length(1, 128), pattern(kNamePattern)),
                               field<&Input::next_token>("NextToken", length(1, 1'048'576)));

struct Summary {
  std::string name, arn, status;
  StreamModeOutput mode;
  TimePoint created;
};
constexpr auto kSummary =
    fields(field<&Summary::name>("StreamName"), field<&Summary::arn>("StreamARN"),
           field<&Summary::status>("StreamStatus"), field<&Summary::mode>("StreamModeDetails", of(kStreamModeFields)),
           field<&Summary::created>("StreamCreationTimestamp"));
struct Output {
  std::vector<std::string> names;
  bool more = false;
  std::optional<std::string> next_token;
  std::vector<Summary> summaries;
};
constexpr auto kOutput =
    fields(field<&Output::names>("StreamNames"), field<&Output::more>("HasMoreStreams"),
           field<&Output::next_token>("NextToken"), field<&Output::summaries>("StreamSummaries", of(kSummary)));

awaitable<Outcome<Output>> list_streams(Context& context, Input in) {
  const Environment& environment = context.environment;
  if (auto refused = check_rate(context, streams::Call::list_streams)) co_return *refused;
  std::string after = in.after.value_or("");
  if (in.next_token) {
    Outcome<PageToken> token = read_page_token(environment, *in.next_token, "ListStreams");
    if (!token) co_return token.error();
    after = token->after;
  }
  const std::size_t limit = std::min<std::size_t>(static_cast<std::size_t>(in.limit.value_or(kPageMax)), kPageMax);
  std::vector<streams::StreamRef> found = environment.streams.list(after, limit + 1);
  Output out;
  out.more = found.size() > limit;
  if (out.more) found.resize(limit);
  const TimePoint now = environment.clock.now();
  for (const streams::StreamRef& stream : found) {
    out.names.push_back(stream->name);
    out.summaries.push_back(
        {stream->name, stream_arn(environment, stream->name), std::string(streams::status_name(stream->status(now))),
         StreamModeOutput{std::string(streams::mode_name(stream->settings.mode))}, stream->created});
  }
  if (out.more) out.next_token = write_page_token(environment, {"ListStreams", found.back()->name});
  co_return out;
}

}  // namespace

extern constinit const Operation list_streams_operation = operation<list_streams, kInput, kOutput>("ListStreams");

}  // namespace millrace::services::kinesis
