// DescribeAccountSettings: what is set of the whole account.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_DescribeAccountSettings.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

struct Input {};
constexpr auto kInput = fields();

awaitable<Outcome<AccountSettingsOutput>> describe_account_settings(Context& context, Input) {
  const Environment& environment = context.environment;
  if (auto refused = check_rate(context, streams::Call::describe_account_settings)) co_return *refused;
  const streams::Commitment commitment = environment.streams.account().commitment();
  co_return AccountSettingsOutput{commitment_output(commitment, environment.clock.now())};
}

}  // namespace

extern constinit const Operation describe_account_settings_operation =
    operation<describe_account_settings, kInput, kAccountSettingsOutput>("DescribeAccountSettings");

}  // namespace millrace::services::kinesis
