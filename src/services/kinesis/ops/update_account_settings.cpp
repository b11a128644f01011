// UpdateAccountSettings: the commitment to a minimum of throughput, begun or ended.
// Source: https://docs.aws.amazon.com/kinesis/latest/APIReference/API_UpdateAccountSettings.html
#include "services/kinesis/settings.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::string_view kStatuses[] = {"ENABLED", "DISABLED"};
struct CommitmentInput {
  std::string status;
};
constexpr auto kCommitmentInput = fields(field<&CommitmentInput::status>("Status", one_of(kStatuses)));
struct Input {
  CommitmentInput commitment;
};
constexpr auto kInput = fields(field<&Input::commitment>("MinimumThroughputBillingCommitment", of(kCommitmentInput)));

awaitable<Outcome<AccountSettingsOutput>> update_account_settings(Context& context, Input in) {
  const Environment& environment = context.environment;
  if (auto refused = check_rate(context, streams::Call::update_account_settings)) co_return *refused;
  auto commitment = co_await environment.streams.account().commit(in.commitment.status == "ENABLED");
  if (!commitment) co_return ServiceError{"InternalFailure", 500, ""};
  co_return AccountSettingsOutput{commitment_output(*commitment, environment.clock.now())};
}

}  // namespace

extern constinit const Operation update_account_settings_operation =
    operation<update_account_settings, kInput, kAccountSettingsOutput>("UpdateAccountSettings");

}  // namespace millrace::services::kinesis
