#pragma once
#include <string>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/config/config.hpp"
#include "millrace/gateway/gateway.hpp"
#include "millrace/gateway/service_caller.hpp"

namespace millrace::config {

/// What a declaration found that a person should know: "the stream has 4 shards, 2 are declared".
using Notices = std::vector<std::string>;

/// Applies the declared streams and delivery streams by calling the operations in process; returns once all are ACTIVE.
/// What exists is kept: tags and retention are applied to a stream, all other differences become notices.
/// @error  file, line and the operation's error text, for the first declaration that fails
awaitable<Result<Notices>> declare(const Config& config, gateway::ServiceCaller& services);

/// Deploys the declared APIs.
Result<std::vector<gateway::ApiSummary>> deploy_apis(const Config& config, gateway::Gateway& gateway);

}  // namespace millrace::config
