#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "millrace/base/buffer.hpp"

/// AWS's event streams (`application/vnd.amazon.eventstream`): messages one behind the other, each
///
///     total bytes u32 · bytes of headers u32 · CRC-32 of these 8 bytes u32 · headers · payload · CRC-32 of all before
///     it
///
/// with numbers in network order. A header is the length of its name u8, the name, a type u8 and a value.
/// Source: https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html
namespace millrace::codec {

/// What clients take of one message: more is an error for botocore, and for SDKs with smaller limits of their own.
inline constexpr std::size_t kEventHeadersMax = 128 * 1024, kEventPayloadMax = 24u << 20;
/// Before the headers; and what a message has beside headers and payload.
inline constexpr std::size_t kEventPreludeBytes = 12, kEventFrameBytes = 16;

/// A header whose value is a text, the only type that services send here. A name has 1 to 255 bytes, a value up to
/// 65,535.
struct EventHeader {
  std::string_view name, value;
};

/// Writes one message whose payload is made piece by piece, its size known in advance.
class EventWriter {
 public:
  /// Appends what comes before the payload.
  EventWriter(Buffer& out, std::span<const EventHeader> headers, std::size_t payload_bytes);
  /// Counts a piece of the payload, which the caller has put behind what came before.
  void count(std::string_view piece) noexcept;
  /// Appends what comes behind the payload, all of which has been counted.
  void end(Buffer& out) const;
  /// Of the payload, not counted yet.
  std::size_t left() const noexcept { return left_; }

 private:
  std::uint32_t crc_ = 0;
  std::size_t left_ = 0;
};

/// A whole message at once.
void write_event(Buffer& out, std::span<const EventHeader> headers, std::string_view payload);
/// Bytes of a message with these headers.
std::size_t event_bytes(std::span<const EventHeader> headers, std::size_t payload_bytes) noexcept;

enum class EventValueType : std::uint8_t { yes, no, byte, int16, int32, int64, bytes, text, timestamp, uuid };

/// One message as it was read; all views are into the bytes given.
struct EventMessage {
  struct Header {
    std::string_view name;
    EventValueType type{};
    std::string_view bytes;   ///< of texts, bytes and uuids
    std::int64_t number = 0;  ///< of integers, and of timestamps in epoch milliseconds
  };
  std::vector<Header> headers;
  std::string_view payload;
  std::size_t size = 0;  ///< of the whole message

  /// A text's value, or empty.
  std::string_view text(std::string_view name) const noexcept;
};

enum class EventErrc {
  none,
  more,      ///< the message is not there in full
  length,    ///< its lengths do not fit together, or are beyond the limits
  checksum,  ///< of the prelude or of the whole
  header,    ///< a name without bytes, a type that is none, a value beyond the end, a name twice
};

/// Reads the message that `bytes` begin with; what follows it is not looked at. Lengths are believed only when the
/// prelude's checksum holds.
EventErrc read_event(std::string_view bytes, EventMessage& out);
/// How many bytes the message that `bytes` begin with has; nothing when its prelude is not there, or wrong.
std::optional<std::size_t> event_size(std::string_view bytes) noexcept;

}  // namespace millrace::codec
