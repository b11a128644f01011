#include "app/house.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <future>
#include <limits>

#include "app/start_error.hpp"
#include "millrace/base/log.hpp"
#include "millrace/config/declare.hpp"
#include "millrace/config/local_keys.hpp"
#include "millrace/delivery/flush_all.hpp"
#include "millrace/front/front.hpp"
#include "millrace/streams/subscription.hpp"

namespace millrace::app {
namespace {

constexpr std::size_t kFileThreads = 2;
constexpr std::chrono::seconds kPatience{5};  // with background work that must end

// Of the memory limit, what records leave to connections, bodies, replies and delivery.
std::size_t kept_from_records(std::size_t memory_limit) {
  constexpr std::size_t kEnough = 256u << 20;
  return std::min(memory_limit / 8, kEnough);
}

/// The keys that may sign, so that what they asked for outlives a restart; without any, tokens do not.
std::string secret_of_sessions(const config::Config& config, Random& random) {
  std::string all;
  for (const auto& key : config.access_keys) (all += key.secret) += '\n';
  if (all.empty()) {
    all.resize(Sealer::kKeyBytes);
    random.secret(std::as_writable_bytes(std::span(all)));
  }
  return all;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

}  // namespace

House::House(const config::Config& config, std::size_t threads, std::function<void()> begin_again,
             std::function<std::string()> authority)
    : config_(config),
      begin_again_(std::move(begin_again)),
      authority_(std::move(authority)),
      budget_(config.memory_limit, kept_from_records(config.memory_limit)),
      random_(make_system_random()),
      sessions_(secret_of_sessions(config, *random_)),
      cores_(threads),
      clock_(cores_.executor(0)),
      files_(make_system_files()),
      file_threads_(kFileThreads),
      server_(net::make_server(cores_, budget_)) {
  if (durable())
    open_files();
  else
    stay_in_memory();
  cores_.start();
}

void House::stay_in_memory() {
  store_ = state::make_memory_store();
  log::SpillOptions spill;
  spill.directory = spill_directory();
  spill.file_bytes = config_.file_size;
  spill.disk_limit = config_.disk_limit;
  spill.keys = config_.keys.get();
  spill.random = random_.get();
  engine_ = log::make_spilling_engine(clock_, budget_, *files_, file_threads_, std::move(spill));
}

void House::discard_spilled() {
  if (auto gone = files_->remove_all(spill_directory()); !gone)
    logging::warn("what an earlier start had in files could not be removed", {{"error", gone.error().detail}});
}

void House::open_files() {
  const bool serve_damaged = config_.on_damage == "serve";
  state::JournalStoreOptions state_options;
  state_options.directory = config_.data_dir / "state";
  state_options.serve_damaged = serve_damaged;
  state_options.keys = config_.keys.get();
  state_options.random = random_.get();
  auto store = state::make_journal_store(*files_, clock_, std::move(state_options));
  if (!store) throw StartError(store.error().detail);
  store_ = std::move(store->store);
  damage_ = std::move(store->damage);
  for (const std::string& damage : damage_) logging::error("stored state cannot be read", {{"damage", damage}});

  log::DurableEngineOptions log_options;
  log_options.directory = config_.data_dir / "log";
  log_options.sync = config_.storage_sync == "always";
  log_options.file_bytes = config_.file_size;
  log_options.disk_limit = config_.disk_limit;
  log_options.serve_damaged = serve_damaged;
  log_options.keys = config_.keys.get();
  log_options.random = random_.get();
  auto engine = log::make_durable_engine(clock_, budget_, *files_, file_threads_, std::move(log_options));
  if (!engine) throw StartError(engine.error().detail);
  engine_ = std::move(*engine);

  snapshots_ = snapshots::make_snapshots(
      snapshots::Place{*files_, clock_, *random_, config_.data_dir, config_.keys.get(), serve_damaged}, *store_,
      *engine_);
}

House::~House() {
  if (delivery_) {
    // Its coroutines wait on what outlives the cores; they end themselves here, also when opening failed half-way.
    auto ended = std::make_shared<std::promise<void>>();
    boost::asio::co_spawn(executor(), stop_delivery(), [ended](std::exception_ptr) { ended->set_value(); });
    ended->get_future().wait_for(kPatience);
  }
  cores_.stop();
  cores_.join();
}

awaitable<void> House::open() {
  streams::Options stream_options;
  stream_options.create_delay = config_.stream_create_delay;
  stream_options.update_delay = config_.stream_update_delay;
  stream_options.delete_delay = config_.stream_delete_delay;
  stream_options.limits = {config_.limits_enforced, config_.limited_streams, config_.exempt_streams,
                           streams::quotas_in(config_.region)};
  if (config_.shards_max != 0)
    stream_options.shards_max = static_cast<std::uint32_t>(config_.shards_max);
  else if (config_.limits_enforced)
    stream_options.shards_max = stream_options.limits.quotas.shards;
  stream_options.prepare_sealing = [this] { return prepare_sealing(); };
  streams_ = co_await streams::make_streams(clock_, *random_, *store_, *engine_, stream_options);
  objects_ = objects::make_tree(*files_, file_threads_, config_.data_dir / "s3", /*sync=*/durable());

  delivery::Options delivery_options{config_.delivery_create_delay, config_.delivery_delete_delay};
  delivery::Dependencies delivery_dependencies{clock_, *random_, cores_, budget_, *store_, *streams_, *objects_};
  delivery_ = delivery::make_delivery(delivery_dependencies, delivery_options);
  services::Environment environment{clock_,          *random_,           budget_,       *streams_,
                                    delivery_.get(), config_.account_id, config_.region};
  environment.published = &published_;
  environment.sessions = &sessions_;
  telemetry::show(metrics_, published_);
  environment_ = std::make_unique<services::Environment>(std::move(environment));
  co_await open_accounts(stream_options, delivery_options);
  operations_ = front::make_operations(*environment_, metrics_, cores_);
  services_ = front::make_service_caller(*operations_);

  gateway::GatewayOptions gateway_options;
  gateway_options.account_id = config_.account_id;
  gateway_options.region = config_.region;
  gateway_options.budget = &budget_;
  gateway_ = gateway::make_gateway(clock_, *random_, *services_, gateway_options);
  counted_gateway_ = front::count_invocations(*gateway_, metrics_, cores_);

  admin::Dependencies admin_dependencies{.clock = clock_,
                                         .budget = budget_,
                                         .streams = *streams_,
                                         .delivery = *delivery_,
                                         .objects = *objects_,
                                         .gateway = *gateway_,
                                         .metrics = metrics_,
                                         .file_threads = file_threads_,
                                         .reset_enabled = config_.reset_enabled,
                                         .declare_again = [this] { return declare_again(); },
                                         .storage_mode = config_.storage_mode,
                                         .storage_status = [this] { return engine_->status(); },
                                         .snapshots = snapshots_.get(),
                                         .begin_again = begin_again_,
                                         .authority = authority_,
                                         .degraded = [this] { return degraded(); },
                                         .others = [this] { return accounts_->others(); }};
  admin_ = admin::make_admin(std::move(admin_dependencies));

  front::Options front_options;
  front_options.auth = config_.auth_mode == "verify"   ? front::AuthMode::verify
                       : config_.auth_mode == "ignore" ? front::AuthMode::ignore
                                                       : front::AuthMode::presence;
  for (const config::AccessKey& key : config_.access_keys)
    front_options.access_keys.push_back({key.id, key.secret, key.account});
  front_options.region = config_.region;
  front_options.multi_account = config_.multi_account;
  front_options.sessions = &sessions_;
  front::AdminHandler pages = [this](http::Request& request, http::ResponseWriter& writer) {
    return admin_->handle(request, writer);
  };
  aws_handler_ = front::make_aws_handler(*operations_, *counted_gateway_, std::move(pages), front_options);
  gateway_handler_ = front::make_gateway_handler(*counted_gateway_);

  auto notices = co_await config::apply(config_, *gateway_, *services_);
  if (!notices) throw ConfigError(notices.error());
  for (const std::string& notice : *notices) logging::warn(notice);
}

/// All that is stored is opened before anything is forgotten, also of accounts that are not served any more.
awaitable<void> House::open_accounts(streams::Options stream_options, delivery::Options delivery_options) {
  services::Accounts::Parts parts{*store_, *engine_, cores_, *objects_, std::move(stream_options), delivery_options};
  accounts_ = std::make_unique<services::Accounts>(*environment_, std::move(parts),
                                                   /*policies=*/config_.auth_mode == "verify");
  if (config_.multi_account) environment_->accounts = accounts_.get();
  co_await accounts_->load();
  engine_->forget_unopened();
  if (const std::size_t stored = accounts_->others().size(); stored > 0 && !config_.multi_account)
    logging::warn("what other accounts have is kept, and served to nobody without multi_account",
                  {{"accounts", stored}});
  for (const services::Environment* one : environments()) {
    const std::vector<streams::StreamRef> all = one->streams.list({}, SIZE_MAX);
    if (std::none_of(all.begin(), all.end(), [](const auto& stream) { return stream->settings.key_id.has_value(); }))
      continue;
    const bool ready = co_await prepare_sealing();
    if (!ready) throw StartError("a stream is encrypted, and there is no key to seal its records with");
  }
  for (const services::Environment* one : environments())
    if (auto started = co_await one->delivery->start(); !started) throw StartError(started.error().detail);
}

std::vector<services::Environment*> House::environments() const {
  std::vector<services::Environment*> all = accounts_->others();
  all.insert(all.begin(), environment_.get());
  return all;
}

void House::stop_subscriptions() {
  for (services::Environment* one : environments()) one->streams.subscriptions().stop();
}

awaitable<std::vector<delivery::FlushFailure>> House::flush_delivery(std::chrono::steady_clock::time_point deadline) {
  std::vector<delivery::Named> all;
  for (services::Environment* one : environments()) all.push_back({services::told_prefix(*one), one->delivery});
  return delivery::flush_all(std::move(all), deadline);
}

std::uint64_t House::undelivered_records() const {
  std::uint64_t all = 0;
  for (const services::Environment* one : environments()) all += one->delivery->undelivered_records();
  return all;
}

awaitable<void> House::stop_delivery() {
  co_await delivery_->stop();
  if (accounts_) co_await accounts_->stop();
}

awaitable<bool> House::prepare_sealing() {
  if (!config_.local_keys) co_return true;
  config::Result<> ready;
  auto work = [&] { ready = config_.local_keys->prepare(*random_); };
  co_await file_threads_.run(work);
  if (!ready) logging::error("streams cannot be encrypted", {{"error", ready.error().detail}});
  co_return ready.has_value();
}

awaitable<std::string> House::declare_again() {
  auto notices = co_await config::declare(config_, *services_);
  co_return notices ? std::string() : notices.error().detail;
}

std::vector<std::string> House::degraded() const {
  std::vector<std::string> reasons;
  for (const std::string& damage : damage_) reasons.push_back("found at the start: " + damage);
  if (std::string trouble = store_->trouble(); !trouble.empty()) reasons.push_back(std::move(trouble));
  const log::EngineStatus status = engine_->status();
  for (const std::string& damage : status.damage) reasons.push_back("found at the start: " + damage);
  if (status.damage_found > status.damage.size())
    reasons.push_back("found at the start: " + std::to_string(status.damage_found - status.damage.size()) +
                      " more damaged places, which the log names");
  if (status.full) reasons.push_back("records are refused: the disk is full, or storage.disk_limit is reached");
  if (status.failing) reasons.push_back("the last write of records to files failed: the log says why");
  if (status.damaged_reads)
    reasons.push_back("reads that found damage since the start: " + std::to_string(status.damaged_reads) +
                      "; the log says where");
  return reasons;
}

std::vector<std::string> House::describe() const {
  constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  std::vector<std::string> lines;
  for (const services::Environment* one : environments()) {
    for (const streams::StreamRef& stream : one->streams.list("", all)) {
      std::size_t shards = stream->open_shards();
      lines.push_back("stream " + services::told_prefix(*one) + stream->name + ": " + std::to_string(shards) +
                      (shards == 1 ? " shard" : " shards"));
    }
    for (const auto& stream : one->delivery->list("", all)) {
      const delivery::S3Destination& s3 = stream->spec.s3;
      std::string folder = (config_.data_dir / "s3" / s3.bucket).string() + "/" + s3.prefix;
      lines.push_back("delivery stream " + services::told_prefix(*one) + stream->spec.name + ": " +
                      stream->spec.source_stream + " to " + folder + ", " + std::to_string(s3.size_mib) + " MiB or " +
                      std::to_string(s3.interval.count()) + " s");
    }
  }
  for (const gateway::ApiSummary& api : gateway_->apis())
    lines.push_back("API " + api.name + " (" + api.id + "): " + std::to_string(api.routes) +
                    (api.routes == 1 ? " route" : " routes") + ", stages " + joined(api.stages));
  return lines;
}

}  // namespace millrace::app
