#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/gateway/gateway.hpp"
#include "support/http.hpp"
#include "support/run.hpp"

namespace millrace::gateway {

/// Keeps the calls and answers as it is told.
class FakeServices final : public ServiceCaller {
 public:
  struct Call {
    std::string service, action, body, request_id;
  };
  std::vector<Call> calls;
  ServiceReply reply{200, R"({"ShardId":"shardId-000000000000","SequenceNumber":"49"})"};
  bool throws = false;
  std::function<void()> on_call;

  awaitable<ServiceReply> call(const ServiceCall& call) override {
    calls.push_back(
        {std::string(call.service), std::string(call.action), std::string(call.body), std::string(call.request_id)});
    if (on_call) on_call();
    if (throws) throw std::runtime_error("a bug");
    co_return reply;
  }
  bool has(std::string_view service, std::string_view action) const override {
    const auto known = actions(service);
    return std::find(known.begin(), known.end(), action) != known.end();
  }
  std::vector<std::string_view> actions(std::string_view service) const override {
    if (service != "kinesis") return {};
    return {"PutRecord", "PutRecords", "CreateStream", "GetRecords"};
  }
};

}  // namespace millrace::gateway
