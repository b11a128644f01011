#include "net/connection.hpp"

#include <algorithm>
#include <bit>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <cstring>

#include "millrace/base/log.hpp"

namespace millrace::net {

namespace {

constexpr SteadyTime kNever = SteadyTime::max();
/// Room for a body behind a head; a head that lies later in the buffer is moved to the front.
constexpr std::size_t kBodyRoomMin = 16 * 1024;
constexpr std::chrono::milliseconds kLingerTime = std::chrono::seconds{5};
constexpr std::size_t kLingerBytesMax = 64u << 20;
/// Of requests that were sent ahead, so many are answered before the core's other connections have their turn.
constexpr int kRequestsAtOnce = 32;
/// What no request begins with, and each handshake of TLS does: the type of a record and its version's first byte.
constexpr std::string_view kHandshake = "\x16\x03";
/// The least room in a block for a head that does not come at once, beside what has come.
constexpr std::size_t kHeadRoomMin = 512;

http::Error peer_gone() { return {http::Errc::peer_gone, {}}; }

}  // namespace

void Input::move(std::size_t from, std::size_t to) noexcept {
  if (from == to) return;
  std::memmove(block.data() + to, block.data() + from, end - from);
  begin = begin - from + to;
  end = end - from + to;
}

void Input::move_to(BlockPool::Lent other, std::size_t from) noexcept {
  std::memcpy(other.data(), block.data() + from, end - from);
  end -= from;
  begin = 0;
  block = std::move(other);
}

Connection::Connection(std::shared_ptr<Core> core, std::shared_ptr<Served> served, Transport transport,
                       std::string peer)
    : core_(std::move(core)), served_(std::move(served)), transport_(std::move(transport)), peer_(std::move(peer)) {
  core_->add(*this);
  Counters& counters = core_->counters(served_->options.kind);
  Counters::add(counters.accepted);
  Counters::add(counters.connections);
}

Connection::~Connection() {
  Counters::add(core_->counters(served_->options.kind).connections, -1);
  core_->remove(*this);
  core_->load().fetch_sub(1);
  served_->open.fetch_sub(1);
}

awaitable<void> Connection::serve(std::shared_ptr<Connection> self) {
  // Cancelled calls answer with an error instead of throwing, so that a handler can end in its own way.
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  Connection& c = *self;
  for (int at_once = 0;;) {
    const Head head = co_await c.read_head();
    if (head == Head::closed) co_return;
    if (head == Head::broken) break;
    if (head == Head::rejected) {
      co_await c.reject(c.parser_->status());
      break;
    }
    if (head == Head::http2) {
      c.http2_ = std::make_unique<Http2Session>(c);
      co_await c.http2_->serve();
      break;
    }
    c.begin_request();
    bool failed = false;
    try {
      co_await c.served_->handler.handle(c.request_, c.writer_);
    } catch (const std::exception& e) {
      failed = true;
      c.log_failure(e.what());
    } catch (...) {
      failed = true;
      c.log_failure("unknown exception");
    }
    if (failed || c.gone_ || c.watching_ || !c.writer_.finished() || !c.body_.complete()) {
      const bool go_on = co_await c.settle(failed);
      if (c.gone_) co_return;
      if (!go_on) break;
    }
    c.body_.end();
    if (!c.writer_.keep_alive()) break;
    if (c.input_.begin == c.input_.end) {
      at_once = 0;
    } else if (++at_once == kRequestsAtOnce) {
      at_once = 0;
      co_await boost::asio::post(c.core_->executor(), use_awaitable);
      if (c.gone_) co_return;
    }
  }
  co_await c.linger();
}

void Connection::new_head() {
  request_.headers.clear();
  parser_.emplace(request_.headers, served_->options.head_bytes_max);
}

awaitable<Connection::Head> Connection::read_head() {
  phase_ = Phase::idle;
  new_head();
  std::size_t head_begin = input_.begin;
  bool begun = false;
  for (;;) {
    if (input_.begin < input_.end) {
      if (!begun) {
        begun = true;
        phase_ = Phase::busy;
        since_ = core_->now();
        request_deadline_ = core_->deadline(served_->options.request_timeout);
      }
      switch (parse_head(head_begin)) {
        case Parsed::head:
          deadline_ = kNever;
          co_return Head::ready;
        case Parsed::rejected:
          deadline_ = kNever;
          co_return Head::rejected;
        case Parsed::http2:
          co_return Head::http2;
        case Parsed::tls: {
          const Head made = co_await start_tls();
          if (made != Head::ready) co_return made;
          begun = false;
          phase_ = Phase::idle;
          break;
        }
        case Parsed::nothing:
          begun = false;
          phase_ = Phase::idle;
          break;
        case Parsed::some:
          shelve(head_begin);
          break;
        case Parsed::cramped:
          if (!co_await make_room(head_begin)) co_return Head::closed;
          continue;
      }
    }
    if (begun) {
      deadline_ = request_deadline_;
    } else {
      head_begin = input_.begin = input_.end = 0;
      if (gone_ || (core_->stopping() && !transport_.has_unread())) co_return Head::closed;
      deadline_ = core_->deadline(served_->options.idle_timeout);
      since_ = core_->now();
      idle_sweeps_ = 0;
      if (input_.block.capacity() < Core::kReadBufferBytes || core_->buffers_wanted()) input_.block.give_back();
      // A connection gets its buffer when it has something to say, a new one too.
      if (!input_.block) {
        request_.headers = {};
        const auto [error] = co_await transport_.readable();
        if (error == boost::asio::error::operation_aborted && !gone_) continue;  // a stop: see whether anything came
        if (error || gone_) co_return Head::closed;
        input_.block = core_->read_buffers().take(Core::kReadBufferBytes);
        if (!input_.block) {
          request_deadline_ = core_->deadline(served_->options.request_timeout);
          input_.block = co_await wait_for_block(core_->read_buffers(), Core::kReadBufferBytes);
          if (!input_.block) co_return Head::closed;
          phase_ = Phase::idle;
        }
        // At once, so that many who send a byte have one buffer in turn.
        Transport::ErrorCode failed;
        input_.end = transport_.read_now(input_.free_begin(), input_.free(), failed);
        if (failed && transport_.tls() && transport_.tls()->broken()) co_return no_tls("TLS was broken off");
        if (failed) co_return Head::closed;
        continue;
      }
    }
    const auto [error, size] = co_await transport_.read_some(input_.free_begin(), input_.free());
    input_.end += size;
    if (!error) continue;
    if (transport_.tls() && transport_.tls()->broken() && !gone_) co_return no_tls("TLS was broken off");
    // Cancelled by the sweep when it has been idle for a while: the buffer is for others.
    if (error != boost::asio::error::operation_aborted || begun || gone_) co_return Head::closed;
    input_.block.give_back();
  }
}

Connection::Parsed Connection::parse_head(std::size_t& head_begin) {
  if (new_) {
    // A peer that sends the preface byte by byte has the time of any request's head for it.
    const std::string_view first = input_.unread().substr(0, kHttp2Preface.size());
    if (served_->options.tls && !transport_.tls() && kHandshake.starts_with(first.substr(0, kHandshake.size()))) {
      if (first.size() >= kHandshake.size()) return Parsed::tls;
      return input_.free() == 0 ? Parsed::cramped : Parsed::some;
    }
    if (kHttp2Preface.starts_with(first)) {
      if (first == kHttp2Preface) return Parsed::http2;
      return input_.free() == 0 ? Parsed::cramped : Parsed::some;
    }
    new_ = false;
  }
  // Some clients end a body with a line break that belongs to nothing.
  while (input_.begin == head_begin && input_.unread().starts_with("\r\n")) head_begin = input_.begin += 2;
  if (input_.begin == input_.end) return input_.begin == head_begin ? Parsed::nothing : Parsed::some;
  if (input_.begin == head_begin && input_.unread() == "\r") return input_.free() == 0 ? Parsed::cramped : Parsed::some;
  std::size_t consumed = 0;
  const RequestParser::Step step = parser_->parse_head(input_.unread(), consumed);
  input_.begin += consumed;
  if (step == RequestParser::Step::failed) return Parsed::rejected;
  const bool done = step == RequestParser::Step::done;
  if ((done ? input_.begin : input_.end) - head_begin > served_->options.head_bytes_max) {
    parser_->reject(431);
    return Parsed::rejected;
  }
  const bool room =
      done ? parser_->is_done() || input_.block.capacity() - input_.begin >= kBodyRoomMin : input_.free() > 0;
  if (!room && (head_begin > 0 || input_.block.capacity() < Core::kReadBufferBytes)) return Parsed::cramped;
  return done ? Parsed::head : Parsed::some;
}

/// Puts a head where it, or its body, has room. Views into the old place no longer hold: it is parsed again.
awaitable<bool> Connection::make_room(std::size_t& head_begin) {
  if (input_.block.capacity() >= Core::kReadBufferBytes) {
    input_.begin = head_begin;
    input_.move(head_begin, 0);
  } else {
    BlockPool& pool = core_->read_buffers();
    BlockPool::Lent larger = pool.take(Core::kReadBufferBytes);
    if (!larger) larger = co_await wait_for_block(pool, Core::kReadBufferBytes);
    if (!larger) co_return false;
    input_.move_to(std::move(larger), head_begin);
  }
  head_begin = 0;
  new_head();
  co_return true;
}

/// A head that does not come at once waits in a block of its own size: who sends a byte and stops has no buffer for it.
void Connection::shelve(std::size_t& head_begin) {
  const std::size_t bytes = std::bit_ceil(input_.end - head_begin + kHeadRoomMin);
  if (bytes > Core::kReadBufferBytes / 4 || input_.block.capacity() < Core::kReadBufferBytes) return;
  if (transport_.has_unread()) return;
  BlockPool::Lent own = core_->head_blocks().take(bytes);
  if (!own) return;
  input_.move_to(std::move(own), head_begin);
  head_begin = 0;
  new_head();
}

/// While memory is short, for as long as a request may take to come. Empty: the connection has ended.
awaitable<BlockPool::Lent> Connection::wait_for_block(BlockPool& pool, std::size_t bytes) {
  BlockPool::Lent block;
  phase_ = Phase::wants_buffer;
  deadline_ = request_deadline_;
  while (!block && !gone_) {
    co_await core_->buffer_may_come();
    if (!gone_) block = pool.take(bytes);
  }
  phase_ = Phase::busy;
  co_return block;
}

/// The handshake whose first bytes are in the input, under the deadline of the head that they seemed to begin. Behind
/// it the connection begins anew, whatever protocol was agreed to.
awaitable<Connection::Head> Connection::start_tls() {
  // Held from before the first of it is allocated; more than OpenSSL's own rarely counts beside it.
  Reservation more = core_->reserve(TlsStream::kHandshakeBytes);
  tls_reservation_ = core_->reserve(TlsStream::kBytes);
  deadline_ = request_deadline_;
  while (!more || !tls_reservation_) {
    phase_ = Phase::wants_buffer;
    more = {};
    tls_reservation_ = {};
    co_await core_->buffer_may_come();
    if (gone_) co_return Head::closed;
    more = core_->reserve(TlsStream::kHandshakeBytes);
    tls_reservation_ = core_->reserve(TlsStream::kBytes);
  }
  phase_ = Phase::busy;
  transport_.start_tls(std::make_unique<TlsStream>(*core_, *served_->options.tls, transport_.native_handle(),
                                                   std::move(input_.block), input_.begin, input_.end));
  input_.begin = input_.end = 0;
  request_.headers = {};
  TlsStream& tls = *transport_.tls();
  for (;;) {
    const TlsStream::Step step = tls.handshake();
    if (step == TlsStream::Step::done) break;
    if (step == TlsStream::Step::failed) {
      co_return no_tls("a handshake failed");
    }
    const bool reads = step == TlsStream::Step::wants_read;
    const auto [error] =
        co_await transport_.ready(reads ? Transport::Socket::wait_read : Transport::Socket::wait_write);
    if (error || gone_) co_return Head::closed;
    tls.socket_is_ready();
  }
  deadline_ = kNever;
  co_return Head::ready;
}

Connection::Head Connection::no_tls(std::string_view what) {
  Counters::add(core_->counters(served_->options.kind).rejected);
  logging::debug(what, {{"peer", peer_}, {"reason", transport_.tls()->failure()}});
  return Head::broken;
}

void Connection::begin_request() {
  Counters::add(core_->counters(served_->options.kind).requests);
  request_.method = parser_->method();
  request_.target = parser_->target();
  request_.query = parser_->query();
  request_.path = parser_->path();
  if (request_.path.empty()) request_.path = "/";
  request_.protocol = parser_->http11() ? "HTTP/1.1" : "HTTP/1.0";
  request_.peer_address = peer_;
  request_.listener = served_->options.kind;
  request_.body = &body_;
  body_.begin(*parser_);
  writer_.begin(request_.method == "HEAD", parser_->http11(), parser_->keep_alive());
}

awaitable<bool> Connection::settle(bool failed) {
  if (!gone_ && !writer_.started()) {
    if (!failed) log_failure("no reply");
    writer_.close_after();
    const http::Handler::Rejection rejection = served_->handler.reject(500);
    const http::ResponseHead head{rejection.status, rejection.headers};
    const Slice text{rejection.body, {}};
    const auto sent = co_await writer_.send(head, std::span(&text, 1));
    if (!sent) gone();
  }
  if (!gone_ && !writer_.finished()) writer_.abort();
  if (watching_) co_await end_watch();
  if (gone_ || !writer_.keep_alive()) co_return false;
  co_return body_.complete() || co_await body_.drain();
}

awaitable<void> Connection::reject(int status) {
  phase_ = Phase::busy;
  Counters::add(core_->counters(served_->options.kind).rejected);
  const http::Handler::Rejection rejection = served_->handler.reject(status);
  const http::ResponseHead head{rejection.status, rejection.headers};
  const Slice text{rejection.body, {}};
  writer_.begin(parser_->method() == "HEAD", true, false);
  if (!co_await writer_.send(head, std::span(&text, 1))) gone();
}

awaitable<void> Connection::linger() {
  if (gone_) co_return;
  // Closing with bytes unread would reset the connection, and the peer could lose the reply: tell it first, then read
  // what it still sends, within bounds.
  phase_ = Phase::lingering;
  since_ = core_->now();
  body_.end();
  request_.headers = {};
  input_.block.give_back();
  transport_.shutdown_send();
  deadline_ = core_->deadline(kLingerTime);
  for (std::size_t read = 0; read < kLingerBytesMax && !core_->stopping() && !gone_;) {
    const auto [error, size] = co_await transport_.read_some(core_->discarded(), Core::kDiscardBytes);
    if (error) co_return;
    read += size;
  }
}

void Connection::log_failure(std::string_view what) const {
  if (gone_) return;  // cancelled, as it should be
  logging::error("a handler failed",
                 {{"method", request_.method}, {"path", request_.path}, {"peer", peer_}, {"error", what}});
}

void Connection::sweep(SteadyTime now) {
  if (http2_ && !http2_->sweep(now)) deadline_ = now;
  if (now >= deadline_) {
    deadline_ = kNever;
    if (phase_ != Phase::lingering) Counters::add(core_->counters(served_->options.kind).timed_out);
    end();
  } else if (phase_ == Phase::idle && ++idle_sweeps_ > 1) {
    give_up_buffer();
  }
}

void Connection::give_up_buffer() {
  if (phase_ == Phase::idle && input_.block) transport_.cancel();
}

bool Connection::is_idle(SteadyTime then) const noexcept {
  return (phase_ == Phase::idle || phase_ == Phase::lingering) && deadline_ != kNever && since_ <= then;
}

bool Connection::keeps_waiting(SteadyTime then) const noexcept {
  if (http2_) return phase_ == Phase::busy && http2_->keeps_waiting(then);
  return phase_ == Phase::busy && deadline_ != kNever && since_ <= then;
}

void Connection::cut() {
  if (phase_ == Phase::idle && transport_.has_unread()) return;
  if (phase_ != Phase::lingering) Counters::add(core_->counters(served_->options.kind).cut);
  end();
}

void Connection::end_if_idle() {
  if (http2_) return http2_->stop();
  // What the peer has sent is a request under way, read or not: only the wait for more ends here.
  if (phase_ == Phase::idle) transport_.cancel();
  if (phase_ == Phase::lingering) end();
}

void Connection::end() {
  if (http2_) http2_->end();
  gone_ = true;
  transport_.close(!writer_.streaming());
  cancel_.emit(boost::asio::cancellation_type::terminal);
}

void Connection::gone() noexcept {
  gone_ = true;
  transport_.close(!writer_.streaming());
}

awaitable<http::Result<std::size_t>> Connection::receive(char* out, std::size_t size) {
  if (gone_) co_return peer_gone();
  deadline_ = request_deadline_;
  const auto [error, got] = co_await transport_.read_some(out, size);
  deadline_ = kNever;
  if (error) {
    gone();
    co_return peer_gone();
  }
  co_return got;
}

std::size_t Connection::write_now(std::span<const iovec> parts) {
  Transport::ErrorCode error;
  const std::size_t written = transport_.write_now(parts, error);
  if (error) gone();
  reply_sent_ += written;
  return written;
}

awaitable<http::Result<>> Connection::write_rest(std::vector<iovec> parts, std::size_t written,
                                                 std::size_t head_bytes) {
  // The head was rendered where the core's other connections render theirs.
  std::string head;
  if (written < head_bytes) {
    head.assign(static_cast<const char*>(parts[0].iov_base) + written, head_bytes - written);
    parts[0] = {head.data(), head.size()};
    written = 0;
  }
  constexpr std::size_t kPartsMax = 64;
  std::size_t at = 0;
  for (;;) {
    while (at < parts.size() && written >= parts[at].iov_len) written -= parts[at++].iov_len;
    if (at == parts.size()) break;
    parts[at] = {static_cast<char*>(parts[at].iov_base) + written, parts[at].iov_len - written};
    if (gone_) co_return peer_gone();
    written = write_now(std::span(parts).subspan(at, std::min(kPartsMax, parts.size() - at)));
    if (written == 0 && !gone_) {
      since_ = core_->now();
      deadline_ = core_->deadline(reply_patience());
      const auto [error] = co_await transport_.writable();
      deadline_ = kNever;
      reply_waited_ += core_->now() - since_;
      if (error) gone();
    }
  }
  co_return http::Result<>{};
}

/// How long to wait for room: write_timeout at once, and on the whole as long as the reply takes at the least rate.
std::chrono::milliseconds Connection::reply_patience() const {
  const ListenerOptions& options = served_->options;
  const std::chrono::milliseconds earned(reply_sent_ * 1000 / options.write_rate_min);
  const auto whole = options.write_timeout + earned - std::chrono::floor<std::chrono::milliseconds>(reply_waited_);
  return std::clamp(whole, std::chrono::milliseconds{0}, options.write_timeout);
}

void Connection::watch_peer() {
  // With the input full of what the peer sends ahead, its going shows at the next write.
  if (watching_ || gone_ || input_ended_ || !body_.complete() || input_.free() == 0) return;
  watching_ = true;
  transport_.read_some(input_.free_begin(), input_.free(),
                       [self = shared_from_this()](const Transport::ErrorCode& error, std::size_t size) {
                         self->on_watched(error, size);
                       });
}

void Connection::on_watched(const Transport::ErrorCode& error, std::size_t size) {
  watching_ = false;
  input_.end += size;
  // Who has nothing more to say may still read: a reply whose end is known goes on, and writing tells if nobody does.
  if (error == boost::asio::error::eof && writer_.announced()) input_ended_ = true;
  if (watch_ended_) {
    if (error && !input_ended_ && error != boost::asio::error::operation_aborted) gone_ = true;
    watch_ended_();
  } else if (!error || input_ended_) {
    watch_peer();
  } else if (!gone_) {
    end();
  }
}

awaitable<void> Connection::end_watch() {
  boost::asio::basic_waitable_timer<std::chrono::steady_clock, boost::asio::wait_traits<std::chrono::steady_clock>,
                                    Executor>
      ended(core_->executor(), kNever);
  watch_ended_ = [&ended] { ended.cancel(); };
  transport_.cancel();
  while (watching_) co_await ended.async_wait(boost::asio::as_tuple(use_awaitable));
  watch_ended_ = nullptr;
}

}  // namespace millrace::net
