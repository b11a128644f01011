#include "millrace/cli/agent.hpp"

#include <array>
#include <optional>

#include "cli/aws_client.hpp"
#include "cli/url.hpp"
#include "millrace/agent/agent.hpp"
#include "millrace/base/file_lock.hpp"

namespace millrace::cli {
namespace {

using agent::Service;

constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr std::chrono::seconds kTimeout{15};

// As the file may say it: of a host alone, with TLS.
std::string url_of(const std::string& endpoint) {
  return endpoint.empty() || endpoint.find("://") != std::string::npos ? endpoint : "https://" + endpoint;
}

// kinesis.eu-west-1.amazonaws.com
std::string region_of(const std::string& url) {
  const auto place = parse_url(url);
  if (!place) return {};
  const std::size_t first = place->host.find('.'), second = place->host.find('.', first + 1);
  if (second == std::string::npos || !place->host.substr(second).starts_with(".amazonaws.")) return {};
  return place->host.substr(first + 1, second - first - 1);
}

/// The endpoints of the services, each reached when it is needed.
class Endpoints {
 public:
  Endpoints(const agent::Settings& settings, const AgentCommand& command)
      : urls_{url_of(settings.kinesis_endpoint), url_of(settings.firehose_endpoint),
              url_of(settings.cloudwatch_endpoint)} {
    options_.ca_file = command.ca_file;
    options_.timeout = kTimeout;
    options_.access_key_id = command.access_key_id;
    options_.secret_access_key = command.secret_access_key;
    options_.session_token = command.session_token;
    if (!settings.access_key_id.empty()) {
      options_.access_key_id = settings.access_key_id;
      options_.secret_access_key = settings.secret_access_key;
      options_.session_token.clear();
    }
    for (std::string& url : urls_) {
      if (!command.url.empty()) url = command.url;
      if (url.empty()) url = command.otherwise;
    }
    region_ = command.region;
  }
  /// Of the services that are used; empty where all of them can be reached.
  std::string wrong(const agent::Settings& settings) const {
    std::array<bool, 3> used{};
    for (const agent::Flow& flow : settings.flows) used[flow.firehose ? 1 : 0] = true;
    used[2] = settings.metrics;
    static constexpr const char* kNames[] = {"kinesis.endpoint", "firehose.endpoint", "cloudwatch.endpoint"};
    for (std::size_t i = 0; i < used.size(); ++i)
      if (used[i] && !parse_url(urls_[i]))
        return std::string(kNames[i]) +
               (urls_[i].empty() ? " is not said, and --url neither" : " is no URL like http://localhost:4566");
    return {};
  }

  agent::Answer call(Service service, std::string_view operation, std::string body) {
    static constexpr const AwsClient::Service* kServices[] = {&AwsClient::kKinesis, &AwsClient::kFirehose,
                                                              &AwsClient::kMonitoring};
    const auto index = static_cast<std::size_t>(service);
    std::optional<AwsClient>& client = clients_[index];
    if (!client) {
      AwsClient::Options options = options_;
      options.url = urls_[index];
      const std::string of_url = region_of(options.url);
      options.region = !region_.empty() ? region_ : !of_url.empty() ? of_url : "us-east-1";
      client.emplace(std::move(options));
    }
    auto answer = client->call(*kServices[index], operation, std::move(body));
    if (!answer) return {0, answer.error().detail};
    return {answer->status, std::move(answer->body)};
  }

 private:
  std::array<std::string, 3> urls_;
  AwsClient::Options options_;
  std::string region_;
  std::array<std::optional<AwsClient>, 3> clients_;
};

}  // namespace

int run_agent(const AgentCommand& command, const std::function<bool(std::chrono::milliseconds)>& wait, Output& out,
              Output& err) {
  const auto failed = [&err](int code, const std::string& what) {
    err << "millrace agent: " << what << "\n";
    return code;
  };
  const auto files = make_system_files();
  const auto text = files->read_all(command.file, kFileBytesMax);
  if (!text) return failed(2, text.error().detail);
  const auto parsed = agent::parse_settings(*text, std::filesystem::absolute(command.file));
  if (const auto* wrong = std::get_if<std::vector<std::string>>(&parsed)) {
    for (const std::string& one : *wrong) failed(2, command.file.string() + ": " + one);
    return 2;
  }
  const agent::Settings& settings = std::get<agent::Settings>(parsed);
  Endpoints endpoints(settings, command);
  if (const std::string wrong = endpoints.wrong(settings); !wrong.empty())
    return failed(2, command.file.string() + ": " + wrong);
  if (command.check) {
    for (const agent::Flow& flow : settings.flows)
      out << flow.file_pattern << " to " << (flow.firehose ? "delivery stream " : "stream ") << flow.destination
          << "\n";
    out.flush();
    return 0;
  }
  // No other agent sends the same meanwhile.
  const FileLock lock(std::filesystem::path(settings.checkpoints) += ".lock");
  if (!lock.opened()) return failed(1, settings.checkpoints.string() + " cannot be written");
  if (!lock.held()) return failed(1, settings.checkpoints.string() + " is used by another agent");

  const auto random = make_system_random();
  const auto now = [] { return std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now()); };
  const agent::Call call = [&](Service service, std::string_view operation, std::string body) {
    return endpoints.call(service, operation, std::move(body));
  };
  if (const std::string wrong = agent::run(settings, {now, *random, *files, call, wait}); !wrong.empty())
    return failed(1, wrong);
  return 0;
}

}  // namespace millrace::cli
