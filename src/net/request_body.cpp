#include <algorithm>
#include <cstring>

#include "net/connection.hpp"

namespace millrace::net {

namespace {

/// How much of a body nobody asked for is read to keep the connection.
constexpr std::uint64_t kDrainBytesMax = 256 * 1024;

http::Error error(http::Errc code) { return {code, {}}; }

}  // namespace

void RequestBody::begin(RequestParser& parser) {
  parser_ = &parser;
  chunked_ = parser.chunked();
  announced_ = left_ = parser.content_length().value_or(0);
  complete_ = parser.is_done();
  broken_ = false;
  expects_continue_ = !complete_ && parser.expects_continue();
  room_ = connection_.input_.begin;
  collected_ = {};
}

std::optional<std::uint64_t> RequestBody::length() const noexcept {
  if (chunked_) return std::nullopt;
  return announced_;
}

bool RequestBody::continue_pending() const noexcept { return expects_continue_ && connection_.input_.unread().empty(); }

bool RequestBody::worth_draining() const noexcept {
  return !broken_ && !continue_pending() && (complete_ || chunked_ || left_ <= kDrainBytesMax);
}

void RequestBody::used(std::size_t bytes) noexcept {
  connection_.input_.begin += bytes;
  left_ -= bytes;
  if (left_ == 0) complete_ = true;
}

awaitable<http::Result<std::string_view>> RequestBody::collect(std::size_t bytes_max) {
  if (complete_) co_return collected_;
  if (broken_) co_return error(http::Errc::malformed);
  if (!chunked_ && left_ > bytes_max) co_return error(http::Errc::too_large);
  Input& input = connection_.input_;
  if (!chunked_ && input.unread().size() >= left_) {
    expects_continue_ = false;
    collected_ = input.unread().substr(0, left_);
    used(left_);
  } else {
    auto rest = chunked_ ? collect_chunks(bytes_max) : collect_rest();
    if (const auto collected = co_await std::move(rest); !collected) co_return collected.error();
  }
  if (connection_.writer_.streaming()) connection_.watch_peer();
  co_return collected_;
}

awaitable<http::Result<>> RequestBody::leave_to_send() {
  const bool asked = std::exchange(expects_continue_, false);
  // Who sends without waiting needs no leave, and after a reply's head it would be taken for another one.
  if (!asked || !connection_.input_.unread().empty() || connection_.writer_.started()) co_return http::Result<>{};
  static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
  const iovec part{const_cast<char*>(kContinue.data()), kContinue.size()};
  const std::size_t written = connection_.write_now(std::span(&part, 1));
  if (written == kContinue.size()) co_return http::Result<>{};
  std::vector<iovec> parts(1, part);
  co_return co_await connection_.write_rest(std::move(parts), written, 0);
}

awaitable<http::Result<>> RequestBody::collect_rest() {
  Input& input = connection_.input_;
  if (left_ <= input.block.capacity() - input.begin) {
    if (const auto allowed = co_await leave_to_send(); !allowed) co_return allowed.error();
    while (input.unread().size() < left_) {
      const auto got = co_await connection_.receive(input.free_begin(), input.free());
      if (!got) co_return got.error();
      input.end += *got;
    }
    collected_ = input.unread().substr(0, left_);
    used(left_);
    co_return http::Result<>{};
  }
  // Reserved before any of it is asked for or read.
  block_ = connection_.core_->bodies().take(left_);
  if (!block_) co_return error(http::Errc::no_memory);
  if (const auto allowed = co_await leave_to_send(); !allowed) co_return allowed.error();
  const std::size_t size = left_;
  std::size_t have = input.unread().size();
  std::memcpy(block_.data(), input.unread().data(), have);
  used(have);
  while (have < size) {
    const auto got = co_await connection_.receive(block_.data() + have, size - have);
    if (!got) co_return got.error();
    have += *got;
    left_ -= *got;
  }
  complete_ = true;
  collected_ = {block_.data(), size};
  co_return http::Result<>{};
}

awaitable<http::Result<>> RequestBody::collect_chunks(std::size_t bytes_max) {
  BlockPool& pool = connection_.core_->bodies();
  block_ = pool.take(std::min(bytes_max, Core::kReadBufferBytes));
  if (!block_) co_return error(http::Errc::no_memory);
  std::size_t have = 0;
  while (!complete_) {
    std::string_view piece;
    if (const auto next = co_await next_piece(piece); !next) co_return next.error();
    if (piece.size() > bytes_max - have) {
      broken_ = true;  // what was passed over is lost to any later reader
      co_return error(http::Errc::too_large);
    }
    if (piece.size() > block_.capacity() - have) {
      BlockPool::Lent larger = pool.take(std::min(bytes_max, std::max(have + piece.size(), 2 * block_.capacity())));
      if (!larger) {
        broken_ = true;
        co_return error(http::Errc::no_memory);
      }
      std::memcpy(larger.data(), block_.data(), have);
      block_ = std::move(larger);
    }
    have += piece.copy(block_.data() + have, piece.size());
  }
  collected_ = {block_.data(), have};
  co_return http::Result<>{};
}

awaitable<http::Result<std::string_view>> RequestBody::pull() {
  if (complete_) co_return std::string_view{};
  if (broken_) co_return error(http::Errc::malformed);
  std::string_view piece;
  while (piece.empty() && !complete_)
    if (const auto next = co_await next_piece(piece); !next) co_return next.error();
  if (complete_ && connection_.writer_.streaming()) connection_.watch_peer();
  co_return piece;
}

awaitable<http::Result<>> RequestBody::next_piece(std::string_view& piece) {
  Input& input = connection_.input_;
  for (;;) {
    if (chunked_) {
      std::size_t consumed = 0;
      const RequestParser::Step step = parser_->parse_chunks(input.unread(), consumed, piece);
      input.begin += consumed;
      if (step == RequestParser::Step::failed) {
        broken_ = true;
        co_return error(http::Errc::malformed);
      }
      complete_ = step == RequestParser::Step::done;
      if (complete_ || !piece.empty()) co_return http::Result<>{};
    } else if (!input.unread().empty()) {
      piece = input.unread().substr(0, left_);
      used(piece.size());
      co_return http::Result<>{};
    }
    if (const auto allowed = co_await leave_to_send(); !allowed) co_return allowed.error();
    // The piece before is no longer looked at: its room is free again.
    if (input.begin == input.end || input.free() == 0) input.move(input.begin, room_);
    if (input.free() == 0) {
      broken_ = true;  // a chunk's head, or trailers, without end
      co_return error(http::Errc::malformed);
    }
    const auto got = co_await connection_.receive(input.free_begin(), input.free());
    if (!got) co_return got.error();
    input.end += *got;
  }
}

awaitable<bool> RequestBody::drain() {
  std::uint64_t read = 0;
  while (!complete_) {
    const auto piece = co_await pull();
    if (!piece) co_return false;
    read += piece->size();
    if (read > kDrainBytesMax) co_return false;
  }
  co_return true;
}

}  // namespace millrace::net
