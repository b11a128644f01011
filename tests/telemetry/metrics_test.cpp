#include "millrace/telemetry/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace millrace::telemetry {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(OperationStats, CountsCallsErrorsBytesAndTime) {
  OperationStats stats;
  stats.record(200, 50us, 10, 100);
  stats.record(200, 50us + 1ns, 1, 2);
  stats.record(400, 6s, 0, 0);
  stats.record(500, -1ns, 0, 0);
  OperationStats::Totals totals;
  stats.add_to(totals);
  EXPECT_EQ(totals.calls, 4u);
  EXPECT_EQ(totals.client_errors, 1u);
  EXPECT_EQ(totals.server_errors, 1u);
  EXPECT_EQ(totals.bytes_in, 11u);
  EXPECT_EQ(totals.bytes_out, 102u);
  EXPECT_EQ(totals.nanoseconds, 50'000u + 50'001u + 6'000'000'000u);
  EXPECT_EQ(totals.buckets[0], 2u) << "a bound belongs to its bucket";
  EXPECT_EQ(totals.buckets[1], 1u);
  EXPECT_EQ(totals.buckets.back(), 1u);
}

TEST(OperationStats, IsReadWhileItsCoreWrites) {
  OperationStats stats;
  std::atomic<bool> over{false};
  std::thread core([&] {
    for (int i = 0; i < 100'000; ++i) stats.record(200, 1us, 1, 1);
    over = true;
  });
  std::uint64_t last = 0;
  while (!over) {
    OperationStats::Totals totals;
    stats.add_to(totals);
    EXPECT_GE(totals.calls, last);
    last = totals.calls;
  }
  core.join();
  OperationStats::Totals totals;
  stats.add_to(totals);
  EXPECT_EQ(totals.calls, 100'000u);
}

TEST(Registry, RendersFamiliesInPrometheusTextForm) {
  Registry registry;
  registry.add("millrace_streams", "Streams.", Kind::gauge, [] { return std::vector<Sample>{{{}, 3}}; });
  registry.add("millrace_shard_records_total", "Records.", Kind::counter, [] {
    return std::vector<Sample>{{{{"stream", "a"}, {"shard", "0"}}, 1},
                               {{{"stream", "b"}, {"shard", "1"}}, 12345678901.0}};
  });
  EXPECT_EQ(registry.render(),
            "# HELP millrace_streams Streams.\n"
            "# TYPE millrace_streams gauge\n"
            "millrace_streams 3\n"
            "# HELP millrace_shard_records_total Records.\n"
            "# TYPE millrace_shard_records_total counter\n"
            "millrace_shard_records_total{stream=\"a\",shard=\"0\"} 1\n"
            "millrace_shard_records_total{stream=\"b\",shard=\"1\"} 12345678901\n");
}

TEST(Registry, EscapesLabelValues) {
  Registry registry;
  registry.add("m", "M.", Kind::gauge, [] { return std::vector<Sample>{{{{"name", "a\"b\\c\nd"}}, 1}}; });
  EXPECT_THAT(registry.render(), HasSubstr("m{name=\"a\\\"b\\\\c\\nd\"} 1\n"));
}

TEST(Registry, OneNameIsOneFamily) {
  Registry registry;
  registry.add("m", "M.", Kind::gauge, [] { return std::vector<Sample>{{{{"from", "first"}}, 1}}; });
  registry.add("n", "N.", Kind::gauge, [] { return std::vector<Sample>{{{}, 5}}; });
  registry.add("m", "M.", Kind::gauge, [] { return std::vector<Sample>{{{{"from", "second"}}, 2}}; });
  EXPECT_EQ(
      registry.render(),
      "# HELP m M.\n# TYPE m gauge\nm{from=\"first\"} 1\nm{from=\"second\"} 2\n# HELP n N.\n# TYPE n gauge\nn 5\n");
}

TEST(Registry, AddsOneOperationUpOverItsCores) {
  Registry registry;
  OperationStats core0, core1;
  registry.add_operation("kinesis", "PutRecord", {&core0, &core1});
  core0.record(200, 80us, 10, 100);
  core1.record(400, 30us, 1, 2);
  core1.record(503, 7s, 0, 0);
  const std::string page = registry.render();
  for (const char* line : {
           "# TYPE millrace_operation_requests_total counter\n",
           "millrace_operation_requests_total{service=\"kinesis\",operation=\"PutRecord\"} 3\n",
           "millrace_operation_errors_total{service=\"kinesis\",operation=\"PutRecord\",class=\"client\"} 1\n",
           "millrace_operation_errors_total{service=\"kinesis\",operation=\"PutRecord\",class=\"server\"} 1\n",
           "millrace_operation_bytes_total{service=\"kinesis\",operation=\"PutRecord\",direction=\"in\"} 11\n",
           "millrace_operation_bytes_total{service=\"kinesis\",operation=\"PutRecord\",direction=\"out\"} 102\n",
           "# TYPE millrace_operation_latency_seconds histogram\n",
           "millrace_operation_latency_seconds_bucket{service=\"kinesis\",operation=\"PutRecord\",le=\"5e-05\"} 1\n",
           "millrace_operation_latency_seconds_bucket{service=\"kinesis\",operation=\"PutRecord\",le=\"0.0001\"} 2\n",
           "millrace_operation_latency_seconds_bucket{service=\"kinesis\",operation=\"PutRecord\",le=\"5\"} 2\n",
           "millrace_operation_latency_seconds_bucket{service=\"kinesis\",operation=\"PutRecord\",le=\"+Inf\"} 3\n",
           "millrace_operation_latency_seconds_count{service=\"kinesis\",operation=\"PutRecord\"} 3\n",
           "millrace_operation_latency_seconds_sum{service=\"kinesis\",operation=\"PutRecord\"} 7.00011\n",
       }) {
    EXPECT_THAT(page, HasSubstr(line));
  }
}

TEST(Registry, RemovedFamilyIsNotAskedAgain) {
  Registry registry;
  int asked = 0;
  const Registry::Id id = registry.add("m", "M.", Kind::gauge, [&] {
    ++asked;
    return std::vector<Sample>{{{}, 1}};
  });
  registry.render();
  registry.remove(id);
  registry.remove(id);
  EXPECT_THAT(registry.render(), Not(HasSubstr("m")));
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace millrace::telemetry
