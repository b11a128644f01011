#include "millrace/admin/admin.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "admin/fixture.hpp"
#include "admin/query.hpp"

namespace millrace::admin {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

TEST_F(AdminPages, HealthIsOkAndSaysVersionAndStorage) {
  const auto reply = ask("GET", "/health");
  EXPECT_EQ(reply.status, 200);
  const json health = body(reply);
  EXPECT_EQ(health["status"], "ok");
  EXPECT_EQ(health["version"], MILLRACE_VERSION);
  EXPECT_EQ(health["storage"], "memory");
  EXPECT_GE(health["uptime_seconds"].get<int>(), 0);
  EXPECT_EQ(health["problems"], json::array());
}

TEST_F(AdminPages, HealthIsDegradedButAnswers200WhenADestinationFails) {
  delivery_.streams["good"] = {};
  delivery_.streams["bad"].last_error = "create /data/\xff: Permission denied";
  const auto reply = ask("GET", "/health");
  EXPECT_EQ(reply.status, 200);
  const json health = body(reply);
  EXPECT_EQ(health["status"], "degraded");
  ASSERT_EQ(health["problems"].size(), 1u);
  EXPECT_EQ(health["problems"][0]["delivery_stream"], "bad");
  EXPECT_THAT(health["problems"][0]["reason"].get<std::string>(), HasSubstr("Permission denied"));
}

TEST_F(AdminPages, HealthIsDegradedWhileStorageIsNotWell) {
  degraded_ = {"the disk is full", "odd \xff"};
  const json health = body(ask("GET", "/health"));
  EXPECT_EQ(health["status"], "degraded");
  ASSERT_EQ(health["problems"].size(), 2u);
  EXPECT_EQ(health["problems"][0], (json{{"part", "storage"}, {"reason", "the disk is full"}}));
  degraded_.clear();
  EXPECT_EQ(body(ask("GET", "/health"))["status"], "ok");
}

TEST_F(AdminPages, TheAuthorityIsTextOfItsOwnKindWhereThereIsOne) {
  EXPECT_EQ(ask("GET", "/ca.pem").status, 404);
  authority_ = "-----BEGIN CERTIFICATE-----\n";
  const auto reply = ask("GET", "/ca.pem");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("content-type"), "application/x-pem-file");
  EXPECT_EQ(reply.body, authority_);
  EXPECT_EQ(ask("HEAD", "/ca.pem").status, 200);
  EXPECT_EQ(ask("POST", "/ca.pem").status, 405);
}

TEST_F(AdminPages, ReadyFollowsSetReady) {
  auto reply = ask("GET", "/ready");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(body(reply)["ready"], false);
  admin().set_ready(true);
  reply = ask("HEAD", "/ready");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(body(reply)["ready"], true);
  admin().set_ready(false);
  EXPECT_EQ(ask("GET", "/ready").status, 503);
}

TEST_F(AdminPages, UnknownPathIs404AndAWrongMethodIs405WithAllow) {
  for (const char* path : {"/", "/healthy", "/health/", ""}) {
    const auto reply = ask("GET", path);
    EXPECT_EQ(reply.status, 404) << path;
    EXPECT_TRUE(body(reply).contains("error"));
  }
  for (const char* path : {"/health", "/ready", "/metrics"}) {
    const auto reply = ask("POST", path);
    EXPECT_EQ(reply.status, 405) << path;
    EXPECT_EQ(reply.header("Allow"), "GET, HEAD");
  }
  for (const char* path : {"/flush", "/reset"}) {
    const auto reply = ask("GET", path);
    EXPECT_EQ(reply.status, 405) << path;
    EXPECT_EQ(reply.header("Allow"), "POST");
    EXPECT_TRUE(body(reply).contains("error"));
  }
  EXPECT_EQ(calls_, Calls{});
}

