#include "services/firehose/common.hpp"

#include <algorithm>
#include <cstdlib>

#include "millrace/objects/tree.hpp"

namespace millrace::services::firehose {
namespace {

constexpr std::uint32_t kSizeMibDefault = 5;
constexpr std::chrono::seconds kIntervalDefault{300};
constexpr std::size_t kKeyBytesMax = 1024;
/// What follows the prefix in an object's key beside the delivery stream's name: `yyyy/MM/dd/HH/`, then
/// `-<version>-yyyy-MM-dd-HH-mm-ss-<uuid>` with ten digits of version.
constexpr std::size_t kKeySuffixBytes = 14 + 1 + 10 + 1 + 19 + 1 + 36;

ServiceError not_built(std::string_view what) { return invalid_argument(std::string(what) + " is not supported yet."); }

bool letter_or_digit(char c) noexcept {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// `arn:<partition>:s3:::<bucket>`
std::optional<std::string_view> bucket_of(std::string_view arn) noexcept {
  constexpr std::string_view kStart = "arn:aws", kService = ":s3:::";
  if (!arn.starts_with(kStart)) return std::nullopt;
  const std::size_t service = arn.find(':', kStart.size());
  if (service == arn.npos || !arn.substr(service).starts_with(kService)) return std::nullopt;
  const std::string_view bucket = arn.substr(service + kService.size());
  if (!objects::valid_bucket_name(bucket)) return std::nullopt;
  return bucket;
}

template <class T>
std::string json_of(std::span<const Field> members, const T& value) {
  Buffer text;
  encode(members, &value, text);
  return std::string(text.view());
}

std::optional<ServiceError> apply_prefixes(const S3Configuration& in, std::string_view delivery_stream,
                                           delivery::S3Destination& out) {
  constexpr std::string_view kExpression = "!{";
  out.prefix = in.prefix.value_or("");
  out.error_output_prefix = in.error_output_prefix.value_or("");
  if (out.prefix.find(kExpression) != out.prefix.npos) return not_built("Prefix with expressions, !{...},");
  if (out.error_output_prefix.find(kExpression) != out.error_output_prefix.npos)
    return not_built("ErrorOutputPrefix with expressions, !{...},");
  if (out.prefix.size() + kKeySuffixBytes + delivery_stream.size() > kKeyBytesMax)
    return invalid_argument("Prefix is too long: the keys of objects would pass 1,024 bytes.");
  return std::nullopt;
}

std::optional<ServiceError> apply_processing(const Processing& in, delivery::S3Destination& out) {
  out.processing_json = json_of(kProcessing, in);
  const bool any = in.processors && !in.processors->empty();
  if (!in.enabled && any) return invalid_argument("ProcessingConfiguration.Enabled must be given with Processors.");
  if (!in.enabled.value_or(false) || !any) return std::nullopt;
  for (const Processor& processor : *in.processors) {
    if (processor.type != "AppendDelimiterToRecord") return not_built("Processor type " + processor.type);
    if (out.append_delimiter) return invalid_argument("Processor AppendDelimiterToRecord may be given once only.");
    out.append_delimiter = true;
    if (!processor.parameters) continue;
    for (const ProcessorParameter& parameter : *processor.parameters) {
      if (parameter.name != "Delimiter")
        return invalid_argument("Parameter " + parameter.name + " is not one of processor AppendDelimiterToRecord.");
      out.delimiter = unescape_delimiter(parameter.value);
    }
  }
  return std::nullopt;
}

}  // namespace

bool matches_name(std::string_view value) noexcept {
  return !value.empty() && std::all_of(value.begin(), value.end(),
                                       [](char c) { return letter_or_digit(c) || c == '_' || c == '.' || c == '-'; });
}
bool matches_destination_id(std::string_view value) noexcept {
  return !value.empty() &&
         std::all_of(value.begin(), value.end(), [](char c) { return letter_or_digit(c) || c == '-'; });
}
bool matches_arn(std::string_view value) noexcept {
  return value.starts_with("arn:") && value.find_first_of("\n\r") == value.npos;
}

std::string unescape_delimiter(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    const char meant = next == 'n' ? '\n' : next == 'r' ? '\r' : next == 't' ? '\t' : next == '\\' ? '\\' : '\0';
    out += meant ? meant : text[i];
    if (meant) ++i;
  }
  return out;
}

Outcome<delivery::S3Destination> s3_destination(const S3Configuration& in, std::string_view delivery_stream) {
  delivery::S3Destination out;
  out.role_arn = in.role_arn;
  out.bucket_arn = in.bucket_arn;
  const auto bucket = bucket_of(in.bucket_arn);
  if (!bucket) return invalid_argument("BucketARN must be the ARN of a bucket, arn:aws:s3:::name.");
  out.bucket = *bucket;
  if (auto error = apply_prefixes(in, delivery_stream, out)) return *error;

  out.size_mib = kSizeMibDefault;
  out.interval = kIntervalDefault;
  if (in.buffering) {
    if (in.buffering->size_mib.has_value() != in.buffering->interval_s.has_value())
      return invalid_argument("BufferingHints must have both SizeInMBs and IntervalInSeconds, or neither.");
    if (in.buffering->size_mib) {
      out.size_mib = static_cast<std::uint32_t>(*in.buffering->size_mib);
      out.interval = std::chrono::seconds{*in.buffering->interval_s};
    }
  }
  if (in.compression.value_or("UNCOMPRESSED") != "UNCOMPRESSED")
    return not_built("CompressionFormat " + *in.compression);
  if (in.logging) {
    if (in.logging->enabled.value_or(false)) return not_built("CloudWatchLoggingOptions with Enabled true");
    out.logging_json = json_of(kLogging, *in.logging);
  }
  if (in.processing)
    if (auto error = apply_processing(*in.processing, out)) return *error;
  if (in.backup_mode.value_or("Disabled") != "Disabled") return not_built("S3BackupMode " + *in.backup_mode);
  if (!in.file_extension.value_or("").empty()) return not_built("FileExtension");
  out.custom_time_zone = in.time_zone.value_or("");
  if (!out.custom_time_zone.empty() && out.custom_time_zone != "UTC") return not_built("CustomTimeZone other than UTC");
  return out;
}

std::string delivery_stream_arn(const Environment& environment, std::string_view name) {
  return "arn:aws:firehose:" + environment.region + ":" + environment.account_id + ":deliverystream/" +
         std::string(name);
}

ServiceError not_found(const Environment& environment, std::string_view name) {
  return {"ResourceNotFoundException", 400,
          "Firehose " + std::string(name) + " under account " + environment.account_id + " not found."};
}

ServiceError to_service_error(const delivery::Error& error, const Environment& environment, std::string_view name) {
  const std::string subject = "Firehose " + std::string(name) + " under accountId " + environment.account_id;
  switch (error.code) {
    case delivery::Errc::exists:
      return {"ResourceInUseException", 400, subject + " already exists"};
    case delivery::Errc::not_found:
      return not_found(environment, name);
    case delivery::Errc::source_not_found:
      return invalid_argument("Stream " + error.detail + " under account " + environment.account_id + " not found.");
    case delivery::Errc::not_deletable:
      return {"ResourceInUseException", 400, subject + " cannot be deleted in state " + error.detail};
    case delivery::Errc::failed:
      return {"InternalFailure", 500, ""};
  }
  std::abort();
}

}  // namespace millrace::services::firehose
