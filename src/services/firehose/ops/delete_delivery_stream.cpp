// DeleteDeliveryStream: ends delivery; what is buffered is dropped, not flushed.
// Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_DeleteDeliveryStream.html
#include "services/firehose/common.hpp"

namespace millrace::services::firehose {
namespace {

struct Input {
  std::string name;
  std::optional<bool> force;  // concerns the grant of a KMS key; there is none
};
constexpr auto kInput = fields(field<&Input::name>("DeliveryStreamName", length(1, 64), pattern(kNamePattern)),
                               field<&Input::force>("AllowForceDelete"));

awaitable<Outcome<NoOutput>> delete_delivery_stream(Context& context, Input in) {
  auto removed = co_await context.environment.delivery->remove(in.name);
  if (!removed) co_return to_service_error(removed.error(), context.environment, in.name);
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation delete_delivery_stream_operation =
    operation<delete_delivery_stream, kInput, kNoOutput, kDialect>("DeleteDeliveryStream");

}  // namespace millrace::services::firehose
