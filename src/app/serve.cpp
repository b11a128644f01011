#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <optional>
#include <thread>

#include "app/commands.hpp"
#include "app/data_directory.hpp"
#include "app/house.hpp"
#include "app/signals.hpp"
#include "app/start_error.hpp"
#include "millrace/base/log.hpp"
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

/// Stop softly: no new connections, requests end, buffers are delivered. Gives the records that were not.
awaitable<std::uint64_t> stop(House& house, std::chrono::milliseconds within) {
  auto begun = steady_clock::now();
  auto deadline = begun + within;
  house.admin().set_ready(false);
  co_await house.server().stop(begun + std::min(kRequestsShare, within / 4));
  std::vector<delivery::FlushFailure> failures = co_await house.delivery().flush(deadline);
  for (const delivery::FlushFailure& failure : failures)
    logging::warn("not delivered", {{"delivery_stream", failure.delivery_stream}, {"reason", failure.reason}});
  std::uint64_t undelivered = house.delivery().undelivered_records();
  co_await house.delivery().stop();
  co_return undelivered;
}

[[noreturn]] void end_at_once(int exit_code) {
  std::cout.flush();
  _exit(exit_code);  // threads are busy with what was given up: nothing is destroyed under them
}

/// A stop that was asked for: the exit code.
int stop_serving(Signals& signals, House& house, std::chrono::milliseconds within) {
  logging::info("stopping", {{"deadline_ms", within.count()}});
  auto hard_deadline = steady_clock::now() + within + kAfterDeadline;
  std::future<std::uint64_t> stopped = signals.start(house.executor(), stop(house, within));
  if (auto again = signals.wait([&] { return Signals::ready(stopped); }, hard_deadline)) {
    logging::warn("a second signal: ending at once", {{"undelivered_records", house.delivery().undelivered_records()}});
    end_at_once(128 + *again);
  }
  if (!Signals::ready(stopped)) {
    logging::error("could not stop in time", {{"undelivered_records", house.delivery().undelivered_records()}});
    end_at_once(3);
  }
  std::uint64_t undelivered = stopped.get();
  if (undelivered == 0) {
    logging::info("stopped");
    return 0;
  }
  logging::warn("stopped: records were acknowledged and not delivered", {{"undelivered_records", undelivered}});
  return 3;
}

}  // namespace

int serve(const config::Config& config) {
  Signals signals;
  std::optional<DataDirectory> data_directory;  // outlives what writes into it
  std::size_t threads = config.threads ? config.threads : std::max(1u, std::thread::hardware_concurrency());
  const std::size_t connections_each = connections_max(threads);
  House house(config, threads);
  std::future<void> opened = signals.start(house.executor(), house.open());
  if (auto signal = signals.wait([&] { return Signals::ready(opened); })) end_at_once(128 + *signal);
  opened.get();
  // In memory mode nothing is read from it: a start that is refused for its declarations leaves no directory behind.
  data_directory.emplace(config.data_dir);

  net::Server& server = house.server();
  net::ListenerOptions aws, gateway;
  aws.address = config.listen_aws;
  aws.kind = http::Listener::aws;
  gateway.address = config.listen_gateway;
  gateway.kind = http::Listener::gateway;
  gateway.head_bytes_max = kGatewayHeadBytesMax;
  aws.connections_max = gateway.connections_max = connections_each;
  std::string aws_urls = urls(listen(server, "listen.aws", aws, house.aws_handler()));
  std::string gateway_urls = urls(listen(server, "listen.gateway", gateway, house.gateway_handler()));
  server.start();
  house.admin().set_ready(true);

  std::cout << "millrace " MILLRACE_VERSION ": data in " << config.data_dir.string() << ", at most "
            << (config.memory_limit >> 20) << " MiB of records in memory\n";
  for (const std::string& line : house.describe()) std::cout << line << '\n';
  std::cout << "ready: aws" << aws_urls << " gateway" << gateway_urls << std::endl;

  signals.wait_for_stop();
  return stop_serving(signals, house, config.shutdown_deadline);
}

}  // namespace millrace::app
