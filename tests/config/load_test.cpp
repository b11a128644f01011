#include <gmock/gmock.h>
#include <sys/fsuid.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/support.hpp"

namespace millrace::config {
namespace {

using testing::HasSubstr;

TEST(Defaults, HoldWithoutFileAndEnvironment) {
  auto result = load(std::nullopt, {});
  ASSERT_TRUE(result);
  EXPECT_EQ(result->config.listen_aws, "localhost:4566");
  EXPECT_EQ(result->config.listen_gateway, "localhost:8080");
  EXPECT_EQ(result->config.account_id, "000000000000");
  EXPECT_EQ(result->config.region, "us-east-1");
  EXPECT_EQ(result->config.data_dir, "data");
  EXPECT_EQ(result->config.storage_mode, "memory");
  EXPECT_EQ(result->config.storage_sync, "always");
  EXPECT_EQ(result->config.file_size, 64u << 20);
  EXPECT_EQ(result->config.disk_limit, std::numeric_limits<std::size_t>::max());
  EXPECT_EQ(result->config.on_damage, "refuse");
  EXPECT_EQ(result->config.encryption, "none");
  EXPECT_EQ(result->config.keys, nullptr);
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
  mode: durable
  sync: os
  memory_limit: 64MiB
  file_size: 8MiB
  disk_limit: 32MiB
  on_damage: serve
auth: {mode: ignore}
log: {level: warn, format: json}
threads: 3
shutdown: {deadline: 250ms}
limits: {enforce: true, exempt: [bulk, 'raw-*'], shards: 500}
delays: {stream_create: 500ms, stream_update: 1s, stream_delete: 2s, delivery_create: 3s, delivery_delete: 4s}
admin: {reset: false}
)");
  EXPECT_EQ(config.listen_aws, "0.0.0.0:4567");
  EXPECT_EQ(config.listen_gateway, "[::1]:0");
  EXPECT_EQ(config.region, "eu-central-1");
  EXPECT_EQ(config.account_id, "012345678901");
  EXPECT_EQ(config.data_dir, "/var/lib/millrace");
  EXPECT_EQ(config.storage_mode, "durable");
  EXPECT_EQ(config.storage_sync, "os");
  EXPECT_EQ(config.memory_limit, 64u << 20);
  EXPECT_EQ(config.file_size, 8u << 20);
  EXPECT_EQ(config.disk_limit, 32u << 20);
  EXPECT_EQ(config.on_damage, "serve");
  EXPECT_EQ(config.auth_mode, "ignore");
  EXPECT_EQ(config.log_level, "warn");
  EXPECT_EQ(config.log_format, "json");
  EXPECT_EQ(config.threads, 3u);
  EXPECT_EQ(config.shutdown_deadline, std::chrono::milliseconds(250));
  EXPECT_TRUE(config.limits_enforced);
  EXPECT_EQ(config.exempt_streams, (std::vector<std::string>{"bulk", "raw-*"}));
  EXPECT_EQ(config.shards_max, 500u);
  EXPECT_EQ(config.stream_create_delay, std::chrono::milliseconds(500));
  EXPECT_EQ(config.stream_update_delay, std::chrono::seconds(1));
  EXPECT_EQ(config.stream_delete_delay, std::chrono::seconds(2));
  EXPECT_EQ(config.delivery_create_delay, std::chrono::seconds(3));
  EXPECT_EQ(config.delivery_delete_delay, std::chrono::seconds(4));
  EXPECT_EQ(config.reset_enabled, std::optional(false));
}

TEST_F(ConfigFile, NamesOfTheCertificateAreAListOrHaveCommasBetweenThem) {
  const std::vector<std::string> names{"a.test", "*.b.test", "10.0.0.7", "::1"};
  EXPECT_EQ(loaded("tls:\n  hostnames: [a.test, '*.b.test', 10.0.0.7, '::1']\n").tls_hostnames, names);
  EXPECT_EQ(loaded("tls:\n  hostnames: a.test, *.b.test,10.0.0.7 , ::1\n").tls_hostnames, names);
  EXPECT_EQ(loaded("", {{"MILLRACE_TLS_HOSTNAMES", "a.test,*.b.test,10.0.0.7,::1"}}).tls_hostnames, names);
  EXPECT_EQ(error_in_file("tls:\n  hostnames:\n    - a.test\n    - a b\n"),
            "4: tls.hostnames[1]: 'a b' is no name of a machine and no address: write names such as [data.example, "
            "10.0.0.7]");
}

TEST_F(ConfigFile, TheUsersCertificateAndItsKeyGoTogether) {
  std::filesystem::create_directory("etc");
  write("", "etc/server.pem");
  const auto beside = load(write("tls: {certificate: server.pem, key: server.pem}\n", "etc/millrace.yaml"), {});
  ASSERT_TRUE(beside);
  EXPECT_EQ(beside->config.tls_key, "etc/server.pem");
  EXPECT_EQ(error_in_file("tls:\n  certificate: etc/server.pem\n"),
            "2: tls.certificate: needs tls.key beside it: give both, or none for the daemon's own");
  EXPECT_EQ(error_in_file("tls:\n  key: etc/server.pem\n"),
            "2: tls.key: needs tls.certificate beside it: give both, or none for the daemon's own");
  EXPECT_EQ(error_in_file("tls:\n  certificate: etc/server.pem\n  key: none.key\n"),
            "3: tls.key: none.key: there is no such file");
  EXPECT_EQ(error("tls:\n  enabled: false\n  certificate: none.pem\n  key: none.key\n"), "no error");
  EXPECT_EQ(error_in_file("tls:\n  certificate: etc/server.pem\n  key: etc/server.pem\n  hostnames: [a]\n"),
            "4: tls.hostnames: is only for the daemon's own certificate: leave it, or tls.certificate and tls.key, "
            "out");
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

TEST(EnvironmentNames, AreRepeatedWithoutControlCharacters) {
  auto result = load(std::nullopt, {{"MILLRACE_\x1b[2J", "x"}});
  ASSERT_TRUE(result);
  EXPECT_THAT(result->warnings, testing::ElementsAre("environment: MILLRACE_?[2J is not a known name and is ignored"));
}

TEST(EnvironmentNames, WrongValuesNameTheVariableAndTheKey) {
  auto result = load(std::nullopt, {{"MILLRACE_STORAGE_MEMORY_LIMIT", "much"}});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().detail,
            "environment: MILLRACE_STORAGE_MEMORY_LIMIT (storage.memory_limit): 'much' is not a size: write 512MiB, "
            "12GiB or a number of bytes");
}

class FileMistakes : public ConfigFile, public testing::WithParamInterface<Mistake> {};

TEST_P(FileMistakes, NameLineAndKey) { EXPECT_EQ(error_in_file(GetParam().text), GetParam().said); }

INSTANTIATE_TEST_SUITE_P(
    OfTheWholeFile, FileMistakes,
    testing::ValuesIn(std::vector<Mistake>{
        Mistake{"TextForTheWholeFile", "hello\n", "1: must hold keys and their values, such as `region: us-east-1`"},
        Mistake{"ListForTheWholeFile", "- region: a\n",
                "1: must hold keys and their values, such as `region: us-east-1`"},
        Mistake{"TwoDocuments", "region: a\n---\nregion: b\n", "2:1: a second document begins here: a file holds one"},
        Mistake{"BrokenYaml", "region: a\n  b: c\n",
                "2:4: not valid YAML: `:` is not expected here: a line may be indented wrongly, a `:` before may lack "
                "the space behind it, or a value with `: ` in it may lack its quotes"},
        Mistake{"MissingBlankBehindAColon", "region:a\nthreads: 1\n",
                "2:8: not valid YAML: `:` is not expected here: a line may be indented wrongly, a `:` before may lack "
                "the space behind it, or a value with `: ` in it may lack its quotes"},
        Mistake{"Tabs", "listen:\n\taws: localhost:1\n",
                "2:5: not valid YAML: the line is indented with a tab: YAML takes only spaces"},
        Mistake{"OpenQuote", "region: \"us-east-1\nthreads: 1\n", "1:9: the quote that opens here is not closed"},
        Mistake{"OpenBracket", "streams: [\nthreads: 1\n", "3:1: not valid YAML: `,` or `]` is expected here"},
        Mistake{"UnknownAlias", "region: *r\n",
                "1:9: not valid YAML: there is no anchor (&name) before for this alias"},
        Mistake{"NotUtf8",
                "region: a\ndata_dir: \xff"
                "\n",
                "2:11: is not UTF-8 text"},
        Mistake{"Binary",
                std::string("\x7f"
                            "ELF\x02"
                            "\x01"
                            "\x01"
                            "\x00",
                            8),
                "1:5: is not text: it has control characters"},
        Mistake{"Utf16",
                std::string("\xff"
                            "\xfe"
                            "r\x00"
                            "e\x00",
                            6),
                "1:4: is not text: it has control characters"},
        Mistake{"MergeKey", "log: &l {level: warn}\nauth:\n  <<: *l\n",
                "3: auth: YAML merge keys (<<) are not supported: write the members out"},
        Mistake{"Tag", "region: !Ref Region\n",
                "1: region: YAML tags are not supported: write the value itself\n1: region: 'Region' is not a region "
                "name: write one like us-east-1"},
        Mistake{"NameThatIsAList", "[a]: b\n", "1: the name of a member must be a plain text"},
        Mistake{"AliasOfItself", "streams: &s [*s]\n", "1:14: an alias inside of what it stands for would never end"},
        Mistake{"TooDeep", "a: " + repeated("[", 100) + repeated("]", 100) + "\n",
                "1:103: nests deeper than 100 levels"},
        Mistake{"DuplicateKey", "region: a\nthreads: 1\nregion: b\n", "3: region: is given twice, first in line 1"},
        Mistake{"DuplicateSection", "log:\n  level: warn\nregion: a\nlog:\n  format: json\n",
                "4: log: is given twice, first in line 1"},
        Mistake{"DuplicateKeyInASection", "log:\n  level: warn\n  level: info\n",
                "3: log.level: is given twice, first in line 2"},
        Mistake{"UnknownKeyWithANearOne", "region: x\nstorag:\n  mode: memory\n",
                "2: storag: is not a known key; did you mean 'storage'?"},
        Mistake{"UnknownKeyInASection", "listen:\n  awz: localhost:1\n",
                "2: listen.awz: is not a known key; did you mean 'aws'?"},
        Mistake{"UnknownKeyLikeNothing", "telephone: 1\n",
                "1: telephone: is not a known key; known here: listen, region, account_id, multi_account, data_dir, "
                "storage, tls, "
                "auth, log, threads, shutdown, limits, delays, admin, streams, delivery_streams, apis"},
        Mistake{"UnknownKeyLikeNothingInASection", "log:\n  destination: stdout\n",
                "2: log.destination: is not a known key; known here: level, format"},
        Mistake{"KeyOutsideOfItsSection", "memory_limit: 1GiB\n",
                "1: memory_limit: is not a known key here: write 'memory_limit' below 'storage'"},
        Mistake{"KeyOutsideOfTwoSections", "mode: memory\n",
                "1: mode: is not a known key here: write 'mode' below 'storage' or 'auth'"},
        Mistake{"KeyWithItsPathAsItsName", "listen.aws: localhost:1\n",
                "1: listen.aws: is not a known key here: write 'aws' below 'listen'"},
        Mistake{"ValueForASection", "listen: localhost:1\n",
                "1: listen: must hold keys, not a value; known here: aws, gateway"},
        Mistake{"ListForASection", "log: [warn]\n", "1: log: must hold keys, not a list; known here: level, format"},
        Mistake{"MapForAList", "streams: {StreamName: a}\n",
                "1: streams: must be a list: write `- ` before each entry"},
        Mistake{"ValueForAList", "apis: openapi.yaml\n", "1: apis: must be a list: write `- ` before each entry"},
        Mistake{"OneAddressTwice", "listen:\n  aws: localhost:9\n  gateway: 127.0.0.1:9\n",
                "3: listen.gateway: 127.0.0.1:9 takes the address of listen.aws (localhost:9): give one of them "
                "another port"},
        Mistake{"OnePortOnAllAddresses", "listen:\n  aws: 0.0.0.0:9\n  gateway: 127.0.0.1:9\n",
                "3: listen.gateway: 127.0.0.1:9 takes the address of listen.aws (0.0.0.0:9): give one of them another "
                "port"},
        Mistake{
            "OnePortOnAllAddressesOfBothKinds", "listen:\n  aws: 127.0.0.1:9\n  gateway: '[::]:9'\n",
            "3: listen.gateway: [::]:9 takes the address of listen.aws (127.0.0.1:9): give one of them another port"},
        Mistake{
            "OneAddressInTwoForms", "listen:\n  aws: '[::1]:9'\n  gateway: '[0:0::1]:9'\n",
            "3: listen.gateway: [0:0::1]:9 takes the address of listen.aws ([::1]:9): give one of them another port"},
        Mistake{"AddressOfTheOthersDefault", "listen:\n  aws: localhost:8080\n",
                "2: listen.aws: localhost:8080 takes the address of listen.gateway (localhost:8080): give one of them "
                "another port"},
        Mistake{"SyncWithoutDurable", "storage:\n  sync: os\n",
                "2: storage.sync: is only for storage.mode durable: set that, or leave this out"},
        Mistake{"DiskLimitWithoutRoomForFourFiles", "storage:\n  disk_limit: 255MiB\n",
                "2: storage.disk_limit: has no room for four files of storage.file_size: give it more, or "
                "make them smaller"},
        Mistake{"FilesTooLargeForTheDiskLimit", "storage:\n  file_size: 9MiB\n  disk_limit: 32MiB\n",
                "3: storage.disk_limit: has no room for four files of storage.file_size: give it more, or "
                "make them smaller"},
        Mistake{"DataDirectoryThatIsAFile", "data_dir: millrace.yaml\n",
                "1: data_dir: 'millrace.yaml' is a file: write the path of a directory"}}),
    name_of);

TEST_F(ConfigFile, TellsEveryMistakeInTheOrderOfLines) {
  EXPECT_EQ(error("streams:\n"
                  "  - StreamName: a\n"
                  "    Shards: 1\n"
                  "threads: x\n"
                  "listn: {}\n"
                  "region: Y\n"
                  "threads: 1\n",
                  {{"MILLRACE_LOG_LEVEL", "all"}}),
            "millrace.yaml:2: streams[0]: ShardCount is missing\n"
            "millrace.yaml:3: streams[0].Shards: is not a known key; known here: ShardCount, StreamName, Tags, "
            "RetentionPeriodHours\n"
            "millrace.yaml:4: threads: 'x' is not a whole number: write 0 to 1024\n"
            "millrace.yaml:5: listn: is not a known key; did you mean 'listen'?\n"
            "millrace.yaml:6: region: 'Y' is not a region name: write one like us-east-1\n"
            "millrace.yaml:7: threads: is given twice, first in line 4\n"
            "environment: MILLRACE_LOG_LEVEL (log.level): 'all' is not known: use one of debug, info, warn, error");
}

TEST_F(ConfigFile, AMistakeIsOneLineWhateverTheFileHolds) {
  const std::string said = error_in_file("\"a\\nb\\e\": 1\n");
  EXPECT_THAT(said, testing::StartsWith("1: a?b?: is not a known key"));
  EXPECT_EQ(said.find('\n'), std::string::npos);
  const auto loaded = load(write(""), {{"MILLRACE_A\nB", "1"}});
  ASSERT_TRUE(loaded);
  ASSERT_EQ(loaded->warnings.size(), 1u);
  EXPECT_THAT(loaded->warnings[0], testing::StartsWith("environment: MILLRACE_A?B is not a known name and is ignored"));
}

TEST_F(ConfigFile, TellsFiftyMistakesAndCountsAll) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += "unknown" + std::to_string(i) + ": 1\n";
  const auto result = load(write(text), {});
  ASSERT_FALSE(result);
  const Error told = result.error();
  EXPECT_EQ(told.mistakes, 2000u);
  EXPECT_EQ(std::count(told.detail.begin(), told.detail.end(), '\n'), 50);
  EXPECT_THAT(told.detail, HasSubstr("\nmillrace.yaml:50: unknown49: "));
  EXPECT_THAT(told.detail, testing::EndsWith("\nand 1950 more"));
}

