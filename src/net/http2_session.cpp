#include "net/http2_session.hpp"

#include <algorithm>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstring>

#include "millrace/base/log.hpp"
#include "net/connection.hpp"
#include "net/http2_callbacks.hpp"
#include "net/http2_stream.hpp"
#include "net/request_target.hpp"

namespace millrace::net {

namespace {

constexpr SteadyTime kNever = SteadyTime::max();
/// What nghttp2 holds for a connection: tables of both directions, a frame, the streams' states.
constexpr std::size_t kSessionBytes = 32 * 1024;
/// Streams whose peer has reset them but whose handlers are still on their way out count too.
constexpr std::size_t kHandlersMax = 2 * Http2Session::kStreamsMax;
/// All streams' bytes together; each stream's own window is what bounds memory.
constexpr std::int32_t kConnectionWindow = 1 << 20;
/// The largest piece that nghttp2 hands out: a frame of the least size that every peer takes.
constexpr std::size_t kFrameRoom = 16 * 1024 + 64;
/// With so many frames waiting for a peer that does not read, no more of its own are read.
constexpr std::size_t kFramesWaitingMax = 200;
constexpr int kReadsAtStop = 64;
constexpr std::chrono::milliseconds kFarewellTime = std::chrono::seconds{5};
/// A head may be so much over its limit and still be answered.
constexpr std::size_t kHeadOver = 8;
constexpr std::size_t kFieldsMax = RequestParser::kFieldsMax;
constexpr std::size_t kHeadTextKept = 4096;

Http2Session& session_of(void* user) noexcept { return *static_cast<Http2Session*>(user); }

Http2Stream* stream_of(nghttp2_session* session, std::int32_t id) noexcept {
  return static_cast<Http2Stream*>(nghttp2_session_get_stream_user_data(session, id));
}

std::string_view text(const std::uint8_t* data, std::size_t size) noexcept {
  return {reinterpret_cast<const char*>(data), size};
}

bool is_request(const nghttp2_frame& frame) noexcept {
  return frame.hd.type == NGHTTP2_HEADERS && frame.headers.cat == NGHTTP2_HCAT_REQUEST;
}

}  // namespace

bool Patience::wait(SteadyTime now, SteadyTime::duration elapsed, const ListenerOptions& options) noexcept {
  if (sent_ != std::exchange(seen_, sent_)) since_.reset();
  if (!since_) since_ = now - elapsed;
  waited_ += elapsed;
  const std::chrono::milliseconds earned(sent_ * 1000 / options.write_rate_min);
  return now - *since_ <= options.write_timeout && waited_ <= options.write_timeout + earned;
}

// ---- nghttp2's callbacks

int Http2Callbacks::begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
  if (head->type == NGHTTP2_DATA && (head->length > 0 || (head->flags & NGHTTP2_FLAG_END_STREAM) != 0))
    session_of(user).meter_.taken();
  return 0;
}

int Http2Callbacks::begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  Http2Session& session = session_of(user);
  session.meter_.taken();
  if (!is_request(*frame)) return 0;
  session.head_text_.clear();
  session.head_fields_.clear();
  session.head_too_large_ = false;
  session.open_stream(frame->hd.stream_id);
  return 0;
}

int Http2Callbacks::header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                           std::size_t name_size, const std::uint8_t* value, std::size_t value_size, std::uint8_t,
                           void* user) {
  Http2Session& session = session_of(user);
  if (!is_request(*frame)) return 0;   // trailers are not part of what a handler sees
  constexpr std::size_t kBetween = 4;  // as HTTP/1.1 would write it
  const std::size_t limit = session.options_.head_bytes_max;
  const std::size_t size = session.head_text_.size() + session.head_fields_.size() * kBetween;
  if (session.head_too_large_) {
    // Nothing of it is kept; but who refers to one long field over and over shall not be listened to for ever.
    session.head_excess_ += name_size + value_size;
    if (session.head_excess_ > kHeadOver * limit) session.calm_ = true;
    return session.calm_ ? NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE : 0;
  }
  if (size + name_size + value_size + kBetween > limit || session.head_fields_.size() == kFieldsMax) {
    session.head_too_large_ = true;
    session.head_excess_ = 0;
    return 0;
  }
  const auto at = static_cast<std::uint32_t>(session.head_text_.size());
  session.head_text_.append(text(name, name_size)).append(text(value, value_size));
  session.head_fields_.push_back(
      {at, at + static_cast<std::uint32_t>(name_size), static_cast<std::uint32_t>(session.head_text_.size())});
  return 0;
}

