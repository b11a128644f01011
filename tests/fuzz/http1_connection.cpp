// A whole connection over a pair of sockets: it never hangs, answers what the parser makes of the stream, and every
// reply is one. The input is the handler, a byte of flags, a count of sizes, the sizes of the pieces, and the stream.
#include <charconv>
#include <optional>

#include "fuzz/connection.hpp"
#include "fuzz/http1.hpp"

namespace millrace::fuzz {
namespace {

constexpr std::size_t kHeadBytesMax = 1024;

struct Reply {
  int status = 0;
  std::string body;
  bool whole = false, close = false;
};

/// Takes one reply off `text`; nothing but a cut one is let pass.
Reply take_reply(std::string_view& text, bool to_head) {
  Reply reply;
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    text = {};
    return reply;
  }
  std::string_view head = text.substr(0, end + 2);
  text.remove_prefix(end + 4);
  require(head.starts_with("HTTP/1.1 ") && head.size() > 14, "a reply begins with its status");
  require(std::from_chars(head.data() + 9, head.data() + 12, reply.status).ec == std::errc{} && reply.status >= 100,
          "a status is three digits");
  head.remove_prefix(head.find("\r\n") + 2);
  bool chunked = false;
  std::optional<std::size_t> length;
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(line.size() + 2);
    const std::size_t colon = line.find(": ");
    require(colon != std::string_view::npos, "a field is a name and a value");
    const std::string_view name = line.substr(0, colon), value = line.substr(colon + 2);
    if (name == "Content-Length") {
      std::size_t number = 0;
      require(!length && std::from_chars(value.data(), value.data() + value.size(), number).ec == std::errc{},
              "one length");
      length = number;
    }
    chunked |= name == "Transfer-Encoding";
    reply.close |= name == "Connection" && value == "close";
  }
  require(!(chunked && length), "a reply is framed in one way");
  if (to_head || reply.status < 200 || reply.status == 204 || reply.status == 304) {
    reply.whole = true;
  } else if (chunked) {
    for (;;) {
      const std::size_t line = text.find("\r\n");
      if (line == std::string_view::npos) return text = {}, reply;
      std::size_t size = 0;
      const auto [at, error] = std::from_chars(text.data(), text.data() + line, size, 16);
      require(error == std::errc{} && at == text.data() + line, "a chunk has a size");
      if (text.size() < line + 2 + size + 2) return text = {}, reply;
      reply.body += text.substr(line + 2, size);
      require(text.substr(line + 2 + size, 2) == "\r\n", "a chunk ends");
      text.remove_prefix(line + 2 + size + 2);
      if (size == 0) break;
    }
    reply.whole = true;
  } else if (length) {
    reply.body = text.substr(0, *length);
    reply.whole = text.size() >= *length;
    text.remove_prefix(reply.body.size());
  } else {
    require(reply.close, "a reply without a length ends with the connection");
    reply.body = text;
    text = {};
    reply.whole = true;
  }
  return reply;
}

void check(Answers::Way way, unsigned flags, Pieces pieces, std::string_view bytes) {
  if (bytes.starts_with(net::kHttp2Preface)) return;  // another target's
  Answers answers(way);
  const std::string received = converse(answers, kHeadBytesMax, flags, pieces, bytes);

  const ParsedStream parsed = parse_stream(bytes, Pieces({}), kHeadBytesMax);
  std::vector<ParsedRequest> expected = parsed.requests;
  if (parsed.cut_in_body) expected.push_back(parsed.cut);
  require(answers.asked.size() <= expected.size(), "no request is made up");
  for (std::size_t i = 0; i < answers.asked.size(); ++i) {
    const Answers::Asked& asked = answers.asked[i];
    require(asked.method == expected[i].method && asked.target == expected[i].target &&
                asked.headers == expected[i].headers,
            "a handler sees the request that came");
    require(asked.path.starts_with('/') || !asked.target.starts_with('/'), "a path begins with a slash");
    require(!asked.path.empty() && asked.path.find('?') == std::string::npos,
            "a path is not empty and ends before the query");
    if (asked.body_whole)
      require(i < parsed.requests.size() && asked.body == expected[i].body, "and the body that came");
  }

  // A head that does not end may be refused sooner in pieces, or later, or wait for its end.
  const bool undecided =
      parsed.end == ParsedStream::End::bad_head || (parsed.end == ParsedStream::End::more && !parsed.cut_in_body);
  const bool head_ends =
      bytes.substr(parsed.head_begin).substr(0, kHeadBytesMax).find("\r\n\r\n") != std::string_view::npos;
  std::string_view text = received;
  std::size_t replies = 0;
  bool ended = false;
  while (!text.empty()) {
    require(!ended, "nothing follows a reply that ends the connection");
    if (text.starts_with("HTTP/1.1 100 ")) {
      require(take_reply(text, false).whole, "an interim reply is whole");
      continue;
    }
    const bool rejection = replies == answers.asked.size();
    require(replies <= answers.asked.size(), "there is one reply a request, and one to what is none");
    if (rejection) require(undecided, "only what is no request is rejected");
    const bool to_head = !rejection && answers.asked[replies].method == "HEAD";
    const Reply reply = take_reply(text, to_head || rejection);
    ++replies;
    if (rejection) require(reply.close && text.empty(), "a rejection ends the connection");
    if (!reply.whole) require(text.empty(), "a reply that is cut is the last");
    if (way == Answers::echo && reply.whole && !rejection && !to_head && reply.status == 200)
      require(reply.body == answers.asked[replies - 1].body, "the reply is the one sent");
    if (way == Answers::throws && !rejection) require(reply.status == 500, "a handler that throws is a 500");
    ended = reply.close;
  }
  // With a handler that takes all, all is answered.
  if (way == Answers::echo) {
    require(answers.asked.size() == expected.size(), "every request is handled");
    if (parsed.end == ParsedStream::End::bad_head && head_ends)
      require(replies == answers.asked.size() + 1, "what is no request is rejected");
  }
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return millrace::fuzz::check_connection(data, size, millrace::fuzz::check);
}
