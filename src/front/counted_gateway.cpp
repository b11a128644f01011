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

class CountedGateway final : public gateway::Gateway {
 public:
  CountedGateway(gateway::Gateway& gateway, telemetry::Registry& metrics, Cores& cores)
      : gateway_(gateway),
        metrics_(metrics),
        stats_(cores, 1),
        registered_(metrics.add_operation("execute-api", "Invoke", stats_.of(0))) {}
  ~CountedGateway() override { metrics_.remove(registered_); }

  gateway::Result<gateway::ApiSummary> deploy(const gateway::ApiSpec& spec) override { return gateway_.deploy(spec); }
  std::vector<gateway::ApiSummary> apis() const override { return gateway_.apis(); }
  awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) override {
    return count(request, writer,
                 [this, &request](http::ResponseWriter& counted) { return gateway_.handle(request, counted); });
  }
  awaitable<void> handle_api(std::string_view api_id, std::string_view stage, std::string_view path,
                             http::Request& request, http::ResponseWriter& writer) override {
    return count(request, writer, [this, &request, api_id, stage, path](http::ResponseWriter& counted) {
      return gateway_.handle_api(api_id, stage, path, request, counted);
    });
  }

 private:
  template <class Call>
  awaitable<void> count(http::Request& request, http::ResponseWriter& writer, Call call) {
    const auto begun = std::chrono::steady_clock::now();
    const Executor executor = co_await boost::asio::this_coro::executor;
    CountedWriter counted(writer);
    std::exception_ptr failure;
    try {
      co_await call(counted);
    } catch (...) {
      failure = std::current_exception();
    }
    const auto bytes_in = static_cast<std::size_t>(request.body->length().value_or(0));
    stats_.at(executor, 0)
        .record(counted.status(), std::chrono::steady_clock::now() - begun, bytes_in, counted.bytes());
    if (failure) std::rethrow_exception(failure);
  }

  gateway::Gateway& gateway_;
  telemetry::Registry& metrics_;
  CoreStats stats_;
  const telemetry::Registry::Id registered_;
};

}  // namespace

std::unique_ptr<gateway::Gateway> count_invocations(gateway::Gateway& gateway, telemetry::Registry& metrics,
                                                    Cores& cores) {
  return std::make_unique<CountedGateway>(gateway, metrics, cores);
}

}  // namespace millrace::front
