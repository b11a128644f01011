#include "gateway/openapi.hpp"

#include <gmock/gmock.h>

#include "gateway/support.hpp"
#include "support/text.hpp"

namespace millrace::gateway {
namespace {

using test::repeated;

/// What importing `text` says, without the file's name.
std::string import_error(const std::string& text) {
  FakeServices services;
  auto imported = import_openapi({"broken", "", {"PROD"}, text, "broken.yaml"}, services);
  if (imported) return "imported";
  return test::without_prefix(imported.error().detail, "broken.yaml:");
}

const std::string kPaths = "openapi: 3.0.1\npaths:\n";
const std::string kIntegration = kPaths + "  /a:\n    get:\n      x-amazon-apigateway-integration:\n";
const std::string kGood =
    kIntegration + "        type: aws\n        uri: arn:aws:apigateway:us-east-1:kinesis:action/PutRecord\n";
const std::string kResponses = kGood + "        responses:\n";
const std::string kWhere = "GET /a: x-amazon-apigateway-integration";

struct Refusal {
  std::string name, text, said;
};
void PrintTo(const Refusal& c, std::ostream* out) { *out << c.name; }

class ImportRefuses : public testing::TestWithParam<Refusal> {};
TEST_P(ImportRefuses, WithLineColumnAndReason) { EXPECT_EQ(import_error(GetParam().text), GetParam().said); }

const auto kNameOf = [](const auto& refusal) { return refusal.param.name; };

INSTANTIATE_TEST_SUITE_P(
    Documents, ImportRefuses,
    testing::ValuesIn(std::vector<Refusal>{
        Refusal{"NotYaml", "openapi: [3.0\npaths: {", "2:6: not valid YAML: `,` or `]` is expected here"},
        Refusal{"NotJson", "{\n  \"openapi\": \"3.0.1\"\n  \"paths\": {}\n}\n",
                "3:3: not valid JSON: `,` or `}` is expected here"},
        Refusal{"TabsInYaml", kPaths + "\t/a: {}\n",
                "3:4: not valid YAML: the line is indented with a tab: YAML takes only spaces"},
        Refusal{"NotText",
                "openapi: 3.0.1\npaths: {}\ninfo: \xff"
                "\n",
                "3:7: is not UTF-8 text"},
        Refusal{"TwoDocuments", "openapi: 3.0.1\npaths: {}\n---\nopenapi: 3.0.1\n",
                "3:1: a second document begins here: a file holds one"},
        Refusal{"Empty", "", " the file is empty: an OpenAPI document with `openapi` and `paths` is expected"},
        Refusal{"List", "- openapi: 3.0.1\n", "1:1: an OpenAPI document is an object with `openapi` and `paths`"},
        Refusal{"Swagger", "swagger: '2.0'\npaths: {}",
                "1:1: Swagger 2.0 is not supported: export the API as OpenAPI 3.0 (export type oas30)"},
        Refusal{"Version31", "openapi: 3.1.0\npaths: {}", "1:10: OpenAPI 3.1.0 is not supported: 3.0 is"},
        Refusal{"NoVersion", "paths: {}",
                "1:1: `openapi` is missing: the document must say its version, such as 3.0.1"},
        Refusal{"VersionThatIsAList", "openapi: [3]\npaths: {}", "1:10: openapi must be a text"},
        Refusal{"NoPaths", "openapi: 3.0.1", "1:1: `paths` is missing"},
        Refusal{"EmptyPaths", kPaths, "1:1: `paths` is missing"},
        Refusal{"PathsThatAreAList", "openapi: 3.0.1\npaths: [/a]\n", "2:8: `paths` must be an object"},
        Refusal{"Twice", "openapi: 3.0.1\npaths: {}\npaths: {}", "3:1: paths: is given twice, first in line 2"},
        Refusal{"OperationTwice", kPaths + "  /a:\n    get: {}\n    get: {}\n",
                "4:5: GET /a: `x-amazon-apigateway-integration` is missing\n5:5: paths./a.get: is given twice, first "
                "in line 4"},
        Refusal{"UnknownKey", "openapi: 3.0.1\npaths: {}\npath: {}",
                "3:1: the document: `path` is not known in OpenAPI 3.0; did you mean `paths`?"},
        Refusal{"UnknownKeyLikeNothing", "openapi: 3.0.1\npaths: {}\nhost: a.example.com",
                "3:1: the document: `host` is not known in OpenAPI 3.0"},
        Refusal{"GatewayResponses", "openapi: 3.0.1\npaths: {}\nx-amazon-apigateway-gateway-responses: {}",
                "3:1: the document: `x-amazon-apigateway-gateway-responses` is not supported"},
        Refusal{"Policy", "openapi: 3.0.1\nx-amazon-apigateway-policy: {}\npaths: {}",
                "2:1: the document: `x-amazon-apigateway-policy` is not supported"},
        Refusal{"Validators", "openapi: 3.0.1\npaths: {}\nx-amazon-apigateway-request-validators: {}",
                "3:1: the document: `x-amazon-apigateway-request-validators` is not supported"},
        Refusal{"BinaryTypes", "openapi: 3.0.1\npaths: {}\nx-amazon-apigateway-binary-media-types: ['*/*']",
                "3:1: the document: `x-amazon-apigateway-binary-media-types` is not supported"},
        Refusal{"ApiKeySource", "openapi: 3.0.1\npaths: {}\nx-amazon-apigateway-api-key-source: HEADER",
                "3:1: the document: `x-amazon-apigateway-api-key-source` is not supported"},
        Refusal{"EndpointConfiguration",
                "openapi: 3.0.1\npaths: {}\nx-amazon-apigateway-endpoint-configuration: {vpcEndpointIds: [a]}",
                "3:46: x-amazon-apigateway-endpoint-configuration: `vpcEndpointIds` is not supported"},
        Refusal{"Authorizer",
                "openapi: 3.0.1\npaths: {}\ncomponents:\n  securitySchemes:\n    a:\n      "
                "x-amazon-apigateway-authorizer: {}",
                "6:7: components: `x-amazon-apigateway-authorizer` is not supported"},
        Refusal{"Security", "openapi: 3.0.1\npaths: {}\nsecurity: [{api_key: []}]",
                "3:1: `security` is not supported: authorizers, IAM and API keys are not checked"},
        Refusal{"MergeKeys", kPaths + "  /a: &a {}\n  <<: *a",
                "4:3: paths: YAML merge keys (<<) are not supported: write the members out"},
        Refusal{"Tags", kPaths + "  /a: !Ref x\n",
                "3:7: paths./a: YAML tags are not supported: write the value itself"},
        Refusal{"OperationSecurity", kGood + "      security:\n        - api_key: []\n",
                "8:7: `security` is not supported: authorizers, IAM and API keys are not checked"},
        Refusal{"OperationValidator", kGood + "      x-amazon-apigateway-request-validator: all\n",
                "8:7: GET /a: `x-amazon-apigateway-request-validator` is not supported"},
        Refusal{"OperationKeyNearAnother", kPaths + "  /a:\n    get:\n      x-amazon-apigateway-integratoin: {}\n",
                "5:7: GET /a: `x-amazon-apigateway-integratoin` is not supported; did you mean "
                "`x-amazon-apigateway-integration`?"},
        Refusal{"UnknownMethod", kPaths + "  /a:\n    fetch: {}",
                "4:5: path `/a`: `fetch` is not known in OpenAPI 3.0; did you mean `patch`?"},
        Refusal{"MethodInCapitals", kPaths + "  /a:\n    GET: {}",
                "4:5: path `/a`: `GET` is not known in OpenAPI 3.0; did you mean `get`?"},
        Refusal{"Trace", kPaths + "  /a:\n    trace: {}", "4:5: path `/a`: method `trace` is not supported"},
        Refusal{"PathThatIsAText", kPaths + "  /a: get\n", "3:7: path `/a` must be an object"},
        Refusal{"MethodThatIsAText", kPaths + "  /a:\n    get: PutRecord\n", "4:10: GET /a must be an object"},
        Refusal{"NoIntegration", kPaths + "  /a:\n    get: {}",
                "4:5: GET /a: `x-amazon-apigateway-integration` is missing"},
        Refusal{"IntegrationThatIsAText", kPaths + "  /a:\n    get:\n      x-amazon-apigateway-integration: aws\n",
                "5:40: " + kWhere + " must be an object"},
        Refusal{"Proxy",
                kIntegration +
                    "        type: http_proxy\n        uri: arn:aws:apigateway:us-east-1:kinesis:action/PutRecord\n",
                "6:15: " + kWhere + ": type `http_proxy` is not supported, `aws` is"},
        Refusal{
            "TypeNotText",
            kIntegration + "        type: [aws]\n        uri: arn:aws:apigateway:us-east-1:kinesis:action/PutRecord\n",
            "6:15: " + kWhere + " type must be a text"},
        Refusal{"NoType", kIntegration + "        uri: arn:aws:apigateway:us-east-1:kinesis:action/PutRecord\n",
                "6:9: " + kWhere + ": `type` is missing"},
        Refusal{"NoUri", kIntegration + "        type: aws\n", "6:9: " + kWhere + ": `uri` is missing"},
        Refusal{"OtherUri",
                kIntegration + "        type: aws\n        uri: arn:aws:apigateway:us-east-1:kinesis:path/x\n",
                "7:14: " + kWhere +
                    ": uri `arn:aws:apigateway:us-east-1:kinesis:path/x` is not supported: "
                    "arn:aws:apigateway:{region}:{service}:action/{Action} is"},
        Refusal{
            "UnknownAction",
            kIntegration + "        type: aws\n        uri: arn:aws:apigateway:us-east-1:kinesis:action/PutRekord\n",
            "7:14: " + kWhere +
                ": uri `arn:aws:apigateway:us-east-1:kinesis:action/PutRekord`: there is no action `PutRekord` of the "
                "service `kinesis`; did you mean `PutRecord`?"},
        Refusal{
            "UnknownActionLikeNone",
            kIntegration + "        type: aws\n        uri: arn:aws:apigateway:us-east-1:kinesis:action/SendMessage\n",
            "7:14: " + kWhere +
                ": uri `arn:aws:apigateway:us-east-1:kinesis:action/SendMessage`: there is no action `SendMessage` of "
                "the service `kinesis`"},
        Refusal{"UnknownService",
                kIntegration + "        type: aws\n        uri: arn:aws:apigateway:us-east-1:sqs:action/SendMessage\n",
                "7:14: " + kWhere +
                    ": uri `arn:aws:apigateway:us-east-1:sqs:action/SendMessage`: there is no service `sqs` with an "
                    "action `SendMessage`"},
        Refusal{"UnknownIntegrationKey", kGood + "        timeoutInMillis: 50\n",
                "8:9: " + kWhere + ": `timeoutInMillis` is not supported"},
        Refusal{"IntegrationKeyNearAnother", kGood + "        requestTemplate: {}\n",
                "8:9: " + kWhere + ": `requestTemplate` is not supported; did you mean `requestTemplates`?"},
        Refusal{"ContentHandling", kGood + "        contentHandling: CONVERT_TO_TEXT\n",
                "8:9: " + kWhere + ": `contentHandling` is not supported"},
        Refusal{"VpcLink", kGood + "        connectionType: VPC_LINK\n",
                "8:25: " + kWhere + ": connectionType `VPC_LINK` is not supported"},
        Refusal{"CacheKeys", kGood + "        cacheKeyParameters: [method.request.path.a]\n",
                "8:9: " + kWhere + ": `cacheKeyParameters` is not supported"},
        Refusal{"Passthrough", kGood + "        passthroughBehavior: always\n",
                "8:30: " + kWhere + ": passthroughBehavior is when_no_match, when_no_templates or never, not `always`"},
        Refusal{
            "RequestParameter",
            kGood + "        requestParameters:\n          integration.request.querystring.a: method.request.path.a\n",
            "9:11: " + kWhere +
                ": requestParameters `integration.request.querystring.a` is not supported; of request parameters only "
                "integration.request.header.Content-Type is"},
        Refusal{"RequestParametersThatAreAList", kGood + "        requestParameters: [a]\n",
                "8:28: " + kWhere + " requestParameters must be an object"},
        Refusal{"ResponsesThatAreAList", kGood + "        responses: ['200']\n",
                "8:20: " + kWhere + " responses must be an object"},
        Refusal{"ResponseThatIsAText", kResponses + "          default: '200'\n",
                "9:20: " + kWhere + " responses `default` must be an object"},
        Refusal{"UnknownResponseKey", kResponses + "          default:\n            statuscode: 200\n",
                "10:13: " + kWhere + " responses `default`: `statuscode` is not supported; did you mean `statusCode`?"},
        Refusal{"ResponseContentHandling",
                kResponses + "          default: {statusCode: 200, contentHandling: CONVERT_TO_TEXT}\n",
                "9:38: " + kWhere + " responses `default`: `contentHandling` is not supported"},
        Refusal{"NoStatus", kResponses + "          default:\n            responseTemplates: {}\n",
                "10:13: " + kWhere + " responses `default`: `statusCode` is missing"},
        Refusal{"BadStatus", kResponses + "          default: {statusCode: 99}\n",
                "9:33: " + kWhere + " responses `default`: statusCode `99` must be a number from 200 to 599"},
        Refusal{"StatusThatIsNoNumber", kResponses + "          default: {statusCode: ok}\n",
                "9:33: " + kWhere + " responses `default`: statusCode `ok` must be a number from 200 to 599"},
        Refusal{"StatusThatTheMethodHasNot",
                kResponses + "          default: {statusCode: 201}\n      responses: {'200': {}, '400': {}}\n",
                "9:33: " + kWhere +
                    " responses `default`: statusCode `201` is none of the operation's `responses` (200, 400)"},
        Refusal{"TwoDefaults", kResponses + "          default: {statusCode: 200}\n          '': {statusCode: 200}\n",
                "10:11: " + kWhere + " responses has two defaults"},
        Refusal{"PatternTwice", kResponses + "          '4..': {statusCode: 400}\n          '4..': {statusCode: 404}\n",
                "10:11: paths./a.get.x-amazon-apigateway-integration.responses.4..: is given twice, first in line 9"},
        Refusal{"BadPattern", kResponses + "          '4(': {statusCode: 400}\n",
                "9:11: " + kWhere +
                    " responses `4(`: is not a regular expression such as 4\\d{2}, or has back-references or too large "
                    "counts"},
        Refusal{"BackReference", kResponses + "          '(4)\\1.': {statusCode: 400}\n",
                "9:11: " + kWhere +
                    " responses `(4)\\1.`: is not a regular expression such as 4\\d{2}, or has back-references or too "
                    "large counts"},
        Refusal{"PatternThatMatchesNothing", kResponses + "          4xx: {statusCode: 400}\n",
                "9:11: " + kWhere +
                    " responses `4xx`: matches no status from 100 to 599: write a status, or a regular expression such "
                    "as 4\\d{2}"},
        Refusal{"LongPattern", kResponses + "          '" + repeated("4|", 129) + "': {statusCode: 400}\n",
                "9:11: " + kWhere + " responses `" + repeated("4|", 100) +
                    "...`: the pattern is longer than 256 characters"},
        Refusal{"MappedHeader",
                kResponses + "          default:\n            statusCode: 200\n            responseParameters:\n       "
                             "       method.response.header.A: integration.response.header.A\n",
                "12:41: " + kWhere +
                    " responses `default` responseParameters: `integration.response.header.A` is not supported: only a "
                    "literal such as 'application/json', with its quotes, is"},
        Refusal{"HeaderThatIsNone",
                kResponses + "          default:\n            statusCode: 200\n            responseParameters:\n       "
                             "       method.response.header.A B: \"'x'\"\n",
                "12:15: " + kWhere +
                    " responses `default` responseParameters: `method.response.header.A B` is not supported, "
                    "method.response.header.{name} is"},
        Refusal{"BodyParameter",
                kResponses + "          default:\n            statusCode: 200\n            responseParameters:\n       "
                             "       method.response.body: \"'x'\"\n",
                "12:15: " + kWhere +
                    " responses `default` responseParameters: `method.response.body` is not supported, "
                    "method.response.header.{name} is"},
        Refusal{"HeaderWithALineBreak",
                kResponses + "          default:\n            statusCode: 200\n            responseParameters:\n       "
                             "       method.response.header.A: \"'x\\ny'\"\n",
                "12:41: " + kWhere +
                    " responses `default` responseParameters: a header's value cannot have control characters"},
        Refusal{"ContentTypeThatIsNone", kGood + "        requestTemplates:\n          json: a\n",
                "9:11: " + kWhere + " requestTemplates: `json` is not a content type such as application/json"},
        Refusal{"ResponseContentTypeThatIsNone",
                kResponses + "          default:\n            statusCode: 200\n            responseTemplates: "
                             "{application json: a}\n",
                "11:33: " + kWhere +
                    " responses `default` responseTemplates: `application json` is not a content type such as "
                    "application/json"},
        Refusal{"ContentTypeTwice",
                kGood + "        requestTemplates:\n          application/json: a\n          Application/JSON; "
                        "charset=utf-8: b\n",
                "10:11: " + kWhere + " requestTemplates has `application/json` twice"},
        Refusal{"TemplateThatIsAMap", kGood + "        requestTemplates:\n          application/json: {a: b}\n",
                "9:29: " + kWhere + " requestTemplates application/json must be a text"},
        Refusal{"TemplatesThatAreAText", kGood + "        requestTemplates: a\n",
                "8:27: " + kWhere + " requestTemplates must be an object"},
        Refusal{"RelativePath", kPaths + "  x: {}", "3:3: path `x` must begin with /"},
        Refusal{"EmptySegment", kPaths + "  /x//y: {}", "3:3: path `/x//y` has an empty segment"},
        Refusal{"QueryInAPath", kPaths + "  /x?y=1: {}",
                "3:3: path `/x?y=1`: `?` cannot stand in a path: a query is no part of it, and escapes are written "
                "plainly"},
        Refusal{
            "BlankInAPath", kPaths + "  /x y: {}",
            "3:3: path `/x y`: ` ` cannot stand in a path: a query is no part of it, and escapes are written plainly"},
        Refusal{
            "LetterInAPathThatAUrlHasNot", kPaths + "  /xä: {}",
            "3:3: path `/xä`: `ä` cannot stand in a path: a query is no part of it, and escapes are written plainly"},
        Refusal{"PartialParameter", kPaths + "  /a{b}: {}",
                "3:3: path `/a{b}`: a parameter must be a whole segment, `a{b}` is not"},
        Refusal{"ParameterWithoutAName", kPaths + "  /{+}: {}",
                "3:3: path `/{+}`: `{+}` is not a parameter such as {name} or {name+}"},
        Refusal{"GreedyInside", kPaths + "  /{a+}/b: {}",
                "3:3: path `/{a+}/b`: a greedy parameter {name+} must be the last segment"},
        Refusal{"ParameterTwice", kPaths + "  /{a}/{a}: {}", "3:3: path `/{a}/{a}` has the parameter `a` twice"},
        Refusal{"TooManySegments", kPaths + "  " + repeated("/x", 65) + ": {}",
                "3:3: path `" + repeated("/x", 65) + "` has more than 64 segments"},
        Refusal{"OtherParameterInOnePlace", kPaths + "  /a/{x}: {}\n  /a/{y}: {}",
                "4:3: path `/a/{y}`: {y} stands where `/a/{x}` in line 3 has {x}: a place in a path has one parameter"},
        Refusal{
            "OtherParameterInOnePlaceFurtherUp", kPaths + "  /a/{x}: {}\n  /a/{y}/c: {}",
            "4:3: path `/a/{y}/c`: {y} stands where `/a/{x}` in line 3 has {x}: a place in a path has one parameter"},
        Refusal{"GreedyBesideAParameter", kPaths + "  /x/{a}: {}\n  /x/{proxy+}: {}",
                "4:3: path `/x/{proxy+}`: {proxy+} stands where `/x/{a}` in line 3 has {a}: a place in a path has one "
                "parameter"},
        Refusal{"SamePath", kPaths + "  /x: {}\n  /x/: {}", "4:3: path `/x/` is the same as `/x` in line 3"},
        Refusal{"ParameterThatThePathHasNot", kPaths + "  /a/{id}:\n    parameters:\n      - {name: ids, in: path}\n",
                "5:16: path `/a/{id}`: the path has no parameter `ids`; did you mean `id`?"},
        Refusal{
            "OperationsParameterThatThePathHasNot",
            kPaths + "  /a:\n    get:\n      parameters:\n        - {name: x, in: path}\n",
            "4:5: GET /a: `x-amazon-apigateway-integration` is missing\n6:18: GET /a: the path has no parameter `x`"},
        Refusal{"ParameterDeclaredTwice",
                kPaths + "  /a:\n    parameters:\n      - {name: q, in: query}\n      - {name: q, in: header}\n      - "
                         "{name: q, in: query}\n",
                "7:16: path `/a` has the query parameter `q` twice"},
        Refusal{"ParameterInNoPlace", kPaths + "  /a:\n    parameters: [{name: q, in: body}]\n",
                "4:32: path `/a`: a parameter is in one of path, query, header, cookie, not in `body`"},
        Refusal{"ParameterWithoutName", kPaths + "  /a:\n    parameters: [{in: query}]\n",
                "4:18: path `/a`: a parameter must have `name` and `in`"},
        Refusal{"ParametersThatAreAMap", kPaths + "  /a:\n    parameters: {q: query}\n",
                "4:17: path `/a`: `parameters` must be a list"},
        Refusal{"ParameterThatIsAText", kPaths + "  /a:\n    parameters: [q]\n",
                "4:18: path `/a`: a parameter must be an object with `name` and `in`"},
        Refusal{"ExtensionInAParameter",
                kGood + "      parameters:\n        - {name: a, in: query, x-amazon-apigateway-foo: 1}\n",
                "9:32: GET /a: `x-amazon-apigateway-foo` is not supported"},
        Refusal{"ControlCharactersAreNotRepeated", "openapi: 3.0.1\npaths: {}\n\"\\e[2J\\n\": {}",
                "3:1: the document: `?[2J?` is not known in OpenAPI 3.0"}}),
    kNameOf);

// The column is the one in the file, whatever YAML makes of the text; the line and column of the template stand beside.
INSTANTIATE_TEST_SUITE_P(
    Templates, ImportRefuses,
    testing::ValuesIn(std::vector<Refusal>{
        Refusal{
            "Literal",
            kGood + "        requestTemplates:\n          application/json: |\n            {\n              \"a\": "
                    "\"$util.none(1)\"\n            }\n",
            "11:27: " + kWhere +
                " requestTemplates application/json, line 2, column 15 of the template: $util.none() is not supported"},
        Refusal{
            "LiteralWithAnIndicator",
            kGood + "        requestTemplates:\n          application/json: |1-\n            ä $util.none(1)\n",
            "10:21: " + kWhere +
                " requestTemplates application/json, line 1, column 10 of the template: $util.none() is not supported"},
        Refusal{
            "Folded",
            kGood + "        requestTemplates:\n          application/json: >\n            {\"a\":\n            "
                    "\"$util.none(1)\"}\n",
            "11:20: " + kWhere +
                " requestTemplates application/json, line 1, column 14 of the template: $util.none() is not supported"},
        Refusal{
            "DoubleQuoted",
            kGood +
                "        requestTemplates:\n          application/json: \"{\\n  \\\"a\\\": \\\"$util.none(1)\\\"}\"\n",
            "9:50: " + kWhere +
                " requestTemplates application/json, line 2, column 15 of the template: $util.none() is not supported"},
        Refusal{
            "SingleQuoted",
            kGood + "        requestTemplates:\n          application/json: '$input.json(''$'') $util.none(1)'\n",
            "9:55: " + kWhere +
                " requestTemplates application/json, line 1, column 24 of the template: $util.none() is not supported"},
        Refusal{
            "Plain", kGood + "        requestTemplates:\n          application/json: $util.none(1)\n",
            "9:35: " + kWhere +
                " requestTemplates application/json, line 1, column 7 of the template: $util.none() is not supported"},
        Refusal{"ThroughAnAlias",
                kGood + "        requestTemplates:\n          application/json: &t |\n            $util.none(1)\n      "
                        "    text/plain: *t\n",
                "10:19: " + kWhere +
                    " requestTemplates application/json, line 1, column 7 of the template: $util.none() is not "
                    "supported\n10:19: " +
                    kWhere +
                    " requestTemplates text/plain, line 1, column 7 of the template: $util.none() is not supported"},
        Refusal{"OfAResponse",
                kResponses + "          '4\\d{2}':\n            statusCode: 400\n            responseTemplates:\n      "
                             "        application/json: |\n                #if(true)\n",
                "13:17: " + kWhere +
                    " responses `4\\d{2}` responseTemplates application/json, line 1, column 1 of the template: #if "
                    "without #end"},
        Refusal{"WindowsLines",
                "openapi: 3.0.1\r\npaths:\r\n  /a:\r\n    get:\r\n      x-amazon-apigateway-integration:\r\n        "
                "type: aws\r\n        uri: arn:aws:apigateway:us-east-1:kinesis:action/PutRecord\r\n        "
                "requestTemplates:\r\n          application/json: |\r\n            {\r\n            #foo(1)\r\n",
                "11:13: " + kWhere +
                    " requestTemplates application/json, line 2, column 1 of the template: #foo(...) is not a "
                    "directive, and macros are not supported"},
        Refusal{
            "Json",
            "{\n\t\"openapi\": \"3.0.1\",\n\t\"paths\": {\"/a\": {\"get\": {\"x-amazon-apigateway-integration\": "
            "{\"type\": \"aws\",\n\t\t\"uri\": "
            "\"arn:aws:apigateway:us-east-1:kinesis:action/PutRecord\",\n\t\t\"requestTemplates\": "
            "{\"application/json\": \"{\\n\\t\\\"a\\\": $util.none(1)\\n}\"}}}}}\n}\n",
            "5:63: " + kWhere +
                " requestTemplates application/json, line 2, column 13 of the template: $util.none() is not supported"},
        Refusal{
            "JsonOnOneLine",
            "{\"openapi\":\"3.0.1\",\"paths\":{\"/"
            "a\":{\"get\":{\"x-amazon-apigateway-integration\":{\"type\":\"aws\",\"uri\":\"arn:aws:apigateway:us-east-"
            "1:kinesis:action/PutRecord\",\"requestTemplates\":{\"application/json\":\"{\\r\\n\\\"\\ud83d\\ude00 "
            "$util.none(1)\\\"}\"}}}}}}",
            "1:218: " + kWhere +
                " requestTemplates application/json, line 2, column 10 of the template: $util.none() is not supported"},
        Refusal{"TooLarge",
                kGood + "        requestTemplates:\n          application/json: " + std::string((300 << 10) + 1, 'x') +
                    "\n",
                "9:29: " + kWhere +
                    " requestTemplates application/json, line 1, column 1 of the template: the template is larger than "
                    "300 KB"}}),
    kNameOf);

TEST(Import, TellsEveryMistakeInTheOrderOfTheFile) {
  EXPECT_EQ(
      import_error(kPaths +
                   "  /a/{x}:\n"
                   "    fetch: {}\n"
                   "    get:\n"
                   "      x-amazon-apigateway-integration:\n"
                   "        responses:\n"
                   "          4xx: {statusCode: 1}\n"
                   "          default: {statusCode: 200, responseTemplates: {application/json: '#if(true)', json: a}}\n"
                   "        requestTemplates: {text/plain: '$util.none(1)'}\n"
                   "        type: mock\n"
                   "    post: {}\n"
                   "  /a/{y}: {}\n"
                   "security: [a]\n"
                   "info: {x-amazon-apigateway-a: 1, x-amazon-apigateway-b: 2}\n"),
      "4:5: path `/a/{x}`: `fetch` is not known in OpenAPI 3.0; did you mean `patch`?\n"
      "7:9: GET /a/{x}: x-amazon-apigateway-integration: `uri` is missing\n"
      "8:11: GET /a/{x}: x-amazon-apigateway-integration responses `4xx`: matches no status from 100 to 599: write a "
      "status, or a regular expression such as 4\\d{2}\n"
      "8:29: GET /a/{x}: x-amazon-apigateway-integration responses `4xx`: statusCode `1` must be a number from 200 "
      "to 599\n"
      "9:77: GET /a/{x}: x-amazon-apigateway-integration responses `default` responseTemplates application/json, line "
      "1, column 1 of the template: #if without #end\n"
      "9:89: GET /a/{x}: x-amazon-apigateway-integration responses `default` responseTemplates: `json` is not a "
      "content type such as application/json\n"
      "10:47: GET /a/{x}: x-amazon-apigateway-integration requestTemplates text/plain, line 1, column 7 of the "
      "template: $util.none() is not supported\n"
      "11:15: GET /a/{x}: x-amazon-apigateway-integration: type `mock` is not supported, `aws` is\n"
      "12:5: POST /a/{x}: `x-amazon-apigateway-integration` is missing\n"
      "13:3: path `/a/{y}`: {y} stands where `/a/{x}` in line 3 has {x}: a place in a path has one parameter\n"
      "14:1: `security` is not supported: authorizers, IAM and API keys are not checked\n"
      "15:8: info: `x-amazon-apigateway-a` is not supported\n"
      "15:34: info: `x-amazon-apigateway-b` is not supported");
}

TEST(Import, TakesWhatChangesNothing) {
  EXPECT_EQ(import_error(
                kGood +
                "        connectionType: INTERNET\n        cacheNamespace: abc\n        cacheKeyParameters: []\n"
                "        responses: {default: {statusCode: 200}, '4..': {statusCode: 404}}\n"
                "      responses: {'200': {}, 4XX: {}}\n"
                "      parameters: [{name: q, in: query}, {name: q, in: header}, {$ref: '#/components/parameters/p'}]\n"
                "      security: []\n      x-other: 1\n"
                "  /b/{proxy+}:\n    parameters: [{name: proxy, in: path}]\n"
                "  /c/{proxy+}:\n    parameters: [{name: proxy+, in: path}]\n"
                "  /-._~!$&'()*+,;=:@: {}\n"
                "x-amazon-apigateway-documentation: {version: '1', documentationParts: []}\n"
                "x-amazon-apigateway-importexport-version: '1.0'\n"
                "x-amazon-apigateway-endpoint-configuration: {types: [REGIONAL]}\n"
                "tags:\n  - {name: a, x-amazon-apigateway-tag-value: b}\n"),
            "imported");
}

TEST(Import, NoSelectionPatternTakesLong) {
  for (const std::string& pattern : {std::string("(((((((\\d)*)*)*)*)*)*)*x"), repeated("(|)", 80) + "x"})
    EXPECT_THAT(import_error(kResponses + "          '" + pattern + "': {statusCode: 400}\n"),
                testing::HasSubstr("matches no status"));
}

TEST(Import, DeeplyNestedDocumentsAreRefused) {
  EXPECT_EQ(import_error(kPaths + repeated("[", 100) + repeated("]", 100)), "3:100: nests deeper than 100 levels");
  EXPECT_NE(import_error(kPaths + std::string(100000, '[')).find("nests deeper than 100 levels"), std::string::npos);
  std::string bomb = "openapi: 3.0.1\npaths: {}\ncomponents:\n  a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 10; ++i) {
    bomb += "  a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += std::string(k ? ", " : "") + "*a" + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_NE(import_error(bomb).find("holds more than 500000 values"), std::string::npos);
}

}  // namespace
}  // namespace millrace::gateway
