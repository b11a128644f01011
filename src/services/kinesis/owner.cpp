#include "services/kinesis/owner.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "millrace/codec/cbor.hpp"
#include "millrace/codec/json_reader.hpp"
#include "millrace/services/accounts.hpp"
#include "millrace/services/sessions.hpp"
#include "services/kinesis/policy_evaluation.hpp"
#include "services/kinesis/resource.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::string_view kOfStreams[] = {
    "DescribeStream", "DescribeStreamSummary", "GetRecords", "GetShardIterator", "ListShards", "PutRecord",
    "PutRecords"};
constexpr std::string_view kOfConsumers[] = {"DescribeStreamConsumer", "SubscribeToShard"};

template <class List>
bool in(const List& list, std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

/// What of a request names resources. A member may stand there twice, and an operation takes one of them: all count.
struct Named {
  std::vector<std::string> streams, consumers, resources, consumer_names, page_tokens;

  std::vector<std::string>* place(std::string_view member) {
    if (member == "StreamARN") return &streams;
    if (member == "ConsumerARN") return &consumers;
    if (member == "ResourceARN") return &resources;
    if (member == "ConsumerName") return &consumer_names;
    if (member == "NextToken") return &page_tokens;
    return nullptr;
  }
};

// What is malformed the operation itself says.
Named read_json(std::string_view body) {
  Named out;
  codec::JsonReader reader(body);
  std::string_view member;
  if (reader.peek() != codec::JsonType::object || !reader.begin_object()) return out;
  while (reader.next_member(member)) {
    std::vector<std::string>* const place = out.place(member);
    codec::JsonString value;
    std::string scratch;
    if (!place || reader.peek() != codec::JsonType::string)
      reader.skip_value();
    else if (reader.read_string(value))
      place->emplace_back(codec::json_text(value, scratch));
  }
  return out;
}

Named read_cbor(std::string_view body) {
  Named out;
  codec::CborReader reader(body);
  std::string_view member, value;
  std::string scratch;
  const auto skip_tags = [&reader] {
    std::uint64_t tag = 0;
    while (reader.peek() == codec::CborType::tag && reader.read_tag(tag)) {
    }
  };
  skip_tags();
  if (reader.peek() != codec::CborType::map || !reader.begin_map()) return out;
  while (reader.next_member(member)) {
    std::vector<std::string>* const place = out.place(member);
    if (place) skip_tags();
    if (!place || reader.peek() != codec::CborType::text)
      reader.skip_value();
    else if (reader.read_text(value, scratch))
      place->emplace_back(value);
  }
  return out;
}

/// arn:aws:kinesis:REGION:ACCOUNT:stream/...; AWS's patterns take more, and what is no such ARN is nobody else's.
struct Place {
  std::string_view region, account;
};
std::optional<Place> place_of(std::string_view arn) {
  constexpr std::size_t kParts = 5;
  std::string_view parts[kParts], rest = arn;
  for (std::string_view& part : parts) {
    const std::size_t colon = rest.find(':');
    if (colon == rest.npos) return std::nullopt;
    part = rest.substr(0, colon);
    rest.remove_prefix(colon + 1);
  }
  if (parts[0] != "arn" || !parts[1].starts_with("aws") || parts[2] != "kinesis" || !rest.starts_with("stream/"))
    return std::nullopt;
  if (!is_region(parts[3]) || !is_account(parts[4])) return std::nullopt;
  return Place{parts[3], parts[4]};
}

ServiceError not_found(std::string_view resource, std::string_view account) {
  return {"ResourceNotFoundException", 400,
          "Stream " + std::string(resource) + " under account " + std::string(account) + " not found."};
}

std::string caller_arn(const Context& caller) {
  return caller.session ? caller.session->assumed_arn : "arn:aws:iam::" + caller.environment.account_id + ":root";
}

ServiceError access_denied(const PolicyQuestion& question, Verdict verdict) {
  return {
      "AccessDeniedException", 400,
      "User: " + question.caller_arn + " is not authorized to perform: " + question.action +
          " on resource: " + question.resource_arn +
          (verdict == Verdict::denied ? std::string(" with an explicit deny in a resource-based policy")
                                      : " because no resource-based policy allows the " + question.action + " action")};
}

/// The policy of what `arn` names there; empty where there is none, or no such resource.
std::string policy_of(const Environment& owner, const std::string& arn) {
  const Outcome<Resource> found = find_resource(owner, {arn, {}});
  if (!found) return {};
  return found->consumer ? found->consumer->policy : found->stream->settings.policy;
}

/// The ARNs whose policies decide, of those a request names.
std::vector<std::string> deciding(std::string_view operation, const Named& named, const Environment* owner) {
  if (in(kOfStreams, operation)) return named.streams;
  if (!in(kOfConsumers, operation)) return {};
  std::vector<std::string> arns = named.consumers;
  if (!arns.empty() || !owner) return arns;
  // By the stream's ARN and a name.
  for (const std::string& stream : named.streams)
    for (const std::string& name : named.consumer_names) {
      const Outcome<Resource> found =
          find_consumer(*owner, {.stream_arn = stream, .name = name, .arn = {}, .stream_id = {}});
      if (found) arns.push_back(consumer_arn(*owner, found->stream->name, *found->consumer));
    }
  return arns;
}

std::optional<ServiceError> refuse(const Context& caller, std::string_view operation, const Named& named,
                                   const std::string& example, const Environment* owner, const Place& place) {
  PolicyQuestion question{caller.environment.account_id,       caller_arn(caller),
                          "kinesis:" + std::string(operation), example,
                          std::string(place.account),          std::string(place.region)};
  const std::vector<std::string> arns = deciding(operation, named, owner);
  if (arns.empty() || !owner) return access_denied(question, Verdict::not_allowed);
  for (const std::string& arn : arns) {
    question.resource_arn = arn;
    const std::string policy = policy_of(*owner, arn);
    const Verdict verdict = policy.empty() ? Verdict::not_allowed : evaluate(policy, question);
    if (verdict != Verdict::allowed) return access_denied(question, verdict);
  }
  return std::nullopt;
}

}  // namespace

