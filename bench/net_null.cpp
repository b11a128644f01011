// The HTTP layer alone: reads each request's body and answers a constant. Compare its CPU a request with a bare server.
// usage: net_null [ADDRESS=127.0.0.1:8099] [CORES=2]
#include <cstdio>
#include <cstdlib>

#include "millrace/net/server.hpp"

namespace millrace {
namespace {

class NullHandler final : public http::Handler {
 public:
  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    const auto body = co_await request.body->collect(64u << 20);
    static constexpr http::Header kFields[] = {{"Content-Type", "application/x-amz-json-1.1"},
                                               {"x-amzn-RequestId", "01234567-89ab-4cde-8f01-23456789abcd"}};
    const http::ResponseHead head{body ? 200 : 413, kFields};
    static constexpr std::string_view kAnswer =
        R"({"SequenceNumber":"49590338271490256608559692538361571095921575989136588898","ShardId":"shardId-000000000000"})";
    const Slice answer{kAnswer, {}};
    (void)co_await writer.send(head, std::span(&answer, 1));
  }
};

}  // namespace
}  // namespace millrace

int main(int argc, char** argv) {
  using namespace millrace;
  net::ListenerOptions options;
  options.address = argc > 1 ? argv[1] : "127.0.0.1:8099";
  MemoryBudget budget(1u << 30);
  Cores cores(argc > 2 ? std::strtoul(argv[2], nullptr, 10) : 2);
  NullHandler handler;
  const auto server = net::make_server(cores, budget);
  const auto bound = server->listen(options, handler);
  if (!bound) {
    std::fprintf(stderr, "%s\n", bound.error().detail.c_str());
    return 1;
  }
  server->start();
  cores.start();
  cores.join();
}
