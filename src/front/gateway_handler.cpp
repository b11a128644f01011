#include "front/routing.hpp"
#include "millrace/front/front.hpp"

namespace millrace::front {

namespace {

class GatewayHandler final : public http::Handler {
 public:
  explicit GatewayHandler(gateway::Gateway& gateway) : gateway_(gateway) {}

  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    const std::string_view api = read_host(request.headers.get("Host")).api;
    if (!api.empty()) return invoke(gateway_, api, request.path, request, writer);
    return gateway_.handle(request, writer);
  }

  Rejection reject(int status) const noexcept override {
    static constexpr http::Header kFields[] = {{"Content-Type", "application/json"}};
    switch (status) {
      case 417:
        return {417, kFields, R"({"message":"Expectation Failed"})"};
      case 431:
        return {431, kFields, R"({"message":"Request header fields too large"})"};
      case 500:
        return {500, kFields, R"({"message": "Internal server error"})"};
      case 501:
        return {501, kFields, R"({"message":"Not Implemented"})"};
      case 505:
        return {505, kFields, R"({"message":"HTTP Version Not Supported"})"};
      default:
        return {status, kFields, R"({"message":"Bad Request"})"};
    }
  }

 private:
  gateway::Gateway& gateway_;
};

}  // namespace

std::unique_ptr<http::Handler> make_gateway_handler(gateway::Gateway& gateway) {
  return std::make_unique<GatewayHandler>(gateway);
}

}  // namespace millrace::front
