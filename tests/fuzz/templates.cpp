// Mapping templates. The input is three texts between bytes 0xff: the template, the body, the query; none of them has
// that byte.
#include <chrono>

#include "fuzz/fuzz.hpp"
#include "gateway/vtl/nodes.hpp"
#include "gateway/vtl/template.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  using namespace millrace::gateway::vtl;
  using fuzz::require;
  fuzz::Input input(data, size);
  const std::string_view source = input.until('\xff'), body = input.until('\xff'), query = input.rest();

  auto compiled = Template::compile(std::string(source));
  if (!compiled) {
    const TemplateError& error = compiled.error();
    require(!error.what.empty(), "an error says what is wrong");
    require(error.at.line >= 1 && error.at.column >= 1 &&
                error.at.line <= 1 + static_cast<std::size_t>(std::count(source.begin(), source.end(), '\n')),
            "an error says where");
    return 0;
  }

  http::Headers headers;
  headers.add("Content-Type", "application/json");
  headers.add("X-Text", query);
  const RequestFacts::PathParameter parameter{"name", std::string(query)};
  RequestFacts facts;
  facts.account_id = "000000000000";
  facts.api_id = "abcdefghij";
  facts.http_method = "POST";
  facts.path = "/PROD/v1";
  facts.protocol = "HTTP/1.1";
  facts.request_id = "123e4567-e89b-42d3-a456-426614174000";
  facts.source_ip = "127.0.0.1";
  facts.stage = "PROD";
  facts.time = TimePoint{std::chrono::seconds{1'767'225'600}};
  facts.path_parameters = {&parameter, 1};
  facts.query = query;
  facts.headers = &headers;

  Outcome first;
  std::string text;
  Overrides overrides;
  for (int round = 0; round < 2; ++round) {
    Buffer out;
    Overrides set;
    const Outcome outcome = compiled->evaluate(facts, body, set, out);
    require(out.size() <= Template::kOutputBytesMax + size, "the output has a limit");
    require(outcome.code == Outcome::Code::done || !outcome.detail.empty(), "a failure says what is wrong");
    require(set.status == 0 || (set.status >= 200 && set.status <= 599), "a status ends a reply");
    require(set.headers.size() <= 64, "headers have a limit");
    for (const auto& [name, value] : set.headers) {
      require(is_header_name(name), "a header's name is one");
      for (const char c : value)
        require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f, "a header's value is one line");
    }
    if (round == 0) {
      first = outcome;
      text = out.view();
      overrides = set;
    } else {
      require(outcome.code == first.code && outcome.detail == first.detail, "an evaluation leaves nothing behind");
      if (outcome.code == Outcome::Code::done)
        require(out.view() == text && set.status == overrides.status && set.headers == overrides.headers,
                "and twice the same gives the same");
    }
  }
  return 0;
}
