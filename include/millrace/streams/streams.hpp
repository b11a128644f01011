#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/base/digest.hpp"
#include "millrace/base/random.hpp"
#include "millrace/base/result.hpp"
#include "millrace/log/engine.hpp"
#include "millrace/state/store.hpp"
#include "millrace/streams/account.hpp"
#include "millrace/streams/iterator.hpp"
#include "millrace/streams/limits.hpp"
#include "millrace/streams/sequence_number.hpp"
#include "millrace/streams/settings.hpp"

/// The Kinesis domain: streams and their shards. Knows nothing of HTTP or request bodies.
namespace millrace::streams {

enum class Errc {
  exists = 1,
  not_found,
  not_active,         ///< detail is the state's name, e.g. CREATING
  shard_limit,        ///< more than Options::shards_max in all; detail is how many more there would have been
  too_many_tags,      ///< over 50 after the change
  retention_order,    ///< increase to less, or decrease to more, than there is
  shard_not_found,    ///< detail is its id
  shard_closed,       ///< by an earlier reshard; detail is its id
  split_point,        ///< not greater than one plus the shard's first hash key and less than its last; detail is its id
  not_adjacent,       ///< the second shard does not begin where the first one ends
  scale_up,           ///< more than twice the open shards; detail is how many these are
  scale_down,         ///< less than half of them; the same
  scale_limit,        ///< more than kShardCountMax; the same
  on_demand,          ///< such a stream's shards are not the user's to change
  on_demand_streams,  ///< as many as an account can have; detail is how many
  streams_creating,   ///< too many at once in the account; detail is how many
  too_often,          ///< within 24 hours; detail is how often is allowed
  // Of consumers; detail is the name, the creation second, or the limit.
  consumer_exists,
  consumer_not_found,
  consumer_not_active,
  consumer_limit,       ///< that a stream can have
  consumers_creating,   ///< too many at once in the account
  consumer_subscribed,  ///< to this shard, and not long enough ago for another subscription to take over
  // Of settings.
  warm_needs_on_demand,   ///< a provisioned stream has no warm throughput
  warm_needs_commitment,  ///< nor has one of an account without a commitment
  no_policy,              ///< to be removed
  failed,                 ///< state or log refused; detail says how
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

enum class Status { creating, active, updating, deleting };
std::string_view status_name(Status status) noexcept;  ///< CREATING, ...

struct HashRange {
  Uint128 first, last;  ///< both included
};
/// n equal ranges as AWS makes them: step = floor(2^128 / n), the last ends at 2^128 - 1.
std::vector<HashRange> equal_ranges(std::uint32_t n);

/// One shard; immutable but for its log.
struct Shard {
  std::uint32_t index = 0;
  std::string id;  ///< shardId-000000000000
  HashRange range;
  std::int64_t created_s = 0;
  std::optional<std::uint32_t> parent, adjacent_parent;
  std::optional<std::int64_t> ended_s;  ///< set when closed by a reshard
  SequenceNumbers numbers{0, 0};
  std::shared_ptr<log::Log> log;
  std::shared_ptr<ShardLimits> limits;  ///< null: it has none
};

/// One step of a reshard: a split of `shard` into two, the second of which begins `at`, or, with `adjacent`, a merge.
/// New shards get the next indices, so that later steps can name them.
struct ReshardStep {
  std::uint32_t shard = 0;
  std::optional<std::uint32_t> adjacent;
  Uint128 at{};
  friend bool operator==(const ReshardStep&, const ReshardStep&) = default;
};

using Tags = std::map<std::string, std::string>;

/// A stream at one moment: an immutable snapshot, replaced as a whole by every change. Hold it by StreamRef across a
/// co_await; look up again to see changes.
struct Stream {
  std::string name;
  std::uint64_t incarnation = 0;  ///< never reused
  TimePoint created;
  TimePoint settled;             ///< CREATING or UPDATING until then
  bool created_settled = false;  ///< the first transition (CREATING) is over: a pending one is UPDATING
  bool deleting = false;
  Settings settings;
  Consumers consumers;
  History history;
  std::shared_ptr<CallLimits> limits;  ///< null: it has none
  std::chrono::hours retention{24};
  /// Records that arrived before were past a shorter retention: they never come back.
  TimePoint records_since{};
  Tags tags;
  /// By index: the open ones, and closed ones whose records may be within the retention.
  std::vector<std::shared_ptr<const Shard>> shards;
  /// What happens to them when `settled` is over: UPDATING until it has.
  std::vector<ReshardStep> reshard;

