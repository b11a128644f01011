#include "net/http2_stream.hpp"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <array>
#include <boost/asio/as_tuple.hpp>
#include <charconv>
#include <cstring>
#include <deque>
#include <exception>
#include <stdexcept>

#include "net/connection.hpp"
#include "net/http2_callbacks.hpp"
#include "net/reply_head.hpp"

namespace millrace::net {

namespace {

/// Blocks up to this size come from the pool of small ones.
constexpr std::size_t kSmallBody = 16 * 1024;
/// What is kept of a body that nobody has asked for: a stream's window, as the protocol has it at first.
constexpr std::size_t kUnaskedMax = NGHTTP2_INITIAL_WINDOW_SIZE + 1;
/// A body that is collected may be sent so far ahead.
constexpr std::size_t kCollectWindow = 1u << 20;
/// What a reply, or a piece of one, gives its peer to spend on frames that bring nothing: two updates of windows.
constexpr std::uint64_t kEarnedBySending = 2;

http::Error error(http::Errc code) { return {code, {}}; }

nghttp2_nv field(std::string_view name, std::string_view value) noexcept {
  const auto bytes = [](std::string_view text) {
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
  };
  return {bytes(name), bytes(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

/// Fields that would speak about an HTTP/1.1 connection.
bool of_connection(std::string_view name) noexcept {
  return http::same_token(name, "keep-alive") || http::same_token(name, "upgrade") ||
         http::same_token(name, "proxy-connection") || http::same_token(name, "te");
}

bool is_token(std::string_view name) noexcept {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u > ' ' && u < 0x7f && std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
  });
}

std::string_view trimmed(std::string_view text) noexcept {
  const auto blank = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

bool has_controls(std::string_view text) noexcept {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return (u < ' ' && c != '\t') || u == 0x7f;
  });
}

}  // namespace

awaitable<void> Http2Stream::changed() {
  if (!changed_) changed_.emplace(session_.core_.executor(), SteadyTime::max());
  co_await changed_->async_wait(boost::asio::as_tuple(use_awaitable));
}

void Http2Stream::reset(std::uint32_t code) noexcept {
  if (closed_) return;
  if (!session_.broken_) nghttp2_submit_rst_stream(session_.session_, NGHTTP2_FLAG_NONE, id_, code);
  session_.schedule_flush();
}

// ---- the body

bool Http2Stream::make_room(std::size_t bytes) {
  if (bytes <= body_.capacity()) return true;
  std::size_t wanted = std::max(bytes, 2 * body_.capacity());
  if (announced_)
    wanted = std::max<std::uint64_t>(bytes, std::min<std::uint64_t>(*announced_ - body_taken_, kUnaskedMax));
  else if (collecting_)
    wanted = std::max(bytes, std::min(wanted, collect_max_));
  BlockPool& pool = wanted <= kSmallBody ? session_.core_.small_bodies() : session_.core_.bodies();
  BlockPool::Lent larger = pool.take(wanted);
  if (!larger) return false;
  if (have_ > 0) std::memcpy(larger.data(), body_.data(), have_);
  body_ = std::move(larger);
  return true;
}

void Http2Stream::fail_body(http::Errc code) {
  body_failed_ = code;
  body_.give_back();
  have_ = 0;
  wake();
}

/// A piece of the body, from nghttp2.
void Http2Stream::received(std::string_view bytes) {
  expects_continue_ = false;  // who sends without waiting needs no leave
  if (draining_) {
    dropped_ += bytes.size();
    if (dropped_ <= kDrainBytesMax)
      nghttp2_session_consume_stream(session_.session_, id_, bytes.size());
    else
      reset(NGHTTP2_NO_ERROR);
    return;
  }
  unconsumed_ += bytes.size();
  if (gone_ || handled_ || body_failed_) return;
  if (collecting_ && bytes.size() > collect_max_ - have_) return fail_body(http::Errc::too_large);
  if (!make_room(have_ + bytes.size())) return fail_body(http::Errc::no_memory);
  std::memcpy(body_.data() + have_, bytes.data(), bytes.size());
  have_ += bytes.size();
  if (collecting_) consume(0);
  if (!collecting_ && waits_for_body_) wake();
}

void Http2Stream::body_ends() {
  body_ended_ = true;
  expects_continue_ = false;
  if (waits_for_body_) wake();
}

/// What has come and was taken opens the stream's window again.
void Http2Stream::consume(std::size_t bytes) {
  unconsumed_ += bytes;
  if (unconsumed_ == 0 || body_ended_ || closed_) return;
  nghttp2_session_consume_stream(session_.session_, id_, std::exchange(unconsumed_, 0));
}

void Http2Stream::leave_to_send() {
  if (!std::exchange(expects_continue_, false) || started_ || closed_) return;
  const nghttp2_nv status = field(":status", "100");
  nghttp2_submit_headers(session_.session_, NGHTTP2_FLAG_NONE, id_, nullptr, &status, 1, nullptr);
}

awaitable<http::Result<std::string_view>> Http2Stream::collect(std::size_t bytes_max) {
  if (collected_whole_) co_return collected_;
  if (body_failed_) co_return error(*body_failed_);
  if ((announced_ && *announced_ - body_taken_ > bytes_max) || have_ > bytes_max)
    co_return error(http::Errc::too_large);
  if (!body_ended_) {
    if (gone_) co_return error(http::Errc::peer_gone);
    // Reserved before any of it is asked for.
    if (announced_) {
      const std::size_t rest = *announced_ - body_taken_;
      if (!make_room(rest)) {
        fail_body(http::Errc::no_memory);
        co_return error(http::Errc::no_memory);
      }
      if (rest > NGHTTP2_INITIAL_WINDOW_SIZE && session_.alive(*this))
        nghttp2_session_set_local_window_size(session_.session_, NGHTTP2_FLAG_NONE, id_,
                                              static_cast<std::int32_t>(std::min(rest, kCollectWindow)));
    }
    collect_max_ = bytes_max;
    collecting_ = true;
    if (session_.alive(*this)) {
      leave_to_send();
      consume(0);
      session_.schedule_flush();
    }
    body_since_ = session_.core_.now();
    waits_for_body_ = true;
    while (!body_ended_ && !gone_ && !body_failed_) co_await changed();
    waits_for_body_ = collecting_ = false;
    if (body_failed_) co_return error(*body_failed_);
    if (!body_ended_) co_return error(http::Errc::peer_gone);
  }
  collected_whole_ = true;
  collected_ = {body_.data(), have_};
  if (have_ == 0) collected_ = {};
  co_return collected_;
}

awaitable<http::Result<std::string_view>> Http2Stream::pull() {
  if (collected_whole_) co_return std::string_view{};
  if (body_failed_) co_return error(http::Errc::malformed);
  if (have_ == 0 && !body_ended_) {
    if (session_.alive(*this)) {
      leave_to_send();
      session_.schedule_flush();
    }
    body_since_ = session_.core_.now();
    waits_for_body_ = true;
    while (have_ == 0 && !body_ended_ && !gone_ && !body_failed_) co_await changed();
    waits_for_body_ = false;
  }
  if (body_failed_) co_return error(*body_failed_);
  if (have_ == 0 && body_ended_) co_return std::string_view{};
  if (gone_) co_return error(http::Errc::peer_gone);
  held_ = std::move(body_);
  const std::string_view piece{held_.data(), std::exchange(have_, 0)};
  body_taken_ += piece.size();
  if (session_.alive(*this)) {
    consume(0);
    session_.schedule_flush();
  }
  co_return piece;
}

// ---- the reply

/// False when nobody is there any more to hear it.
bool Http2Stream::submit(const http::ResponseHead& head, std::optional<std::uint64_t> length, bool body) {
  if (started_) throw std::logic_error("a second reply to one request");
  started_ = true;
  if (gone_ || !session_.alive(*this)) return false;
  std::array<char, 20> status, digits;
  const auto number = [](std::array<char, 20>& out, std::uint64_t value) {
    char* const end = std::to_chars(out.data(), out.data() + out.size(), value).ptr;
    return std::string_view(out.data(), static_cast<std::size_t>(end - out.data()));
  };
  std::deque<std::string> cleaned;  // a deque: views into it stay valid
  std::vector<nghttp2_nv> fields;
  fields.reserve(head.headers.size() + 3);
  fields.push_back(field(":status", number(status, static_cast<std::uint64_t>(head.status))));
  for (const http::Header& one : head.headers) {
    if (transports_own(one.name) || of_connection(one.name) || !is_token(one.name)) continue;
    std::string_view value = trimmed(one.value);
    if (has_controls(value)) {
      std::string& clean = cleaned.emplace_back(value);
      for (char& c : clean)
        if (has_controls({&c, 1})) c = ' ';
      value = clean;
    }
    fields.push_back(field(one.name, value));  // nghttp2 writes names in small letters
  }
  fields.push_back(field("date", session_.core_.date()));
  if (length) fields.push_back(field("content-length", number(digits, *length)));
  nghttp2_data_provider provider{};
  provider.read_callback = Http2Callbacks::read_data;
  if (nghttp2_submit_response(session_.session_, id_, fields.data(), fields.size(), body ? &provider : nullptr) != 0) {
    reset(NGHTTP2_INTERNAL_ERROR);
    gone_ = true;
    return false;
  }
  submitted_ = true;
  end_sent_ = !body;
  session_.meter_.earn(kEarnedBySending);
  return true;
}

/// The next bytes of the reply, copied out. nghttp2 has asked how many there are before.
std::size_t Http2Stream::take_pending(char* out, std::size_t bytes) noexcept {
  std::size_t taken = 0;
  while (taken < bytes && part_at_ < parts_.size()) {
    const std::string_view rest = parts_[part_at_].bytes.substr(part_offset_);
    const std::size_t size = rest.copy(out + taken, bytes - taken);
    taken += size;
    part_offset_ += size;
    if (size == rest.size()) {
      ++part_at_;
      part_offset_ = 0;
    }
  }
  pending_ -= taken;
  patience_.sent(taken);
  session_.meter_.earn(kEarnedBySending);
  if (pending_ == 0) {
    patience_.stop();
    wake();
  }
  return taken;
}

awaitable<bool> Http2Stream::pass(std::span<const Slice> parts, std::uint64_t bytes) {
  /// Whatever ends the caller, its bytes are not looked at any more.
  struct Passed {
    explicit Passed(Http2Stream& s) noexcept : stream(s) {}
    ~Passed() {
      stream.parts_ = {};
      const bool cut = std::exchange(stream.pending_, 0) > 0 && !stream.gone_;
      if (cut && std::uncaught_exceptions() > thrown) stream.abort();
    }
    Http2Stream& stream;
    const int thrown = std::uncaught_exceptions();
  } passed(*this);
  parts_ = parts;
  part_at_ = part_offset_ = 0;
  pending_ = bytes;
  if (session_.alive(*this)) {
    nghttp2_session_resume_data(session_.session_, id_);
    session_.pump();
    session_.schedule_flush();
  } else {
    gone_ = true;
  }
  while (pending_ > 0 && !gone_) co_await changed();
  co_return pending_ == 0;
}

awaitable<http::Result<>> Http2Stream::send(const http::ResponseHead& head, std::span<const Slice> body) {
  std::uint64_t size = 0;
  for (const Slice& slice : body) size += slice.bytes.size();
  const bool bare = bodiless(head.status);
  no_body_ = request_.method == "HEAD" || bare || size == 0;
  if (!submit(head, bare ? std::nullopt : std::optional(size), !no_body_)) co_return error(http::Errc::peer_gone);
  ends_ = true;
  if (no_body_) {
    session_.schedule_flush();
  } else {
    const bool sent = co_await pass(body, size);
    if (!sent) co_return error(http::Errc::peer_gone);
  }
  finished_ = true;
  co_return http::Result<>{};
}

awaitable<http::Result<>> Http2Stream::start(const http::ResponseHead& head, std::optional<std::uint64_t> length) {
  const bool bare = bodiless(head.status);
  no_body_ = request_.method == "HEAD" || bare;
  left_ = length;
  if (!submit(head, bare ? std::nullopt : length, !no_body_)) co_return error(http::Errc::peer_gone);
  session_.schedule_flush();
  co_return http::Result<>{};
}

awaitable<http::Result<>> Http2Stream::write(Slice piece) {
  if (!streaming()) throw std::logic_error("a piece of a reply that is not under way");
  if (gone_) co_return error(http::Errc::peer_gone);
  if (left_) {
    if (piece.bytes.size() > *left_) throw std::logic_error("a reply longer than announced");
    *left_ -= piece.bytes.size();
  }
  if (no_body_ || piece.bytes.empty()) co_return http::Result<>{};
  if (left_ && *left_ == 0) ends_ = true;  // the end goes with the last bytes
  const bool sent = co_await pass(std::span(&piece, 1), piece.bytes.size());
  if (!sent) co_return error(http::Errc::peer_gone);
  co_return http::Result<>{};
}

awaitable<http::Result<>> Http2Stream::finish() {
  if (!streaming()) throw std::logic_error("the end of a reply that is not under way");
  if (gone_) co_return error(http::Errc::peer_gone);
  if (left_ && *left_ > 0 && !no_body_) throw std::logic_error("a reply shorter than announced");
  if (!no_body_ && !ends_) {
    ends_ = true;
    if (session_.alive(*this)) nghttp2_session_resume_data(session_.session_, id_);
    session_.schedule_flush();
  }
  finished_ = true;
  co_return http::Result<>{};
}

void Http2Stream::abort() noexcept {
  if (gone_) return;
  reset(NGHTTP2_INTERNAL_ERROR);
  gone_ = true;
}

/// An answer whose text is static, and which nobody waits for.
void Http2Stream::reply_now(const http::Handler::Rejection& rejection) {
  const http::ResponseHead head{rejection.status, rejection.headers};
  no_body_ = request_.method == "HEAD" || bodiless(head.status) || rejection.body.empty();
  own_part_ = {rejection.body, {}};
  if (!no_body_) {
    parts_ = {&own_part_, 1};
    pending_ = rejection.body.size();
  }
  ends_ = finished_ = true;
  submit(head, rejection.body.size(), !no_body_);
  session_.schedule_flush();
}

}  // namespace millrace::net
