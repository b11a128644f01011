#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "millrace/streams/streams.hpp"

namespace millrace::streams {

/// A stream with its shard map as one state value (JSON), without the logs.
std::string serialise(const Stream& stream);
/// Shards come without a log. Nothing when the text is not such a value.
std::optional<Stream> parse_stream(std::string_view text);

/// A shard's log id follows from who it is, so that making one costs no number of its own.
constexpr log::LogId log_id(std::uint64_t incarnation, std::uint32_t shard_index) {
  return log::LogId{incarnation << 32 | shard_index};
}
std::string shard_id(std::uint32_t index);

}  // namespace millrace::streams
