#pragma once
#include <stdexcept>
#include <string>

#include "millrace/front/front.hpp"
#include "millrace/streams/streams.hpp"
#include "support/memory_transport.hpp"

namespace millrace::front {

/// Streams that no test here gets to.
class NoStreams final : public streams::Streams {
  [[noreturn]] static void none() { throw std::logic_error("no streams in this test"); }

 public:
  streams::StreamRef find(std::string_view) const override { none(); }
  streams::StreamRef find_incarnation(std::uint64_t) const override { none(); }
  std::vector<streams::StreamRef> list(std::string_view, std::size_t) const override { none(); }
  std::uint64_t open_shards() const override { none(); }
  awaitable<streams::Result<streams::StreamRef>> create(streams::CreateStream) override { none(); }
  awaitable<streams::Result<>> remove(std::string) override { none(); }
  awaitable<streams::Result<>> add_tags(std::string, streams::Tags) override { none(); }
  awaitable<streams::Result<>> remove_tags(std::string, std::vector<std::string>) override { none(); }
  awaitable<streams::Result<>> set_retention(std::string, std::chrono::hours, RetentionChange) override { none(); }
  awaitable<streams::Result<>> split(std::string, std::uint32_t, Uint128) override { none(); }
  awaitable<streams::Result<>> merge(std::string, std::uint32_t, std::uint32_t) override { none(); }
  awaitable<streams::Result<std::uint32_t>> set_shard_count(std::string, std::uint32_t) override { none(); }
  awaitable<streams::Result<streams::StreamRef>> change(std::string, Edit) override { none(); }
  awaitable<streams::Result<>> clear() override { none(); }
  const streams::Options& options() const noexcept override { std::abort(); }
  streams::Account& account() noexcept override { std::abort(); }
  streams::CallLimits* limits() noexcept override { std::abort(); }
  streams::Subscriptions& subscriptions() noexcept override { std::abort(); }
  const streams::IteratorCodec& iterators() const noexcept override { std::abort(); }
  log::Engine& engine() noexcept override { std::abort(); }
  Clock& clock() noexcept override { std::abort(); }
};

/// Keeps what reached it, and answers with it: "api|stage|path".
class FakeGateway final : public gateway::Gateway {
 public:
  gateway::Result<gateway::ApiSummary> deploy(const gateway::ApiSpec&) override { return gateway::ApiSummary{}; }
  std::vector<gateway::ApiSummary> apis() const override { return {}; }
  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    std::string text = "listener|" + std::string(request.path);
    co_await answer(writer, std::move(text));
  }
  awaitable<void> handle_api(std::string_view api, std::string_view stage, std::string_view path, http::Request&,
                             http::ResponseWriter& writer) override {
    std::string text = std::string(api) + "|" + std::string(stage) + "|" + std::string(path);
    co_await answer(writer, std::move(text));
  }
  static awaitable<void> answer(http::ResponseWriter& writer, std::string text) {
    if (text.ends_with("/throw")) throw std::runtime_error("bug");
    const http::ResponseHead head{text.ends_with("/missing") ? 404 : 200, {}};
    const Slice slice{text, {}};
    (void)co_await writer.send(head, std::span(&slice, 1));
  }
};

/// Pieces of one pattern.
class FakePieces final : public services::Pieces {
 public:
  FakePieces(std::size_t pieces, std::size_t piece_bytes) : pieces_(pieces), piece_bytes_(piece_bytes) {}
  std::uint64_t size() const noexcept override { return total_; }
  std::size_t piece_bytes_max() const noexcept override { return piece_bytes_; }
  bool next(Buffer& out) override {
    if (at_ == pieces_) return false;
    out.append(std::string(piece_bytes_, static_cast<char>('a' + at_++ % 26)));
    return true;
  }

 private:
  std::size_t pieces_, piece_bytes_, at_ = 0;
  const std::uint64_t total_ = pieces_ * piece_bytes_;
};

inline awaitable<void> echo_operation(services::Context&, std::string_view body, services::Reply& reply) {
  reply.body.append(body);
  co_return;
}
inline awaitable<void> empty_operation(services::Context&, std::string_view, services::Reply&) { co_return; }
inline awaitable<void> failing_operation(services::Context&, std::string_view body, services::Reply& reply) {
  reply.body.append("what must not be seen");
  reply.error.emplace(services::ServiceError{"ResourceNotFoundException", 400, std::string(body)});
  co_return;
}
inline awaitable<void> throwing_operation(services::Context&, std::string_view, services::Reply& reply) {
  reply.body.append("what must not be seen");
  throw std::runtime_error("bug");
  co_return;
}
/// {"pieces":N} gives N pieces of 100,000 bytes.
inline awaitable<void> pieces_operation(services::Context&, std::string_view body, services::Reply& reply) {
  const std::size_t pieces = std::stoul(std::string(body.substr(body.find(':') + 1)));
  reply.pieces = std::make_unique<FakePieces>(pieces, 100'000);
  co_return;
}
/// Answers with the id that the context carries.
inline awaitable<void> id_operation(services::Context& context, std::string_view, services::Reply& reply) {
  reply.body.append(context.request_id);
  co_return;
}

inline constexpr services::Operation kEcho{"Echo", echo_operation}, kEmpty{"Empty", empty_operation},
    kFailing{"Failing", failing_operation}, kThrowing{"Throwing", throwing_operation},
    kPieces{"Pieces", pieces_operation}, kId{"Id", id_operation};
inline constexpr const services::Operation* kKinesisOperations[] = {&kEcho,     &kEmpty,  &kFailing,
                                                                    &kThrowing, &kPieces, &kId};
inline constexpr const services::Operation* kFirehoseOperations[] = {&kEcho};
inline const services::Service kServices[] = {{"kinesis", "Kinesis_20131202", kKinesisOperations, true},
                                              {"firehose", "Firehose_20150804", kFirehoseOperations}};

/// The aws listener's handler over fake operations, on the in-memory transport.
struct FrontSite {
  explicit FrontSite(Options options = {}, std::size_t memory = 64u << 20) : budget(memory) {
    AdminHandler admin = [](http::Request& request, http::ResponseWriter& writer) {
      return FakeGateway::answer(writer, "admin|" + std::string(request.path));
    };
    handler = make_aws_handler(*operations, *counted_gateway, std::move(admin), options);
    transport.emplace(*handler);
  }

  ManualClock clock;
  std::unique_ptr<Random> random = make_seeded_random(7);
  MemoryBudget budget;
  NoStreams streams;
  services::Environment environment{clock, *random, budget, streams};
  telemetry::Registry metrics;
  Cores cores{1};
  OperationsPtr operations = make_operations(environment, metrics, cores, kServices);
  FakeGateway gateway;
  std::unique_ptr<gateway::Gateway> counted_gateway = count_invocations(gateway, metrics, cores);
  std::unique_ptr<http::Handler> handler;
  std::optional<test::MemoryTransport> transport;
};

inline constexpr const char* kAuthorization =
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, SignedHeaders=host;x-amz-date, "
    "Signature=0123";

}  // namespace millrace::front
