#pragma once
#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>

namespace millrace {

/// What a layer says when something expected goes wrong. `Code` is the layer's own enum; `detail` (file, offset, errno
/// text) is for our log only and never reaches a client.
template <class Code>
struct ErrorOf {
  Code code;
  std::string detail;
};

/// Called by result::value() on an error; taking the value without a look is a bug of the caller.
template <class Code>
[[noreturn]] void throw_exception_from_error(const ErrorOf<Code>& error, const boost::source_location&) {
  throw std::logic_error("value taken from an error: " + error.detail);
}

/// Each layer declares: enum class Errc {...}; using Error = ErrorOf<Errc>; template <class T> using Result =
/// ResultOf<T, Error>;
template <class T, class E>
using ResultOf = boost::system::result<T, E>;

}  // namespace millrace
