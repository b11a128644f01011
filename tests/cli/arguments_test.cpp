#include "millrace/cli/arguments.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <initializer_list>
#include <vector>

namespace millrace::cli {
namespace {

using testing::HasSubstr;

std::variant<Arguments, Ended> parsed(std::initializer_list<const char*> words) {
  std::vector<const char*> argv{"millrace"};
  argv.insert(argv.end(), words);
  return parse(static_cast<int>(argv.size()), argv.data());
}
Arguments arguments(std::initializer_list<const char*> words) {
  auto result = parsed(words);
  EXPECT_TRUE(std::holds_alternative<Arguments>(result));
  return std::holds_alternative<Arguments>(result) ? std::get<Arguments>(result) : Arguments{};
}
Ended ended(std::initializer_list<const char*> words) {
  auto result = parsed(words);
  EXPECT_TRUE(std::holds_alternative<Ended>(result));
  return std::holds_alternative<Ended>(result) ? std::get<Ended>(result) : Ended{-1, ""};
}

TEST(Arguments, EachCommandIsKnown) {
  EXPECT_EQ(arguments({"serve"}).command, Command::serve);
  EXPECT_EQ(arguments({"check"}).command, Command::check);
  EXPECT_EQ(arguments({"version"}).command, Command::version);
  EXPECT_EQ(arguments({"health"}).command, Command::health);
}

TEST(Arguments, ConfigIsOptional) {
  EXPECT_FALSE(arguments({"serve"}).config);
  EXPECT_EQ(arguments({"serve", "--config", "a.yaml"}).config, "a.yaml");
  EXPECT_EQ(arguments({"check", "--config=a.yaml"}).config, "a.yaml");
}

TEST(Arguments, HealthTakesWhereWhatAndHowLong) {
  Arguments health = arguments({"health", "--url", "http://a:1", "--ready", "--timeout", "250ms"});
  EXPECT_EQ(health.url, "http://a:1");
  EXPECT_TRUE(health.ready);
  EXPECT_EQ(health.timeout, std::chrono::milliseconds(250));
}

TEST(Arguments, LogTakesADirectoryAndWhatToSay) {
  Arguments inspect = arguments({"log", "inspect", "--json", "--data-dir", "d"});
  EXPECT_EQ(inspect.command, Command::log);
  EXPECT_EQ(inspect.log.what, LogCommand::What::inspect);
  EXPECT_TRUE(inspect.log.json);
  EXPECT_EQ(inspect.data_dir, "d");
  Arguments verify = arguments({"log", "verify", "--config", "a.yaml"});
  EXPECT_EQ(verify.log.what, LogCommand::What::verify);
  EXPECT_EQ(verify.config, "a.yaml");
  EXPECT_FALSE(verify.data_dir);
}

TEST(Arguments, ExportTakesASelection) {
  Arguments all = arguments({"log", "export"});
  EXPECT_EQ(all.log.what, LogCommand::What::export_records);
  EXPECT_EQ(all.log.selection.limit, UINT64_MAX);
  EXPECT_FALSE(all.log.selection.orphans);
  Arguments some = arguments({"log", "export", "--stream", "a", "--shard", "shardId-000000000001", "--from-time",
                              "1970-01-01T00:00:01Z", "--to-time", "1970-01-02", "--limit", "7", "--orphans"});
  EXPECT_EQ(some.log.selection.stream, "a");
  EXPECT_EQ(some.log.selection.shard, "shardId-000000000001");
  EXPECT_EQ(some.log.selection.from_ms, 1'000);
  EXPECT_EQ(some.log.selection.to_ms, 86'400'000);
  EXPECT_EQ(some.log.selection.limit, 7u);
  EXPECT_TRUE(some.log.selection.orphans);
}

TEST(Arguments, TailTakesAStreamAndWhereToBegin) {
  Arguments plain = arguments({"tail", "events"});
  EXPECT_EQ(plain.command, Command::tail);
  EXPECT_EQ(plain.tail.stream, "events");
  EXPECT_EQ(plain.tail.from, TailCommand::From::tip);
  EXPECT_EQ(plain.tail.limit, UINT64_MAX);
  Arguments all = arguments({"tail", "--raw", "--from", "1970-01-01T00:00:01Z", "--limit", "7", "--url", "http://a:1",
                             "--ca", "ca.pem", "--shard", "shardId-000000000001", "events"});
  EXPECT_TRUE(all.tail.raw);
  EXPECT_EQ(all.tail.from, TailCommand::From::time);
  EXPECT_EQ(all.tail.from_ms, 1'000);
  EXPECT_EQ(all.tail.limit, 7u);
  EXPECT_EQ(all.url, "http://a:1");
  EXPECT_EQ(all.tail.ca_file, "ca.pem");
  EXPECT_EQ(all.tail.shard, "shardId-000000000001");
  EXPECT_EQ(arguments({"tail", "events", "--from", "horizon"}).tail.from, TailCommand::From::horizon);
  using Words = std::initializer_list<const char*>;
  for (const Words& wrong :
       {Words{"tail"}, Words{"tail", ""}, Words{"tail", "a", "b"}, Words{"tail", "a", "--from", "now"},
        Words{"tail", "a", "--limit", "x"}, Words{"tail", "a", "--shard"}, Words{"tail", "a", "--colour"}})
    EXPECT_EQ(ended(wrong).exit_code, 2);
}

TEST(Arguments, HelpEndsWellAndNamesTheCommands) {
  for (const char* word : {"help", "--help"}) {
    Ended help = ended({word});
    EXPECT_EQ(help.exit_code, 0);
    for (const char* command : {"serve", "check", "version", "health"}) EXPECT_THAT(help.text, HasSubstr(command));
  }
}

struct Wrong {
  const char* name;
  std::vector<const char*> words;
  const char* said;
};
void PrintTo(const Wrong& wrong, std::ostream* out) { *out << wrong.name; }

class WrongArguments : public testing::TestWithParam<Wrong> {};

TEST_P(WrongArguments, EndWithTwoAndAReason) {
  std::vector<const char*> argv{"millrace"};
  argv.insert(argv.end(), GetParam().words.begin(), GetParam().words.end());
  const auto result = parse(static_cast<int>(argv.size()), argv.data());
  ASSERT_TRUE(std::holds_alternative<Ended>(result));
  EXPECT_EQ(std::get<Ended>(result).exit_code, 2);
  EXPECT_EQ(std::get<Ended>(result).text, std::string("millrace: ") + GetParam().said + "\n");
}

INSTANTIATE_TEST_SUITE_P(
    EachKind, WrongArguments,
    testing::ValuesIn(std::vector<Wrong>{
        {"NoCommand",
         {},
         "a command is missing: there are serve, check, version, health, log, tail, agent and help\n`millrace --help` "
         "tells "
         "more"},
        {"UnknownCommand",
         {"fly"},
         "'fly' is not a command: there are serve, check, version, health, log, tail, agent and help\n`millrace "
         "--help` tells "
         "more"},
        {"MisspeltCommand", {"serv"}, "'serv' is not a command; did you mean 'serve'?\n`millrace --help` tells more"},
        {"CommandAsAnOption",
         {"--version"},
         "'--version' is not a command; did you mean 'version'?\n`millrace --help` tells more"},
        {"ControlCharacters",
         {"\x1b[2J"},
         "'?[2J' is not a command: there are serve, check, version, health, log, tail, agent and help\n`millrace "
         "--help` "
         "tells "
         "more"},
        {"OptionBeforeTheCommand",
         {"--config", "a", "serve"},
         "'--config' is not a command: there are serve, check, version, health, log, tail, agent and help\n`millrace "
         "serve "
         "--help` "
         "tells "
         "more"},
        {"UnknownOption",
         {"serve", "--listen", "x"},
         "'--listen' is not an option of serve: it has --help and --config\n`millrace serve --help` tells more"},
        {"MisspeltOption",
         {"serve", "--confg=x"},
         "'--confg' is not an option of serve; did you mean '--config'?\n`millrace serve --help` tells more"},
        {"OptionOfAnotherCommand",
         {"check", "--ready"},
         "'--ready' is not an option of check: it has --help and --config\n`millrace check --help` tells more"},
        {"ShortOption",
         {"check", "-c", "x"},
         "'-c' is not an option of check: it has --help and --config\n`millrace check --help` tells more"},
        {"WordTooMany", {"serve", "config.yaml"}, "serve takes no 'config.yaml'\n`millrace serve --help` tells more"},
        {"ValueMissing", {"serve", "--config"}, "--config takes a value\n`millrace serve --help` tells more"},
        {"ValueEmpty",
         {"check", "--config", ""},
         "--config is empty: it takes a value\n`millrace check --help` tells more"},
        {"UrlEmpty", {"health", "--url", ""}, "--url is empty: it takes a value\n`millrace health --help` tells more"},
        {"OptionTwice",
         {"serve", "--config", "a", "--config", "b"},
         "--config is given twice\n`millrace serve --help` tells more"},
        {"DurationThatIsNone",
         {"health", "--timeout", "soon"},
         "--timeout: 'soon' is not a duration up to 1h: write 250ms or 2s\n`millrace health --help` tells more"},
        {"NoDuration",
         {"health", "--timeout", "0s"},
         "--timeout: '0s' is not a duration up to 1h: write 250ms or 2s\n`millrace health --help` tells more"},
        {"DurationTooLong",
         {"health", "--timeout", "2h"},
         "--timeout: '2h' is not a duration up to 1h: write 250ms or 2s\n`millrace health --help` tells more"},
        {"NoCommandOfLog",
         {"log"},
         "a command of log is missing: there are inspect, verify and export\n`millrace log --help` tells more"},
        {"UnknownCommandOfLog",
         {"log", "fly"},
         "'fly' is not a command of log: there are inspect, verify and export\n`millrace log --help` tells more"},
        {"MisspeltCommandOfLog",
         {"log", "inspekt"},
         "'inspekt' is not a command of log; did you mean 'inspect'?\n`millrace log --help` tells more"},
        {"OptionBeforeTheCommandOfLog",
         {"log", "--json", "inspect"},
         "'--json' is not a command of log: there are inspect, verify and export\n`millrace log inspect --help` tells "
         "more"},
        {"OptionOfAnotherCommandOfLog",
         {"log", "verify", "--json"},
         "'--json' is not an option of log verify: it has --help, --config, --data-dir and --keys\n`millrace log "
         "verify "
         "--help` "
         "tells more"},
        {"WordTooManyForLog",
         {"log", "verify", "data"},
         "log verify takes no 'data'\n`millrace log verify --help` tells more"},
        {"DirectoryEmpty",
         {"log", "inspect", "--data-dir", ""},
         "--data-dir is empty: it takes a value\n`millrace log inspect --help` tells more"},
        {"TimeThatIsNone",
         {"log", "export", "--from-time", "yesterday"},
         "--from-time: 'yesterday' is not a time: write 2026-01-31T17:00:00Z\n`millrace log export --help` tells more"},
        {"LimitThatIsNone",
         {"log", "export", "--limit", "all"},
         "--limit: 'all' is not a number of records\n`millrace log export --help` tells more"},
        {"DurationEmpty",
         {"health", "--timeout", ""},
         "--timeout is empty: it takes a value\n`millrace health --help` tells more"},
    }),
    [](const auto& wrong) { return wrong.param.name; });

}  // namespace
}  // namespace millrace::cli
