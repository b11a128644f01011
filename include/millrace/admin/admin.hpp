#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "millrace/base/files.hpp"
#include "millrace/base/http.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/delivery/delivery.hpp"
#include "millrace/gateway/gateway.hpp"
#include "millrace/log/engine.hpp"
#include "millrace/objects/tree.hpp"
#include "millrace/snapshots/snapshots.hpp"
#include "millrace/streams/streams.hpp"
#include "millrace/telemetry/metrics.hpp"

/// The operator's pages under /_millrace/. All bodies but those of /metrics and /ca.pem are JSON.
///
///     GET  /health    200 as long as the process answers:
///                     {"status":"ok"|"degraded","version","uptime_seconds","storage","problems"}. Degraded: a delivery
///                     stream's last write failed, {"delivery_stream","reason"} (of another account:
///                     "<account>/<region>/<name>"), or storage is not well:
///                     {"part":"storage","reason"}. Still 200, since who restarts a daemon for it repairs no
///                     destination and, in memory mode, loses the records that wait for one.
///     GET  /ready     200 when requests are served, else 503: {"ready":true|false}
///     GET  /metrics   Prometheus text 0.0.4
///     GET  /ca.pem    the authority that clients must trust for https; 404 where there is none of the daemon's own
///     POST /flush     ?deadline=30s (at most 15m): delivers all that was acknowledged before; 200 {"flushed":true}, or
///                     503 {"flushed":false,"failures":[{"delivery_stream","reason"}]}
///     POST /reset     ?objects=false: forgets streams and delivery streams (and objects), then declares again what the
///                     config file declares; 200 {"reset":true,"objects":...}, header X-Millrace-Objects: kept|removed.
///                     403 with an Origin header (a browser sends it for a foreign page) or when not enabled, 409 while
///                     another reset runs.
///
///     GET  /snapshots               {"snapshots":[{"name","created","files","bytes","version"}],"last_restore"}
///     POST /snapshots               ?name=...: makes one, while all goes on; 200 with what it is
///     GET, DELETE /snapshots/{name}
///     POST /snapshots/{name}/restore    202 {"restoring","kept_as"}: the daemon begins again with what is in it; what
///                     there was is a snapshot, too. /ready says no until it serves. 409 when it cannot be read.
///                     All but GET: 403 with an Origin header. 409 in memory mode, and while another call is at work.
///
/// And the pages of LocalStack and moto that test suites poll: /_localstack/..., /health, /moto-api/reset. Their resets
/// are the same one, under the same rules. docs/urls.md has them all.
namespace millrace::services {
struct Environment;
}
namespace millrace::admin {

struct Dependencies {
  Clock& clock;
  MemoryBudget& budget;
  streams::Streams& streams;
  delivery::Delivery& delivery;
  objects::Tree& objects;
  gateway::Gateway& gateway;
  telemetry::Registry& metrics;
  FileThreads& file_threads;            ///< render /metrics: with many shards that takes too long for a core's thread
  std::optional<bool> reset_enabled{};  ///< unset: only where nothing outlives the process (storage_mode "memory")
  /// Declares again, after a reset, what the config file declares.
  /// Empty when all went well, else what is wrong.
  std::function<awaitable<std::string>()> declare_again{};
  std::string storage_mode = "memory";
  std::function<log::EngineStatus()> storage_status{};  ///< empty: no metrics of it
  snapshots::Snapshots* snapshots = nullptr;            ///< null: what is kept is not in files
  std::function<void()> begin_again{};       ///< after a restore was prepared: the daemon stops, and starts, by itself
  std::function<std::string()> authority{};  ///< PEM, empty: none; the function too. Any thread
  /// What is wrong with what is stored, or with storing more; a reason each. Empty: never anything.
  std::function<std::vector<std::string>()> degraded{};
  /// Other accounts and regions than the one whose streams and delivery streams stand above; empty: none. Any thread.
  std::function<std::vector<services::Environment*>()> others{};
};

class Admin {
 public:
  virtual ~Admin() = default;
  virtual awaitable<void> handle(http::Request& request, http::ResponseWriter& writer) = 0;
  /// From when on /ready says yes; and no again when stopping.
  virtual void set_ready(bool ready) noexcept = 0;
};
/// Registers the shard, delivery, memory and process metrics too.
std::unique_ptr<Admin> make_admin(Dependencies dependencies);

}  // namespace millrace::admin
