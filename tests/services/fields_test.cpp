#include "services/fields.hpp"

#include <gtest/gtest.h>

#include "millrace/codec/json_reader.hpp"
#include "services/dispatch.hpp"
#include "services/kinesis/common.hpp"

namespace millrace::services {
namespace {

constexpr std::string_view kColours[] = {"RED", "GREEN"};
bool only_letters(std::string_view text) noexcept {
  for (char c : text)
    if (c < 'a' || c > 'z') return false;
  return !text.empty();
}
constexpr Pattern kLetters{"[a-z]+", only_letters};

struct Inner {
  std::string name;
  std::optional<std::int32_t> size;
};
constexpr auto kInner =
    fields(field<&Inner::name>("Name", length(2, 4)), field<&Inner::size>("Size", within(1, 9)), refused("Later"));

struct All {
  std::optional<std::string> text, colour, secret;
  std::optional<std::int32_t> integer;
  std::optional<std::int64_t> wide;
  std::optional<bool> flag;
  std::optional<TimePoint> when;
  std::optional<Blob> blob;
  std::optional<std::vector<std::string>> list;
  std::optional<std::vector<Inner>> inners;
  std::optional<std::map<std::string, std::string>> map;
  std::optional<Inner> inner;
  std::optional<JsonText> any;
};
constexpr auto kAll =
    fields(field<&All::text>("Text", length(1, 3), pattern(kLetters)), field<&All::colour>("Colour", one_of(kColours)),
           field<&All::secret>("Secret", length(1, 3), sensitive), field<&All::integer>("Integer", within(1, 100)),
           field<&All::wide>("Wide"), field<&All::flag>("Flag"), field<&All::when>("When"),
           field<&All::blob>("Blob", length(0, 4)), field<&All::list>("List", length(1, 3), items(length(1, 3))),
           field<&All::inners>("Inners", length(1, 2), of(kInner, "com.example.Inner")),
           field<&All::map>("Map", length(1, 2), keys(length(1, 2)), items(length(0, 3))),
           field<&All::inner>("Inner", of(kInner)), field<&All::any>("Any"), refused("New", "New is not served."));

std::optional<ServiceError> refusal(std::string_view body, Dialect dialect = {}) {
  All all;
  return decode(body, kAll, &all, dialect);
}
All decoded(std::string_view body) {
  All all;
  const auto error = decode(body, kAll, &all);
  EXPECT_FALSE(error) << error->message;
  return all;
}

struct Refused {
  const char* name;
  const char* body;
  const char* type;
  const char* message;
};
void PrintTo(const Refused& r, std::ostream* out) { *out << r.name; }
class Rejection : public ::testing::TestWithParam<Refused> {};
TEST_P(Rejection, HasAwsWords) {
  const auto error = refusal(GetParam().body);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->type, GetParam().type);
  EXPECT_EQ(error->message, GetParam().message);
  EXPECT_EQ(error->status, 400);
}

#define NUMBER "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
#define SERIALIZATION "SerializationException"
#define VALIDATION "ValidationException"
constexpr Refused kRefused[] = {
    {"NotJson", R"({"Text":)", SERIALIZATION, ""},
    {"TextBehind", R"({} x)", SERIALIZATION, ""},
    {"Array", R"([])", SERIALIZATION, ""},
    {"Null", R"(null)", SERIALIZATION, ""},
    {"Blank", R"( )", SERIALIZATION, ""},
    {"LoneSurrogate", R"({"Text":"\ud800"})", SERIALIZATION, ""},
    {"LoneSurrogateInIgnoredMember", R"({"Other":"\udc00"})", SERIALIZATION, ""},
    {"BadUtf8", "{\"Text\":\"\xc3\x28\"}", SERIALIZATION, ""},
    {"ControlCharacter", "{\"Text\":\"a\nb\"}", SERIALIZATION, ""},
    {"StringIsBool", R"({"Text":true})", SERIALIZATION, "class java.lang.Boolean can not be converted to an String"},
    {"StringIsNumber", R"({"Text":1})", SERIALIZATION, NUMBER " can not be converted to an String"},
    {"StringIsList", R"({"Text":["a"]})", SERIALIZATION, "Start of list found where not expected"},
    {"StringIsMap", R"({"Text":{}})", SERIALIZATION, "Start of structure or map found where not expected."},
    {"IntegerIsString", R"({"Integer":"1"})", SERIALIZATION,
     "class java.lang.String can not be converted to an Integer"},
    {"IntegerIsBool", R"({"Integer":false})", SERIALIZATION,
     "class java.lang.Boolean can not be converted to an Integer"},
    {"LongIsString", R"({"Wide":"1"})", SERIALIZATION, "class java.lang.String can not be converted to an Long"},
    {"BooleanIsNumber", R"({"Flag":1})", SERIALIZATION, NUMBER " can not be converted to an Boolean"},
    {"BooleanIsString", R"({"Flag":"maybe"})", SERIALIZATION, "'MAYBE' can not be converted to an Boolean"},
    {"TimestampIsString", R"({"When":"now"})", SERIALIZATION,
     "class java.lang.String can not be converted to milliseconds since epoch"},
    {"TimestampIsBool", R"({"When":true})", SERIALIZATION,
     "class java.lang.Boolean can not be converted to milliseconds since epoch"},
    {"BlobIsNumber", R"({"Blob":1})", SERIALIZATION, NUMBER " can not be converted to a Blob"},
    {"BlobIsBool", R"({"Blob":true})", SERIALIZATION, "class java.lang.Boolean can not be converted to a Blob"},
    {"BlobLength", R"({"Blob":"abcde"})", SERIALIZATION,
     "'abcde' can not be converted to a Blob: Base64 encoded length is expected a multiple of 4 bytes but found: 5"},
    {"BlobCharacter", R"({"Blob":"ab*d"})", SERIALIZATION,
     "'ab*d' can not be converted to a Blob: Invalid Base64 character: '*'"},
    {"BlobLastCharacter", R"({"Blob":"abb="})", SERIALIZATION,
     "'abb=' can not be converted to a Blob: Invalid last non-pad Base64 character dectected"},
    {"ListIsString", R"({"List":"a"})", SERIALIZATION, "Expected list or null"},
    {"ListIsMap", R"({"List":{}})", SERIALIZATION, "Start of structure or map found where not expected."},
    {"ItemIsNumber", R"({"List":["a",1]})", SERIALIZATION, NUMBER " can not be converted to an String"},
    {"MapIsString", R"({"Map":"a"})", SERIALIZATION, "Expected map or null"},
    {"MapIsList", R"({"Map":[]})", SERIALIZATION, "Start of list found where not expected"},
    {"MapValueIsBool", R"({"Map":{"a":true}})", SERIALIZATION,
     "class java.lang.Boolean can not be converted to an String"},
    {"StructureIsString", R"({"Inner":"a"})", SERIALIZATION, "Expected null"},
    {"StructureIsNumber", R"({"Inner":1})", SERIALIZATION, "Expected null"},
    {"StructureIsList", R"({"Inner":[]})", SERIALIZATION, "Start of list found where not expected"},
    {"MemberOfListedStructure", R"({"Inners":[{"Name":"ab"},{"Name":1}]})", SERIALIZATION,
     NUMBER " can not be converted to an String"},
    {"TypeErrorBeforeViolations", R"({"Integer":0,"Map":1})", SERIALIZATION, "Expected map or null"},
    {"LengthAndPattern", R"({"Text":"ABCD"})", VALIDATION,
     "2 validation errors detected: Value 'ABCD' at 'text' failed to satisfy constraint: Member must satisfy regular "
     "expression pattern: [a-z]+; "
     "Value 'ABCD' at 'text' failed to satisfy constraint: Member must have length less than or equal to 3"},
    {"Enum", R"({"Colour":"BLUE"})", VALIDATION,
     "1 validation error detected: Value 'BLUE' at 'colour' failed to satisfy constraint: Member must satisfy enum "
     "value set: [RED, GREEN]"},
    {"Sensitive", R"({"Secret":"abcd"})", VALIDATION,
     "1 validation error detected: Value at 'secret' failed to satisfy constraint: Member must have length less than "
     "or equal to 3"},
    {"TooSmall", R"({"Integer":0})", VALIDATION,
     "1 validation error detected: Value '0' at 'integer' failed to satisfy constraint: Member must have value greater "
     "than or equal to 1"},
    {"ClampedTooLarge", R"({"Integer":99999999999999999999})", VALIDATION,
     "1 validation error detected: Value '2147483647' at 'integer' failed to satisfy constraint: Member must have "
     "value less than or equal to 100"},
    {"BlobTooLong", R"({"Blob":"aGVsbG8="})", VALIDATION,
     "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=5 cap=5]' at 'blob' failed to satisfy "
     "constraint: Member must have "
     "length less than or equal to 4"},
    {"ListTooShort", R"({"List":[]})", VALIDATION,
     "1 validation error detected: Value '[]' at 'list' failed to satisfy constraint: Member must have length greater "
     "than or equal to 1"},
    {"ListTooLong", R"({"List":["a","b","c","d"]})", VALIDATION,
     "1 validation error detected: Value '[a, b, c, d]' at 'list' failed to satisfy constraint: Member must have "
     "length less than or equal to 3"},
    {"ItemTooLong", R"({"List":["a","bcde"]})", VALIDATION,
     "1 validation error detected: Value '[a, bcde]' at 'list' failed to satisfy constraint: Member must satisfy "
     "constraint: [Member must have "
     "length less than or equal to 3, Member must have length greater than or equal to 1]"},
    {"ItemNull", R"({"List":["a",null]})", VALIDATION,
     "1 validation error detected: Value null at 'list.2.member' failed to satisfy constraint: Member must not be "
     "null"},
    {"MapKeys", R"({"Map":{"abc":"v"}})", VALIDATION,
     "1 validation error detected: Value '{abc=v}' at 'map' failed to satisfy constraint: Map keys must satisfy "
     "constraint: [Member must have "
     "length less than or equal to 2, Member must have length greater than or equal to 1]"},
    {"MapValues", R"({"Map":{"a":"long","b":""}})", VALIDATION,
     "1 validation error detected: Value '{a=long, b=}' at 'map' failed to satisfy constraint: Map value must satisfy "
     "constraint: [Member must "
     "have length less than or equal to 3, Member must have length greater than or equal to 0]"},
    {"InStructure", R"({"Inner":{"Size":10}})", VALIDATION,
     "2 validation errors detected: Value null at 'inner.name' failed to satisfy constraint: Member must not be null; "
     "Value '10' at 'inner.size' "
     "failed to satisfy constraint: Member must have value less than or equal to 9"},
    {"InListedStructure", R"({"Inners":[{"Name":"ab"},{"Name":"a"}]})", VALIDATION,
     "1 validation error detected: Value 'a' at 'inners.2.member.name' failed to satisfy constraint: Member must have "
     "length greater than or equal "
     "to 2"},
    {"OrderIsTheTables", R"({"Map":{},"Integer":0})", VALIDATION,
     "2 validation errors detected: Value '0' at 'integer' failed to satisfy constraint: Member must have value "
     "greater than or equal to 1; Value "
     "'{}' at 'map' failed to satisfy constraint: Member must have length greater than or equal to 1"},
    {"NotServedYet", R"({"New":1})", "InvalidArgumentException", "New is not served."},
    {"NotServedYetInside", R"({"Inner":{"Name":"ab","Later":{}}})", "InvalidArgumentException",
     "inner.later is not supported yet."},
    {"ViolationsBeforeNotServed", R"({"New":1,"Integer":0})", VALIDATION,
     "1 validation error detected: Value '0' at 'integer' failed to satisfy constraint: Member must have value greater "
     "than or equal to 1"},
    {"LastOfDuplicatesCounts", R"({"Integer":1,"Integer":0})", VALIDATION,
     "1 validation error detected: Value '0' at 'integer' failed to satisfy constraint: Member must have value greater "
     "than or equal to 1"},
};
INSTANTIATE_TEST_SUITE_P(Fields, Rejection, ::testing::ValuesIn(kRefused),
                         [](const auto& it) { return it.param.name; });

TEST(Fields, ListOfStructuresShowsClassesInPlaceOfValues) {
  const auto error = refusal(R"({"Inners":[{"Name":"ab"},{"Name":"cd"},{"Name":"ef"}]})");
  ASSERT_TRUE(error);
  const std::string_view start = "1 validation error detected: Value '[com.example.Inner@";
  EXPECT_EQ(error->message.substr(0, start.size()), start);
  EXPECT_NE(error->message.find(", com.example.Inner@"), std::string::npos);
  EXPECT_NE(error->message.find(
                "]' at 'inners' failed to satisfy constraint: Member must have length less than or equal to 2"),
            std::string::npos);
}

TEST(Fields, AtMostTenViolationsAreReported) {
  std::string body =
      R"({"Text":"","Colour":"","Secret":"","Integer":0,"List":[],"Map":{"":"abcd"},"Inners":[{},{}],"Inner":{"Name":"","Size":0}})";
  const auto error = refusal(body);
  ASSERT_TRUE(error);
  EXPECT_EQ(error->message.substr(0, 31), "10 validation errors detected: ");
  std::size_t items = 0;
  for (std::size_t at = 0; (at = error->message.find("failed to satisfy", at)) != std::string::npos; ++at) ++items;
  EXPECT_EQ(items, 10u);
}

TEST(Fields, NestingIsBounded) {
  for (const std::size_t depth : {std::size_t{129}, std::size_t{100'000}}) {
    const std::string deep = R"({"Other":)" + std::string(depth, '[') + std::string(depth, ']') + "}";
    const auto error = refusal(deep);
    ASSERT_TRUE(error);
    EXPECT_EQ(error->type, SERIALIZATION);
  }
  decoded(R"({"Other":)" + std::string(100, '[') + std::string(100, ']') + "}");
}

TEST(Fields, LongValuesAreCutInErrorsBetweenCodePoints) {
  std::string long_text = "a";
  while (long_text.size() < 200'000) long_text += "\xc3\xa9";
  const auto error = refusal(R"({"Text":")" + long_text + R"("})");
  ASSERT_TRUE(error);
  EXPECT_LT(error->message.size(), 300'000u);
  Buffer body;
  write_error_body(*error, body);
  EXPECT_TRUE(codec::valid_utf8(body.view()));
}

TEST(Fields, DialectWithoutEchoLeavesValuesOut) {
  const auto error = refusal(R"({"Integer":0})", {.echo_values = false});
  ASSERT_TRUE(error);
  EXPECT_EQ(error->message,
            "1 validation error detected: Value at 'integer' failed to satisfy constraint: Member must have value "
            "greater than or equal to 1");
}

TEST(Fields, PlainValuesAreDecoded) {
  const All all =
      decoded(R"( {"Text":"a\u0062c","Colour":"RED","Integer":42.9,"Wide":-9000000000,"Flag":true,"When":1767225600.123,
      "Blob":"aGk\/","List":["x","y"],"Inners":[{"Name":"ab","Size":1e0},{"Name":"\u00e9\u00e9"}],
      "Map":{"k":"v","l":"w","k":"z"},"Any":{"a": [1]}} )");
  EXPECT_EQ(all.text, "abc");
  EXPECT_EQ(all.colour, "RED");
  EXPECT_EQ(all.integer, 42);
  EXPECT_EQ(all.wide, -9000000000);
  EXPECT_EQ(all.flag, true);
  EXPECT_EQ(all.when->time_since_epoch().count(), 1767225600123);
  EXPECT_EQ(all.blob->bytes, "hi?");
  EXPECT_EQ(*all.list, (std::vector<std::string>{"x", "y"}));
  ASSERT_EQ(all.inners->size(), 2u);
  EXPECT_EQ((*all.inners)[0].size, 1);
  EXPECT_EQ((*all.inners)[1].name, "\xc3\xa9\xc3\xa9");
  EXPECT_EQ(*all.map, (std::map<std::string, std::string>{{"k", "z"}, {"l", "w"}}));
  EXPECT_EQ(all.any->text, R"({"a": [1]})");
  EXPECT_FALSE(all.secret);
}

TEST(Fields, NullIsAbsentAndUnknownMembersAreIgnored) {
  const All all = decoded(R"({"Text":null,"List":null,"Inner":null,"New":null,"Other":{"Text":"x"},"text":"y"})");
  EXPECT_FALSE(all.text || all.list || all.inner);
}

TEST(Fields, EscapedMemberNamesAreTheSameNames) { EXPECT_EQ(decoded(R"({"\u0054ext":"ab"})").text, "ab"); }

struct NumberCase {
  const char* text;
  std::int64_t wide;
};
TEST(Fields, LongsAreFlooredAndClamped) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  for (const NumberCase& c : {NumberCase{"0", 0},
                              {"-0", 0},
                              {"1.999", 1},
                              {"-1.5", -2},
                              {"1e3", 1000},
                              {"1E+2", 100},
                              {"5e-1", 0},
                              {"9223372036854775807", kMax},
                              {"9223372036854775808", kMax},
                              {"1e400", kMax},
                              {"-1e400", -kMax},
                              {"1e-400", 0},
                              {"-1e-400", -1}})
    EXPECT_EQ(decoded(std::string(R"({"Wide":)") + c.text + "}").wide, c.wide) << c.text;
}

TEST(Fields, TimestampsTakeEveryNumberForm) {
  auto ms = [](const char* text) {
    return decoded(std::string(R"({"When":)") + text + "}").when->time_since_epoch().count();
  };
  EXPECT_EQ(ms("1767225600"), 1767225600000);
  EXPECT_EQ(ms("1.7672256005E9"), 1767225600500);
  EXPECT_EQ(ms("1767225600.0004"), 1767225600000);
  EXPECT_EQ(ms("-1"), -1000);
  EXPECT_EQ(ms("1e300"), 253402300799999);
  EXPECT_EQ(ms("1e999"), 253402300799999);
}

TEST(Fields, EncodingLeavesOutWhatIsAbsent) {
  All all;
  all.text = "q\"\n\xc3\xa9";
  all.integer = -1;
  all.when = TimePoint{std::chrono::milliseconds{1767225600007}};
  all.blob = Blob{std::string("\0\xff", 2)};
  all.list.emplace();
  all.inners = std::vector<Inner>{{"ab", 1}, {"cd", std::nullopt}};
  all.map.emplace()["k"] = "v";
  all.any = JsonText{"[1,2]"};
  Buffer out;
  encode(kAll, &all, out);
  EXPECT_EQ(out.view(),
            "{\"Text\":\"q\\\"\\n\xc3\xa9\",\"Integer\":-1,\"When\":1767225600.007,\"Blob\":\"AP8=\",\"List\":[],"
            "\"Inners\":[{\"Name\":\"ab\",\"Size\":1},{\"Name\":\"cd\"}],\"Map\":{\"k\":\"v\"},\"Any\":[1,2]}");
  Buffer empty;
  encode(kAll, std::make_unique<All>().get(), empty);
  EXPECT_EQ(empty.view(), "{}");
}

TEST(ErrorBody, SpellsMessageAsTheTypeDoes) {
  auto body = [](ServiceError error) {
    Buffer out;
    write_error_body(error, out);
    return std::string(out.view());
  };
  EXPECT_EQ(body({"SerializationException", 400, "x"}), R"({"__type":"SerializationException","Message":"x"})");
  EXPECT_EQ(body({"SerializationException", 400, ""}), R"({"__type":"SerializationException"})");
  EXPECT_EQ(body({"ValidationException", 400, "a \"b\""}), R"({"__type":"ValidationException","message":"a \"b\""})");
  EXPECT_EQ(body({"InternalFailure", 500, ""}), R"({"__type":"InternalFailure"})");
}

TEST(Patterns, MatchAsAwsExpressionsDo) {
  using namespace kinesis;
  for (const char* good : {"a", "A.b-c_9", "..", "-"}) EXPECT_TRUE(matches_name(good)) << good;
  for (const char* bad : {"", "a b", "a/b", "\xc3\xa9", "a\n"}) EXPECT_FALSE(matches_name(bad)) << bad;
  for (const char* good : {"0", "1", "340282366920938463463374607431768211456"})
    EXPECT_TRUE(matches_hash_key(good)) << good;
  for (const char* bad : {"", "00", "01", "-1", "1.0", "1000000000000000000000000000000000000000", " 1"})
    EXPECT_FALSE(matches_hash_key(bad)) << bad;
  EXPECT_TRUE(matches_sequence_number(std::string(129, '9')));
  EXPECT_FALSE(matches_sequence_number(std::string(130, '9')));
  EXPECT_EQ(arn_resource_name("arn:aws:kinesis:us-east-1:123456789012:stream/a.b"), "a.b");
  EXPECT_EQ(arn_resource_name("arn:aws-cn:kinesis:cn-north-1:123456789012:stream/x"), "x");
  for (const char* bad :
       {"", "arn:aws:kinesis:us-east-1:12345678901:stream/a", "arn:aws:kinesis:us-east-1:123456789012:stream/",
        "arn:aws:firehose:us-east-1:123456789012:stream/a", "arn:aws:kinesis:us-east-1:123456789012:stream/a b",
        "arn:aws:kinesis:stream/a", "xarn:aws:kinesis:us-east-1:123456789012:stream/a"})
    EXPECT_FALSE(arn_resource_name(bad)) << bad;
  for (const char* id : {"shardId-000000000007", "x-7", "7", "a-00007"}) EXPECT_EQ(shard_index(id), 7u) << id;
  for (const char* id : {"", "-", "shardId-", "shardId-x", "a-1-2", "-1-", "2147483648", "1 "})
    EXPECT_FALSE(shard_index(id)) << id;
  EXPECT_EQ(shard_id(7), "shardId-000000000007");
  EXPECT_EQ(shard_id(0), "shardId-000000000000");
}

}  // namespace
}  // namespace millrace::services
