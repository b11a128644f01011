#include "net/request_parser.hpp"

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <utility>

namespace millrace::net {

namespace beast_http = boost::beast::http;

namespace {

bool digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// Whether the request line that `bytes` begins with names another HTTP version: "HTTP/2.0".
bool other_version(std::string_view bytes) noexcept {
  const std::string_view line = bytes.substr(0, bytes.find('\r'));
  const auto space = line.rfind(' ');
  if (space == std::string_view::npos) return false;
  const std::string_view version = line.substr(space + 1);
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
  if (error == beast_http::error::header_limit)  // Beast says so of a long folded value too
    status_ = bytes.size() < head_bytes_max_ && headers_.size() < kFieldsMax ? 400 : 431;
  else if (error == beast_http::error::bad_version && other_version(bytes.substr(consumed)))
    status_ = 505;
  return Step::failed;
}

void RequestParser::on_request_impl(Verb, Text method, Text target, int version, ErrorCode& error) {
  method_ = view(method);
  target_ = view(target);
  version_ = version;
  if (!split_target(method_, target_, parts_)) error = beast_http::error::bad_target;
}

/// Whether a value went over more than one line: then it is either copied out of the buffer or stands behind a break.
bool RequestParser::folded(std::string_view name, std::string_view value) const noexcept {
  const char* const after_name = name.data() + name.size();
  const std::size_t between = reinterpret_cast<std::uintptr_t>(value.data()) -
                              reinterpret_cast<std::uintptr_t>(after_name);  // vast, where it was copied
  if (between <= 2) return false;                                            // the colon, and at most one blank
  return between > buffer_.size() || std::string_view(after_name, between).find('\n') != std::string_view::npos;
}

void RequestParser::on_field_impl(Field field, Text name, Text value, ErrorCode& error) {
  if (folded(view(name), view(value))) {
    error = beast_http::error::bad_obs_fold;
    return;
  }
  if (in_body_) return;  // trailers are not part of what a handler sees
  std::string_view text = view(value);
  switch (field) {
    case Field::transfer_encoding:
      // A coding not undone here would leave the body's end unknown, and the rest taken for another request.
      if (version_ < 11) {
        error = beast_http::error::bad_transfer_encoding;
      } else if (!http::same_token(text, "chunked")) {
        status_ = 501;
        error = beast_http::error::bad_transfer_encoding;
      }
      transfer_coding_ = true;
      break;
    case Field::content_length:
      // Beast takes lists and repetitions of one number; whoever stands in front may not.
      if (transfer_coding_ || ++lengths_ > 1 || !std::all_of(text.begin(), text.end(), digit))
        error = beast_http::error::bad_content_length;
      break;
    case Field::host:
      if (++hosts_ > 1 || !is_host(text)) error = beast_http::error::bad_field;
      if (!parts_.authority.empty()) text = parts_.authority;  // RFC 9112, 3.2.2: the field is passed over then
      break;
    case Field::expect:
      if (version_ < 11) break;
      if (http::same_token(text, "100-continue")) {
        expects_continue_ = true;
      } else {
        status_ = 417;
        error = beast_http::error::bad_value;
      }
      break;
    default:
      break;
  }
  if (!error && headers_.size() == kFieldsMax) error = beast_http::error::header_limit;
  if (!error) headers_.add(view(name), text);
}

void RequestParser::on_header_impl(ErrorCode& error) {
  in_body_ = true;
  if (version_ >= 11 && hosts_ == 0) error = beast_http::error::bad_field;
  if (hosts_ == 0 && !parts_.authority.empty()) headers_.add("Host", parts_.authority);
}

RequestParser::Step RequestParser::parse_chunks(std::string_view bytes, std::size_t& consumed,
                                                std::string_view& piece) {
  // Between chunks at least "0\r\n\r\n" is still to come; Beast takes less for granted not to be asked about.
  constexpr std::size_t kLeastTail = 5;
  buffer_ = bytes;
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
