#pragma once
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::services::kinesis {

/// Who asks for what, as a resource-based policy sees it.
/// Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
struct PolicyQuestion {
  std::string account;     ///< the caller's
  std::string caller_arn;  ///< arn:aws:iam::N:root, arn:aws:sts::N:assumed-role/ROLE/SESSION
  std::string action;      ///< kinesis:PutRecord
  std::string resource_arn, resource_account, region;
};

enum class Verdict { allowed, not_allowed, denied };

/// An explicit deny counts before any allow; what cannot be understood (a condition on something that is not known
/// here) allows nothing and denies.
Verdict evaluate(std::string_view policy, const PolicyQuestion& question);

/// Of a statement's Condition: what of it is not known here; nothing where all of it can be evaluated.
std::optional<std::string> unknown_condition(const nlohmann::json& condition);

/// `*` is any text, `?` any character.
bool matches_wildcards(std::string_view pattern, std::string_view text) noexcept;

}  // namespace millrace::services::kinesis
