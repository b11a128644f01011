// ListDeliveryStreams: the account's delivery streams in order of name, a page at a time.
// Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_ListDeliveryStreams.html
#include "services/firehose/common.hpp"

namespace millrace::services::firehose {
namespace {

constexpr std::int32_t kLimitDefault = 10;

struct Input {
  std::optional<std::int32_t> limit;
  std::optional<std::string> type, after;
};
constexpr auto kInput = fields(
    field<&Input::limit>("Limit", within(1, 10'000)), field<&Input::type>("DeliveryStreamType", one_of(kStreamTypes)),
    field<&Input::after>("ExclusiveStartDeliveryStreamName", length(1, 64), pattern(kNamePattern)));

struct Output {
  std::vector<std::string> names;
  bool more = false;
};
constexpr auto kOutput =
    fields(field<&Output::names>("DeliveryStreamNames"), field<&Output::more>("HasMoreDeliveryStreams"));

awaitable<Outcome<Output>> list_delivery_streams(Context& context, Input in) {
  Output out;
  // Every delivery stream there can be has a Kinesis source.
  if (in.type && *in.type != "KinesisStreamAsSource") co_return out;
  const auto limit = static_cast<std::size_t>(in.limit.value_or(kLimitDefault));
  const auto found = context.environment.delivery->list(in.after.value_or(""), limit + 1);
  out.more = found.size() > limit;
  for (std::size_t i = 0; i < std::min(limit, found.size()); ++i) out.names.push_back(found[i]->spec.name);
  co_return out;
}

}  // namespace

extern constinit const Operation list_delivery_streams_operation =
    operation<list_delivery_streams, kInput, kOutput, kDialect>("ListDeliveryStreams");

}  // namespace millrace::services::firehose
