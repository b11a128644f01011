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

TEST(Arguments, HelpEndsWellAndNamesTheCommands) {
  for (const char* word : {"help", "--help"}) {
    Ended help = ended({word});
    EXPECT_EQ(help.exit_code, 0);
    for (const char* command : {"serve", "check", "version", "health"}) EXPECT_THAT(help.text, HasSubstr(command));
  }
}

TEST(Arguments, WrongOnesEndWithTwoAndAReason) {
  EXPECT_EQ(ended({}).exit_code, 2);
  Ended unknown = ended({"serve", "--confg", "x"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.text, HasSubstr("--confg"));
  EXPECT_EQ(ended({"fly"}).exit_code, 2);
  Ended timeout = ended({"health", "--timeout", "soon"});
  EXPECT_EQ(timeout.exit_code, 2);
  EXPECT_THAT(timeout.text, HasSubstr("'soon' is not a duration"));
}

}  // namespace
}  // namespace millrace::cli
