#pragma once
#include <boost/system/result.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "services/fields.hpp"

/// From a typed handler and its tables to an entry of the operation table.
namespace millrace::services {

/// What a handler gives back: an output or an error in AWS's words. `co_return Output{...}` or `co_return
/// ServiceError{...}`.
template <class T>
using Outcome = boost::system::result<T, ServiceError>;

/// Output of operations that answer with an empty body.
struct NoOutput {};
inline constexpr auto kNoOutput = fields();

namespace detail {
template <class T>
struct Handler;
template <class Output_, class Input_>
struct Handler<awaitable<Outcome<Output_>> (*)(Context&, Input_)> {
  using Input = Input_;
  using Output = Output_;
};

// The handler's traits are a type parameter for the sake of linkage: see Path in fields.hpp.
template <class Traits, auto Fn, const auto& kInput, const auto& kOutput, Dialect kDialect>
awaitable<void> run(Context& context, std::string_view body, Reply& reply) {
  typename Traits::Input input{};
  if (std::optional<ServiceError> refused = decode(body, kInput, &input, kDialect, context.wire)) {
    reply.error = std::move(refused);
    co_return;
  }
  Outcome<typename Traits::Output> outcome = co_await Fn(context, std::move(input));
  if (!outcome) {
    reply.error = std::move(outcome).error();
    co_return;
  }
  if (!std::is_same_v<typename Traits::Output, NoOutput> || kDialect.braces_when_empty)
    encode(kOutput, &*outcome, reply.body, context.wire);
}
}  // namespace detail

/// The table entry of a handler `awaitable<Outcome<Output>> fn(Context&, Input)`:
///
///     extern constinit const Operation list_streams_operation = operation<list_streams, kInput,
///     kOutput>("ListStreams");
///
/// kInput and kOutput are constexpr fields(...) at namespace scope; leave kOutput out when Output is NoOutput.
template <auto Fn, const auto& kInput, const auto& kOutput = kNoOutput, Dialect kDialect = Dialect{}>
constexpr Operation operation(std::string_view name) {
  return Operation{name, &detail::run<detail::Handler<decltype(Fn)>, Fn, kInput, kOutput, kDialect>, kInput};
}

inline ServiceError invalid_argument(std::string text) { return {"InvalidArgumentException", 400, std::move(text)}; }

}  // namespace millrace::services
