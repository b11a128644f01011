#include "log/cold_read.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace millrace::log {
namespace {

using journal::Part;
using journal::Place;

Error error_of(const journal::Error& failed) {
  switch (failed.code) {
    case journal::Errc::gone:
      return {Errc::not_found, failed.detail};
    default:
      return {Errc::damaged, failed.detail};
  }
}

std::uint64_t end_of(const journal::Frame& frame) noexcept { return frame.base + frame.count; }
std::uint64_t end_of(const Part& part) noexcept { return part.base + part.count; }

constexpr std::uint64_t kAheadFrom = 1u << 20;

/// How many of the frames have `bytes` of payload together, or a little more.
std::size_t within(std::span<const Place> places, std::uint64_t bytes) noexcept {
  std::size_t count = 0;
  for (std::uint64_t sum = 0; count < places.size() && sum < bytes; ++count) sum += places[count].frame.length;
  return count;
}

/// Frames whose payloads lie together in memory.
struct Block {
  std::shared_ptr<char> bytes;
  std::span<const Place> places;  // that were read whole
  std::size_t size = 0;
};

/// Whether `bytes` are exactly `count` records: a file that was tampered with must not lead a reader astray.
bool well_formed(ByteView bytes, std::uint32_t count) noexcept {
  std::size_t at = 0;
  for (; count > 0; --count) {
    RecordHead head;
    if (bytes.size() - at < sizeof head) return false;
    std::memcpy(&head, bytes.data() + at, sizeof head);
    const std::size_t whole = sizeof head + head.key_bytes + head.data_bytes;
    if (bytes.size() - at < whole) return false;
    at += whole;
  }
  return at == bytes.size();
}

class ColdReader {
 public:
  ColdReader(Storage& storage, const ColdRequest& request)
      : storage_(storage), request_(request), records_left_(request.records_max), bytes_left_(request.bytes_max) {
    out_.next = request.from;
  }

  ColdRecords run() {
    for (const Part& part : request_.parts) {
      if (end_of(part) <= out_.next) continue;
      out_.next = std::max(out_.next, part.base);
      if (!read_part(part)) break;
    }
    return std::move(out_);
  }

 private:
  bool done() const noexcept { return records_left_ == 0 || (out_.records > 0 && bytes_left_ == 0); }

  /// False: the page is full, or nothing more can be read.
  bool read_part(const Part& part) {
    if (part.first_ms < request_.hidden_before_ms) {
      auto first = storage_.journal().place_at(part.file, part.log, request_.hidden_before_ms);
      if (!first) return failed(error_of(first.error()));
      const std::uint64_t begin = std::min(*first ? (*first)->frame.base : end_of(part), end_of(part));
      before_hidden_ = out_.next <= begin;
      out_.next = std::max(out_.next, begin);
    }
    while (out_.next < end_of(part)) {
      if (done()) return false;
      // Who reads a page of some size comes for the next one: the disk is at it while this one is rendered and sent.
      const std::uint64_t wanted = bytes_wanted(part), ahead = wanted >= kAheadFrom ? wanted : 0;
      auto places = places_in(storage_.journal(), part, out_.next, wanted + ahead);
      if (!places) return failed(error_of(places.error()));
      if (ahead) {
        storage_.journal().will_read(*places);
        places->resize(within(*places, wanted));
      }
      if (places->empty())
        return failed({Errc::not_found, "file " + std::to_string(part.file.get()) + " has not what it had of log " +
                                            std::to_string(part.log)});
      if (!read_places(*places)) return false;
    }
    return true;
  }

  /// What is left to read of keys and data, in bytes of payload.
  std::uint64_t bytes_wanted(const Part& part) const noexcept {
    const std::uint64_t a_record = part.bytes / part.count + 1;
    const std::uint64_t payload_max = bytes_left_ + bytes_left_ / std::max<std::uint64_t>(a_record, 32) * 16 + 16;
    return std::min<std::uint64_t>(payload_max, a_record * std::min<std::size_t>(records_left_, 1u << 20));
  }

  bool read_places(std::span<const Place> places) {
    while (!places.empty()) {
      if (done()) return false;
      std::size_t count = 0, size = 0;
      while (count < places.size() && (count == 0 || size + places[count].frame.length <= kChunkBytesMax))
        size += places[count++].frame.length;
      if (out_.records > 0 && storage_.many_cold()) return false;
      Block block{storage_.cold_memory(size), places.first(count), size};
      if (!block.bytes) return failed({Errc::full, "no memory for records out of files"});
      std::size_t whole = count;
      auto read = storage_.journal().read(block.places, {block.bytes.get(), size}, &whole);
      const bool damaged = !read && read.error().code == journal::Errc::damaged;
      if (!read && !damaged) return failed(error_of(read.error()));
      block.places = places.first(damaged ? whole : count);
      if (!take(block)) return false;
      if (damaged) {
        storage_.count_damage(read.error().detail);
        if (!storage_.serve_damaged()) return failed(error_of(read.error()));
        out_.next = std::max(out_.next, end_of(places[whole].frame));
        count = whole + 1;
      }
      places = places.subspan(count);
    }
    return true;
  }

