#include <array>

#include "millrace/services/operation.hpp"
#include "services/kinesis/owner.hpp"

namespace millrace::services {

namespace kinesis {
std::span<const Operation* const> operations();
}
namespace firehose {
std::span<const Operation* const> operations();
}
namespace monitoring {
std::span<const Operation* const> operations();
}
namespace sts {
std::span<const Operation* const> operations();
}

const Operation* Service::find(std::string_view operation) const noexcept {
  for (const Operation* candidate : operations)
    if (candidate->name == operation) return candidate;
  return nullptr;
}

std::span<const Service> all_services() {
  static const std::array<Service, 4> services{
      Service{"kinesis", "Kinesis_20131202", kinesis::operations(), true, {}, {}, &kinesis::find_owner},
      Service{"firehose", "Firehose_20150804", firehose::operations()},
      Service{"monitoring", "GraniteServiceVersion20100801", monitoring::operations(), false, "2010-08-01",
              "http://monitoring.amazonaws.com/doc/2010-08-01/"},
      Service{"sts", "AWSSecurityTokenServiceV20110615", sts::operations(), false, "2011-06-15",
              "https://sts.amazonaws.com/doc/2011-06-15/"}};
  return services;
}

const Service* find_service(std::string_view name) noexcept {
  for (const Service& service : all_services())
    if (service.name == name) return &service;
  return nullptr;
}

const Service* find_service_by_target(std::string_view target_prefix) noexcept {
  for (const Service& service : all_services())
    if (service.target_prefix == target_prefix) return &service;
  return nullptr;
}

}  // namespace millrace::services
