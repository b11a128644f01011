#pragma once
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <utility>

#include "millrace/base/awaitable.hpp"

namespace millrace {

/// A suspended coroutine: called once, from any thread, it goes on with `value` on its own executor. here() is for a
/// caller on that executor's thread who wakes many at once: it goes on before here() returns. Dropped without a call,
/// the coroutine is destroyed. Move-only.
template <class T>
class Resume {
 public:
  Resume() = default;
  template <class Handler>
  static Resume of(Handler&& handler) {
    Resume resume;
    resume.held_ = std::make_unique<Held<std::decay_t<Handler>>>(std::forward<Handler>(handler));
    return resume;
  }
  explicit operator bool() const noexcept { return held_ != nullptr; }
  void operator()(T value) {
    std::unique_ptr<Base> held = std::move(held_);
    held->post(std::move(value));
  }
  void here(T value) {
    std::unique_ptr<Base> held = std::move(held_);
    held->run(std::move(value));
  }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void post(T value) = 0;
    virtual void run(T value) = 0;
  };
  template <class Handler>
  struct Held final : Base {
    explicit Held(Handler h) : handler(std::move(h)) {}
    void post(T value) override {
      auto executor = boost::asio::get_associated_executor(handler);
      boost::asio::post(executor,
                        [h = std::move(handler), v = std::move(value)]() mutable { std::move(h)(std::move(v)); });
    }
    void run(T value) override { std::move(handler)(std::move(value)); }
    Handler handler;
  };
  std::unique_ptr<Base> held_;
};

/// Suspends the calling coroutine and hands its Resume<T> to `park`, a named local that is moved from, which keeps it
/// where somebody will call it. The coroutine may go on elsewhere before `park` returns: it must not touch the
/// coroutine's frame after giving the Resume away.
template <class T, class Park>
awaitable<T> suspend(Park& park) {
  co_return co_await boost::asio::async_initiate<decltype(use_awaitable), void(T)>(
      [](auto handler, auto parked) { parked(Resume<T>::of(std::move(handler))); }, use_awaitable, std::move(park));
}

}  // namespace millrace
