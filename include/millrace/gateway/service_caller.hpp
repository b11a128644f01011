#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/awaitable.hpp"

namespace millrace::gateway {

struct ServiceCall {
  std::string_view service;  ///< "kinesis"
  std::string_view action;   ///< "PutRecord"
  std::string_view body;     ///< in the service's protocol (JSON 1.1)
  std::string_view request_id;
  bool declared = false;  ///< the configuration's own, which no rate is for
};

/// The service's HTTP answer: its status and its body, errors included.
struct ServiceReply {
  int status = 200;
  std::string body;
};

/// Calls AWS services in process, through the operation table HTTP uses. Implemented in front. Thread-safe.
class ServiceCaller {
 public:
  virtual ~ServiceCaller() = default;
  /// What is passed must live until the awaitable is done.
  virtual awaitable<ServiceReply> call(const ServiceCall& call) = 0;
  /// Whether the action exists; asked when an API is deployed.
  virtual bool has(std::string_view service, std::string_view action) const = 0;
  /// All actions of a service, for messages; none when there is no such service, or they are not to be told.
  virtual std::vector<std::string_view> actions(std::string_view) const { return {}; }
};

}  // namespace millrace::gateway