TEST_F(AdminPages, MetricsReadShardsAndDeliveryStreamsAtScrape) {
  log::Progress progress{};
  progress.records_total = 7;
  progress.data_bytes_total = 70;
  progress.stored_bytes_total = 1000;
  progress.stored_bytes = 900;
  streams_.add("events", {progress, {}});
  auto& info = delivery_.streams["events-to-s3"];
  info.buffered_bytes = 11;
  info.objects = 2;
  info.records = 3;
  info.bytes = 33;
  info.failures = 4;
  info.freshness = 1500ms;
  const Reservation held = Reservation::take(budget_, Account::bodies, 600);
  EXPECT_FALSE(Reservation::take(budget_, Account::bodies, 600));
  storage_.file_bytes = 4096;
  storage_.full = true;
  storage_.failed_writes = 5;
  storage_.damaged_reads = 6;
  storage_.damage_found = 8;
  storage_.evicted_chunks = 9;
  storage_.file_reads = 10;
  storage_.rewritten_bytes = 11;
  const auto reply = ask("GET", "/metrics");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.header("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  for (const char* line : {
           "millrace_streams 1\n",
           "millrace_open_shards 2\n",
           "millrace_subscriptions 0\n",
           "millrace_shard_records_total{stream=\"events\",shard=\"shardId-0\"} 7\n",
           "millrace_shard_records_total{stream=\"events\",shard=\"shardId-1\"} 0\n",
           "millrace_shard_data_bytes_total{stream=\"events\",shard=\"shardId-0\"} 70\n",
           "millrace_shard_stored_bytes{stream=\"events\",shard=\"shardId-0\"} 900\n",
           "millrace_delivery_buffered_bytes{delivery_stream=\"events-to-s3\"} 11\n",
           "millrace_delivery_objects_total{delivery_stream=\"events-to-s3\"} 2\n",
           "millrace_delivery_records_total{delivery_stream=\"events-to-s3\"} 3\n",
           "millrace_delivery_bytes_total{delivery_stream=\"events-to-s3\"} 33\n",
           "millrace_delivery_failures_total{delivery_stream=\"events-to-s3\"} 4\n",
           "millrace_delivery_freshness_seconds{delivery_stream=\"events-to-s3\"} 1.5\n",
           "millrace_apis 1\n",
           "millrace_memory_bytes{account=\"bodies\"} 600\n",
           "millrace_memory_bytes{account=\"chunks\"} 0\n",
           "millrace_memory_limit_bytes 1000\n",
           "millrace_memory_refused_total 1\n",
           "millrace_storage_file_bytes 4096\n",
           "millrace_storage_full 1\n",
           "millrace_storage_failing 0\n",
           "millrace_storage_failed_writes_total 5\n",
           "millrace_storage_damaged_reads_total 6\n",
           "millrace_storage_damage_found 8\n",
           "millrace_storage_evicted_chunks_total 9\n",
           "millrace_storage_file_reads_total 10\n",
           "millrace_storage_rewritten_bytes_total 11\n",
           "millrace_build_info{version=\"" MILLRACE_VERSION "\"} 1\n",
           "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes ",
           "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total ",
           "# TYPE process_open_fds gauge\nprocess_open_fds ",
       }) {
    EXPECT_THAT(reply.body, HasSubstr(line));
  }
}

