#include "services/kinesis/policy.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "millrace/codec/json_reader.hpp"
#include "millrace/streams/control.hpp"
#include "services/kinesis/policy_evaluation.hpp"

namespace millrace::services::kinesis {
namespace {

using nlohmann::json;

// IAM's lists may be a single text.
bool texts(const json& value, bool (*holds)(std::string_view text, std::string_view arn), std::string_view arn) {
  if (value.is_string()) return holds(value.get_ref<const std::string&>(), arn);
  return value.is_array() && !value.empty() && std::all_of(value.begin(), value.end(), [&](const json& item) {
           return item.is_string() && holds(item.get_ref<const std::string&>(), arn);
         });
}

bool any_text(std::string_view text, std::string_view) { return !text.empty(); }
bool kinesis_action(std::string_view text, std::string_view) {
  return text == "*" || (text.starts_with("kinesis:") && text.size() > std::string_view("kinesis:").size());
}
bool this_resource(std::string_view text, std::string_view arn) { return text == arn || text == "*"; }

bool principal(const json& value) {
  if (value.is_string()) return value == "*";
  return value.is_object() && !value.empty() &&
         std::all_of(value.begin(), value.end(), [](const json& who) { return texts(who, any_text, {}); });
}

// What is wrong with it; nothing.
std::optional<std::string> mistake(const json& policy, std::string_view arn, bool evaluated) {
  if (!policy.is_object()) return "it is no JSON object";
  if (const auto version = policy.find("Version");
      version != policy.end() && *version != "2012-10-17" && *version != "2008-10-17")
    return "Version must be 2012-10-17 or 2008-10-17";
  const auto statements = policy.find("Statement");
  if (statements == policy.end() || !(statements->is_object() || statements->is_array()) || statements->empty())
    return "it has no Statement";
  const json one = statements->is_object() ? json::array({*statements}) : json();
  for (const json& statement : statements->is_object() ? one : *statements) {
    if (!statement.is_object()) return "a Statement is no object";
    const auto has = [&](const char* name) { return statement.contains(name); };
    if (!has("Effect") || (statement["Effect"] != "Allow" && statement["Effect"] != "Deny"))
      return "Effect must be Allow or Deny";
    if (has("Principal") == has("NotPrincipal")) return "a Statement needs either Principal or NotPrincipal";
    if (!principal(statement[has("Principal") ? "Principal" : "NotPrincipal"])) return "Principal names nobody";
    if (has("Action") == has("NotAction")) return "a Statement needs either Action or NotAction";
    if (!texts(statement[has("Action") ? "Action" : "NotAction"], kinesis_action, {}))
      return "Action must be of kinesis";
    if (has("Resource") == has("NotResource")) return "a Statement needs either Resource or NotResource";
    if (has("Resource") && !texts(statement["Resource"], this_resource, arn))
      return "Resource must be the resource that the policy is attached to";
    if (has("Condition") && !statement["Condition"].is_object()) return "Condition is no object";
    if (has("Condition") && evaluated)
      if (auto unknown = unknown_condition(statement["Condition"])) return unknown;
  }
  return std::nullopt;
}

}  // namespace

std::optional<ServiceError> check_policy(std::string_view policy, std::string_view arn, bool evaluated) {
  if (policy.size() > kPolicyBytesMax)
    return ServiceError{"LimitExceededException", 400,
                        "The policy must not be larger than " + std::to_string(kPolicyBytesMax) + " bytes."};
  // The reader has a bound on nesting; it says no for what is not wholly JSON.
  codec::JsonReader reader(policy);
  reader.skip_value();
  const json parsed = !reader.failed() && reader.at_end() ? json::parse(policy, nullptr, false) : json();
  if (auto wrong = mistake(parsed, arn, evaluated)) return invalid_argument("The policy is malformed: " + *wrong + ".");
  return std::nullopt;
}

Outcome<Resource> find_resource_with_policy(const Environment& environment, const ResourceSelector& selector) {
  Outcome<Resource> found = find_resource(environment, selector);
  if (!found && !matches_consumer_arn(selector.arn)) return stream_not_found(environment, selector.arn);
  return found;
}

awaitable<Outcome<NoOutput>> set_policy(const Environment& environment, Resource resource, std::string arn,
                                        std::string policy) {
  const std::string stream = resource.stream->name;
  const std::string consumer = resource.consumer ? resource.consumer->name : "";
  streams::Result<> set;
  if (resource.consumer)
    set = co_await streams::set_policy(environment.streams, stream, consumer, resource.consumer->created_s,
                                       std::move(policy));
  else
    set = co_await streams::set_policy(environment.streams, stream, std::move(policy));
  if (!set)
    co_return to_service_error(set.error(), environment, {.stream = stream, .consumer = consumer, .resource_arn = arn});
  co_return NoOutput{};
}

}  // namespace millrace::services::kinesis
