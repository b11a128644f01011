#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/base/clock.hpp"

namespace millrace::delivery {

/// Key of an object: the prefix, its UTC date folders, then the name Firehose gives. No slash is put between a prefix
/// and the year. @param instant arrival of the oldest record in the object
/// @source https://docs.aws.amazon.com/firehose/latest/dev/s3-prefixes.html
std::string object_key(std::string_view prefix, std::string_view delivery_stream, std::uint32_t version,
                       TimePoint instant, std::string_view uuid);

}  // namespace millrace::delivery