  /// The block's records that are asked for and still fit. False: the page is full.
  bool take(const Block& block) {
    const char* at = block.bytes.get();
    for (const Place& place : block.places) {
      const ByteView payload(at, place.frame.length);
      at += payload.size();
      if (!well_formed(payload, place.frame.count))
        return failed({Errc::damaged, "records " + std::to_string(place.frame.base) + " to " +
                                          std::to_string(end_of(place.frame) - 1) + " of log " +
                                          std::to_string(place.frame.log) + " are not well formed"});
      if (!take_frame(block, place.frame, payload)) return false;
    }
    return true;
  }

  bool take_frame(const Block& block, const journal::Frame& frame, ByteView payload) {
    const char* at = payload.data();
    std::uint64_t position = frame.base;
    RecordView record;
    // What comes before the page, or is hidden.
    bool hidden = std::exchange(before_hidden_, false);
    for (; position < end_of(frame); ++position) {
      const char* const next = read_record(at, record);
      if (position >= out_.next && record.arrival_ms >= request_.hidden_before_ms) break;
      hidden = record.arrival_ms < request_.hidden_before_ms;
      at = next;
    }
    if (hidden) out_.horizon = position;
    out_.next = std::max(out_.next, position);
    const char* const begin = at;
    const std::uint64_t first = position;
    for (; position < end_of(frame) && records_left_ > 0; ++position) {
      const char* const next = read_record(at, record);
      const std::size_t bytes = record.key.size() + record.data.size();
      if (bytes > bytes_left_ && out_.records > 0) {
        bytes_left_ = 0;
        break;
      }
      bytes_left_ -= std::min(bytes_left_, bytes);
      --records_left_;
      ++out_.records;
      at = next;
    }
    if (position > first) append(block, first, position - first, {begin, static_cast<std::size_t>(at - begin)});
    out_.next = std::max(out_.next, position);
    return position == end_of(frame);
  }

  void append(const Block& block, std::uint64_t first, std::uint64_t count, std::string_view bytes) {
    if (!out_.runs.empty()) {
      RecordRun& last = out_.runs.back();
      const bool goes_on =
          last.owner.get() == block.bytes.get() && last.bytes.data() + last.bytes.size() == bytes.data();
      if (goes_on && last.first.get() + last.count == first) {
        last.count += static_cast<std::uint32_t>(count);
        last.bytes = {last.bytes.data(), last.bytes.size() + bytes.size()};
        return;
      }
    }
    out_.runs.push_back({block.bytes, Position{first}, static_cast<std::uint32_t>(count), bytes});
  }

  bool failed(Error error) {
    out_.error = std::move(error);
    return false;
  }

  Storage& storage_;
  const ColdRequest& request_;
  std::size_t records_left_, bytes_left_;
  bool before_hidden_ = false;  // what comes before the next frame is hidden, all of it
  ColdRecords out_;
};

}  // namespace

journal::Result<std::vector<journal::Place>> places_in(journal::Journal& journal, const journal::Part& part,
                                                       std::uint64_t from, std::uint64_t bytes_max) {
  auto places = journal.places(part.file, part.log, from, bytes_max);
  if (places)
    while (!places->empty() && places->back().frame.base >= end_of(part)) places->pop_back();
  return places;
}

ColdRecords read_cold(Storage& storage, const ColdRequest& request) {
  const Storage::Reading reading(storage);
  if (!reading) {
    ColdRecords none;
    none.error = Error{Errc::not_found, "closed"};
    return none;
  }
  storage.count_file_read();
  return ColdReader(storage, request).run();
}

Result<std::uint64_t> seek_cold(Storage& storage, const journal::Part& part, std::int64_t at_ms) {
  if (part.first_ms >= at_ms) return part.base;
  ColdRequest request;
  request.parts = {part};
  request.from = part.base;
  request.hidden_before_ms = at_ms;
  request.records_max = 1;
  request.bytes_max = 1;
  ColdRecords found = read_cold(storage, request);
  if (found.records) return found.runs.front().first.get();
  if (found.error) return std::move(*found.error);
  return end_of(part);
}

}  // namespace millrace::log
