#pragma once
#include <string>

#include "millrace/journal/frame.hpp"
#include "millrace/log/record.hpp"

namespace millrace::cli {

/// Why the payload's records cannot be read here; empty: they can.
inline std::string not_plain(const journal::Frame& frame) {
  if (frame.key_id != 0) return "sealed with key " + std::to_string(frame.key_id);
  constexpr std::uint16_t kKnown = journal::kMovedFlag | journal::kSealFlag;
  if ((frame.flags & ~kKnown) != 0) return "of a later version of this program";
  return {};
}

/// Calls `visit` for each record of a plain payload with its position. False: the payload is not what the frame's head
/// says; records up to there were visited.
template <class Visit>
bool each_record(const journal::Frame& frame, ByteView payload, Visit&& visit) {
  for (std::uint32_t i = 0; i < frame.count; ++i) {
    log::RecordHead head;
    if (payload.size() < sizeof head) return false;
    std::memcpy(&head, payload.data(), sizeof head);
    const std::size_t whole = sizeof head + head.key_bytes + head.data_bytes;
    if (payload.size() < whole) return false;
    log::RecordView record;
    log::read_record(payload.data(), record);
    visit(frame.base + i, record);
    payload.remove_prefix(whole);
  }
  return payload.empty();
}

}  // namespace millrace::cli
