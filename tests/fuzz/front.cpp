// Requests to the aws listener's handler, over operations that only echo: routing, checks, errors. The input is a size
// of pieces, then lines: method, target, header fields up to an empty line; the rest is the body.
#include <deque>
#include <nlohmann/json.hpp>

#include "front/fakes.hpp"
#include "fuzz/fuzz.hpp"
#include "fuzz/quiet.hpp"

namespace millrace::front {
namespace {

using fuzz::require;

constexpr const services::Operation* kOperations[] = {&kEcho, &kEmpty, &kId};
const services::Service kEchoing[] = {{"kinesis", "Kinesis_20131202", kOperations, true},
                                      {"firehose", "Firehose_20150804", kOperations}};

struct World {
  World() {
    AdminHandler admin = [](http::Request& request, http::ResponseWriter& writer) {
      return FakeGateway::answer(writer, "admin|" + std::string(request.path));
    };
    handler = make_aws_handler(*operations, gateway, std::move(admin), {AuthMode::presence, 2048});
  }
  ManualClock clock;
  std::unique_ptr<Random> random = make_seeded_random(7);
  MemoryBudget budget{64u << 20};
  NoStreams streams;
  services::Environment environment{clock, *random, budget, streams};
  telemetry::Registry metrics;
  Cores cores{1};
  OperationsPtr operations = make_operations(environment, metrics, cores, kEchoing);
  FakeGateway gateway;
  std::unique_ptr<http::Handler> handler;
};

struct Asked {
  std::string method, target;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string_view body;
};

struct Reply {
  int status = 0;
  std::string type, body;
  bool failed = false;  ///< the handler threw
  friend bool operator==(const Reply&, const Reply&) = default;
};

Reply ask(const Asked& asked, std::size_t piece_bytes) {
  static World world;
  test::MemoryTransport transport(*world.handler);
  test::MemoryStream& stream = transport.open(asked.method, asked.target);
  for (const auto& [name, value] : asked.headers) stream.header(name, value);
  if (piece_bytes == 0) {
    transport.exchange(stream, asked.body);
  } else {
    transport.begin(stream);
    for (std::string_view rest = asked.body; !rest.empty(); rest.remove_prefix(std::min(piece_bytes, rest.size()))) {
      stream.feed(rest.substr(0, piece_bytes));
      transport.settle();
    }
    stream.end_body();
    transport.settle();
    while (!stream.handled) {
      stream.grant(piece_bytes);
      transport.settle();
    }
  }
  require(stream.handled, "a handler comes to its end");
  require(stream.misuse.empty(), "a handler keeps the rules");
  Reply reply{stream.status, stream.header("Content-Type"), stream.received, stream.failure != nullptr};
  if (reply.failed) {
    require(asked.target.find("/throw") != std::string::npos, "nothing throws but the gateway that is made to");
    return reply;
  }
  require(stream.finished, "a request is answered");
  require((reply.status >= 200 && reply.status <= 499) || reply.status == 501, "it is served, at fault, or not built");
  const bool elsewhere = stream.header("x-amzn-RequestId").empty();
  if (elsewhere) {
    require(reply.body.find('|') != std::string::npos, "without an id it was the gateway or admin");
    return reply;
  }
  require(stream.header("x-amzn-RequestId").size() == 36, "a reply has an id");
  if (reply.status != 200 && reply.type.find("json") != std::string::npos)
    require(nlohmann::json::accept(reply.body), "an error is JSON where it says so");
  return reply;
}

/// Without what differs each time.
Reply comparable(Reply reply) {
  const std::size_t id = reply.body.find("<RequestId>");
  if (id != std::string::npos) reply.body.resize(id);
  if (reply.status == 200 && reply.body.size() == kUuidChars) reply.body.clear();
  const std::size_t request = reply.body.find("RequestID");
  if (request != std::string::npos) reply.body.resize(request);
  return reply;
}

}  // namespace
}  // namespace millrace::front

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  fuzz::quiet();
  fuzz::Input input(data, size);
  const std::size_t piece_bytes = input.byte() + std::size_t{1};
  front::Asked asked;
  asked.method = input.until('\n');
  asked.target = input.until('\n');
  if (asked.target.empty() || asked.target[0] != '/') asked.target.insert(0, "/");
  for (std::string_view line; !(line = input.until('\n')).empty();) {
    const std::size_t colon = std::min(line.find(": "), line.size());
    asked.headers.emplace_back(line.substr(0, colon), line.substr(std::min(colon + 2, line.size())));
  }
  asked.body = input.rest();
  const front::Reply whole = front::ask(asked, 0);
  if (asked.body.size() <= 2048)  // a length that is announced and too large is refused before
    fuzz::require(front::comparable(front::ask(asked, piece_bytes)) == front::comparable(whole),
                  "pieces change nothing");
  return 0;
}
