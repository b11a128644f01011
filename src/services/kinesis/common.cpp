#include "services/kinesis/common.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "millrace/codec/base64.hpp"
#include "millrace/codec/decimal.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr std::chrono::seconds kPageTokenLife{300};
constexpr std::string_view kPageTokenForm = "2 ";

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

bool matches_decimal(std::string_view value, std::size_t digits_max) noexcept {
  if (value == "0") return true;
  return !value.empty() && value[0] != '0' && value.size() <= digits_max &&
         std::all_of(value.begin(), value.end(), is_digit);
}

// Where ":stream/" stands in a well-formed stream ARN.
std::size_t arn_resource(std::string_view arn) noexcept {
  constexpr std::string_view kStart = "arn:aws", kService = ":kinesis:", kResource = ":stream/";
  constexpr std::size_t kAccountDigits = 12;
  if (!arn.starts_with(kStart)) return arn.npos;
  const std::size_t service = arn.find(kService, kStart.size());
  if (service == arn.npos) return arn.npos;
  for (std::size_t at = arn.find(kResource, service); at != arn.npos; at = arn.find(kResource, at + 1)) {
    if (at < service + kService.size() + 1 + kAccountDigits || arn[at - kAccountDigits - 1] != ':') continue;
    const std::string_view account = arn.substr(at - kAccountDigits, kAccountDigits);
    const std::string_view rest = arn.substr(at + kResource.size());
    if (!std::all_of(account.begin(), account.end(), is_digit) || rest.empty()) continue;
    if (arn.substr(0, at).find_first_of("\n\r") != arn.npos || rest.find_first_of(" \t\n\v\f\r") != rest.npos) continue;
    return at;
  }
  return arn.npos;
}

std::string stream_text(const Environment& environment, std::string_view stream) {
  return "tream " + std::string(stream) + " under account " + environment.account_id;
}

ServiceError rate_exceeded(const Environment& environment, std::string_view stream) {
  return {"LimitExceededException", 400,
          "Rate exceeded for " +
              (stream.empty() ? "account " + environment.account_id : "s" + stream_text(environment, stream)) + "."};
}

// Letters, digits and blanks of every script, by block: near enough to Unicode's categories for what AWS refuses.
bool tag_letter(char32_t c) noexcept {
  if (c < 0x80) return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == ' ';
  return c == 0xa0 || c == 0xaa || c == 0xb5 || c == 0xba || (c >= 0xc0 && c <= 0x200a && c != 0xd7 && c != 0xf7) ||
         (c >= 0x2c00 && c <= 0xd7ff) || (c >= 0xf900 && c <= 0xfdff) || (c >= 0xfe70 && c <= 0xfefc) ||
         (c >= 0xff10 && c <= 0xffdc) || (c >= 0x10000 && c <= 0x1efff) || (c >= 0x20000 && c <= 0x323af);
}

enum class TagCharacters { good, percent, bad };
TagCharacters tag_characters(std::string_view text) noexcept {
  TagCharacters found = TagCharacters::good;
  for (std::size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    char32_t c = size == 1 ? lead : lead & (0xffu >> (size + 1));
    for (std::size_t k = 1; k < size && i + k < text.size(); ++k)
      c = (c << 6) | (static_cast<unsigned char>(text[i + k]) & 0x3f);
    i += size;
    if (c == '%')
      found = TagCharacters::percent;
    else if (!tag_letter(c) &&
             (c >= 0x80 || std::string_view("_.:/=+-@").find(static_cast<char>(c)) == std::string_view::npos))
      return TagCharacters::bad;
  }
  return found;
}

// AWS checks characters twice, with two texts; a percent sign passes the first check and fails the second.
std::optional<ServiceError> tag_character_error(const std::string& subject, TagCharacters found,
                                                std::string_view change) {
  switch (found) {
    case TagCharacters::good:
      return std::nullopt;
    case TagCharacters::bad:
      return invalid_argument(
          "Some tags contain invalid characters. Valid characters: Unicode letters, digits, white space, _ . / = + - % "
          "@.");
    case TagCharacters::percent:
      return invalid_argument(
          "Failed to " + std::string(change) + " " + subject +
          " because some tags contained illegal characters. The allowed characters are Unicode letters, "
          "white-spaces, '_',',','/','=','+','-','@'.");
  }
  std::abort();
}

