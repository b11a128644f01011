#include "millrace/codec/event_stream.hpp"

#include <gtest/gtest.h>

#include <string>

#include "codec/exact_copy.hpp"
#include "millrace/base/crc32.hpp"

namespace millrace::codec {
namespace {

std::string number(std::uint32_t value) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift);
  return out;
}
/// A message with these bytes for headers, all checksums right.
std::string message(std::string_view headers, std::string_view payload) {
  std::string out = number(static_cast<std::uint32_t>(16 + headers.size() + payload.size())) +
                    number(static_cast<std::uint32_t>(headers.size()));
  out += number(crc32(out));
  out.append(headers).append(payload);
  return out + number(crc32(out));
}
EventErrc read(std::string_view bytes) {
  const ExactCopy copy(bytes);
  EventMessage out;
  return read_event(copy.view(), out);
}

// botocore's tests/unit/test_eventstream.py: an empty message, and one with a payload and no headers.
TEST(EventStream, WritesWhatBotocoreReads) {
  Buffer out;
  write_event(out, {}, "");
  EXPECT_EQ(out.view(), std::string_view("\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2\x48\xeb\x7d\x98\xc8\xff", 16));
  out.clear();
  write_event(out, {}, "{'foo':'bar'}");
  EXPECT_EQ(out.view(),
            std::string_view("\x00\x00\x00\x1d\x00\x00\x00\x00\xfd\x52\x8c\x5a{'foo':'bar'}\xc3\x65\x39\x36", 29));
  out.clear();
  const EventHeader header[] = {{"content-type", "application/json"}};
  write_event(out, header, "{'foo':'bar'}");
  EXPECT_EQ(out.view(), std::string_view("\x00\x00\x00\x3d\x00\x00\x00\x20\x07\xfd\x83\x96\x0c"
                                         "content-type\x07\x00\x10"
                                         "application/json{'foo':'bar'}\x8d\x9c\x08\xb1",
                                         61));
  EXPECT_EQ(out.size(), event_bytes(header, 13));
}

TEST(EventStream, PiecesOfAPayloadChangeNothing) {
  const EventHeader headers[] = {{":event-type", "SubscribeToShardEvent"}, {":message-type", "event"}};
  const std::string payload(1000, 'p');
  Buffer whole;
  write_event(whole, headers, payload);
  for (const std::size_t piece : {1u, 7u, 999u, 1000u}) {
    Buffer out;
    EventWriter writer(out, headers, payload.size());
    for (std::size_t at = 0; at < payload.size(); at += piece) {
      const std::string_view part = std::string_view(payload).substr(at, piece);
      out.append(part);
      writer.count(part);
    }
    EXPECT_EQ(writer.left(), 0u);
    writer.end(out);
    EXPECT_EQ(out.view(), whole.view()) << piece;
  }
}

TEST(EventStream, ReadsHeadersOfAllTypes) {
  using namespace std::string_literals;
  const std::string headers = "\1a\0"s + "\1b\1"s + "\1c\2\xff"s + "\1d\3\x80\0"s + "\1e\4\x7f\xff\xff\xff"s +
                              "\1f\5\xff\xff\xff\xff\xff\xff\xff\xfe"s + "\1g\6\0\2\0\1"s + "\1h\7\0\4text"s +
                              "\1i\x08\0\0\1\x9b\x75\0\0\0"s + "\1j\x09"s + std::string(16, 'u');
  const ExactCopy bytes(message(headers, "payload"));
  EventMessage out;
  ASSERT_EQ(read_event(bytes.view(), out), EventErrc::none);
  ASSERT_EQ(out.headers.size(), 10u);
  EXPECT_EQ(out.headers[0].type, EventValueType::yes);
  EXPECT_EQ(out.headers[1].type, EventValueType::no);
  const std::int64_t numbers[] = {-1, -32768, 2147483647, -2};
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(out.headers[2 + i].number, numbers[i]) << i;
  EXPECT_EQ(out.headers[6].bytes, std::string_view("\0\1", 2));
  EXPECT_EQ(out.text("h"), "text");
  EXPECT_EQ(out.text("g"), "");
  EXPECT_EQ(out.headers[8].number, 0x19b'7500'0000);
  EXPECT_EQ(out.headers[9].bytes, std::string(16, 'u'));
  EXPECT_EQ(out.payload, "payload");
  EXPECT_EQ(out.size, bytes.view().size());
}

TEST(EventStream, WhatIsCutIsNotThereYet) {
  using namespace std::string_literals;
  const std::string whole = message("\1h\7\0\4text"s, "payload") + "more";
  EventMessage out;
  ASSERT_EQ(read_event(whole, out), EventErrc::none);
  for (std::size_t size = 0; size < out.size; ++size)
    EXPECT_EQ(read(std::string_view(whole).substr(0, size)), EventErrc::more) << size;
  EXPECT_EQ(event_size(whole.substr(0, 11)), std::nullopt);
  EXPECT_EQ(event_size(whole.substr(0, 12)), out.size);
}

TEST(EventStream, EveryBitIsLookedAfter) {
  using namespace std::string_literals;
  const std::string whole = message("\1h\7\0\4text"s, "payload");
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_EQ(read(damaged), EventErrc::checksum) << bit;
  }
}

TEST(EventStream, WrongLengthsAndHeadersAreRefused) {
  using namespace std::string_literals;
  const auto lengths = [](std::uint32_t total, std::uint32_t headers) {
    std::string out = number(total) + number(headers);
    return out + number(crc32(out)) + std::string(64, '\0');
  };
  EXPECT_EQ(read(lengths(15, 0)), EventErrc::length);
  EXPECT_EQ(read(lengths(20, 5)), EventErrc::length);
  EXPECT_EQ(read(lengths(0xffffffff, 0)), EventErrc::length);
  EXPECT_EQ(read(lengths(0xffffffff, 0xfffffff0)), EventErrc::length);
  EXPECT_EQ(read(lengths(16 + kEventHeadersMax + 1, kEventHeadersMax + 1)), EventErrc::length);
  EXPECT_EQ(read(lengths(16 + kEventPayloadMax + 1, 0)), EventErrc::length);
  EXPECT_EQ(read(lengths(16 + kEventPayloadMax, 0)), EventErrc::more);
  for (const std::string& headers : {"\0\0"s, "\1"s, "\1a"s, "\1a\x0a"s, "\2a"s, "\1a\7\0"s, "\1a\7\0\2x"s, "\1a\2"s,
                                     "\1a\x09"s + std::string(15, 'u'), "\1a\0\1a\1"s})
    EXPECT_EQ(read(message(headers, "")), EventErrc::header) << headers;
}

}  // namespace
}  // namespace millrace::codec
