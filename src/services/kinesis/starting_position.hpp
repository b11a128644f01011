#pragma once
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "services/kinesis/common.hpp"

/// Where readers of a shard begin: GetShardIterator and SubscribeToShard.
namespace millrace::services::kinesis {

inline constexpr std::string_view kIteratorTypes[] = {"AFTER_SEQUENCE_NUMBER", "LATEST", "AT_TIMESTAMP",
                                                      "AT_SEQUENCE_NUMBER", "TRIM_HORIZON"};

struct StartingPosition {
  std::string type;  ///< one of kIteratorTypes
  std::optional<std::string> number;
  std::optional<TimePoint> timestamp;
};

/// The position that it means in a shard at `now`. What it points to may be trimmed, or not be there yet: trimmed
/// records read from the horizon, numbers not given yet stand at the tip.
/// @param operation  as error texts name it
awaitable<Outcome<log::Position>> find_position(const Environment& environment, streams::StreamRef stream,
                                                const streams::Shard& shard, const StartingPosition& start,
                                                TimePoint now, std::string_view operation);

}  // namespace millrace::services::kinesis