bool reserved_tag(std::string_view key) noexcept { return key.starts_with("aws:"); }

}  // namespace

bool matches_name(std::string_view value) noexcept {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '.' || c == '-';
  });
}
bool matches_stream_arn(std::string_view value) noexcept { return arn_resource(value) != value.npos; }
bool matches_hash_key(std::string_view value) noexcept { return matches_decimal(value, 39); }
bool matches_sequence_number(std::string_view value) noexcept { return matches_decimal(value, 129); }

std::optional<std::string_view> arn_resource_name(std::string_view arn) noexcept {
  const std::size_t at = arn_resource(arn);
  if (at == arn.npos) return std::nullopt;
  return arn.substr(at + std::string_view(":stream/").size());
}

Outcome<std::string_view> selected_name(const StreamSelector& selector) {
  if (!selector.name && !selector.arn) return invalid_argument("Either StreamName or StreamARN must be provided.");
  if (!selector.arn) return std::string_view(*selector.name);
  const std::string_view name = arn_resource_name(*selector.arn).value_or("");  // its pattern has been checked
  if (selector.name && *selector.name != name)
    return invalid_argument("StreamName " + *selector.name + " and StreamARN " + *selector.arn +
                            " do not name the same stream.");
  return name;
}

Outcome<streams::StreamRef> find_stream(Context& context, const StreamSelector& selector) {
  const Outcome<std::string_view> name = selected_name(selector);
  if (!name) return name.error();
  streams::StreamRef stream = context.environment.streams.find(*name);
  if (!stream) return stream_not_found(context.environment, *name);
  return stream;
}

Outcome<streams::StreamRef> find_stream(Context& context, const StreamSelector& selector, streams::Call call) {
  const Outcome<std::string_view> name = selected_name(selector);
  if (!name) return name.error();
  if (!streams::per_stream(call))
    if (auto refused = check_rate(context, call, *name)) return *refused;
  Outcome<streams::StreamRef> stream = find_stream(context, selector);
  if (stream && streams::per_stream(call))
    if (auto refused = check_rate(context, call, **stream)) return *refused;
  return stream;
}

std::optional<ServiceError> check_rate(const Context& context, streams::Call call, std::string_view stream) {
  const Environment& environment = context.environment;
  streams::CallLimits* const limits = context.declared ? nullptr : environment.streams.limits();
  if (!limits || limits->take(call, environment.clock.now())) return std::nullopt;
  return rate_exceeded(environment, stream);
}

std::optional<ServiceError> check_rate(const Context& context, streams::Call call, const streams::Stream& stream) {
  const Environment& environment = context.environment;
  if (context.declared || !stream.limits || stream.limits->take(call, environment.clock.now())) return std::nullopt;
  return rate_exceeded(environment, stream.name);
}

std::string stream_arn(const Environment& environment, std::string_view stream) {
  return "arn:aws:kinesis:" + environment.region + ":" + environment.account_id + ":stream/" + std::string(stream);
}

std::optional<ServiceError> check_dry_run(std::optional<bool> asked) {
  if (!asked.value_or(false)) return std::nullopt;
  return ServiceError{"DryRunOperationException", 400,
                      "The request was rejected because the DryRun parameter was specified."};
}

ServiceError stream_not_found(const Environment& environment, std::string_view stream) {
  return {"ResourceNotFoundException", 400, "S" + stream_text(environment, stream) + " not found."};
}

ServiceError shard_not_found(const Environment& environment, std::string_view stream, std::string_view shard) {
  return {"ResourceNotFoundException", 400,
          "Shard " + std::string(shard) + " in s" + stream_text(environment, stream) + " does not exist"};
}

ServiceError shard_rate_exceeded(const Environment& environment, std::string_view stream, std::string_view shard) {
  return {"ProvisionedThroughputExceededException", 400,
          "Rate exceeded for shard " + std::string(shard) + " in s" + stream_text(environment, stream) + "."};
}

ServiceError shard_id_unknown(const Environment& environment, std::string_view stream,
                              std::string_view shard_as_given) {
  return {"ResourceNotFoundException", 400,
          "Could not find shard " + std::string(shard_as_given) + " in s" + stream_text(environment, stream) + "."};
}