TEST_F(ConfigFile, ThatCannotBeReadIsNamedWithTheReason) {
  const auto error_of = [](const char* path) {
    const auto result = load(path, {});
    return result ? std::string("loaded") : result.error().detail;
  };
  EXPECT_EQ(error_of("none.yaml"), "none.yaml: there is no such file");
  write("", "file");
  EXPECT_EQ(error_of("file/millrace.yaml"), "file/millrace.yaml: there is no such file");
  std::filesystem::create_directory("directory");
  EXPECT_EQ(error_of("directory"), "directory: is a directory, not a file");
  std::filesystem::create_symlink("loop", "loop");
  EXPECT_EQ(error_of("loop"), "loop: cannot be read: Too many levels of symbolic links");
  EXPECT_EQ(error_of("/proc/self/mem"), "/proc/self/mem: cannot be read: Input/output error");
  EXPECT_EQ(error_of("/dev/zero"), "/dev/zero: is larger than 4 MiB");
  write(repeated("# a comment that fills the file\n", (4 << 20) / 32 + 1), "large.yaml");
  EXPECT_EQ(error_of("large.yaml"), "large.yaml: is larger than 4 MiB");
}

TEST_F(ConfigFile, ThatMayNotBeReadIsNamedWithTheReason) {
  write("region: a\n");
  std::filesystem::permissions("millrace.yaml", std::filesystem::perms::none);
  std::filesystem::permissions(directory_.path(), std::filesystem::perms::all);
  // Root may read everything, but not in the name of another.
  const uid_t before = static_cast<uid_t>(setfsuid(geteuid() == 0 ? 65534 : geteuid()));
  const auto result = load("millrace.yaml", {});
  setfsuid(before);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().detail, "millrace.yaml: cannot be read: Permission denied");
}

