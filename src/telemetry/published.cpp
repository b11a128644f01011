#include "millrace/telemetry/published.hpp"

#include <algorithm>

namespace millrace::telemetry {
namespace {

// Beside its labels' texts, which it has twice, and its key, twice too.
constexpr std::size_t kSeriesBytes = 512;

std::string text_of(Labels dimensions) {
  std::sort(dimensions.begin(), dimensions.end());
  std::string out;
  for (const auto& [name, value] : dimensions) (((out += out.empty() ? "" : ",") += name) += '=') += value;
  return out;
}

}  // namespace

void PublishedMetrics::put(const Name& name, const Statistics& values) {
  const std::string dimensions = text_of(name.dimensions);
  std::string key;
  for (const std::string_view part : {name.space, name.metric, name.unit, dimensions}) (key += part) += '\0';
  for (const auto& [label, value] : name.whose) (key += value) += '\0';
  std::lock_guard lock(mutex_);
  auto at = series_.find(key);
  if (at == series_.end()) {
    const std::size_t bytes = 4 * key.size() + kSeriesBytes;
    while (!recent_.empty() && bytes_ + bytes > bytes_max_) {
      const auto oldest = series_.find(recent_.back());
      bytes_ -= oldest->second.bytes;
      series_.erase(oldest);
      recent_.pop_back();
    }
    recent_.push_front(key);
    Labels labels{{"namespace", name.space}, {"metric", name.metric}, {"dimensions", dimensions}, {"unit", name.unit}};
    labels.insert(labels.end(), name.whose.begin(), name.whose.end());
    series_.emplace(std::move(key), Series{std::move(labels), values, bytes, recent_.begin()});
    bytes_ += bytes;
    return;
  }
  Statistics& sum = at->second.values;
  sum.samples += values.samples;
  sum.sum += values.sum;
  sum.minimum = std::min(sum.minimum, values.minimum);
  sum.maximum = std::max(sum.maximum, values.maximum);
  recent_.splice(recent_.begin(), recent_, at->second.place);
}

std::vector<Sample> PublishedMetrics::samples(double Statistics::*which) const {
  std::vector<Sample> all;
  std::lock_guard lock(mutex_);
  all.reserve(series_.size());
  for (const auto& [key, series] : series_) all.push_back({series.labels, series.values.*which});
  return all;
}

std::size_t PublishedMetrics::size() const {
  std::lock_guard lock(mutex_);
  return series_.size();
}

void show(Registry& page, const PublishedMetrics& published) {
  using Statistics = PublishedMetrics::Statistics;
  const auto add = [&](std::string name, std::string help, Kind kind, double Statistics::*which) {
    page.add(std::move(name), std::move(help), kind, [&published, which] { return published.samples(which); });
  };
  add("millrace_published_samples_total", "Samples that clients published by PutMetricData.", Kind::counter,
      &Statistics::samples);
  add("millrace_published_sum", "Sum of the values that clients published.", Kind::gauge, &Statistics::sum);
  add("millrace_published_minimum", "Least value that clients published.", Kind::gauge, &Statistics::minimum);
  add("millrace_published_maximum", "Greatest value that clients published.", Kind::gauge, &Statistics::maximum);
}

}  // namespace millrace::telemetry
