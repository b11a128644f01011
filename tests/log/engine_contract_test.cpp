#include "contract/log_engine_contract.hpp"
#include "support/test_engine.hpp"

namespace millrace::test {
namespace {

struct Memory {
  static std::unique_ptr<log::Engine> make(Clock& clock, MemoryBudget& budget) {
    return log::make_memory_engine(clock, budget);
  }
};
// Commits come when they are awaited, so nothing here may rely on stage() alone.
struct Delayed {
  static std::unique_ptr<log::Engine> make(Clock& clock, MemoryBudget&) {
    return std::make_unique<TestEngine>(clock, TestEngine::Commits::on_await);
  }
};

/// An engine with what it stands on.
class OnFiles final : public log::Engine {
 public:
  template <class Make>
  explicit OnFiles(Make make) : engine_(make(*files_, threads_)) {
    engine_->forget_unopened();
  }
  awaitable<log::Result<std::shared_ptr<log::Log>>> create(log::LogId id, log::LogOptions options) override {
    return engine_->create(id, options);
  }
  awaitable<log::Result<std::shared_ptr<log::Log>>> open(log::LogId id) override { return engine_->open(id); }
  awaitable<log::Result<>> remove(log::LogId id) override { return engine_->remove(id); }
  awaitable<log::Result<>> committed(std::span<const log::Ticket> tickets) override {
    return engine_->committed(tickets);
  }

 private:
  std::unique_ptr<MemoryFiles> files_ = make_memory_files();
  FileThreads threads_{2};
  std::unique_ptr<log::Engine> engine_;
};

struct Durable {
  static std::unique_ptr<log::Engine> make(Clock& clock, MemoryBudget& budget) {
    return std::make_unique<OnFiles>([&](Files& files, FileThreads& threads) {
      log::DurableEngineOptions options;
      options.directory = "log";
      options.file_bytes = 1u << 20;
      return *log::make_durable_engine(clock, budget, files, threads, options);
    });
  }
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, LogEngineContract, Memory);
INSTANTIATE_TYPED_TEST_SUITE_P(Durable, LogEngineContract, Durable);
INSTANTIATE_TYPED_TEST_SUITE_P(Delayed, LogEngineContract, Delayed);

}  // namespace
}  // namespace millrace::test
