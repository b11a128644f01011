#include "journal/frame_index.hpp"

#include "journal/footer.hpp"

namespace millrace::journal {

Place place_of(const Part& part, const IndexEntry& entry) noexcept {
  Place place;
  place.lsn = make_lsn(part.file, entry.offset);
  place.frame.key_id = entry.key_id;
  place.frame.log = part.log;
  place.frame.epoch = part.epoch;
  place.frame.base = part.base + entry.base;
  place.frame.first_ms = entry.first_ms;
  place.frame.last_ms = entry.last_ms;
  place.frame.count = entry.count;
  place.frame.length = entry.length;
  place.frame.length = plain_bytes(place.frame);
  place.frame.checksum = entry.checksum;
  return place;
}

std::uint32_t plain_bytes(const Frame& stored) noexcept { return stored.length - (stored.key_id ? kSealBytes : 0); }

void FrameIndex::add(const Frame& frame, Lsn lsn) {
  if (frame.kind != FrameKind::records || keeps_ == Keeps::counts) {
    ++other_frames_;
    return;
  }
  if (frame.flags & kMovedFlag) moved_ = true;
  std::vector<List>& lists = logs_[frame.log];
  const auto goes_on = [&](const List& list) {
    const Part& part = list.part;
    return part.epoch == frame.epoch && part.base + part.count == frame.base && part.count <= UINT32_MAX &&
           list.key_id == frame.key_id;
  };
  // The last one but where records of older files are written again, between others.
  auto goes_to = std::find_if(lists.rbegin(), lists.rend(), goes_on);
  if (goes_to == lists.rend()) {
    Part part;
    part.file = file_;
    part.log = frame.log;
    part.epoch = frame.epoch;
    part.base = frame.base;
    part.first_ms = frame.first_ms;
    const auto behind = [&](const List& list) { return list.part.base < frame.base; };
    goes_to = std::make_reverse_iterator(
        std::next(lists.insert(std::partition_point(lists.begin(), lists.end(), behind), {part, frame.key_id, {}})));
    ++lists_;
  }
  List& list = *goes_to;
  IndexEntry entry;
  entry.offset = static_cast<std::uint32_t>(offset_of(lsn));
  entry.length = frame.length;
  entry.checksum = frame.checksum;
  entry.base = static_cast<std::uint32_t>(frame.base - list.part.base);
  entry.count = frame.count;
  entry.key_id = frame.key_id;
  entry.first_ms = frame.first_ms;
  entry.last_ms = frame.last_ms;
  list.entries.push_back(entry);
  list.part.count += frame.count;
  list.part.last_ms = frame.last_ms;
  list.part.bytes += plain_bytes(frame);
  ++entries_;
}

std::vector<Part> FrameIndex::parts() const {
  std::vector<Part> parts;
  parts.reserve(lists_);
  for (const auto& [log, lists] : logs_)
    for (const List& list : lists) parts.push_back(list.part);
  return parts;
}

std::uint64_t FrameIndex::footer_bytes(std::uint64_t frames) const noexcept {
  // Each further frame may begin a part.
  return kTrailerBytes + (lists_ + frames) * kTableRowBytes + (entries_ + frames) * sizeof(IndexEntry);
}

std::vector<Place> FrameIndex::places(std::uint64_t log, std::uint64_t from, std::uint64_t bytes_max) const {
  std::vector<Place> out;
  const auto found = logs_.find(log);
  if (found == logs_.end()) return out;
  std::uint64_t bytes = 0;
  for (const List& list : found->second)
    if (!take_places(list.part, list.entries, from, bytes_max, bytes, out)) break;
  return out;
}

std::optional<Place> FrameIndex::place_at(std::uint64_t log, std::int64_t at_ms) const {
  const auto found = logs_.find(log);
  if (found == logs_.end()) return std::nullopt;
  for (const List& list : found->second)
    if (auto place = place_arrived(list.part, list.entries, at_ms)) return place;
  return std::nullopt;
}

}  // namespace millrace::journal
