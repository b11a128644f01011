#include "front/exchange.hpp"
#include "front/operations.hpp"

namespace millrace::front {

namespace {

class InProcessCaller final : public gateway::ServiceCaller {
 public:
  explicit InProcessCaller(Operations& operations) noexcept : operations_(operations) {}

  awaitable<gateway::ServiceReply> call(const gateway::ServiceCall& call) override {
    Lease lease;
    services::Reply& reply = lease->reply;
    gateway::ServiceReply answer;
    const Operations::Entry* entry = find(call.service, call.action);
    if (!entry || call.body.empty()) {
      const services::ServiceError error{entry ? "SerializationException" : "UnknownOperationException", 400, ""};
      services::write_error_body(error, reply.body);
      answer.status = error.status;
    } else {
      const Caller caller{.environment = nullptr, .session = nullptr, .declared = call.declared};
      answer.status = co_await operations_.run(*entry, call.request_id, call.body, reply, services::Wire::json, caller);
    }
    if (reply.pieces)
      while (reply.pieces->next(reply.body)) {
      }
    answer.body.assign(reply.body.view());
    co_return answer;
  }

  bool has(std::string_view service, std::string_view action) const override {
    return find(service, action) != nullptr;
  }

  std::vector<std::string_view> actions(std::string_view name) const override {
    std::vector<std::string_view> all;
    if (const services::Service* service = operations_.service_by_name(name))
      for (const services::Operation* operation : service->operations)
        if (!operation->pushes) all.push_back(operation->name);
    return all;
  }

 private:
  const Operations::Entry* find(std::string_view name, std::string_view action) const noexcept {
    const services::Service* service = operations_.service_by_name(name);
    const Operations::Entry* entry = service ? operations_.find(*service, action) : nullptr;
    return entry && !entry->operation->pushes ? entry : nullptr;
  }

  Operations& operations_;
};

}  // namespace

std::unique_ptr<gateway::ServiceCaller> make_service_caller(Operations& operations) {
  return std::make_unique<InProcessCaller>(operations);
}

}  // namespace millrace::front
