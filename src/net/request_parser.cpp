#include "net/request_parser.hpp"

#include <boost/beast/http/error.hpp>
#include <functional>
#include <utility>

namespace millrace::net {

namespace beast_http = boost::beast::http;

namespace {

/// Whether the request line that `bytes` begins with names another HTTP version: "HTTP/2.0".
bool other_version(std::string_view bytes) noexcept {
  const std::string_view line = bytes.substr(0, bytes.find('\r'));
  const auto space = line.rfind(' ');
  if (space == std::string_view::npos) return false;
  const std::string_view version = line.substr(space + 1);
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return version.size() == 8 && version.starts_with("HTTP/") && digit(version[5]) && version[6] == '.' &&
         digit(version[7]) && version != "HTTP/1.0" && version != "HTTP/1.1";
}

/// Whether a head that goes on like `bytes`, seen before up to `seen`, can no longer end well: a line has no carriage
/// return, or the empty line has come and the line before it is not over.
bool lost(std::string_view bytes, std::size_t seen) noexcept {
  for (auto feed = bytes.find('\n', seen); feed != std::string_view::npos; feed = bytes.find('\n', feed + 1))
    if (feed == 0 || bytes[feed - 1] != '\r' || bytes.substr(0, feed).ends_with("\r\n\r")) return true;
  return false;
}

std::string_view view(boost::beast::string_view text) noexcept { return {text.data(), text.size()}; }

}  // namespace

RequestParser::Step RequestParser::parse_head(std::string_view bytes, std::size_t& consumed) {
  buffer_ = bytes;
  ErrorCode error;
  consumed = put(boost::asio::buffer(bytes.data(), bytes.size()), error);
  if (!error) return Step::done;
  // Beast asks for more until the empty line has come, and for some heads after it: their peers would wait in vain.
  if (error == beast_http::error::need_more) {
    const std::string_view left = bytes.substr(consumed);
    const std::size_t seen = std::exchange(seen_, left.size());
    return lost(left, seen > consumed ? seen - consumed : 0) ? Step::failed : Step::need_more;
  }
  if (error == beast_http::error::header_limit)
    status_ = 431;
  else if (error == beast_http::error::bad_version && other_version(bytes.substr(consumed)))
    status_ = 505;
  return Step::failed;
}

void RequestParser::on_request_impl(Verb, Text method, Text target, int version, ErrorCode&) {
  method_ = view(method);
  target_ = view(target);
  version_ = version;
}

void RequestParser::on_field_impl(Field field, Text name, Text value, ErrorCode& error) {
  if (in_body_) return;  // trailers are not part of what a handler sees
  switch (field) {
    case Field::transfer_encoding:
      // A coding not undone here would leave the body's end unknown, and the rest taken for another request.
      if (version_ < 11) {
        error = beast_http::error::bad_transfer_encoding;
      } else if (!http::same_token(view(value), "chunked")) {
        status_ = 501;
        error = beast_http::error::bad_transfer_encoding;
      }
      transfer_coding_ = true;
      break;
    case Field::content_length:
      if (transfer_coding_) error = beast_http::error::bad_content_length;
      break;
    case Field::host:
      if (++hosts_ > 1) error = beast_http::error::bad_field;
      break;
    case Field::expect:
      expects_continue_ = version_ >= 11 && http::same_token(view(value), "100-continue");
      break;
    default:
      break;
  }
  if (error) return;
  const std::less<> before;
  std::string_view text = view(value);
  if (!text.empty() && (before(text.data(), buffer_.data()) || !before(text.data(), buffer_.data() + buffer_.size())))
    text = folded_.emplace_front(text);
  headers_.add(view(name), text);
}

void RequestParser::on_header_impl(ErrorCode& error) {
  in_body_ = true;
  if (version_ >= 11 && hosts_ == 0) error = beast_http::error::bad_field;
}

RequestParser::Step RequestParser::parse_chunks(std::string_view bytes, std::size_t& consumed,
                                                std::string_view& piece) {
  // Between chunks at least "0\r\n\r\n" is still to come; Beast takes less for granted not to be asked about.
  constexpr std::size_t kLeastTail = 5;
  consumed = 0;
  piece = {};
  while (!is_done()) {
    if (bytes.size() < (chunk_left_ == 0 ? kLeastTail : 1)) return Step::need_more;
    piece_ = {};
    ErrorCode error;
    const std::size_t used = put(boost::asio::buffer(bytes.data(), bytes.size()), error);
    consumed += used;
    bytes.remove_prefix(used);
    if (error == beast_http::error::need_more) return Step::need_more;
    if (error) return Step::failed;
    if (!piece_.empty()) {
      piece = piece_;
      return Step::need_more;
    }
  }
  return Step::done;
}

void RequestParser::on_chunk_header_impl(std::uint64_t size, Text extensions, ErrorCode& error) {
  for (const char c : extensions)
    if (static_cast<unsigned char>(c) < ' ' && c != '\t') error = beast_http::error::bad_chunk_extension;
  chunk_left_ = size;
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t remain, Text body, ErrorCode&) {
  piece_ = view(body);
  chunk_left_ = remain - body.size();
  return body.size();
}

}  // namespace millrace::net
