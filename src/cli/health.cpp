#include "millrace/cli/health.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>
#include <charconv>

#include "cli/url.hpp"
#include "millrace/base/awaitable.hpp"

namespace millrace::cli {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;

constexpr std::size_t kAnswerBytesMax = 1u << 20;

awaitable<std::string> exchange(Url target, std::string request) {
  auto executor = co_await asio::this_coro::executor;
  tcp::resolver resolver(executor);
  tcp::resolver::results_type found = co_await resolver.async_resolve(target.host, target.port, use_awaitable);
  tcp::socket socket(executor);
  co_await asio::async_connect(socket, found, use_awaitable);
  co_await asio::async_write(socket, asio::buffer(request), use_awaitable);
  std::string answer;
  boost::system::error_code error;
  co_await asio::async_read(socket, asio::dynamic_buffer(answer, kAnswerBytesMax),
                            asio::redirect_error(use_awaitable, error));
  if (error && error != asio::error::eof && answer.empty()) throw boost::system::system_error(error);
  co_return answer;
}

}  // namespace

Result<HttpAnswer> http_get(std::string_view url, std::string_view path, std::chrono::milliseconds timeout) {
  auto target = parse_url(url);
  if (!target || target->tls)
    return Error{Errc::bad_url, "'" + std::string(url) + "' is not a URL like http://localhost:4566"};
  std::string request = "GET " + std::string(path) + " HTTP/1.0\r\nHost: " + target->authority + "\r\n\r\n";
  asio::io_context context;
  std::exception_ptr failure;
  std::optional<std::string> answer;
  asio::co_spawn(context.get_executor(), exchange(*target, std::move(request)),
                 [&](std::exception_ptr error, std::string text) {
                   failure = error;
                   answer = std::move(text);
                 });
  context.run_for(timeout);
  if (!answer)
    return Error{Errc::unreachable,
                 "no answer from " + std::string(url) + " within " + std::to_string(timeout.count()) + " ms"};
  try {
    if (failure) std::rethrow_exception(failure);
  } catch (const boost::system::system_error& e) {
    return Error{Errc::unreachable, "cannot reach " + std::string(url) + ": " + e.code().message()};
  }
  // "HTTP/1.1 200 OK"
  HttpAnswer result;
  const std::string& text = *answer;
  std::size_t space = text.find(' '), head_end = text.find("\r\n\r\n");
  if (!text.starts_with("HTTP/1.") || space == std::string::npos || head_end == std::string::npos ||
      std::from_chars(text.data() + space + 1, text.data() + text.size(), result.status).ec != std::errc{})
    return Error{Errc::bad_answer, std::string(url) + " does not answer in HTTP"};
  result.body = text.substr(head_end + 4);
  return result;
}

std::optional<std::string> url_of_listener(std::string_view address) {
  std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = address.substr(0, colon), port = address.substr(colon + 1);
  if (port.empty() || port == "0") return std::nullopt;
  if (host == "0.0.0.0") host = "127.0.0.1";
  if (host == "[::]") host = "[::1]";
  return "http://" + std::string(host) + ":" + std::string(port);
}

}  // namespace millrace::cli
