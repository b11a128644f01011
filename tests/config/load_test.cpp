#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "millrace/config/config.hpp"

namespace millrace::config {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// A config file in a directory of its own.
class ConfigFile : public testing::Test {
 protected:
  ConfigFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "millrace-config-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~ConfigFile() override { std::filesystem::remove_all(directory_); }

  std::filesystem::path write(std::string_view text, std::string_view name = "millrace.yaml") {
    std::filesystem::path path = directory_ / name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  Config loaded(std::string_view text, const Environment& environment = {}) {
    auto result = load(write(text), environment);
    EXPECT_TRUE(result) << (result ? "" : result.error().detail);
    return result ? result->config : Config{};
  }
  /// The error without the directory in front of the file's name.
  std::string error(std::string_view text, const Environment& environment = {}) {
    auto result = load(write(text), environment);
    if (result) return "no error";
    std::string detail = result.error().detail, prefix = directory_.string() + "/";
    for (auto at = detail.find(prefix); at != std::string::npos; at = detail.find(prefix))
      detail.erase(at, prefix.size());
    return detail;
  }

  std::filesystem::path directory_;
};

TEST(Defaults, HoldWithoutFileAndEnvironment) {
  auto result = load(std::nullopt, {});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->config.listen_aws, "localhost:4566");
  EXPECT_EQ(result->config.listen_gateway, "localhost:8080");
  EXPECT_EQ(result->config.account_id, "000000000000");
  EXPECT_EQ(result->config.region, "us-east-1");
  EXPECT_EQ(result->config.data_dir, "data");
  EXPECT_EQ(result->config.storage_mode, "memory");
  EXPECT_EQ(result->config.shutdown_deadline, std::chrono::seconds(8));
  EXPECT_GE(result->config.memory_limit, 16u << 20);
  EXPECT_TRUE(result->config.streams.empty());
  EXPECT_TRUE(result->config.delivery_streams.empty());
  EXPECT_TRUE(result->config.apis.empty());
}

TEST_F(ConfigFile, SetsEveryKindOfKey) {
  Config config = loaded(R"(
listen:
  aws: 0.0.0.0:4567
  gateway: "[::1]:0"
region: eu-central-1
account_id: 012345678901
data_dir: /var/lib/millrace
storage:
  mode: memory
  memory_limit: 64MiB
auth: {mode: ignore}
log: {level: warn, format: json}
threads: 3
shutdown: {deadline: 250ms}
limits: {enforce: false}
delays: {stream_create: 500ms, stream_update: 1s, stream_delete: 2s, delivery_create: 3s, delivery_delete: 4s}
admin: {reset: false}
)");
  EXPECT_EQ(config.listen_aws, "0.0.0.0:4567");
  EXPECT_EQ(config.listen_gateway, "[::1]:0");
  EXPECT_EQ(config.region, "eu-central-1");
  EXPECT_EQ(config.account_id, "012345678901");
  EXPECT_EQ(config.data_dir, "/var/lib/millrace");
  EXPECT_EQ(config.memory_limit, 64u << 20);
  EXPECT_EQ(config.auth_mode, "ignore");
  EXPECT_EQ(config.log_level, "warn");
  EXPECT_EQ(config.log_format, "json");
  EXPECT_EQ(config.threads, 3u);
  EXPECT_EQ(config.shutdown_deadline, std::chrono::milliseconds(250));
  EXPECT_EQ(config.stream_create_delay, std::chrono::milliseconds(500));
  EXPECT_EQ(config.stream_update_delay, std::chrono::seconds(1));
  EXPECT_EQ(config.stream_delete_delay, std::chrono::seconds(2));
  EXPECT_EQ(config.delivery_create_delay, std::chrono::seconds(3));
  EXPECT_EQ(config.delivery_delete_delay, std::chrono::seconds(4));
  EXPECT_EQ(config.reset_enabled, std::optional(false));
}

TEST_F(ConfigFile, LeavesResetUnsetUnlessSaid) {
  EXPECT_EQ(loaded("").reset_enabled, std::nullopt);
  EXPECT_EQ(loaded("admin: {reset: true}\n").reset_enabled, std::optional(true));
}

TEST_F(ConfigFile, MayBeEmptyOrHoldOnlyComments) {
  EXPECT_EQ(loaded("").listen_aws, "localhost:4566");
  EXPECT_EQ(loaded("# nothing\n---\n").listen_aws, "localhost:4566");
}

TEST_F(ConfigFile, EnvironmentGoesOverTheFile) {
  Config config = loaded("listen: {aws: localhost:1}\nregion: eu-west-1\n", {{"MILLRACE_LISTEN_AWS", "127.0.0.1:2"},
                                                                             {"MILLRACE_STORAGE_MEMORY_LIMIT", "32MiB"},
                                                                             {"MILLRACE_SHUTDOWN_DEADLINE", "3s"},
                                                                             {"MILLRACE_REGION", ""}});
  EXPECT_EQ(config.listen_aws, "127.0.0.1:2");
  EXPECT_EQ(config.memory_limit, 32u << 20);
  EXPECT_EQ(config.shutdown_deadline, std::chrono::seconds(3));
  EXPECT_EQ(config.region, "eu-west-1");
}

TEST(EnvironmentNames, UnknownOnesOnlyWarn) {
  auto result = load(std::nullopt, {{"MILLRACE_PORT_4566_TCP", "tcp://10.0.0.1:4566"}, {"MILLRACE_LISTEN_AWSS", "x"}});
  ASSERT_TRUE(result);
  ASSERT_EQ(result->warnings.size(), 2u);
  EXPECT_THAT(result->warnings[0], HasSubstr("did you mean MILLRACE_LISTEN_AWS?"));
  EXPECT_THAT(result->warnings[1], HasSubstr("MILLRACE_PORT_4566_TCP"));
  EXPECT_EQ(result->config.listen_aws, "localhost:4566");
}

TEST(EnvironmentNames, WrongValuesNameTheVariableAndTheKey) {
  auto result = load(std::nullopt, {{"MILLRACE_STORAGE_MEMORY_LIMIT", "much"}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().detail,
            "environment: MILLRACE_STORAGE_MEMORY_LIMIT (storage.memory_limit): 'much' is not a size: write 512MiB, "
            "12GiB or a number of bytes");
}

struct Mistake {
  std::string name, text, error;
};

class Mistakes : public ConfigFile, public testing::WithParamInterface<Mistake> {};

TEST_P(Mistakes, NameFileLineAndKey) { EXPECT_EQ(error(GetParam().text), GetParam().error); }

INSTANTIATE_TEST_SUITE_P(
    EachKind, Mistakes,
    testing::Values(
        Mistake{"UnknownKeyWithANearOne", "region: x\nstorag:\n  mode: memory\n",
                "millrace.yaml:2: storag: is not a known key; did you mean 'storage'?"},
        Mistake{"UnknownKeyInASection", "listen:\n  awz: localhost:1\n",
                "millrace.yaml:2: listen.awz: is not a known key; did you mean 'aws'?"},
        Mistake{"UnknownKeyLikeNothing", "telephone: 1\n", "millrace.yaml:1: telephone: is not a known key"},
        Mistake{"DuplicateKey", "region: a\nthreads: 1\nregion: b\n",
                "millrace.yaml:3: region: is given twice, first in line 1"},
        Mistake{
            "SizeWithTheWrongUnit", "storage:\n  memory_limit: 12GB\n",
            "millrace.yaml:2: storage.memory_limit: '12GB' is not a size: write 512MiB, 12GiB or a number of bytes"},
        Mistake{"SizeOutOfRange", "storage:\n  memory_limit: 1KiB\n",
                "millrace.yaml:2: storage.memory_limit: '1KiB' is out of range: at least 16MiB"},
        Mistake{"DurationWithoutUnit", "shutdown:\n  deadline: 8\n",
                "millrace.yaml:2: shutdown.deadline: '8' is not a duration: write 250ms, 8s, 5m or 1h"},
        Mistake{"DurationOutOfRange", "shutdown:\n  deadline: 61m\n",
                "millrace.yaml:2: shutdown.deadline: '61m' is out of range: 0s to 1h"},
        Mistake{"NumberOutOfRange", "threads: 5000\n", "millrace.yaml:1: threads: '5000' is out of range: 0 to 1024"},
        Mistake{"NumberBeyondAnyType", "threads: 99999999999999999999999\n",
                "millrace.yaml:1: threads: '99999999999999999999999' is out of range: 0 to 1024"},
        Mistake{"NumberThatIsNone", "threads: two\n", "millrace.yaml:1: threads: 'two' is not a whole number"},
        Mistake{"BooleanThatIsNone", "admin:\n  reset: no\n",
                "millrace.yaml:2: admin.reset: 'no' is not true or false"},
        Mistake{"ChoiceThatIsNone", "auth:\n  mode: strict\n",
                "millrace.yaml:2: auth.mode: 'strict' is not known: use one of presence, ignore"},
        Mistake{"DurableStorage", "storage:\n  mode: durable\n",
                "millrace.yaml:2: storage.mode: 'durable' is not available: records cannot be kept on disk yet; use "
                "memory"},
        Mistake{"EnforcedLimits", "limits:\n  enforce: true\n",
                "millrace.yaml:2: limits.enforce: 'true' is not available: rates and quotas cannot be enforced yet; "
                "use false"},
        Mistake{"AddressWithoutPort", "listen:\n  aws: localhost\n",
                "millrace.yaml:2: listen.aws: 'localhost' is not an address: write localhost:4566, 0.0.0.0:4566 or "
                "[::1]:4566"},
        Mistake{"PortTooLarge", "listen:\n  aws: localhost:65536\n",
                "millrace.yaml:2: listen.aws: 'localhost:65536' is not an address: write localhost:4566, 0.0.0.0:4566 "
                "or [::1]:4566"},
        Mistake{"OneAddressTwice", "listen:\n  aws: localhost:9\n  gateway: 127.0.0.1:9\n",
                "millrace.yaml: listen.gateway: 127.0.0.1:9 takes the address of listen.aws (localhost:9)"},
        Mistake{"OnePortOnAllAddresses", "listen:\n  aws: 0.0.0.0:9\n  gateway: 127.0.0.1:9\n",
                "millrace.yaml: listen.gateway: 127.0.0.1:9 takes the address of listen.aws (0.0.0.0:9)"},
        Mistake{"AccountWithLetters", "account_id: 12345678901x\n",
                "millrace.yaml:1: account_id: '12345678901x' is not an account: write twelve digits"},
        Mistake{"ValueMissing", "region:\n", "millrace.yaml:1: region: has no value"},
        Mistake{"ListForAValue", "region: [a]\n", "millrace.yaml:1: region: must be one value: region name"},
        Mistake{"ValueForASection", "listen: localhost:1\n", "millrace.yaml:1: listen: must hold keys, not a value"},
        Mistake{"MapForAList", "streams: {StreamName: a}\n", "millrace.yaml:1: streams: must be a list"},
        Mistake{"TextForTheWholeFile", "hello\n", "millrace.yaml:1: must hold keys and values"},
        Mistake{"TwoDocuments", "region: a\n---\nregion: b\n",
                "millrace.yaml:3: a second YAML document: the config is one"},
        Mistake{"BrokenYaml", "region: a\n  b: c\n", "millrace.yaml:2: not valid YAML: illegal map value"},
        Mistake{"NotUtf8", "region: a\ndata_dir: \xff\n", "millrace.yaml:2: is not UTF-8 text"},
        Mistake{"MergeKeysAreNotTaken", "log: &l {level: warn}\nstorage:\n  <<: *l\n",
                "millrace.yaml:3: storage.<<: is not a known key"},
        Mistake{"StreamWithoutName", "streams:\n  - ShardCount: 2\n",
                "millrace.yaml:2: streams[0]: StreamName is missing"},
        Mistake{"StreamTwice", "streams:\n  - StreamName: a\n  - StreamName: b\n  - StreamName: a\n",
                "millrace.yaml:4: streams[2]: StreamName 'a' is declared twice, first in line 2"},
        Mistake{"StreamWithAnUnknownMember", "streams:\n  - StreamName: a\n    Shardcount: 2\n",
                "millrace.yaml:3: streams[0].Shardcount: is not a known key; did you mean 'ShardCount'?"},
        Mistake{"ShardCountThatIsNoNumber", "streams:\n  - StreamName: a\n    ShardCount: two\n",
                "millrace.yaml:3: streams[0].ShardCount: 'two' is not a whole number"},
        Mistake{"DeliveryStreamTwice", "delivery_streams:\n  - DeliveryStreamName: a\n  - DeliveryStreamName: a\n",
                "millrace.yaml:3: delivery_streams[1]: DeliveryStreamName 'a' is declared twice, first in line 2"},
        Mistake{"DuplicateMemberDeepInside", "delivery_streams:\n  - DeliveryStreamName: a\n    S: {B: 1, B: 2}\n",
                "millrace.yaml:3: delivery_streams[0].S.B: is given twice, first in line 3"},
        Mistake{"AnEndlessTree", "delivery_streams:\n  - DeliveryStreamName: a\n    S: &s [*s]\n",
                "millrace.yaml:3: delivery_streams[0]: holds too much, or itself"},
        Mistake{"ApiWithoutItsFile", "apis:\n  - {name: a, openapi: none.yaml, stages: [S]}\n",
                "millrace.yaml:2: apis[0].openapi: there is no file none.yaml"},
        Mistake{"ApiWithoutStages", "apis:\n  - {name: a, openapi: millrace.yaml}\n",
                "millrace.yaml:2: apis[0]: stages is missing"},
        Mistake{"ApiWithABadStage", "apis:\n  - {name: a, openapi: millrace.yaml, stages: [a/b]}\n",
                "millrace.yaml:2: apis[0].stages: a stage's name is 1 to 128 of letters, digits, '_' and '-'"},
        Mistake{"ApiWithABadId", "apis:\n  - {name: a, id: Short, openapi: millrace.yaml, stages: [S]}\n",
                "millrace.yaml:2: apis[0].id: 'Short' is not ten of a-z and 0-9"},
        Mistake{"ApiTwice",
                "apis:\n  - {name: a, openapi: millrace.yaml, stages: [S]}\n  - {name: a, openapi: millrace.yaml, "
                "stages: [T]}\n",
                "millrace.yaml:3: apis[1]: name 'a' is declared twice, first in line 2"}),
    [](const auto& tested) { return tested.param.name; });

TEST_F(ConfigFile, TellsEveryMistakeAtOnce) {
  EXPECT_EQ(error("threads: x\nregion: Y\n"),
            "millrace.yaml:1: threads: 'x' is not a whole number\nmillrace.yaml:2: region: 'Y' is not a region name: "
            "write one like us-east-1");
}

TEST_F(ConfigFile, AMistakeIsOneLineWhateverTheFileHolds) {
  EXPECT_EQ(error("\"a\\nb\\e\": 1\n"), "millrace.yaml:1: a\\nb\\x1b: is not a known key");
  const auto loaded = load(write(""), {{"MILLRACE_A\nB", "1"}});
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->warnings.size(), 1u);
  EXPECT_EQ(loaded->warnings[0], "environment: MILLRACE_A\\nB is not a known name and is ignored");
}

TEST_F(ConfigFile, MissingOneIsNamed) {
  auto result = load(directory_ / "none.yaml", {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().detail, (directory_ / "none.yaml").string() + ": there is no such file");
  auto directory = load(directory_, {});
  ASSERT_FALSE(directory);
  EXPECT_THAT(directory.error().detail, HasSubstr("is a directory"));
}

TEST_F(ConfigFile, AliasesCannotGrowItBeyondItsBound) {
  std::string text = "delivery_streams:\n  - DeliveryStreamName: a\n    A0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i <= 9; ++i) {
    std::string last = "*a" + std::to_string(i - 1), list = last;
    for (int j = 1; j < 10; ++j) list += ", " + last;
    text += "    A" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + list + "]\n";
  }
  EXPECT_THAT(error(text), HasSubstr("holds too much, or itself"));
}

TEST_F(ConfigFile, DeclaredStreamsKeepTheirMembersTypes) {
  Config config = loaded(
      "streams:\n  - StreamName: events\n    ShardCount: 2\n    RetentionPeriodHours: 48\n    Tags: {on: no, id: 010, "
      "ShardCount: 7}\n");
  ASSERT_EQ(config.streams.size(), 1u);
  EXPECT_EQ(config.streams[0].name, "events");
  EXPECT_EQ(config.streams[0].line, 2);
  EXPECT_EQ(
      config.streams[0].json,
      R"({"StreamName":"events","ShardCount":2,"RetentionPeriodHours":48,"Tags":{"on":"no","id":"010","ShardCount":"7"}})");
}

TEST_F(ConfigFile, DeclaredDeliveryStreamsKeepTheirMembersTypes) {
  Config config = loaded(R"(
delivery_streams:
  - DeliveryStreamName: 2024
    ExtendedS3DestinationConfiguration:
      Prefix: 010
      BufferingHints: {SizeInMBs: 1, IntervalInSeconds: 10}
      ProcessingConfiguration:
        Enabled: true
        Processors:
          - Type: AppendDelimiterToRecord
            Parameters: [{ParameterName: Delimiter, ParameterValue: 1}]
      ErrorOutputPrefix: ~
)");
  ASSERT_EQ(config.delivery_streams.size(), 1u);
  EXPECT_EQ(config.delivery_streams[0].name, "2024");
  EXPECT_EQ(nlohmann::json::parse(config.delivery_streams[0].json), nlohmann::json::parse(R"({
    "DeliveryStreamName": "2024",
    "ExtendedS3DestinationConfiguration": {
      "Prefix": "010",
      "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 10},
      "ProcessingConfiguration": {"Enabled": true, "Processors": [
        {"Type": "AppendDelimiterToRecord", "Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "1"}]}]},
      "ErrorOutputPrefix": null}})"));
}

TEST_F(ConfigFile, ApisNameTheirFileBesideTheConfig) {
  write("openapi: 3.0.1\n", "api.yaml");
  Config config =
      loaded("apis:\n  - name: ingest\n    id: abcdefghij\n    openapi: api.yaml\n    stages: [PROD, dev_2]\n");
  ASSERT_EQ(config.apis.size(), 1u);
  EXPECT_EQ(config.apis[0].name, "ingest");
  EXPECT_EQ(config.apis[0].id, "abcdefghij");
  EXPECT_EQ(config.apis[0].openapi, directory_ / "api.yaml");
  EXPECT_EQ(config.apis[0].stages, (std::vector<std::string>{"PROD", "dev_2"}));
}

}  // namespace
}  // namespace millrace::config
