#include "gateway/vtl/template.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "support/text.hpp"

namespace millrace::gateway::vtl {
namespace {

using test::repeated;

std::string evaluate(std::string source, std::string_view body = "{}", Overrides* overrides = nullptr,
                     RequestFacts facts = {}) {
  auto compiled = Template::compile(std::move(source));
  if (!compiled)
    return "COMPILE " + std::to_string(compiled.error().at.line) + ":" + std::to_string(compiled.error().at.column) +
           " " + compiled.error().what;
  Overrides unused;
  Buffer out;
  Outcome outcome = compiled->evaluate(facts, body, overrides ? *overrides : unused, out);
  if (outcome.code == Outcome::Code::bad_json) return "BAD_JSON " + outcome.detail;
  if (outcome.code == Outcome::Code::failed) return "FAILED " + outcome.detail;
  return std::string(out.view());
}

struct Case {
  const char* name;
  const char* source;
  const char* body;
  const char* wanted;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
std::string name_of(const testing::TestParamInfo<Case>& info) { return info.param.name; }

class Language : public testing::TestWithParam<Case> {};
TEST_P(Language, Gives) { EXPECT_EQ(evaluate(GetParam().source, GetParam().body), GetParam().wanted); }

INSTANTIATE_TEST_SUITE_P(Text, Language,
                         testing::Values(Case{"PlainText", "just text", "{}", "just text"},
                                         Case{"Nothing", "", "{}", ""}, Case{"OnlyBlanks", " \n\t ", "{}", ""},
                                         Case{"BlanksAroundAreDropped", "\n  {\"a\": 1}  \n\n", "{}", "{\"a\": 1}"},
                                         Case{"DollarAloneIsText", "costs $5 or $ or 5$", "{}", "costs $5 or $ or 5$"},
                                         Case{"HashAloneIsText", "#1 # #foo #-", "{}", "#1 # #foo #-"},
                                         Case{"LineComment", "a## comment $x #if\nb", "{}", "ab"},
                                         Case{"BlockComment", "a#* $x #if\n *#b", "{}", "ab"},
                                         Case{"Unparsed", "#[[$x #if(]]#", "{}", "$x #if("},
                                         Case{"EscapedReference", "#set($x = 1)\\$x \\\\$x \\\\\\$x", "{}",
                                              "$x \\1 \\$x"},
                                         Case{"EscapedReferenceInText", "a\\$input.body b", "{}", "a$input.body b"},
                                         Case{"EscapedDirective", "\\#end \\\\#if(true)a#end", "{}", "#end \\a"},
                                         Case{"BackslashElsewhereStays", "a\\b\\\"", "{}", "a\\b\\\""}),
                         name_of);

INSTANTIATE_TEST_SUITE_P(
    References, Language,
    testing::Values(Case{"Formal", "#set($x = 'v')${x}y", "{}", "vy"},
                    Case{"Quiet", "#set($x = 'v')$!x$!{x}$!y", "{}", "vv"},
                    Case{"UndefinedPrintsNothing", "[$foo][$foo.bar.stuff]", "{}", "[][]"},
                    Case{"HyphenBelongsToTheName", "#set($e = $input.path('$'))$e.partition-key",
                         R"({"partition-key":"k"})", "k"},
                    Case{"DotAfterAReferenceIsText", "#set($x = 1)$x. $x.", "{}", "1. 1."},
                    Case{"Index", "#set($l = ['a','b','c'])$l[0]$l[-1]$l[3]", "{}", "ac"},
                    Case{"MapIndex", "#set($m = {'k e y': 1})$m['k e y']$m[\"none\"]", "{}", "1"},
                    Case{"DeepProperty", "$input.path('$').a.b[1].c", R"({"a":{"b":[0,{"c":"x"}]}})", "x"},
                    Case{"PropertyOfNothing", "[$input.path('$.none').a.b]", "{}", "[]"},
                    Case{"StageVariablesAreEmpty", "[$stageVariables.x][${stageVariables['y']}]$stageVariables.size()",
                         "{}", "[][]0"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Input, Language,
    testing::Values(
        Case{"WholeIsCompact", "$input.json('$')", "{ \"b\" : 1.50,\n \"a\" : [ 1 , 2 ] }", R"({"b":1.50,"a":[1,2]})"},
        Case{"NumbersKeepTheirText", "$input.json('$')|$input.json('$.n')|$input.path('$.n')", R"({"n":1.0e+05})",
             R"({"n":1.0e+05}|1.0e+05|1.0e+05)"},
        Case{"LargeNumbersKeepTheirText", "$input.path('$.n')", R"({"n":123456789012345678901234567890})",
             "123456789012345678901234567890"},
        Case{"UnicodeEscapesComeOutAsUtf8", "$input.json('$')", "{\"a\":\"\\u00e4 \\ud83d\\ude00\"}",
             "{\"a\":\"ä 😀\"}"},
        Case{"QuotesAndControlsStayEscaped", "$input.json('$.a')", R"({"a":"\"\\\n\u0001"})", "\"\\\"\\\\\\n\\u0001\""},
        Case{"NonAsciiIsNotEscaped", "$input.json('$.ä')", "{\"ä\":\"ö\"}", "\"ö\""},
        Case{"EscapedMemberNames", "$input.path('$.ab')", R"({"\u0061b":"x"})", "x"},
        Case{"JsonOfAString", "$input.json('$.a')", R"({"a":"x"})", "\"x\""},
        Case{"JsonOfAnObject", "$input.json('$.a')", R"({"a":{ "z":1, "y":[true,null] }})",
             R"({"z":1,"y":[true,null]})"},
        Case{"JsonOfNothing", "$input.json('$.none')", "{}", "\"\""},
        Case{"PathOfNothing", "[$input.path('$.none')]", "{}", "[]"},
        Case{"PathOfNull", "[$input.path('$.a')]", R"({"a":null})", "[]"},
        Case{"BodyAsItCame", "$input.body", "{ not json", "{ not json"},
        Case{"EmptyBody", "$input.body $input.json('$') $input.path('$').size()", "", "{} {} 0"},
        Case{"PropertyOfTheBody", "[$input.body.x]", R"({"x":1})", "[]"},
        Case{"NotJson", "$input.json('$')", "{\"a\":", "BAD_JSON Unexpected end of input"},
        Case{"NotJsonByPath", "$input.path('$.a')", "hello", "BAD_JSON Unexpected character at byte 0"},
        Case{"JsonWithMoreBehind", "$input.json('$')", "{} x", "BAD_JSON Unexpected character at byte 3"},
        Case{"LoneSurrogate", "$input.json('$')", R"("\ud800")", "BAD_JSON Unexpected character at byte 1"},
        Case{"ScalarBody", "$input.json('$') $input.path('$')", "\"x\"", "\"x\" x"},
        Case{"MapPrints", "$input.path('$')", R"({"a":"b","c":{"d":[1,{"e":"f"}]},"n":null})",
             R"({a=b, c={d=[1,{"e":"f"}]}, n=null})"},
        Case{"ListPrintsAsJson", "$input.path('$')", R"([1, "a", {"b":"c"}, null, []])",
             R"([1,"a",{"b":"c"},null,[]])"},
        Case{"EmptyListPrints", "$input.path('$')", "[]", "[]"},
        Case{"TwiceTheSameMember", "$input.path('$.a')$input.path('$').size()", R"({"a":1,"b":2,"a":3})", "32"},
        Case{
            "ManyMembers", "$input.path('$').size() $input.path('$.m19') $input.path('$.m0')",
            R"({"m0":0,"m1":1,"m2":2,"m3":3,"m4":4,"m5":5,"m6":6,"m7":7,"m8":8,"m9":9,"m10":10,"m11":11,"m12":12,"m13":13,"m14":14,"m15":15,"m16":16,"m17":17,"m18":18,"m19":19,"m0":"again","m19":"too"})",
            "20 too again"},
        Case{"DynamicPath", "#set($i = 1)$input.path(\"$.r[${i}].v\")", R"({"r":[{"v":"a"},{"v":"b"}]})", "b"},
        Case{"DynamicPathRefused", "#set($p = '$..a')$input.path($p)", "{}",
             "FAILED a JSONPath that the template makes is not supported"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Directives, Language,
    testing::Values(
        Case{"If", "#if(true)a#end", "{}", "a"}, Case{"IfElse", "#if(false)a#{else}b#end", "{}", "b"},
        Case{"ElseDirectlyBeforeText", "#if(false)a#elseb#end", "{}", "b"},
        Case{"ElseIf", "#set($x = 2)#if($x == 1)a#elseif($x == 2)b#elseif($x == 3)c#{else}d#end", "{}", "b"},
        Case{"UndefinedIsFalse", "#if($x)a#{else}b#end", "{}", "b"},
        Case{"AnyTextIsTrue", "#if('')a#end#if(0)b#end", "{}", "ab"},
        Case{"UndefinedEqualsTheEmptyText",
             "#if($foo.bar.stuff == '')a#end#if($foo == $null)b#end#if($foo != 'x')c#end", "{}", "abc"},
        Case{"DirectivesTakeTheirLine", "#set($x = 1)\n#if($x == 1)\na\n#else\nb\n#end\nc", "{}", "a\nc"},
        Case{"Foreach", "#foreach($x in $input.path('$'))$x#if($foreach.hasNext),#end#end", "[1,2,3]", "1,2,3"},
        Case{"ForeachProperties",
             "#foreach($x in ['a','b'])$foreach.index$foreach.count$foreach.first$foreach.last$velocityCount #end",
             "{}", "01truefalse1 12falsetrue2 "},
        Case{"ForeachNested",
             "#foreach($x in [1..2])#foreach($y in [1..2])$x$y$foreach.hasNext #end$foreach.hasNext;#end", "{}",
             "11true 12false true;21true 22false false;"},
        Case{"ForeachOverAMap", "#foreach($v in $input.path('$'))$v;#end", R"({"a":1,"b":2})", "1;2;"},
        Case{"ForeachOverKeys", "#foreach($k in $input.path('$').keySet())$k=$input.path('$')[$k];#end",
             R"({"a":1,"b":2})", "a=1;b=2;"},
        Case{"ForeachOverEntries", "#foreach($e in $input.path('$').entrySet())$e.key=$e.getValue();#end", R"({"a":1})",
             "a=1;"},
        Case{"ForeachOverNothing", "[#foreach($x in $none)a#end]", "{}", "[]"},
        Case{"ForeachRestoresItsName", "#set($x = 'o')#foreach($x in [1])$x#end$x", "{}", "1o"},
        Case{"Break", "#foreach($x in [1..9])$x#if($x == 3)#break#end#end.", "{}", "123."},
        Case{"DownwardsRange", "#foreach($x in [3..1])$x#end", "{}", "321"},
        Case{"RangeByVariables", "#set($m = $input.path('$').size() - 1)#foreach($i in [0..$m])$i#end", "[7,8,9]",
             "012"},
        Case{"ThousandTimes", "#set($n = 0)#foreach($i in [1..1000])#set($n = $n + 1)#end$n", "{}", "1000"},
        Case{"MoreThanAThousandTimes", "#foreach($i in [1..1001])a#end", "{}",
             "FAILED #foreach over 1001 elements: at most 1000"},
        Case{"RangeTooLong", "#set($x = [0..2000000000])", "{}", "FAILED a range has too many elements"},
        Case{"SetMember", "#set($m = {})#set($m.a = 1)#set($m['b'] = $m.a + 1)$m", "{}", "{a=1, b=2}"},
        Case{"SetElement", "#set($l = [1,2])#set($l[0] = 'x')$l", "{}", "[x, 2]"},
        Case{"MapsAreShared", "#set($m = {})#set($n = $m)#set($n.a = 1)$m", "{}", "{a=1}"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Expressions, Language,
    testing::Values(
        Case{"Precedence", "#set($x = 1 + 2 * 3 - 4 / 2)$x", "{}", "5"},
        Case{"Parentheses", "#set($x = (1 + 2) * 3 % 5)$x", "{}", "4"},
        Case{"Negative", "#set($x = -3)#set($y = 2 - -1)$x $y", "{}", "-3 3"},
        Case{"WholeDivision", "#set($x = 7 / 2)$x", "{}", "3"},
        Case{"RealDivision", "#set($x = 7.0 / 2)$x", "{}", "3.5"},
        Case{"DivisionByZero", "#set($x = 1 / 0)#set($y = 1 % 0)[$x$y]", "{}", "[]"},
        Case{"LeastByMinusOne", "#set($x = (0 - 9223372036854775807 - 1) % -1)$x", "{}", "0"},
        Case{"OverflowBecomesReal", "#set($x = 9223372036854775807 + 1)$x", "{}", "9223372036854775808.0"},
        Case{"SentNumbersCount", "#set($x = $input.path('$.n') + 1)$x", R"({"n":41})", "42"},
        Case{"Concatenation", "#set($x = 'a' + 1 + 'b')$x", "{}", "a1b"},
        Case{"Comparison", "#if(1 < 2 && 2 <= 2 && 3 > 2 && 3 >= 3 && !(1 > 2))a#end", "{}", "a"},
        Case{"Words", "#if(1 lt 2 and not false and (1 eq 1 or 1 ne 1) and 1 le 1 and 2 gt 1 and 2 ge 2)a#end", "{}",
             "a"},
        Case{"OrderOfTextsIsFalse", "#if('a' < 'b')a#{else}b#end", "{}", "b"},
        Case{"EqualityByValue", "#if($input.path('$.n') == 1.0 && $input.path('$.s') == 1)a#end", R"({"n":1,"s":"1"})",
             "a"},
        Case{"EqualityOfLists", "#if($input.path('$.a') == $input.path('$.b'))a#end",
             R"({"a":[1,{"x":2}],"b":[1,{"x":2}]})", "a"},
        Case{"AndStopsEarly", "#if(false && $input.path('$.a'))a#{else}b#end", "not json", "b"},
        Case{"Interpolation", "#set($n = 'W')#set($x = \"Hi $n ${n}x $none #if(true)y#end\")$x", "{}", "Hi W Wx  y"},
        Case{"NoInterpolationInSingleQuotes", "#set($x = 'a $b')$x", "{}", "a $b"},
        Case{"DoubledQuotes", "#set($x = 'it''s')#set($y = \"a \"\"b\"\"\")$x $y", "{}", "it's a \"b\""},
        Case{"DoubledQuotesWithReference", "#set($v = 1)#set($y = \"{\"\"a\"\":$v}\")$y", "{}", "{\"a\":1}"},
        Case{"EmptyQuotes", "[#set($x = '')$x]", "{}", "[]"},
        Case{"ListPrints", "#set($l = [1, 'a', [2], {'k': 'v'}])$l", "{}", "[1, a, [2], {k=v}]"},
        Case{"MapKeysByReference", "#set($k = 'x')#set($m = {$k: 1, \"y$k\": 2})$m", "{}", "{x=1, yx=2}"},
        Case{"TrueFalseNull", "#set($a = true)#set($b = null)$a{$b}", "{}", "true{}"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Methods, Language,
    testing::Values(
        Case{"Sizes", "$input.path('$.l').size() $input.path('$.m').size() $input.path('$.s').length()",
             R"({"l":[1,2],"m":{"a":1},"s":"abc"})", "2 1 3"},
        Case{"LengthCountsUtf16", "$input.path('$').length()", "\"aä😀\"", "4"},
        Case{"Substring", "#set($s = 'abcdef')$s.substring(2)|$s.substring(1,3)|$s.substring(6)|[$s.substring(4,9)]",
             "{}", "cdef|bc||[]"},
        Case{"SubstringOfUtf8", "$input.path('$').substring(1,4)", "\"aä😀z\"", "ä😀"},
        Case{"IsEmpty", "#set($s = '')$s.isEmpty() $input.path('$').isEmpty()", "[1]", "true false"},
        Case{"Contains",
             "$input.path('$.s').contains('b') $input.path('$.l').contains(2) $input.path('$.l').contains(3) "
             "$input.path('$').containsKey('l')",
             R"({"s":"abc","l":[1,2]})", "true true false true"},
        Case{"Replace", "#set($s = 'a.b.c')$s.replace('.','-') $s.replaceAll('\\.','')", "{}", "a-b-c abc"},
        Case{"TheDocumentedQuoteReplacement", "$util.escapeJavaScript($input.path('$')).replaceAll(\"\\\\'\",\"'\")",
             "\"it's\"", "it's"},
        Case{"Split", "#set($s = 'a,b,,')$s.split(',').size() $s.split(',')[1]", "{}", "2 b"},
        Case{"IndexOf", "#set($s = 'abcabc')$s.indexOf('c') $s.lastIndexOf('c') $s.indexOf('z')", "{}", "2 5 -1"},
        Case{"StartsAndEnds", "#set($s = 'abc')$s.startsWith('ab') $s.endsWith('ab')", "{}", "true false"},
        Case{"Trim", "#set($s = '  a ')[$s.trim()]", "{}", "[a]"},
        Case{"MapPutGetRemove",
             "#set($m = {})[$!m.put('a', 1)][$m.put('a', 2)]$m.get('a')$m.getOrDefault('b', 3)$m.remove('a');$m", "{}",
             "[][1]232;{}"},
        Case{"ListAddRemove",
             "#set($l = [])#set($ok = $l.add('x'))#set($ok = $l.addAll([1,2]))$l $l.remove(0) $l $l.get(1)", "{}",
             "[x, 1, 2] x [1, 2] 2"},
        Case{"AddAllOfItself", "#set($l = [1,2])#set($ok = $l.addAll($l))$l", "{}", "[1, 2, 1, 2]"},
        Case{"EqualsOfKinds", "#set($s = '1')$s.equals('1') $s.equals(1)", "{}", "true false"},
        Case{"ToString", "#set($n = 5)#set($s = $n.toString() + 1)$s", "{}", "51"},
        Case{"MethodOfNothing", "[$none.size()][$none.foo.trim()]", "{}", "[][]"},
        Case{"MethodOfTheWrongKind", "#set($n = 5)[$n.keySet()]", "{}", "[]"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Util, Language,
    testing::Values(
        Case{"Base64OfTheWholeBody", "$util.base64Encode($input.json('$'))", "{ \"a\": 1 }", "eyJhIjoxfQ=="},
        Case{"Base64OfTheRawBody", "$util.base64Encode($input.body)", "\xff\x01", "/wE="},
        Case{"Base64OfAMember", "$util.base64Encode($input.json('$.Data'))", R"({"Data":"x"})", "Ingi"},
        Case{"Base64OfAnObjectIsItsJson", "$util.base64Encode($input.path('$'))", R"({"a":1})", "eyJhIjoxfQ=="},
        Case{"Base64OfNothing", "[$util.base64Encode($none)]", "{}", "[]"},
        Case{"Base64AsAValue", "#set($x = $util.base64Encode('abc'))$x.length() $x", "{}", "4 YWJj"},
        Case{"Base64Decode", "$util.base64Decode('YWJj')", "{}", "abc"},
        Case{"Base64DecodeOfNone", "$util.base64Decode('***')", "{}", "FAILED $util.base64Decode: not base64"},
        Case{"EscapeJavaScript", "$util.escapeJavaScript($input.path('$'))", "\"a'b\\\"c/\\\\\\n\\u0001ä😀\"",
             "a\\'b\\\"c\\/\\\\\\n\\u0001\\u00E4\\uD83D\\uDE00"},
        Case{"UrlEncode", "$util.urlEncode('a b&ä*~') $util.urlDecode('a+b%26%C3%A4')", "{}", "a+b%26%C3%A4*%7E a b&ä"},
        Case{"ParseJson", "$util.parseJson($input.path('$')).a", R"("{\"a\":7}")", "7"},
        Case{"ParseJsonOfNone", "$util.parseJson('{')", "{}", "FAILED $util.parseJson: not JSON at byte 1"}),
    name_of);

TEST(Template, ContextHasTheRequestsFacts) {
  RequestFacts facts;
  facts.account_id = "000000000000";
  facts.api_id = "abcdefghij";
  facts.domain_name = "api.example.com";
  facts.http_method = "POST";
  facts.path = "/PROD/v1";
  facts.request_id = "the-id";
  facts.resource_path = "/v1";
  facts.source_ip = "10.0.0.1";
  facts.stage = "PROD";
  facts.user_agent = "curl";
  facts.time = TimePoint{std::chrono::milliseconds{1'767'366'245'678}};
  EXPECT_EQ(evaluate("$context.accountId $context.apiId $context.domainName $context.domainPrefix $context.httpMethod "
                     "$context.path "
                     "$context.requestId $context.resourcePath $context.identity.sourceIp $context.stage "
                     "${context.identity.userAgent} "
                     "$context.requestTime $context.requestTimeEpoch",
                     "{}", nullptr, facts),
            "000000000000 abcdefghij api.example.com api POST /PROD/v1 the-id /v1 10.0.0.1 PROD curl "
            "02/Jan/2026:15:04:05 +0000 1767366245678");
  EXPECT_EQ(
      evaluate("[$context.authorizer.claims.sub][$context.nothing][$context.requestId.length()][$context['stage']]",
               "{}", nullptr, facts),
      "[][][6][PROD]");
}

TEST(Template, ParametersAreFoundInPathThenQueryThenHeaders) {
  const std::vector<RequestFacts::PathParameter> path{{"id", "from path"}};
  http::Headers headers;
  headers.add("id", "from header");
  headers.add("q", "from header");
  headers.add("Shard-Iterator", "AAA");
  RequestFacts facts;
  facts.path_parameters = path;
  facts.query = "id=from+query&q=from%20query&q=last&empty=&flag";
  facts.headers = &headers;
  EXPECT_EQ(evaluate("$input.params('id')|$input.params('q')|$input.params('shard-iterator')|$input.params('none')|$"
                     "input.params('flag')|",
                     "{}", nullptr, facts),
            "from path|last|AAA|||");
  EXPECT_EQ(evaluate("$input.params().path.id|$input.params().querystring|$input.params().header.get('Shard-Iterator')",
                     "{}", nullptr, facts),
            "from path|{id=from query, q=last, empty=, flag=}|AAA");
}

TEST(Template, OverridesAreTakenFromTheTemplate) {
  Overrides overrides;
  EXPECT_EQ(
      evaluate(
          "#set($context.responseOverride.status = 429)#set($context.responseOverride.header.X-A = $input.path('$.v'))"
          "#set($context.responseOverride.header['x-a'] = \"$input.path('$.v')!\")$context.responseOverride.status "
          "$context.responseOverride.header.X-A",
          R"({"v":"a\r\nSet-Cookie: b"})", &overrides),
      "429 a  Set-Cookie: b!");
  EXPECT_EQ(overrides.status, 429);
  ASSERT_EQ(overrides.headers.size(), 1u);
  EXPECT_EQ(overrides.headers[0].second, "a  Set-Cookie: b!");
}

TEST(Template, AStatusThatIsNoneIsIgnored) {
  for (const char* status : {"'abc'", "99", "600", "'200x'", "1.5", "$none", "100"}) {
    Overrides overrides;
    EXPECT_EQ(evaluate(std::string("#set($context.responseOverride.status = ") + status + ")", "{}", &overrides), "")
        << status;
    EXPECT_EQ(overrides.status, 0) << status;
  }
}

TEST(Template, SourceLargerThanTheLimitIsRefused) {
  EXPECT_EQ(evaluate(std::string(Template::kSourceBytesMax, 'a')).size(), Template::kSourceBytesMax);
  EXPECT_EQ(evaluate(std::string(Template::kSourceBytesMax + 1, 'a')),
            "COMPILE 1:1 the template is larger than 300 KB");
}

TEST(Template, WorkAndOutputAreBounded) {
  const std::string thousands =
      "#foreach($a in [1..1000])#foreach($b in [1..1000])#foreach($c in [1..1000])#set($x = 1)#end#end#end";
  EXPECT_EQ(evaluate(thousands), "FAILED the template takes too much work");
  const std::string doubling = "#set($s = 'aaaaaaaa')#foreach($i in [1..40])#set($s = $s + $s)#end$s";
  EXPECT_EQ(evaluate(doubling).substr(0, 6), "FAILED");
  const std::string long_output = "#set($s = '" + std::string(20000, 'x') + "')#foreach($i in [1..1000])$s#end";
  EXPECT_EQ(evaluate(long_output), "FAILED the template's output is too large");
  // A value that holds itself twice over would print for ever.
  const std::string shared = "#set($m = 'x')#foreach($i in [1..60])#set($m = {'a': $m, 'b': $m})#end$m";
  EXPECT_EQ(evaluate(shared), "FAILED the template takes too much work");
  EXPECT_EQ(evaluate("#set($m = {})#set($m.self = $m)$m"), "FAILED a value nests too deeply to be printed");
}

TEST(Template, MembersOfAHugeObjectAreNotSearchedForEver) {
  std::string body = "{";
  for (int i = 0; i < 200000; ++i) body += "\"m" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  body += "\"last\":1}";
  EXPECT_EQ(evaluate("$input.path('$.last')", body), "1");
  EXPECT_EQ(evaluate("#foreach($i in [1..1000])$input.path('$.none')#end", body),
            "FAILED the template takes too much work");
}

TEST(Template, NestingIsRefusedBeforeItHurts) {
  EXPECT_NE(evaluate("#set($x = " + repeated("(", 50) + "1" + repeated(")", 50) + ")$x"), "");
  EXPECT_NE(evaluate("#set($x = " + repeated("(", 100000) + "1").find("nested too deeply"), std::string::npos);
  EXPECT_NE(evaluate("#set($x = " + repeated("!", 100000) + "1").find("nested too deeply"), std::string::npos);
  EXPECT_NE(evaluate("#set($x = 1" + repeated("+1", 100000) + ")").find("too long"), std::string::npos);
  EXPECT_NE(evaluate("$x" + repeated(".a", 100000)).find("too long"), std::string::npos);
  EXPECT_NE(evaluate(repeated("#if(true)", 20000)).find("nested too deeply"), std::string::npos);
  EXPECT_EQ(evaluate("$input.path('$')", repeated("[", 100000)).substr(0, 8), "BAD_JSON");
}

// Templates and bodies with bytes changed at random: each compiles or says where not, and each evaluation ends.
TEST(Template, MutilatedTemplatesAndBodiesEndInAnAnswer) {
  const std::string source =
      "#set($m = {'a': [1..3], \"b\": \"x $context.requestId\"})#foreach($e in "
      "$input.path('$.records'))#if($foreach.hasNext && $e.n > "
      "2)$util.base64Encode($e.data)#elseif($e['k'].size() == 0)${m.a[0]}#{else}\\$x$!m.put('c', -1 * 2)#end#end## "
      "end\n"
      "#set($context.responseOverride.status = 429)$input.json('$.records[0].data')$util.escapeJavaScript($m)";
  const std::string body = R"({"records":[{"n":3,"data":"\u00e4","k":{}},{"n":1.5e3,"data":[null,true],"k":"ö"}]})";
  static constexpr char kBytes[] = "$#{}()[]\"'\\.,!|&=<>*/%-+ \n0aelsifn\0\xff";
  std::uint64_t state = 12345;
  const auto next = [&](std::size_t bound) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<std::size_t>(state >> 33) % bound;
  };
  const auto mutilate = [&](std::string text) {
    for (std::size_t i = next(4); i-- > 0;) {
      const std::size_t at = next(text.size());
      switch (next(3)) {
        case 0:
          text[at] = kBytes[next(sizeof kBytes - 1)];
          break;
        case 1:
          text.erase(at, next(8));
          break;
        default:
          text.insert(at, 1, kBytes[next(sizeof kBytes - 1)]);
      }
    }
    return text;
  };
  int compiled = 0, done = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::string text = mutilate(source);
    auto result = Template::compile(text);
    if (!result) {
      EXPECT_FALSE(result.error().what.empty());
      EXPECT_LE(result.error().at.line, static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n') + 1))
          << text;
      EXPECT_LE(result.error().at.column, text.size() + 1) << text;
      continue;
    }
    ++compiled;
    Overrides overrides;
    Buffer out;
    done += result->evaluate({}, mutilate(body), overrides, out).code == Outcome::Code::done;
  }
  EXPECT_GT(compiled, 500);
  EXPECT_GT(done, 200);
}

TEST(Template, ScratchMemoryIsCleanAfterAFailure) {
  EXPECT_EQ(evaluate("$input.path('$.a')", "{").substr(0, 8), "BAD_JSON");
  EXPECT_EQ(evaluate("$input.path('$.a')", R"({"a":"b"})"), "b");
}

}  // namespace
}  // namespace millrace::gateway::vtl
