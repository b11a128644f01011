// AssumeRole: credentials for a time. Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
#include <algorithm>

#include "millrace/base/utc_text.hpp"
#include "millrace/services/accounts.hpp"
#include "millrace/services/sessions.hpp"
#include "services/dispatch.hpp"

namespace millrace::services::sts {
namespace {

constexpr std::int32_t kSecondsDefault = 3600;
constexpr std::size_t kIdChars = 16, kSecretChars = 40;

bool is_word(char c) noexcept { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
bool is_name(std::string_view value) noexcept {
  return std::all_of(value.begin(), value.end(), [](char c) {
    return is_word(c) || (c >= '0' && c <= '9') || std::string_view("_+=,.@-").find(c) != std::string_view::npos;
  });
}
constexpr Pattern kNamePattern{"[\\w+=,.@-]*", is_name};

struct Tag {
  std::string key, value;
};
constexpr auto kTag = fields(field<&Tag::key>("Key", length(1, 128)), field<&Tag::value>("Value", length(0, 256)));

struct Input {
  std::string role_arn, name;
  std::optional<std::int32_t> seconds;
  // Of what a role's trust policy asks; there are none here.
  std::optional<std::string> external_id, source_identity;
  std::optional<std::vector<Tag>> tags;
};
constexpr auto kInput = fields(
    field<&Input::role_arn>("RoleArn", length(20, 2048)),
    field<&Input::name>("RoleSessionName", length(2, 64), pattern(kNamePattern)),
    field<&Input::seconds>("DurationSeconds", within(900, 43'200)),
    field<&Input::external_id>("ExternalId", length(2, 1224)),
    field<&Input::source_identity>("SourceIdentity", length(2, 64), pattern(kNamePattern)),
    field<&Input::tags>("Tags", length(0, 50), of(kTag)), refused("Policy", "Session policies are not supported."),
    refused("PolicyArns", "Session policies are not supported."), refused("SerialNumber", "MFA is not supported."),
    refused("TokenCode", "MFA is not supported."), refused("TransitiveTagKeys"), refused("ProvidedContexts"));

struct Issued {
  std::string access_key_id, secret, token, expiration;
};
constexpr auto kIssued = fields(field<&Issued::access_key_id>("AccessKeyId"), field<&Issued::secret>("SecretAccessKey"),
                                field<&Issued::token>("SessionToken"), field<&Issued::expiration>("Expiration"));
struct User {
  std::string id, arn;
};
constexpr auto kUser = fields(field<&User::id>("AssumedRoleId"), field<&User::arn>("Arn"));
struct Output {
  Issued issued;
  User user;
  std::optional<std::string> source_identity;
};
constexpr auto kOutput =
    fields(field<&Output::issued>("Credentials", of(kIssued)), field<&Output::user>("AssumedRoleUser", of(kUser)),
           field<&Output::source_identity>("SourceIdentity"));

constexpr std::string_view kCapitals = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::string random_text(Random& random, std::size_t size, std::string_view letters) {
  std::string bytes(size, '\0');
  random.secret(std::as_writable_bytes(std::span(bytes)));
  for (char& c : bytes) c = letters[static_cast<unsigned char>(c) % letters.size()];
  return bytes;
}

/// arn:aws:iam::ACCOUNT:role/PATH/NAME
struct Role {
  std::string_view account, name;
};
std::optional<Role> role_of(std::string_view arn) {
  constexpr std::string_view kBegin = "arn:aws:iam::", kRole = ":role/";
  constexpr std::size_t kAccount = 12;
  if (!arn.starts_with(kBegin)) return std::nullopt;
  const std::string_view rest = arn.substr(kBegin.size());
  if (rest.size() <= kAccount || rest.substr(kAccount, kRole.size()) != kRole) return std::nullopt;
  const std::string_view account = rest.substr(0, kAccount), name = rest.substr(rest.rfind('/') + 1);
  if (account.find_first_not_of("0123456789") != std::string_view::npos || name.empty() || !is_name(name))
    return std::nullopt;
  return Role{account, name};
}

awaitable<Outcome<Output>> assume_role(Context& context, Input in) {
  const auto role = role_of(in.role_arn);
  if (!role) co_return ServiceError{"ValidationException", 400, in.role_arn + " is invalid"};
  const Environment& environment = context.environment;
  // Where nobody's credentials are looked at, a role is the way into another account.
  const bool any_account = environment.accounts && !environment.accounts->policies();
  if (role->account != environment.account_id && !any_account)
    co_return ServiceError{"AccessDeniedException", 403,
                           "User: arn:aws:iam::" + environment.account_id +
                               ":root is not authorized to perform: sts:AssumeRole on resource: " + in.role_arn};
  Session session;
  session.access_key_id = "ASIA" + random_text(environment.random, kIdChars, kCapitals);
  session.secret = random_text(environment.random, kSecretChars, kLetters);
  const auto digest = sha256(in.role_arn);
  session.role_id = "AROA";
  for (std::size_t i = 0; i < kIdChars + 1; ++i) session.role_id += kCapitals[digest[i] % kCapitals.size()];
  session.name = in.name;
  session.assumed_arn =
      "arn:aws:sts::" + std::string(role->account) + ":assumed-role/" + std::string(role->name) + "/" + in.name;
  // As the age of signatures: by the system's clock, whatever the domain's does.
  session.expires = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) +
                    std::chrono::seconds{in.seconds.value_or(kSecondsDefault)};
  Output out;
  out.issued = {session.access_key_id, session.secret, environment.sessions->token(session, environment.random),
                utc_text(TimePoint{session.expires.time_since_epoch()})};
  out.user = {session.role_id + ":" + session.name, session.assumed_arn};
  out.source_identity = in.source_identity;
  co_return out;
}

}  // namespace

extern constinit const Operation assume_role_operation = operation<assume_role, kInput, kOutput>("AssumeRole");

}  // namespace millrace::services::sts
