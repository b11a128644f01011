#include "config/support.hpp"
#include "millrace/gateway/gateway.hpp"

namespace millrace::config {
namespace {

const std::string kStream = "streams:\n  - StreamName: a\n    ShardCount: 1\n";
const std::string kDeliveryStream = "delivery_streams:\n  - DeliveryStreamName: d\n";
const std::string kExtendedS3 = kDeliveryStream +
                                "    ExtendedS3DestinationConfiguration:\n      BucketARN: arn:aws:s3:::b\n"
                                "      RoleARN: arn:aws:iam::000000000000:role/r\n";
const std::string kInS3 = "delivery_streams[0].ExtendedS3DestinationConfiguration";
const std::string kApi = "apis:\n  - name: a\n    openapi: api.yaml\n    stages: [S]\n";

class DeclarationMistakes : public ConfigFile, public testing::WithParamInterface<Mistake> {
 protected:
  DeclarationMistakes() { write("openapi: 3.0.1\n", "api.yaml"); }
};

TEST_P(DeclarationMistakes, NameLineAndMember) { EXPECT_EQ(error_in_file(GetParam().text), GetParam().said); }

INSTANTIATE_TEST_SUITE_P(
    EachKind, DeclarationMistakes,
    testing::ValuesIn(std::vector<Mistake>{
        Mistake{"StreamThatIsAText", "streams:\n  - a\n", "2: streams[0]: must hold names and values, not a value"},
        Mistake{"StreamThatIsNothing", "streams:\n  -\n", "1: streams[0]: must hold names and values, not nothing"},
        Mistake{"StreamThatIsAList", "streams:\n  - [a]\n", "2: streams[0]: must hold names and values, not a list"},
        Mistake{"StreamWithoutName", "streams:\n  - ShardCount: 2\n", "2: streams[0]: StreamName is missing"},
        Mistake{"StreamWithoutShardCount", "streams:\n  - StreamName: a\n", "2: streams[0]: ShardCount is missing"},
        Mistake{"StreamWithAnEmptyName", "streams:\n  - StreamName: ''\n    ShardCount: 1\n",
                "2: streams[0].StreamName: must not be empty"},
        Mistake{"StreamWithNoName", "streams:\n  - StreamName:\n    ShardCount: 1\n",
                "2: streams[0].StreamName: has no value: must be a text"},
        Mistake{"StreamWithABlankInItsName", "streams:\n  - StreamName: a b\n    ShardCount: 1\n",
                "2: streams[0].StreamName: 'a b' must match the pattern [a-zA-Z0-9_.-]+"},
        Mistake{"StreamWithALongName", "streams:\n  - StreamName: " + repeated("a", 129) + "\n    ShardCount: 1\n",
                "2: streams[0].StreamName: '" + repeated("a", 80) + "...' must have 1 to 128 characters"},
        Mistake{"StreamWithAListAsItsName", "streams:\n  - StreamName: [a]\n    ShardCount: 1\n",
                "2: streams[0].StreamName: must be a text, not a list"},
        Mistake{"StreamTwice", kStream + "  - StreamName: b\n    ShardCount: 1\n  - StreamName: a\n    ShardCount: 1\n",
                "6: streams[2].StreamName: 'a' is declared twice, first in line 2"},
        Mistake{"StreamTwiceOnceWrong", kStream + "  - StreamName: a\n    ShardCount: x\n",
                "4: streams[1].StreamName: 'a' is declared twice, first in line 2\n5: streams[1].ShardCount: 'x' is "
                "not a whole number: at least 1 is expected"},
        Mistake{"StreamWithAnUnknownMember", "streams:\n  - StreamName: a\n    Shardcount: 2\n",
                "3: streams[0].Shardcount: is not a known key; did you mean 'ShardCount'?"},
        Mistake{"StreamWithAMemberOfCreateStreamOnly", kStream + "    StreamModeDetails: {StreamMode: PROVISIONED}\n",
                "4: streams[0].StreamModeDetails: is not a known key; known here: ShardCount, StreamName, Tags, "
                "RetentionPeriodHours"},
        Mistake{"ShardCountThatIsNoNumber", "streams:\n  - StreamName: a\n    ShardCount: two\n",
                "3: streams[0].ShardCount: 'two' is not a whole number: at least 1 is expected"},
        Mistake{"NoShards", "streams:\n  - StreamName: a\n    ShardCount: 0\n",
                "3: streams[0].ShardCount: '0' is out of range: at least 1"},
        Mistake{"ShardCountBeyondAnyType", "streams:\n  - StreamName: a\n    ShardCount: 99999999999\n",
                "3: streams[0].ShardCount: '99999999999' is out of range: 1 to 2147483647"},
        Mistake{"ShardCountThatIsAMap", "streams:\n  - StreamName: a\n    ShardCount: {a: 1}\n",
                "3: streams[0].ShardCount: must be a whole number, not members"},
        Mistake{"ShardCountWithAFraction", "streams:\n  - StreamName: a\n    ShardCount: 1.0\n",
                "3: streams[0].ShardCount: '1.0' is not a whole number: at least 1 is expected"},
        Mistake{"RetentionTooShort", kStream + "    RetentionPeriodHours: 23\n",
                "4: streams[0].RetentionPeriodHours: '23' is out of range: 24 to 8760"},
        Mistake{"RetentionTooLong", kStream + "    RetentionPeriodHours: 8761\n",
                "4: streams[0].RetentionPeriodHours: '8761' is out of range: 24 to 8760"},
        Mistake{"RetentionWithAUnit", kStream + "    RetentionPeriodHours: 24h\n",
                "4: streams[0].RetentionPeriodHours: '24h' is not a whole number: 24 to 8760 is expected"},
        Mistake{"TagsThatAreAList", kStream + "    Tags: [a]\n",
                "4: streams[0].Tags: must hold names and values, not a list"},
        Mistake{"TagsThatAreEmpty", kStream + "    Tags: {}\n",
                "4: streams[0].Tags: has 0 entries: must have 1 to 200"},
        Mistake{"TagThatIsAMap", kStream + "    Tags: {a: {b: c}}\n",
                "4: streams[0].Tags.a: must be a text, not members"},
        Mistake{"TagWithoutAValue", kStream + "    Tags:\n      a:\n",
                "5: streams[0].Tags.a: has no value: must be a text"},
        Mistake{"TagWithALongName", kStream + "    Tags: {" + repeated("n", 129) + ": v}\n",
                "4: streams[0].Tags." + repeated("n", 80) + "...: the name '" + repeated("n", 80) +
                    "...' must have 1 to 128 characters"},
        Mistake{"TagWithALongValue", kStream + "    Tags: {n: " + repeated("v", 257) + "}\n",
                "4: streams[0].Tags.n: '" + repeated("v", 80) + "...' must have 0 to 256 characters"},
        Mistake{"TagTwice", kStream + "    Tags: {a: 1, a: 2}\n",
                "4: streams[0].Tags.a: is given twice, first in line 4"},
        Mistake{"DeliveryStreamWithoutName", "delivery_streams:\n  - DeliveryStreamType: DirectPut\n",
                "2: delivery_streams[0]: DeliveryStreamName is missing"},
        Mistake{"DeliveryStreamWithABadName", "delivery_streams:\n  - DeliveryStreamName: a/b\n",
                "2: delivery_streams[0].DeliveryStreamName: 'a/b' must match the pattern [a-zA-Z0-9_.-]+"},
        Mistake{"DeliveryStreamWithALongName", "delivery_streams:\n  - DeliveryStreamName: " + repeated("a", 65) + "\n",
                "2: delivery_streams[0].DeliveryStreamName: '" + repeated("a", 65) + "' must have 1 to 64 characters"},
        Mistake{"DeliveryStreamTwice", kDeliveryStream + "  - DeliveryStreamName: d\n",
                "3: delivery_streams[1].DeliveryStreamName: 'd' is declared twice, first in line 2"},
        Mistake{"UnknownMember", kDeliveryStream + "    DeliveryStreamTyp: DirectPut\n",
                "3: delivery_streams[0].DeliveryStreamTyp: is not a known key; did you mean 'DeliveryStreamType'?"},
        Mistake{"UnknownMemberInside", kExtendedS3 + "      BufferingHint: {SizeInMBs: 1}\n",
                "6: " + kInS3 + ".BufferingHint: is not a known key; did you mean 'BufferingHints'?"},
        Mistake{"UnknownMemberDeepInside",
                kExtendedS3 + "      ProcessingConfiguration:\n        Enabled: true\n        Processors:\n          - "
                              "Type: AppendDelimiterToRecord\n            Parameter: []\n",
                "10: " + kInS3 +
                    ".ProcessingConfiguration.Processors[0].Parameter: is not a known key; did you mean 'Parameters'?"},
        Mistake{"UnknownMemberLikeNothing", kExtendedS3 + "      Encoding: utf-8\n",
                "6: " + kInS3 +
                    ".Encoding: is not a known key; known here: RoleARN, BucketARN, Prefix, ErrorOutputPrefix, "
                    "BufferingHints, CompressionFormat, EncryptionConfiguration, CloudWatchLoggingOptions, "
                    "ProcessingConfiguration, S3BackupMode, S3BackupConfiguration, DataFormatConversionConfiguration, "
                    "DynamicPartitioningConfiguration, FileExtension, CustomTimeZone"},
        Mistake{"MemberTooHigh", kExtendedS3 + "      SizeInMBs: 1\n",
                "6: " + kInS3 + ".SizeInMBs: is not a known key here: write 'SizeInMBs' below 'BufferingHints'"},
        Mistake{"MemberTwiceDeepInside", kExtendedS3 + "      BufferingHints: {SizeInMBs: 1, SizeInMBs: 2}\n",
                "6: " + kInS3 + ".BufferingHints.SizeInMBs: is given twice, first in line 6"},
        Mistake{"UnknownType", kDeliveryStream + "    DeliveryStreamType: KinesisStreamAsSorce\n",
                "3: delivery_streams[0].DeliveryStreamType: 'KinesisStreamAsSorce' is not known: use one of DirectPut, "
                "KinesisStreamAsSource, MSKAsSource, DatabaseAsSource"},
        Mistake{"SizeTooSmallForABuffer", kExtendedS3 + "      BufferingHints: {SizeInMBs: 0, IntervalInSeconds: 10}\n",
                "6: " + kInS3 + ".BufferingHints.SizeInMBs: '0' is out of range: 1 to 128"},
        Mistake{"SizeTooLargeForABuffer",
                kExtendedS3 + "      BufferingHints: {SizeInMBs: 129, IntervalInSeconds: 10}\n",
                "6: " + kInS3 + ".BufferingHints.SizeInMBs: '129' is out of range: 1 to 128"},
        Mistake{"IntervalTooLong", kExtendedS3 + "      BufferingHints: {SizeInMBs: 1, IntervalInSeconds: 901}\n",
                "6: " + kInS3 + ".BufferingHints.IntervalInSeconds: '901' is out of range: 0 to 900"},
        Mistake{"IntervalWithAUnit", kExtendedS3 + "      BufferingHints: {SizeInMBs: 1, IntervalInSeconds: 10s}\n",
                "6: " + kInS3 + ".BufferingHints.IntervalInSeconds: '10s' is not a whole number: 0 to 900 is expected"},
        Mistake{"BufferingHintsThatAreANumber", kExtendedS3 + "      BufferingHints: 5\n",
                "6: " + kInS3 + ".BufferingHints: must hold members, not a value"},
        Mistake{"BufferingHintsThatAreAList", kExtendedS3 + "      BufferingHints: [5]\n",
                "6: " + kInS3 + ".BufferingHints: must hold members, not a list"},
        Mistake{"BufferingHintsOfNothing", kExtendedS3 + "      BufferingHints:\n",
                "6: " + kInS3 + ".BufferingHints: has no value: must hold members"},
        Mistake{"PrefixThatIsAList", kExtendedS3 + "      Prefix: [a]\n",
                "6: " + kInS3 + ".Prefix: must be a text, not a list"},
        Mistake{"PrefixTooLong", kExtendedS3 + "      Prefix: " + repeated("a", 1025) + "\n",
                "6: " + kInS3 + ".Prefix: '" + repeated("a", 80) + "...' must have 0 to 1024 characters"},
        Mistake{"PrefixOfNothing", kExtendedS3 + "      Prefix:\n",
                "6: " + kInS3 + ".Prefix: has no value: must be a text"},
        Mistake{
            "UnknownCompression", kExtendedS3 + "      CompressionFormat: gzip\n",
            "6: " + kInS3 +
                ".CompressionFormat: 'gzip' is not known: use one of ZIP, HADOOP_SNAPPY, Snappy, GZIP, UNCOMPRESSED"},
        Mistake{
            "RoleThatIsNoArn",
            kDeliveryStream +
                "    ExtendedS3DestinationConfiguration:\n      BucketARN: arn:aws:s3:::b\n      RoleARN: firehose\n",
            "5: " + kInS3 + ".RoleARN: 'firehose' must match the pattern arn:.*"},
        Mistake{"MissingMembersInside", kDeliveryStream + "    ExtendedS3DestinationConfiguration:\n      Prefix: a\n",
                "3: " + kInS3 + ": RoleARN is missing\n3: " + kInS3 + ": BucketARN is missing"},
        Mistake{"BooleanThatIsNone", kExtendedS3 + "      ProcessingConfiguration: {Enabled: yes}\n",
                "6: " + kInS3 + ".ProcessingConfiguration.Enabled: 'yes' is not true or false"},
        Mistake{"ProcessorsThatAreAMap", kExtendedS3 + "      ProcessingConfiguration: {Processors: {Type: Lambda}}\n",
                "6: " + kInS3 + ".ProcessingConfiguration.Processors: must be a list, not members"},
        Mistake{"ProcessorThatIsAText", kExtendedS3 + "      ProcessingConfiguration: {Processors: [Lambda]}\n",
                "6: " + kInS3 + ".ProcessingConfiguration.Processors[0]: must hold members, not a value"},
        Mistake{"ProcessorThatIsAList", kExtendedS3 + "      ProcessingConfiguration: {Processors: [[]]}\n",
                "6: " + kInS3 + ".ProcessingConfiguration.Processors[0]: must hold members, not a list"},
        Mistake{"ProcessorThatIsNothing", kExtendedS3 + "      ProcessingConfiguration: {Processors: [~]}\n",
                "6: " + kInS3 + ".ProcessingConfiguration.Processors[0]: has no value: must hold members"},
        Mistake{"ProcessorWithoutAType", kExtendedS3 + "      ProcessingConfiguration: {Processors: [{}]}\n",
                "6: " + kInS3 + ".ProcessingConfiguration.Processors[0]: Type is missing"},
        Mistake{
            "UnknownProcessor", kExtendedS3 + "      ProcessingConfiguration: {Processors: [{Type: Lamda}]}\n",
            "6: " + kInS3 +
                ".ProcessingConfiguration.Processors[0].Type: 'Lamda' is not known: use one of RecordDeAggregation, "
                "Decompression, CloudWatchLogProcessing, Lambda, MetadataExtraction, AppendDelimiterToRecord"},
        Mistake{
            "EmptyParameterValue",
            kExtendedS3 + "      ProcessingConfiguration: {Processors: [{Type: Lambda, Parameters: [{ParameterName: "
                          "Delimiter, ParameterValue: ''}]}]}\n",
            "6: " + kInS3 + ".ProcessingConfiguration.Processors[0].Parameters[0].ParameterValue: must not be empty"},
        Mistake{"MemberNotBuiltYet", kExtendedS3 + "      DynamicPartitioningConfiguration: {Enabled: true}\n",
                "6: " + kInS3 +
                    ".DynamicPartitioningConfiguration: DynamicPartitioningConfiguration is not supported yet."},
        Mistake{"DestinationNotBuiltYet", kDeliveryStream + "    HttpEndpointDestinationConfiguration: {}\n",
                "3: delivery_streams[0].HttpEndpointDestinationConfiguration: HttpEndpointDestinationConfiguration is "
                "not supported yet."},
        Mistake{"ApiThatIsAText", "apis: [api.yaml]\n", "1: apis[0]: must hold names and values, not a value"},
        Mistake{"ApiWithoutMembers", "apis: [{}]\n",
                "1: apis[0]: name is missing\n1: apis[0]: openapi is missing\n1: apis[0]: stages is missing"},
        Mistake{"ApiWithAnUnknownMember", kApi + "    stage: S\n",
                "5: apis[0].stage: is not a known key; did you mean 'stages'?"},
        Mistake{"ApiWithAnUnknownMemberLikeNone", kApi + "    host: a\n",
                "5: apis[0].host: is not a known key; known here: name, id, openapi, stages"},
        Mistake{"ApiWithAMisspeltMember", "apis:\n  - {name: a, openapi: api.yaml, stage: [S]}\n",
                "2: apis[0].stage: is not a known key; did you mean 'stages'?"},
        Mistake{"ApiWithoutAName", "apis:\n  - {name: '', openapi: api.yaml, stages: [S]}\n",
                "2: apis[0].name: has no value: must be a text"},
        Mistake{"ApiWithAListAsItsName", "apis:\n  - {name: [a], openapi: api.yaml, stages: [S]}\n",
                "2: apis[0].name: must be a text, not a list"},
        Mistake{"ApiWithALineBreakInItsName", "apis:\n  - {name: \"a\\nb\", openapi: api.yaml, stages: [S]}\n",
                "2: apis[0].name: 'a?b' is not a name: at most 1024 bytes without control characters are"},
        Mistake{"ApiWithALongName", "apis:\n  - {name: " + repeated("a", 1025) + ", openapi: api.yaml, stages: [S]}\n",
                "2: apis[0].name: '" + repeated("a", 80) +
                    "...' is not a name: at most 1024 bytes without control characters are"},
        Mistake{"ApiWithABadId", "apis:\n  - {name: a, id: Short, openapi: api.yaml, stages: [S]}\n",
                "2: apis[0].id: 'Short' is not an id: write ten of a-z and 0-9"},
        Mistake{"ApiWithoutItsFile", "apis:\n  - {name: a, openapi: none.yaml, stages: [S]}\n",
                "2: apis[0].openapi: none.yaml: there is no such file"},
        Mistake{"ApiOfADirectory", "apis:\n  - {name: a, openapi: ., stages: [S]}\n",
                "2: apis[0].openapi: .: is a directory, not a file"},
        Mistake{"ApiOfADevice", "apis:\n  - {name: a, openapi: /dev/null, stages: [S]}\n",
                "2: apis[0].openapi: /dev/null: is not a regular file"},
        Mistake{"ApiWithoutStages", "apis:\n  - {name: a, openapi: api.yaml, stages: []}\n",
                "2: apis[0].stages: must be a list of one or more names, such as [PROD]"},
        Mistake{"ApiWithAStageThatIsNoList", "apis:\n  - {name: a, openapi: api.yaml, stages: S}\n",
                "2: apis[0].stages: must be a list of one or more names, such as [PROD]"},
        Mistake{"ApiWithABadStage", "apis:\n  - {name: a, openapi: api.yaml, stages: [S, a/b]}\n",
                "2: apis[0].stages[1]: 'a/b' is not a stage's name: write 1 to 128 letters, digits, '_' and '-'"},
        Mistake{"ApiWithALongStage", "apis:\n  - {name: a, openapi: api.yaml, stages: [" + repeated("s", 129) + "]}\n",
                "2: apis[0].stages[0]: '" + repeated("s", 80) +
                    "...' is not a stage's name: write 1 to 128 letters, digits, '_' and '-'"},
        Mistake{"ApiWithAMapAsAStage", "apis:\n  - {name: a, openapi: api.yaml, stages: [{S: T}]}\n",
                "2: apis[0].stages[0]: is not a stage's name: write 1 to 128 letters, digits, '_' and '-'"},
        Mistake{"ApiWithOneStageTwice", "apis:\n  - {name: a, openapi: api.yaml, stages: [S, T, S]}\n",
                "2: apis[0].stages[2]: stage 'S' is given twice"},
        Mistake{"ApiTwice", kApi + "  - {name: a, openapi: api.yaml, stages: [T]}\n",
                "5: apis[1].name: 'a' is declared twice, first in line 2"},
        Mistake{"TwoApisWithOneId",
                "apis:\n  - {name: a, id: abcdefghij, openapi: api.yaml, stages: [S]}\n  - {name: b, id: abcdefghij, "
                "openapi: api.yaml, stages: [T]}\n",
                "3: apis[1].id: 'abcdefghij' is the id of API 'a' in line 2: give one of them another"}}),
    name_of);

TEST_F(ConfigFile, AnApiMayNotHaveTheIdThatAnotherDerivesFromItsName) {
  write("openapi: 3.0.1\n", "api.yaml");
  const std::string id = gateway::api_id_of_name("a");
  EXPECT_EQ(error(kApi + "  - {name: b, id: " + id + ", openapi: api.yaml, stages: [T]}\n"),
            "millrace.yaml:5: apis[1].id: '" + id + "' is the id of API 'a' in line 2: give one of them another");
  EXPECT_EQ(error("apis:\n  - {name: b, id: " + id +
                  ", openapi: api.yaml, stages: [T]}\n"
                  "  - {name: a, openapi: api.yaml, stages: [S]}\n"),
            "millrace.yaml:3: apis[1]: '" + id + "' is the id of API 'b' in line 2: give one of them another");
}

TEST_F(ConfigFile, AnOpenApiFileThatCannotBeReadIsNamedWithTheReason) {
  std::filesystem::create_symlink("api.yaml", "api.yaml");
  EXPECT_EQ(error(kApi),
            "millrace.yaml:3: apis[0].openapi: api.yaml: cannot be read: Too many levels of symbolic links");
}

TEST_F(ConfigFile, AnOpenApiFileIsLookedForBesideTheConfig) {
  std::filesystem::create_directory("etc");
  write(kApi, "etc/millrace.yaml");
  write("openapi: 3.0.1\n", "api.yaml");
  const auto missing = load("etc/millrace.yaml", {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().detail, "etc/millrace.yaml:3: apis[0].openapi: etc/api.yaml: there is no such file");
  write("openapi: 3.0.1\n", "etc/api.yaml");
  EXPECT_TRUE(load("etc/millrace.yaml", {}));
}

TEST_F(ConfigFile, DeclaredMembersAreKeptWithTheirPlaces) {
  const Config config = loaded(kExtendedS3 + "      BufferingHints:\n        IntervalInSeconds: 10\n");
  std::string places;
  for (const DeclaredMember& member : config.delivery_streams.at(0).members)
    places += std::to_string(member.line) + " " + member.path + " = " + member.value + "\n";
  EXPECT_EQ(places,
            "2 delivery_streams[0].DeliveryStreamName = d\n"
            "3 " +
                kInS3 +
                " = \n"
                "4 " +
                kInS3 +
                ".BucketARN = arn:aws:s3:::b\n"
                "5 " +
                kInS3 +
                ".RoleARN = arn:aws:iam::000000000000:role/r\n"
                "6 " +
                kInS3 +
                ".BufferingHints = \n"
                "7 " +
                kInS3 + ".BufferingHints.IntervalInSeconds = 10\n");
}

}  // namespace
}  // namespace millrace::config