int Http2Callbacks::frame_received(nghttp2_session* nghttp2, const nghttp2_frame* frame, void* user) {
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  Http2Stream* const stream = stream_of(nghttp2, frame->hd.stream_id);
  if (!stream) return 0;
  const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (is_request(*frame)) {
    session_of(user).head_complete(*stream, ends);
  } else if (ends) {
    stream->body_ends();
  }
  return 0;
}

int Http2Callbacks::invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* user) {
  // Each is answered with a reset at least.
  session_of(user).reject();
  return 0;
}

int Http2Callbacks::data_chunk(nghttp2_session* nghttp2, std::uint8_t, std::int32_t id, const std::uint8_t* data,
                               std::size_t size, void*) {
  // Streams' windows alone say how much may come: one that is full holds nobody else up.
  nghttp2_session_consume_connection(nghttp2, size);
  if (Http2Stream* const stream = stream_of(nghttp2, id)) stream->received(text(data, size));
  return 0;
}

int Http2Callbacks::stream_closed(nghttp2_session* nghttp2, std::int32_t id, std::uint32_t, void* user) {
  Http2Stream* const stream = stream_of(nghttp2, id);
  if (!stream) return 0;
  stream->closed_ = true;
  if (!stream->end_sent_ || !stream->body_ended_) stream->gone_ = true;
  stream->wake();
  session_of(user).note(*stream);
  return 0;
}

ssize_t Http2Callbacks::read_data(nghttp2_session* nghttp2, std::int32_t id, std::uint8_t*, std::size_t size,
                                  std::uint32_t* flags, nghttp2_data_source*, void*) {
  const Http2Stream* const found = stream_of(nghttp2, id);
  if (!found) return NGHTTP2_ERR_DEFERRED;
  const Http2Stream& stream = *found;
  const std::size_t taken = std::min<std::uint64_t>(size, stream.pending_);
  if (stream.gone_ || (taken == 0 && !stream.ends_)) return NGHTTP2_ERR_DEFERRED;
  *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (stream.ends_ && taken == stream.pending_) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(taken);
}

int Http2Callbacks::send_data(nghttp2_session* nghttp2, nghttp2_frame* frame, const std::uint8_t* head,
                              std::size_t size, nghttp2_data_source*, void* user) {
  Http2Session& session = session_of(user);
  Http2Stream* const found = stream_of(nghttp2, frame->hd.stream_id);
  // Its handler may have ended since nghttp2 asked how much there is.
  if (!found || found->pending_ < size) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  Http2Stream& stream = *found;
  constexpr std::size_t kHead = 9;
  // Behind it there must still be room for whatever nghttp2 hands out next.
  if (session.room() < kHead + size + kFrameRoom) {
    session.wants_room_ = true;
    return NGHTTP2_ERR_WOULDBLOCK;
  }
  char* const out = session.output_.data() + session.out_end_;
  std::memcpy(out, head, kHead);
  session.out_end_ += kHead + stream.take_pending(out + kHead, size);
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0) {
    stream.end_sent_ = true;
    if (!stream.running_) session.note(stream);
  }
  return 0;
}

