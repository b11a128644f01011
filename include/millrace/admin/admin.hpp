#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "millrace/base/http.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/delivery/delivery.hpp"
#include "millrace/gateway/gateway.hpp"
#include "millrace/objects/tree.hpp"
#include "millrace/streams/streams.hpp"
#include "millrace/telemetry/metrics.hpp"

/// The operator's pages under /_millrace/.
namespace millrace::admin {

struct Dependencies {
  Clock& clock;
  MemoryBudget& budget;
  streams::Streams& streams;
  delivery::Delivery& delivery;
  objects::Tree& objects;
  gateway::Gateway& gateway;
  telemetry::Registry& metrics;
  bool reset_enabled = true;
  /// Declares again, after a reset, what the config file declares.
  std::function<awaitable<std::string>()> declare_again;
};

class Admin {
 public:
  virtual ~Admin() = default;
  /// `path` follows /_millrace: "/health", "/ready", "/metrics", "/flush", "/reset".
  virtual awaitable<void> handle(std::string_view path, http::Request& request, http::ResponseWriter& writer) = 0;
  /// From when on /ready says yes; and no again when stopping.
  virtual void set_ready(bool ready) noexcept = 0;
};
/// Registers the shard, delivery, memory and process metrics too.
std::unique_ptr<Admin> make_admin(Dependencies dependencies);

}  // namespace millrace::admin
