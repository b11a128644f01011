#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "front/fakes.hpp"

namespace millrace::front {
namespace {

using test::MemoryStream;
using testing::HasSubstr;
using HeaderList = std::vector<std::pair<std::string, std::string>>;

const std::string kJson = "application/x-amz-json-1.1";
const std::string kDenied =
    "<AccessDeniedException>\n  <Message>Unable to determine service/operation name to be "
    "authorized</Message>\n</AccessDeniedException>\n";
const std::string kSerialization = R"({"__type":"SerializationException"})";
const std::string kUnknown = R"({"__type":"UnknownOperationException"})";
const std::string kCbor = "application/x-amz-cbor-1.1";
const std::string kTarget = "Kinesis_20131202.Echo";

/// One request against the recorded answers: facts of the check order.
struct Check {
  const char* name;
  std::string method, target;  // HTTP's
  HeaderList headers;
  std::string body;
  int status;
  std::string content_type;  // empty: none
  std::string reply;
};

HeaderList typed(std::string type, std::string target, bool authorized = false) {
  HeaderList headers{{"Content-Type", std::move(type)}, {"X-Amz-Target", std::move(target)}};
  if (authorized) {
    headers.emplace_back("Authorization", kAuthorization);
    headers.emplace_back("X-Amz-Date", "20260101T000000Z");
  }
  return headers;
}
HeaderList json(std::string target, bool authorized = true) { return typed(kJson, std::move(target), authorized); }
HeaderList with_authorization(std::string authorization, HeaderList more = {}) {
  HeaderList headers = json(kTarget, false);
  headers.emplace_back("Authorization", std::move(authorization));
  headers.insert(headers.end(), more.begin(), more.end());
  return headers;
}
std::string error(const std::string& type, const std::string& message) {
  return R"({"__type":")" + type + R"(","message":")" + message + R"("})";
}
const std::string kNoDate = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. ";

class CheckOrder : public testing::TestWithParam<Check> {};

TEST_P(CheckOrder, AnswersAsRecorded) {
  const Check& check = GetParam();
  FrontSite site;
  MemoryStream& stream = site.transport->open(check.method, check.target);
  for (const auto& [name, value] : check.headers) stream.header(name, value);
  site.transport->exchange(stream, check.body);
  EXPECT_EQ(stream.status, check.status);
  EXPECT_EQ(stream.header("Content-Type"), check.content_type);
  EXPECT_EQ(stream.received, check.reply);
  EXPECT_EQ(stream.header("x-amzn-RequestId").size(), 36u);
  EXPECT_EQ(stream.header("x-amz-id-2").size(), 96u);
  EXPECT_TRUE(stream.finished);
  EXPECT_EQ(stream.misuse, "");
}

INSTANTIATE_TEST_SUITE_P(
    Rows, CheckOrder,
    testing::Values(
        Check{"1_Get", "GET", "/", json(kTarget), "", 403, "", kDenied},
        Check{"1_Put", "PUT", "/x", json(kTarget), "{}", 403, "", kDenied},
        Check{"1_OptionsWithoutOrigin", "OPTIONS", "/", {}, "", 403, "", kDenied},
        Check{"2_EmptyJsonBody", "POST", "/", json(kTarget, false), "", 400, kJson, kSerialization},
        Check{"2_EmptyJsonBodyUnknownTarget", "POST", "/", json("Kinesis_20131202.Nothing"), "", 400, kJson, kUnknown},
        Check{"2_EmptyJsonBodyNoTarget", "POST", "/", {{"Content-Type", kJson}}, "", 400, kJson, kUnknown},
        Check{"2_EmptyBodyOtherType", "POST", "/", typed("text/plain", kTarget), "", 400, "application/x-amz-cbor-1.1",
              "\xa1\x66__type\x76SerializationException"},
        Check{"2_EmptyBodyPlainJsonUnknown", "POST", "/", typed("application/json", "x"), "", 400,
              "application/x-amz-cbor-1.1", "\xa1\x66__type\x78\x19UnknownOperationException"},
        Check{"2_NothingAtAll",
              "POST",
              "/",
              {},
              "",
              400,
              "application/x-amz-cbor-1.1",
              "\xa1\x66__type\x78\x19UnknownOperationException"},
        Check{"3_BadTypeNoTarget", "POST", "/", {{"Content-Type", "text/plain"}}, "{}", 403, "", kDenied},
        Check{"3_NoTypeUnknownOperation",
              "POST",
              "/",
              {{"X-Amz-Target", "Kinesis_20131202.Nothing"}},
              "{}",
              403,
              "",
              kDenied},
        Check{"3_NoTypeUnknownService", "POST", "/", {{"X-Amz-Target", "Nothing.Echo"}}, "{}", 403, "", kDenied},
        Check{"3b_BadType", "POST", "/", typed("text/plain", kTarget), "{}", 404, "", "<UnknownOperationException/>\n"},
        Check{"3b_CborWhereThereIsNone", "POST", "/", typed(kCbor, "Firehose_20150804.Echo"), "\xa0", 404, "",
              "<UnknownOperationException/>\n"},
        Check{"4_NotCbor", "POST", "/", typed(kCbor, kTarget), "\xa1", 400, kCbor,
              "\xa1\x66__type\x76SerializationException"},
        Check{"4_CborThatIsNoMap", "POST", "/", typed(kCbor, kTarget), "\x80", 400, kCbor,
              "\xa1\x66__type\x76SerializationException"},
        Check{"6_CborUnknownOperation", "POST", "/", typed(kCbor, "Kinesis_20131202.Nothing"), "\xa0", 400, kCbor,
              "\xa1\x66__type\x78\x19UnknownOperationException"},
        Check{"6_CborNoTarget",
              "POST",
              "/",
              {{"Content-Type", kCbor}},
              "\xa0",
              400,
              kCbor,
              "\xa1\x66__type\x78\x19UnknownOperationException"},
        Check{"8_CborNeither", "POST", "/", typed(kCbor, kTarget), "\xa0", 400, kCbor,
              "\xa2\x66__type\x78\x23MissingAuthenticationTokenException\x67message"
              "\x78\x1cMissing Authentication Token"},
        Check{"12_Cbor", "POST", "/", typed(kCbor, kTarget, true), "\xd9\xd9\xf7\xbf\xff", 200, kCbor,
              "\xd9\xd9\xf7\xbf\xff"},
        Check{"12_CborError", "POST", "/", typed(kCbor, "Kinesis_20131202.Failing", true), "\xa0", 400, kCbor,
              "\xa2\x66__type\x78\x19ResourceNotFoundException\x67message\x61\xa0"},
        Check{"4_NotJson", "POST", "/", json("Nothing.Nothing", false), "{", 400, kJson, kSerialization},
        Check{"4_AnArray", "POST", "/", json("Kinesis_20131202.Nothing", false), "[]", 400, kJson, kSerialization},
        Check{"4_MoreThanOneValue", "POST", "/", json(kTarget, false), "{}{}", 400, kJson, kSerialization},
        Check{"4_PlainJsonNotJson", "POST", "/", typed("application/json", kTarget), "x", 400, "application/json",
              R"({"Output":{"__type":"com.amazon.coral.service#SerializationException"},"Version":"1.0"})"},
        Check{"5_PlainJson", "POST", "/", typed("application/json; charset=utf-8", kTarget), "{}", 404,
              "application/json",
              R"({"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"})"},
        Check{"6_NoTarget", "POST", "/", {{"Content-Type", kJson}}, "{}", 400, kJson, kUnknown},
        Check{"6_UnknownOperation", "POST", "/", json("Kinesis_20131202.Nothing", false), "{}", 400, kJson, kUnknown},
        Check{"6_OnlyAService", "POST", "/", json("Kinesis_20131202", false), "{}", 400, kJson, kUnknown},
        Check{"6_OperationInOtherCase", "POST", "/", json("Kinesis_20131202.echo", false), "{}", 400, kJson, kUnknown},
        Check{"7_BothWays", "POST", "/?X-Amz-Algorithm=x", json(kTarget), "{}", 400, kJson,
              error("InvalidSignatureException",
                    "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header.")},
        Check{"8_Neither", "POST", "/", json(kTarget, false), "{}", 400, kJson,
              error("MissingAuthenticationTokenException", "Missing Authentication Token")},
        Check{"9_NothingInTheHeader", "POST", "/", with_authorization("X"), "{}", 400, kJson,
              error("IncompleteSignatureException",
                    "Authorization header requires 'Credential' parameter. "
                    "Authorization header requires 'Signature' parameter. "
                    "Authorization header requires 'SignedHeaders' parameter. " +
                        kNoDate + "Authorization=X")},
        Check{"9_EmptyPart", "POST", "/",
              with_authorization("X Credential=,Signature=b, SignedHeaders=c", {{"Date", "d"}}), "{}", 400, kJson,
              error("IncompleteSignatureException",
                    "Authorization header requires 'Credential' parameter. Authorization=X Credential=,Signature=b, "
                    "SignedHeaders=c")},
        Check{"9_NoDate", "POST", "/", with_authorization("X Credential=a Signature=b SignedHeaders=c"), "{}", 400,
              kJson,
              error("IncompleteSignatureException",
                    kNoDate + "Authorization=X Credential=a Signature=b SignedHeaders=c")},
        Check{"9_NotUtf8", "POST", "/", with_authorization("X Credential=a,Signature=b,SignedHeaders=\xff"), "{}", 400,
              kJson,
              error("IncompleteSignatureException",
                    kNoDate + "Authorization=X Credential=a,Signature=b,SignedHeaders=?")},
        Check{"9b_QueryIncomplete", "POST", "/?X-Amz-Algorithm=x&X-Amz-Date=d", json(kTarget, false), "{}", 400, kJson,
              error("IncompleteSignatureException",
                    "AWS query-string parameters must include 'X-Amz-Credential'. "
                    "AWS query-string parameters must include 'X-Amz-Signature'. "
                    "AWS query-string parameters must include 'X-Amz-SignedHeaders'. "
                    "Re-examine the query-string parameters.")},
        Check{"12_Runs", "POST", "/any/path", json(kTarget), R"({"a":1})", 200, kJson, R"({"a":1})"},
        Check{"12_RunsByQuery", "POST",
              "/?X-Amz-Algorithm=a&X-Amz-Credential=b&X-Amz-Signature=c&X-Amz-SignedHeaders=d&X-Amz-Date=e",
              json(kTarget, false), "{}", 200, kJson, "{}"},
        Check{"12_TypeWithParameters",
              "POST",
              "/",
              {{"content-type", "application/x-amz-json-1.1 ; charset=x"},
               {"x-amz-target", kTarget},
               {"authorization", kAuthorization},
               {"date", "d"}},
              "{}",
              200,
              kJson,
              "{}"},
        Check{"12_EmptyReply", "POST", "/", json("Kinesis_20131202.Empty"), "{}", 200, kJson, ""},
        Check{"12_Error", "POST", "/", json("Kinesis_20131202.Failing"), "{}", 400, kJson,
              error("ResourceNotFoundException", "{}")},
        Check{"12_Exception", "POST", "/", json("Kinesis_20131202.Throwing"), "{}", 500, kJson,
              R"({"__type":"InternalFailure"})"}),
    [](const auto& check) { return std::string("Row") + check.param.name; });

struct Routed {
  const char* name;
  std::string target;
  HeaderList headers;
  std::string reply;
  std::string method = "POST";
};
class Routing : public testing::TestWithParam<Routed> {};

TEST_P(Routing, GoesWhereItBelongs) {
  FrontSite site;
  MemoryStream& stream = site.transport->open(GetParam().method, GetParam().target);
  for (const auto& [name, value] : GetParam().headers) stream.header(name, value);
  site.transport->exchange(stream, "{}");
  EXPECT_THAT(stream.received, HasSubstr(GetParam().reply));
  EXPECT_EQ(stream.misuse, "");
}

HeaderList with_host(std::string host, HeaderList headers = {}) {
  headers.emplace_back("Host", std::move(host));
  return headers;
}
HeaderList scoped(std::string service) {
  return {{"Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/" + service +
                                "/aws4_request, SignedHeaders=h, Signature=s"}};
}

INSTANTIATE_TEST_SUITE_P(
    Order, Routing,
    testing::Values(
        Routed{"Admin", "/_millrace/health?x", json(kTarget), "admin|/_millrace/health"},
        Routed{"AdminRoot", "/_millrace", {}, "admin|/_millrace"},
        Routed{"NotAdmin", "/_millracex", {}, "AccessDenied"},
        Routed{"ExecuteApi", "/_aws/execute-api/abc/PROD/v1/x", json(kTarget), "abc|PROD|/v1/x"},
        Routed{"ExecuteApiRoot", "/_aws/execute-api/abc/PROD", {}, "abc|PROD|/"},
        Routed{"ExecuteApiNothing", "/_aws/execute-api", {}, "||/"},
        Routed{"UserRequest", "/restapis/abc/PROD/_user_request_/v1", {}, "abc|PROD|/v1"},
        Routed{"UserRequestRoot", "/restapis/abc/PROD/_user_request_", {}, "abc|PROD|/"},
        Routed{"NotAUserRequest", "/restapis/abc/PROD/x", {}, "The control API of Amazon API Gateway is not served"},
        Routed{"ApiHost", "/PROD/v1", with_host("abc.execute-api.localhost:4566", json(kTarget)), "abc|PROD|/v1"},
        Routed{"ApiHostRoot", "/", with_host("abc.execute-api.us-east-1.amazonaws.com"), "abc||/"},
        Routed{"ServiceHost", "/", with_host("kinesis.us-east-1.amazonaws.com", json(kTarget)), "{}"},
        Routed{"HostOfAnotherService", "/", with_host("kinesis.local", json("Firehose_20150804.Echo")), "{}"},
        Routed{"HostBeforeScope", "/", with_host("kinesis.local", scoped("s3")), "AccessDenied"},
        Routed{"UnknownHost", "/", with_host("events:4566", json(kTarget)), "{}"},
        Routed{"Firehose", "/", json("Firehose_20150804.Echo"), "{}"},
        Routed{
            "UnservedTarget", "/", json("DynamoDB_20120810.PutItem"),
            R"({"__type":"UnknownOperationException","message":"Amazon DynamoDB is not served here; kinesis and firehose are."})"},
        Routed{"UnservedS3", "/bucket/key", scoped("s3"),
               "<Error><Code>NotImplemented</Code><Message>Amazon S3 is not served here"},
        Routed{"UnservedQuery", "/", scoped("iam"),
               "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidAction</Code><Message>AWS IAM is not"},
        Routed{"UnservedByPresignedQuery",
               "/?X-Amz-Credential=a%2F20260101%2Fus-east-1%2Fs3%2Faws4_request",
               {},
               "<Message>Amazon S3 is not"},
        Routed{"UnservedRest", "/2015-03-31/functions", scoped("lambda"),
               R"("message":"AWS Lambda is not served here)"},
        Routed{"QueryInTheUrl", "/?Action=GetCallerIdentity&Version=2011-06-15", {}, "<Code>InvalidAction</Code>"},
        Routed{"UnknownScope", "/", scoped("nothing"), "AccessDenied"}),
    [](const auto& routed) { return routed.param.name; });

/// A request signed for S3 is told that there is none, except by a host that names a service.
Routed host_of_a_service(const char* name, std::string host) {
  return {name, "/", with_host(std::move(host), scoped("s3")), "AccessDenied"};
}
Routed host_of_nothing(const char* name, std::string host) {
  return {name, "/", with_host(std::move(host), scoped("s3")), "Amazon S3 is not served here"};
}
Routed host_of_an_api(const char* name, std::string host) {
  return {name, "/PROD/v1?a=b", with_host(std::move(host)), "abc|PROD|/v1"};
}

INSTANTIATE_TEST_SUITE_P(
    Hosts, Routing,
    testing::Values(
        host_of_an_api("ApiLocalhost", "abc.execute-api.localhost"),
        host_of_an_api("ApiLocalhostPort", "abc.execute-api.localhost:4566"),
        host_of_an_api("ApiLocalStackCloud", "abc.execute-api.localhost.localstack.cloud:4566"),
        host_of_an_api("ApiRegionLocalhost", "abc.execute-api.eu-west-1.localhost:4566"),
        host_of_an_api("ApiAws", "abc.execute-api.us-east-1.amazonaws.com"),
        host_of_an_api("ApiAwsChina", "abc.execute-api.cn-north-1.amazonaws.com.cn:443"),
        host_of_an_api("ApiTrailingDot", "abc.execute-api.localhost.:4566"),
        host_of_an_api("ApiWithoutDomain", "abc.execute-api:4566"),
        host_of_an_api("ApiInCapitals", "ABC.EXECUTE-API.LOCALHOST:4566"),
        Routed{"ApiKeepsEncoding", "/PROD/a%2Fb%20c/", with_host("abc.execute-api.localhost"), "abc|PROD|/a%2Fb%20c/"},
        Routed{"ApiStageOnly", "/PROD", with_host("abc.execute-api.localhost"), "abc|PROD|/"},
        Routed{"ApiSlashesBeforeTheStage", "//PROD/v1", with_host("abc.execute-api.localhost"), "abc|PROD|/v1"},
        Routed{"ApiBeforeTarget", "/PROD/v1", with_host("abc.execute-api.localhost", json(kTarget)), "abc|PROD|/v1"},
        Routed{"ApiStageCalledHealth", "/health", with_host("abc.execute-api.localhost"), "abc|health|/", "GET"},
        Routed{"ApiStageCalledRestapis", "/restapis/x/y/_user_request_/v1", with_host("abc.execute-api.localhost"),
               "abc|restapis|/x/y/_user_request_/v1"},
        Routed{"ApiStageCalledMoto", "/moto-api/reset", with_host("abc.execute-api.localhost"), "abc|moto-api|/reset"},
        Routed{"OperatorOnAnApiHost", "/_millrace/health", with_host("abc.execute-api.localhost"), "admin|"},
        host_of_nothing("ApiWithoutId", ".execute-api.localhost:4566"),
        host_of_nothing("ExecuteApiAlone", "execute-api.us-east-1.localhost:4566"),
        host_of_nothing("ExecuteApiFurtherIn", "a.b.execute-api.localhost:4566"),
        host_of_a_service("KinesisLocalhost", "kinesis.localhost:4566"),
        host_of_a_service("KinesisRegionLocalhost", "kinesis.us-east-1.localhost:4566"),
        host_of_a_service("KinesisLocalStackCloud", "kinesis.us-east-1.localhost.localstack.cloud:4566"),
        host_of_a_service("KinesisAws", "kinesis.us-east-1.amazonaws.com"),
        host_of_a_service("KinesisDualStack", "kinesis.us-east-1.api.aws"),
        host_of_a_service("KinesisFips", "kinesis-fips.us-gov-west-1.amazonaws.com"),
        host_of_a_service("KinesisInCapitals", "Kinesis.US-EAST-1.Localhost."),
        host_of_a_service("KinesisControlOfAnAccount", "123456789012.control-kinesis.us-east-1.amazonaws.com"),
        host_of_a_service("KinesisDataOfAnAccount", "123456789012.data-kinesis.us-east-1.amazonaws.com"),
        host_of_a_service("KinesisDataFipsDualStack", "123456789012.DATA-kinesis-fips.us-east-1.api.aws:443"),
        host_of_a_service("KinesisDataOfAStreamId", "abcdefghij.klm.data-kinesis.us-east-1.amazonaws.com"),
        host_of_a_service("FirehoseRegionLocalhost", "firehose.us-east-1.localhost:4566"),
        host_of_a_service("FirehoseFipsDualStack", "firehose-fips.us-east-1.api.aws"), host_of_nothing("Nothing", ""),
        host_of_nothing("OneLabel", "millrace:4566"), host_of_nothing("OneLabelLikeAService", "kinesis:4566"),
        host_of_nothing("Localhost", "localhost:4566"), host_of_nothing("LocalhostDot", "localhost."),
        host_of_nothing("Ipv4", "127.0.0.1:4566"), host_of_nothing("Ipv6", "[::1]:4566"),
        host_of_nothing("Ipv6WithIpv4", "[::ffff:127.0.0.1]:4566"),
        host_of_nothing("DockerHost", "host.docker.internal:4566"), host_of_nothing("Domain", "ingest.example.com"),
        host_of_nothing("ServiceFurtherIn", "my.kinesis.localhost"),
        host_of_nothing("LikeAService", "kinesis2.localhost"), host_of_nothing("OnlyFips", "-fips.localhost"),
        host_of_nothing("Dots", "...."), host_of_nothing("Long", std::string(5000, 'a') + "." + std::string(999, '.')),
        Routed{"TargetOnAnyHost", "/", with_host("host.docker.internal:4566", json("Firehose_20150804.Echo")), "{}"},
        Routed{"TargetOverHost", "/", with_host("kinesis.localhost", json("Firehose_20150804.Echo")), "{}"},
        Routed{"ScopeOnAnyHost", "/", with_host("ingest.example.com", scoped("dynamodb")),
               "Amazon DynamoDB is not served here"}),
    [](const auto& routed) { return routed.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Paths, Routing,
    testing::Values(
        Routed{"UserRequest", "/restapis/abc/PROD/_user_request_/v1/%7Bx%7D/?q=1", json(kTarget),
               "abc|PROD|/v1/%7Bx%7D/"},
        Routed{"UserRequestGet", "/restapis/abc/PROD/_user_request_/v1", {}, "abc|PROD|/v1", "GET"},
        Routed{"UserRequestDouble", "/restapis/abc/PROD/_user_request_//v1", {}, "abc|PROD|//v1"},
        Routed{"UserRequestLonger", "/restapis/abc/PROD/_user_request_x/v1", {}, "control API of Amazon API Gateway"},
        Routed{"UserRequestInCapitals", "/restapis/ABC/PROD/_user_request_/v1", {}, "ABC|PROD|/v1"},
        Routed{"ExecuteApi", "/_aws/execute-api/abc/PROD/v1/%7Bx%7D/?q=1", {}, "abc|PROD|/v1/%7Bx%7D/", "PUT"},
        Routed{"ExecuteApiNoStage", "/_aws/execute-api/abc/", {}, "abc||/"},
        Routed{"ControlApi", "/restapis", {}, "control API of Amazon API Gateway is not served here", "GET"},
        Routed{"ControlApiSigned", "/restapis/abc/stages", scoped("apigateway"),
               "control API of Amazon API Gateway is not served here", "GET"},
        Routed{"ControlApiElsewhere", "/usageplans", scoped("apigateway"),
               "control API of Amazon API Gateway is not served here", "GET"},
        Routed{"NotRestapis", "/restapisx", {}, "AccessDenied", "GET"},
        Routed{"TargetOnThatPath", "/restapis/abc", json(kTarget), "{}"},
        Routed{"LocalStackHealth", "/_localstack/health", {}, "admin|/_localstack/health", "GET"},
        Routed{"LocalStackUnknown", "/_localstack/x?y", json(kTarget), "admin|/_localstack/x"},
        Routed{"LocalStackReset", "/_localstack/state/reset", {}, "admin|/_localstack/state/reset"},
        Routed{"NotLocalStack", "/_localstackx", {}, "AccessDenied"},
        Routed{"AwsPagesOfOthers", "/_aws/sqs/messages", {}, "admin|/_aws/sqs/messages", "GET"},
        Routed{"NotExecuteApi", "/_aws/execute-apis", {}, "admin|/_aws/execute-apis", "GET"},
        Routed{"MotoReset", "/moto-api/reset", {}, "admin|/moto-api/reset"},
        Routed{"MotoUnknown", "/moto-api", {}, "admin|/moto-api", "GET"},
        Routed{"NotMoto", "/moto-apis", {}, "AccessDenied", "GET"},
        Routed{"OldHealth", "/health?reload", {}, "admin|/health", "GET"},
        Routed{"OldHealthHead", "/health", {}, "admin|/health", "HEAD"},
        Routed{"OldHealthPosted", "/health", json(kTarget), "{}"},
        Routed{"OldHealthSigned", "/health", scoped("s3"), "Amazon S3 is not served here", "GET"},
        Routed{"OldHealthPresigned",
               "/health?X-Amz-Credential=a%2F20260101%2Fus-east-1%2Fs3%2Faws4_request",
               {},
               "Amazon S3 is not served here",
               "GET"},
        Routed{"NotOldHealth", "/health/x", {}, "AccessDenied", "GET"},
        Routed{"EncodedIsNotOurs", "/%5Flocalstack/health", {}, "AccessDenied", "GET"},
        Routed{"AnyPathOfAService", "/any/path", json(kTarget), "{}"}),
    [](const auto& routed) { return routed.param.name; });

TEST(AwsHandler, HostsOfAnyMakeAddNoLineToTheMetrics) {
  FrontSite site;
  const auto lines = [&] {
    const std::string page = site.metrics.render();
    return std::count(page.begin(), page.end(), '\n');
  };
  const auto before = lines();
  for (int i = 0; i < 200; ++i) {
    const std::string label = "x" + std::to_string(i);
    for (const std::string& host : {label + ".execute-api.localhost", label + ".localhost", "kinesis." + label}) {
      MemoryStream& stream = site.transport->open("GET", "/" + label);
      stream.header("Host", host);
      site.transport->exchange(stream, "");
    }
  }
  EXPECT_EQ(lines(), before);
  EXPECT_THAT(site.metrics.render(), testing::ContainsRegex("execute-api.*[}] 200\n"));
}

TEST(AwsHandler, AFormWithActionAndVersionIsAQueryCall) {
  FrontSite site;
  MemoryStream& stream = site.transport->open("POST", "/");
  stream.header("Content-Type", "application/x-www-form-urlencoded; charset=utf-8");
  site.transport->exchange(stream, "Action=GetCallerIdentity&Version=2011-06-15");
  EXPECT_EQ(stream.status, 400);
  EXPECT_EQ(stream.header("Content-Type"), "text/xml");
  EXPECT_THAT(stream.received, HasSubstr("<RequestId>" + stream.header("x-amzn-RequestId") + "</RequestId>"));
  MemoryStream& other = site.transport->open("POST", "/");
  other.header("Content-Type", "application/x-www-form-urlencoded");
  site.transport->exchange(other, R"({"a":1})");
  EXPECT_EQ(other.status, 403);
  EXPECT_EQ(other.received, kDenied);
}

TEST(AwsHandler, IgnoringAuthenticationSkipsItsChecks) {
  Options options;
  options.auth = AuthMode::ignore;
  FrontSite site(options);
  MemoryStream& stream = site.transport->open("POST", "/?X-Amz-Algorithm=x");
  for (const auto& [name, value] : with_authorization("X")) stream.header(name, value);
  EXPECT_EQ(site.transport->exchange(stream, "{}").status, 200);
}

MemoryStream& call(FrontSite& site, const std::string& operation, const std::string& body) {
  MemoryStream& stream = site.transport->open("POST", "/");
  for (const auto& [name, value] : json("Kinesis_20131202." + operation)) stream.header(name, value);
  return site.transport->exchange(stream, body);
}

TEST(AwsHandler, TheRequestIdIsTheOperationsAndNew) {
  FrontSite site;
  MemoryStream& first = call(site, "Id", "{}");
  MemoryStream& second = call(site, "Id", "{}");
  EXPECT_EQ(first.received, first.header("x-amzn-RequestId"));
  EXPECT_EQ(second.received, second.header("x-amzn-RequestId"));
  EXPECT_NE(first.received, second.received);
  EXPECT_NE(first.header("x-amz-id-2"), second.header("x-amz-id-2"));
}

TEST(AwsHandler, AnOriginGetsCorsHeaders) {
  FrontSite site;
  MemoryStream& stream = site.transport->open("POST", "/");
  for (const auto& [name, value] : json(kTarget)) stream.header(name, value);
  stream.header("Origin", "http://x");
  site.transport->exchange(stream, "{}");
  EXPECT_EQ(stream.header("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(stream.header("Access-Control-Expose-Headers"),
            "x-amzn-RequestId,x-amzn-ErrorType,x-amz-request-id,x-amz-id-2,x-amzn-ErrorMessage,Date");
}

TEST(AwsHandler, APreflightIsAnsweredWithoutAServiceAndWithoutId2) {
  FrontSite site;
  MemoryStream& stream = site.transport->open("OPTIONS", "/");
  stream.header("Origin", "http://x")
      .header("Access-Control-Request-Headers", "a,b")
      .header("Access-Control-Request-Method", "POST");
  site.transport->exchange(stream, "");
  EXPECT_EQ(stream.status, 200);
  EXPECT_EQ(stream.received, "");
  EXPECT_EQ(stream.header("Access-Control-Allow-Origin"), "*");
  EXPECT_EQ(stream.header("Access-Control-Allow-Headers"), "a,b");
  EXPECT_EQ(stream.header("Access-Control-Allow-Methods"), "POST");
  EXPECT_EQ(stream.header("Access-Control-Max-Age"), "172800");
  EXPECT_EQ(stream.header("x-amzn-RequestId").size(), 36u);
  EXPECT_EQ(stream.header("x-amz-id-2"), "");
}

TEST(AwsHandler, ABodyOverTheLimitIs413BeforeItIsAskedFor) {
  Options options;
  options.body_bytes_max = 10;
  FrontSite site(options);
  MemoryStream& stream = site.transport->open("POST", "/");
  for (const auto& [name, value] : json(kTarget)) stream.header(name, value);
  stream.announce(11).grant(1000);
  site.transport->begin(stream);
  site.transport->settle();
  EXPECT_EQ(stream.status, 413);
  EXPECT_FALSE(stream.body_asked);
  EXPECT_THAT(stream.received, HasSubstr("RequestEntityTooLargeException"));
}

TEST(AwsHandler, SmallPiecesGoOutInOneSendAndLargeOnesAsAStream) {
  FrontSite site;
  MemoryStream& small = call(site, "Pieces", R"({"pieces":2})");
  EXPECT_EQ(small.received, std::string(100'000, 'a') + std::string(100'000, 'b'));
  EXPECT_EQ(small.misuse, "");
  MemoryStream& large = call(site, "Pieces", R"({"pieces":30})");
  EXPECT_EQ(large.received.size(), 3'000'000u);
  EXPECT_EQ(large.received.substr(2'600'000, 100'000), std::string(100'000, 'a'));
  EXPECT_TRUE(large.finished);
  EXPECT_EQ(large.misuse, "");
  EXPECT_EQ(site.budget.used(), 0u);
}

TEST(AwsHandler, ALargeReplyIsRenderedNoFasterThanItIsRead) {
  FrontSite site;
  MemoryStream& stream = site.transport->open("POST", "/");
  for (const auto& [name, value] : json("Kinesis_20131202.Pieces")) stream.header(name, value);
  stream.feed(R"({"pieces":1000})");
  stream.end_body();
  stream.grant(150'000);
  site.transport->begin(stream);
  site.transport->settle();
  EXPECT_EQ(stream.received.size(), 150'000u);
  EXPECT_FALSE(stream.handled);
  EXPECT_GT(site.budget.used(Account::replies), 0u);
  stream.reset();
  site.transport->settle();
  EXPECT_TRUE(stream.handled);
  EXPECT_FALSE(stream.failure);
  EXPECT_EQ(site.budget.used(), 0u);
}

TEST(AwsHandler, ALargeReplyWithoutMemoryIsRefused) {
  FrontSite site({}, 1000);
  MemoryStream& stream = call(site, "Pieces", R"({"pieces":1000})");
  EXPECT_EQ(stream.status, 400);
  EXPECT_THAT(stream.received, HasSubstr("ProvisionedThroughputExceededException"));
}

TEST(AwsHandler, InterleavedCallsKeepTheirReplies) {
  FrontSite site;
  std::vector<test::Upload> uploads;
  for (int i = 0; i < 10; ++i) {
    MemoryStream& stream = site.transport->open("POST", "/");
    const bool pieces = i % 2;
    for (const auto& [name, value] : json(pieces ? "Kinesis_20131202.Pieces" : kTarget)) stream.header(name, value);
    site.transport->begin(stream);
    uploads.push_back({&stream, pieces ? R"({"pieces":)" + std::to_string(i) + "}"
                                       : R"({"a":")" + std::string(20'000, static_cast<char>('a' + i)) + R"("})"});
  }
  ASSERT_TRUE(test::interleave(*site.transport, uploads, 3));
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(uploads[i].stream->misuse, "");
    if (i % 2)
      EXPECT_EQ(uploads[i].stream->received.size(), i * 100'000u);
    else
      EXPECT_EQ(uploads[i].stream->received, uploads[i].body);
  }
}

TEST(AwsHandler, APeerThatGoesWhileSendingIsNobodysError) {
  FrontSite site;
  MemoryStream& stream = site.transport->open("POST", "/");
  for (const auto& [name, value] : json(kTarget)) stream.header(name, value);
  stream.feed("{");
  site.transport->begin(stream);
  site.transport->settle();
  stream.reset();
  site.transport->settle();
  EXPECT_TRUE(stream.handled);
  EXPECT_FALSE(stream.failure);
  EXPECT_FALSE(stream.started());
}

TEST(AwsHandler, CountsCallsByOperationAndOutcome) {
  FrontSite site;
  call(site, "Echo", "{}");
  call(site, "Echo", "{}");
  call(site, "Failing", "{}");
  call(site, "Throwing", "{}");
  const auto caller = make_service_caller(*site.operations);
  const gateway::ServiceCall in_process{"kinesis", "Echo", "{}", "id"};
  EXPECT_EQ(test::run(caller->call(in_process)).status, 200);
  const std::string page = site.metrics.render();
  EXPECT_THAT(page, testing::ContainsRegex("Echo.*[}] 3\n"));
  EXPECT_THAT(page, testing::ContainsRegex("Failing.*[}] 1\n"));
  EXPECT_THAT(page, testing::ContainsRegex("Throwing.*[}] 1\n"));
}

TEST(ServiceCaller, AnswersAsHttpWould) {
  FrontSite site;
  const auto caller = make_service_caller(*site.operations);
  EXPECT_TRUE(caller->has("kinesis", "Echo"));
  EXPECT_FALSE(caller->has("kinesis", "Nothing"));
  EXPECT_FALSE(caller->has("nothing", "Echo"));
  const auto reply = [&](std::string_view service, std::string_view action, std::string_view body) {
    const gateway::ServiceCall call{service, action, body, "id-1"};
    return test::run(caller->call(call));
  };
  EXPECT_EQ(reply("kinesis", "Echo", R"({"a":1})").body, R"({"a":1})");
  EXPECT_EQ(reply("kinesis", "Id", "{}").body, "id-1");
  EXPECT_EQ(reply("kinesis", "Pieces", R"({"pieces":4})").body.size(), 400'000u);
  const gateway::ServiceReply failed = reply("kinesis", "Failing", "{}");
  EXPECT_EQ(failed.status, 400);
  EXPECT_EQ(failed.body, error("ResourceNotFoundException", "{}"));
  const gateway::ServiceReply thrown = reply("kinesis", "Throwing", "{}");
  EXPECT_EQ(thrown.status, 500);
  EXPECT_EQ(thrown.body, R"({"__type":"InternalFailure"})");
  EXPECT_EQ(reply("kinesis", "Echo", "").body, kSerialization);
  EXPECT_EQ(reply("kinesis", "Nothing", "{}").body, kUnknown);
}

TEST(GatewayHandler, GoesByTheApiThatTheHostNamesElseByStage) {
  FrontSite site;
  const auto handler = make_gateway_handler(site.gateway);
  test::MemoryTransport transport(*handler);
  const auto reply = [&](const std::string& host, const std::string& target) {
    MemoryStream& stream = transport.open("POST", target);
    if (!host.empty()) stream.header("Host", host);
    return transport.exchange(stream, "{}").received;
  };
  EXPECT_EQ(reply("", "/PROD/v1"), "listener|/PROD/v1");
  EXPECT_EQ(reply("localhost:8080", "/PROD/v1"), "listener|/PROD/v1");
  EXPECT_EQ(reply("kinesis.us-east-1.localhost:8080", "/PROD/v1"), "listener|/PROD/v1");
  EXPECT_EQ(reply("127.0.0.1:8080", "/_localstack/health"), "listener|/_localstack/health");
  EXPECT_EQ(reply("ABC.execute-api.localhost:8080", "/PROD/v1?x"), "abc|PROD|/v1");
  EXPECT_EQ(reply("abc.execute-api.localhost:8080", "/_millrace/reset"), "abc|_millrace|/reset");
}

TEST(CountedGateway, CountsWhatEitherListenerBrings) {
  FrontSite site;
  const auto handler = make_gateway_handler(*site.counted_gateway);
  test::MemoryTransport transport(*handler);
  EXPECT_EQ(transport.exchange(transport.open("POST", "/PROD/v1"), "{}").received, "listener|/PROD/v1");
  EXPECT_EQ(transport.exchange(transport.open("POST", "/missing"), "{}").status, 404);
  MemoryStream& thrown = transport.exchange(transport.open("POST", "/throw"), "{}");
  EXPECT_TRUE(thrown.failure);
  for (const char* path : {"/_aws/execute-api/abc/PROD/v1", "/restapis/abc/PROD/_user_request_/v1"})
    site.transport->exchange(site.transport->open("POST", path), "{}");
  EXPECT_THAT(site.metrics.render(), testing::ContainsRegex("execute-api.*[}] 5\n"));
  EXPECT_EQ(site.counted_gateway->apis().size(), site.gateway.apis().size());
  site.counted_gateway.reset();
  EXPECT_THAT(site.metrics.render(), testing::Not(HasSubstr("execute-api")));
}

}  // namespace
}  // namespace millrace::front
