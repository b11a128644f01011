#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <type_traits>

namespace millrace {

/// Every coroutine runs on one core's io_context, named by its concrete executor: cheaper than the type-erased one on
/// each co_await.
using Executor = boost::asio::io_context::executor_type;
template <class T = void>
using awaitable = boost::asio::awaitable<T, Executor>;
inline constexpr boost::asio::use_awaitable_t<Executor> use_awaitable;

/// Whether `F`, a deduced forwarding parameter, may be passed inside a co_await expression. g++ 12 destroys a lambda
/// written there twice: one that captures more than references and plain values must be a named local, passed as such.
template <class F>
concept SafeInCoAwait = std::is_lvalue_reference_v<F> || std::is_trivially_destructible_v<F>;

}  // namespace millrace