ServiceError to_service_error(const streams::Error& error, const Environment& environment, const Subject& subject) {
  const std::string stream = stream_text(environment, subject.stream);
  const std::string consumer = "consumer " + std::string(subject.consumer) + " under stream " +
                               std::string(subject.stream) + " , account " + environment.account_id;
  switch (error.code) {
    case streams::Errc::exists:
      return {"ResourceInUseException", 400, "S" + stream + " already exists."};
    case streams::Errc::not_found:
      return stream_not_found(environment, subject.stream);
    case streams::Errc::not_active:
      return {"ResourceInUseException", 400, "S" + stream + " not ACTIVE, instead in state " + error.detail};
    case streams::Errc::shard_limit:
      return {"LimitExceededException", 400,
              "This request would exceed the shard limit for the account " + environment.account_id + " in " +
                  environment.region +
                  ". Current shard count for the account: " + std::to_string(environment.streams.open_shards()) +
                  ". Limit: " + std::to_string(environment.streams.options().shards_max) +
                  ". Number of additional shards that would have resulted from this request: " + error.detail +
                  ". Refer to the AWS Service Limits page "
                  "(http://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html) for "
                  "current limits and how to request higher limits."};
    case streams::Errc::too_many_tags:
      return invalid_argument("Failed to add tags to " + (subject.consumer.empty() ? "s" + stream : consumer) +
                              " because a given " + (subject.consumer.empty() ? "stream" : "consumer") +
                              " cannot have more than 50 tags associated with it.");
    case streams::Errc::retention_order: {
      const std::string wanted = std::to_string(subject.retention_wanted.count());
      const std::string now = std::to_string(subject.retention_now.count());
      return invalid_argument("Requested retention period (" + wanted + " hours) for stream " +
                              std::string(subject.stream) +
                              (subject.retention_increase ? " can not be shorter than existing retention period (" +
                                                                now + " hours). Use DecreaseRetentionPeriod API."
                                                          : " can not be longer than existing retention period (" +
                                                                now + " hours). Use IncreaseRetentionPeriod API."));
    }
    case streams::Errc::shard_not_found:
      return shard_id_unknown(environment, subject.stream, error.detail);
    case streams::Errc::shard_closed:
      return invalid_argument("Shard " + error.detail + " in s" + stream +
                              " has already been merged or split, and thus is not eligible for merging or splitting.");
    case streams::Errc::split_point: {
      const HashKeyRangeOutput range = hash_key_range_output(subject.hash_keys.value_or(streams::HashRange{}));
      return invalid_argument("NewStartingHashKey " + std::string(subject.hash_key) +
                              " used in SplitShard() on shard " + error.detail + " in s" + stream +
                              " is not both greater than one plus the shard's StartingHashKey " + range.starting +
                              " and less than the shard's EndingHashKey " + range.ending + ".");
    }
    case streams::Errc::not_adjacent:
      return invalid_argument("Shards " + error.detail + " and " + std::string(subject.adjacent_shard) + " in s" +
                              stream + " are not an adjacent pair of shards eligible for merging");
    case streams::Errc::scale_up:
    case streams::Errc::scale_down:
    case streams::Errc::scale_limit: {
      const std::string what = error.code == streams::Errc::scale_up
                                   ? "UpdateShardCount cannot scale up over double your current open shard count."
                               : error.code == streams::Errc::scale_down
                                   ? "UpdateShardCount cannot scale down below half your current open shard count."
                                   : "Target shard count or number of open shards cannot be greater than " +
                                         std::to_string(streams::kShardCountMax) + ".";
      return {"LimitExceededException", 400,
              what + " Current open shard count: " + error.detail +
                  ", Target shard count: " + std::to_string(subject.target_shards)};
    }
    case streams::Errc::on_demand:
      return {"ValidationException", 400, "Request is invalid. S" + stream + " is in On-Demand mode."};
    case streams::Errc::on_demand_streams:
      return {"LimitExceededException", 400,
              "This request would exceed the on-demand stream limit for the account " + environment.account_id +
                  " in " + environment.region + ". Current on-demand stream count for the account: " + error.detail +
                  ". Limit: " + std::to_string(environment.streams.options().limits.quotas.on_demand_streams) + "."};
    case streams::Errc::streams_creating:
      return {
          "LimitExceededException", 400,
          "This request would have exceed the limit on the number of streams that can simultaneously be in CREATING "
          "or DELETING for the account " +
              environment.account_id + ". Limit: " + error.detail + "."};
    case streams::Errc::too_often:
      return {"LimitExceededException", 400,
              "S" + stream + " has reached the limit of " + error.detail + " " + std::string(subject.operation) +
                  " calls within 24 hours."};
    case streams::Errc::consumer_exists:
      return {"ResourceInUseException", 400, "C" + consumer.substr(1) + " already exists."};
    case streams::Errc::consumer_not_found:
      return {"ResourceNotFoundException", 400,
              "Consumer " + std::string(subject.consumer) + ", account " + environment.account_id + " not found."};
    case streams::Errc::consumer_not_active:
      return {"ResourceInUseException", 400,
              "Consumer " + std::string(subject.consumer) + " with creation timestamp " + error.detail +
                  " under stream: " + std::string(subject.stream) + " , account " + environment.account_id +
                  " is not in ACTIVE status."};
    case streams::Errc::consumer_limit:
      return {"LimitExceededException", 400,
              "S" + stream + " cannot have more than " + error.detail + " registered consumers."};
    case streams::Errc::consumers_creating:
      return {"LimitExceededException", 400,
              "Account " + environment.account_id + " cannot have more than " + error.detail +
                  " consumers in state CREATING."};
    case streams::Errc::consumer_subscribed:
      return {"ResourceInUseException", 400,
              "Another active subscription exists for this consumer: " + environment.account_id + ":" +
                  std::string(subject.stream) + ":" + std::string(subject.shard) + ":" + error.detail};
    case streams::Errc::warm_needs_on_demand:
      return {"ValidationException", 400,
              "Request is invalid. S" + stream + " is in Provisioned mode, which has no warm throughput."};
    case streams::Errc::warm_needs_commitment:
      return {
          "ValidationException", 400,
          "Request is invalid. Warm throughput needs MinimumThroughputBillingCommitment to be enabled for account " +
              environment.account_id + "."};
    case streams::Errc::no_policy:
      return {"ResourceNotFoundException", 400,
              "No resource policy found for resource ARN " + std::string(subject.resource_arn) + "."};
    case streams::Errc::failed:
      return {"InternalFailure", 500, ""};
  }
  std::abort();
}

