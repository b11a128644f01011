#pragma once
#include <algorithm>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/fuzz.hpp"
#include "fuzz/pieces.hpp"
#include "net/request_parser.hpp"

/// What RequestParser makes of a stream of bytes that comes in pieces.
namespace millrace::fuzz {

struct ParsedRequest {
  std::string method, target;
  bool http11 = false;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  friend bool operator==(const ParsedRequest&, const ParsedRequest&) = default;
};

struct ParsedStream {
  enum class End {
    more,           ///< between requests, or in the middle of one
    bad_head,       ///< refused with `status`
    bad_body,       ///< the framing of a chunked body is broken
    no_keep_alive,  ///< the last request ends the connection
  };
  std::vector<ParsedRequest> requests;  ///< those that came whole
  End end = End::more;
  int status = 0;
  std::size_t consumed = 0;    ///< bytes of whole requests
  std::size_t head_begin = 0;  ///< of the last request
  bool cut_in_body = false;    ///< the head of one more request came whole
  ParsedRequest cut;           ///< and that is it
  friend bool operator==(const ParsedStream&, const ParsedStream&) = default;
};

/// Parses as a connection does, with the bytes where they are: `pieces` says how much of them is there.
inline ParsedStream parse_stream(std::string_view bytes, Pieces pieces, std::size_t head_bytes_max) {
  using net::RequestParser;
  ParsedStream stream;
  std::size_t begin = 0, there = 0;
  const auto more = [&] {
    if (there == bytes.size()) return false;
    there += std::min(pieces.next(), bytes.size() - there);
    return true;
  };
  for (;;) {
    http::Headers headers;
    RequestParser parser(headers, head_bytes_max);
    for (;;) {
      while (bytes.substr(begin, there - begin).starts_with("\r\n")) begin += 2;
      const std::string_view unread = bytes.substr(begin, there - begin);
      if (!unread.empty() && unread != "\r") break;
      if (!more()) return stream;
    }
    const std::size_t head_begin = stream.head_begin = begin;
    for (;;) {
      std::size_t used = 0;
      const RequestParser::Step step = parser.parse_head(bytes.substr(begin, there - begin), used);
      require(used <= there - begin, "no more is used than is there");
      begin += used;
      bool failed = step == RequestParser::Step::failed;
      if (!failed && (step == RequestParser::Step::done ? begin : there) - head_begin > head_bytes_max) {
        parser.reject(431);
        failed = true;
      }
      if (failed) {
        stream.end = ParsedStream::End::bad_head;
        stream.status = parser.status();
        return stream;
      }
      if (step == RequestParser::Step::done) break;
      if (!more()) return stream;
    }
    ParsedRequest request;
    request.method = parser.method();
    request.target = parser.target();
    request.http11 = parser.http11();
    for (const http::Header& header : headers) request.headers.emplace_back(header.name, header.value);
    const auto cut = [&] {
      stream.cut_in_body = true;
      request.body.clear();
      stream.cut = request;
    };
    if (parser.chunked()) {
      for (bool done = parser.is_done(); !done;) {
        std::size_t used = 0;
        std::string_view piece;
        const RequestParser::Step step = parser.parse_chunks(bytes.substr(begin, there - begin), used, piece);
        require(used <= there - begin, "no more is used than is there");
        begin += used;
        request.body += piece;
        done = step == RequestParser::Step::done;
        if (step == RequestParser::Step::failed) {
          cut();
          stream.end = ParsedStream::End::bad_body;
          return stream;
        }
        if (!done && piece.empty() && !more()) return cut(), stream;
      }
    } else {
      const std::uint64_t length = parser.content_length().value_or(0);
      while (there - begin < length)
        if (!more()) return cut(), stream;
      request.body = bytes.substr(begin, length);
      begin += length;
    }
    stream.requests.push_back(std::move(request));
    stream.consumed = begin;
    if (!parser.keep_alive()) {
      stream.end = ParsedStream::End::no_keep_alive;
      return stream;
    }
  }
}

}  // namespace millrace::fuzz
