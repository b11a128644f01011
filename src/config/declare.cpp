#include "millrace/config/declare.hpp"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <nlohmann/json.hpp>

#include "config/mistakes.hpp"
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
  std::string error_type, message;
  std::string error_text;  // what is told of it
};

/// The operations, spoken to in JSON.
class Operations {
 public:
  explicit Operations(gateway::ServiceCaller& services) : services_(services) {}

  awaitable<Answer> call(std::string_view service, std::string_view action, const json& input) {
    std::string body = input.dump();
    gateway::ServiceCall call{service, action, body, kRequestId, /*declared=*/true};
    gateway::ServiceReply reply = co_await services_.call(call);
    Answer answer;
    answer.ok = reply.status == 200;
    answer.body = json::parse(reply.body.empty() ? "{}" : reply.body, nullptr, false);
    if (answer.body.is_discarded() || !answer.body.is_object()) answer.body = json::object();
    if (answer.ok) co_return answer;
    answer.error_type = answer.body.value("__type", "status " + std::to_string(reply.status));
    answer.message = answer.body.value("message", answer.body.value("Message", ""));
    // A client reads the type; here it would say no more than the message does.
    const bool plain = answer.error_type == "ValidationException" || answer.error_type == "InvalidArgumentException";
    answer.error_text = std::string(action) + ": " + (plain && !answer.message.empty() ? "" : answer.error_type);
    if (!answer.message.empty()) answer.error_text += (plain ? "" : ": ") + answer.message;
    co_return answer;
  }

 private:
  gateway::ServiceCaller& services_;
};

bool is_word(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

// Where `word` stands in `text` by itself.
std::size_t find_word(std::string_view text, std::string_view word) {
  if (word.empty()) return std::string_view::npos;
  for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) return at;
  }
  return std::string_view::npos;
}

/// The member that an operation's error is about: the first whose name it has, else the first whose value. Nothing
/// where it has none; the name of the whole declaration is no such value.
const DeclaredMember* member_meant(const Declaration& declared, std::string_view message) {
  const DeclaredMember* found = nullptr;
  std::size_t first = std::string_view::npos;
  const auto take = [&](const DeclaredMember& member, std::size_t at) {
    if (at < first) first = at, found = &member;
  };
  for (const DeclaredMember& member : declared.members) take(member, find_word(message, member.name));
  if (found) return found;
  for (const DeclaredMember& member : declared.members) {
    // What an ARN says is its last part.
    const std::string_view value = std::string_view(member.value).substr(member.value.find_last_of(":/") + 1);
    if (member.value != declared.name && value.size() > 1) take(member, find_word(message, value));
  }
  return found;
}

/// What was declared and failed, and the names of it.
class Failures {
 public:
  explicit Failures(const Config& config) : mistakes_(config.file) {}

  void add(const Declaration& declared, const Answer& answer) {
    names_.push_back(declared.name);
    const DeclaredMember* member = member_meant(declared, answer.message);
    const std::size_t line = static_cast<std::size_t>(member ? member->line : declared.line);
    mistakes_.add(line, member ? member->path : declared.path, answer.error_text);
  }
  /// Whether an operation misses a stream whose declaration failed before: then it fails for that one's sake.
  bool follows(std::string_view message) const {
    return std::any_of(names_.begin(), names_.end(), [&](const std::string& name) {
      return find_word(message, "Stream " + name) != std::string_view::npos;
    });
  }
  const Mistakes& mistakes() const noexcept { return mistakes_; }
  Mistakes& mistakes() noexcept { return mistakes_; }

 private:
  Mistakes mistakes_;
  std::vector<std::string> names_;
};

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
      answer.message = "stays in state " + (state.empty() ? std::string("unknown") : state);
      answer.error_text = answer.message;
      co_return answer;
    }
    timer.expires_after(kPoll);
    co_await timer.async_wait(use_awaitable);
  }
}

