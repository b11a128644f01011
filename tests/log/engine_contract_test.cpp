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

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, LogEngineContract, Memory);
INSTANTIATE_TYPED_TEST_SUITE_P(Delayed, LogEngineContract, Delayed);

}  // namespace
}  // namespace millrace::test