TEST_F(AdminPages, MetricsListEveryStreamOfMany) {
  for (int i = 0; i < 2'001; ++i) streams_.add("s" + std::to_string(i), {});
  EXPECT_THAT(ask("GET", "/metrics").body, HasSubstr("millrace_streams 2001\n"));
}

TEST_F(AdminPages, MetricsAreRenderedOffTheCoresThread) {
  std::thread::id rendered_on;
  const auto id = metrics_.add("probe", "Who asks.", telemetry::Kind::gauge, [&] {
    rendered_on = std::this_thread::get_id();
    return std::vector<telemetry::Sample>{};
  });
  EXPECT_EQ(ask("GET", "/metrics").status, 200);
  metrics_.remove(id);
  EXPECT_NE(rendered_on, std::thread::id());
  EXPECT_NE(rendered_on, std::this_thread::get_id());
}

TEST_F(AdminPages, DestroyedAdminLeavesNoFamilyBehind) {
  admin();
  EXPECT_THAT(metrics_.render(), HasSubstr("millrace_streams"));
  admin_.reset();
  EXPECT_EQ(metrics_.render(), "");
}

TEST_F(AdminPages, FlushAnswers200WhenAllIsDelivered) {
  const auto before = std::chrono::steady_clock::now();
  const auto reply = ask("POST", "/flush?deadline=5s");
  const auto after = std::chrono::steady_clock::now();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(body(reply)["flushed"], true);
  EXPECT_GE(delivery_.flush_deadline, before + 5s);
  EXPECT_LE(delivery_.flush_deadline, after + 5s);
}

TEST_F(AdminPages, FlushHasADeadlineAlsoWhenNoneIsGiven) {
  const auto before = std::chrono::steady_clock::now();
  EXPECT_EQ(ask("POST", "/flush").status, 200);
  EXPECT_GE(delivery_.flush_deadline, before + 30s);
  EXPECT_LE(delivery_.flush_deadline, std::chrono::steady_clock::now() + 30s);
}

TEST_F(AdminPages, FlushNamesWhatFailed) {
  delivery_.flush_failures = {{"events-to-s3", "Permission denied"}, {"other", "deadline"}};
  const auto reply = ask("POST", "/flush");
  EXPECT_EQ(reply.status, 503);
  const json answer = body(reply);
  EXPECT_EQ(answer["flushed"], false);
  ASSERT_EQ(answer["failures"].size(), 2u);
  EXPECT_EQ(answer["failures"][0]["delivery_stream"], "events-to-s3");
  EXPECT_EQ(answer["failures"][0]["reason"], "Permission denied");
}

TEST_F(AdminPages, BadParametersAreRefusedBeforeAnythingHappens) {
  for (const char* target : {"/flush?deadline=", "/flush?deadline=5", "/flush?deadline=-5s", "/flush?deadline=16m",
                             "/flush?wait=5s", "/flush?deadline=99999999999s"}) {
    const auto reply = ask("POST", target);
    EXPECT_EQ(reply.status, 400) << target;
    EXPECT_TRUE(body(reply).contains("error"));
  }
  EXPECT_EQ(calls_, Calls{});
}

TEST_F(AdminPages, PeerThatLeavesIsNoError) {
  test::TestRequest request("GET", "/_millrace/health");
  test::RecordedResponse reply;
  reply.peer_leaves_after(0);
  EXPECT_NO_THROW(test::run(admin().handle(request.request, reply)));
}

TEST(QueryParameters, SplitsAndSkipsWhatIsEmpty) {
  const auto parameters = query_parameters("&a=1&&b&c=x=y&");
  ASSERT_EQ(parameters.size(), 3u);
  EXPECT_EQ(parameters[0].second, "1");
  EXPECT_EQ(parameters[1].first, "b");
  EXPECT_EQ(parameters[1].second, "");
  EXPECT_EQ(parameters[2].second, "x=y");
  EXPECT_TRUE(query_parameters("").empty());
}

TEST(ParseWait, TakesDigitsAndAUnitUpToTheMost) {
  EXPECT_EQ(parse_wait("250ms", 1h), 250ms);
  EXPECT_EQ(parse_wait("5s", 1h), 5s);
  EXPECT_EQ(parse_wait("2m", 1h), 2min);
  EXPECT_EQ(parse_wait("1h", 1h), 1h);
  for (const char* text : {"", "s", "5", "5 s", "+5s", "-5s", "5d", "61m", "4294967296s", "5ss"})
    EXPECT_FALSE(parse_wait(text, 1h)) << text;
}

}  // namespace
}  // namespace millrace::admin