const nghttp2_session_callbacks* Http2Callbacks::table() {
  static const auto* const callbacks = [] {
    nghttp2_session_callbacks* made = nullptr;
    if (nghttp2_session_callbacks_new(&made) != 0) throw std::bad_alloc();
    nghttp2_session_callbacks_set_on_begin_frame_callback(made, begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(made, begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(made, header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(made, frame_received);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, invalid_frame);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, data_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(made, stream_closed);
    nghttp2_session_callbacks_set_send_data_callback(made, send_data);
    return made;
  }();
  return callbacks;
}

const nghttp2_option* Http2Callbacks::options() {
  static const auto* const options = [] {
    // The meter keeps to the listener's clock and says ENHANCE_YOUR_CALM: nghttp2's own limits come after it.
    constexpr std::size_t kBeyondTheMeter = 100'000;
    nghttp2_option* made = nullptr;
    if (nghttp2_option_new(&made) != 0) throw std::bad_alloc();
    nghttp2_option_set_no_auto_window_update(made, 1);
    nghttp2_option_set_no_closed_streams(made, 1);
    nghttp2_option_set_max_outbound_ack(made, kBeyondTheMeter);
    nghttp2_option_set_stream_reset_rate_limit(made, kBeyondTheMeter, kBeyondTheMeter);
    // Counted for each piece that such a frame's nine bytes come in.
    nghttp2_option_set_max_continuations(made, kBeyondTheMeter);
    return made;
  }();
  return options;
}

// ---- the session

Http2Session::Http2Session(Connection& connection)
    : connection_(connection),
      core_(*connection.core_),
      options_(connection.served_->options),
      meter_(core_.now()),
      changed_(core_.executor(), kNever),
      swept_(core_.now()) {}

Http2Session::~Http2Session() {
  if (session_) nghttp2_session_del(session_);
}

bool Http2Session::open_session() {
  if (nghttp2_session_server_new2(&session_, Http2Callbacks::table(), this, Http2Callbacks::options()) != 0) {
    session_ = nullptr;
    return false;
  }
  // Lists of fields count 32 bytes more for each: a client that keeps to the number keeps to the head's limit too.
  const auto list_max = static_cast<std::uint32_t>(options_.head_bytes_max + 32 * kFieldsMax);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsMax},
                                             {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, list_max},
                                             {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1}};
  return nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, std::size(settings)) == 0 &&
         nghttp2_session_set_local_window_size(session_, NGHTTP2_FLAG_NONE, 0, kConnectionWindow) == 0;
}

awaitable<void> Http2Session::changed() { co_await changed_.async_wait(boost::asio::as_tuple(use_awaitable)); }

/// What the connection needs to do anything. While memory is short, it waits as long as a request may take to come.
awaitable<bool> Http2Session::get_memory() {
  Connection& c = connection_;
  c.request_deadline_ = core_.deadline(options_.request_timeout);
  for (;;) {
    if (!reservation_) reservation_ = core_.reserve(kSessionBytes);
    if (reservation_ && !output_) output_ = core_.read_buffers().take(Core::kReadBufferBytes);
    if (c.gone_) co_return false;
    if (reservation_ && output_) break;
    c.phase_ = Connection::Phase::wants_buffer;
    c.deadline_ = c.request_deadline_;
    co_await core_.buffer_may_come();
  }
  c.phase_ = Connection::Phase::busy;
  c.deadline_ = kNever;
  co_return true;
}

