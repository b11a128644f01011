#include "millrace/agent/agent.hpp"

#include <algorithm>
#include <deque>
#include <nlohmann/json.hpp>

#include "agent/checkpoints.hpp"
#include "agent/flow_run.hpp"
#include "millrace/base/log.hpp"

namespace millrace::agent {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kSaveEvery{1'000}, kMetricsEvery{60'000}, kEndWithin{5'000}, kEndPause{50};

class Agent {
 public:
  Agent(const Settings& settings, const Dependencies& dependencies, Checkpoints checkpoints)
      : settings_(settings), dependencies_(dependencies), checkpoints_(std::move(checkpoints)) {
    for (const Flow& flow : settings.flows) {
      const auto known = checkpoints_.find(flow.id());
      flows_.emplace_back(flow, known == checkpoints_.end() ? nullptr : &known->second, dependencies_);
    }
    measured_at_ = dependencies.now();
  }

  void run() {
    for (;;) {
      const TimePoint now = dependencies_.now();
      TimePoint next = now + kSaveEvery;
      for (FlowRun& flow : flows_) next = std::min(next, flow.step(now));
      if (now - saved_at_ >= kSaveEvery || now < saved_at_) save(now);
      if (now - measured_at_ >= kMetricsEvery) measure(now);
      const auto pause = std::max(next - dependencies_.now(), milliseconds{0});
      if (!dependencies_.wait(std::chrono::duration_cast<milliseconds>(pause))) break;
    }
    end();
  }

 private:
  void end() {
    const TimePoint until = dependencies_.now() + kEndWithin;
    for (;;) {
      const TimePoint now = dependencies_.now();
      bool all = true;
      for (FlowRun& flow : flows_) all = flow.drain(now) && all;
      if (all || now >= until) break;
      (void)dependencies_.wait(kEndPause);
    }
    save(dependencies_.now());
    measure(dependencies_.now());
  }

  void save(TimePoint now) {
    saved_at_ = now;
    for (const FlowRun& flow : flows_) checkpoints_[flow.flow().id()] = flow.marks();
    if (checkpoints_ == saved_) return;
    if (const std::string wrong = save_checkpoints(dependencies_.files, settings_.checkpoints, checkpoints_);
        !wrong.empty()) {
      if (!failing_) logging::error("checkpoints cannot be kept: a restart would send again", {{"reason", wrong}});
      failing_ = true;
      return;
    }
    failing_ = false;
    saved_ = checkpoints_;
  }

  // As the Amazon Kinesis Agent does, by the same names.
  void measure(TimePoint now) {
    measured_at_ = now;
    if (!settings_.metrics) return;
    Json data = Json::array();
    for (FlowRun& flow : flows_) {
      const Counts counts = flow.take_counts();
      if (counts.attempts == 0) continue;
      const Json dimensions = Json::array(
          {{{"Name", flow.flow().firehose ? "DeliveryStream" : "KinesisStream"}, {"Value", flow.flow().destination}}});
      const auto add = [&](const char* name, std::uint64_t value, const char* unit) {
        data.push_back({{"MetricName", name}, {"Dimensions", dimensions}, {"Value", value}, {"Unit", unit}});
      };
      add("BytesSent", counts.bytes_sent, "Bytes");
      add("RecordSendAttempts", counts.attempts, "Count");
      add("RecordSendErrors", counts.record_errors, "Count");
      add("ServiceErrors", counts.service_errors, "Count");
    }
    if (data.empty()) return;
    const Answer answer = dependencies_.call(Service::monitoring, "PutMetricData",
                                             Json{{"Namespace", "AWSKinesisAgent"}, {"MetricData", data}}.dump());
    if (answer.status != 200) logging::debug("metrics were not taken", {{"status", answer.status}});
  }

  const Settings& settings_;
  const Dependencies& dependencies_;
  Checkpoints checkpoints_, saved_;
  std::deque<FlowRun> flows_;
  TimePoint saved_at_{}, measured_at_{};
  bool failing_ = false;
};

}  // namespace

std::string run(const Settings& settings, const Dependencies& dependencies) {
  auto checkpoints = load_checkpoints(dependencies.files, settings.checkpoints);
  if (std::string* wrong = std::get_if<std::string>(&checkpoints)) return *wrong;
  if (const std::string wrong =
          save_checkpoints(dependencies.files, settings.checkpoints, std::get<Checkpoints>(checkpoints));
      !wrong.empty())
    return "checkpoints cannot be kept: " + wrong;
  for (const Flow& flow : settings.flows)
    logging::info("following files", {{"files", flow.file_pattern}, {"destination", flow.destination}});
  Agent(settings, dependencies, std::move(std::get<Checkpoints>(checkpoints))).run();
  return {};
}

}  // namespace millrace::agent
