// The first byte says how the rest is meant: a stream as it came (0), one whose checksums are made right first (1),
// with its total length too (2); or a header's value and a payload, which are written and read (3).
#include "millrace/codec/event_stream.hpp"

#include <string>

#include "fuzz/fuzz.hpp"
#include "millrace/base/crc32.hpp"

namespace millrace {
namespace {

using codec::EventErrc;
using codec::EventMessage;
using codec::EventValueType;
using fuzz::require;

void put_number(std::string& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = bytes; i-- > 0;) out += static_cast<char>(value >> (8 * i));
}
void set_u32(std::string& bytes, std::size_t at, std::uint32_t value) {
  std::string text;
  put_number(text, value, 4);
  bytes.replace(at, 4, text);
}
std::uint32_t u32(std::string_view bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

/// The message as its headers and payload say it.
std::string written(const EventMessage& message) {
  std::string headers;
  for (const EventMessage::Header& header : message.headers) {
    headers += static_cast<char>(header.name.size());
    headers += header.name;
    headers += static_cast<char>(header.type);
    switch (header.type) {
      case EventValueType::yes:
      case EventValueType::no:
        break;
      case EventValueType::byte:
        put_number(headers, static_cast<std::uint64_t>(header.number), 1);
        break;
      case EventValueType::int16:
        put_number(headers, static_cast<std::uint64_t>(header.number), 2);
        break;
      case EventValueType::int32:
        put_number(headers, static_cast<std::uint64_t>(header.number), 4);
        break;
      case EventValueType::int64:
      case EventValueType::timestamp:
        put_number(headers, static_cast<std::uint64_t>(header.number), 8);
        break;
      case EventValueType::bytes:
      case EventValueType::text:
        put_number(headers, header.bytes.size(), 2);
        headers += header.bytes;
        break;
      case EventValueType::uuid:
        headers += header.bytes;
        break;
    }
  }
  std::string out;
  put_number(out, 16 + headers.size() + message.payload.size(), 4);
  put_number(out, headers.size(), 4);
  put_number(out, crc32(out), 4);
  out += headers;
  out += message.payload;
  put_number(out, crc32(out), 4);
  return out;
}

void check_one(std::string_view bytes) {
  EventMessage message;
  const EventErrc error = codec::read_event(bytes, message);
  const auto size = codec::event_size(bytes);
  if (error != EventErrc::none) {
    require(message.size == 0, "what is no message has no size");
    require(error != EventErrc::more || bytes.size() < 12 || (size && *size > bytes.size()),
            "more comes of a longer one");
    return;
  }
  require(size == message.size && message.size <= bytes.size(), "a message has the size that its prelude says");
  require(written(message) == bytes.substr(0, message.size), "what was read is what was there");
  EventMessage other;
  require(codec::read_event(bytes.substr(0, message.size - 1), other) == EventErrc::more, "its end is missing");
  std::string damaged(bytes.substr(0, message.size));
  const std::size_t bit = u32(damaged, message.size - 4) % (8 * message.size);
  damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
  require(codec::read_event(damaged, other) == EventErrc::checksum, "a bit that fell over is seen");
}

void check_round_trip(std::string_view input) {
  const std::size_t value_bytes = std::min<std::size_t>(input.size(), input.empty() ? 0 : std::uint8_t(input[0]));
  const std::string_view value = input.substr(0, value_bytes), payload = input.substr(value_bytes);
  const codec::EventHeader headers[] = {{":message-type", "event"}, {"x", value}};
  Buffer whole, pieces;
  codec::write_event(whole, headers, payload);
  codec::EventWriter writer(pieces, headers, payload.size());
  for (std::string_view left = payload; !left.empty();) {
    const std::string_view piece = left.substr(0, 1 + left.size() / 2);
    pieces.append(piece);
    writer.count(piece);
    left.remove_prefix(piece.size());
  }
  writer.end(pieces);
  require(whole.view() == pieces.view(), "pieces change nothing");
  require(whole.size() == codec::event_bytes(headers, payload.size()), "its size is known in advance");
  EventMessage message;
  require(codec::read_event(whole.view(), message) == EventErrc::none, "what is written is read");
  require(message.payload == payload && message.text("x") == value && message.text(":message-type") == "event",
          "as it was meant");
  check_one(whole.view());
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const int mode = data[0] % 4;
  if (mode == 3) {
    check_round_trip(input);
    return 0;
  }
  std::string bytes(input);
  if (mode > 0 && bytes.size() >= 16) {
    if (mode == 2) set_u32(bytes, 0, static_cast<std::uint32_t>(bytes.size()));
    set_u32(bytes, 8, crc32(std::string_view(bytes).substr(0, 8)));
    const std::uint32_t total = u32(bytes, 0);
    if (total >= 16 && total <= bytes.size())
      set_u32(bytes, total - 4, crc32(std::string_view(bytes).substr(0, total - 4)));
  }
  check_one(bytes);
  return 0;
}
