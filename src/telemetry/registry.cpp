#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <limits>
#include <map>
#include <mutex>
#include <utility>

#include "millrace/telemetry/metrics.hpp"

namespace millrace::telemetry {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Families in order of their first registration; what several register under one name is one family, as the format
// asks.
class Page {
 public:
  MetricFamily& family(const std::string& name, const std::string& help, MetricType type) {
    const auto [at, fresh] = index_.try_emplace(name, families_.size());
    if (fresh) {
      families_.emplace_back();
      families_.back().name = name;
      families_.back().help = help;
      families_.back().type = type;
    }
    return families_[at->second];
  }
  const std::vector<MetricFamily>& families() const { return families_; }

 private:
  std::map<std::string, std::size_t> index_;
  std::vector<MetricFamily> families_;
};

struct Collector {
  std::string name, help;
  Kind kind;
  std::function<std::vector<Sample>()> collect;

  void add_to(Page& page) const {
    MetricFamily& family = page.family(name, help, kind == Kind::counter ? MetricType::Counter : MetricType::Gauge);
    for (Sample& sample : collect()) {
      ClientMetric& metric = family.metric.emplace_back();
      for (auto& [label, value] : sample.labels) metric.label.push_back({std::move(label), std::move(value)});
      (kind == Kind::counter ? metric.counter.value : metric.gauge.value) = sample.value;
    }
  }
};

struct OperationCollector {
  std::string service, operation;
  std::vector<const OperationStats*> per_core;

  void add_to(Page& page) const {
    OperationStats::Totals totals;
    for (const OperationStats* stats : per_core) stats->add_to(totals);
    count(page, "millrace_operation_requests_total", "Requests answered.", {}, totals.calls);
    const std::string errors = "millrace_operation_errors_total",
                      errors_help = "Requests answered with an error, by whose it is.";
    count(page, errors, errors_help, {"class", "client"}, totals.client_errors);
    count(page, errors, errors_help, {"class", "server"}, totals.server_errors);
    const std::string bytes = "millrace_operation_bytes_total", bytes_help = "Bytes of request and reply bodies.";
    count(page, bytes, bytes_help, {"direction", "in"}, totals.bytes_in);
    count(page, bytes, bytes_help, {"direction", "out"}, totals.bytes_out);

    MetricFamily& latency = page.family("millrace_operation_latency_seconds",
                                        "Time from a request's head to its reply.", MetricType::Histogram);
    ClientMetric& metric = latency.metric.emplace_back();
    metric.label = labels({});
    // Counted from the buckets: a request recorded while we read must not make +Inf differ from the count.
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < totals.buckets.size(); ++i) {
      cumulative += totals.buckets[i];
      const bool last = i == OperationStats::kBucketSeconds.size();
      metric.histogram.bucket.push_back(
          {cumulative, last ? std::numeric_limits<double>::infinity() : OperationStats::kBucketSeconds[i]});
    }
    metric.histogram.sample_count = cumulative;
    metric.histogram.sample_sum = static_cast<double>(totals.nanoseconds) * 1e-9;
  }

 private:
  std::vector<ClientMetric::Label> labels(const ClientMetric::Label& more) const {
    std::vector<ClientMetric::Label> all{{"service", service}, {"operation", operation}};
    if (!more.name.empty()) all.push_back(more);
    return all;
  }
  void count(Page& page, const std::string& name, const std::string& help, const ClientMetric::Label& more,
             std::uint64_t value) const {
    ClientMetric& metric = page.family(name, help, MetricType::Counter).metric.emplace_back();
    metric.label = labels(more);
    metric.counter.value = static_cast<double>(value);
  }
};

}  // namespace

// The mutex is held while a page is collected, so that after remove() nothing of what was removed is called.
struct Registry::Impl {
  mutable std::mutex mutex;
  Id last_id = 0;
  std::map<Id, std::function<void(Page&)>> collectors;

  Id add(std::function<void(Page&)> collector) {
    std::lock_guard lock(mutex);
    collectors.emplace(++last_id, std::move(collector));
    return last_id;
  }
};

Registry::Registry() : impl_(std::make_unique<Impl>()) {}
Registry::~Registry() = default;

Registry::Id Registry::add(std::string name, std::string help, Kind kind,
                           std::function<std::vector<Sample>()> collect) {
  Collector collector{std::move(name), std::move(help), kind, std::move(collect)};
  return impl_->add([collector = std::move(collector)](Page& page) { collector.add_to(page); });
}

Registry::Id Registry::add_operation(std::string service, std::string operation,
                                     std::vector<const OperationStats*> per_core) {
  OperationCollector collector{std::move(service), std::move(operation), std::move(per_core)};
  return impl_->add([collector = std::move(collector)](Page& page) { collector.add_to(page); });
}

void Registry::remove(Id id) {
  std::lock_guard lock(impl_->mutex);
  impl_->collectors.erase(id);
}

std::string Registry::render() const {
  Page page;
  {
    std::lock_guard lock(impl_->mutex);
    for (const auto& [id, collect] : impl_->collectors) collect(page);
  }
  return prometheus::TextSerializer().Serialize(page.families());
}

}  // namespace millrace::telemetry