TEST_F(ConfigFile, MayHaveAByteOrderMarkAndWindowsLines) {
  EXPECT_EQ(loaded("\xef\xbb\xbfregion: a\r\nlog:\r\n  level: warn\r\n").log_level, "warn");
  EXPECT_EQ(error("\xef\xbb\xbfregion: a\r\nlog:\r\n  level: all\r\n"),
            "millrace.yaml:3: log.level: 'all' is not known: use one of debug, info, warn, error");
}

TEST_F(ConfigFile, MayUseAnchorsAndAliases) {
  Config config = loaded("region: &r eu-west-1\ndelays: {stream_create: &d 3s, stream_update: *d}\n");
  EXPECT_EQ(config.region, "eu-west-1");
  EXPECT_EQ(config.stream_update_delay, std::chrono::seconds(3));
}

TEST_F(ConfigFile, MistakesOfTheEnvironmentAndOfTwoKeysNameTheirPlace) {
  EXPECT_EQ(
      error("listen:\n  gateway: localhost:9\n", {{"MILLRACE_LISTEN_AWS", "0.0.0.0:9"}}),
      "millrace.yaml:2: listen.gateway: localhost:9 takes the address of listen.aws (0.0.0.0:9): give one of them "
      "another port");
  EXPECT_EQ(error("listen:\n  aws: localhost:9\n", {{"MILLRACE_LISTEN_GATEWAY", "localhost:9"}}),
            "environment: MILLRACE_LISTEN_GATEWAY (listen.gateway): localhost:9 takes the address of listen.aws "
            "(localhost:9): give one of them another port");
  const auto nothing_but_environment = load(std::nullopt, {{"MILLRACE_LISTEN_AWS", "[::]:8080"}});
  ASSERT_FALSE(nothing_but_environment);
  EXPECT_EQ(nothing_but_environment.error().detail,
            "environment: MILLRACE_LISTEN_AWS (listen.aws): [::]:8080 takes the address of listen.gateway "
            "(localhost:8080): give one of them another port");
  EXPECT_EQ(
      error("storage: {mode: memory}\n", {{"MILLRACE_STORAGE_SYNC", "os"}}),
      "environment: MILLRACE_STORAGE_SYNC (storage.sync): is only for storage.mode durable: set that, or leave this "
      "out");
  write("", "data");
  const auto defaults = load(std::nullopt, {});
  ASSERT_FALSE(defaults);
  EXPECT_EQ(defaults.error().detail, "data_dir: 'data' is a file: write the path of a directory");
  EXPECT_EQ(error("data_dir: data/below/it\n"),
            "millrace.yaml:1: data_dir: 'data' is a file: write the path of a directory");
}

