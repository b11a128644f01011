#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/delivery/delivery.hpp"
#include "services/dispatch.hpp"

/// What the Firehose operations share: the S3 destination's members, AWS's patterns, names and error texts.
namespace millrace::services::firehose {

/// Firehose does not repeat offending values, and answers {} where there is no output.
inline constexpr Dialect kDialect{.echo_values = false, .braces_when_empty = true};

bool matches_name(std::string_view value) noexcept;
bool matches_destination_id(std::string_view value) noexcept;
bool matches_arn(std::string_view value) noexcept;
inline constexpr Pattern kNamePattern{"[a-zA-Z0-9_.-]+", matches_name};
inline constexpr Pattern kDestinationIdPattern{"[a-zA-Z0-9-]+", matches_destination_id};
inline constexpr Pattern kArnPattern{"arn:.*", matches_arn};
inline constexpr std::string_view kStreamTypes[] = {"DirectPut", "KinesisStreamAsSource", "MSKAsSource",
                                                    "DatabaseAsSource"};

struct BufferingHints {
  std::optional<std::int32_t> size_mib, interval_s;
};
inline constexpr auto kBufferingHints = fields(field<&BufferingHints::size_mib>("SizeInMBs", within(1, 128)),
                                               field<&BufferingHints::interval_s>("IntervalInSeconds", within(0, 900)));

inline constexpr std::string_view kNoEncryptionValues[] = {"NoEncryption"};
struct Encryption {
  std::optional<std::string> none;
};
inline constexpr auto kEncryption = fields(field<&Encryption::none>("NoEncryptionConfig", one_of(kNoEncryptionValues)),
                                           refused("KMSEncryptionConfig", "KMSEncryptionConfig is not supported yet."));

struct Logging {
  std::optional<bool> enabled;
  std::optional<std::string> group, stream;
};
inline constexpr auto kLogging =
    fields(field<&Logging::enabled>("Enabled"), field<&Logging::group>("LogGroupName", length(0, 512)),
           field<&Logging::stream>("LogStreamName", length(0, 512)));

inline constexpr std::string_view kParameterNames[] = {
    "LambdaArn", "NumberOfRetries",   "MetadataExtractionQuery", "JsonParsingEngine",
    "RoleArn",   "BufferSizeInMBs",   "BufferIntervalInSeconds", "SubRecordType",
    "Delimiter", "CompressionFormat", "DataMessageExtraction"};
struct ProcessorParameter {
  std::string name, value;
};
inline constexpr auto kProcessorParameter =
    fields(field<&ProcessorParameter::name>("ParameterName", one_of(kParameterNames)),
           field<&ProcessorParameter::value>("ParameterValue", length(1, 5120)));
inline constexpr std::string_view kProcessorTypes[] = {"RecordDeAggregation",     "Decompression",
                                                       "CloudWatchLogProcessing", "Lambda",
                                                       "MetadataExtraction",      "AppendDelimiterToRecord"};
struct Processor {
  std::string type;
  std::optional<std::vector<ProcessorParameter>> parameters;
};
inline constexpr auto kProcessor = fields(field<&Processor::type>("Type", one_of(kProcessorTypes)),
                                          field<&Processor::parameters>("Parameters", of(kProcessorParameter)));
struct Processing {
  std::optional<bool> enabled;
  std::optional<std::vector<Processor>> processors;
};
inline constexpr auto kProcessing =
    fields(field<&Processing::enabled>("Enabled"), field<&Processing::processors>("Processors", of(kProcessor)));

inline constexpr std::string_view kCompressionFormats[] = {"ZIP", "HADOOP_SNAPPY", "Snappy", "GZIP", "UNCOMPRESSED"};
inline constexpr std::string_view kBackupModes[] = {"Disabled", "Enabled"};

/// ExtendedS3DestinationConfiguration.
struct S3Configuration {
  std::string role_arn, bucket_arn;
  std::optional<std::string> prefix, error_output_prefix;
  std::optional<BufferingHints> buffering;
  std::optional<std::string> compression;
  std::optional<Encryption> encryption;
  std::optional<Logging> logging;
  std::optional<Processing> processing;
  std::optional<std::string> backup_mode, file_extension, time_zone;
};
inline constexpr auto kS3Configuration =
    fields(field<&S3Configuration::role_arn>("RoleARN", length(1, 512), pattern(kArnPattern)),
           field<&S3Configuration::bucket_arn>("BucketARN", length(1, 2048), pattern(kArnPattern)),
           field<&S3Configuration::prefix>("Prefix", length(0, 1024)),
           field<&S3Configuration::error_output_prefix>("ErrorOutputPrefix", length(0, 1024)),
           field<&S3Configuration::buffering>("BufferingHints", of(kBufferingHints)),
           field<&S3Configuration::compression>("CompressionFormat", one_of(kCompressionFormats)),
           field<&S3Configuration::encryption>("EncryptionConfiguration", of(kEncryption)),
           field<&S3Configuration::logging>("CloudWatchLoggingOptions", of(kLogging)),
           field<&S3Configuration::processing>("ProcessingConfiguration", of(kProcessing)),
           field<&S3Configuration::backup_mode>("S3BackupMode", one_of(kBackupModes)),
           refused("S3BackupConfiguration", "S3BackupConfiguration is not supported yet."),
           refused("DataFormatConversionConfiguration", "DataFormatConversionConfiguration is not supported yet."),
           refused("DynamicPartitioningConfiguration", "DynamicPartitioningConfiguration is not supported yet."),
           field<&S3Configuration::file_extension>("FileExtension", length(0, 128)),
           field<&S3Configuration::time_zone>("CustomTimeZone", length(0, 50)));

/// What delivery is to do, or why it cannot: whatever is not built is refused by its name.
Outcome<delivery::S3Destination> s3_destination(const S3Configuration& in, std::string_view delivery_stream);

/// `\n`, `\r`, `\t` and `\\` as the characters they stand for; anything else as it is.
std::string unescape_delimiter(std::string_view text);

std::string delivery_stream_arn(const Environment& environment, std::string_view name);
ServiceError not_found(const Environment& environment, std::string_view name);
/// One switch a layer: what a domain error is called on the wire.
ServiceError to_service_error(const delivery::Error& error, const Environment& environment, std::string_view name);

}  // namespace millrace::services::firehose
