#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "front/core_stats.hpp"
#include "millrace/front/front.hpp"

namespace millrace::front {

/// Whose call it is.
struct Caller {
  services::Environment* environment = nullptr;  ///< null: the configured account's
  const services::Session* session = nullptr;    ///< of its credentials, where they are for a time
  bool declared = false;                         ///< the configuration's own call, which no rate is for
};

class Operations {
 public:
  Operations(services::Environment& environment, telemetry::Registry& metrics, Cores& cores,
             std::span<const services::Service> services);
  ~Operations();
  Operations(const Operations&) = delete;

  /// One operation of a served service.
  struct Entry {
    const services::Service* service;
    const services::Operation* operation;
    std::size_t index;  // in the counts
  };
  const services::Service* service_by_name(std::string_view name) const noexcept;
  const services::Service* service_by_target(std::string_view target_prefix) const noexcept;
  const Entry* find(const services::Service& service, std::string_view operation) const noexcept;
  std::span<const services::Service> services() const noexcept { return services_; }
  services::Environment& environment() noexcept { return environment_; }

  /// Runs it, counts it, and turns an exception into InternalFailure. Gives the reply's HTTP status; body and reply are
  /// on `wire`.
  awaitable<int> run(const Entry& entry, std::string_view request_id, std::string_view body, services::Reply& reply,
                     services::Wire wire = services::Wire::json, Caller caller = {});

 private:
  services::Environment& environment_;
  telemetry::Registry& metrics_;
  const std::span<const services::Service> services_;
  std::vector<Entry> entries_;
  CoreStats stats_;
  std::vector<telemetry::Registry::Id> registered_;
};

}  // namespace millrace::front
