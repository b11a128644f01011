#include "net/reply_head.hpp"

#include <charconv>
#include <cstring>

namespace millrace::net {

namespace {

char* put(char* out, std::string_view text) noexcept {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* put_value(char* out, std::string_view text) noexcept {
  for (const char c : text) *out++ = static_cast<unsigned char>(c) < ' ' && c != '\t' ? ' ' : c;
  return out;
}

char* put_number(char* out, std::uint64_t number) noexcept { return std::to_chars(out, out + 20, number).ptr; }

}  // namespace

bool transports_own(std::string_view name) noexcept {
  switch (name.size()) {
    case 4:
      return http::same_token(name, "date");
    case 10:
      return http::same_token(name, "connection");
    case 14:
      return http::same_token(name, "content-length");
    case 17:
      return http::same_token(name, "transfer-encoding");
    default:
      return false;
  }
}

void render_head(const http::ResponseHead& head, const HeadFrame& frame, Buffer& out) {
  constexpr std::size_t kOwnBytes = 256;  // status line and the transport's own fields
  const std::string_view reason = http::reason_phrase(head.status);
  std::size_t bytes = kOwnBytes + reason.size();
  for (const http::Header& field : head.headers) bytes += field.name.size() + field.value.size() + 4;
  char* const begin = out.prepare(bytes);
  char* at = put(begin, "HTTP/1.1 ");
  at = put_number(at, static_cast<std::uint64_t>(head.status));
  *at++ = ' ';
  at = put(at, reason);
  at = put(at, "\r\n");
  for (const http::Header& field : head.headers) {
    if (transports_own(field.name)) continue;
    at = put_value(at, field.name);
    at = put(at, ": ");
    at = put_value(at, field.value);
    at = put(at, "\r\n");
  }
  at = put(at, "Date: ");
  at = put(at, frame.date);
  if (frame.length) {
    at = put(at, "\r\nContent-Length: ");
    at = put_number(at, *frame.length);
  } else if (frame.chunked) {
    at = put(at, "\r\nTransfer-Encoding: chunked");
  }
  if (!frame.keep_alive)
    at = put(at, "\r\nConnection: close");
  else if (!frame.http11)
    at = put(at, "\r\nConnection: keep-alive");
  at = put(at, "\r\n\r\n");
  out.commit(static_cast<std::size_t>(at - begin));
}

}  // namespace millrace::net
