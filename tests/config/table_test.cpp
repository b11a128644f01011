#include "config/table.hpp"

#include <gmock/gmock.h>

#include <algorithm>

#include "config/support.hpp"

namespace millrace::config {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;

class KeyMistakes : public ConfigFile, public testing::WithParamInterface<Mistake> {};

TEST_P(KeyMistakes, NameLineAndKey) { EXPECT_EQ(error_in_file(GetParam().text), GetParam().said); }

INSTANTIATE_TEST_SUITE_P(
    EachKind, KeyMistakes,
    testing::ValuesIn(std::vector<Mistake>{
        Mistake{"AddressWithoutPort", "listen:\n  aws: localhost\n",
                "2: listen.aws: 'localhost' is not an address: write localhost:4566, 0.0.0.0:4566 or [::1]:4566"},
        Mistake{"PortTooLarge", "listen:\n  aws: localhost:65536\n",
                "2: listen.aws: 'localhost:65536' is not an address: write localhost:4566, 0.0.0.0:4566 or [::1]:4566"},
        Mistake{
            "PortThatIsNoNumber", "listen:\n  gateway: localhost:http\n",
            "2: listen.gateway: 'localhost:http' is not an address: write localhost:4566, 0.0.0.0:4566 or [::1]:4566"},
        Mistake{"AddressWithoutAHost", "listen:\n  aws: ':4566'\n",
                "2: listen.aws: ':4566' is not an address: write localhost:4566, 0.0.0.0:4566 or [::1]:4566"},
        Mistake{"AddressOutOfRange", "listen:\n  aws: 127.0.0.256:1\n",
                "2: listen.aws: '127.0.0.256:1' is not an address: write localhost:4566, 0.0.0.0:4566 or [::1]:4566"},
        Mistake{"Ipv6WithoutBrackets", "listen:\n  aws: ::1:4566\n",
                "2: listen.aws: '::1:4566' is not an address: write localhost:4566, 0.0.0.0:4566 or [::1]:4566"},
        Mistake{
            "BracketsWithoutIpv6", "listen:\n  aws: '[localhost]:4566'\n",
            "2: listen.aws: '[localhost]:4566' is not an address: write localhost:4566, 0.0.0.0:4566 or [::1]:4566"},
        Mistake{"HostTooLong", "listen:\n  aws: " + repeated("a", 254) + ":1\n",
                "2: listen.aws: '" + repeated("a", 80) +
                    "...' is not an address: write localhost:4566, 0.0.0.0:4566 or [::1]:4566"},
        Mistake{"RegionInCapitals", "region: US-East-1\n",
                "1: region: 'US-East-1' is not a region name: write one like us-east-1"},
        Mistake{"RegionTooLong", "region: " + repeated("a", 65) + "\n",
                "1: region: '" + repeated("a", 65) + "' is not a region name: write one like us-east-1"},
        Mistake{"EmptyRegion", "region: ''\n", "1: region: '' is not a region name: write one like us-east-1"},
        Mistake{"AccountWithLetters", "account_id: 12345678901x\n",
                "1: account_id: '12345678901x' is not an account: write twelve digits"},
        Mistake{"AccountTooShort", "account_id: 1\n", "1: account_id: '1' is not an account: write twelve digits"},
        Mistake{"EmptyPath", "data_dir: ''\n", "1: data_dir: is empty: write a path"},
        Mistake{"PathTooLong", "data_dir: " + repeated("a/", 2048) + "\n",
                "1: data_dir: '" + repeated("a/", 40) + "...' is not a path: it is longer than 4095 bytes"},
        Mistake{"NameInAPathTooLong", "data_dir: " + repeated("a", 256) + "\n",
                "1: data_dir: '" + repeated("a", 80) + "...' is not a path: a name in it is longer than 255 bytes"},
        Mistake{"ChoiceThatIsNone", "auth:\n  mode: strict\n",
                "2: auth.mode: 'strict' is not known: use one of verify, presence, ignore"},
        Mistake{"ChoiceInCapitals", "log:\n  level: WARN\n",
                "2: log.level: 'WARN' is not known: use one of debug, info, warn, error"},
        Mistake{"StorageModeThatIsNone", "storage:\n  mode: disk\n",
                "2: storage.mode: 'disk' is not known: use one of memory, durable"},
        Mistake{"SyncThatIsNone", "storage:\n  mode: durable\n  sync: never\n",
                "3: storage.sync: 'never' is not known: use one of always, os"},
        Mistake{"OnDamageThatIsNone", "storage:\n  on_damage: ignore\n",
                "2: storage.on_damage: 'ignore' is not known: use one of refuse, serve"},
        Mistake{"FileSizeTooSmall", "storage:\n  file_size: 512KiB\n",
                "2: storage.file_size: '512KiB' is out of range: 1MiB to 1GiB"},
        Mistake{"FileSizeTooLarge", "storage:\n  file_size: 2GiB\n",
                "2: storage.file_size: '2GiB' is out of range: 1MiB to 1GiB"},
        Mistake{"DiskLimitTooSmall", "storage:\n  disk_limit: 1MiB\n",
                "2: storage.disk_limit: '1MiB' is out of range: 4MiB to 1024TiB"},
        Mistake{"NoNameOfAStream", "limits:\n  limited: [a, b*, 'c d']\n",
                "2: limits.limited[2]: 'c d' is no name of a stream: write names such as [orders, test-*]"},
        Mistake{"AStarInANamesMiddle", "limits:\n  limited: a*b\n",
                "2: limits.limited: 'a*b' is no name of a stream: write names such as [orders, test-*]"},
        Mistake{"LimitedStreamsWhereAllAre", "limits:\n  enforce: true\n  limited: [a]\n",
                "3: limits.limited: is only for limits.enforce false: set that, or leave this out"},
        Mistake{"ExemptStreamsWhereNoneIsLimited", "limits:\n  exempt: [a]\n",
                "2: limits.exempt: is only for limits.enforce true: set that, or leave this out"},
        Mistake{"NoShards", "limits:\n  shards: 0\n", "2: limits.shards: '0' is out of range: 1 to 1000000"},
        Mistake{"SizeWithTheWrongUnit", "storage:\n  memory_limit: 12GB\n",
                "2: storage.memory_limit: '12GB' is not a size: write 512MiB, 12GiB or a number of bytes"},
        Mistake{"SizeWithABlank", "storage:\n  memory_limit: 12 GiB\n",
                "2: storage.memory_limit: '12 GiB' is not a size: write 512MiB, 12GiB or a number of bytes"},
        Mistake{"SizeWithAFraction", "storage:\n  memory_limit: 1.5GiB\n",
                "2: storage.memory_limit: '1.5GiB' is not a size: write 512MiB, 12GiB or a number of bytes"},
        Mistake{"NegativeSize", "storage:\n  memory_limit: -1\n",
                "2: storage.memory_limit: '-1' is not a size: write 512MiB, 12GiB or a number of bytes"},
        Mistake{"SizeTooSmall", "storage:\n  memory_limit: 1KiB\n",
                "2: storage.memory_limit: '1KiB' is out of range: 16MiB to 1024TiB"},
        Mistake{"SizeTooLarge", "storage:\n  memory_limit: 2048TiB\n",
                "2: storage.memory_limit: '2048TiB' is out of range: 16MiB to 1024TiB"},
        Mistake{"SizeBeyondAnyType", "storage:\n  memory_limit: 99999999999999999999GiB\n",
                "2: storage.memory_limit: '99999999999999999999GiB' is out of range: 16MiB to 1024TiB"},
        Mistake{"DurationWithoutUnit", "shutdown:\n  deadline: 8\n",
                "2: shutdown.deadline: '8' is not a duration: write 250ms, 8s, 5m or 1h"},
        Mistake{"DurationInAnotherUnit", "shutdown:\n  deadline: 1d\n",
                "2: shutdown.deadline: '1d' is not a duration: write 250ms, 8s, 5m or 1h"},
        Mistake{"DurationTooLong", "shutdown:\n  deadline: 61m\n",
                "2: shutdown.deadline: '61m' is out of range: 0s to 1h"},
        Mistake{"DurationBeyondAnyType", "delays:\n  stream_create: 99999999999999999999s\n",
                "2: delays.stream_create: '99999999999999999999s' is out of range: 0s to 1h"},
        Mistake{"NumberThatIsNone", "threads: two\n", "1: threads: 'two' is not a whole number: write 0 to 1024"},
        Mistake{"NumberTooLarge", "threads: 5000\n", "1: threads: '5000' is out of range: 0 to 1024"},
        Mistake{"NumberBeyondAnyType", "threads: 99999999999999999999999\n",
                "1: threads: '99999999999999999999999' is out of range: 0 to 1024"},
        Mistake{"NegativeNumber", "threads: -1\n", "1: threads: '-1' is not a whole number: write 0 to 1024"},
        Mistake{"NumberWithAFraction", "threads: 1.5\n", "1: threads: '1.5' is not a whole number: write 0 to 1024"},
        Mistake{"BooleanThatIsNone", "admin:\n  reset: no\n",
                "2: admin.reset: 'no' is not true or false: write one of them"},
        Mistake{"BooleanInCapitals", "admin:\n  reset: True\n",
                "2: admin.reset: 'True' is not true or false: write one of them"},
        Mistake{"ValueMissing", "region:\n", "1: region: has no value: write a region name such as us-east-1"},
        Mistake{"ListForAValue", "region: [a]\n",
                "1: region: must be one value, not a list: write a region name such as us-east-1"},
        Mistake{"KeysForAValue", "threads: {a: 1}\n",
                "1: threads: must be one value, not keys: write a number, 0 to 1024"},
        Mistake{"ControlCharactersAreNotRepeated", "region: \"a\\n\\e[2J\"\n",
                "1: region: 'a??[2J' is not a region name: write one like us-east-1"},
        Mistake{"LongValuesAreCut", "region: " + repeated("ä", 50) + "\n",
                "1: region: 'ääääääääääääääääääääääääääääääääääääääää...' is not a region name: write one like "
                "us-east-1"}}),
    name_of);

/// What holds for every key, one added later too.
class EveryKey : public ConfigFile, public testing::WithParamInterface<std::size_t> {
 protected:
  const Key& key() const { return keys()[GetParam()]; }
  std::string section() const { return std::string(key().path.substr(0, key().path.rfind('.') + 1)); }
  std::string name() const { return std::string(key().path.substr(key().path.rfind('.') + 1)); }

