// The parser of HTTP/1.1 requests: however a stream is cut, the same requests come out, and what comes out is sound.
// The input is a count of sizes, the sizes of the pieces, and the stream.
#include "fuzz/http1.hpp"

#include <optional>

#include "codec/exact_copy.hpp"

namespace millrace::fuzz {
namespace {

constexpr std::size_t kHeadBytesMax = 1024;  // small, so that it is met

bool token_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (c != 0 && std::strchr("!#$%&'*+-.^_`|~", c));
}
bool token(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), token_character); }

/// What a head must be to be let in, so that no other program on the way can take it for something else.
void check_request(const ParsedRequest& request) {
  require(token(request.method), "a method is a token");
  require(!request.target.empty(), "a target is not empty");
  for (const char c : request.target)
    require(static_cast<unsigned char>(c) > ' ' && c != '\x7f', "a target has no blanks or control characters");
  int hosts = 0, codings = 0, lengths = 0;
  std::string_view length;
  for (const auto& [name, value] : request.headers) {
    require(token(name), "a field's name is a token");
    require(value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos, "a field's value is one line");
    require(
        value.empty() || (value.front() != ' ' && value.front() != '\t' && value.back() != ' ' && value.back() != '\t'),
        "no blanks stand around a value");
    hosts += http::same_token(name, "Host");
    if (http::same_token(name, "Transfer-Encoding")) {
      ++codings;
      require(http::same_token(value, "chunked"), "no coding but chunked");
    }
    if (http::same_token(name, "Content-Length")) {
      require(++lengths == 1 || value == length, "two lengths are the same");
      length = value;
      require(!value.empty() && value.find_first_not_of("0123456789") == std::string::npos, "a length is digits");
      require(
          std::to_string(request.body.size()) == value.substr(std::min(value.find_first_not_of('0'), value.size() - 1)),
          "a body has the length announced");
    }
  }
  require(hosts <= 1 && (hosts == 1 || !request.http11), "one Host field, which HTTP/1.1 must have");
  require(codings <= 1 && (codings == 0 || (request.http11 && lengths == 0)), "a body is framed in one way");
  require(codings == 1 || lengths > 0 || request.body.empty(), "a body is framed");
}

/// Reads a chunked body strictly by RFC 9112 section 7.1; nothing when it is no such body or does not end.
std::optional<std::string> dechunked(std::string_view text, std::size_t& used) {
  std::string body;
  const std::size_t whole = text.size();
  for (;;) {
    const std::size_t digits = text.find_first_not_of("0123456789abcdefABCDEF");
    if (digits == 0 || digits == std::string_view::npos || digits > 16) return std::nullopt;
    const std::uint64_t size = std::stoull(std::string(text.substr(0, digits)), nullptr, 16);
    const std::size_t line = text.find("\r\n");
    if (line == std::string_view::npos) return std::nullopt;
    text.remove_prefix(line + 2);
    if (size == 0) break;
    if (text.size() < size + 2 || text.substr(size, 2) != "\r\n") return std::nullopt;
    body += text.substr(0, size);
    text.remove_prefix(size + 2);
  }
  for (;;) {  // trailers
    const std::size_t line = text.find("\r\n");
    if (line == std::string_view::npos) return std::nullopt;
    text.remove_prefix(line + 2);
    if (line == 0) break;
  }
  used = whole - text.size();
  return body;
}

/// The last request that came whole, again from its first byte: its end and its body by another reading.
void check_body(std::string_view bytes, const ParsedStream& stream) {
  if (stream.requests.size() != 1) return;
  const ParsedRequest& only = stream.requests[0];
  const std::size_t head_end = bytes.find("\r\n\r\n", bytes.find_first_not_of("\r\n"));
  require(head_end != std::string_view::npos, "a head ends with an empty line");
  const std::string_view rest = bytes.substr(head_end + 4);
  std::size_t used = 0;
  bool chunked = false;
  for (const auto& header : only.headers) chunked |= http::same_token(header.first, "Transfer-Encoding");
  if (!chunked) return;
  const auto body = dechunked(rest, used);
  require(body.has_value(), "a chunked body that is taken is one");
  require(*body == only.body, "its bytes are those of the chunks");
  require(head_end + 4 + used == stream.consumed, "and it ends where its trailers end");
}

/// The stream in pieces comes to the same. Only a head that does not end within its limit may be refused sooner or
/// later, and one with a bare line feed for that or for another reason.
void check_pieces(std::string_view bytes, const ParsedStream& whole, const Pieces& pieces) {
  ParsedStream cut = parse_stream(bytes, pieces, kHeadBytesMax);
  using End = ParsedStream::End;
  const auto undecided = [](const ParsedStream& s) {
    return s.end == End::bad_head || (s.end == End::more && !s.cut_in_body);
  };
  const std::string_view head = bytes.substr(whole.head_begin).substr(0, kHeadBytesMax);
  const std::size_t head_end = head.find("\r\n\r\n");
  bool bare = false;
  for (std::size_t at = head.find('\n'); at < head_end; at = head.find('\n', at + 1))
    bare |= at == 0 || head[at - 1] != '\r';
  if (!undecided(whole) || head_end != std::string_view::npos) {
    // The words taken for another version may have come while the rest of the line has not, or the other way round.
    const auto version = [](const ParsedStream& s) { return s.status == 505 || s.status == 400; };
    const bool early = version(cut) && version(whole);
    if ((bare || early) && cut.end == End::bad_head) cut.status = whole.status;
    require(cut == whole, "pieces change nothing");
    return;
  }
  require(undecided(cut) && cut.requests == whole.requests, "pieces change no request");
  if (bytes.size() - whole.head_begin > kHeadBytesMax)
    require(whole.end == End::bad_head && cut.end == End::bad_head, "a head without end is refused");
  constexpr std::size_t kLineEnds = 4;
  const bool may_fit = bytes.size() - whole.head_begin + kLineEnds <= kHeadBytesMax;
  if (whole.end == End::more && !bare && may_fit)
    require(cut.end == End::more, "what may go on as a whole may go on in pieces");
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::fuzz;
  Input input(data, size);
  const std::size_t count = input.byte() % 16;
  const Pieces pieces(input.text(count));
  const millrace::codec::ExactCopy bytes(input.rest());
  const ParsedStream whole = parse_stream(bytes.view(), Pieces({}), kHeadBytesMax);
  check_pieces(bytes.view(), whole, pieces);
  check_pieces(bytes.view(), whole, Pieces(std::string_view("\0", 1)));
  for (const ParsedRequest& request : whole.requests) check_request(request);
  check_body(bytes.view(), whole);
  return 0;
}