  Status status(TimePoint now) const noexcept;
  /// The open shard whose range holds `hash`.
  const Shard& route(Uint128 hash) const noexcept;
  std::size_t open_shards() const noexcept { return open_last_.size(); }
  /// Lenient as AWS: `shardId-000000000001`, `x-1`, `1`. Null when there is none.
  const Shard* find_shard(std::string_view id) const noexcept;
  const Shard* shard(std::uint32_t index) const noexcept;  ///< null when there is none
  /// Whether a closed shard's records are all past the retention: as if it were not there.
  bool expired(const Shard& shard, TimePoint now) const noexcept;
  /// Fills the routing table from `shards`; called once, before the snapshot is published.
  void index_routing();

 private:
  std::vector<Uint128> open_last_;         // last hash of each open shard, ascending
  std::vector<std::uint32_t> open_index_;  // its position in `shards`
};
using StreamRef = std::shared_ptr<const Stream>;

/// That a stream can be scaled to.
inline constexpr std::uint32_t kShardCountMax = 10'000;

struct Options {
  std::chrono::milliseconds create_delay{0}, update_delay{0}, delete_delay{0};
  std::uint32_t shards_max = 20'000;  ///< in all
  LimitOptions limits{};
  /// Sees to it that records can be sealed, before a stream is encrypted; false: they cannot be. Nothing: nothing is to
  /// be done for it.
  std::function<awaitable<bool>()> prepare_sealing{};
};

struct CreateStream {
  std::string name;
  std::uint32_t shard_count = 1;
  Tags tags;
  std::chrono::hours retention{24};
  Settings settings{};
  bool declared = false;  ///< by the configuration, which may make any number of streams at once
};

/// That can be CREATING at once in an account with limits.
inline constexpr std::size_t kStreamsCreatingMax = 5;

class Subscriptions;

/// All streams of the account. Thread-safe; find() is cheap and never waits.
class Streams {
 public:
  virtual ~Streams() = default;
  /// By name; null when there is none (a stream in DELETING is found, one in CREATING too).
  virtual StreamRef find(std::string_view name) const = 0;
  virtual StreamRef find_incarnation(std::uint64_t incarnation) const = 0;
  /// Up to `limit` in order of name, after `after` (exclusive).
  virtual std::vector<StreamRef> list(std::string_view after, std::size_t limit) const = 0;
  virtual std::uint64_t open_shards() const = 0;

  virtual awaitable<Result<StreamRef>> create(CreateStream spec) = 0;
  virtual awaitable<Result<>> remove(std::string name) = 0;
  virtual awaitable<Result<>> add_tags(std::string name, Tags tags) = 0;
  virtual awaitable<Result<>> remove_tags(std::string name, std::vector<std::string> keys) = 0;
  enum class RetentionChange { increase, decrease, set };
  virtual awaitable<Result<>> set_retention(std::string name, std::chrono::hours retention, RetentionChange change) = 0;

  // Reshards. The stream must be ACTIVE and is UPDATING for Options::update_delay; puts and reads go on. Then each
  // parent takes no more records, and what is put goes to its children: the parents' records stay readable until they
  // are past the retention, and precede the children's.
  /// @param at  first hash key of the second one
  virtual awaitable<Result<>> split(std::string name, std::uint32_t shard, Uint128 at) = 0;
  /// @param adjacent  begins where `shard` ends
  virtual awaitable<Result<>> merge(std::string name, std::uint32_t shard, std::uint32_t adjacent) = 0;
  /// By splits and merges to `target` equal ranges. Gives how many shards were open before.
  /// @param target  half to twice of them, and at most kShardCountMax
  virtual awaitable<Result<std::uint32_t>> set_shard_count(std::string name, std::uint32_t target) = 0;

  /// Applies `edit` to a copy of the stream and keeps it; again from the start when another change came between. What
  /// it gives as an error is given back, and nothing is changed. It does not touch shards.
  using Edit = std::function<std::optional<Error>(Stream&)>;
  virtual awaitable<Result<StreamRef>> change(std::string name, Edit edit) = 0;
  /// Removes every stream, and what is set of the account (reset).
  virtual awaitable<Result<>> clear() = 0;

  virtual const IteratorCodec& iterators() const noexcept = 0;
  virtual log::Engine& engine() noexcept = 0;
  virtual Clock& clock() noexcept = 0;
  virtual const Options& options() const noexcept = 0;
  virtual Account& account() noexcept = 0;
  /// Calls of the account; null: it has no limits.
  virtual CallLimits* limits() noexcept = 0;
  virtual Subscriptions& subscriptions() noexcept = 0;
};

/// Takes up what the store holds of an earlier run: the logs of its streams are opened, or made where the engine has
/// none. Throws std::runtime_error when something of it cannot be read.
awaitable<std::unique_ptr<Streams>> make_streams(Clock& clock, Random& random, state::Store& store, log::Engine& engine,
                                                 Options options);

}  // namespace millrace::streams
