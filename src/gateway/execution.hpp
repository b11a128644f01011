#pragma once
#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/router.hpp"
#include "millrace/base/buffer.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/random.hpp"
#include "millrace/gateway/gateway.hpp"

namespace millrace::gateway {

/// What one request needs, kept from one request to the next on its thread.
struct Work {
  Buffer request_body, response_body;
  vtl::Overrides overrides;
  std::vector<http::Header> headers;
  std::vector<std::string_view> captured;
  std::vector<vtl::RequestFacts::PathParameter> path_parameters;
  std::array<char, kUuidChars> request_id;
  std::array<char, 16> extended_request_id;
  std::array<char, 40> trace_id;  // of a request that called a service
  bool service_called = false;
};

/// Lends Work for the length of a request.
class LentWork {
 public:
  LentWork();
  ~LentWork();
  LentWork(const LentWork&) = delete;
  LentWork& operator=(const LentWork&) = delete;
  Work* operator->() const noexcept { return work_.get(); }
  Work& operator*() const noexcept { return *work_; }

 private:
  std::unique_ptr<Work> work_;
};

/// An error that the gateway itself answers.
struct GatewayError {
  int status;
  std::string_view type;  ///< x-amzn-ErrorType
  std::string_view message;
};
inline constexpr GatewayError kForbidden{403, "ForbiddenException", "Forbidden"};
inline constexpr GatewayError kMissingToken{403, "MissingAuthenticationTokenException", "Missing Authentication Token"};

/// Runs one method: request template, service call, response template.
class Execution {
 public:
  Execution(Clock& clock, Random& random, ServiceCaller& services, const GatewayOptions& options)
      : clock_(clock), random_(random), services_(services), options_(options) {}

  void begin(Work& work) const;
  /// From here on replies have the request's trace id: the root of the one that came with it, or a new one.
  void begin_call(http::Request& request, Work& work) const;
  awaitable<void> answer(const GatewayError& error, Work& work, http::ResponseWriter& writer) const;
  /// @param path   with the stage, for $context.path
  /// What is passed must live until the awaitable is done.
  awaitable<void> run(const Router::Target& target, std::string_view stage, std::string_view path,
                      http::Request& request, http::ResponseWriter& writer, Work& work) const;

 private:
  /// False when the budget has no room for what a template made.
  bool reserve(const Buffer& rendered, Reservation& reservation) const;

  Clock& clock_;
  Random& random_;
  ServiceCaller& services_;
  const GatewayOptions& options_;
};

}  // namespace millrace::gateway