awaitable<void> Http2Session::serve() {
  Connection& c = connection_;
  const std::string first(c.input_.unread());
  if (c.input_.block.capacity() >= Core::kReadBufferBytes)
    output_ = std::move(c.input_.block);
  else
    c.input_.block.give_back();
  c.input_.begin = c.input_.end = 0;
  c.parser_.reset();
  c.request_.headers = {};
  const bool ready = co_await get_memory();
  if (!ready || !open_session()) {
    c.gone();
    co_return;
  }
  take(first);
  for (;;) {
    if (c.gone_) break;
    if (core_.stopping() && !leaving_ && !over_) {
      // What was sent before the stop is answered; who never stops sending has had its chance.
      if (!c.transport_.has_unread() || ++reads_at_stop_ > kReadsAtStop) leave();
    }
    if (finished()) break;
    if (over_ || (blocked_ && nghttp2_session_get_outbound_queue_size(session_) > kFramesWaitingMax)) {
      co_await changed();
      continue;
    }
    reading_ = true;
    const auto [error] = co_await c.transport_.readable();
    reading_ = false;
    if (c.gone_) break;
    if (error == boost::asio::error::operation_aborted) continue;
    if (error) {
      lost();
      break;
    }
    if (!output_) {
      const bool has = co_await get_memory();
      if (!has) break;
    }
    Transport::ErrorCode failed;
    const std::size_t size = c.transport_.read_now(core_.input(), Core::kReadBufferBytes, failed);
    if (failed) {
      lost();
      break;
    }
    take({core_.input(), size});
  }
  cancel_all();
  while (!streams_.empty()) co_await changed();
  retired_.clear();
  output_.give_back();
  nghttp2_session_del(std::exchange(session_, nullptr));
  reservation_.release();
  waiting_since_ = kNever;
}

/// Whether all that will ever be sent has been.
bool Http2Session::finished() const noexcept {
  if (!sent_all()) return false;
  if (over_) return broken_ || nghttp2_session_want_write(session_) == 0;
  return leaving_ && streams_.empty();
}

bool Http2Session::alive(const Http2Stream& stream) const noexcept {
  return session_ && !over_ && !broken_ && !stream.closed_;
}

void Http2Session::take(std::string_view bytes) {
  retired_.clear();
  if (over_) return;
  const std::string_view frames = preface_seen_ ? bytes : bytes.substr(kHttp2Preface.size());
  preface_seen_ = true;
  if (!meter_.see(frames, core_.now())) {
    terminate(NGHTTP2_ENHANCE_YOUR_CALM);
  } else {
    const ssize_t used =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
    if (used < 0) {
      const bool flood = used == NGHTTP2_ERR_FLOODED || used == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS;
      break_off(flood ? NGHTTP2_ENHANCE_YOUR_CALM
                : nghttp2_is_fatal(static_cast<int>(used)) && used != NGHTTP2_ERR_BAD_CLIENT_MAGIC
                    ? NGHTTP2_INTERNAL_ERROR
                    : NGHTTP2_PROTOCOL_ERROR);
    } else if (!meter_.settle() || calm_) {
      terminate(NGHTTP2_ENHANCE_YOUR_CALM);
    }
  }
  pump();
  start_ready();
  reap();
  if (over_) cancel_all();
  schedule_flush();
}

/// Opens a stream for the request whose head begins; none when too many are under way.
Http2Stream* Http2Session::open_stream(std::int32_t id) {
  if (streams_.size() >= kHandlersMax) {
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM);
    return nullptr;
  }
  auto stream = std::make_unique<Http2Stream>(*this, id);
  stream->slot_ = streams_.size();
  stream->request_deadline_ = core_.deadline(options_.request_timeout);
  nghttp2_session_set_stream_user_data(session_, id, stream.get());
  // Streams take turns frame by frame, whatever a client says about their weight.
  const nghttp2_extpri turns{NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
  nghttp2_session_change_extpri_stream_priority(session_, id, &turns, 1);
  streams_.push_back(std::move(stream));
  if (connection_.phase_ == Connection::Phase::idle) {
    connection_.phase_ = Connection::Phase::busy;
    connection_.deadline_ = kNever;
  }
  return streams_.back().get();
}

