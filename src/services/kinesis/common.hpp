#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/log/engine.hpp"
#include "millrace/streams/streams.hpp"
#include "services/dispatch.hpp"

/// What all Kinesis operations share: addressing a stream, AWS's patterns, ids and error texts.
namespace millrace::services::kinesis {

bool matches_name(std::string_view value) noexcept;
bool matches_stream_arn(std::string_view value) noexcept;
bool matches_hash_key(std::string_view value) noexcept;
bool matches_sequence_number(std::string_view value) noexcept;
inline constexpr Pattern kNamePattern{"[a-zA-Z0-9_.-]+", matches_name};
inline constexpr Pattern kStreamArnPattern{R"(arn:aws.*:kinesis:.*:\d{12}:stream/\S+)", matches_stream_arn};
inline constexpr Pattern kHashKeyPattern{R"(0|([1-9]\d{0,38}))", matches_hash_key};
inline constexpr Pattern kSequenceNumberPattern{R"(0|([1-9]\d{0,128}))", matches_sequence_number};

/// How every operation names its stream: by name, by ARN, or by both when they agree. StreamId is taken and not looked
/// at, as AWS does.
struct StreamSelector {
  std::optional<std::string> name, arn, id;
};
/// The three members of a selector at `Member` of the input, where AWS reports their violations: last.
template <auto Member>
constexpr FieldList<3> stream_selector() {
  return fields(field<Member, &StreamSelector::name>("StreamName", length(1, 128), pattern(kNamePattern)),
                field<Member, &StreamSelector::arn>("StreamARN", length(1, 2048), pattern(kStreamArnPattern)),
                field<Member, &StreamSelector::id>("StreamId"));
}
/// The name a selector means, or AWS's refusal. An ARN counts by its resource name, whatever its region and account.
Outcome<std::string_view> selected_name(const StreamSelector& selector);
/// What a well-formed stream ARN names.
std::optional<std::string_view> arn_resource_name(std::string_view arn) noexcept;
/// The stream itself; ResourceNotFoundException when there is none.
Outcome<streams::StreamRef> find_stream(Context& context, const StreamSelector& selector);
/// The same for an operation that AWS counts by itself; LimitExceededException when there were too many of it.
Outcome<streams::StreamRef> find_stream(Context& context, const StreamSelector& selector, streams::Call call);

std::string stream_arn(const Environment& environment, std::string_view stream);

/// LimitExceededException when there were too many such calls, where the account has limits.
/// @param stream  that it is about; empty: it is about none
std::optional<ServiceError> check_rate(const Context& context, streams::Call call, std::string_view stream = {});
/// The same of calls that are counted for each stream.
std::optional<ServiceError> check_rate(const Context& context, streams::Call call, const streams::Stream& stream);

// Errors in AWS's words.
/// Member of operations on records: the request is checked, and nothing is done.
inline constexpr std::string_view kDryRun = "DryRun";
/// For it, where nothing else is wrong with the request.
std::optional<ServiceError> check_dry_run(std::optional<bool> asked);
ServiceError stream_not_found(const Environment& environment, std::string_view stream);
/// For GetShardIterator and GetRecords: one text for a missing stream, a missing shard and a stream in CREATING.
ServiceError shard_not_found(const Environment& environment, std::string_view stream, std::string_view shard);
/// What a shard's limits refuse: a record, a GetShardIterator.
ServiceError shard_rate_exceeded(const Environment& environment, std::string_view stream, std::string_view shard);
/// For listings and reshards, which take shard ids leniently.
ServiceError shard_id_unknown(const Environment& environment, std::string_view stream, std::string_view shard_as_given);

/// What a refused change was about, as far as its text needs it.
struct Subject {
  std::string_view stream;
  std::string_view operation{};  ///< of those that are counted by the day
  std::chrono::hours retention_wanted{0}, retention_now{0};
  bool retention_increase = true;
  std::string_view adjacent_shard{}, hash_key{};  ///< of a reshard
  std::optional<streams::HashRange> hash_keys{};
  std::int32_t target_shards = 0;
  std::string_view consumer{}, resource_arn{}, shard{};
};
/// One switch a layer: what a domain error is called on the wire.
ServiceError to_service_error(const streams::Error& error, const Environment& environment, const Subject& subject);
ServiceError to_service_error(const log::Error& error, const Environment& environment, std::string_view stream,
                              std::string_view shard);

/// Shard ids are taken leniently: `shardId-000000000001`, `x-1` and `1` are shard 1. Nothing when it is no such number.
std::optional<std::uint32_t> shard_index(std::string_view id) noexcept;

/// A 128-bit hash range and a shard as every listing shows them.
struct HashKeyRangeOutput {
  std::string starting, ending;
};
struct SequenceNumberRangeOutput {
  std::string starting;
  std::optional<std::string> ending;
};
struct ShardOutput {
  std::string id;
  std::optional<std::string> parent, adjacent_parent;
  HashKeyRangeOutput hash_keys;
  SequenceNumberRangeOutput sequence_numbers;
};
ShardOutput shard_output(const streams::Shard& shard);
HashKeyRangeOutput hash_key_range_output(const streams::HashRange& range);
/// `shardId-000000000001`
std::string shard_id(std::uint32_t index);
/// The shards a listing shows whose index is above `after` (-1: all), in order of index, until `visit` says false: none
/// while CREATING, and closed ones until their last record is past the retention.
void visit_listed_shards(const streams::Stream& stream, std::int64_t after, TimePoint now,
                         const std::function<bool(const streams::Shard&)>& visit);
inline constexpr auto kHashKeyRangeFields = fields(field<&HashKeyRangeOutput::starting>("StartingHashKey"),
                                                   field<&HashKeyRangeOutput::ending>("EndingHashKey"));
inline constexpr auto kSequenceNumberRangeFields =
    fields(field<&SequenceNumberRangeOutput::starting>("StartingSequenceNumber"),
           field<&SequenceNumberRangeOutput::ending>("EndingSequenceNumber"));
inline constexpr auto kShardFields =
    fields(field<&ShardOutput::id>("ShardId"), field<&ShardOutput::parent>("ParentShardId"),
           field<&ShardOutput::adjacent_parent>("AdjacentParentShardId"),
           field<&ShardOutput::hash_keys>("HashKeyRange", of(kHashKeyRangeFields)),
           field<&ShardOutput::sequence_numbers>("SequenceNumberRange", of(kSequenceNumberRangeFields)));

struct StreamModeOutput {
  std::string mode = "PROVISIONED";
};
inline constexpr auto kStreamModeFields = fields(field<&StreamModeOutput::mode>("StreamMode"));
struct EnhancedMonitoringOutput {
  std::vector<std::string> metrics;
};
inline constexpr auto kEnhancedMonitoringFields =
    fields(field<&EnhancedMonitoringOutput::metrics>("ShardLevelMetrics"));

struct TagOutput {
  std::string key, value;
};
inline constexpr auto kTagFields = fields(field<&TagOutput::key>("Key"), field<&TagOutput::value>("Value"));

/// AWS's rules for tags beyond the lengths of their texts; `subject` is what has them, as errors name it.
std::optional<ServiceError> check_tags_of(const std::string& subject, const streams::Tags& tags);
std::optional<ServiceError> check_tag_keys_to_remove_from(const std::string& subject,
                                                          const std::vector<std::string>& keys);
/// The same of a stream's tags.
std::optional<ServiceError> check_tags(const Environment& environment, std::string_view stream,
                                       const streams::Tags& tags);
std::optional<ServiceError> check_tag_keys_to_remove(const Environment& environment, std::string_view stream,
                                                     const std::vector<std::string>& keys);

/// Where a listing goes on. Valid for 300 s of domain time, in its account and region.
struct PageToken {
  std::string listing;  ///< the operation and what it lists; a token of another listing is refused
  std::string after;    ///< last item shown
};
/// What a token says of itself, whoever asks and however old it is: nothing of it is sealed.
struct PageOrigin {
  std::int64_t issued_ms = 0;
  std::string account, region;
  PageToken page;
};
std::optional<PageOrigin> page_origin(std::string_view text);
std::string write_page_token(const Environment& environment, const PageToken& token);
Outcome<PageToken> read_page_token(const Environment& environment, std::string_view text, std::string_view operation);

}  // namespace millrace::services::kinesis
