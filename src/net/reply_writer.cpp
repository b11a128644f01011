#include <array>
#include <charconv>
#include <stdexcept>

#include "net/connection.hpp"
#include "net/reply_head.hpp"

namespace millrace::net {

namespace {

http::Error peer_gone() { return {http::Errc::peer_gone, {}}; }

iovec part(std::string_view bytes) noexcept { return {const_cast<char*>(bytes.data()), bytes.size()}; }

}  // namespace

void ReplyWriter::begin(bool head_only, bool http11, bool may_keep_alive) noexcept {
  head_only_ = head_only;
  http11_ = http11;
  may_keep_alive_ = may_keep_alive;
  started_ = finished_ = keep_alive_ = chunked_ = no_body_ = false;
  left_.reset();
  connection_.reply_sent_ = 0;
  connection_.reply_waited_ = {};
}

void ReplyWriter::render(const http::ResponseHead& head, std::optional<std::uint64_t> length, bool keep_alive,
                         Buffer& out) {
  if (started_) throw std::logic_error("a second reply to one request");
  started_ = true;
  keep_alive_ = keep_alive && may_keep_alive_ && !connection_.core_->stopping();
  HeadFrame frame;
  frame.http11 = http11_;
  frame.keep_alive = keep_alive_;
  frame.chunked = chunked_;
  frame.length = length;
  frame.date = connection_.core_->date();
  out.clear();
  render_head(head, frame, out);
}

awaitable<http::Result<>> ReplyWriter::send(const http::ResponseHead& head, std::span<const Slice> body) {
  std::uint64_t size = 0;
  for (const Slice& slice : body) size += slice.bytes.size();
  no_body_ = head_only_ || bodiless(head.status);
  Buffer& rendered = connection_.core_->head_buffer();
  render(head, bodiless(head.status) ? std::nullopt : std::optional(size), connection_.body_.worth_draining(),
         rendered);
  if (connection_.gone_) co_return peer_gone();

  constexpr std::size_t kPartsMax = 16;
  std::array<iovec, kPartsMax> parts;
  parts[0] = part(rendered.view());
  std::size_t count = 1, total = rendered.size();
  std::size_t taken = 0;
  if (!no_body_) {
    for (; taken < body.size() && count < kPartsMax; ++taken) {
      total += body[taken].bytes.size();
      parts[count++] = part(body[taken].bytes);
    }
  }
  const std::size_t written = connection_.write_now(std::span(parts).first(count));
  if (connection_.gone_) co_return peer_gone();
  if (written < total || (!no_body_ && taken < body.size())) {
    std::vector<iovec> all(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(count));
    if (!no_body_)
      for (; taken < body.size(); ++taken) all.push_back(part(body[taken].bytes));
    if (const auto sent = co_await connection_.write_rest(std::move(all), written, rendered.size()); !sent)
      co_return sent.error();
  }
  finished_ = true;
  co_return http::Result<>{};
}

awaitable<http::Result<>> ReplyWriter::start(const http::ResponseHead& head, std::optional<std::uint64_t> length) {
  no_body_ = head_only_ || bodiless(head.status);
  chunked_ = !length && http11_ && !bodiless(head.status);
  if (!length && !http11_) may_keep_alive_ = false;  // the end of the connection is the end of the reply
  left_ = length;
  Buffer& rendered = connection_.core_->head_buffer();
  render(head, bodiless(head.status) ? std::nullopt : length, !connection_.body_.continue_pending(),
         rendered);  // the handler may still read the body
  if (connection_.gone_) co_return peer_gone();
  const iovec head_part = part(rendered.view());
  const std::size_t written = connection_.write_now(std::span(&head_part, 1));
  if (connection_.gone_) co_return peer_gone();
  if (written < rendered.size()) {
    std::vector<iovec> parts(1, head_part);
    if (const auto sent = co_await connection_.write_rest(std::move(parts), written, rendered.size()); !sent)
      co_return sent.error();
  }
  connection_.watch_peer();
  co_return http::Result<>{};
}

awaitable<http::Result<>> ReplyWriter::write(Slice piece) {
  if (!streaming()) throw std::logic_error("a piece of a reply that is not under way");
  if (connection_.gone_) co_return peer_gone();
  if (left_) {
    if (piece.bytes.size() > *left_) throw std::logic_error("a reply longer than announced");
    *left_ -= piece.bytes.size();
  }
  if (no_body_ || piece.bytes.empty()) co_return http::Result<>{};
  std::array<char, 20> size_line;
  std::array<iovec, 3> parts;
  std::size_t count = 0, total = piece.bytes.size();
  if (chunked_) {
    char* end = std::to_chars(size_line.data(), size_line.data() + size_line.size() - 2, piece.bytes.size(), 16).ptr;
    *end++ = '\r';
    *end++ = '\n';
    parts[count++] = part({size_line.data(), static_cast<std::size_t>(end - size_line.data())});
    total += parts[0].iov_len + 2;
  }
  parts[count++] = part(piece.bytes);
  if (chunked_) parts[count++] = part("\r\n");
  const std::size_t written = connection_.write_now(std::span(parts).first(count));
  if (connection_.gone_) co_return peer_gone();
  if (written == total) co_return http::Result<>{};
  std::vector<iovec> all(parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(count));
  co_return co_await connection_.write_rest(std::move(all), written, 0);
}

awaitable<http::Result<>> ReplyWriter::finish() {
  if (!streaming()) throw std::logic_error("the end of a reply that is not under way");
  if (connection_.gone_) co_return peer_gone();
  if (left_ && *left_ > 0 && !no_body_) throw std::logic_error("a reply shorter than announced");
  if (chunked_ && !no_body_) {
    const iovec last = part("0\r\n\r\n");
    const std::size_t written = connection_.write_now(std::span(&last, 1));
    if (connection_.gone_) co_return peer_gone();
    if (written < last.iov_len) {
      std::vector<iovec> parts(1, last);
      if (const auto sent = co_await connection_.write_rest(std::move(parts), written, 0); !sent)
        co_return sent.error();
    }
  }
  finished_ = true;
  co_return http::Result<>{};
}

void ReplyWriter::abort() noexcept {
  keep_alive_ = false;
  connection_.gone_ = true;
  connection_.transport_.reset();
}

}  // namespace millrace::net
