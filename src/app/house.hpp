#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "millrace/admin/admin.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/cores.hpp"
#include "millrace/base/files.hpp"
#include "millrace/base/http.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/random.hpp"
#include "millrace/config/config.hpp"
#include "millrace/delivery/delivery.hpp"
#include "millrace/front/front.hpp"
#include "millrace/gateway/gateway.hpp"
#include "millrace/gateway/service_caller.hpp"
#include "millrace/log/engine.hpp"
#include "millrace/net/server.hpp"
#include "millrace/objects/tree.hpp"
#include "millrace/services/accounts.hpp"
#include "millrace/services/operation.hpp"
#include "millrace/services/sessions.hpp"
#include "millrace/snapshots/snapshots.hpp"
#include "millrace/state/store.hpp"
#include "millrace/streams/streams.hpp"
#include "millrace/telemetry/metrics.hpp"
#include "millrace/telemetry/published.hpp"

namespace millrace::app {

/// Every part, wired. Members stand in the order in which they need each other; what a suspended coroutine may still
/// hold when the cores end stands before the cores.
class House {
 public:
  /// Recovers what is stored, where the storage mode is durable: the data directory is locked by then. Starts the
  /// cores' threads. `config` must live as long. Throws StartError.
  /// @param begin_again  called, on any thread, when a restore was prepared: the house is to be left for another one
  /// @param authority    PEM of what signs the listeners' certificate, for /_millrace/ca.pem
  House(const config::Config& config, std::size_t threads, std::function<void()> begin_again = {},
        std::function<std::string()> authority = {});
  /// Ends delivery's background work and the threads first; listeners must have been stopped, if they were started.
  ~House();
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  /// Builds what needs a coroutine, deploys the APIs and applies the declarations. On core 0, once, before anything
  /// below is used. Throws StartError.
  awaitable<void> open();

  /// In memory mode: what an earlier life could not hold in memory is of no use. The data directory is locked.
  void discard_spilled();
  /// Whether what was acknowledged outlives the process.
  bool durable() const noexcept { return config_.storage_mode == "durable"; }
  /// What is served, a line each, for a person.
  std::vector<std::string> describe() const;

  Executor executor() { return cores_.executor(0); }
  Cores& cores() { return cores_; }
  MemoryBudget& budget() { return budget_; }
  // Of all accounts.
  void stop_subscriptions();
  awaitable<std::vector<delivery::FlushFailure>> flush_delivery(std::chrono::steady_clock::time_point deadline);
  std::uint64_t undelivered_records() const;
  awaitable<void> stop_delivery();
  admin::Admin& admin() { return *admin_; }
  http::Handler& aws_handler() { return *aws_handler_; }
  http::Handler& gateway_handler() { return *gateway_handler_; }
  net::Server& server() { return *server_; }

 private:
  std::filesystem::path spill_directory() const { return config_.data_dir / "spill"; }
  void stay_in_memory();
  void open_files();
  awaitable<bool> prepare_sealing();
  awaitable<void> open_accounts(streams::Options stream_options, delivery::Options delivery_options);
  std::vector<services::Environment*> environments() const;
  awaitable<std::string> declare_again();
  std::vector<std::string> degraded() const;

  const config::Config& config_;
  const std::function<void()> begin_again_;
  const std::function<std::string()> authority_;
  MemoryBudget budget_;
  std::unique_ptr<Random> random_;
  const services::Sessions sessions_;
  telemetry::PublishedMetrics published_;
  telemetry::Registry metrics_;
  Cores cores_;
  SystemClock clock_;
  std::unique_ptr<Files> files_;
  FileThreads file_threads_;
  std::unique_ptr<state::Store> store_;
  std::vector<std::string> damage_;  // that the start found in the state, and went on without
  std::unique_ptr<log::Engine> engine_;
  std::unique_ptr<snapshots::Snapshots> snapshots_;
  std::unique_ptr<streams::Streams> streams_;
  std::unique_ptr<objects::Tree> objects_;
  std::unique_ptr<delivery::Delivery> delivery_;
  std::unique_ptr<services::Environment> environment_;  // of the configured account
  std::unique_ptr<services::Accounts> accounts_;        // all others that are stored, and served with multi_account
  front::OperationsPtr operations_;
  std::unique_ptr<gateway::ServiceCaller> services_;
  std::unique_ptr<gateway::Gateway> gateway_;
  std::unique_ptr<gateway::Gateway> counted_gateway_;
  std::unique_ptr<admin::Admin> admin_;
  std::unique_ptr<http::Handler> aws_handler_;
  std::unique_ptr<http::Handler> gateway_handler_;
  std::unique_ptr<net::Server> server_;  // binds nothing before it is told to
};

}  // namespace millrace::app
