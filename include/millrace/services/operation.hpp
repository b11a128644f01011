#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/buffer.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/memory_budget.hpp"
#include "millrace/base/random.hpp"
#include "millrace/services/field.hpp"

namespace millrace::streams {
class Streams;
}
namespace millrace::delivery {
class Delivery;
}
namespace millrace::telemetry {
class PublishedMetrics;
}

/// AWS API surfaces: one folder a service, one file an operation. A handler sees typed values, never a body or HTTP;
/// decoding, validation and error bodies are written once, around the table.
namespace millrace::services {

class Accounts;
class Sessions;
struct Session;

/// How requests and replies are written: `application/x-amz-json-1.1` or `application/x-amz-cbor-1.1`.
enum class Wire : std::uint8_t { json, cbor };

/// An error as AWS names it: type (with its Exception suffix), HTTP status, message.
struct ServiceError {
  std::string type;
  int status = 400;
  std::string message;
};

/// What the operations work on. Outlives every call.
struct Environment {
  Clock& clock;
  Random& random;
  MemoryBudget& budget;
  streams::Streams& streams;
  delivery::Delivery* delivery = nullptr;
  std::string account_id = "000000000000";
  std::string region = "us-east-1";
  telemetry::PublishedMetrics* published = nullptr;  ///< what clients publish of themselves
  const Sessions* sessions = nullptr;                ///< credentials for a time
  Accounts* accounts = nullptr;                      ///< all there are; null: only this one is served
  /// What tells the metrics of other accounts and regions from those of the configured ones, which have none.
  std::vector<std::pair<std::string, std::string>> labels = {};
};

/// One call's surroundings; the views live as long as the call.
struct Context {
  Environment& environment;
  std::string_view request_id;
  Wire wire = Wire::json;
  const Session* session = nullptr;  ///< of the caller's credentials, where they are for a time
  bool declared = false;             ///< the configuration's own call, which no rate is for
};

/// A large reply body, rendered piece by piece from what it pins, so that its memory is bounded whatever its size.
class Pieces {
 public:
  virtual ~Pieces() = default;
  /// Bytes in all, known before the first piece.
  virtual std::uint64_t size() const noexcept = 0;
  /// What a call of next() may let `out` grow by.
  virtual std::size_t piece_bytes_max() const noexcept = 0;
  /// Appends the next piece to `out`; false when nothing was left.
  virtual bool next(Buffer& out) = 0;
};

/// A reply that goes on for as long as there is something to say, sent as it comes and as the peer takes it. Bounds its
/// own memory.
class Pushed {
 public:
  virtual ~Pushed() = default;
  virtual std::string_view content_type() const noexcept = 0;
  /// Waits for what comes next; the view lives until the next call. Empty: nothing more does. When the coroutine that
  /// waits is cancelled, it ends soon after.
  virtual awaitable<std::string_view> next() = 0;
};

/// Filled by an operation: either `body`, or `pieces`, or `pushed`, or `error`.
struct Reply {
  Buffer body;                     ///< on the context's wire; empty for operations without output
  std::unique_ptr<Pieces> pieces;  ///< instead of body
  std::unique_ptr<Pushed> pushed;  ///< the same, of operations that push
  std::optional<ServiceError> error;
  /// SerializationException carries its text as "Message"; the rest as "message".
  void clear() {
    body.clear();
    pieces.reset();
    pushed.reset();
    error.reset();
  }
};

struct Operation {
  std::string_view name;
  /// @param body  the request's body on the context's wire, not empty
  /// Decodes, validates, runs; answers every client error by Reply::error. An exception is a bug (InternalFailure).
  awaitable<void> (*run)(Context& context, std::string_view body, Reply& reply);
  std::span<const Field> input{};  ///< its members; empty for operations that decode by themselves
  bool pushes = false;             ///< its reply may be Reply::pushed: it cannot be called in process
};

/// One AWS service as the wire knows it.
struct Service {
  std::string_view name;           ///< "kinesis", the signing name and the gateway's uri name
  std::string_view target_prefix;  ///< "Kinesis_20131202"
  std::span<const Operation* const> operations;
  bool cbor = false;  ///< speaks CBOR beside JSON
  /// Of services that older SDKs ask by forms (AWS's query protocol) and newer ones by Smithy RPC v2 CBOR; empty:
  /// neither. Those take JSON 1.0.
  std::string_view query_version = {}, query_namespace = {};
  /// Where there are several accounts: finds whose resources a call is about, by the ARNs in its body, and may refuse.
  /// null: always the caller's.
  /// @param owner  the caller's until it is set
  std::optional<ServiceError> (*find_owner)(const Context& caller, std::string_view operation, std::string_view body,
                                            Environment*& owner) = nullptr;
  const Operation* find(std::string_view operation) const noexcept;
};

/// All services that are served.
std::span<const Service> all_services();
const Service* find_service(std::string_view name) noexcept;
const Service* find_service_by_target(std::string_view target_prefix) noexcept;

/// AWS service names by target prefix or signing name that exist but are not served, so that the answer can say so.
std::optional<std::string_view> known_unserved_service(std::string_view target_prefix_or_signing_name) noexcept;

/// Writes {"__type":..., "message":...}.
void write_error_body(const ServiceError& error, Buffer& out, Wire wire = Wire::json);

}  // namespace millrace::services
