#pragma once
#include "services/kinesis/common.hpp"

namespace millrace::services::kinesis {

struct RetentionInput {
  std::int32_t hours = 0;
  StreamSelector stream;
};
inline constexpr auto kRetentionInput =
    fields(field<&RetentionInput::hours>("RetentionPeriodHours"), stream_selector<&RetentionInput::stream>());

/// What the increase and the decrease share: all but their direction.
awaitable<Outcome<NoOutput>> change_retention(Context& context, RetentionInput in,
                                              streams::Streams::RetentionChange change);

}  // namespace millrace::services::kinesis
