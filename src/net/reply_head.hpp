#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "millrace/base/buffer.hpp"
#include "millrace/base/http.hpp"

namespace millrace::net {

/// What the transport adds to a reply's head.
struct HeadFrame {
  bool http11 = true;
  bool keep_alive = true;
  bool chunked = false;
  std::optional<std::uint64_t> length;  ///< nothing: no Content-Length
  std::string_view date;
};

/// Whether a reply with this status never has a body.
constexpr bool bodiless(int status) noexcept { return status < 200 || status == 204 || status == 304; }

/// Whether a field of a reply is the transport's to write: length, date, connection, framing.
bool transports_own(std::string_view name) noexcept;

/// Appends an HTTP/1.1 head. Fields that are the transport's own are left out of `head`; a line break inside a value,
/// which would split the reply, becomes a blank.
void render_head(const http::ResponseHead& head, const HeadFrame& frame, Buffer& out);

}  // namespace millrace::net
