// CreateDeliveryStream: records of a Kinesis stream to be delivered to a bucket, from now on.
// Source: https://docs.aws.amazon.com/firehose/latest/APIReference/API_CreateDeliveryStream.html
#include "services/firehose/common.hpp"

namespace millrace::services::firehose {
namespace {

struct KinesisSource {
  std::string stream_arn, role_arn;
};
constexpr auto kKinesisSource =
    fields(field<&KinesisSource::stream_arn>("KinesisStreamARN", length(1, 512), pattern(kArnPattern)),
           field<&KinesisSource::role_arn>("RoleARN", length(1, 512), pattern(kArnPattern)));

struct Input {
  std::string name;
  std::optional<std::string> type;
  std::optional<KinesisSource> source;
  std::optional<S3Configuration> s3;
};
constexpr auto kInput = fields(
    field<&Input::name>("DeliveryStreamName", length(1, 64), pattern(kNamePattern)),
    field<&Input::type>("DeliveryStreamType", one_of(kStreamTypes)),
    refused("DirectPutSourceConfiguration", "DirectPutSourceConfiguration is not supported yet."),
    field<&Input::source>("KinesisStreamSourceConfiguration", of(kKinesisSource)),
    refused("DeliveryStreamEncryptionConfigurationInput",
            "DeliveryStreamEncryptionConfigurationInput is not supported yet."),
    refused("S3DestinationConfiguration", "S3DestinationConfiguration is not supported yet."),
    field<&Input::s3>("ExtendedS3DestinationConfiguration", of(kS3Configuration)),
    refused("RedshiftDestinationConfiguration", "RedshiftDestinationConfiguration is not supported yet."),
    refused("ElasticsearchDestinationConfiguration", "ElasticsearchDestinationConfiguration is not supported yet."),
    refused("AmazonopensearchserviceDestinationConfiguration",
            "AmazonopensearchserviceDestinationConfiguration is not supported yet."),
    refused("AmazonOpenSearchServerlessDestinationConfiguration",
            "AmazonOpenSearchServerlessDestinationConfiguration is not supported yet."),
    refused("SplunkDestinationConfiguration", "SplunkDestinationConfiguration is not supported yet."),
    refused("HttpEndpointDestinationConfiguration", "HttpEndpointDestinationConfiguration is not supported yet."),
    refused("SnowflakeDestinationConfiguration", "SnowflakeDestinationConfiguration is not supported yet."),
    refused("IcebergDestinationConfiguration", "IcebergDestinationConfiguration is not supported yet."),
    refused("MSKSourceConfiguration", "MSKSourceConfiguration is not supported yet."),
    refused("DatabaseSourceConfiguration", "DatabaseSourceConfiguration is not supported yet."),
    refused("Tags", "Tags are not supported yet."));

struct Output {
  std::string arn;
};
constexpr auto kOutput = fields(field<&Output::arn>("DeliveryStreamARN"));

/// The resource name of `arn:aws:kinesis:<region>:<account>:stream/<name>`, whatever the region and account.
std::optional<std::string_view> stream_name(std::string_view arn) noexcept {
  constexpr std::string_view kResource = ":stream/";
  const std::size_t service = arn.find(":kinesis:"), at = arn.find(kResource);
  if (service == arn.npos || at == arn.npos || at < service) return std::nullopt;
  const std::string_view name = arn.substr(at + kResource.size());
  if (!matches_name(name)) return std::nullopt;
  return name;
}

awaitable<Outcome<Output>> create_delivery_stream(Context& context, Input in) {
  const Environment& environment = context.environment;
  const std::string type = in.type.value_or("DirectPut");
  if (in.source && type != "KinesisStreamAsSource")
    co_return invalid_argument("KinesisSourceStreamConfig is only applicable for KinesisStreamAsSource stream type");
  if (type != "KinesisStreamAsSource")
    co_return invalid_argument("DeliveryStreamType " + type + " is not supported yet.");
  if (!in.source)
    co_return invalid_argument("KinesisStreamSourceConfiguration must be given for KinesisStreamAsSource stream type");
  if (!in.s3) co_return invalid_argument("Exactly one destination configuration is supported for a Firehose");
  const auto source = stream_name(in.source->stream_arn);
  if (!source) co_return invalid_argument("KinesisStreamARN must be the ARN of a Kinesis stream.");
  const std::string place = ":" + environment.region + ":" + environment.account_id + ":stream/";
  if (environment.accounts && in.source->stream_arn.find(place) == std::string::npos)
    co_return invalid_argument("KinesisStreamARN must be of a stream of account " + environment.account_id + " in " +
                               environment.region + ".");
  auto destination = s3_destination(*in.s3, in.name);
  if (!destination) co_return destination.error();

  delivery::DeliveryStreamSpec spec;
  spec.name = in.name;
  spec.source_stream = *source;
  spec.source_arn = in.source->stream_arn;
  spec.source_role_arn = in.source->role_arn;
  spec.s3 = std::move(*destination);
  auto created = co_await environment.delivery->create(std::move(spec));
  if (!created) co_return to_service_error(created.error(), environment, in.name);
  co_return Output{delivery_stream_arn(environment, in.name)};
}

}  // namespace

extern constinit const Operation create_delivery_stream_operation =
    operation<create_delivery_stream, kInput, kOutput, kDialect>("CreateDeliveryStream");

}  // namespace millrace::services::firehose
