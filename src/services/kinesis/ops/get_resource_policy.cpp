// GetResourcePolicy: the resource-based policy of a stream or consumer as it was put; {} where there is none.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_GetResourcePolicy.html
#include "services/kinesis/policy.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  ResourceSelector resource;
};
constexpr auto kInput = fields(resource_selector<&Input::resource>());

struct Output {
  std::string policy;
};
constexpr auto kOutput = fields(field<&Output::policy>("Policy"));

awaitable<Outcome<Output>> get_resource_policy(Context& context, Input in) {
  const Outcome<Resource> resource = find_resource_with_policy(context.environment, in.resource);
  if (!resource) co_return resource.error();
  const std::string& policy = resource->consumer ? resource->consumer->policy : resource->stream->settings.policy;
  co_return Output{policy.empty() ? "{}" : policy};
}

}  // namespace

extern constinit const Operation get_resource_policy_operation =
    operation<get_resource_policy, kInput, kOutput>("GetResourcePolicy");

}  // namespace millrace::services::kinesis
