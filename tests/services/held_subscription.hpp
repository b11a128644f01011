#pragma once
#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>

#include "millrace/services/operation.hpp"
#include "support/event_frames.hpp"
#include "support/run.hpp"

namespace millrace::test {

/// A pushed reply whose peer takes all at once: what has come so far.
class Held {
 public:
  Held(boost::asio::io_context& io, std::unique_ptr<services::Pushed> pushed, bool cbor = false)
      : io_(io), frames(cbor), pushed_(std::move(pushed)) {
    boost::asio::co_spawn(io_.get_executor(), take(*this),
                          boost::asio::bind_cancellation_slot(cancel_.slot(), [this](std::exception_ptr failed) {
                            ended = true;
                            failure = failed;
                          }));
    settle();
  }
  ~Held() { go(); }
  Held(const Held&) = delete;

  /// Until nothing can go on any more.
  void settle() { test::settle(io_); }
  /// All that has come, as a golden file has it.
  Json json() const { return {{"Messages", frames.all}, {"Ended", ended}}; }
  /// The peer goes.
  void go() {
    if (!ended) cancel_.emit(boost::asio::cancellation_type::terminal);
    settle();
    EXPECT_TRUE(ended);
    pushed_.reset();
  }

 private:
  boost::asio::io_context& io_;

 public:
  EventFrames frames;
  std::size_t pieces = 0, largest_piece = 0;
  bool ended = false;
  std::exception_ptr failure;

 private:
  static awaitable<void> take(Held& self) {
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    for (;;) {
      const std::string_view piece = co_await self.pushed_->next();
      if (piece.empty()) co_return;
      ++self.pieces;
      self.largest_piece = std::max(self.largest_piece, piece.size());
      self.frames.take(piece);
    }
  }

  std::unique_ptr<services::Pushed> pushed_;
  boost::asio::cancellation_signal cancel_;
};

}  // namespace millrace::test