/// Makes the request out of the head that has come, and says what is wrong with it.
void Http2Session::head_complete(Http2Stream& stream, bool ends) {
  const auto field = [this](const Field& f) {
    const std::string_view all = head_text_;
    return http::Header{all.substr(f.name, f.value - f.name), all.substr(f.value, f.end - f.value)};
  };
  http::Request& request = stream.request_;
  request.protocol = "HTTP/2.0";
  request.peer_address = connection_.peer_;
  request.listener = options_.kind;
  request.body = &stream;
  request.path = "/";
  stream.body_ended_ = ends;
  if (ends) stream.announced_ = 0;
  ready_.push_back(&stream);
  if (head_too_large_) {
    stream.reject_ = 431;
    head_text_ = {};
    head_fields_ = {};
    return;
  }

  std::string_view method, scheme, authority, target;
  bool has_authority = false;
  std::size_t cookies = 0, cookie_bytes = 0;
  for (const Field& f : head_fields_) {
    const auto [name, value] = field(f);
    if (name == ":method") method = value;
    if (name == ":scheme") scheme = value;
    if (name == ":path") target = value;
    if (name == ":authority") authority = value, has_authority = true;
    if (name == "cookie") ++cookies, cookie_bytes += value.size() + 2;
  }
  const std::size_t cookie_room = cookies > 1 ? cookie_bytes : 0;
  stream.head_ = core_.head_blocks().take(std::max<std::size_t>(head_text_.size() + cookie_room, 1));
  if (!stream.head_) {
    // Nothing was done for it: the client may send it again.
    ready_.pop_back();
    stream.reset(NGHTTP2_REFUSED_STREAM);
    return;
  }
  std::memcpy(stream.head_.data(), head_text_.data(), head_text_.size());
  const auto kept = [&](std::string_view view) {
    if (view.empty()) return view;
    return std::string_view(stream.head_.data() + (view.data() - head_text_.data()), view.size());
  };
  request.method = kept(method);
  request.target = kept(target);

  if (has_authority) request.headers.add("host", kept(authority));
  bool has_host = has_authority, cookie_added = false;
  for (const Field& f : head_fields_) {
    const auto [name, value] = field(f);
    if (name.starts_with(':')) continue;
    if (name == "host") {
      if (has_authority) continue;  // RFC 9113, 8.3.1: the other is what counts
      has_host = true;
      authority = value;
    }
    if (name == "cookie" && cookies > 1) {
      // RFC 9113, 8.2.3: clients take them apart, for others they are one.
      if (std::exchange(cookie_added, true)) continue;
      char* const begin = stream.head_.data() + head_text_.size();
      char* at = begin;
      for (const Field& other : head_fields_) {
        if (field(other).name != "cookie") continue;
        if (at != begin) at += std::string_view("; ").copy(at, 2);
        at += field(other).value.copy(at, std::string_view::npos);
      }
      request.headers.add(kept(name), {begin, static_cast<std::size_t>(at - begin)});
      continue;
    }
    if (name == "content-length") {
      // nghttp2 has seen that it is one number.
      std::uint64_t length = 0;
      for (const char c : value) length = length * 10 + static_cast<std::uint64_t>(c - '0');
      stream.announced_ = length;
    }
    if (name == "expect") {
      if (http::same_token(value, "100-continue"))
        stream.expects_continue_ = !ends;
      else
        stream.reject_ = 417;
    }
    request.headers.add(kept(name), kept(value));
  }
  RequestTarget parts;
  const bool sound = (http::same_token(scheme, "http") || http::same_token(scheme, "https")) && has_host &&
                     is_host(authority) && split_target(request.method, request.target, parts);
  if (!sound) stream.reject_ = 400;
  request.query = parts.query;
  if (!parts.path.empty()) request.path = parts.path;
  if (head_text_.capacity() > kHeadTextKept) {
    head_text_ = {};
    head_fields_ = {};
  }
}

void Http2Session::start_ready() {
  for (std::size_t i = 0; i < ready_.size(); ++i) {
    Http2Stream& stream = *ready_[i];
    if (stream.closed_ || over_) continue;  // reset before its turn: no work was done for it
    if (stream.reject_ != 0) {
      Counters::add(core_.counters(options_.kind).rejected);
      stream.handled_ = true;
      stream.reply_now(connection_.served_->handler.reject(stream.reject_));
      if (stream.end_sent_) note(stream);
      continue;
    }
    Counters::add(core_.counters(options_.kind).requests);
    run_handler(stream);
  }
  ready_.clear();
}