/// The answer that failed; nothing when the stream is as declared.
awaitable<std::optional<Answer>> declare_stream(const Config& config, const Declaration& declared,
                                                Operations& operations, Notices& notices) {
  json create = json::parse(declared.json);
  json retention = nullptr, tags = create.value("Tags", json());
  if (auto at = create.find("RetentionPeriodHours"); at != create.end()) {
    retention = *at;
    create.erase(at);
  }
  json shard_count = create.value("ShardCount", json()), mode = create.value("StreamModeDetails", json());
  if (mode.is_null()) mode = {{"StreamMode", shard_count.is_null() ? "ON_DEMAND" : "PROVISIONED"}};
  json record_size = create.value("MaxRecordSizeInKiB", json());

  Answer created = co_await operations.call("kinesis", "CreateStream", create);
  bool existed = !created.ok && created.error_type == "ResourceInUseException";
  if (!created.ok && !existed) co_return created;
  json name = {{"StreamName", declared.name}};
  Answer stream = co_await settled(operations, "kinesis", "DescribeStreamSummary", name, "StreamDescriptionSummary",
                                   "StreamStatus", config.stream_create_delay + config.stream_update_delay);
  if (!stream.ok) co_return stream;

  if (existed) {
    json open = stream.body.value("OpenShardCount", json());
    if (!shard_count.is_null() && shard_count != open)
      notices.push_back("stream '" + declared.name + "' has " + open.dump() + " shards where the config declares " +
                        shard_count.dump() + "; it keeps them");
    json held_mode = stream.body.value("StreamModeDetails", json());
    if (held_mode.is_object() && mode != held_mode)
      notices.push_back("stream '" + declared.name + "' is " + held_mode.value("StreamMode", "") +
                        " where the config declares " + mode.value("StreamMode", "") + "; it stays so");
    json held_size = stream.body.value("MaxRecordSizeInKiB", json());
    if (!record_size.is_null() && !held_size.is_null() && record_size != held_size)
      notices.push_back("stream '" + declared.name + "' takes records of " + held_size.dump() +
                        " KiB where the config declares " + record_size.dump() + "; it stays so");
    if (tags.is_object() && !tags.empty()) {
      json input = {{"StreamName", declared.name}, {"Tags", tags}};
      Answer tagged = co_await operations.call("kinesis", "AddTagsToStream", input);
      if (!tagged.ok) co_return tagged;
    }
  }
  json held = stream.body.value("RetentionPeriodHours", json());
  if (!retention.is_null() && retention != held) {
    std::string_view action =
        held.is_number() && retention < held ? "DecreaseStreamRetentionPeriod" : "IncreaseStreamRetentionPeriod";
    json input = {{"StreamName", declared.name}, {"RetentionPeriodHours", retention}};
    Answer changed = co_await operations.call("kinesis", action, input);
    if (!changed.ok) co_return changed;
    Answer again = co_await settled(operations, "kinesis", "DescribeStreamSummary", name, "StreamDescriptionSummary",
                                    "StreamStatus", config.stream_update_delay);
    if (!again.ok) co_return again;
  }
  co_return std::nullopt;
}

awaitable<std::optional<Answer>> declare_delivery_stream(const Config& config, const Declaration& declared,
                                                         Operations& operations, Notices& notices) {
  json input = json::parse(declared.json);
  Answer created = co_await operations.call("firehose", "CreateDeliveryStream", input);
  if (!created.ok && created.error_type != "ResourceInUseException") co_return created;
  if (!created.ok) notices.push_back("delivery stream '" + declared.name + "' exists and stays as it is");
  json name = {{"DeliveryStreamName", declared.name}};
  Answer described =
      co_await settled(operations, "firehose", "DescribeDeliveryStream", name, "DeliveryStreamDescription",
                       "DeliveryStreamStatus", config.delivery_create_delay);
  if (!described.ok) co_return described;
  co_return std::nullopt;
}

awaitable<Notices> declare_all(const Config& config, Operations& operations, Failures& failures) {
  Notices notices;
  for (const Declaration& stream : config.streams) {
    std::optional<Answer> failed = co_await declare_stream(config, stream, operations, notices);
    if (failed) failures.add(stream, *failed);
  }
  for (const Declaration& stream : config.delivery_streams) {
    std::optional<Answer> failed = co_await declare_delivery_stream(config, stream, operations, notices);
    if (failed && !failures.follows(failed->message)) failures.add(stream, *failed);
  }
  co_return notices;
}

void deploy_all(const Config& config, gateway::Gateway& gateway, Mistakes& mistakes) {
  for (const ApiDeclaration& api : config.apis) {
    std::string why;
    std::optional<std::string> text = read_file(api.openapi, kOpenApiBytesMax, why);
    if (!text) {
      mistakes.add(static_cast<std::size_t>(api.openapi_line), api.path + ".openapi",
                   api.openapi.string() + ": " + why);
      continue;
    }
    gateway::ApiSpec spec{api.name, api.id, api.stages, *std::move(text), api.openapi};
    auto summary = gateway.deploy(spec);
    if (!summary) mistakes.add_elsewhere(summary.error().detail);
  }
}

}  // namespace

awaitable<Result<Notices>> declare(const Config& config, gateway::ServiceCaller& services) {
  Operations operations(services);
  Failures failures(config);
  Notices notices = co_await declare_all(config, operations, failures);
  if (!failures.mistakes().empty()) co_return failures.mistakes().error();
  co_return notices;
}

awaitable<Result<Notices>> apply(const Config& config, gateway::Gateway& gateway, gateway::ServiceCaller& services) {
  Operations operations(services);
  Failures failures(config);
  deploy_all(config, gateway, failures.mistakes());
  Notices notices = co_await declare_all(config, operations, failures);
  if (!failures.mistakes().empty()) co_return failures.mistakes().error();
  co_return notices;
}

}  // namespace millrace::config