  /// `name: value` in the key's section, which has one level at most.
  std::string yaml(const std::string& name, const std::string& value) const {
    if (section().empty()) return name + ": " + value + "\n";
    return section().substr(0, section().size() - 1) + ":\n  " + name + ": " + value + "\n";
  }
  int line() const { return section().empty() ? 1 : 2; }
  std::string in_file(const std::string& key_path) const {
    return "millrace.yaml:" + std::to_string(line()) + ": " + key_path + ": ";
  }

  /// Values of the right form that are out of its bounds, and values of no form it takes.
  std::vector<std::string> wrong_values() const {
    const std::string digits(30, '9'), text(300, 'x');
    std::vector<std::string> values{text, "\"", "a b", "-1", "{}"};
    const auto add = [&](std::initializer_list<const char*> more) {
      values.insert(values.end(), more.begin(), more.end());
    };
    const bool bounded_below = key().min > 0, bounded = key().max != std::numeric_limits<std::uint64_t>::max();
    switch (key().kind) {
      case Kind::address:
        add({"localhost", "localhost:", ":80", "localhost:65536", "1.2.3:80", "::1:80", "[1.2.3.4]:80"});
        break;
      case Kind::region:
        add({"US-EAST-1", "us_east_1"});
        break;
      case Kind::account:
        add({"1", "0000000000000", "00000000000x"});
        break;
      case Kind::path:
      case Kind::key_file:
        return {std::string(5000, 'x'), "a/" + text};
      case Kind::choice:
        for (std::string_view choice : key().choices) {
          std::string upper(choice);
          std::transform(upper.begin(), upper.end(), upper.begin(), ::toupper);
          values.push_back(upper);
        }
        break;
      case Kind::size:
        add({"12GB", "1.5GiB", "GiB"});
        values.push_back(digits + "GiB");
        if (bounded_below) values.push_back(std::to_string(key().min - 1));
        if (bounded) values.push_back(std::to_string(key().max + 1));
        break;
      case Kind::duration:
        add({"8", "1d", "1.5s"});
        values.push_back(digits + "s");
        if (bounded_below) values.push_back(std::to_string(key().min - 1) + "ms");
        if (bounded) values.push_back(std::to_string(key().max + 1) + "ms");
        break;
      case Kind::count:
        add({"two", "1.5", "0x1"});
        values.push_back(digits);
        if (bounded_below) values.push_back(std::to_string(key().min - 1));
        if (bounded) values.push_back(std::to_string(key().max + 1));
        break;
      case Kind::boolean:
        add({"yes", "True", "0"});
        break;
      case Kind::names:
        add({"a,", "a,,b", "a..b", "*", "*.", "a.*", "-a", "a-", "1.2.3", "a:80", "[::1]", "http://a"});
        break;
      case Kind::streams:
        return {text, "\"", "a b", "{}", "a,", "a,,b", "*a", "a**", "a:1"};
    }
    return values;
  }

