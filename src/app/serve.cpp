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

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) logging::warn("the limit of open files stays where it is");
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
  raise_descriptor_limit();
  std::optional<DataDirectory> data_directory;  // outlives what writes into it
  std::size_t threads = config.threads ? config.threads : std::max(1u, std::thread::hardware_concurrency());
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
