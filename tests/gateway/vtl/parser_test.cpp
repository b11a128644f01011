#include "gateway/vtl/parser.hpp"

#include <gtest/gtest.h>

#include "gateway/vtl/template.hpp"
#include "support/text.hpp"

namespace millrace::gateway::vtl {
namespace {

using test::repeated;

/// `line:column what`
std::string compile_error(std::string source) {
  auto compiled = Template::compile(std::move(source));
  if (compiled) return "compiled";
  const TemplateError& error = compiled.error();
  return std::to_string(error.at.line) + ":" + std::to_string(error.at.column) + " " + error.what;
}

/// Texts in double quotes, each inside of the one before, where quotes are doubled.
std::string nested_texts(int levels) {
  std::string text = "1";
  for (int i = 0; i < levels; ++i) {
    std::string doubled;
    for (char c : text) doubled += c == '"' ? "\"\"" : std::string(1, c);
    text = "\"$x.get(" + doubled + ")\"";
  }
  return text;
}

struct Mistake {
  std::string name, source, said;
};
void PrintTo(const Mistake& c, std::ostream* out) { *out << c.name; }

class Refused : public testing::TestWithParam<Mistake> {};
TEST_P(Refused, WithLineColumnAndReason) { EXPECT_EQ(compile_error(GetParam().source), GetParam().said); }

INSTANTIATE_TEST_SUITE_P(
    Templates, Refused,
    testing::ValuesIn(std::vector<Mistake>{
        Mistake{"UnknownDirective", "a\n#foo(1)", "2:1 #foo(...) is not a directive, and macros are not supported"},
        Mistake{"MisspeltDirective", "#forech($x in [1])#end",
                "1:1 #forech(...) is not a directive; did you mean #foreach?"},
        Mistake{"MisspeltElseIf", "#if(true)a#elsif(false)b#end",
                "1:11 #elsif(...) is not a directive; did you mean #elseif?"},
        Mistake{"OpenComment", "a #* b", "1:3 the comment #* is not closed by *#"},
        Mistake{"OpenUnparsed", "a\n #[[ b ]]", "2:2 #[[ is not closed by ]]#"},
        Mistake{"MacroWithABody", "a #@b()", "1:3 #@ calls a macro with a body: macros are not supported"},
        Mistake{"DollarWithoutAName", "#set($x = $1)", "1:11 `$` without a name"},
        Mistake{"OpenSingleQuote", "#set($x = 'abc)", "1:11 a quote is not closed"},
        Mistake{"OpenDoubleQuote", "{\n  \"a\": $util.urlEncode(\"b)\n}", "2:24 a quote is not closed"},
        Mistake{"UnexpectedCharacter", "#set($x = 1 ? 2)", "1:13 `?` is not expected here"},
        Mistake{"UnexpectedCharacterBeyondAscii", "#set($x = 1 – 2)", "1:13 `–` is not expected here"},
        Mistake{"UnexpectedControlCharacter",
                "#set($x = 1 \x01"
                ")",
                "1:13 `?` is not expected here"},
        Mistake{"OneAmpersand", "#if($a & $b)#end", "1:8 `&` is not expected here"},
        Mistake{"OneBar", "#if($a | $b)#end", "1:8 `|` is not expected here"},
        Mistake{"OnePoint", "#set($x = .5)", "1:11 `.` is not expected here"},
        Mistake{"EndAlone", "a#end", "1:2 #end without #if or #foreach"},
        Mistake{"ElseAlone", "a#else b", "1:2 #else without #if or #foreach"},
        Mistake{"ElseIfAlone", "a#elseif(true) b", "1:2 #elseif without #if or #foreach"},
        Mistake{"BlocksTooDeep", repeated("#if(true)", 101), "1:901 blocks are nested too deeply"},
        Mistake{"BreakOutside", "#break", "1:1 #break outside of #foreach"},
        Mistake{"Macro", "a\n  #macro(x)#end", "2:3 #macro is not supported"},
        Mistake{"Define", "#define($x)a#end", "1:1 #define is not supported"},
        Mistake{"Parse", "#parse('a')", "1:1 #parse is not supported"},
        Mistake{"Include", "#include('a')", "1:1 #include is not supported"},
        Mistake{"Evaluate", "#evaluate('a')", "1:1 #evaluate is not supported"},
        Mistake{"Stop", "#stop", "1:1 #stop is not supported"},
        Mistake{"SetWithoutParentheses", "#set $x = 1", "1:1 #set takes its argument in parentheses"},
        Mistake{"IfWithoutParentheses", "#if true", "1:1 #if takes its argument in parentheses"},
        Mistake{"ForeachWithoutParentheses", "#foreach $x in $y", "1:1 #foreach takes its argument in parentheses"},
        Mistake{"ElseIfWithoutParentheses", "#if(true)#elseif true#end",
                "1:10 #elseif takes its argument in parentheses"},
        Mistake{"OpenParenthesisOfSet", "#set($x = (1 + 2)", "1:18 `)` expected to close `#set(`"},
        Mistake{"OpenParenthesisOfIf", "#if($a == 1\nb\n#end", "2:1 `)` expected to close `#if(`"},
        Mistake{"IfWithoutEnd", "\n\na #if(true) b", "3:3 #if without #end"},
        Mistake{"OuterIfWithoutEnd", "#if(true)\n#if(false)\n#end\n", "1:1 #if without #end"},
        Mistake{"IfInAForeachWithoutEnd", "#foreach($x in [1])#if(true)#end", "1:1 #foreach without #end"},
        Mistake{"ElseTwice", "#if(true)#{else}#{else}#end", "1:17 #else after #else"},
        Mistake{"ElseIfAfterElse", "#if(true)#{else}#elseif(true)#end", "1:17 #elseif after #else"},
        Mistake{"ForeachWithoutEnd", "#foreach($x in [1])", "1:1 #foreach without #end"},
        Mistake{"ForeachWithoutIn", "#foreach($x of [1])#end", "1:13 `in` expected"},
        Mistake{"ForeachWithoutAName", "#foreach(x in [1])#end", "1:10 a reference such as $name is expected"},
        Mistake{"ForeachOfAMember", "#foreach($x.y in [1])#end",
                "1:10 #foreach takes a plain name: `#foreach($name in ...)`"},
        Mistake{"ForeachOfAReservedName", "#foreach($input in [1])#end", "1:10 $input cannot be set"},
        Mistake{"ElseInAForeach", "#foreach($x in [1])a#else b#end", "1:21 #else without #if"},
        Mistake{"SetWithoutAssignment", "#set($x 1)", "1:9 `=` expected"},
        Mistake{"SetByComparison", "#set($x == 1)", "1:9 `=` expected"},
        Mistake{"SetWithoutAName", "#set(x = 1)", "1:6 a reference such as $name is expected"},
        Mistake{"SetOfADollarOnly", "#set($ = 1)", "1:6 `$` without a name"},
        Mistake{"SetOfInput", "#set($input = 1)", "1:6 $input cannot be set"},
        Mistake{"SetOfAMemberOfUtil", "#set($util.a = 1)", "1:6 $util cannot be set"},
        Mistake{"SetOfAMethod", "#set($x.size() = 1)", "1:9 a method's result cannot be set"},
        Mistake{"SetOfRequestOverride", "#set($context.requestOverride.header.x = 1)",
                "1:6 $context.requestOverride is not supported"},
        Mistake{"RequestOverride", "$context.requestOverride.path.a", "1:1 $context.requestOverride is not supported"},
        Mistake{"SetOfContext", "#set($context.stage = 1)",
                "1:6 of $context only responseOverride.status and responseOverride.header.<name> can be set"},
        Mistake{"BadHeaderName", "#set($context.responseOverride.header['a b'] = 1)",
                "1:38 `a b` is not a header name"},
        Mistake{"OpenBrace", "${x", "1:4 `}` expected after ${x"},
        Mistake{"AlternateValue", "${x|'a'}", "1:4 `}` expected after ${x"},
        Mistake{"OpenIndex", "$x[1", "1:5 `]` expected"},
        Mistake{"IndexOfTwo", "$x[1, 2]", "1:5 `]` expected"},
        Mistake{"TooManyMembers", "$x" + repeated(".a", 501), "1:1 the expression is too long"},
        Mistake{"TooLongAReference", "$x" + repeated(".a", 500), "1:1 the expression is too long"},
        Mistake{"ArgumentsWithoutAComma", "$x.put('a' 1)", "1:12 `,` or `)` expected"},
        Mistake{"OpenArguments", "$x.put('a'", "1:11 `,` or `)` expected"},
        Mistake{"UnknownMethod", "$x.toLowerCase()", "1:4 the method toLowerCase() is not supported"},
        Mistake{"TooFewArguments", "$x.put('a')", "1:4 put() takes 2 arguments, not 1"},
        Mistake{"TooManyArguments", "$x.substring(1, 2, 3)", "1:4 substring() takes 1 or 2 arguments, not 3"},
        Mistake{"ArgumentsWhereNoneAre", "$x.size(1)", "1:4 size() takes no arguments, not 1"},
        Mistake{"RegularExpression", "$x.replaceAll('[a-z]','')",
                "1:4 replaceAll() is supported for a constant plain text only, not for regular expressions; special "
                "characters are written with a backslash before them"},
        Mistake{"SplitAtAVariable", "$x.split($y)",
                "1:4 split() is supported for a constant plain text only, not for regular expressions; special "
                "characters are written with a backslash before them"},
        Mistake{"GroupInAReplacement", "$x.replaceAll('a','$1')",
                "1:4 replaceAll() is supported for a constant plain text only, not for regular expressions; special "
                "characters are written with a backslash before them"},
        Mistake{"UtilWithoutAFunction", "$util", "1:1 $util is used as $util.function(...)"},
        Mistake{"UtilMember", "$util.base64Encode", "1:1 $util is used as $util.function(...)"},
        Mistake{"UnknownUtil", "$util.qr(1)", "1:7 $util.qr() is not supported"},
        Mistake{"UtilArguments", "$util.base64Encode()", "1:7 $util.base64Encode() takes 1 argument, not 0"},
        Mistake{"InputAlone", "$input", "1:1 $input is used as $input.json(...), .path(...), .params(...) or .body"},
        Mistake{"UnknownInput", "$input.header", "1:8 $input has json(...), path(...), params(...) and body"},
        Mistake{"InputJsonWithoutAPath", "$input.json()", "1:8 $input.json() takes 1 argument, not 0"},
        Mistake{"InputParamsOfTwo", "$input.params('a','b')", "1:8 $input.params() takes 0 or 1 argument, not 2"},
        Mistake{"TooManyInputArguments", "$input.json('$','$')", "1:8 $input.json() takes 1 argument, not 2"},
        Mistake{"ContextAlone", "$context", "1:1 $context is used as $context.name"},
        Mistake{"ContextByAVariable", "$context[$x]", "1:1 $context is used as $context.name"},
        Mistake{"ForeachOutside", "$foreach.index", "1:1 $foreach outside of #foreach"},
        Mistake{"UnknownForeachMember", "#foreach($x in [1])$foreach.last2#end",
                "1:20 of $foreach there are hasNext, index, count, first and last"},
        Mistake{"ForeachAlone", "#foreach($x in [1])$foreach#end",
                "1:20 of $foreach there are hasNext, index, count, first and last"},
        Mistake{"ForeachStop", "#foreach($x in [1])$foreach.stop()#end",
                "1:20 of $foreach there are hasNext, index, count, first and last"},
        Mistake{"PathDeepScan", "$input.path('$..a')", "1:8 JSONPath $..a: `..` is not supported"},
        Mistake{"PathWildcard", "$input.json('$.a[*]')",
                "1:8 JSONPath $.a[*]: `[*]` is not supported: use ['name'] or [number]"},
        Mistake{"PathFilter", "$input.json('$.a[?(@.b)]')",
                "1:8 JSONPath $.a[?(@.b)]: `[?(@.b)]` is not supported: use ['name'] or [number]"},
        Mistake{"PathEmpty", "$input.json('')", "1:8 JSONPath is empty"},
        Mistake{"PathWithAnOpenBracket", "$input.json('$.a[0')", "1:8 JSONPath $.a[0: `[` is not closed"},
        Mistake{"PathWithAnOpenQuote", "$input.json(\"$.a['b]\")", "1:8 JSONPath $.a['b]: a quote is not closed"},
        Mistake{"PathWithAName", "$input.json('$a')", "1:8 JSONPath $a: `.` or `[` expected after `$`"},
        Mistake{"PathThatEndsInAPoint", "$input.json('$.')", "1:8 JSONPath $.: a name is missing"},
        Mistake{"PathWithABlank", "$input.json('$.a b')", "1:8 JSONPath $.a b: ` ` is not supported"},
        Mistake{"ParenthesesTooDeep",
                "#set($x = "
                "(((((((((((((((((((((((((((((((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))))))))))"
                "))))))))))))))))))))))",
                "1:71 the expression is nested too deeply"},
        Mistake{"NegationsTooDeep", "#set($x = !!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!1)",
                "1:70 the expression is nested too deeply"},
        Mistake{"SumTooLong", "#set($x = 1" + repeated("+1", 500) + ")", "1:1010 the expression is too long"},
        Mistake{"LargeInteger", "#set($x = 99999999999999999999)", "1:11 the number is too large"},
        Mistake{"LargeReal", "#set($x = 1e999)", "1:11 the number is too large or too small"},
        Mistake{"BareWord", "#if(x)#end", "1:5 `x` is not expected here; a variable is written $x"},
        Mistake{"EndInsideOfAnExpression", "#set($x =", "1:10 the template ends inside of an expression"},
        Mistake{"UnexpectedOperator", "#set($x = * 2)", "1:11 `*` is not expected here"},
        Mistake{"MissingOperand", "#set($x = 1 + )", "1:15 `)` is not expected here"},
        Mistake{"EmptyCondition", "#if()#end", "1:5 `)` is not expected here"},
        Mistake{"OpenList", "#set($x = [1, 2)", "1:16 `,` or `]` expected"},
        Mistake{"ListThatEnds", "#set($x = [1, 2", "1:16 `,` or `]` expected"},
        Mistake{"RangeOfThree", "#set($x = [1..2, 3])", "1:16 `]` expected"},
        Mistake{"MapWithoutAColon", "#set($x = {'a' 1})", "1:16 `:` expected"},
        Mistake{"MapWithEquals", "#set($x = {'a' = 1})", "1:16 `:` expected"},
        Mistake{"OpenMap", "#set($x = {'a': 1)", "1:18 `,` or `}` expected"},
        Mistake{"PathInDoubleQuotes", "$input.path(\"$.a[*]\")",
                "1:8 JSONPath $.a[*]: `[*]` is not supported: use ['name'] or [number]"},
        Mistake{"TextsTooDeep", "#set($y = " + nested_texts(9) + ")", "1:11 texts are nested too deeply"},
        Mistake{"ErrorInsideAText", "#set($x = \"a $util.no(1)\")", "1:20 $util.no() is not supported"},
        Mistake{"ErrorInsideATextWithDoubledQuotes", "#set($x = \"a \"\"b\"\" $util.no(1)\")",
                "1:11 $util.no() is not supported"},
        Mistake{"IfWithoutEndInsideAText", "#set($x = \"#if(true)a\")", "1:12 #if without #end"},
        Mistake{"TooLarge", std::string(Template::kSourceBytesMax + 1, 'a'),
                "1:1 the template is larger than 300 KB"}}),
    [](const auto& mistake) { return mistake.param.name; });

TEST(Refused, BlanksBeforeATemplateCountForItsPlaces) {
  EXPECT_EQ(compile_error("\n\n  ä #stop\n"), "3:5 #stop is not supported");
}

TEST(Refused, NestingJustBelowTheBoundsIsTaken) {
  EXPECT_EQ(compile_error(repeated("#if(true)", 99) + repeated("#end", 99)), "compiled");
  EXPECT_EQ(compile_error("#set($x = " + repeated("(", 59) + "1" + repeated(")", 59) + ")"), "compiled");
  EXPECT_EQ(compile_error("#set($x = 1" + repeated("+1", 499) + ")"), "compiled");
  EXPECT_EQ(compile_error("$x" + repeated(".a", 499)), "compiled");
  EXPECT_EQ(compile_error("#set($y = " + nested_texts(8) + ")"), "compiled");
}

}  // namespace
}  // namespace millrace::gateway::vtl
