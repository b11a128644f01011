#pragma once
#include <boost/asio/co_spawn.hpp>
#include <optional>
#include <type_traits>
#include <utility>

#include "millrace/base/awaitable.hpp"

namespace millrace {

namespace detail {

template <class R>
struct Unwrapped {
  using type = R;
  static constexpr bool is_awaitable = false;
};
template <class R>
struct Unwrapped<awaitable<R>> {
  using type = R;
  static constexpr bool is_awaitable = true;
};
template <class Fn>
using OnResult = Unwrapped<std::invoke_result_t<Fn&>>;

// Reads and writes the caller's frame: the caller is suspended until this has ended, so co_spawn need not carry the
// value (it would demand a default constructor).
template <class Fn, class Out>
awaitable<void> run_on(Fn& fn, Out& out) {
  using R = OnResult<Fn>;
  if constexpr (std::is_void_v<typename R::type>) {
    if constexpr (R::is_awaitable) {
      co_await fn();
    } else {
      fn();
    }
  } else if constexpr (R::is_awaitable) {
    out.emplace(co_await fn());
  } else {
    out.emplace(fn());
  }
}

template <class Fn>
awaitable<typename OnResult<Fn>::type> on(Executor executor, Fn& fn) {
  using R = typename OnResult<Fn>::type;
  if constexpr (std::is_void_v<R>) {
    int nothing = 0;
    co_await boost::asio::co_spawn(executor, run_on(fn, nothing), use_awaitable);
  } else {
    std::optional<R> result;
    co_await boost::asio::co_spawn(executor, run_on(fn, result), use_awaitable);
    co_return std::move(*result);
  }
}

}  // namespace detail

/// Runs `fn` on another executor, then goes on where the caller was; what `fn` returns or throws comes through. A `fn`
/// that returns an awaitable is awaited over there. `fn` is not copied: await the call in the same statement. A
/// cancellation of the caller is passed on.
template <class Fn>
auto on(Executor executor, Fn&& fn) {
  static_assert(SafeInCoAwait<Fn>, "pass a named local: auto work = [...] {...}; co_await on(executor, work);");
  return detail::on(executor, fn);
}

}  // namespace millrace