ServiceError to_service_error(const log::Error& error, const Environment& environment, std::string_view stream,
                              std::string_view shard) {
  switch (error.code) {
    case log::Errc::not_found:
    case log::Errc::ended:
      return stream_not_found(environment, stream);
    case log::Errc::full:
      return shard_rate_exceeded(environment, stream, shard);
    case log::Errc::stale_epoch:
    case log::Errc::not_owner:
    case log::Errc::conflict:
    case log::Errc::write_failed:
    case log::Errc::damaged:
    case log::Errc::stopped:
      return {"InternalFailure", 500, ""};
  }
  std::abort();
}

std::optional<std::uint32_t> shard_index(std::string_view id) noexcept {
  const std::size_t dash = id.find('-');
  const std::string_view digits = dash == id.npos ? id : id.substr(dash + 1);
  std::uint32_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc{} || end != digits.data() + digits.size() || index > 2147483647u) return std::nullopt;
  return index;
}

std::string shard_id(std::uint32_t index) {
  std::string id = "shardId-000000000000";
  for (std::size_t at = id.size(); index != 0; index /= 10) id[--at] = static_cast<char>('0' + index % 10);
  return id;
}

HashKeyRangeOutput hash_key_range_output(const streams::HashRange& range) {
  return {codec::to_decimal(range.first), codec::to_decimal(range.last)};
}

ShardOutput shard_output(const streams::Shard& shard) {
  ShardOutput out;
  out.id = shard.id;
  if (shard.parent) out.parent = shard_id(*shard.parent);
  if (shard.adjacent_parent) out.adjacent_parent = shard_id(*shard.adjacent_parent);
  out.hash_keys = hash_key_range_output(shard.range);
  out.sequence_numbers.starting = shard.numbers.starting();
  if (shard.ended_s) out.sequence_numbers.ending = shard.numbers.ending(*shard.ended_s);
  return out;
}

