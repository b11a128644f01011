// PutResourcePolicy: the resource-based policy of a stream or consumer, which is evaluated where there are several
// accounts and credentials of theirs; else kept.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutResourcePolicy.html
#include "millrace/services/accounts.hpp"
#include "services/kinesis/policy.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {
  std::string policy;
  ResourceSelector resource;
};
constexpr auto kInput = fields(field<&Input::policy>("Policy"), resource_selector<&Input::resource>());

awaitable<Outcome<NoOutput>> put_resource_policy(Context& context, Input in) {
  const Outcome<Resource> resource = find_resource_with_policy(context.environment, in.resource);
  if (!resource) co_return resource.error();
  const Accounts* const accounts = context.environment.accounts;
  if (auto refused = check_policy(in.policy, in.resource.arn, accounts && accounts->policies())) co_return *refused;
  auto set = co_await set_policy(context.environment, *resource, in.resource.arn, std::move(in.policy));
  co_return set;
}

}  // namespace

extern constinit const Operation put_resource_policy_operation =
    operation<put_resource_policy, kInput>("PutResourcePolicy");

}  // namespace millrace::services::kinesis
