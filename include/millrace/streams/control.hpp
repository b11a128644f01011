#pragma once
#include <functional>
#include <optional>
#include <string>

#include "millrace/streams/streams.hpp"

/// Changes of a stream's settings and consumers. A stream must be ACTIVE for them (Errc::not_active), and all but those
/// of consumers and policies leave it UPDATING for Options::update_delay, in which what was set applies already.
/// `stream` is its name; Errc::not_found when there is none.
namespace millrace::streams {

/// not_active unless it is.
std::optional<Error> check_active(const Stream& stream, TimePoint now);

/// It is CREATING for Options::create_delay.
/// @error consumer_exists; also while one of that name is DELETING. consumer_limit; consumers_creating: in the account.
///        too_many_tags
awaitable<Result<Consumer>> register_consumer(Streams& streams, std::string stream, std::string name,
                                              std::map<std::string, std::string> tags);
/// It is DELETING for Options::delete_delay. One that already is stays so.
/// @param created_s  of which one; another one of that name is consumer_not_found
awaitable<Result<>> deregister_consumer(Streams& streams, std::string stream, std::string name, std::int64_t created_s);
/// In any state of the stream.
/// @error consumer_not_found, and what `edit` gives
using ConsumerEdit = std::function<std::optional<Error>(Consumer&)>;
awaitable<Result<>> change_consumer(Streams& streams, std::string stream, std::string name, std::int64_t created_s,
                                    ConsumerEdit edit);
/// Sets `tags` in `all`; too_many_tags.
std::optional<Error> add_to(std::map<std::string, std::string>& all, const std::map<std::string, std::string>& tags);

struct MetricsChange {
  ShardMetrics before = 0, after = 0;
};
/// Turns `metrics` on, or off.
awaitable<Result<MetricsChange>> set_metrics(Streams& streams, std::string stream, ShardMetrics metrics, bool on);

/// Whether such a stream can be given a warm throughput.
/// @error warm_needs_on_demand, warm_needs_commitment
std::optional<Error> check_warm_throughput(Mode mode, bool committed);
/// The shards stay as they are. A provisioned stream has no warm throughput.
/// @error warm_needs_on_demand, warm_needs_commitment: of what is set beside
awaitable<Result<>> set_mode(Streams& streams, std::string stream, Mode mode, std::optional<std::uint32_t> warm_mibps);
/// @param kib  kRecordKibMin to kRecordKibMax; what is stored stays readable whatever its size
awaitable<Result<>> set_record_size(Streams& streams, std::string stream, std::uint32_t kib);
/// @error warm_needs_on_demand, warm_needs_commitment
awaitable<Result<StreamRef>> set_warm_throughput(Streams& streams, std::string stream, std::uint32_t mibps);

/// What is put from now on is sealed where it lies in files; or, again, by another key.
awaitable<Result<>> start_encryption(Streams& streams, std::string stream, std::string key_id);
/// What is put is sealed until the stream is ACTIVE again. To one that is not encrypted it changes nothing.
awaitable<Result<>> stop_encryption(Streams& streams, std::string stream);

/// @param policy  empty: none from now on; no_policy where there was none
awaitable<Result<>> set_policy(Streams& streams, std::string stream, std::string policy);
/// The same of a consumer, which must be ACTIVE.
/// @error consumer_not_active
awaitable<Result<>> set_policy(Streams& streams, std::string stream, std::string consumer, std::int64_t created_s,
                               std::string policy);

}  // namespace millrace::streams
