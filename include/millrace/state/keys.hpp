#pragma once
#include <string_view>

/// All that is lasting beside records and objects, in one place: a layer that keeps something declares it here. Every
/// value says its own form, or is as simple as it is described.
namespace millrace::state::keys {

// ---- streams
/// `<stream name>`: a stream with its tags, retention, settings, consumers, what its quotas and scaling go by, and its
/// shard map (JSON). The logs' ids follow from it.
inline constexpr std::string_view kStreams = "streams/";
/// `<stream name>`: the creation second of the last shard of a deleted stream (decimal), while a new one of that name
/// could get the same.
inline constexpr std::string_view kStreamSeconds = "stream-seconds/";
/// What is set of the account (JSON).
inline constexpr std::string_view kAccount = "account";
/// The key of shard iterators (base64).
inline constexpr std::string_view kIteratorSecret = "iterators/secret";

// ---- delivery
/// `<delivery stream name>`: a delivery stream with its version, checkpoints and planned ranges (JSON with a `form`).
inline constexpr std::string_view kDelivery = "delivery/";

// ---- other accounts and regions than the configured ones
/// `<account>/<region>/` and a key of those above: theirs. The numbers below are given to all alike.
inline constexpr std::string_view kAccounts = "accounts/";

// ---- names of numbers
inline constexpr std::string_view kStreamIncarnations = "streams/incarnation";
inline constexpr std::string_view kIteratorStarts = "iterators/start";
inline constexpr std::string_view kDeliveryIncarnations = "delivery";

// Not here: APIs and their ids, which the configuration declares and every start deploys.

}  // namespace millrace::state::keys
