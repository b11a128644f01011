#include "millrace/base/cores.hpp"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>
#include <exception>
#include <string>
#include <thread>

#include "millrace/base/log.hpp"

namespace millrace {
namespace {

struct Context : boost::asio::io_context {
  Context() : boost::asio::io_context(1) {}
  using boost::asio::io_context::shutdown;
};

void run_core(Context& context, std::size_t core) {
  ::pthread_setname_np(::pthread_self(), ("core-" + std::to_string(core)).c_str());
  for (;;) {
    try {
      context.run();
      return;
    } catch (const std::exception& e) {
      logging::error("an exception left a handler", {{"core", core}, {"error", e.what()}});
    } catch (...) {
      logging::error("an exception left a handler", {{"core", core}, {"error", "not a std::exception"}});
    }
  }
}

}  // namespace

struct Cores::Impl {
  std::vector<std::unique_ptr<Context>> contexts;
  std::vector<boost::asio::executor_work_guard<Executor>> work;
  std::vector<std::thread> threads;
};

Cores::Cores(std::size_t count) : impl_(std::make_unique<Impl>()) {
  for (std::size_t core = 0; core < count; ++core) {
    impl_->contexts.push_back(std::make_unique<Context>());
    impl_->work.emplace_back(impl_->contexts.back()->get_executor());
  }
}

Cores::~Cores() {
  stop();
  join();
  impl_->work.clear();
  // Handlers left on one core may hold another core's executor: all are dropped before any context goes.
  for (const auto& context : impl_->contexts) context->shutdown();
}

std::size_t Cores::size() const noexcept { return impl_->contexts.size(); }
boost::asio::io_context& Cores::context(std::size_t core) noexcept { return *impl_->contexts[core]; }
Executor Cores::executor(std::size_t core) noexcept { return impl_->contexts[core]->get_executor(); }

void Cores::start() {
  for (std::size_t core = 0; core < size(); ++core)
    impl_->threads.emplace_back([context = impl_->contexts[core].get(), core] { run_core(*context, core); });
}

void Cores::stop() noexcept {
  for (const auto& context : impl_->contexts) context->stop();
}

void Cores::join() {
  for (std::thread& thread : impl_->threads)
    if (thread.joinable()) thread.join();
}

}  // namespace millrace
