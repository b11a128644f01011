#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/cores.hpp"
#include "millrace/base/http.hpp"
#include "millrace/gateway/gateway.hpp"
#include "millrace/gateway/service_caller.hpp"
#include "millrace/services/operation.hpp"
#include "millrace/telemetry/metrics.hpp"

/// From a connection's request to a service's operation and back.
namespace millrace::front {

/// verify: requests are signed (AWS Signature Version 4) by one of Options::access_keys. presence: what a signature
/// consists of is there, whatever it says. ignore: nothing is looked at.
enum class AuthMode { verify, presence, ignore };

struct AccessKey {
  std::string id, secret;
  std::string account = {};  ///< whose it is, where there are several; empty: the configured one's
};

struct Options {
  AuthMode auth = AuthMode::presence;
  std::size_t body_bytes_max = 20u << 20;
  std::vector<AccessKey> access_keys = {};
  std::string region = "us-east-1";  ///< that signatures must be scoped to; not with multi_account
  /// The signer's account and the scope's region are those of the request: the environment has accounts.
  bool multi_account = false;
  const services::Sessions* sessions = nullptr;  ///< whose tokens sign too; null: no tokens are known
  /// What a signature's age is told by: never the domain clock, which may stand still.
  std::function<std::chrono::sys_seconds()> system_time = {};  ///< empty: the system's clock
};

/// What answers the paths that are neither AWS's nor an API's; set by admin.
using AdminHandler = std::function<awaitable<void>(http::Request&, http::ResponseWriter&)>;

/// The operations that are served, counted and guarded alike whether they are called over HTTP or in process. One
/// object for the daemon; outlives what is made from it.
class Operations;
struct OperationsDeleter {
  void operator()(Operations* operations) const noexcept;
};
using OperationsPtr = std::unique_ptr<Operations, OperationsDeleter>;
/// @param services  what is served; outlives the operations
OperationsPtr make_operations(services::Environment& environment, telemetry::Registry& metrics, Cores& cores,
                              std::span<const services::Service> services = services::all_services());

/// The in-process way to the operations: used by the gateway and by declarations from the config file.
std::unique_ptr<gateway::ServiceCaller> make_service_caller(Operations& operations);

/// The handler of the aws listener. Where a request goes, the first that holds: path /_aws/execute-api, paths
/// /_millrace, /_localstack and the rest of /_aws (admin), Host of an API, path
/// /restapis/{api}/{stage}/_user_request_, path /moto-api and an unsigned /health (admin), X-Amz-Target of a served
/// service, Host of a service, X-Amz-Target of another one, credential-scope service, path /restapis, form with Action
/// and Version, else AWS's no-target answers. docs/urls.md shows each.
std::unique_ptr<http::Handler> make_aws_handler(Operations& operations, gateway::Gateway& gateway, AdminHandler admin,
                                                Options options);

/// The handler of the gateway listener: a Host that names an API has that one answer, any other host all of them by
/// stage and path.
std::unique_ptr<http::Handler> make_gateway_handler(gateway::Gateway& gateway);

/// The same gateway with each request counted as Invoke of execute-api, whichever listener and URL it came by. Both
/// arguments outlive it.
std::unique_ptr<gateway::Gateway> count_invocations(gateway::Gateway& gateway, telemetry::Registry& metrics,
                                                    Cores& cores);

}  // namespace millrace::front
