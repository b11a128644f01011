#pragma once
#include <vector>

#include "millrace/admin/admin.hpp"
#include "millrace/base/files.hpp"

namespace millrace::admin {

std::vector<streams::StreamRef> all_streams(const streams::Streams& streams);
std::vector<std::shared_ptr<const delivery::DeliveryStreamInfo>> all_delivery_streams(
    const delivery::Delivery& delivery);

/// What each account and region has; the configured ones come first and have no labels.
struct Part {
  streams::Streams& streams;
  delivery::Delivery& delivery;
  telemetry::Labels labels;
  std::string prefix;  ///< services::told_prefix()
};
std::vector<Part> parts_of(const Dependencies& dependencies);

/// The families that no layer below registers itself: shards, delivery streams, memory, storage, process. Removed with
/// this.
class Measures {
 public:
  /// @param dependencies  outlive this
  explicit Measures(const Dependencies& dependencies);
  ~Measures();
  Measures(const Measures&) = delete;
  Measures& operator=(const Measures&) = delete;

 private:
  void add(const char* name, const char* help, telemetry::Kind kind,
           std::function<std::vector<telemetry::Sample>()> collect);
  void add_shards();
  void add_limits();
  void add_delivery();
  void add_memory(const MemoryBudget& budget);
  void add_storage(const std::function<log::EngineStatus()>& status);
  void add_process();

  const Dependencies& dependencies_;
  telemetry::Registry& registry_;
  std::vector<telemetry::Registry::Id> ids_;
  std::unique_ptr<Files> files_ = make_system_files();
};

}  // namespace millrace::admin
