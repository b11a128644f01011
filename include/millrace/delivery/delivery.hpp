#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/cores.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/result.hpp"
#include "millrace/objects/tree.hpp"
#include "millrace/state/store.hpp"
#include "millrace/streams/streams.hpp"

/// The Firehose domain: delivery streams read source streams as any consumer would and write batches to destinations.
namespace millrace::delivery {

enum class Errc {
  exists = 1,
  not_found,
  source_not_found,
  not_deletable,  ///< not in a state that can be deleted; detail is the state
  failed,
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

struct S3Destination {
  std::string role_arn;
  std::string bucket_arn;  ///< as given, for describe
  std::string bucket;
  std::string prefix;                  ///< as given; may be empty
  std::string error_output_prefix;     ///< as given; may be empty
  std::uint32_t size_mib = 5;          ///< 1..128
  std::chrono::seconds interval{300};  ///< 0..900
  bool append_delimiter = false;
  std::string delimiter = "\n";
  // As given, for describe; empty when not given.
  std::string processing_json, logging_json, custom_time_zone;
};

struct DeliveryStreamSpec {
  std::string name;
  std::string source_stream;                ///< Kinesis stream name
  std::string source_arn, source_role_arn;  ///< as given, for describe
  S3Destination s3;
};

enum class Status { creating, active, deleting };
std::string_view status_name(Status status) noexcept;

struct DeliveryStreamInfo {
  DeliveryStreamSpec spec;
  std::uint32_t version = 1;
  TimePoint created, delivery_start;
  Status status = Status::active;
  std::uint64_t buffered_bytes = 0;  ///< acknowledged by the source, not yet delivered
  /// Delivered; user records that a producer's library aggregated count each.
  std::uint64_t objects = 0, records = 0, bytes = 0;
  std::uint64_t failures = 0;
  std::chrono::milliseconds freshness{0};  ///< age of the oldest undelivered record
  std::string last_error;                  ///< empty when the last write succeeded
};

struct Options {
  std::chrono::milliseconds create_delay{0}, delete_delay{0};
};

struct FlushFailure {
  std::string delivery_stream;
  std::string reason;
};

/// All delivery streams. Thread-safe.
class Delivery {
 public:
  virtual ~Delivery() = default;
  /// Takes up what the store holds of an earlier run; once, before anything else. Their sources must be open.
  virtual awaitable<Result<>> start() = 0;
  virtual std::shared_ptr<const DeliveryStreamInfo> find(std::string_view name) const = 0;
  /// In order of name, after `after` (exclusive).
  virtual std::vector<std::shared_ptr<const DeliveryStreamInfo>> list(std::string_view after,
                                                                      std::size_t limit) const = 0;
  /// @error exists; source_not_found
  /// When it returns the cursors stand at the source's tips: no record acknowledged later is missed.
  virtual awaitable<Result<>> create(DeliveryStreamSpec spec) = 0;
  /// Records not yet delivered are dropped. One already in DELETING is success.
  virtual awaitable<Result<>> remove(std::string name) = 0;
  /// Delivers every record acknowledged before the call; what could not be by `deadline` (real time) is named.
  virtual awaitable<std::vector<FlushFailure>> flush(std::chrono::steady_clock::time_point deadline) = 0;
  /// Records acknowledged and not delivered, for the last log line.
  virtual std::uint64_t undelivered_records() const = 0;
  virtual awaitable<void> clear() = 0;
  /// Ends the background work; call after flush() at shutdown.
  virtual awaitable<void> stop() = 0;
};

struct Dependencies {
  Clock& clock;
  Random& random;
  Cores& cores;
  MemoryBudget& budget;
  state::Store& store;
  streams::Streams& streams;
  objects::Tree& objects;
};
std::unique_ptr<Delivery> make_delivery(Dependencies dependencies, Options options);

}  // namespace millrace::delivery
