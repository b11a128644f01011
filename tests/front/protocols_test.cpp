#include "front/protocols.hpp"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "services/fields.hpp"

namespace millrace::front {
namespace {

using nlohmann::json;
using services::field;
using services::fields;
using services::of;

struct Inner {
  std::string name;
  std::optional<double> value;
};
constexpr auto kInner = fields(field<&Inner::name>("Name"), field<&Inner::value>("Value"));
struct Input {
  std::string text;
  std::optional<std::int32_t> number;
  std::optional<bool> flag;
  std::optional<TimePoint> at;
  std::optional<std::vector<Inner>> list;
  std::optional<std::vector<double>> reals;
  std::optional<Inner> one;
};
constexpr auto kInput = fields(
    field<&Input::text>("Text"), field<&Input::number>("Number"), field<&Input::flag>("Flag"), field<&Input::at>("At"),
    field<&Input::list>("List", of(kInner)), field<&Input::reals>("Reals"), field<&Input::one>("One", of(kInner)));

json of_form(std::string_view form) { return json::parse(json_of_form(form, kInput)); }

TEST(QueryProtocol, GivesMembersTheirTypes) {
  EXPECT_EQ(
      of_form("Action=Do&Text=a%20b%2Bc+d&Number=7&Flag=true&At=1970-01-02T00:00:01.5Z&One.Name=n&One.Value=-2e3"),
      json::parse(R"({"Text":"a b+c d","Number":7,"Flag":true,"At":86401.5,"One":{"Name":"n","Value":-2000}})"));
  EXPECT_EQ(of_form("At=1970-01-01T01:00:00%2B01:00")["At"], 0);
  EXPECT_EQ(of_form("At=1970-01-01T00:00:00-0130")["At"], 5400);
  EXPECT_EQ(of_form("Text=%22%5C%0A"), json({{"Text", "\"\\\n"}}));
}

TEST(QueryProtocol, GivesListsInTheOrderOfTheirNumbers) {
  EXPECT_EQ(of_form("List.member.10.Name=c&List.member.2.Name=b&List.member.1.Name=a&List.member.2.Value=5"),
            json::parse(R"({"List":[{"Name":"a"},{"Name":"b","Value":5},{"Name":"c"}]})"));
  EXPECT_EQ(of_form("Reals.member.1=1&Reals.member.2=.5"), json::parse(R"({"Reals":[1,0.5]})"));
}

TEST(QueryProtocol, LeavesATextWhatIsOfAnotherType) {
  for (const auto& [member, text] :
       std::initializer_list<std::pair<const char*, const char*>>{{"Number", ""},
                                                                  {"Number", "x"},
                                                                  {"Number", "1x"},
                                                                  {"Flag", "TRUE"},
                                                                  {"At", "1970"},
                                                                  {"At", "1970-02-30T00:00:00Z"},
                                                                  {"At", "1970-01-01T00:00:00"},
                                                                  {"At", "1970-01-01T00:00:00ZZ"}})
    EXPECT_EQ(of_form(std::string(member) + "=" + text)[member], text) << member;
}

TEST(QueryProtocol, PassesOverWhatIsNoMember) {
  EXPECT_EQ(of_form(""), json::object());
  EXPECT_EQ(of_form("&&=&.=1&..=2&Other=1&List.member.0.Name=a&List.member.x.Name=b&List.member.99999999999.Name=c"),
            json::parse(R"({"List":[]})"));
  std::string deep = "Text";
  for (int i = 0; i < 100'000; ++i) deep += ".a";
  EXPECT_EQ(of_form(deep + "=1"), json({{"Text", ""}}));
  EXPECT_EQ(form_parameter("A=1&Action=D%6F&Action=No", "Action"), "Do");
  EXPECT_EQ(form_parameter("A=1&Action", "Action"), "");
  EXPECT_EQ(form_parameter("", "Action"), "");
}

TEST(QueryProtocol, AnswersInXml) {
  const services::Service service{"s", "T", {}, false, "1", "http://ns/"};
  EXPECT_EQ(
      query_reply(service, "Do", "", "id"),
      "<DoResponse xmlns=\"http://ns/\"><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DoResponse>");
  EXPECT_EQ(query_reply(service, "Do", R"({"A":"<&>","B":[1,{"C":true}]})", "id"),
            "<DoResponse "
            "xmlns=\"http://ns/\"><DoResult><A>&lt;&amp;&gt;</A><B><member>1</member><member><C>true</C></member></B>"
            "</DoResult><ResponseMetadata><RequestId>id</RequestId></ResponseMetadata></DoResponse>");
  EXPECT_EQ(query_error(service, {"ValidationException", 400, "a<b"}, "id"),
            "<ErrorResponse "
            "xmlns=\"http://ns/\"><Error><Type>Sender</Type><Code>ValidationError</Code><Message>a&lt;b</Message>"
            "</Error><RequestId>id</RequestId></ErrorResponse>");
  EXPECT_EQ(query_code("InvalidParameterValueException"), "InvalidParameterValue");
  EXPECT_EQ(query_code("InternalFailure"), "InternalFailure");
}

std::string cbor(const json& value) {
  std::string out;
  json::to_cbor(value, out);
  return out;
}

TEST(RpcCbor, ReadsItsPath) {
  const auto path = read_rpc_path("/service/Granite/operation/Put");
  ASSERT_TRUE(path);
  EXPECT_EQ(path->service, "Granite");
  EXPECT_EQ(path->operation, "Put");
  for (const char* other : {"/", "/service", "/service/", "/service/a", "/service/a/operation", "/service/a/operation/",
                            "/service/a/operation/b/c", "/services/a/operation/b", "/service/a/b/c"})
    EXPECT_FALSE(read_rpc_path(other)) << other;
}

TEST(RpcCbor, BecomesJsonAndComesBack) {
  const json value = json::parse(R"({"a":[1,-2,2.5,"x",true,null],"b":{"c":{}}})");
  EXPECT_EQ(json::parse(json_of_cbor(cbor(value)).value()), value);
  EXPECT_EQ(json::from_cbor(cbor_of_json(value.dump())), value);
  using namespace std::string_literals;
  EXPECT_EQ(json_of_cbor("\xA1\x61t\xC1\x1A\x00\x01\x51\x80"s), R"({"t":86400})") << "a time";
  EXPECT_EQ(json_of_cbor("\xA1\x61t\x42\x01\x02"s), R"({"t":"AQI="})") << "bytes";
  EXPECT_EQ(json_of_cbor("\xA1\x61t\x3B\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"s), R"({"t":-1.8446744073709552e+19})");
  EXPECT_EQ(json_of_cbor("\xA1\x61t\xF9\xFC\x00"s), R"({"t":-1e999})") << "an infinity";
  EXPECT_FALSE(json_of_cbor(std::string(1'000'000, '\xC1'))) << "tags without end";
  EXPECT_FALSE(json_of_cbor("\xA1\x61t"s + std::string(1'000'000, '\xC1')));
  EXPECT_EQ(json_of_cbor("\xBF\x61t\x9F\x01\xFF\xFF"s), R"({"t":[1]})") << "lengths that are not said";
}

TEST(RpcCbor, IsOneWellFormedMap) {
  using namespace std::string_literals;
  const std::string good = cbor(json::parse(R"({"a":[1,"xyz",2.5]})"));
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(json_of_cbor(good.substr(0, size))) << size;
  EXPECT_FALSE(json_of_cbor(good + "\x01")) << "more behind it";
  EXPECT_FALSE(json_of_cbor("\x81\x01"s)) << "an array";
  EXPECT_FALSE(json_of_cbor("\xA1\x01\x01"s)) << "a key that is no text";
  EXPECT_FALSE(json_of_cbor("\xA1\x61"s + "a\x62\xC3\x28"s)) << "no UTF-8";
  EXPECT_FALSE(json_of_cbor(std::string(1'000'000, '\x81'))) << "too deep";
}

}  // namespace
}  // namespace millrace::front
