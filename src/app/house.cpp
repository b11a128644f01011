#include "app/house.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <future>
#include <limits>

#include "app/start_error.hpp"
#include "millrace/base/log.hpp"
#include "millrace/config/declare.hpp"
#include "millrace/front/front.hpp"

namespace millrace::app {
namespace {

constexpr std::size_t kFileThreads = 2;
constexpr std::chrono::seconds kPatience{5};  // with background work that must end

// Of the memory limit, what records leave to connections, bodies, replies and delivery.
std::size_t kept_from_records(std::size_t memory_limit) {
  constexpr std::size_t kEnough = 256u << 20;
  return std::min(memory_limit / 8, kEnough);
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out.append(out.empty() ? "" : ", ").append(word);
  return out;
}

}  // namespace

House::House(const config::Config& config, std::size_t threads)
    : config_(config),
      budget_(config.memory_limit, kept_from_records(config.memory_limit)),
      random_(make_system_random()),
      cores_(threads),
      clock_(cores_.executor(0)),
      files_(make_system_files()),
      file_threads_(kFileThreads),
      store_(state::make_memory_store()),
      engine_(log::make_memory_engine(clock_, budget_)),
      server_(net::make_server(cores_, budget_)) {
  cores_.start();
}

House::~House() {
  if (delivery_) {
    // Its coroutines wait on what outlives the cores; they end themselves here, also when opening failed half-way.
    auto ended = std::make_shared<std::promise<void>>();
    boost::asio::co_spawn(executor(), delivery_->stop(), [ended](std::exception_ptr) { ended->set_value(); });
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
  streams_ = co_await streams::make_streams(clock_, *random_, *store_, *engine_, stream_options);

  objects_ = objects::make_tree(*files_, file_threads_, config_.data_dir / "s3", /*sync=*/false);

  delivery::Options delivery_options{config_.delivery_create_delay, config_.delivery_delete_delay};
  delivery::Dependencies delivery_dependencies{clock_, *random_, cores_, budget_, *store_, *streams_, *objects_};
  delivery_ = delivery::make_delivery(delivery_dependencies, delivery_options);
  if (auto started = co_await delivery_->start(); !started) throw StartError(started.error().detail);

  services::Environment environment{clock_,          *random_,           budget_,       *streams_,
                                    delivery_.get(), config_.account_id, config_.region};
  environment_ = std::make_unique<services::Environment>(std::move(environment));
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
                                         .storage_mode = config_.storage_mode};
  admin_ = admin::make_admin(std::move(admin_dependencies));

  front::Options front_options;
  front_options.auth = config_.auth_mode == "ignore" ? front::AuthMode::ignore : front::AuthMode::presence;
  front::AdminHandler pages = [this](http::Request& request, http::ResponseWriter& writer) {
    return admin_->handle(request, writer);
  };
  aws_handler_ = front::make_aws_handler(*operations_, *counted_gateway_, std::move(pages), front_options);
  gateway_handler_ = front::make_gateway_handler(*counted_gateway_);

  auto notices = co_await config::apply(config_, *gateway_, *services_);
  if (!notices) throw ConfigError(notices.error());
  for (const std::string& notice : *notices) logging::warn(notice);
}

awaitable<std::string> House::declare_again() {
  auto notices = co_await config::declare(config_, *services_);
  co_return notices ? std::string() : notices.error().detail;
}

std::vector<std::string> House::describe() const {
  constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  std::vector<std::string> lines;
  for (const streams::StreamRef& stream : streams_->list("", all)) {
    std::size_t shards = stream->open_shards();
    lines.push_back("stream " + stream->name + ": " + std::to_string(shards) + (shards == 1 ? " shard" : " shards"));
  }
  for (const auto& stream : delivery_->list("", all)) {
    const delivery::S3Destination& s3 = stream->spec.s3;
    std::string folder = (config_.data_dir / "s3" / s3.bucket).string() + "/" + s3.prefix;
    lines.push_back("delivery stream " + stream->spec.name + ": " + stream->spec.source_stream + " to " + folder +
                    ", " + std::to_string(s3.size_mib) + " MiB or " + std::to_string(s3.interval.count()) + " s");
  }
  for (const gateway::ApiSummary& api : gateway_->apis())
    lines.push_back("API " + api.name + " (" + api.id + "): " + std::to_string(api.routes) +
                    (api.routes == 1 ? " route" : " routes") + ", stages " + joined(api.stages));
  return lines;
}

}  // namespace millrace::app
