#include "millrace/config/declare.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>

#include "config/read_file.hpp"

namespace millrace::config {
namespace {

using nlohmann::json;

constexpr std::string_view kRequestId = "00000000-0000-0000-0000-000000000000";  // no client waits for these calls
constexpr std::size_t kOpenApiBytesMax = 16u << 20;
constexpr std::chrono::milliseconds kPoll{5};
constexpr std::chrono::seconds kSettleSlack{10};  // beyond the configured delay

struct Answer {
  bool ok = false;
  json body;
  std::string error_type, error_text;  // "ResourceInUseException", "ResourceInUseException: Stream ..."
};

/// The operations, spoken to in JSON.
class Operations {
 public:
  explicit Operations(gateway::ServiceCaller& services) : services_(services) {}

  awaitable<Answer> call(std::string_view service, std::string_view action, const json& input) {
    std::string body = input.dump();
    gateway::ServiceCall call{service, action, body, kRequestId};
    gateway::ServiceReply reply = co_await services_.call(call);
    Answer answer;
    answer.ok = reply.status == 200;
    answer.body = json::parse(reply.body.empty() ? "{}" : reply.body, nullptr, false);
    if (answer.body.is_discarded() || !answer.body.is_object()) answer.body = json::object();
    if (answer.ok) co_return answer;
    answer.error_type = answer.body.value("__type", "status " + std::to_string(reply.status));
    std::string message = answer.body.value("message", answer.body.value("Message", ""));
    answer.error_text = std::string(action) + ": " + answer.error_type + (message.empty() ? "" : ": " + message);
    co_return answer;
  }

 private:
  gateway::ServiceCaller& services_;
};

Error failed(const Config& config, int line, std::string_view what, const std::string& name, const std::string& why) {
  return {Errc::invalid,
          config.file.string() + ":" + std::to_string(line) + ": " + std::string(what) + " '" + name + "': " + why};
}

/// Until `describe` shows ACTIVE under description.status.
awaitable<Answer> settled(Operations& operations, std::string_view service, std::string_view action, json input,
                          const char* description, const char* status, std::chrono::milliseconds delay) {
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>,
                                    Executor>
      timer(co_await boost::asio::this_coro::executor);
  auto deadline = std::chrono::steady_clock::now() + delay + kSettleSlack;
  for (;;) {
    Answer answer = co_await operations.call(service, action, input);
    if (!answer.ok) co_return answer;
    json found = answer.body.value(description, json::object());
    std::string state = found.value(status, "");
    answer.body = std::move(found);
    if (state == "ACTIVE") co_return answer;
    if (std::chrono::steady_clock::now() >= deadline) {
      answer.ok = false;
      answer.error_text = "stays in state " + (state.empty() ? std::string("unknown") : state);
      co_return answer;
    }
    timer.expires_after(kPoll);
    co_await timer.async_wait(use_awaitable);
  }
}

awaitable<Result<>> declare_stream(const Config& config, const Declaration& declared, Operations& operations,
                                   Notices& notices) {
  json create = json::parse(declared.json);
  json retention = nullptr, tags = create.value("Tags", json());
  if (auto at = create.find("RetentionPeriodHours"); at != create.end()) {
    retention = *at;
    create.erase(at);
  }
  json shard_count = create.value("ShardCount", json());
  auto fail = [&](const Answer& answer) {
    return failed(config, declared.line, "stream", declared.name, answer.error_text);
  };

  Answer created = co_await operations.call("kinesis", "CreateStream", create);
  bool existed = !created.ok && created.error_type == "ResourceInUseException";
  if (!created.ok && !existed) co_return fail(created);
  json name = {{"StreamName", declared.name}};
  Answer stream = co_await settled(operations, "kinesis", "DescribeStreamSummary", name, "StreamDescriptionSummary",
                                   "StreamStatus", config.stream_create_delay + config.stream_update_delay);
  if (!stream.ok) co_return fail(stream);

  if (existed) {
    json open = stream.body.value("OpenShardCount", json());
    if (!shard_count.is_null() && shard_count != open)
      notices.push_back("stream '" + declared.name + "' has " + open.dump() + " shards where the config declares " +
                        shard_count.dump() + "; it keeps them");
    if (tags.is_object() && !tags.empty()) {
      json input = {{"StreamName", declared.name}, {"Tags", tags}};
      Answer tagged = co_await operations.call("kinesis", "AddTagsToStream", input);
      if (!tagged.ok) co_return fail(tagged);
    }
  }
  json held = stream.body.value("RetentionPeriodHours", json());
  if (!retention.is_null() && retention != held) {
    std::string_view action =
        held.is_number() && retention < held ? "DecreaseStreamRetentionPeriod" : "IncreaseStreamRetentionPeriod";
    json input = {{"StreamName", declared.name}, {"RetentionPeriodHours", retention}};
    Answer changed = co_await operations.call("kinesis", action, input);
    if (!changed.ok) co_return fail(changed);
    Answer again = co_await settled(operations, "kinesis", "DescribeStreamSummary", name, "StreamDescriptionSummary",
                                    "StreamStatus", config.stream_update_delay);
    if (!again.ok) co_return fail(again);
  }
  co_return Result<>();
}

awaitable<Result<>> declare_delivery_stream(const Config& config, const Declaration& declared, Operations& operations,
                                            Notices& notices) {
  json input = json::parse(declared.json);
  Answer created = co_await operations.call("firehose", "CreateDeliveryStream", input);
  if (!created.ok && created.error_type == "ResourceInUseException") {
    notices.push_back("delivery stream '" + declared.name + "' exists and stays as it is");
  } else if (!created.ok) {
    co_return failed(config, declared.line, "delivery stream", declared.name, created.error_text);
  }
  json name = {{"DeliveryStreamName", declared.name}};
  Answer described =
      co_await settled(operations, "firehose", "DescribeDeliveryStream", name, "DeliveryStreamDescription",
                       "DeliveryStreamStatus", config.delivery_create_delay);
  if (!described.ok) co_return failed(config, declared.line, "delivery stream", declared.name, described.error_text);
  co_return Result<>();
}

}  // namespace

awaitable<Result<Notices>> declare(const Config& config, gateway::ServiceCaller& services) {
  Operations operations(services);
  Notices notices;
  for (const Declaration& stream : config.streams) {
    Result<> done = co_await declare_stream(config, stream, operations, notices);
    if (!done) co_return done.error();
  }
  for (const Declaration& stream : config.delivery_streams) {
    Result<> done = co_await declare_delivery_stream(config, stream, operations, notices);
    if (!done) co_return done.error();
  }
  co_return notices;
}

Result<std::vector<gateway::ApiSummary>> deploy_apis(const Config& config, gateway::Gateway& gateway) {
  std::vector<gateway::ApiSummary> deployed;
  for (const ApiDeclaration& api : config.apis) {
    std::string why;
    std::optional<std::string> text = read_file(api.openapi, kOpenApiBytesMax, why);
    if (!text) return failed(config, api.line, "API", api.name, api.openapi.string() + ": " + why);
    gateway::ApiSpec spec{api.name, api.id, api.stages, *std::move(text), api.openapi};
    auto summary = gateway.deploy(spec);
    if (!summary) return Error{Errc::invalid, summary.error().detail};
    deployed.push_back(*std::move(summary));
  }
  return deployed;
}

}  // namespace millrace::config
