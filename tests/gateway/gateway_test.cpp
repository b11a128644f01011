#include "millrace/gateway/gateway.hpp"

#include <gmock/gmock.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>

#include "gateway/support.hpp"
#include "millrace/codec/base64.hpp"

namespace millrace::gateway {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// A minimal document; `paths` is its YAML, indented by two.
std::string document(const std::string& paths) { return "openapi: 3.0.1\npaths:\n" + paths; }

/// A method that echoes its parameters to the service.
std::string method(const std::string& verb, const std::string& request_template = "$input.params().path",
                   const std::string& rest = "        responses: {default: {statusCode: 200}}\n") {
  return "    " + verb +
         ":\n      x-amazon-apigateway-integration:\n        type: aws\n"
         "        uri: arn:aws:apigateway:us-east-1:kinesis:action/PutRecord\n"
         "        requestTemplates:\n          application/json: |\n            " +
         request_template + "\n" + rest;
}

class GatewayTest : public testing::Test {
 protected:
  struct Reply {
    int status;
    std::string body;
    test::RecordedResponse response;
  };

  Result<ApiSummary> deploy(const std::string& name, const std::string& text,
                            std::vector<std::string> stages = {"PROD"}) {
    return gateway_->deploy({name, "", std::move(stages), text, name + ".yaml"});
  }
  void deploy_ingest() {
    auto deployed = deploy("ingest", read_file(std::string(MILLRACE_TEST_DATA) + "/../../config/ingest.openapi.yaml"));
    ASSERT_TRUE(deployed) << deployed.error().detail;
    EXPECT_EQ(deployed->routes, 1u);
  }

  test::RecordedResponse send(test::TestRequest& request) {
    test::RecordedResponse response;
    test::run(gateway_->handle(request.request, response));
    EXPECT_EQ(response.misuse, "");
    EXPECT_TRUE(response.finished);
    return response;
  }
  test::RecordedResponse send(const std::string& verb, const std::string& target, const std::string& body = "",
                              const std::string& type = "") {
    test::TestRequest request(verb, target, body);
    if (!type.empty()) request.header("Content-Type", type);
    return send(request);
  }
  /// What was asked of the service last.
  std::string called() const { return services_.calls.empty() ? "not called" : services_.calls.back().body; }
  /// The record's data in the last PutRecord.
  std::string stored() const {
    const std::string body = called();
    const std::string mark = "\"Data\":\"";
    const std::size_t begin = body.find(mark);
    if (begin == std::string::npos) return "no data";
    const std::size_t end = body.find('"', begin + mark.size());
    auto data = codec::base64::decode(std::string_view(body).substr(begin + mark.size(), end - begin - mark.size()));
    return data ? *data : "not base64";
  }

  ManualClock clock_;
  std::unique_ptr<Random> random_ = make_seeded_random(7);
  FakeServices services_;
  std::unique_ptr<Gateway> gateway_ = make_gateway(clock_, *random_, services_, {});
};

using IngestApi = GatewayTest;

TEST_F(IngestApi, StoresAJsonEventOnOneLineAndAnswersWithItsPlace) {
  deploy_ingest();
  auto response = send("POST", "/PROD/v1", "{\n  \"event\": \"click\",\n  \"n\": 1.50\n}\n", "application/json");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"ShardId":"shardId-000000000000","SequenceNumber":"49"})");
  EXPECT_EQ(response.header("content-type"), "application/json");
  EXPECT_FALSE(response.has_header("x-amzn-ErrorType"));
  ASSERT_EQ(services_.calls.size(), 1u);
  const auto& call = services_.calls[0];
  EXPECT_EQ(call.service, "kinesis");
  EXPECT_EQ(call.action, "PutRecord");
  EXPECT_EQ(call.request_id, response.header("x-amzn-RequestId"));
  EXPECT_EQ(call.request_id.size(), kUuidChars);
  EXPECT_EQ(call.body, "{\"StreamName\":\"events\",\"Data\":\"" +
                           codec::base64::encode(R"({"event":"click","n":1.50})") + "\",\"PartitionKey\":\"" +
                           call.request_id + "\"}");
}

