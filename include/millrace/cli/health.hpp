#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/result.hpp"

namespace millrace::cli {

/// `detail` is the whole message.
enum class Errc { unreachable = 1, bad_url, bad_answer };
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

struct HttpAnswer {
  int status = 0;
  std::string body;
};

/// GET `path` of the daemon at `url` ("http://host:port"), all within `timeout`.
Result<HttpAnswer> http_get(std::string_view url, std::string_view path, std::chrono::milliseconds timeout);

/// Where a client reaches what listens on `address`: 0.0.0.0 is reached by 127.0.0.1. Nothing for port 0.
std::optional<std::string> url_of_listener(std::string_view address);

}  // namespace millrace::cli
