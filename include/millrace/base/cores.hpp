#pragma once
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "millrace/base/awaitable.hpp"

namespace millrace {

/// One io_context{1} and one thread a core: what was started on a core stays there.
class Cores {
 public:
  explicit Cores(std::size_t count);
  /// Stops and joins.
  ~Cores();
  std::size_t size() const noexcept;
  boost::asio::io_context& context(std::size_t core) noexcept;
  Executor executor(std::size_t core) noexcept;
  /// Starts a thread a core.
  void start();
  /// Ends every context at once; start() threads return. Idempotent.
  void stop() noexcept;
  /// Waits for the threads.
  void join();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace
