#include <boost/asio/this_coro.hpp>
#include <chrono>

#include "front/core_stats.hpp"
#include "millrace/front/front.hpp"

namespace millrace::front {

namespace {

/// Passes a reply on and keeps what the counts need.
class CountedWriter final : public http::ResponseWriter {
 public:
  explicit CountedWriter(http::ResponseWriter& writer) noexcept : writer_(writer) {}
  awaitable<http::Result<>> send(const http::ResponseHead& head, std::span<const Slice> body) override {
    status_ = head.status;
    for (const Slice& slice : body) bytes_ += slice.bytes.size();
    return writer_.send(head, body);
  }
  awaitable<http::Result<>> start(const http::ResponseHead& head, std::optional<std::uint64_t> length) override {
    status_ = head.status;
    return writer_.start(head, length);
  }
  awaitable<http::Result<>> write(Slice piece) override {
    bytes_ += piece.bytes.size();
    return writer_.write(std::move(piece));
  }
  awaitable<http::Result<>> finish() override { return writer_.finish(); }
  void abort() noexcept override { writer_.abort(); }
  bool started() const noexcept override { return writer_.started(); }

  int status() const noexcept { return status_; }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  http::ResponseWriter& writer_;
  int status_ = 500;  // no reply: the transport answers so
  std::size_t bytes_ = 0;
};

class GatewayHandler final : public http::Handler {
 public:
  GatewayHandler(gateway::Gateway& gateway, telemetry::Registry& metrics, Cores& cores)
      : gateway_(gateway),
        metrics_(metrics),
        stats_(cores, 1),
        registered_(metrics.add_operation("execute-api", "Invoke", stats_.of(0))) {}
  ~GatewayHandler() override { metrics_.remove(registered_); }

  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    const auto begun = std::chrono::steady_clock::now();
    const Executor executor = co_await boost::asio::this_coro::executor;
    CountedWriter counted(writer);
    std::exception_ptr failure;
    try {
      co_await gateway_.handle(request, counted);
    } catch (...) {
      failure = std::current_exception();
    }
    const auto bytes_in = static_cast<std::size_t>(request.body->length().value_or(0));
    stats_.at(executor, 0)
        .record(counted.status(), std::chrono::steady_clock::now() - begun, bytes_in, counted.bytes());
    if (failure) std::rethrow_exception(failure);
  }

  Rejection reject(int status) const noexcept override {
    static constexpr http::Header kFields[] = {{"Content-Type", "application/json"}};
    switch (status) {
      case 431:
        return {431, kFields, R"({"message":"Request header fields too large"})"};
      case 500:
        return {500, kFields, R"({"message": "Internal server error"})"};
      default:
        return {status, kFields, R"({"message":"Bad Request"})"};
    }
  }

 private:
  gateway::Gateway& gateway_;
  telemetry::Registry& metrics_;
  CoreStats stats_;
  const telemetry::Registry::Id registered_;
};

}  // namespace

std::unique_ptr<http::Handler> make_gateway_handler(gateway::Gateway& gateway, telemetry::Registry& metrics,
                                                    Cores& cores) {
  return std::make_unique<GatewayHandler>(gateway, metrics, cores);
}

}  // namespace millrace::front
