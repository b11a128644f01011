#include "services/kinesis/policy_evaluation.hpp"

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <vector>

namespace millrace::services::kinesis {
namespace {

using nlohmann::json;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  return out;
}

bool same_letters(std::string_view a, std::string_view b) { return lower(a) == lower(b); }
bool same(std::string_view a, std::string_view b) noexcept { return a == b; }

// IAM's lists may be a single text. Others than texts are no such list's items.
bool any_of(const json& value, const std::function<bool(std::string_view text)>& holds) {
  if (value.is_string()) return holds(value.get_ref<const std::string&>());
  return value.is_array() && std::any_of(value.begin(), value.end(), [&](const json& item) {
           return item.is_string() && holds(item.get_ref<const std::string&>());
         });
}

// ---- principals

constexpr std::string_view kIam = "arn:aws:iam::", kSts = "arn:aws:sts::";

/// Of `arn:aws:sts::N:assumed-role/ROLE/SESSION`; empty for others.
std::string_view assumed_role(const PolicyQuestion& question) {
  const std::string begin = std::string(kSts) + question.account + ":assumed-role/";
  const std::string_view arn = question.caller_arn;
  if (!arn.starts_with(begin)) return {};
  const std::string_view rest = arn.substr(begin.size());
  return rest.substr(0, rest.find('/'));
}

std::string role_or_caller(const PolicyQuestion& question) {
  const std::string_view role = assumed_role(question);
  if (role.empty()) return question.caller_arn;
  return std::string(kIam) + question.account + ":role/" + std::string(role);
}

bool is_caller(std::string_view principal, const PolicyQuestion& question) {
  const std::string root = std::string(kIam) + question.account + ":root";
  if (principal == "*" || principal == question.account || principal == root || principal == question.caller_arn)
    return true;
  // A role's name is one in its account, whatever its path.
  const std::string_view role = assumed_role(question);
  return !role.empty() && principal.starts_with(std::string(kIam) + question.account + ":role/") &&
         principal.substr(principal.rfind('/') + 1) == role;
}

bool names_caller(const json& principal, const PolicyQuestion& question) {
  const auto is = [&](std::string_view text) { return is_caller(text, question); };
  if (principal.is_string()) return any_of(principal, is);
  // Services and federated users do not ask here.
  const auto aws = principal.find("AWS");
  return aws != principal.end() && any_of(*aws, is);
}

// ---- conditions

struct Operator {
  std::string_view name;
  bool (*matches)(std::string_view wanted, std::string_view is);
  bool negated = false;
};
bool wildcards(std::string_view pattern, std::string_view text) { return matches_wildcards(pattern, text); }
constexpr Operator kOperators[] = {{"StringEquals", same},
                                   {"StringNotEquals", same, true},
                                   {"StringLike", wildcards},
                                   {"StringNotLike", wildcards, true},
                                   {"ArnEquals", wildcards},
                                   {"ArnNotEquals", wildcards, true},
                                   {"ArnLike", wildcards},
                                   {"ArnNotLike", wildcards, true},
                                   {"StringEqualsIgnoreCase", same_letters},
                                   {"StringNotEqualsIgnoreCase", same_letters, true}};

const Operator* find_operator(std::string_view name) {
  constexpr std::string_view kIfExists = "IfExists";  // all that is known here exists
  if (name.ends_with(kIfExists)) name.remove_suffix(kIfExists.size());
  const auto found =
      std::find_if(std::begin(kOperators), std::end(kOperators), [&](const Operator& one) { return one.name == name; });
  return found == std::end(kOperators) ? nullptr : found;
}

constexpr std::string_view kConditionKeys[] = {"aws:principalaccount", "aws:principalarn", "aws:requestedregion",
                                               "aws:resourceaccount"};
bool known_key(std::string_view key) {
  return std::find(std::begin(kConditionKeys), std::end(kConditionKeys), lower(key)) != std::end(kConditionKeys);
}

std::string value_of(std::string_view key, const PolicyQuestion& question) {
  const std::string name = lower(key);
  if (name == kConditionKeys[0]) return question.account;
  if (name == kConditionKeys[1]) return role_or_caller(question);
  if (name == kConditionKeys[2]) return question.region;
  return question.resource_account;
}

bool holds(const json& condition, const PolicyQuestion& question) {
  for (const auto& [name, keys] : condition.items())
    for (const auto& [key, wanted] : keys.items()) {
      const Operator& is = *find_operator(name);
      const std::string value = value_of(key, question);
      if (any_of(wanted, [&](std::string_view text) { return is.matches(text, value); }) == is.negated) return false;
    }
  return true;
}

// ---- statements

bool names_action(const json& actions, const PolicyQuestion& question) {
  const std::string action = lower(question.action);
  return any_of(actions, [&](std::string_view pattern) { return matches_wildcards(lower(pattern), action); });
}
bool names_resource(const json& resources, const PolicyQuestion& question) {
  return any_of(resources, [&](std::string_view pattern) { return matches_wildcards(pattern, question.resource_arn); });
}

/// What a statement says of the question; `Name` or its opposite, `NotName`.
template <class Names>
bool applies(const json& statement, const std::string& name, const PolicyQuestion& question, Names names) {
  if (const auto at = statement.find(name); at != statement.end()) return names(*at, question);
  const auto opposite = statement.find("Not" + name);
  return opposite != statement.end() && !names(*opposite, question);
}

Verdict said(const json& statement, const PolicyQuestion& question) {
  if (!statement.is_object() || !applies(statement, "Principal", question, names_caller) ||
      !applies(statement, "Action", question, names_action) ||
      !applies(statement, "Resource", question, names_resource))
    return Verdict::not_allowed;
  const bool allows = statement.value("Effect", json()) == "Allow";
  const auto condition = statement.find("Condition");
  if (condition != statement.end()) {
    if (unknown_condition(*condition)) return allows ? Verdict::not_allowed : Verdict::denied;
    if (!holds(*condition, question)) return Verdict::not_allowed;
  }
  return allows ? Verdict::allowed : Verdict::denied;
}

}  // namespace

