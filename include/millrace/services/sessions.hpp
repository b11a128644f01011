#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/digest.hpp"
#include "millrace/base/random.hpp"

/// Credentials that are given for a time (STS). Their token carries all that is to be known of them, sealed: nothing of
/// them is kept here. Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
namespace millrace::services {

struct Session {
  std::string access_key_id, secret;
  std::string role_id;      ///< AROA..., the same for each session of a role
  std::string assumed_arn;  ///< arn:aws:sts::ACCOUNT:assumed-role/ROLE/NAME
  std::string name;
  std::chrono::sys_seconds expires;

  std::string_view account() const noexcept;  ///< of assumed_arn

  friend bool operator==(const Session&, const Session&) = default;
};

/// Thread-safe.
class Sessions {
 public:
  /// @param secret  what tokens are sealed with is made of: with the same one they are known again after a restart
  explicit Sessions(std::string_view secret);

  /// What a client sends with its requests beside the access key.
  std::string token(const Session& session, Random& random) const;
  /// Nothing for what token() never gave.
  std::optional<Session> open(std::string_view token) const;

 private:
  const Sealer sealer_;
};

}  // namespace millrace::services