void Http2Session::run_handler(Http2Stream& stream) {
  stream.running_ = true;
  auto self = connection_.shared_from_this();
  auto ended = [self, this, &stream](std::exception_ptr failed) { handled(stream, failed); };
  boost::asio::co_spawn(core_.executor(), handle(std::move(self), &stream),
                        boost::asio::bind_cancellation_slot(stream.cancel_.slot(), std::move(ended)));
}

awaitable<void> Http2Session::handle(std::shared_ptr<Connection> self, Http2Stream* stream) {
  // Cancelled calls answer with an error instead of throwing, so that a handler can end in its own way.
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  co_await self->served_->handler.handle(stream->request_, *stream);
}

void Http2Session::handled(Http2Stream& stream, std::exception_ptr failed) {
  stream.running_ = false;
  stream.handled_ = true;
  if (!stream.gone_ && !over_ && (failed || !stream.started_)) {
    std::string what = "no reply";
    try {
      if (failed) std::rethrow_exception(failed);
    } catch (const std::exception& e) {
      what = e.what();
    } catch (...) {
      what = "unknown exception";
    }
    logging::error("a handler failed", {{"method", stream.request_.method},
                                        {"path", stream.request_.path},
                                        {"peer", connection_.peer_},
                                        {"error", what}});
  }
  if (!stream.gone_ && !over_) {
    if (!stream.started_)
      stream.reply_now(connection_.served_->handler.reject(500));
    else if (!stream.finished_)
      stream.abort();
  }
  stream.request_.headers = {};
  stream.head_.give_back();
  stream.body_.give_back();
  stream.held_.give_back();
  stream.have_ = 0;
  note(stream);
  schedule_flush();
  notify();
}

/// Something has ended that reap() shall see to.
void Http2Session::note(Http2Stream& stream) {
  if (std::exchange(stream.noted_, true)) return;
  noted_.push_back(&stream);
}

void Http2Session::reap() {
  for (std::size_t i = 0; i < noted_.size(); ++i) {
    Http2Stream& stream = *noted_[i];
    stream.noted_ = false;
    if (stream.running_) {
      if (stream.gone_) stream.cancel_.emit(boost::asio::cancellation_type::terminal);
    } else if (stream.closed_ || over_ || connection_.gone_) {
      remove(stream);
    } else if (stream.end_sent_ && !stream.body_ended_ && !stream.draining_) {
      settle(stream);
    }
  }
  noted_.clear();
}

/// The reply has gone out whole before the request has come so.
void Http2Session::settle(Http2Stream& stream) {
  stream.draining_ = true;
  stream.request_deadline_ = std::min(stream.request_deadline_, core_.deadline(kFarewellTime));
  stream.dropped_ = stream.unconsumed_;
  stream.consume(0);
  schedule_flush();
}

void Http2Session::remove(Http2Stream& stream) noexcept {
  std::unique_ptr<Http2Stream>& place = streams_[stream.slot_];
  if (session_ && !stream.closed_) nghttp2_session_set_stream_user_data(session_, stream.id_, nullptr);
  retired_.push_back(std::move(place));
  if (&place != &streams_.back()) {
    place = std::move(streams_.back());
    place->slot_ = stream.slot_;
  }
  streams_.pop_back();
}

// ---- what is sent

bool Http2Session::put(std::string_view bytes) noexcept {
  if (bytes.size() > room()) return false;
  std::memcpy(output_.data() + out_end_, bytes.data(), bytes.size());
  out_end_ += bytes.size();
  return true;
}