bool matches_wildcards(std::string_view pattern, std::string_view text) noexcept {
  std::size_t p = 0, t = 0, star = pattern.npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != pattern.npos) {  // the last star takes one more
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', p) == pattern.npos;
}

std::optional<std::string> unknown_condition(const json& condition) {
  if (!condition.is_object()) return "Condition is no object";
  for (const auto& [name, keys] : condition.items()) {
    if (!find_operator(name)) return "the condition operator " + name + " is not known here";
    if (!keys.is_object()) return "the condition operator " + name + " has no keys";
    for (const auto& [key, wanted] : keys.items()) {
      if (!known_key(key)) return "the condition key " + key + " is not known here";
      const bool texts = wanted.is_string() ||
                         (wanted.is_array() && !wanted.empty() &&
                          std::all_of(wanted.begin(), wanted.end(), [](const json& v) { return v.is_string(); }));
      if (!texts) return "the condition key " + key + " has no text as its value";
    }
  }
  return std::nullopt;
}

Verdict evaluate(std::string_view policy, const PolicyQuestion& question) {
  const json parsed = json::parse(policy, nullptr, false);
  const auto statements = parsed.is_object() ? parsed.find("Statement") : parsed.end();
  if (!parsed.is_object() || statements == parsed.end()) return Verdict::not_allowed;
  if (!statements->is_array()) return said(*statements, question);
  Verdict verdict = Verdict::not_allowed;
  for (const json& statement : *statements) {
    const Verdict one = said(statement, question);
    if (one == Verdict::denied) return one;
    if (one == Verdict::allowed) verdict = one;
  }
  return verdict;
}

}  // namespace millrace::services::kinesis
