// Handlers use nothing but the contract of base/http.hpp: the same ones on sockets and on the in-memory transport,
// there with interleaved streams, small windows and resets in the middle.
#include <gtest/gtest.h>

#include "net/site.hpp"
#include "support/memory_transport.hpp"

namespace millrace::net {
namespace {

using test::MemoryStream;
using test::MemoryTransport;
using test::Upload;

awaitable<void> stream_back(http::Request& request, http::ResponseWriter& writer) {
  const http::ResponseHead head{200, {}};
  if (!co_await writer.start(head, request.body->length())) co_return;
  for (;;) {
    const auto piece = co_await request.body->pull();
    if (!piece) co_return;
    if (piece->empty()) break;
    const Slice slice{*piece, {}};
    if (!co_await writer.write(slice)) co_return;
  }
  (void)co_await writer.finish();
}

std::string pattern(std::size_t size, std::size_t salt) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + (i * 7 + salt) % 26);
  return text;
}

TEST(HandlerContract, InterleavedStreamsKeepTheirBodies) {
  for (const bool streamed : {false, true}) {
    FunctionHandler handler(streamed ? Handle(stream_back) : Handle(echo));
    MemoryTransport transport(handler);
    std::vector<Upload> uploads;
    for (std::size_t i = 0; i < 12; ++i) {
      const std::string body = pattern(i * 9'999, i);
      MemoryStream& stream = transport.open("POST", "/" + std::to_string(i));
      if (i % 2) stream.announce(body.size());
      if (body.empty()) stream.end_body();
      uploads.push_back({&stream, body});
      transport.begin(stream);
    }
    ASSERT_TRUE(test::interleave(transport, uploads, 42));
    for (std::size_t i = 0; i < uploads.size(); ++i) {
      const MemoryStream& stream = *uploads[i].stream;
      EXPECT_EQ(stream.misuse, "") << i;
      EXPECT_TRUE(stream.finished) << i;
      EXPECT_EQ(stream.received, streamed ? uploads[i].body : "POST /" + std::to_string(i) + "?\n" + uploads[i].body)
          << i;
    }
  }
}

TEST(HandlerContract, AWriterGoesNoFurtherThanTheWindow) {
  FunctionHandler handler(stream_back);
  MemoryTransport transport(handler);
  MemoryStream& stream = transport.open("POST", "/");
  transport.begin(stream);
  stream.feed("0123456789");
  stream.end_body();
  stream.grant(4);
  transport.settle();
  EXPECT_EQ(stream.received, "0123");
  EXPECT_FALSE(stream.handled);
  stream.grant(6);
  transport.settle();
  EXPECT_EQ(stream.received, "0123456789");
  EXPECT_TRUE(stream.finished);
}

TEST(HandlerContract, AResetInTheMiddleEndsOneHandlerAndNoOther) {
  FunctionHandler handler(stream_back);
  for (std::size_t cut = 0; cut < 5; ++cut) {
    MemoryTransport transport(handler);
    MemoryStream& gone = transport.open("POST", "/gone");
    MemoryStream& stays = transport.open("POST", "/stays");
    transport.begin(gone);
    transport.begin(stays);
    gone.feed("abcd");
    gone.grant(cut);
    stays.feed("efgh");
    transport.settle();
    gone.reset();
    transport.settle();
    EXPECT_TRUE(gone.handled) << cut;
    EXPECT_FALSE(gone.failure) << cut;
    EXPECT_EQ(gone.received, std::string("abcd").substr(0, cut));
    EXPECT_FALSE(stays.handled) << cut;
    stays.end_body();
    stays.grant(4);
    transport.settle();
    EXPECT_TRUE(stays.finished) << cut;
    EXPECT_EQ(stays.received, "efgh") << cut;
  }
}

TEST(HandlerContract, ABodyOverTheLimitIsRefusedBeforeItIsAskedFor) {
  FunctionHandler handler(echo);
  MemoryTransport transport(handler);
  MemoryStream& stream = transport.open("POST", "/");
  stream.announce(5u << 20);
  transport.begin(stream);
  transport.settle();
  EXPECT_EQ(stream.status, 413);
  EXPECT_FALSE(stream.body_asked);
}

}  // namespace
}  // namespace millrace::net
