#include "millrace/telemetry/metrics.hpp"

namespace millrace::telemetry {
namespace {

constexpr auto kBucketNanoseconds = [] {
  std::array<std::uint64_t, OperationStats::kBucketSeconds.size()> bounds{};
  for (std::size_t i = 0; i < bounds.size(); ++i)
    bounds[i] = static_cast<std::uint64_t>(OperationStats::kBucketSeconds[i] * 1e9 + 0.5);
  return bounds;
}();

// There is one writer, so that no locked instruction is needed: a scrape sees the old value or the new one.
void add(std::atomic<std::uint64_t>& counter, std::uint64_t amount) noexcept {
  counter.store(counter.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
}

}  // namespace

void OperationStats::record(int status, std::chrono::nanoseconds took, std::size_t bytes_in,
                            std::size_t bytes_out) noexcept {
  const std::uint64_t nanoseconds = took.count() > 0 ? static_cast<std::uint64_t>(took.count()) : 0;
  add(calls_, 1);
  if (status >= 500) {
    add(server_errors_, 1);
  } else if (status >= 400) {
    add(client_errors_, 1);
  }
  add(bytes_in_, bytes_in);
  add(bytes_out_, bytes_out);
  add(nanoseconds_, nanoseconds);
  std::size_t bucket = 0;
  while (bucket < kBucketNanoseconds.size() && nanoseconds > kBucketNanoseconds[bucket]) ++bucket;
  add(buckets_[bucket], 1);
}

void OperationStats::add_to(Totals& totals) const noexcept {
  const auto read = [](const std::atomic<std::uint64_t>& counter) { return counter.load(std::memory_order_relaxed); };
  totals.calls += read(calls_);
  totals.client_errors += read(client_errors_);
  totals.server_errors += read(server_errors_);
  totals.bytes_in += read(bytes_in_);
  totals.bytes_out += read(bytes_out_);
  totals.nanoseconds += read(nanoseconds_);
  for (std::size_t i = 0; i < buckets_.size(); ++i) totals.buckets[i] += read(buckets_[i]);
}

}  // namespace millrace::telemetry
