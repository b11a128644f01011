// GetCallerIdentity: whose credentials a request has. Source:
// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
#include "millrace/services/sessions.hpp"
#include "services/dispatch.hpp"

namespace millrace::services::sts {
namespace {

struct Input {};
constexpr auto kInput = fields();

struct Output {
  std::string user_id, account, arn;
};
constexpr auto kOutput =
    fields(field<&Output::user_id>("UserId"), field<&Output::account>("Account"), field<&Output::arn>("Arn"));

awaitable<Outcome<Output>> get_caller_identity(Context& context, Input) {
  const std::string& account = context.environment.account_id;
  if (const Session* session = context.session)
    co_return Output{session->role_id + ":" + session->name, account, session->assumed_arn};
  // Every key may do everything: each is the account's own.
  co_return Output{account, account, "arn:aws:iam::" + account + ":root"};
}

}  // namespace

extern constinit const Operation get_caller_identity_operation =
    operation<get_caller_identity, kInput, kOutput>("GetCallerIdentity");

}  // namespace millrace::services::sts
