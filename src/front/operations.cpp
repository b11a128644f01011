#include "front/operations.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <chrono>

#include "millrace/base/log.hpp"

namespace millrace::front {

namespace {

std::vector<Operations::Entry> entries_of(std::span<const services::Service> services) {
  std::vector<Operations::Entry> entries;
  for (const services::Service& service : services)
    for (const services::Operation* operation : service.operations)
      entries.push_back({&service, operation, entries.size()});
  return entries;
}

std::string what_failed(std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "unknown exception";
  }
}

bool cancelled(std::exception_ptr failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const boost::system::system_error& e) {
    return e.code() == boost::asio::error::operation_aborted;
  } catch (...) {
    return false;
  }
}

}  // namespace

Operations::Operations(services::Environment& environment, telemetry::Registry& metrics, Cores& cores,
                       std::span<const services::Service> services)
    : environment_(environment),
      metrics_(metrics),
      services_(services),
      entries_(entries_of(services)),
      stats_(cores, entries_.size()) {
  for (const Entry& entry : entries_)
    registered_.push_back(metrics_.add_operation(std::string(entry.service->name), std::string(entry.operation->name),
                                                 stats_.of(entry.index)));
}

Operations::~Operations() {
  for (const telemetry::Registry::Id id : registered_) metrics_.remove(id);
}

const services::Service* Operations::service_by_name(std::string_view name) const noexcept {
  for (const services::Service& service : services_)
    if (service.name == name) return &service;
  return nullptr;
}

const services::Service* Operations::service_by_target(std::string_view target_prefix) const noexcept {
  for (const services::Service& service : services_)
    if (service.target_prefix == target_prefix) return &service;
  return nullptr;
}

const Operations::Entry* Operations::find(const services::Service& service, std::string_view operation) const noexcept {
  for (const Entry& entry : entries_)
    if (entry.service == &service && entry.operation->name == operation) return &entry;
  return nullptr;
}

awaitable<int> Operations::run(const Entry& entry, std::string_view request_id, std::string_view body,
                               services::Reply& reply, services::Wire wire, Caller caller) {
  const auto begun = std::chrono::steady_clock::now();
  const Executor executor = co_await boost::asio::this_coro::executor;
  services::Environment* owner = caller.environment ? caller.environment : &environment_;
  std::exception_ptr failure;
  try {
    if (owner->accounts && entry.service->find_owner) {
      const services::Context asks{*owner, request_id, wire, caller.session};
      reply.error = entry.service->find_owner(asks, entry.operation->name, body, owner);
    }
    services::Context context{*owner, request_id, wire, caller.session, caller.declared};
    if (!reply.error) co_await entry.operation->run(context, body, reply);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    reply.clear();
    reply.error.emplace(services::ServiceError{"InternalFailure", 500, ""});
  }
  const int status = reply.error ? reply.error->status : 200;
  if (reply.error) {
    if (status >= 500 && !(failure && cancelled(failure))) {
      logging::error("an operation failed", {{"request_id", request_id},
                                             {"service", entry.service->name},
                                             {"operation", entry.operation->name},
                                             {"error", reply.error->type},
                                             {"detail", failure ? what_failed(failure) : reply.error->message}});
    }
    reply.body.clear();
    reply.pieces.reset();
    reply.pushed.reset();
    services::write_error_body(*reply.error, reply.body, wire);
  }
  const std::size_t bytes_out = reply.pieces ? static_cast<std::size_t>(reply.pieces->size()) : reply.body.size();
  stats_.at(executor, entry.index).record(status, std::chrono::steady_clock::now() - begun, body.size(), bytes_out);
  co_return status;
}

void OperationsDeleter::operator()(Operations* operations) const noexcept { delete operations; }

OperationsPtr make_operations(services::Environment& environment, telemetry::Registry& metrics, Cores& cores,
                              std::span<const services::Service> services) {
  return OperationsPtr(new Operations(environment, metrics, cores, services));
}

}  // namespace millrace::front