void visit_listed_shards(const streams::Stream& stream, std::int64_t after, TimePoint now,
                         const std::function<bool(const streams::Shard&)>& visit) {
  if (stream.status(now) == streams::Status::creating) return;
  auto at = std::upper_bound(stream.shards.begin(), stream.shards.end(), after,
                             [](std::int64_t index, const auto& shard) { return index < shard->index; });
  for (; at != stream.shards.end(); ++at) {
    const streams::Shard& shard = **at;
    if (!stream.expired(shard, now) && !visit(shard)) return;
  }
}

std::optional<ServiceError> check_tags_of(const std::string& subject, const streams::Tags& tags) {
  TagCharacters worst = TagCharacters::good;
  for (const auto& [key, value] : tags) worst = std::max({worst, tag_characters(key), tag_characters(value)});
  if (auto error = tag_character_error(subject, worst, "add tags to")) return error;
  for (const auto& [key, value] : tags)
    if (reserved_tag(key))
      return invalid_argument("Failed to add tags to " + subject +
                              " because tag keys that start with 'aws:' are reserved.");
  return std::nullopt;
}

std::optional<ServiceError> check_tag_keys_to_remove_from(const std::string& subject,
                                                          const std::vector<std::string>& keys) {
  TagCharacters worst = TagCharacters::good;
  for (const std::string& key : keys) worst = std::max(worst, tag_characters(key));
  return tag_character_error(subject, worst, "remove tags from");
}

std::optional<ServiceError> check_tags(const Environment& environment, std::string_view stream,
                                       const streams::Tags& tags) {
  return check_tags_of("s" + stream_text(environment, stream), tags);
}

std::optional<ServiceError> check_tag_keys_to_remove(const Environment& environment, std::string_view stream,
                                                     const std::vector<std::string>& keys) {
  return check_tag_keys_to_remove_from("s" + stream_text(environment, stream), keys);
}

// Base64 of `1 <issued ms> <listing>\n<after>`: opaque to clients, and nothing in it is worth forging.
std::string write_page_token(const Environment& environment, const PageToken& token) {
  return codec::base64::encode(
      std::string(kPageTokenForm) + std::to_string(environment.clock.now().time_since_epoch().count()) + " " +
      environment.account_id + " " + environment.region + " " + token.listing + "\n" + token.after);
}

std::optional<PageOrigin> page_origin(std::string_view text) {
  const std::optional<std::string> plain = codec::base64::decode(text);
  // A listing's name may come back in an error's text.
  if (!plain || !plain->starts_with(kPageTokenForm) || !codec::valid_utf8(*plain)) return std::nullopt;
  PageOrigin out;
  const char* const begin = plain->data() + kPageTokenForm.size();
  const auto [end, error] = std::from_chars(begin, plain->data() + plain->size(), out.issued_ms);
  std::string_view rest = std::string_view(*plain).substr(static_cast<std::size_t>(end - plain->data()));
  const std::size_t line = rest.find('\n');
  if (error != std::errc{} || line == rest.npos || !rest.starts_with(' ')) return std::nullopt;
  out.page.after = rest.substr(line + 1);
  rest = rest.substr(1, line - 1);
  for (std::string* word : {&out.account, &out.region}) {
    const std::size_t blank = rest.find(' ');
    if (blank == rest.npos) return std::nullopt;
    *word = rest.substr(0, blank);
    rest.remove_prefix(blank + 1);
  }
  out.page.listing = rest;
  return out;
}

Outcome<PageToken> read_page_token(const Environment& environment, std::string_view text, std::string_view operation) {
  std::optional<PageOrigin> token = page_origin(text);
  if (!token || token->account != environment.account_id || token->region != environment.region ||
      !token->page.listing.starts_with(operation))
    return invalid_argument("Invalid NextToken.");
  // Compared as numbers: a forged issue time must not overflow time arithmetic.
  const std::int64_t now_ms = environment.clock.now().time_since_epoch().count();
  if (token->issued_ms < now_ms - std::chrono::milliseconds(kPageTokenLife).count() || token->issued_ms > now_ms)
    return ServiceError{"ExpiredNextTokenException", 400,
                        "The NextToken has expired. Tokens are valid for 300 seconds."};
  return std::move(token->page);
}

}  // namespace millrace::services::kinesis
