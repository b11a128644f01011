// A reply's head: whatever a handler puts in its fields' values, the peer reads as many fields as were meant. The input
// is flags, a status, then by turns a field's name, which is made a token as handlers check it to be one, and its
// value.
#include "net/reply_head.hpp"

#include <cctype>
#include <deque>
#include <string>
#include <vector>

#include "fuzz/fuzz.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using fuzz::require;
  fuzz::Input input(data, size);
  const unsigned flags = input.byte();
  net::HeadFrame frame;
  frame.http11 = flags & 1;
  frame.keep_alive = flags & 2;
  frame.chunked = flags & 4;
  if (flags & 8) frame.length = input.number(flags & 16 ? 8 : 2);
  frame.date = "Fri, 20 Nov 2026 20:44:00 GMT";
  const int status = 100 + static_cast<int>(input.number(2) % 900);
  std::deque<std::string> names;
  std::vector<http::Header> fields;
  while (!input.empty()) {
    std::string& name = names.emplace_back(input.until('\x1f'));
    for (char& c : name)
      if (!std::isalnum(static_cast<unsigned char>(c))) c = '-';
    if (name.empty()) name = "X";
    fields.push_back({name, input.until('\x1f')});
  }
  Buffer out;
  net::render_head({status, fields}, frame, out);

  std::string_view text = out.view();
  require(text.size() >= 4 && text.find("\r\n\r\n") == text.size() - 4, "a head ends once");
  text.remove_suffix(2);
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find("\r\n");
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end + 2);
    require(lines.back().find_first_of("\r\n") == std::string_view::npos, "no line breaks inside a line");
  }
  const std::string first = "HTTP/1.1 " + std::to_string(status) + " ";
  require(lines[0].starts_with(first), "the status comes first");
  const auto count = [&](std::string_view name) {
    int found = 0;
    for (const std::string_view line : lines)
      found +=
          line.size() > name.size() && line[name.size()] == ':' && http::same_token(line.substr(0, name.size()), name);
    return found;
  };
  std::size_t own = 0;
  for (const http::Header& field : fields)
    for (const char* name : {"Content-Length", "Connection", "Transfer-Encoding", "Date"})
      own += http::same_token(field.name, name);
  const int lengths = count("Content-Length"), codings = count("Transfer-Encoding"), connections = count("Connection");
  require(lines.size() == 1 + fields.size() - own + static_cast<std::size_t>(lengths + codings + connections) + 1,
          "each field is a line, and the transport's own come on top");
  require(count("Date") == 1, "the date is the transport's");
  require(lengths == (frame.length ? 1 : 0), "the length is the transport's");
  require(codings == (!frame.length && frame.chunked ? 1 : 0), "the coding is the transport's");
  require(connections == (frame.keep_alive && frame.http11 ? 0 : 1),
          "whether the connection goes on is the transport's");
  return 0;
}