TEST_F(ConfigFile, ListenersOnOtherAddressesOfOnePortGoTogether) {
  EXPECT_EQ(loaded("listen: {aws: '127.0.0.1:9', gateway: '127.0.0.2:9'}\n").listen_gateway, "127.0.0.2:9");
  EXPECT_EQ(loaded("listen: {aws: '0.0.0.0:9', gateway: '[::1]:9'}\n").listen_gateway, "[::1]:9");
  EXPECT_EQ(loaded("listen: {aws: 'localhost:0', gateway: 'localhost:0'}\n").listen_gateway, "localhost:0");
  EXPECT_EQ(loaded("listen: {aws: 'a.example:9', gateway: 'b.example:9'}\n").listen_gateway, "b.example:9");
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
      BucketARN: arn:aws:s3:::b
      RoleARN: arn:aws:iam::000000000000:role/r
      Prefix: 010
      BufferingHints: {SizeInMBs: 1, IntervalInSeconds: 10}
      ProcessingConfiguration:
        Enabled: true
        Processors:
          - Type: AppendDelimiterToRecord
            Parameters: [{ParameterName: Delimiter, ParameterValue: 1}]
)");
  ASSERT_EQ(config.delivery_streams.size(), 1u);
  EXPECT_EQ(config.delivery_streams[0].name, "2024");
  EXPECT_EQ(nlohmann::json::parse(config.delivery_streams[0].json), nlohmann::json::parse(R"({
    "DeliveryStreamName": "2024",
    "ExtendedS3DestinationConfiguration": {
      "BucketARN": "arn:aws:s3:::b", "RoleARN": "arn:aws:iam::000000000000:role/r", "Prefix": "010",
      "BufferingHints": {"SizeInMBs": 1, "IntervalInSeconds": 10},
      "ProcessingConfiguration": {"Enabled": true, "Processors": [
        {"Type": "AppendDelimiterToRecord", "Parameters": [{"ParameterName": "Delimiter", "ParameterValue": "1"}]}]}}})"));
}

TEST_F(ConfigFile, ApisNameTheirFileBesideTheConfig) {
  write("openapi: 3.0.1\n", "api.yaml");
  Config config =
      loaded("apis:\n  - name: ingest\n    id: abcdefghij\n    openapi: api.yaml\n    stages: [PROD, dev_2]\n");
  ASSERT_EQ(config.apis.size(), 1u);
  EXPECT_EQ(config.apis[0].name, "ingest");
  EXPECT_EQ(config.apis[0].id, "abcdefghij");
  EXPECT_EQ(config.apis[0].openapi, "api.yaml");
  EXPECT_EQ(config.apis[0].stages, (std::vector<std::string>{"PROD", "dev_2"}));
}

}  // namespace
}  // namespace millrace::config