std::optional<ServiceError> find_owner(const Context& caller, std::string_view operation, std::string_view body,
                                       Environment*& owner) {
  const Environment& own = caller.environment;
  const bool pages = operation == "ListShards";  // its next pages are asked for by token alone
  // Most requests name their stream by name. A name of a member may have escapes.
  if (caller.wire == Wire::json && !pages && body.find("ARN") == body.npos && body.find('\\') == body.npos)
    return std::nullopt;
  Named named = caller.wire == Wire::json ? read_json(body) : read_cbor(body);
  if (pages)
    for (const std::string& token : named.page_tokens)
      if (const auto origin = page_origin(token)) {
        const std::string_view listing = origin->page.listing;
        const std::size_t name = std::min(listing.find(' '), listing.size() - 1) + 1;
        named.streams.push_back("arn:aws:kinesis:" + origin->region + ":" + origin->account + ":stream/" +
                                std::string(listing.substr(name, listing.find(' ', name) - name)));
      }

  std::optional<Place> other;
  const std::string* example = nullptr;
  bool of_own = false;
  for (const std::vector<std::string>* list : {&named.consumers, &named.streams, &named.resources})
    for (const std::string& arn : *list) {
      const auto place = place_of(arn);
      if (place && place->region != own.region) return not_found(arn_resource_name(arn).value_or(arn), place->account);
      if (!place || place->account == own.account_id) {
        of_own = true;
        continue;
      }
      if (other && other->account != place->account) of_own = true;
      other = place;
      example = &arn;
    }
  if (!other) return std::nullopt;
  if (of_own)
    return ServiceError{"InvalidArgumentException", 400, "The ARNs of a request must be of the same account."};
  Environment* const theirs = own.accounts->find(other->account, other->region);
  if (own.accounts->policies()) {
    if (auto refused = refuse(caller, operation, named, *example, theirs, *other)) return refused;
  } else if (!theirs) {
    return not_found(arn_resource_name(*example).value_or(*example), other->account);
  }
  owner = theirs;
  return std::nullopt;
}

}  // namespace millrace::services::kinesis
