// A whole connection that speaks HTTP/2: it never hangs, and what it answers are frames that a client can take. The
// input is the handler, a byte of flags, a count of sizes, the sizes of the pieces, and what follows the client's
// preface; empty settings come between unless a flag says no.
#include <nghttp2/nghttp2.h>

#include <map>

#include "fuzz/connection.hpp"

namespace millrace::fuzz {
namespace {

constexpr std::size_t kHeadBytesMax = 1024, kFrameHead = 9, kFrameMax = 16'384;

struct Frame {
  unsigned type, flags;
  std::uint32_t stream;
  std::string_view payload;
};

/// Takes one frame off `text`; false where it is not whole.
bool take_frame(std::string_view& text, Frame& frame) {
  const auto number = [&](std::size_t at, std::size_t bytes) {
    std::uint32_t value = 0;
    for (const char c : text.substr(at, bytes)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  };
  if (text.size() < kFrameHead || text.size() < kFrameHead + number(0, 3)) return false;
  frame = {number(3, 1), number(4, 1), number(5, 4), text.substr(kFrameHead, number(0, 3))};
  text.remove_prefix(kFrameHead + frame.payload.size());
  return true;
}

struct Inflater {
  Inflater() { require(nghttp2_hd_inflate_new(&inflater) == 0, "memory can be had"); }
  ~Inflater() { nghttp2_hd_inflate_del(inflater); }
  nghttp2_hd_inflater* inflater = nullptr;
};

/// The status that a block of fields names.
int take_fields(Inflater& with, std::string_view block) {
  int status = 0;
  const auto* at = reinterpret_cast<const std::uint8_t*>(block.data());
  std::size_t left = block.size();
  for (;;) {
    nghttp2_nv field;
    int flags = 0;
    const ssize_t used = nghttp2_hd_inflate_hd2(with.inflater, &field, &flags, at, left, 1);
    require(used >= 0, "fields are compressed well");
    at += used;
    left -= static_cast<std::size_t>(used);
    if ((flags & NGHTTP2_HD_INFLATE_EMIT) != 0) {
      const std::string_view name(reinterpret_cast<const char*>(field.name), field.namelen);
      const std::string_view value(reinterpret_cast<const char*>(field.value), field.valuelen);
      for (const char c : name) require(c < 'A' || c > 'Z', "names are in small letters");
      require(value.find_first_of("\r\n") == std::string_view::npos, "a value is one line");
      if (name == ":status") status = std::atoi(std::string(value).c_str());
    }
    if ((flags & NGHTTP2_HD_INFLATE_FINAL) != 0) break;
    require((flags & NGHTTP2_HD_INFLATE_EMIT) != 0 || left > 0, "a block of fields ends");
  }
  nghttp2_hd_inflate_end_headers(with.inflater);
  return status;
}

void check(Answers::Way way, unsigned flags, Pieces pieces, std::string_view frames) {
  Answers answers(way);
  std::string bytes(net::kHttp2Preface);
  if ((flags & 2) == 0) bytes.append(std::string_view("\0\0\0\4\0\0\0\0\0", kFrameHead));
  bytes.append(frames);
  const std::string received = converse(answers, kHeadBytesMax, flags, pieces, bytes);

  std::size_t heads = 0;
  Frame frame;
  for (std::string_view text = frames; take_frame(text, frame);)
    if (frame.type == NGHTTP2_HEADERS) ++heads;
  require(answers.asked.size() <= heads, "no request is made up");
  for (const Answers::Asked& asked : answers.asked) {
    require(asked.path.starts_with('/'), "a path begins with a slash");
    require(asked.path.find('?') == std::string::npos, "and ends before the query");
    std::size_t hosts = 0;
    for (const auto& [name, value] : asked.headers) {
      require(!name.empty() && !name.starts_with(':'), "a handler sees plain fields only");
      hosts += name == "host" ? 1 : 0;
    }
    require(hosts == 1, "there is one host");
  }

  enum class State { none, head, ended };
  std::map<std::uint32_t, State> streams;
  Inflater inflater;
  bool first = true;
  std::int64_t sent = 0, window = NGHTTP2_INITIAL_CONNECTION_WINDOW_SIZE;
  for (std::string_view text = frames; take_frame(text, frame);)
    if (frame.type == NGHTTP2_WINDOW_UPDATE && frame.stream == 0 && frame.payload.size() == 4)
      for (std::size_t i = 0, add = 0; i < 4; ++i) {
        add = add << 8 | static_cast<unsigned char>(frame.payload[i]);
        if (i == 3) window += static_cast<std::int64_t>(add & 0x7fffffff);
      }
  std::string_view text = received;
  while (take_frame(text, frame)) {
    require(frame.payload.size() <= kFrameMax, "a frame is no larger than every client takes");
    if (std::exchange(first, false)) require(frame.type == NGHTTP2_SETTINGS && frame.flags == 0, "settings come first");
    State& state = streams[frame.stream];
    switch (frame.type) {
      case NGHTTP2_HEADERS: {
        require(frame.stream % 2 == 1 && state == State::none, "there is one reply to a request");
        require((frame.flags & NGHTTP2_FLAG_END_HEADERS) != 0, "a small head is one frame");
        const int status = take_fields(inflater, frame.payload);
        require(status >= 100 && status < 600, "a reply has a status");
        if (status >= 200) state = State::head;
        break;
      }
      case NGHTTP2_DATA:
        require(state == State::head, "bytes of a reply follow its head");
        sent += static_cast<std::int64_t>(frame.payload.size());
        require(sent <= window, "no more is sent than the connection's window allows");
        break;
      case NGHTTP2_RST_STREAM:
        require(frame.stream > 0 && frame.payload.size() == 4, "a reset names a stream and an error");
        break;
      case NGHTTP2_GOAWAY:
        require(frame.stream == 0 && frame.payload.size() >= 8, "a farewell is the connection's");
        break;
      case NGHTTP2_SETTINGS:
      case NGHTTP2_PING:
      case NGHTTP2_WINDOW_UPDATE:
        break;
      default:
        require(false, "a server sends no other frames");
    }
    if ((frame.type == NGHTTP2_HEADERS || frame.type == NGHTTP2_DATA) && (frame.flags & NGHTTP2_FLAG_END_STREAM) != 0)
      state = State::ended;
  }
  require(text.empty(), "what is sent ends with a frame");
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return millrace::fuzz::check_connection(data, size, millrace::fuzz::check);
}