void Http2Session::pump() {
  if (!session_ || broken_ || !output_) return;
  while (!connection_.gone_) {
    if (room() < 2 * kFrameRoom) {
      write_out();
      if (room() < 2 * kFrameRoom) return;
    }
    const std::uint8_t* data = nullptr;
    wants_room_ = false;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) return break_off(NGHTTP2_INTERNAL_ERROR);
    if (size == 0 && !wants_room_) break;
    if (size > 0) put(text(data, static_cast<std::size_t>(size)));
  }
  // After an error of the whole connection nothing is wanted any more.
  if (!over_ && nghttp2_session_want_read(session_) == 0 && nghttp2_session_want_write(session_) == 0) end_soon();
}

void Http2Session::write_out() {
  Connection& c = connection_;
  if (blocked_ || sent_all() || c.gone_) return;
  const iovec part{output_.data() + out_begin_, out_end_ - out_begin_};
  const std::size_t written = c.write_now(std::span(&part, 1));
  if (c.gone_) return lost();
  patience_.sent(written);
  out_begin_ += written;
  if (sent_all()) {
    out_begin_ = out_end_ = 0;
    return;
  }
  blocked_ = true;
  wait_for_room();
}

void Http2Session::wait_for_room() {
  connection_.transport_.writable(
      [self = connection_.shared_from_this(), this](const boost::system::error_code& error) { on_writable(error); });
}

void Http2Session::on_writable(const boost::system::error_code& error) {
  if (!session_ || connection_.gone_) return;
  if (error == boost::asio::error::operation_aborted) return wait_for_room();
  if (error) return lost();
  blocked_ = false;
  write_out();
  flush();
}

void Http2Session::schedule_flush() {
  if (std::exchange(flush_posted_, true)) return;
  boost::asio::post(core_.executor(), [self = connection_.shared_from_this(), this] {
    flush_posted_ = false;
    flush();
  });
}

void Http2Session::flush() {
  if (!session_) return;
  pump();
  write_out();
  reap();
  if (over_) cancel_all();
  rest();
  notify();
  if (reading_ && (over_ || finished())) connection_.transport_.cancel();
}

/// With nothing under way, a connection holds no block.
void Http2Session::rest() {
  Connection& c = connection_;
  if (over_ || !streams_.empty() || !sent_all() || !meter_.between_frames()) return;
  if (c.phase_ == Connection::Phase::wants_buffer) return;
  patience_.reset();
  retired_.clear();
  output_.give_back();
  if (c.phase_ == Connection::Phase::idle || leaving_) return;
  c.phase_ = Connection::Phase::idle;
  c.since_ = core_.now();
  c.deadline_ = core_.deadline(options_.idle_timeout);
}

// ---- ends

void Http2Session::end_soon() {
  over_ = true;
  connection_.phase_ = Connection::Phase::lingering;
  connection_.since_ = core_.now();
  connection_.deadline_ = core_.deadline(kFarewellTime);
}

void Http2Session::reject() noexcept {
  Counters::add(core_.counters(options_.kind).rejected);
  if (!meter_.charge(1)) calm_ = true;
}

void Http2Session::terminate(std::uint32_t error) {
  if (over_) return;
  Counters::add(core_.counters(options_.kind).rejected);
  nghttp2_session_terminate_session(session_, error);
  pump();
  if (!over_) end_soon();
}

std::string_view Http2Session::goaway(std::uint32_t error, std::span<char, 17> out) const noexcept {
  const auto last = static_cast<std::uint32_t>(nghttp2_session_get_last_proc_stream_id(session_));
  const char head[] = {0, 0, 8, NGHTTP2_GOAWAY, 0, 0, 0, 0, 0};
  std::memcpy(out.data(), head, sizeof head);
  for (std::size_t i = 0; i < 4; ++i) {
    out[sizeof head + i] = static_cast<char>(last >> (24 - 8 * i));
    out[sizeof head + 4 + i] = static_cast<char>(error >> (24 - 8 * i));
  }
  return {out.data(), out.size()};
}

