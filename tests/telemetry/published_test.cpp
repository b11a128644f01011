#include "millrace/telemetry/published.hpp"

#include <gtest/gtest.h>

namespace millrace::telemetry {
namespace {

using Statistics = PublishedMetrics::Statistics;
using Name = PublishedMetrics::Name;

TEST(PublishedMetrics, AddsUpASeriesWhateverTheOrderOfItsDimensions) {
  PublishedMetrics published;
  published.put(Name{"KPL", "Sent", {{"b", "2"}, {"a", "1"}}, "Count"}, {2, 10, 3, 7});
  published.put(Name{"KPL", "Sent", {{"a", "1"}, {"b", "2"}}, "Count"}, {1, -1, -1, -1});
  published.put(Name{"KPL", "Sent", {{"a", "1"}}, "Count"}, {1, 5, 5, 5});
  published.put(Name{"KPL", "Sent", {{"a", "1"}}, "Bytes"}, {1, 6, 6, 6});
  EXPECT_EQ(published.size(), 3u);
  Registry page;
  show(page, published);
  const std::string text = page.render();
  const std::string labels = R"({namespace="KPL",metric="Sent",dimensions="a=1,b=2",unit="Count"} )";
  for (const std::string& line :
       {"millrace_published_samples_total" + labels + "3\n", "millrace_published_sum" + labels + "9\n",
        "millrace_published_minimum" + labels + "-1\n", "millrace_published_maximum" + labels + "7\n"})
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
}

TEST(PublishedMetrics, ForgetsWhatWasPutLongestAgo) {
  PublishedMetrics published(8 * 1024);
  const auto put = [&](int i) { published.put(Name{"n", std::to_string(i), {}, "None"}, {1, 1, 1, 1}); };
  put(0);
  for (int i = 1; i < 1000; ++i) {
    put(i);
    put(0);
    ASSERT_LE(published.size(), 16u);
  }
  for (const Sample& sample : published.samples(&Statistics::samples))
    if (sample.labels[1].second == "0") {
      EXPECT_EQ(sample.value, 1000) << "it was put all the time";
    } else {
      EXPECT_GT(std::stoi(sample.labels[1].second), 980);
    }
}

}  // namespace
}  // namespace millrace::telemetry
