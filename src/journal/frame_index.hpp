#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "millrace/journal/journal.hpp"

namespace millrace::journal {

/// A frame of records, told by its place in a file and in its part. As it lies in a footer.
struct IndexEntry {
  std::uint32_t offset = 0;  ///< of the frame's head
  std::uint32_t length = 0, checksum = 0;
  std::uint32_t base = 0;  ///< from the first position of the part
  std::uint32_t count = 0;
  std::uint32_t key_id = 0;
  std::int64_t first_ms = 0, last_ms = 0;
};
static_assert(sizeof(IndexEntry) == 40 && std::is_trivially_copyable_v<IndexEntry>);

/// The frame that `entry` tells of, in `part`.
Place place_of(const Part& part, const IndexEntry& entry) noexcept;
/// How long the payload of a frame is when it is plain.
std::uint32_t plain_bytes(const Frame& stored) noexcept;

/// Takes from `entries` of one part, in order, until the payloads are `bytes_max` together. False when that is reached.
template <class Entries>
bool take_places(const Part& part, const Entries& entries, std::uint64_t from, std::uint64_t bytes_max,
                 std::uint64_t& bytes, std::vector<Place>& out) {
  const auto behind = [&](const IndexEntry& entry) { return part.base + entry.base + entry.count <= from; };
  for (auto at = std::partition_point(entries.begin(), entries.end(), behind); at != entries.end(); ++at) {
    const Place place = place_of(part, *at);
    const std::uint64_t size = place.frame.length;
    if (!out.empty() && bytes + size > bytes_max) return false;
    out.push_back(place);
    bytes += size;
  }
  return true;
}
template <class Entries>
std::optional<Place> place_arrived(const Part& part, const Entries& entries, std::int64_t at_ms) {
  const auto earlier = [&](const IndexEntry& entry) { return entry.last_ms < at_ms; };
  const auto at = std::partition_point(entries.begin(), entries.end(), earlier);
  return at == entries.end() ? std::nullopt : std::optional(place_of(part, *at));
}

/// The frames of one file, by log and then by position. Knows of no threads.
class FrameIndex {
 public:
  struct List {
    Part part;
    std::uint32_t key_id = 0;        // of all its frames
    std::deque<IndexEntry> entries;  // does not move what it holds, nor double what it takes
  };

  enum class Keeps { records, counts };
  explicit FrameIndex(Generation file, Keeps keeps = Keeps::records) noexcept : file_(file), keeps_(keeps) {}
  /// Frames come in the order in which they lie in the file. Those of other kinds than records are counted only.
  void add(const Frame& frame, Lsn lsn);

  Generation file() const noexcept { return file_; }
  const std::map<std::uint64_t, std::vector<List>>& logs() const noexcept { return logs_; }
  std::uint64_t frames() const noexcept { return entries_ + other_frames_; }
  std::uint32_t other_frames() const noexcept { return other_frames_; }
  /// There are frames that were written again.
  bool moved() const noexcept { return moved_; }
  std::vector<Part> parts() const;
  /// How long a footer of this is, and could be with `frames` more.
  std::uint64_t footer_bytes(std::uint64_t frames = 0) const noexcept;

  std::vector<Place> places(std::uint64_t log, std::uint64_t from, std::uint64_t bytes_max) const;
  std::optional<Place> place_at(std::uint64_t log, std::int64_t at_ms) const;

 private:
  Generation file_;
  Keeps keeps_;
  std::map<std::uint64_t, std::vector<List>> logs_;
  std::uint64_t entries_ = 0, lists_ = 0;
  std::uint32_t other_frames_ = 0;
  bool moved_ = false;
};

}  // namespace millrace::journal
