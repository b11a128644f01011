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
/// @error  every declaration that failed, by the file's line, with the operation's own words
awaitable<Result<Notices>> declare(const Config& config, gateway::ServiceCaller& services);

/// The same after deploying the declared APIs, so that the mistakes of both are told at once.
/// @error  every mistake in every OpenAPI file too
awaitable<Result<Notices>> apply(const Config& config, gateway::Gateway& gateway, gateway::ServiceCaller& services);

}  // namespace millrace::config