void Http2Session::break_off(std::uint32_t error) {
  if (over_ && broken_) return;
  Counters::add(core_.counters(options_.kind).rejected);
  broken_ = true;
  char frame[17];
  if (output_) put(goaway(error, std::span<char, 17>(frame)));
  end_soon();
}

void Http2Session::leave() {
  leaving_ = true;
  if (!output_) return farewell();  // nothing is under way
  nghttp2_submit_goaway(session_, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(session_),
                        NGHTTP2_NO_ERROR, nullptr, 0);
  flush();
}

void Http2Session::stop() {
  if (connection_.phase_ == Connection::Phase::lingering) return connection_.end();
  notify();
  if (reading_) connection_.transport_.cancel();
}

/// What goes at once, or not at all.
void Http2Session::farewell() noexcept {
  char frame[17];
  const std::string_view bytes = goaway(NGHTTP2_NO_ERROR, std::span<char, 17>(frame));
  const iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  Transport::ErrorCode ignored;
  connection_.transport_.write_now(std::span(&part, 1), ignored);
}

void Http2Session::end() {
  if (session_ && !over_ && !leaving_ && !connection_.gone_ && sent_all()) farewell();
  over_ = broken_ = true;
}

/// The connection does not carry anything any more.
void Http2Session::lost() noexcept {
  connection_.gone();
  notify();
}

void Http2Session::cancel_all() {
  over_ = true;
  for (const auto& stream : streams_) {
    if (!stream->end_sent_ || !stream->body_ended_) stream->gone_ = true;
    stream->wake();
    note(*stream);
  }
  reap();
}

// ---- time

bool Http2Session::sweep(SteadyTime now) {
  if (!session_) return true;
  if (now >= connection_.deadline_) return false;
  const auto elapsed = now - std::exchange(swept_, now);
  waiting_since_ = kNever;
  const std::uint64_t frames = meter_.frames();
  if (meter_.between_frames() || frames != std::exchange(frame_seen_, frames))
    frame_deadline_ = core_.deadline(options_.request_timeout);
  else if (now >= frame_deadline_)
    return false;
  bool sends = !sent_all();
  for (std::size_t i = streams_.size(); i-- > 0;) {
    if (i >= streams_.size()) continue;
    Http2Stream& stream = *streams_[i];
    sends = sends || stream.sends();
    sweep_stream(stream, now, elapsed);
  }
  if (!sends) {
    patience_.reset();
  } else if (blocked_ || nghttp2_session_get_remote_window_size(session_) <= 0) {
    if (!patience_.wait(now, elapsed, options_)) return false;
    waiting_since_ = std::min(waiting_since_, *patience_.since());
  } else {
    patience_.stop();
  }
  if (connection_.phase_ == Connection::Phase::busy && waiting_since_ != kNever) connection_.since_ = waiting_since_;
  return true;
}

void Http2Session::sweep_stream(Http2Stream& stream, SteadyTime now, SteadyTime::duration elapsed) {
  if (over_ || stream.closed_ || stream.gone_) return;
  if (stream.draining_ && now >= stream.request_deadline_) return stream.reset(NGHTTP2_NO_ERROR);
  if (stream.waits_for_body_) {
    if (now >= stream.request_deadline_) return expire(stream);
    waiting_since_ = std::min(waiting_since_, stream.body_since_);
  }
  if (stream.sends() && nghttp2_session_get_stream_remote_window_size(session_, stream.id_) <= 0) {
    if (!stream.patience_.wait(now, elapsed, options_)) return expire(stream);
    waiting_since_ = std::min(waiting_since_, *stream.patience_.since());
  } else {
    stream.patience_.stop();
  }
}

/// The peer has let a deadline of one request pass: the others go on.
void Http2Session::expire(Http2Stream& stream) {
  Counters::add(core_.counters(options_.kind).timed_out);
  stream.reset(NGHTTP2_CANCEL);
  stream.gone_ = true;
  stream.wake();
  note(stream);
}

}  // namespace millrace::net
