#pragma once
#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <string_view>

#include "millrace/base/http.hpp"
#include "net/request_target.hpp"

namespace millrace::net {

/// One request's head, and its chunked body, out of the read buffer. Beast knows the protocol; fields become views into
/// the buffer, without an allocation each. What Beast lets pass and a front must not (unknown transfer codings, a
/// length given twice, folded lines, two Host fields) is refused here. Every form and its answer: docs/http.md.
class RequestParser final : public boost::beast::http::basic_parser<true> {
 public:
  static constexpr std::size_t kFieldsMax = 256;  // of a head: each takes memory beside the buffer

  /// Fields go to `headers`, whose views live as long as the buffer and this parser.
  RequestParser(http::Headers& headers, std::size_t head_bytes_max)
      : headers_(headers), head_bytes_max_(head_bytes_max) {
    header_limit(static_cast<std::uint32_t>(head_bytes_max));
    body_limit(boost::none);
  }

  enum class Step { done, need_more, failed };
  /// Parses what stands in `bytes`; `consumed` of them are used up. Done: the head is complete.
  Step parse_head(std::string_view bytes, std::size_t& consumed);
  /// After parse_head() failed: what to answer.
  int status() const noexcept { return status_; }
  void reject(int status) noexcept { status_ = status; }

  std::string_view method() const noexcept { return method_; }
  std::string_view target() const noexcept { return target_; }
  /// The target without scheme and authority, as far as '?'; empty for "*".
  std::string_view path() const noexcept { return parts_.path; }
  std::string_view query() const noexcept { return parts_.query; }
  bool http11() const noexcept { return version_ == 11; }
  bool expects_continue() const noexcept { return expects_continue_; }

  /// The next piece of a chunked body, a view into `bytes` (empty: none yet). Done: the body has ended.
  Step parse_chunks(std::string_view bytes, std::size_t& consumed, std::string_view& piece);

 private:
  using Verb = boost::beast::http::verb;
  using Field = boost::beast::http::field;
  using Text = boost::beast::string_view;
  using ErrorCode = boost::beast::error_code;

  void on_request_impl(Verb, Text method, Text target, int version, ErrorCode&) override;
  void on_response_impl(int, Text, int, ErrorCode&) override {}
  void on_field_impl(Field field, Text name, Text value, ErrorCode& error) override;
  void on_header_impl(ErrorCode& error) override;
  void on_body_init_impl(boost::optional<std::uint64_t> const&, ErrorCode&) override {}
  std::size_t on_body_impl(Text body, ErrorCode&) override { return body.size(); }
  void on_chunk_header_impl(std::uint64_t size, Text extensions, ErrorCode& error) override;
  std::size_t on_chunk_body_impl(std::uint64_t remain, Text body, ErrorCode&) override;
  void on_finish_impl(ErrorCode&) override {}
  bool folded(std::string_view name, std::string_view value) const noexcept;

  http::Headers& headers_;
  const std::size_t head_bytes_max_;
  std::string_view buffer_;  // what is being parsed
  std::string_view method_, target_, piece_;
  RequestTarget parts_;
  std::size_t seen_ = 0;  // bytes that the head's last unfinished part had
  std::uint64_t chunk_left_ = 0;
  int version_ = 0, status_ = 400, hosts_ = 0, lengths_ = 0;
  bool in_body_ = false, expects_continue_ = false, transfer_coding_ = false;
};

}  // namespace millrace::net
