// DeleteResourcePolicy: the stream or consumer has no resource-based policy any more.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DeleteResourcePolicy.html
#include "services/kinesis/policy.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  ResourceSelector resource;
};
constexpr auto kInput = fields(resource_selector<&Input::resource>());

awaitable<Outcome<NoOutput>> delete_resource_policy(Context& context, Input in) {
  const Outcome<Resource> resource = find_resource_with_policy(context.environment, in.resource);
  if (!resource) co_return resource.error();
  auto gone = co_await set_policy(context.environment, *resource, in.resource.arn, {});
  co_return gone;
}

}  // namespace

extern constinit const Operation delete_resource_policy_operation =
    operation<delete_resource_policy, kInput>("DeleteResourcePolicy");

}  // namespace millrace::services::kinesis