  /// Whether `message` says what would be right.
  testing::Matcher<std::string> says_what_is_right() const {
    switch (key().kind) {
      case Kind::address:
        return HasSubstr("localhost:4566, 0.0.0.0:4566 or [::1]:4566");
      case Kind::region:
        return HasSubstr("us-east-1");
      case Kind::account:
        return HasSubstr("twelve digits");
      case Kind::path:
      case Kind::key_file:
        return AnyOf(HasSubstr("longer than 4095 bytes"), HasSubstr("longer than 255 bytes"),
                     HasSubstr("write a path"));
      case Kind::choice:
        return AnyOf(HasSubstr("one of " + joined(key().choices, "")), HasSubstr("; use " + default_text(key())));
      case Kind::size:
        return AnyOf(HasSubstr(bounds_text(key())), HasSubstr("512MiB, 12GiB or a number of bytes"));
      case Kind::duration:
        return AnyOf(HasSubstr(bounds_text(key())), HasSubstr("250ms, 8s, 5m or 1h"));
      case Kind::count:
        return HasSubstr(bounds_text(key()));
      case Kind::boolean:
        return AnyOf(HasSubstr("true or false"), HasSubstr("; use " + default_text(key())));
      case Kind::names:
        return HasSubstr("write names such as [data.example, 10.0.0.7]");
      case Kind::streams:
        return HasSubstr("write names such as [orders, test-*]");
    }
    return HasSubstr("a kind that this test does not know");
  }
  /// One line that begins with `place` and says what would be right.
  void expect_mistake(const std::string& told, const std::string& place, const std::string& what) const {
    EXPECT_EQ(told.substr(0, place.size()), place) << what;
    EXPECT_THAT(told, Not(HasSubstr("\n"))) << what;
    EXPECT_THAT(told, says_what_is_right()) << what;
  }
};

TEST_P(EveryKey, RefusesWrongValuesFromTheFile) {
  for (const std::string& value : wrong_values())
    expect_mistake(error(yaml(name(), "'" + value + "'")), in_file(std::string(key().path)), value);
  expect_mistake(error(yaml(name(), "''")), in_file(std::string(key().path)), "empty");
}

TEST_P(EveryKey, RefusesWrongValuesFromTheEnvironment) {
  const std::string variable = environment_name(key().path);
  for (const std::string& value : wrong_values())
    expect_mistake(error("", {{variable, value}}),
                   "environment: " + variable + " (" + std::string(key().path) + "): ", value);
}

TEST_P(EveryKey, RefusesWhatIsNoValue) {
  for (const char* value : {"", "~", "null", "[a]", "[]", "{a: b}", "{}"})
    if ((key().kind != Kind::names && key().kind != Kind::streams) ||
        value != std::string_view("[a]"))  // for these it is one
      expect_mistake(error(yaml(name(), value)), in_file(std::string(key().path)), value);
}

TEST_P(EveryKey, IsRefusedTwice) {
  std::string text = yaml(name(), default_text(key()));
  if (!key().fallback_text.empty()) text = yaml(name(), key().kind == Kind::boolean ? "true" : "1GiB");
  if (key().kind == Kind::names || key().kind == Kind::streams) text = yaml(name(), "a, 10.0.0.7");
  if (key().kind == Kind::count) text = yaml(name(), "7");
  if (key().path == "auth.mode") text = yaml(name(), std::string(key().choices.back()));
  if (key().path == "auth.credentials")
    text = yaml(name(), write("[a]\naws_access_key_id = a\naws_secret_access_key = b\n", "credentials"));
  if (key().kind == Kind::key_file) text = yaml(name(), write("1 " + std::string(43, 'A') + "=\n", "keys"));
  const std::string once = text.substr(text.find(section().empty() ? name() : "  " + name()));
  Environment with{{"MILLRACE_STORAGE_MODE", "durable"}};  // some keys are only for it
  if (key().path == "limits.exempt") with["MILLRACE_LIMITS_ENFORCE"] = "true";
  if (key().path == "tls.certificate" || key().path == "tls.key")
    for (const char* both : {"MILLRACE_TLS_CERTIFICATE", "MILLRACE_TLS_KEY"}) with[both] = write("", "file").string();
  EXPECT_EQ(error(text + once, with), "millrace.yaml:" + std::to_string(line() + 1) + ": " + std::string(key().path) +
                                          ": is given twice, first in line " + std::to_string(line()));
}

TEST_P(EveryKey, IsFoundWhenItIsMisspelt) {
  EXPECT_EQ(error(yaml(name() + "x", "1")),
            in_file(std::string(key().path) + "x") + "is not a known key; did you mean '" + name() + "'?");
  const std::string variable = environment_name(key().path);
  const auto warned = load(std::nullopt, {{variable + "X", "1"}});
  ASSERT_TRUE(warned);
  EXPECT_THAT(warned->warnings,
              testing::ElementsAre("environment: " + variable + "X is not a known name and is ignored; did you mean " +
                                   variable + "?"));
}

TEST_P(EveryKey, IsAmongThoseToldForAnotherInItsSection) {
  EXPECT_THAT(error(yaml("zzzzzzzz", "1")), HasSubstr("zzzzzzzz: is not a known key; known here: "));
  const std::string top = section().empty() ? name() : section().substr(0, section().size() - 1);
  EXPECT_THAT(error("zzzzzzzz: 1\n"), testing::ContainsRegex("[ ,]" + top + "(,|$)"));
  EXPECT_THAT(error(yaml("zzzzzzzz", "1")),
              testing::ContainsRegex("[ ,]" + (section().empty() ? top : name()) + "(,|$)"));
}

TEST_P(EveryKey, OfASectionIsNotTakenOutsideOfIt) {
  if (section().empty()) return;
  const std::string top = section().substr(0, section().size() - 1);
  EXPECT_THAT(error(std::string(key().path) + ": 1\n"),
              testing::EndsWith(": is not a known key here: write '" + name() + "' below '" + top + "'"));
  EXPECT_THAT(error(name() + ": 1\n"), AnyOf(HasSubstr("write '" + name() + "' below '"), HasSubstr("must hold")));
  for (const char* value : {"1", "[]"})
    EXPECT_THAT(error(top + ": " + value + "\n"),
                testing::StartsWith("millrace.yaml:1: " + top + ": must hold keys, not "));
}

INSTANTIATE_TEST_SUITE_P(OfTheTable, EveryKey, testing::Range(std::size_t{0}, keys().size()), [](const auto& index) {
  std::string name(keys()[index.param].path);
  std::replace(name.begin(), name.end(), '.', '_');
  return name;
});

}  // namespace
}  // namespace millrace::config
