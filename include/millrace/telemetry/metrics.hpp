#pragma once
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

/// Metrics in Prometheus form. Hot counters live where the work is and are read at scrape; nothing is looked up by
/// label on a request's way.
namespace millrace::telemetry {

using Labels = std::vector<std::pair<std::string, std::string>>;

/// Counts one operation's calls on one core, or, added up at scrape, on all: hold the reference.
class OperationStats {
 public:
  static constexpr std::array<double, 12> kBucketSeconds{0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025,
                                                         0.005,   0.01,   0.05,    0.25,   1,     5};
  /// Writer side: one thread (its core).
  void record(int status, std::chrono::nanoseconds took, std::size_t bytes_in, std::size_t bytes_out) noexcept;
  struct Totals {
    std::uint64_t calls = 0, client_errors = 0, server_errors = 0, bytes_in = 0, bytes_out = 0, nanoseconds = 0;
    std::array<std::uint64_t, kBucketSeconds.size() + 1> buckets{};
  };
  void add_to(Totals& totals) const noexcept;

 private:
  std::atomic<std::uint64_t> calls_{0}, client_errors_{0}, server_errors_{0}, bytes_in_{0}, bytes_out_{0},
      nanoseconds_{0};
  std::array<std::atomic<std::uint64_t>, kBucketSeconds.size() + 1> buckets_{};
};

/// One value at scrape.
struct Sample {
  Labels labels;
  double value;
};
enum class Kind { counter, gauge };

/// The page: families of samples that are asked for when somebody scrapes. Thread-safe.
class Registry {
 public:
  Registry();
  ~Registry();
  /// `collect` is called at each scrape, on the scraping thread; it must be thread-safe and outlive the registry's last
  /// scrape or be removed first.
  using Id = std::uint64_t;
  Id add(std::string name, std::string help, Kind kind, std::function<std::vector<Sample>()> collect);
  void remove(Id id);
  /// Per operation: calls, errors, bytes and a latency histogram, added up over `per_core`.
  Id add_operation(std::string service, std::string operation, std::vector<const OperationStats*> per_core);
  /// Prometheus text format 0.0.4.
  std::string render() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::telemetry
