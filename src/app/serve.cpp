#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <optional>
#include <thread>

#include "app/certificates.hpp"
#include "app/commands.hpp"
#include "app/data_directory.hpp"
#include "app/house.hpp"
#include "app/restoring.hpp"
#include "app/signals.hpp"
#include "app/start_error.hpp"
#include "millrace/base/log.hpp"
#include "millrace/config/local_keys.hpp"
#include "millrace/journal/frame.hpp"
#include "millrace/net/server.hpp"

namespace millrace::app {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kGatewayHeadBytesMax = 10'240;        // what API Gateway takes
constexpr std::chrono::milliseconds kRequestsShare{2'000};  // of a stop: the rest of it is delivery's
constexpr std::chrono::milliseconds kAfterDeadline{500};    // for what cannot be cancelled

constexpr std::size_t kListeners = 2;
constexpr std::size_t kFilesKept = 64;         // open files that are not connections: objects being written, the log
constexpr std::size_t kFilesOfACore = 4;       // what it polls with, and one to spare
constexpr std::size_t kConnectionsLeast = 16;  // of a listener

/// How many connections a listener may hold: half of what the limit of open files has room for, so that a flood on one
/// leaves the other, and files, their own.
std::size_t connections_max(std::size_t threads) {
  rlimit limit{};
  const std::size_t wanted = net::ListenerOptions{}.connections_max;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return wanted;
  if (limit.rlim_cur != limit.rlim_max) {
    const rlimit raised{limit.rlim_max, limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
      limit = raised;
    else
      logging::warn("the limit of open files stays where it is", {{"limit", limit.rlim_cur}});
  }
  const std::size_t kept = kFilesKept + kFilesOfACore * threads;
  if (limit.rlim_cur < kept + kListeners * kConnectionsLeast)
    throw StartError("the limit of open files is " + std::to_string(limit.rlim_cur) + ": at least " +
                     std::to_string(kept + kListeners * kConnectionsLeast) + " are needed (ulimit -n)");
  return std::min<std::size_t>(wanted, (limit.rlim_cur - kept) / kListeners);
}

std::vector<std::string> listen(net::Server& server, std::string_view key, net::ListenerOptions options,
                                http::Handler& handler) {
  auto bound = server.listen(std::move(options), handler);
  if (!bound) throw StartError(std::string(key) + ": " + bound.error().detail);
  return *std::move(bound);
}

std::string urls(const std::vector<std::string>& addresses) {
  std::string out;
  for (const std::string& address : addresses) out += " http://" + address;
  return out;
}

/// ` (durable, sync always, encrypted with key 2)`
std::string storage_text(const config::Config& config) {
  std::string text;
  if (config.storage_mode == "durable") text = "durable, sync " + config.storage_sync;
  const std::uint32_t key = config.keys ? config.keys->current() : 0;
  if (key) text.append(text.empty() ? "" : ", ").append("encrypted with key ").append(std::to_string(key));
  return text.empty() ? text : " (" + text + ")";
}

/// Stop softly: no new connections, requests end, buffers are delivered. Gives the records that were not.
awaitable<std::uint64_t> stop(House& house, std::chrono::milliseconds within) {
  auto begun = steady_clock::now();
  auto deadline = begun + within;
  house.admin().set_ready(false);
  house.stop_subscriptions();
  co_await house.server().stop(begun + std::min(kRequestsShare, within / 4));
  std::vector<delivery::FlushFailure> failures = co_await house.flush_delivery(deadline);
  for (const delivery::FlushFailure& failure : failures)
    logging::warn("not delivered", {{"delivery_stream", failure.delivery_stream}, {"reason", failure.reason}});
  std::uint64_t undelivered = house.undelivered_records();
  co_await house.stop_delivery();
  co_return undelivered;
}

[[noreturn]] void end_at_once(int exit_code) {
  std::cout.flush();
  _exit(exit_code);  // threads are busy with what was given up: nothing is destroyed under them
}

/// What becomes of records that were acknowledged and not delivered: the exit code.
int end_with(std::uint64_t undelivered, bool durable) {
  if (undelivered == 0) {
    logging::info("stopped");
    return 0;
  }
  if (durable) {
    logging::info("stopped: records that wait for delivery are kept, the next start goes on with them",
                  {{"undelivered_records", undelivered}});
    return 0;
  }
  logging::warn("stopped: records were acknowledged and not delivered", {{"undelivered_records", undelivered}});
  return 3;
}

/// A stop that was asked for: the exit code.
int stop_serving(Signals& signals, House& house, std::chrono::milliseconds within) {
  logging::info("stopping", {{"deadline_ms", within.count()}});
  auto hard_deadline = steady_clock::now() + within + kAfterDeadline;
  std::future<std::uint64_t> stopped = signals.start(house.executor(), stop(house, within));
  if (auto again = signals.wait([&] { return Signals::ready(stopped); }, hard_deadline)) {
    logging::warn("a second signal: ending at once", {{"undelivered_records", house.undelivered_records()}});
    end_at_once(128 + *again);
  }
  if (!Signals::ready(stopped)) {
    // In durable mode nothing that was acknowledged needs an orderly end.
    logging::error("could not stop in time", {{"undelivered_records", house.undelivered_records()}});
    end_at_once(house.durable() ? 0 : 3);
  }
  return end_with(stopped.get(), house.durable());
}

/// The house is left for another one: what waits for delivery stays where it is.
awaitable<void> leave(House& house, std::chrono::milliseconds within) {
  house.admin().set_ready(false);
  house.stop_subscriptions();
  co_await house.server().stop(steady_clock::now() + std::min(kRequestsShare, within / 4));
  co_await house.stop_delivery();
}

void stop_for_restore(Signals& signals, House& house, std::chrono::milliseconds within) {
  logging::info("stopping for a restore");
  auto hard_deadline = steady_clock::now() + within + kAfterDeadline;
  std::future<void> left = signals.start(house.executor(), leave(house, within));
  if (auto signal = signals.wait([&] { return Signals::ready(left); }, hard_deadline)) end_at_once(128 + *signal);
  if (Signals::ready(left)) return left.get();
  logging::error("could not stop in time: the next start restores");
  end_at_once(4);
}

/// `localhost:0` as the port that was given.
std::string with_port_of(const std::string& address, const std::string& bound) {
  const auto port = [](const std::string& text) { return text.rfind(':') + 1; };
  return address.substr(0, port(address)) + bound.substr(port(bound));
}

class Daemon {
 public:
  explicit Daemon(const config::Config& config)
      : config_(config),
        threads_(config.threads ? config.threads : std::max(1u, std::thread::hardware_concurrency())),
        connections_each_(connections_max(threads_)) {}

  int serve() {
    check_certificate(config_, false);  // before anything is made
    const bool durable = config_.storage_mode == "durable";
    if (durable) data_directory_.emplace(config_.data_dir);
    if (!config_.keys) {
      auto own = config::local_keys(durable ? config_.data_dir / config::kLocalKeyFile : std::filesystem::path());
      if (!own) throw ConfigError(own.error());
      config_.keys = config_.local_keys = std::move(*own);
    }
    for (;;) {
      std::optional<snapshots::Restore> restored;
      if (durable) restored = Restoring(config_).finish();
      ready_ = false;
      try {
        if (const std::optional<int> code = live()) return *code;
      } catch (const std::exception& e) {
        if (ready_ || !restored || !Restoring(config_).go_back(*restored, e.what())) throw;
      }
    }
  }

 private:
  /// From a house's start to its end: the exit code; nothing when another house is to follow.
  std::optional<int> live() {
    std::atomic<bool> begin_again{false};
    House house(
        config_, threads_,
        [&] {
          begin_again = true;
          signals_.wake();
        },
        [this] { return certificates_ ? certificates_->authority() : std::string(); });
    std::future<void> opened = signals_.start(house.executor(), house.open());
    if (auto signal = signals_.wait([&] { return Signals::ready(opened); })) end_at_once(128 + *signal);
    opened.get();
    // In memory mode nothing is read from it: a start that is refused for its declarations leaves no directory behind.
    if (!data_directory_) data_directory_.emplace(config_.data_dir);
    house.discard_spilled();
    if (config_.tls_enabled && !certificates_) {
      certificates_.emplace(config_);
      signals_.meanwhile([this] { certificates_->reload(); }, [this] { certificates_->look(); });
    }
    open_doors(house);
    if (signals_.wait([&] { return begin_again.load(); }))
      return stop_serving(signals_, house, config_.shutdown_deadline);
    stop_for_restore(signals_, house, config_.shutdown_deadline);
    return std::nullopt;
  }

  void open_doors(House& house) {
    net::Server& server = house.server();
    net::ListenerOptions aws, gateway;
    aws.address = config_.listen_aws;
    aws.kind = http::Listener::aws;
    gateway.address = config_.listen_gateway;
    gateway.kind = http::Listener::gateway;
    gateway.head_bytes_max = kGatewayHeadBytesMax;
    aws.connections_max = gateway.connections_max = connections_each_;
    if (certificates_) aws.tls = gateway.tls = certificates_->tls();
    const std::vector<std::string> aws_bound = listen(server, "listen.aws", aws, house.aws_handler());
    const std::vector<std::string> gateway_bound = listen(server, "listen.gateway", gateway, house.gateway_handler());
    // Clients find the next house where this one was.
    config_.listen_aws = with_port_of(config_.listen_aws, aws_bound.front());
    config_.listen_gateway = with_port_of(config_.listen_gateway, gateway_bound.front());
    server.start();
    house.admin().set_ready(true);
    ready_ = true;

    std::cout << "millrace " MILLRACE_VERSION ": data in " << config_.data_dir.string() << storage_text(config_)
              << ", at most " << (config_.memory_limit >> 20) << " MiB of records in memory\n";
    for (const std::string& line : house.describe()) std::cout << line << '\n';
    if (certificates_) std::cout << certificates_->describe() << '\n';
    std::cout << "ready: aws" << urls(aws_bound) << " gateway" << urls(gateway_bound) << std::endl;
  }

  Signals signals_;
  config::Config config_;
  const std::size_t threads_, connections_each_;
  std::optional<DataDirectory> data_directory_;  // outlives what writes into it
  std::optional<Certificates> certificates_;     // serve every house
  bool ready_ = false;
};

}  // namespace

int serve(const config::Config& config) { return Daemon(config).serve(); }

}  // namespace millrace::app
