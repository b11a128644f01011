#include "log/chunk.hpp"

#include <algorithm>

namespace millrace::log {
namespace {

RecordHead head_at(const char* at) noexcept {
  RecordHead head;
  std::memcpy(&head, at, sizeof head);
  return head;
}
std::uint32_t whole_bytes(const RecordHead& head) noexcept {
  return static_cast<std::uint32_t>(sizeof head) + head.key_bytes + head.data_bytes;
}

}  // namespace

// The index has room for records without key and data. A block above kChunkBytesMax begins with one large record, and
// what follows that is less than a granule.
Chunk::Chunk(Block block, std::size_t bytes_max)
    : block_(std::move(block)),
      bytes_(block_.data()),
      capacity_(static_cast<std::uint32_t>(std::min(bytes_max, block_.size()))),
      index_(new std::uint32_t[std::min<std::size_t>(capacity_, kChunkBytesMax) / sizeof(RecordHead) / kStride + 1]) {}

std::uint32_t Chunk::offset_of(std::uint32_t index) const noexcept {
  std::uint32_t offset = index_[index / kStride];
  for (std::uint32_t i = index % kStride; i > 0; --i) offset += whole_bytes(head_at(bytes_ + offset));
  return offset;
}

std::uint32_t Chunk::first_at_or_after(std::int64_t arrival_ms, Published seen) const noexcept {
  if (seen.count == 0 || first_arrival_ >= arrival_ms) return 0;
  // The last entry of the index whose record is too old: what is sought comes within a stride behind it.
  std::uint32_t low = 0, high = (seen.count - 1) / kStride;
  while (low < high) {
    const std::uint32_t middle = (low + high + 1) / 2;
    if (head_at(bytes_ + index_[middle]).arrival_ms < arrival_ms) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  std::uint32_t offset = index_[low];
  const std::uint32_t stop = std::min(seen.count, (low + 1) * kStride);
  for (std::uint32_t i = low * kStride; i < stop; ++i) {
    const RecordHead head = head_at(bytes_ + offset);
    if (head.arrival_ms >= arrival_ms) return i;
    offset += whole_bytes(head);
  }
  return stop;
}

std::int64_t Chunk::arrival_of_last(Published seen) const noexcept {
  return head_at(bytes_ + offset_of(seen.count - 1)).arrival_ms;
}

void Chunk::cut(std::uint32_t count) noexcept {
  const std::uint32_t bytes = count < published().count ? offset_of(count) : published().bytes;
  if (count > 0) last_arrival_.store(arrival_of_last({count, bytes}), std::memory_order_relaxed);
  published_.store(std::uint64_t{count} << 32 | bytes, std::memory_order_release);
}

Chunk::Taken Chunk::take(Published seen, std::uint32_t first, std::uint32_t offset, std::size_t records_max,
                         std::size_t bytes_max, bool one_at_least) const noexcept {
  const std::uint32_t there = seen.count - first;
  if (there <= records_max && seen.bytes - offset - there * sizeof(RecordHead) <= bytes_max) {
    return {there, seen.bytes - offset};
  }
  const std::uint32_t limit = first + static_cast<std::uint32_t>(std::min<std::size_t>(there, records_max));
  // Whole strides by the index, the rest record by record.
  std::uint32_t at = first, at_offset = offset;
  std::uint32_t low = first / kStride, high = std::min(limit, seen.count - 1) / kStride;
  while (low < high) {
    const std::uint32_t middle = (low + high + 1) / 2;
    const std::size_t payload = index_[middle] - offset - std::size_t{middle * kStride - first} * sizeof(RecordHead);
    if (payload <= bytes_max) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (low > first / kStride) {
    at = low * kStride;
    at_offset = index_[low];
  }
  std::size_t payload = at_offset - offset - std::size_t{at - first} * sizeof(RecordHead);
  for (; at < limit; ++at) {
    const std::uint32_t whole = whole_bytes(head_at(bytes_ + at_offset));
    payload += whole - sizeof(RecordHead);
    if (payload > bytes_max && !(one_at_least && at == first)) break;
    at_offset += whole;
  }
  return {at - first, at_offset - offset};
}

void Chunk::append(const char* bytes, std::size_t size, std::span<const std::uint32_t> ends, std::uint32_t skipped,
                   std::int64_t arrival_ms) noexcept {
  const std::uint64_t both = published_.load(std::memory_order_relaxed);
  const auto count = static_cast<std::uint32_t>(both >> 32);
  const auto used = static_cast<std::uint32_t>(both);
  if (count == 0) first_arrival_ = arrival_ms;
  std::memcpy(bytes_ + used, bytes, size);
  for (std::size_t i = (kStride - count % kStride) % kStride; i < ends.size(); i += kStride) {
    index_[(count + i) / kStride] = used + (i ? ends[i - 1] - skipped : 0);
  }
  last_arrival_.store(arrival_ms, std::memory_order_relaxed);
  published_.store((std::uint64_t{count} + ends.size()) << 32 | (used + size), std::memory_order_release);
}

}  // namespace millrace::log
