#pragma once
#include <chrono>
#include <string>

#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {

inline constexpr std::chrono::milliseconds kIteratorLife{300'000};

/// A new iterator, issued now.
std::string write_iterator(const Environment& environment, const streams::Stream& stream, const streams::Shard& shard,
                           log::Position next);
/// What an iterator says; refused when it was not issued here, for another account, or more than kIteratorLife ago.
Outcome<streams::IteratorFields> read_iterator(const Environment& environment, std::string_view token);

}  // namespace millrace::services::kinesis
