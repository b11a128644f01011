#include "millrace/codec/event_stream.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "millrace/base/crc32.hpp"

namespace millrace::codec {
namespace {

constexpr std::size_t kCheckedPrelude = 8, kChecksum = 4;
constexpr std::uint8_t kText = static_cast<std::uint8_t>(EventValueType::text);
constexpr std::uint8_t kTypes = static_cast<std::uint8_t>(EventValueType::uuid) + 1;

char* put_u32(char* at, std::uint32_t value) noexcept {
  for (int shift = 24; shift >= 0; shift -= 8) *at++ = static_cast<char>(value >> shift);
  return at;
}

std::uint64_t get(std::string_view bytes) noexcept {
  std::uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<unsigned char>(c);
  return value;
}
std::uint32_t get_u32(const char* at) noexcept { return static_cast<std::uint32_t>(get({at, 4})); }

std::size_t headers_bytes(std::span<const EventHeader> headers) noexcept {
  std::size_t bytes = 0;
  for (const EventHeader& header : headers) bytes += 1 + header.name.size() + 1 + 2 + header.value.size();
  return bytes;
}

struct Prelude {
  std::size_t total, headers;
};
EventErrc read_prelude(std::string_view bytes, Prelude& out) noexcept {
  if (bytes.size() < kEventPreludeBytes) return EventErrc::more;
  if (crc32(bytes.substr(0, kCheckedPrelude)) != get_u32(bytes.data() + kCheckedPrelude)) return EventErrc::checksum;
  out = {get_u32(bytes.data()), get_u32(bytes.data() + 4)};
  if (out.total < kEventFrameBytes || out.headers > out.total - kEventFrameBytes || out.headers > kEventHeadersMax ||
      out.total - kEventFrameBytes - out.headers > kEventPayloadMax)
    return EventErrc::length;
  return EventErrc::none;
}

// How many bytes a value of this type has; for texts and bytes, what their length has.
std::size_t value_bytes(EventValueType type) noexcept {
  switch (type) {
    case EventValueType::yes:
    case EventValueType::no:
      return 0;
    case EventValueType::byte:
      return 1;
    case EventValueType::int16:
    case EventValueType::bytes:
    case EventValueType::text:
      return 2;
    case EventValueType::int32:
      return 4;
    case EventValueType::int64:
    case EventValueType::timestamp:
      return 8;
    case EventValueType::uuid:
      return 16;
  }
  return 0;
}

bool take(std::string_view& rest, std::size_t bytes, std::string_view& out) noexcept {
  if (rest.size() < bytes) return false;
  out = rest.substr(0, bytes);
  rest.remove_prefix(bytes);
  return true;
}

bool take_header(std::string_view& rest, EventMessage::Header& out) {
  std::string_view length, type, value;
  if (!take(rest, 1, length) || get(length) == 0 || !take(rest, get(length), out.name) || !take(rest, 1, type) ||
      get(type) >= kTypes)
    return false;
  out.type = static_cast<EventValueType>(get(type));
  const std::size_t bytes = value_bytes(out.type);
  if (!take(rest, bytes, value)) return false;
  switch (out.type) {
    case EventValueType::bytes:
    case EventValueType::text:
      return take(rest, get(value), out.bytes);
    case EventValueType::uuid:
      out.bytes = value;
      return true;
    case EventValueType::yes:
    case EventValueType::no:
      return true;
    case EventValueType::byte:
    case EventValueType::int16:
    case EventValueType::int32:
    case EventValueType::int64:
    case EventValueType::timestamp: {
      const std::size_t unused = 64 - 8 * bytes;
      out.number = static_cast<std::int64_t>(get(value) << unused) >> unused;
      return true;
    }
  }
  return false;
}

}  // namespace

EventWriter::EventWriter(Buffer& out, std::span<const EventHeader> headers, std::size_t payload_bytes)
    : left_(payload_bytes) {
  const std::size_t head = headers_bytes(headers);
  char* const begin = out.prepare(kEventPreludeBytes + head);
  char* at = put_u32(begin, static_cast<std::uint32_t>(kEventFrameBytes + head + payload_bytes));
  at = put_u32(at, static_cast<std::uint32_t>(head));
  at = put_u32(at, crc32({begin, kCheckedPrelude}));
  for (const EventHeader& header : headers) {
    assert(!header.name.empty() && header.name.size() <= 0xff && header.value.size() <= 0xffff);
    *at++ = static_cast<char>(header.name.size());
    at += header.name.copy(at, header.name.size());
    *at++ = kText;
    *at++ = static_cast<char>(header.value.size() >> 8);
    *at++ = static_cast<char>(header.value.size());
    at += header.value.copy(at, header.value.size());
  }
  const auto size = static_cast<std::size_t>(at - begin);
  crc_ = crc32({begin, size});
  out.commit(size);
}

void EventWriter::count(std::string_view piece) noexcept {
  assert(piece.size() <= left_);
  left_ -= piece.size();
  crc_ = crc32(piece, crc_);
}

void EventWriter::end(Buffer& out) const {
  assert(left_ == 0);
  put_u32(out.prepare(kChecksum), crc_);
  out.commit(kChecksum);
}

void write_event(Buffer& out, std::span<const EventHeader> headers, std::string_view payload) {
  EventWriter writer(out, headers, payload.size());
  out.append(payload);
  writer.count(payload);
  writer.end(out);
}

std::size_t event_bytes(std::span<const EventHeader> headers, std::size_t payload_bytes) noexcept {
  return kEventFrameBytes + headers_bytes(headers) + payload_bytes;
}

std::string_view EventMessage::text(std::string_view name) const noexcept {
  for (const Header& header : headers)
    if (header.type == EventValueType::text && header.name == name) return header.bytes;
  return {};
}

std::optional<std::size_t> event_size(std::string_view bytes) noexcept {
  Prelude prelude{};
  if (read_prelude(bytes, prelude) != EventErrc::none) return std::nullopt;
  return prelude.total;
}

EventErrc read_event(std::string_view bytes, EventMessage& out) {
  out.headers.clear();
  out.payload = {};
  out.size = 0;
  Prelude prelude{};
  if (const EventErrc error = read_prelude(bytes, prelude); error != EventErrc::none) return error;
  if (bytes.size() < prelude.total) return EventErrc::more;
  const std::size_t checked = prelude.total - kChecksum;
  if (crc32(bytes.substr(0, checked)) != get_u32(bytes.data() + checked)) return EventErrc::checksum;
  for (std::string_view rest = bytes.substr(kEventPreludeBytes, prelude.headers); !rest.empty();) {
    EventMessage::Header header;
    if (!take_header(rest, header)) return EventErrc::header;
    out.headers.push_back(header);
  }
  // Sorted aside: a peer may send very many.
  std::vector<std::string_view> names;
  names.reserve(out.headers.size());
  for (const EventMessage::Header& header : out.headers) names.push_back(header.name);
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) return EventErrc::header;
  out.payload = bytes.substr(kEventPreludeBytes + prelude.headers, checked - kEventPreludeBytes - prelude.headers);
  out.size = prelude.total;
  return EventErrc::none;
}

}  // namespace millrace::codec
