// PutMetricData: values that clients publish of themselves. Source:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
#include <cmath>

#include "millrace/telemetry/published.hpp"
#include "services/dispatch.hpp"

namespace millrace::services::monitoring {
namespace {

using telemetry::PublishedMetrics;
using namespace std::chrono_literals;

constexpr std::size_t kMetricsMax = 1000, kDimensionsMax = 30, kValuesMax = 150;
constexpr auto kOldest = 14 * 24h, kNewest = 2h;

bool matches_namespace(std::string_view value) noexcept { return !value.empty() && value[0] != ':'; }
constexpr Pattern kNamespacePattern{"[^:].*", matches_namespace};
constexpr std::string_view kUnits[] = {
    "Seconds",          "Microseconds",     "Milliseconds", "Bytes",           "Kilobytes",        "Megabytes",
    "Gigabytes",        "Terabytes",        "Bits",         "Kilobits",        "Megabits",         "Gigabits",
    "Terabits",         "Percent",          "Count",        "Bytes/Second",    "Kilobytes/Second", "Megabytes/Second",
    "Gigabytes/Second", "Terabytes/Second", "Bits/Second",  "Kilobits/Second", "Megabits/Second",  "Gigabits/Second",
    "Terabits/Second",  "Count/Second",     "None"};

struct Dimension {
  std::string name, value;
};
constexpr auto kDimension =
    fields(field<&Dimension::name>("Name", length(1, 255)), field<&Dimension::value>("Value", length(1, 1024)));

struct StatisticValues {
  double samples = 0, sum = 0, minimum = 0, maximum = 0;
};
constexpr auto kStatisticValues =
    fields(field<&StatisticValues::samples>("SampleCount"), field<&StatisticValues::sum>("Sum"),
           field<&StatisticValues::minimum>("Minimum"), field<&StatisticValues::maximum>("Maximum"));

struct Datum {
  std::string name;
  std::optional<std::vector<Dimension>> dimensions;
  std::optional<TimePoint> timestamp;
  std::optional<double> value;
  std::optional<StatisticValues> statistics;
  std::optional<std::vector<double>> values, counts;
  std::optional<std::string> unit;
  std::optional<std::int32_t> resolution;
};
constexpr auto kDatum =
    fields(field<&Datum::name>("MetricName", length(1, 255)), field<&Datum::dimensions>("Dimensions", of(kDimension)),
           field<&Datum::timestamp>("Timestamp"), field<&Datum::value>("Value"),
           field<&Datum::statistics>("StatisticValues", of(kStatisticValues)), field<&Datum::values>("Values"),
           field<&Datum::counts>("Counts"), field<&Datum::unit>("Unit", one_of(kUnits)),
           field<&Datum::resolution>("StorageResolution", at_least(1)));

struct Input {
  std::string space;
  std::optional<std::vector<Datum>> metrics;
};
constexpr auto kInput = fields(field<&Input::space>("Namespace", length(1, 255), pattern(kNamespacePattern)),
                               field<&Input::metrics>("MetricData", of(kDatum)),
                               refused("EntityMetricData", "EntityMetricData is not supported yet."));

ServiceError invalid(std::string text) { return {"InvalidParameterValueException", 400, std::move(text)}; }
ServiceError not_together(std::string text) { return {"InvalidParameterCombinationException", 400, std::move(text)}; }

ServiceError too_many(const std::string& what, std::size_t most) {
  return invalid("The collection " + what + " must not have a size greater than " + std::to_string(most) + ".");
}

std::optional<ServiceError> wrong_number(const std::string& what, double value) {
  constexpr double kMost = 0x1p360;
  if (std::isnan(value)) return invalid("The value NaN for parameter " + what + " is invalid.");
  if (std::isinf(value) || std::abs(value) > kMost) {
    const std::string shown = std::isinf(value) ? (value < 0 ? "-∞" : "∞") : std::to_string(value);
    return invalid("The value " + shown + " for parameter " + what + " is invalid.");
  }
  return std::nullopt;
}

std::optional<ServiceError> wrong_numbers(const std::string& where, const Datum& datum) {
  if (datum.value)
    if (auto wrong = wrong_number(where + "Value", *datum.value)) return wrong;
  if (datum.statistics) {
    const std::string of = where + "StatisticValues.";
    for (const auto& [name, value] : {std::pair{"SampleCount", datum.statistics->samples},
                                      {"Sum", datum.statistics->sum},
                                      {"Minimum", datum.statistics->minimum},
                                      {"Maximum", datum.statistics->maximum}})
      if (auto wrong = wrong_number(of + name, value)) return wrong;
    if (datum.statistics->samples < 0)
      return invalid("The parameter " + of + "SampleCount must be greater than or equal to 0.");
    if (datum.statistics->minimum > datum.statistics->maximum)
      return not_together("The parameter " + of + "Maximum must be greater than or equal to " + of + "Minimum.");
  }
  for (const auto& [name, list] : {std::pair{"Values", &datum.values}, {"Counts", &datum.counts}}) {
    if (!*list) continue;
    for (std::size_t i = 0; i < (*list)->size(); ++i)
      if (auto wrong = wrong_number(where + name + ".member." + std::to_string(i + 1), (**list)[i])) return wrong;
  }
  return std::nullopt;
}

std::optional<ServiceError> wrong(const std::string& where, const Datum& datum, TimePoint now) {
  const auto both = [&](const char* a, const char* b) {
    return not_together("The parameters " + where + a + " and " + where + b +
                        " are mutually exclusive and you have specified both.");
  };
  if (datum.value && datum.values) return both("Value", "Values");
  if (datum.value && datum.statistics) return both("Value", "StatisticValues");
  if (datum.values && datum.statistics) return both("Values", "StatisticValues");
  if (datum.counts && !datum.values)
    return not_together("The parameter " + where + "Counts must be specified together with " + where + "Values.");
  if (datum.values && datum.counts && datum.values->size() != datum.counts->size())
    return invalid("The parameters " + where + "Values and " + where + "Counts must be of the same size.");
  if (!datum.value && !datum.statistics && (!datum.values || datum.values->empty()))
    return ServiceError{"MissingRequiredParameterException", 400,
                        "At least one of the parameters " + where + "Value, " + where + "Values and " + where +
                            "StatisticValues must be specified."};
  if (datum.values && datum.values->size() > kValuesMax) return too_many(where + "Values", kValuesMax);
  if (datum.dimensions && datum.dimensions->size() > kDimensionsMax)
    return too_many(where + "Dimensions", kDimensionsMax);
  if (datum.resolution && *datum.resolution != 1 && *datum.resolution != 60)
    return invalid("The parameter " + where + "StorageResolution must be 1 or 60.");
  if (datum.timestamp && *datum.timestamp > now + kNewest)
    return invalid("The parameter " + where + "Timestamp must specify a time no more than two hours in the future.");
  if (datum.timestamp && *datum.timestamp < now - kOldest)
    return invalid("The parameter " + where + "Timestamp must specify a time within the past two weeks.");
  return wrong_numbers(where, datum);
}

PublishedMetrics::Statistics statistics_of(const Datum& datum) {
  if (datum.value) return {1, *datum.value, *datum.value, *datum.value};
  if (datum.statistics)
    return {datum.statistics->samples, datum.statistics->sum, datum.statistics->minimum, datum.statistics->maximum};
  PublishedMetrics::Statistics all{0, 0, datum.values->front(), datum.values->front()};
  for (std::size_t i = 0; i < datum.values->size(); ++i) {
    const double value = (*datum.values)[i], count = datum.counts ? (*datum.counts)[i] : 1;
    all.samples += count;
    all.sum += value * count;
    all.minimum = std::min(all.minimum, value);
    all.maximum = std::max(all.maximum, value);
  }
  return all;
}

awaitable<Outcome<NoOutput>> put_metric_data(Context& context, Input in) {
  if (!in.metrics || in.metrics->empty())
    co_return ServiceError{"MissingRequiredParameterException", 400, "The parameter MetricData is required."};
  if (in.metrics->size() > kMetricsMax) co_return too_many("MetricData", kMetricsMax);
  const TimePoint now = context.environment.clock.now();
  for (std::size_t i = 0; i < in.metrics->size(); ++i)
    if (auto refused = wrong("MetricData.member." + std::to_string(i + 1) + ".", (*in.metrics)[i], now))
      co_return std::move(*refused);
  for (Datum& datum : *in.metrics) {
    const PublishedMetrics::Statistics values = statistics_of(datum);
    PublishedMetrics::Name name{
        in.space, std::move(datum.name), {}, datum.unit.value_or("None"), context.environment.labels};
    if (datum.dimensions)
      for (Dimension& dimension : *datum.dimensions)
        name.dimensions.emplace_back(std::move(dimension.name), std::move(dimension.value));
    if (context.environment.published) context.environment.published->put(name, values);
  }
  co_return NoOutput{};
}

}  // namespace

extern constinit const Operation put_metric_data_operation = operation<put_metric_data, kInput>("PutMetricData");

}  // namespace millrace::services::monitoring
