#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/fixture.hpp"
#include "millrace/services/operation.hpp"

namespace millrace::admin {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

class NeighbourPages : public AdminPages {
 protected:
  NeighbourPages() { admin().set_ready(true); }
};

TEST_F(NeighbourPages, HealthOfAnEmptyDaemonIsOneLineAsPythonWritesIt) {
  gateway_.deployed.clear();
  const auto reply = ask_whole("GET", "/_localstack/health");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Content-Type"), "application/json");
  EXPECT_EQ(
      reply.body,
      R"({"services": {"cloudwatch": "available", "firehose": "available", "kinesis": "available", "sts": "available"}, )"
      R"("also": {"cloudwatch": "running", "firehose": "running", "kinesis": "running", "sts": "running"}, )"
      R"("edition": "community", "version": ")" MILLRACE_VERSION R"("})");
  EXPECT_NO_THROW(json::parse(reply.body));
}

TEST_F(NeighbourPages, AServiceRunsWhileItHoldsSomething) {
  gateway_.deployed.clear();
  const auto services = [&] { return body(ask_whole("GET", "/_localstack/health"))["services"]; };
  streams_.add("events", {});
  EXPECT_EQ(services(),
            json::parse(R"({"cloudwatch":"available","firehose":"available","kinesis":"running","sts":"available"})"));
  delivery_.streams["events-to-s3"] = {};
  gateway_.deployed = {{"abcdefghij", "ingest", {"PROD"}, 1}};
  EXPECT_EQ(
      services(),
      json::parse(
          R"({"apigateway":"running","cloudwatch":"available","firehose":"running","kinesis":"running","sts":"available"})"));
  ask_whole("POST", "/_localstack/state/reset");
  EXPECT_EQ(services()["firehose"], "available");
}

TEST_F(NeighbourPages, EitherWordIsFoundByAScriptThatGreps) {
  for (const bool held : {false, true}) {
    if (held) streams_.add("events", {});
    const auto reply = ask_whole("GET", "/_localstack/health");
    EXPECT_THAT(reply.body, HasSubstr(R"("kinesis": "available")"));
    EXPECT_THAT(reply.body, HasSubstr(R"("kinesis": "running")"));
  }
}

TEST_F(NeighbourPages, HealthNamesEveryServiceThatIsServedAndNoOther) {
  gateway_.deployed.clear();
  json served = json::object();
  for (const services::Service& service : services::all_services())
    served[service.name == "monitoring" ? "cloudwatch" : std::string(service.name)] = "available";
  EXPECT_EQ(body(ask_whole("GET", "/_localstack/health"))["services"], served);
}

TEST_F(NeighbourPages, TheOldHealthUrlAnswersTheSame) {
  const auto reply = ask_whole("HEAD", "/health");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body, ask_whole("GET", "/_localstack/health").body);
}

TEST_F(NeighbourPages, HealthWaitsUntilRequestsAreServed) {
  admin().set_ready(false);
  const auto reply = ask_whole("GET", "/_localstack/health");
  EXPECT_EQ(reply.status, 503);
  EXPECT_THAT(reply.body, Not(HasSubstr("kinesis")));
}

TEST_F(NeighbourPages, InfoSaysVersionAndUptime) {
  const json info = body(ask_whole("GET", "/_localstack/info"));
  EXPECT_EQ(info["version"], MILLRACE_VERSION);
  EXPECT_EQ(info["edition"], "community");
  EXPECT_EQ(info["is_license_activated"], false);
  EXPECT_GE(info["uptime"].get<int>(), 0);
}

TEST_F(NeighbourPages, InitIsOverWhenTheDaemonIsReady) {
  for (const bool ready : {false, true}) {
    admin().set_ready(ready);
    const json init = body(ask_whole("GET", "/_localstack/init"));
    EXPECT_EQ(init["scripts"], json::array());
    for (const char* stage : {"BOOT", "START", "READY"}) EXPECT_EQ(init["completed"][stage], ready);
    EXPECT_EQ(init["completed"]["SHUTDOWN"], false);
    for (const char* stage : {"boot", "start", "ready", "READY"}) {
      const json one = body(ask_whole("GET", std::string("/_localstack/init/") + stage));
      EXPECT_EQ(one["completed"], ready) << stage;
      EXPECT_EQ(one["scripts"], json::array());
    }
    for (const char* stage : {"shutdown", "SHUTDOWN"})
      EXPECT_EQ(body(ask_whole("GET", std::string("/_localstack/init/") + stage))["completed"], false);
  }
}

TEST_F(NeighbourPages, WhatIsNotThereIsA404ThatDoesNothing) {
  for (const char* path : {"/_localstack",
                           "/_localstack/",
                           "/_localstack/healthy",
                           "/_localstack/health/",
                           "/_localstack/initial",
                           "/_localstack/init/",
                           "/_localstack/init/never",
                           "/_localstack/INIT/ready",
                           "/_localstack/diagnose",
                           "/_localstack/config",
                           "/_localstack/state",
                           "/_localstack/state/reset/",
                           "/_localstack/state/kinesis/reset",
                           "/_localstack/state/kinesis/save",
                           "/_localstack/state//reset",
                           "/moto-api",
                           "/moto-api/",
                           "/moto-api/data.json",
                           "/moto-api/reset-auth",
                           "/moto-api/reset/",
                           "/_aws/sqs/messages"}) {
    for (const char* method : {"GET", "POST"}) {
      const auto reply = ask_whole(method, path);
      EXPECT_EQ(reply.status, 404) << method << " " << path;
      EXPECT_TRUE(body(reply).contains("error"));
    }
  }
  EXPECT_EQ(calls_, Calls{});
}

TEST_F(NeighbourPages, ResettingOneServiceIsRefusedInItsOwnWords) {
  EXPECT_THAT(ask_whole("POST", "/_localstack/state/kinesis/reset").body, HasSubstr("cannot be reset alone"));
}

TEST_F(NeighbourPages, WhatOnlyReadsTakesNoOtherMethod) {
  // LocalStack ends itself on {"action":"kill"} posted here.
  for (const char* path :
       {"/_localstack/health", "/health", "/_localstack/info", "/_localstack/init", "/_localstack/init/ready"}) {
    for (const char* method : {"POST", "PUT", "DELETE"}) {
      const auto reply = ask_whole(method, path);
      EXPECT_EQ(reply.status, 405) << method << " " << path;
      EXPECT_EQ(reply.header("Allow"), "GET, HEAD");
    }
  }
}

}  // namespace
}  // namespace millrace::admin
