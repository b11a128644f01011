#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/telemetry/metrics.hpp"

namespace millrace::telemetry {

/// What clients publish of themselves (CloudWatch's PutMetricData), added up since the start: a series for each
/// namespace, name, set of dimensions and unit. Thread-safe. Beyond `bytes_max` of labels the series go that were put
/// longest ago.
class PublishedMetrics {
 public:
  explicit PublishedMetrics(std::size_t bytes_max = std::size_t{4} << 20) : bytes_max_(bytes_max) {}

  struct Statistics {
    double samples = 0, sum = 0, minimum = 0, maximum = 0;
  };
  struct Name {
    std::string space, metric;
    Labels dimensions;  ///< in any order
    std::string unit;
    Labels whose = {};  ///< more labels, which come last
  };
  void put(const Name& name, const Statistics& values);
  /// One value of each series, with the labels namespace, metric, dimensions ("Name=Value,Name=Value") and unit.
  std::vector<Sample> samples(double Statistics::*which) const;
  std::size_t size() const;

 private:
  struct Series {
    Labels labels;
    Statistics values;
    std::size_t bytes = 0;
    std::list<std::string>::iterator place;  // in recent_
  };

  const std::size_t bytes_max_;
  mutable std::mutex mutex_;
  std::map<std::string, Series, std::less<>> series_;
  std::list<std::string> recent_;  // keys, that which was put last in front
  std::size_t bytes_ = 0;
};

/// Shows them on the page, for as long as both live.
void show(Registry& page, const PublishedMetrics& published);

}  // namespace millrace::telemetry