TEST_F(IngestApi, EveryResponseHasItsIds) {
  deploy_ingest();
  auto first = send("POST", "/PROD/v1", "{}"), second = send("GET", "/none"), third = send("POST", "/PROD/v1", "x");
  for (const auto* response : {&first, &second, &third}) {
    EXPECT_EQ(response->header("x-amzn-RequestId").size(), kUuidChars);
    EXPECT_EQ(response->header("x-amz-apigw-id").size(), 16u);
    EXPECT_EQ(response->header("x-amz-apigw-id").back(), '=');
    auto decoded = codec::base64::decode(response->header("x-amz-apigw-id"));
    EXPECT_TRUE(decoded);
  }
  EXPECT_NE(first.header("x-amzn-RequestId"), second.header("x-amzn-RequestId"));
  EXPECT_NE(first.header("x-amz-apigw-id"), second.header("x-amz-apigw-id"));
}

TEST_F(IngestApi, WhatATemplateMakesOfABodyIsWithinTheMemoryBudget) {
  MemoryBudget budget{2u << 20};
  GatewayOptions options;
  options.budget = &budget;
  gateway_ = make_gateway(clock_, *random_, services_, options);
  deploy_ingest();
  std::size_t held_in_call = 0;
  services_.on_call = [&] { held_in_call = budget.used(Account::bodies); };
  const std::string small = "[" + std::string(1'000, ' ') + "1]";
  EXPECT_EQ(send("POST", "/PROD/v1", small).status, 200);
  EXPECT_EQ(held_in_call, 0u) << "what is small is kept by its thread";
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_EQ(send("POST", "/PROD/v1", "\"" + std::string(200'000, 'x') + "\"").status, 200);
  EXPECT_GT(held_in_call, 200'000u * 4 / 3);
  EXPECT_EQ(budget.used(), 0u);

  std::string many = "[0";
  for (int i = 0; i < 300'000; ++i) many += ",0";
  ASSERT_TRUE(
      deploy("tree", document("  /tree:\n" + method("post", "#set($all = $input.path('$'))$all.size()")), {"TREE"}));
  const std::size_t calls = services_.calls.size();
  const auto refused = send("POST", "/TREE/tree", many + "]");
  EXPECT_EQ(refused.status, 503);
  EXPECT_EQ(refused.body, R"({"message":"Service Unavailable"})");
  EXPECT_EQ(services_.calls.size(), calls);
  EXPECT_EQ(budget.used(), 0u);
  EXPECT_GT(budget.refused(), 0u);
  EXPECT_EQ(send("POST", "/TREE/tree", small).status, 200);
  EXPECT_EQ(called(), "1");
}

TEST_F(IngestApi, RepliesAfterACallHaveATraceId) {
  deploy_ingest();
  const auto traced = [&](const std::string& header) {
    test::TestRequest request("POST", "/PROD/v1", "{}");
    if (!header.empty()) request.header("X-Amzn-Trace-Id", header);
    return send(request).header("x-amzn-trace-id");
  };
  const std::string made = traced("");
  EXPECT_THAT(made, testing::MatchesRegex("Root=1-6955b900-[0-9a-f]{24}")) << "the clock's seconds, then random digits";
  EXPECT_NE(traced(""), made);
  const std::string sent = "Root=1-67891233-abcdef012345678912345678";
  EXPECT_EQ(traced(sent), sent);
  EXPECT_EQ(traced("Self=1-67891234-abcdef012345678912345678; " + sent + ";Parent=53995c3f42cd8ad8;Sampled=1"), sent);
  for (const char* odd : {"Root=1-67891233-abcdef01234567891234567", "root=1-67891233-abcdef012345678912345678",
                          "Root=1-67891233-ABCDEF012345678912345678", "Root=", ";", "; ;Root"})
    EXPECT_THAT(traced(odd), testing::MatchesRegex("Root=1-6955b900-[0-9a-f]{24}")) << odd;

  services_.throws = true;
  auto failed = send("POST", "/PROD/v1", "{}");
  EXPECT_EQ(failed.status, 500);
  EXPECT_TRUE(failed.has_header("x-amzn-trace-id"));
  for (const auto& [target, body] : {std::pair{"/none", ""}, std::pair{"/PROD/none", ""}, std::pair{"/PROD/v1", "x"}})
    EXPECT_FALSE(send("POST", target, body).has_header("x-amzn-trace-id")) << target;
}

TEST_F(IngestApi, PlainCurlSendsJsonAsAForm) {
  deploy_ingest();
  EXPECT_EQ(send("POST", "/PROD/v1", R"({"a": "b+c%20d"})", "application/x-www-form-urlencoded").status, 200);
  EXPECT_EQ(stored(), R"({"a":"b+c%20d"})");
}

TEST_F(IngestApi, TheContentTypesParametersAndCaseDoNotCount) {
  deploy_ingest();
  EXPECT_EQ(send("POST", "/PROD/v1", "[1 , 2]", " APPLICATION/Json ; charset=utf-8").status, 200);
  EXPECT_EQ(stored(), "[1,2]");
}

TEST_F(IngestApi, TextIsStoredAsItCame) {
  deploy_ingest();
  const std::string text("a \"b\"\n{ not json \xff \0 end ", 26);
  EXPECT_EQ(send("POST", "/PROD/v1", text, "text/plain; charset=utf-8").status, 200);
  EXPECT_EQ(stored(), text);
}

TEST_F(IngestApi, AnEmptyBodyIsAnEmptyObject) {
  deploy_ingest();
  EXPECT_EQ(send("POST", "/PROD/v1").status, 200);
  EXPECT_EQ(stored(), "{}");
}

TEST_F(IngestApi, NumbersEscapesAndUnicodeAreKept) {
  deploy_ingest();
  send(
      "POST", "/PROD/v1",
      R"({ "z" : 1e400, "a" : 0.10, "big" : 12345678901234567890123, "s" : "\u00e4\ud83d\ude00 ö \"\\\/\n", "z2":{} })");
  EXPECT_EQ(stored(), "{\"z\":1e400,\"a\":0.10,\"big\":12345678901234567890123,\"s\":\"ä😀 ö \\\"\\\\/\\n\",\"z2\":{}}");
}

TEST_F(IngestApi, ABodyThatIsNotJsonIsRefused) {
  deploy_ingest();
  for (const char* body : {"hello", "{\"a\":1", "{\"a\":\"\xff\"}", "{} {}", "{\"a\":\"\x01\"}"}) {
    auto response = send("POST", "/PROD/v1", body, "application/json");
    EXPECT_EQ(response.status, 400) << body;
    EXPECT_EQ(response.body.find(R"({"message":"Could not parse request body into json: )"), 0u) << response.body;
    EXPECT_EQ(response.header("x-amzn-ErrorType"), "BadRequestException");
    EXPECT_EQ(response.header("content-type"), "application/json");
  }
  EXPECT_TRUE(services_.calls.empty());
}

TEST_F(IngestApi, AnotherMediaTypeIsRefusedBeforeItsBodyIsRead) {
  deploy_ingest();
  test::TestRequest request("POST", "/PROD/v1", "<a/>");
  request.header("content-type", "application/xml");
  auto response = send(request);
  EXPECT_EQ(response.status, 415);
  EXPECT_EQ(response.body, R"({"message":"Unsupported Media Type"})");
  EXPECT_EQ(response.header("x-amzn-ErrorType"), "BadRequestException");
  EXPECT_FALSE(request.body().asked());
}

TEST_F(IngestApi, ErrorsOfTheServiceHaveTheirStatus) {
  deploy_ingest();
  struct Case {
    ServiceReply reply;
    int status;
  };
  const std::string tail = R"(","message":"ö"})";
  for (const Case& c : {Case{{400, R"({"__type":"ResourceNotFoundException)" + tail}, 400},
                        Case{{404, R"({"__type":"AnyException)" + tail}, 400},
                        Case{{400, R"({"__type":"ProvisionedThroughputExceededException)" + tail}, 429},
                        Case{{400, R"({"__type":"LimitExceededException)" + tail}, 429},
                        Case{{500, R"({"__type":"InternalFailure)" + tail}, 500},
                        Case{{503, R"({"__type":"ServiceUnavailable)" + tail}, 500}}) {
    services_.reply = c.reply;
    auto response = send("POST", "/PROD/v1", "{}");
    EXPECT_EQ(response.status, c.status);
    EXPECT_EQ(response.body, c.reply.body);
    EXPECT_EQ(response.header("content-type"), "application/json");
  }
}

TEST_F(IngestApi, AnErrorDoesNotStickToTheNextRequest) {
  deploy_ingest();
  services_.reply = {400, R"({"__type":"LimitExceededException"})"};
  EXPECT_EQ(send("POST", "/PROD/v1", "{}").status, 429);
  services_.reply = {200, "{}"};
  EXPECT_EQ(send("POST", "/PROD/v1", "{}").status, 200);
  EXPECT_EQ(send("POST", "/PROD/none").status, 403);
  EXPECT_FALSE(send("POST", "/PROD/v1", "{}").has_header("x-amzn-ErrorType"));
}

TEST_F(IngestApi, ATooLargeBodyIsRefusedBeforeItIsAskedFor) {
  gateway_ = make_gateway(clock_, *random_, services_, {.body_bytes_max = 10});
  deploy_ingest();
  test::TestRequest request("POST", "/PROD/v1", "[1,2,3,4,5]");
  auto response = send(request);
  EXPECT_EQ(response.status, 413);
  EXPECT_EQ(response.header("x-amzn-ErrorType"), "RequestTooLargeException");
  EXPECT_FALSE(request.body().asked());
  EXPECT_EQ(send("POST", "/PROD/v1", "[1,2,3,45]").status, 200);
}

TEST_F(IngestApi, TheLargestBodyReachesTheService) {
  deploy_ingest();
  const std::string event = "\"" + std::string((10u << 20) - 2, 'x') + "\"";
  EXPECT_EQ(send("POST", "/PROD/v1", event).status, 200);
  EXPECT_EQ(stored(), event);
  EXPECT_EQ(send("POST", "/PROD/v1", event + " ").status, 413);
}

TEST_F(IngestApi, FailuresToReadTheBodyAreAnswered) {
  deploy_ingest();
  for (auto [code, status] : {std::pair{http::Errc::malformed, 400}, {http::Errc::no_memory, 503}}) {
    test::TestRequest request("POST", "/PROD/v1", "{}");
    request.body().fail_with(code);
    EXPECT_EQ(send(request).status, status);
  }
  test::TestRequest gone("POST", "/PROD/v1", "{}");
  gone.body().fail_with(http::Errc::peer_gone);
  test::RecordedResponse response;
  test::run(gateway_->handle(gone.request, response));
  EXPECT_FALSE(response.started());
}

TEST_F(IngestApi, ABugBehindTheIntegrationIsAnsweredWith500) {
  deploy_ingest();
  services_.throws = true;
  auto response = send("POST", "/PROD/v1", "{}");
  EXPECT_EQ(response.status, 500);
  EXPECT_EQ(response.body, R"({"message":"Internal server error"})");
  EXPECT_EQ(response.header("x-amzn-ErrorType"), "InternalServerErrorException");
}

TEST_F(GatewayTest, UnknownPathsMethodsAndStagesAreRefusedAsTheServiceDoes) {
  deploy_ingest();
  for (const char* path : {"/PROD", "/PROD/", "/PROD/v2", "/PROD/v1/x", "/PROD/V1"}) {
    auto response = send("POST", path);
    EXPECT_EQ(response.status, 403) << path;
    EXPECT_EQ(response.body, R"({"message":"Missing Authentication Token"})");
    EXPECT_EQ(response.header("x-amzn-ErrorType"), "MissingAuthenticationTokenException");
  }
  EXPECT_EQ(send("GET", "/PROD/v1").body, R"({"message":"Missing Authentication Token"})");
  for (const char* path : {"/", "//", "/prod/v1", "/DEV/v1", "/%00/v1"}) {
    auto response = send("POST", path);
    EXPECT_EQ(response.status, 403) << path;
    EXPECT_EQ(response.body, R"({"message":"Forbidden"})") << path;
    EXPECT_EQ(response.header("x-amzn-ErrorType"), "ForbiddenException");
  }
}

TEST_F(GatewayTest, SlashesTooManyDoNotCount) {
  deploy_ingest();
  for (const char* path : {"/PROD/v1/", "//PROD//v1//", "/PROD/v1?x=/y", "/%50ROD/%76%31"})
    EXPECT_EQ(send("POST", path).status, 200) << path;
}

TEST_F(GatewayTest, LiteralGoesBeforeParameterBeforeGreedy) {
  ASSERT_TRUE(deploy("routes", document("  /a/b:\n" + method("get", "literal") + "  /a/{p}:\n" +
                                        method("get", "one $input.params('p')") + "  /a/{p}/c:\n" +
                                        method("get", "below $input.params('p')") + "  /g/{rest+}:\n" +
                                        method("get", "greedy $input.params('rest')") + "  /g/x:\n" +
                                        method("get", "fixed") + "  /:\n" + method("get", "root"))));
  const std::pair<const char*, const char*> cases[] = {{"/PROD/a/b", "literal"},
                                                       {"/PROD/a/x", "one x"},
                                                       {"/PROD/a/b/c", "below b"},
                                                       {"/PROD/g/x", "fixed"},
                                                       {"/PROD/g/x/y", "greedy x/y"},
                                                       {"/PROD/g/1//2/", "greedy 1/2"},
                                                       {"/PROD/g/%2F/a%20b", "greedy //a b"},
                                                       {"/PROD", "root"},
                                                       {"/PROD/", "root"}};
  for (const auto& [path, wanted] : cases) {
    services_.calls.clear();
    send("GET", path);
    EXPECT_EQ(called(), wanted) << path;
  }
  services_.calls.clear();
  EXPECT_EQ(send("GET", "/PROD/g").status, 403);
  EXPECT_EQ(send("GET", "/PROD/a").status, 403);
  EXPECT_TRUE(services_.calls.empty());
}

TEST_F(GatewayTest, HostilePathSegmentsReachTheTemplateDecodedAndNothingElse) {
  ASSERT_TRUE(deploy("routes", document("  /s/{name}:\n" + method("get", "[$input.params('name')]"))));
  const std::string large(2048, 'x');
  const std::pair<std::string, std::string> cases[] = {{"%F0%9F%98%80", "😀"},
                                                       {"😀", "😀"},
                                                       {"%2e%2e", ".."},
                                                       {"..", ".."},
                                                       {"a%00b", std::string("a\0b", 3)},
                                                       {"a%2Fb", "a/b"},
                                                       {"a+b", "a+b"},
                                                       {"%", "%"},
                                                       {"%4", "%4"},
                                                       {"%zz%41", "%zzA"},
                                                       {"%ff", "\xff"},
                                                       {"$input.body", "$input.body"},
                                                       {large, large},
                                                       {"%25%34%31", "%41"}};
  for (const auto& [raw, decoded] : cases) {
    services_.calls.clear();
    EXPECT_EQ(send("GET", "/PROD/s/" + raw).status, 200);
    EXPECT_EQ(called(), "[" + decoded + "]");
  }
}

TEST_F(GatewayTest, AnyAnswersTheMethodsWithoutTheirOwn) {
  ASSERT_TRUE(deploy("routes", document("  /a:\n" + method("get", "get") +
                                        method("x-amazon-apigateway-any-method", "any $context.httpMethod"))));
  send("GET", "/PROD/a");
  EXPECT_EQ(called(), "get");
  send("PATCH", "/PROD/a");
  EXPECT_EQ(called(), "any PATCH");
}

TEST_F(GatewayTest, TheSameApiAnswersByItsId) {
  deploy_ingest();
  const std::string id = api_id_of_name("ingest");
  EXPECT_EQ(id.size(), 10u);
  EXPECT_EQ(id, gateway_->apis().at(0).id);
  EXPECT_NE(id, api_id_of_name("ingest2"));
  const auto by_id = [&](std::string_view api, std::string_view stage, std::string_view path) {
    test::TestRequest request("POST", "/elsewhere", "{\"a\": 1}");
    test::RecordedResponse response;
    test::run(gateway_->handle_api(api, stage, path, request.request, response));
    return response;
  };
  EXPECT_EQ(by_id(id, "PROD", "/v1").status, 200);
  EXPECT_EQ(stored(), R"({"a":1})");
  EXPECT_EQ(by_id(id, "PROD", "/v1/").status, 200);
  EXPECT_EQ(by_id(id, "PROD", "/").body, R"({"message":"Missing Authentication Token"})");
  EXPECT_EQ(by_id(id, "DEV", "/v1").body, R"({"message":"Forbidden"})");
  EXPECT_EQ(by_id("aaaaaaaaaa", "PROD", "/v1").body, R"({"message":"Forbidden"})");
}

TEST_F(GatewayTest, ContextPathHasTheStageEitherWay) {
  ASSERT_TRUE(deploy(
      "routes",
      document(
          "  /a/{p}:\n" +
          method("get", "$context.path $context.resourcePath $context.stage $context.domainName $context.apiId"))));
  const std::string id = api_id_of_name("routes");
  test::TestRequest request("GET", "/PROD/a/1");
  request.header("Host", "localhost:8080");
  send(request);
  EXPECT_EQ(called(), "/PROD/a/1 /a/{p} PROD localhost " + id);
  test::RecordedResponse response;
  test::run(gateway_->handle_api(id, "PROD", "/a/1", request.request, response));
  EXPECT_EQ(called(), "/PROD/a/1 /a/{p} PROD localhost " + id);
}

TEST_F(GatewayTest, PassthroughFollowsTheTable) {
  const std::string none =
      "      x-amazon-apigateway-integration:\n        type: aws\n        uri: "
      "arn:aws:apigateway:us-east-1:kinesis:action/PutRecord\n"
      "        responses: {default: {statusCode: 200}}\n";
  const auto with = [&](const std::string& behavior) {
    return method("post", "T",
                  "        passthroughBehavior: " + behavior + "\n        responses: {default: {statusCode: 200}}\n");
  };
  ASSERT_TRUE(
      deploy("routes", document("  /t-default:\n" + method("post", "T") + "  /t-match:\n" + with("when_no_match") +
                                "  /t-templates:\n" + with("WHEN_NO_TEMPLATES") + "  /t-never:\n" + with("never") +
                                "  /n-default:\n    post:\n" + none + "  /n-templates:\n    post:\n" + none +
                                "        passthroughBehavior: when_no_templates\n  /n-never:\n    post:\n" + none +
                                "        passthroughBehavior: never\n")));
  struct Case {
    const char* path;
    const char* type;
    int status;
    const char* called;
  };
  for (const Case& c :
       {Case{"t-default", "application/json", 200, "T"}, Case{"t-default", "", 200, "T"},
        Case{"t-default", "a/b", 200, "body"}, Case{"t-match", "a/b", 200, "body"},
        Case{"t-templates", "application/json", 200, "T"}, Case{"t-templates", "a/b", 415, "not called"},
        Case{"t-never", "application/json", 200, "T"}, Case{"t-never", "a/b", 415, "not called"},
        Case{"n-default", "a/b", 200, "body"}, Case{"n-templates", "a/b", 200, "body"},
        Case{"n-never", "a/b", 415, "not called"}, Case{"n-never", "", 415, "not called"}}) {
    services_.calls.clear();
    EXPECT_EQ(send("POST", std::string("/PROD/") + c.path, "body", c.type).status, c.status) << c.path << " " << c.type;
    EXPECT_EQ(called(), c.called) << c.path << " " << c.type;
  }
}

TEST_F(GatewayTest, SelectionPatternsMatchTheWholeStatusInTheirOrder) {
  ASSERT_TRUE(deploy(
      "routes",
      document("  /a:\n" +
               method("get", "x",
                      "        responses:\n          '40|503': {statusCode: 501}\n          '404': {statusCode: 204}\n"
                      "          '4\\d{2}': {statusCode: 400}\n          '200|201': {statusCode: 202}\n"))));
  for (auto [from, to] : {std::pair{404, 204}, {400, 400}, {499, 400}, {200, 202}, {201, 202}, {500, 500}}) {
    services_.reply = {from, "{}"};
    EXPECT_EQ(send("GET", "/PROD/a").status, to) << from;
  }
  services_.reply = {500, "{}"};
  auto response = send("GET", "/PROD/a");
  EXPECT_EQ(response.body, R"({"message":"Internal server error"})");
  EXPECT_EQ(response.header("x-amzn-ErrorType"), "InternalServerErrorException");
}

TEST_F(GatewayTest, ResponseTemplatesAreChosenByWhatTheClientAccepts) {
  ASSERT_TRUE(deploy(
      "routes",
      document(
          "  /a:\n" +
          method("get", "x",
                 "        responses:\n          default:\n            statusCode: 200\n            "
                 "responseTemplates:\n              text/csv: csv\n"
                 "              application/json: json $input.path('$.a')\n              application/xml: xml\n"))));
  services_.reply = {200, R"({"a":"b"})"};
  for (auto [accept, wanted] : {std::pair{"", "json b"},
                                {"*/*", "json b"},
                                {"application/xml", "xml"},
                                {"image/png, text/CSV;q=0.5", "csv"},
                                {"image/png", "json b"}}) {
    test::TestRequest request("GET", "/PROD/a");
    if (*accept) request.header("Accept", accept);
    EXPECT_EQ(send(request).body, wanted) << accept;
  }
}

TEST_F(GatewayTest, ResponseHeadersAreMappedAndOverridden) {
  ASSERT_TRUE(deploy(
      "routes",
      document(
          "  /a:\n" +
          method(
              "get", "x",
              "        responses:\n          default:\n            statusCode: 200\n            responseParameters:\n"
              "              method.response.header.Content-Type: \"'text/plain'\"\n              "
              "method.response.header.X-One: \"'1'\"\n"
              "              method.response.header.Content-Length: \"'7'\"\n            responseTemplates:\n"
              "              application/json: \"#set($context.responseOverride.header.x-one = "
              "'over')#set($context.responseOverride.header.Server = 'me')ok\"\n"))));
  auto response = send("GET", "/PROD/a");
  EXPECT_EQ(response.header("content-type"), "text/plain");
  EXPECT_EQ(response.header("X-One"), "over");
  EXPECT_FALSE(response.has_header("content-length"));
  EXPECT_EQ(response.header("x-amzn-Remapped-Content-Length"), "7");
  EXPECT_EQ(response.header("x-amzn-Remapped-Server"), "me");
  EXPECT_EQ(response.body, "ok");
}

TEST_F(GatewayTest, ATemplateThatFailsAnswers500) {
  ASSERT_TRUE(deploy("routes", document("  /a:\n" + method("post", "#foreach($x in $input.path('$'))a#end"))));
  std::string body = "[0";
  for (int i = 0; i < 1000; ++i) body += ",0";
  EXPECT_EQ(send("POST", "/PROD/a", body + "]").status, 500);
  EXPECT_TRUE(services_.calls.empty());
}

TEST_F(GatewayTest, AnEmptyAnswerOfTheServicePassesThrough) {
  ASSERT_TRUE(deploy("routes", document("  /a:\n" + method("post", "{}"))));
  services_.reply = {200, ""};
  auto response = send("POST", "/PROD/a");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, "");
}

TEST_F(GatewayTest, TheDocumentedPutRecordsTemplateWorks) {
  ASSERT_TRUE(deploy(
      "kinesis",
      document(
          "  /streams/{stream-name}/records:\n" +
          method(
              "put",
              R"VTL({"StreamName":"$input.params('stream-name')","Records":[#foreach($elem in $input.path('$.records')){"Data":"$util.base64Encode($elem.data)","PartitionKey":"$elem.partition-key"}#if($foreach.hasNext),#end#end]})VTL"))));
  send("PUT", "/PROD/streams/events/records",
       R"({"records":[{"data":"a","partition-key":"k1"},{"data":"b","partition-key":"k2"}]})");
  EXPECT_EQ(
      called(),
      R"({"StreamName":"events","Records":[{"Data":"YQ==","PartitionKey":"k1"},{"Data":"Yg==","PartitionKey":"k2"}]})");
}

TEST_F(GatewayTest, ApisShareAStageWhenTheirPathsDoNot) {
  ASSERT_TRUE(deploy("one", document("  /a:\n" + method("get", "one") + "  /shared/{x}:\n" +
                                     method("get", "one $input.params('x')"))));
  ASSERT_TRUE(deploy("two", document("  /b:\n" + method("get", "two") + "  /shared/{y}:\n" +
                                     method("post", "two $input.params('y')"))));
  send("GET", "/PROD/a");
  EXPECT_EQ(called(), "one");
  send("GET", "/PROD/b");
  EXPECT_EQ(called(), "two");
  send("POST", "/PROD/shared/1");
  EXPECT_EQ(called(), "two 1");
  send("GET", "/PROD/shared/1");
  EXPECT_EQ(called(), "one 1");
}

TEST_F(GatewayTest, OverlappingApisAreRefusedByName) {
  ASSERT_TRUE(deploy("one", document("  /v1:\n" + method("post") + "  /s/{p}:\n" + method("get"))));
  auto same = deploy("two", document("  /v1:\n" + method("post")));
  ASSERT_FALSE(same);
  EXPECT_EQ(same.error().detail,
            "two.yaml:3:3: path `/v1` of API `two` answers the same requests on stage `PROD` as `/v1` of API `one` "
            "(one.yaml:3): give one of them another stage or path");
  auto several =
      deploy("two", document("  /v1:\n" + method("post") + "  /other:\n" + method("get") + "  /s/x:\n" + method("get")),
             {"DEV", "PROD"});
  ASSERT_FALSE(several);
  EXPECT_EQ(
      several.error().detail,
      "two.yaml:3:3: path `/v1` of API `two` answers the same requests on stage `PROD` as `/v1` of API `one` "
      "(one.yaml:3): give one of them another stage or path\n"
      "two.yaml:21:3: path `/s/x` of API `two` answers the same requests on stage `PROD` as `/s/{p}` of API `one` "
      "(one.yaml:12): give one of them another stage or path");
  EXPECT_FALSE(deploy("two", document("  /s/literal:\n" + method("get"))));
  EXPECT_FALSE(deploy("two", document("  /s/literal:\n" + method("post"))));
  EXPECT_FALSE(deploy("two", document("  /{all+}:\n" + method("get"))));
  EXPECT_FALSE(deploy("two", document("  /v1:\n" + method("x-amazon-apigateway-any-method"))));
  EXPECT_FALSE(deploy("one", document("  /other:\n" + method("get"))));
  EXPECT_TRUE(deploy("two", document("  /v1:\n" + method("post")), {"DEV"}));
  EXPECT_EQ(gateway_->apis().size(), 2u);
}

TEST_F(GatewayTest, RequestsSeeOneSetOfApisWhileOthersAreDeployed) {
  struct Counting final : ServiceCaller {
    std::atomic<int> calls{0};
    awaitable<ServiceReply> call(const ServiceCall&) override {
      ++calls;
      co_return ServiceReply{200, "{}"};
    }
    bool has(std::string_view, std::string_view) const override { return true; }
  } services;
  const auto random = make_system_random();
  gateway_ = make_gateway(clock_, *random, services, {});
  deploy_ingest();
  constexpr int kThreads = 3, kRequests = 100, kApis = 20;
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < kRequests; ++i) {
        test::TestRequest request("POST", "/PROD/v1", R"({"a":"b"})");
        test::RecordedResponse response;
        test::run(gateway_->handle(request.request, response));
        answered += response.status == 200;
      }
    });
  for (int i = 0; i < kApis; ++i)
    EXPECT_TRUE(deploy("api" + std::to_string(i), document("  /p" + std::to_string(i) + ":\n" + method("get"))));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(answered, kThreads * kRequests);
  EXPECT_EQ(services.calls, kThreads * kRequests);
  EXPECT_EQ(gateway_->apis().size(), std::size_t{kApis + 1});
}

TEST_F(GatewayTest, NamesOfStagesAndIdsAreChecked) {
  const std::string text = document("  /v1:\n" + method("post"));
  EXPECT_FALSE(deploy("a", text, {}));
  EXPECT_FALSE(deploy("a", text, {"PR/OD"}));
  EXPECT_FALSE(deploy("a", text, {std::string(129, 'a')}));
  EXPECT_FALSE(deploy("a", text, {"A", "A"}));
  EXPECT_FALSE(gateway_->deploy({"a", "UPPERCASE0", {"A"}, text, "a.yaml"}));
  auto fixed = gateway_->deploy({"a", "abcdefgh01", {"A", "B"}, text, "a.yaml"});
  ASSERT_TRUE(fixed);
  EXPECT_EQ(fixed->id, "abcdefgh01");
  EXPECT_FALSE(gateway_->deploy({"b", "abcdefgh01", {"C"}, text, "b.yaml"}));
}

TEST_F(GatewayTest, ReadsJsonAsItReadsYaml) {
  auto deployed = deploy("json", R"({
    "openapi" : "3.0.1",
    "info" : { "title" : "x", "version" : "2024-01-01" },
    "servers" : [ { "url" : "https://a.execute-api.us-east-1.amazonaws.com/{basePath}", "variables" : { "basePath" : { "default" : "/test" } } } ],
    "paths" : { "/streams" : { "get" : { "responses" : { "200" : { "description" : "200 response", "content" : {} }, "400" : { "description" : "400 response" } },
      "x-amazon-apigateway-integration" : { "credentials" : "arn:aws:iam::123456789012:role/r", "httpMethod" : "POST",
        "uri" : "arn:aws:apigateway:eu-west-1:kinesis:action/PutRecord",
        "responses" : { "4\\d{2}" : { "statusCode" : "400", "responseParameters" : { "method.response.header.Content-Type" : "'application/json'" } }, "default" : { "statusCode" : "200" } },
        "requestParameters" : { "integration.request.header.Content-Type" : "'application/x-amz-json-1.1'" },
        "requestTemplates" : { "application/json" : "{\n\"A\": \"$input.params('q')\"\n}" },
        "passthroughBehavior" : "when_no_match", "type" : "aws" } } } },
    "components" : { "schemas" : { "Empty" : { "title" : "Empty Schema", "type" : "object" } } } })");
  ASSERT_TRUE(deployed) << deployed.error().detail;
  send("GET", "/PROD/streams?q=1");
  EXPECT_EQ(called(), "{\n\"A\": \"1\"\n}");
}

}  // namespace
}  // namespace millrace::gateway
