#pragma once
#include <atomic>
#include <string>
#include <string_view>

#include "admin/answer.hpp"
#include "millrace/admin/admin.hpp"

namespace millrace::admin {

/// The pages below /_millrace/snapshots.
class SnapshotPages {
 public:
  explicit SnapshotPages(const Dependencies& dependencies) : dependencies_(dependencies) {}

  using Ready = std::atomic<bool>;
  /// @param path   what follows /_millrace/snapshots
  /// @param ready  no longer when a restore begins
  awaitable<Answer> answer(const http::Request& request, std::string_view path, Ready& ready);

 private:
  awaitable<Answer> list();
  awaitable<Answer> make(const std::string& name);
  awaitable<Answer> find(const std::string& name);
  awaitable<Answer> remove(const std::string& name);
  awaitable<Answer> restore(const std::string& name, Ready& ready);

  const Dependencies& dependencies_;
};

}  // namespace millrace::admin
