#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "millrace/streams/streams.hpp"

/// What a stream's quotas of 24 hours, and those of the account, go by.
namespace millrace::streams {

/// One more change now, of which there may be `most` within 24 hours, where the stream has limits. `times` is one of
/// its own.
/// @error too_often
std::optional<Error> count_today(const Stream& stream, std::vector<TimePoint>& times, std::size_t most, TimePoint now);

/// Whether the account can have one more stream on demand.
/// @error on_demand_streams
std::optional<Error> check_on_demand_streams(const Streams& streams);

/// The stream's mode is about to be another one: what it was scaled by does not count any more.
void begin_mode(Stream& stream, Mode mode, TimePoint now);

}  // namespace millrace::streams
