// DescribeDeliveryStream: state, source and destination of a delivery stream, defaults filled in.
// Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_DescribeDeliveryStream.html
#include "services/firehose/common.hpp"

namespace millrace::services::firehose {
namespace {

constexpr std::string_view kDestinationId = "destinationId-000000000001";  // a delivery stream has one

struct Input {
  std::string name;
  std::optional<std::int32_t> limit;
  std::optional<std::string> after;
};
constexpr auto kInput =
    fields(field<&Input::name>("DeliveryStreamName", length(1, 64), pattern(kNamePattern)),
           field<&Input::limit>("Limit", within(1, 10'000)),
           field<&Input::after>("ExclusiveStartDestinationId", length(1, 100), pattern(kDestinationIdPattern)));

struct KinesisSource {
  std::string stream_arn, role_arn;
  TimePoint delivery_start;
};
constexpr auto kKinesisSource =
    fields(field<&KinesisSource::stream_arn>("KinesisStreamARN"), field<&KinesisSource::role_arn>("RoleARN"),
           field<&KinesisSource::delivery_start>("DeliveryStartTimestamp"));
struct Source {
  KinesisSource kinesis;
};
constexpr auto kSource = fields(field<&Source::kinesis>("KinesisStreamSourceDescription", of(kKinesisSource)));

struct S3 {
  std::string role_arn, bucket_arn;
  std::optional<std::string> prefix, error_output_prefix;
  BufferingHints buffering;
  std::string compression = "UNCOMPRESSED";
  Encryption encryption{"NoEncryption"};
  std::optional<JsonText> logging;
};
struct ExtendedS3 {
  S3 s3;
  std::optional<JsonText> processing;
  std::string backup_mode = "Disabled";
  std::optional<std::string> time_zone;
};
/// Both descriptions of the one destination begin alike; `To` is the way to the S3 struct.
template <auto... To>
constexpr auto s3_fields() {
  return fields(field<To..., &S3::role_arn>("RoleARN"), field<To..., &S3::bucket_arn>("BucketARN"),
                field<To..., &S3::prefix>("Prefix"), field<To..., &S3::error_output_prefix>("ErrorOutputPrefix"),
                field<To..., &S3::buffering>("BufferingHints", of(kBufferingHints)),
                field<To..., &S3::compression>("CompressionFormat"),
                field<To..., &S3::encryption>("EncryptionConfiguration", of(kEncryption)),
                field<To..., &S3::logging>("CloudWatchLoggingOptions"));
}
constexpr auto kS3 = s3_fields<>();
constexpr auto kExtendedS3 =
    fields(s3_fields<&ExtendedS3::s3>(), field<&ExtendedS3::processing>("ProcessingConfiguration"),
           field<&ExtendedS3::backup_mode>("S3BackupMode"), field<&ExtendedS3::time_zone>("CustomTimeZone"));

struct Destination {
  std::string id{kDestinationId};
  ExtendedS3 extended;
  S3 plain;
};
constexpr auto kDestination =
    fields(field<&Destination::id>("DestinationId"), field<&Destination::plain>("S3DestinationDescription", of(kS3)),
           field<&Destination::extended>("ExtendedS3DestinationDescription", of(kExtendedS3)));

struct Description {
  std::string name, arn, status, type = "KinesisStreamAsSource", version;
  TimePoint created;
  Source source;
  std::vector<Destination> destinations;
  bool more = false;
};
constexpr auto kDescription =
    fields(field<&Description::name>("DeliveryStreamName"), field<&Description::arn>("DeliveryStreamARN"),
           field<&Description::status>("DeliveryStreamStatus"), field<&Description::type>("DeliveryStreamType"),
           field<&Description::version>("VersionId"), field<&Description::created>("CreateTimestamp"),
           field<&Description::source>("Source", of(kSource)),
           field<&Description::destinations>("Destinations", of(kDestination)),
           field<&Description::more>("HasMoreDestinations"));

struct Output {
  Description description;
};
constexpr auto kOutput = fields(field<&Output::description>("DeliveryStreamDescription", of(kDescription)));

std::optional<std::string> given(const std::string& text) { return text.empty() ? std::nullopt : std::optional(text); }
std::optional<JsonText> given_json(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional(JsonText{text});
}

Destination describe(const delivery::S3Destination& s3) {
  Destination out;
  out.plain.role_arn = s3.role_arn;
  out.plain.bucket_arn = s3.bucket_arn;
  out.plain.prefix = given(s3.prefix);
  out.plain.error_output_prefix = given(s3.error_output_prefix);
  out.plain.buffering = {static_cast<std::int32_t>(s3.size_mib), static_cast<std::int32_t>(s3.interval.count())};
  out.plain.logging = given_json(s3.logging_json);
  out.extended.s3 = out.plain;
  out.extended.processing = given_json(s3.processing_json);
  out.extended.time_zone = given(s3.custom_time_zone);
  return out;
}

awaitable<Outcome<Output>> describe_delivery_stream(Context& context, Input in) {
  const Environment& environment = context.environment;
  const auto found = environment.delivery->find(in.name);
  if (!found) co_return not_found(environment, in.name);
  const delivery::DeliveryStreamSpec& spec = found->spec;
  Output out;
  Description& description = out.description;
  description.name = spec.name;
  description.arn = delivery_stream_arn(environment, spec.name);
  description.status = delivery::status_name(found->status);
  description.version = std::to_string(found->version);
  description.created = found->created;
  description.source.kinesis = {spec.source_arn, spec.source_role_arn, found->delivery_start};
  if (!in.after || *in.after < kDestinationId) description.destinations.push_back(describe(spec.s3));
  co_return out;
}

}  // namespace

extern constinit const Operation describe_delivery_stream_operation =
    operation<describe_delivery_stream, kInput, kOutput, kDialect>("DescribeDeliveryStream");

}  // namespace millrace::services::firehose
