// What is signed of a request: a query whose parameters come in another order, a path that goes about, and header
// fields with more blanks mean the same. Parts of a signature, and times.
#include "millrace/codec/sigv4.hpp"

#include <algorithm>
#include <string>
#include <vector>

#include "fuzz/fuzz.hpp"

namespace millrace {
namespace {

using fuzz::require;
namespace sigv4 = codec::sigv4;

void check_request(std::string_view path, std::string_view query, std::string_view value) {
  http::Request request;
  request.method = "GET";
  request.path = path;
  request.query = query;
  request.headers.add("x-a", value);
  const std::string canonical = sigv4::canonical_request(request, "x-a", "hash");
  require(std::count(canonical.begin(), canonical.end(), '\n') == 6 + std::count(value.begin(), value.end(), '\n'),
          "a request has its lines");

  std::vector<std::string_view> parameters;
  for (std::string_view left = query; !left.empty();) {
    parameters.push_back(left.substr(0, left.find('&')));
    left.remove_prefix(std::min(left.size(), parameters.back().size() + 1));
  }
  std::string reversed;
  for (auto at = parameters.rbegin(); at != parameters.rend(); ++at) reversed.append(*at).append("&");
  request.query = reversed;
  require(sigv4::canonical_request(request, "x-a", "hash") == canonical, "the order of parameters means nothing");

  request.query = query;
  const std::string about = "/." + std::string(path);
  if (path.starts_with('/')) request.path = about;
  require(sigv4::canonical_request(request, "x-a", "hash") == canonical, "a path that goes about is the same");

  http::Request blanks;
  blanks.method = "GET";
  blanks.path = path;
  blanks.query = query;
  const std::string more = "  " + std::string(value) + " \t ";
  blanks.headers.add("X-A", more);
  require(sigv4::canonical_request(blanks, "x-a", "hash") == canonical, "blanks around mean nothing");
}

void check_time(std::string_view text) {
  const auto time = sigv4::parse_time(text);
  if (!time) return;
  const std::string basic = sigv4::time_text(*time);
  require(sigv4::parse_time(basic) == time, "a time is read as it is written");
  const bool leap_second = text.substr(text.size() == 16 ? 13 : 23, 2) == "60";
  if (text.size() == 16 && !leap_second) require(basic == text, "a time in the basic format stays");
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  fuzz::Input input(data, size);
  const std::uint8_t what = input.byte();
  const std::string_view text = input.rest();
  if (what == 't') {
    check_time(text);
  } else if (what == 'c') {
    if (const auto credential = codec::sigv4::parse_credential(text)) {
      std::string again(credential->access_key_id);
      for (const std::string_view part :
           {credential->date, credential->region, credential->service, credential->terminator})
        again.append("/").append(part);
      fuzz::require(again == text, "a credential is its parts");
    }
  } else {
    const std::size_t first = std::min(text.find('\n'), text.size());
    const std::string_view left = text.substr(std::min(first + 1, text.size()));
    const std::size_t second = std::min(left.find('\n'), left.size());
    check_request(text.substr(0, first), left.substr(0, second), left.substr(std::min(second + 1, left.size())));
  }
  return 0;
}
