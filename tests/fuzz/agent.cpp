// agent.json, and then a file's bytes as its flows take them: in pieces of any size they give the same records, of
// which none is too long, and nothing is lost between them. Checkpoints: what is read is written as it was. The first
// byte says which of them, and in what pieces; then the JSON, a NUL, and the bytes.
#include <algorithm>

#include "agent/checkpoints.hpp"
#include "agent/splitter.hpp"
#include "fuzz/fuzz.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::agent {
namespace {

using fuzz::require;

constexpr std::size_t kBytesMax = 64;

struct Split {
  std::vector<std::string> records;
  std::uint64_t at = 0;
};

Split split(const Flow& flow, const Pattern* start, std::string_view bytes, std::size_t piece) {
  Split out;
  bool first = true;
  const Emit emit = [&](std::string record, Range range) {
    require(record.size() <= kBytesMax, "a record is no longer than it may be");
    require(first || range.begin == out.at, "records follow each other");
    require(range.end > range.begin, "a record is of something");
    first = false;
    out.at = range.end;
    out.records.push_back(std::move(record));
  };
  Splitter splitter(start, 0, flow.skip_lines, kBytesMax, flow.terminator);
  for (std::string_view rest = bytes; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) {
    splitter.feed(rest.substr(0, piece), emit);
    require(splitter.begun() <= splitter.read(), "what was given was read");
  }
  require(splitter.read() == bytes.size(), "all is read");
  splitter.end(emit);
  require(first || out.at == bytes.size(), "the last one ends where the file does");
  return out;
}

void check_flows(std::string_view json, std::string_view bytes, std::size_t piece) {
  const auto parsed = parse_settings(json, "/etc/agent.json");
  if (const auto* wrong = std::get_if<1>(&parsed)) {
    require(!wrong->empty(), "what is refused is told");
    for (const std::string& one : *wrong) require(one.find('\n') == one.npos, "a message is one line");
    return;
  }
  for (const Flow& flow : std::get<Settings>(parsed).flows) {
    if (flow.terminator.size() >= kBytesMax) continue;
    std::optional<Pattern> start;
    if (!flow.start_pattern.empty()) start.emplace(flow.start_pattern);
    const Split whole = split(flow, start ? &*start : nullptr, bytes, bytes.size() + 1);
    require(split(flow, start ? &*start : nullptr, bytes, piece).records == whole.records, "pieces do not matter");
    const Conversions conversions(flow.processing);
    const bool to_json = !flow.processing.empty() && flow.processing.back().kind != Processing::Kind::single_line;
    for (const std::string& record : whole.records) {
      const auto converted = conversions.apply(record);
      if (!converted || !to_json) continue;
      codec::JsonReader reader(*converted);
      require(!reader.skip_value().empty() && reader.at_end(), "what is said to be JSON is");
    }
  }
}

void check_checkpoints(std::string_view text) {
  const auto read = read_checkpoints(text);
  if (!std::holds_alternative<Checkpoints>(read)) return;
  const auto again = read_checkpoints(write_checkpoints(std::get<Checkpoints>(read)));
  require(std::holds_alternative<Checkpoints>(again), "what is written can be read");
  require(std::get<Checkpoints>(again) == std::get<Checkpoints>(read), "and is the same");
}

}  // namespace
}  // namespace millrace::agent

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  millrace::fuzz::Input input(data, size);
  const std::uint8_t how = input.byte();
  const std::string_view rest = input.rest();
  if (how == 0) {
    millrace::agent::check_checkpoints(rest);
    return 0;
  }
  const std::size_t end = std::min(rest.find('\0'), rest.size());
  millrace::agent::check_flows(rest.substr(0, end), rest.substr(std::min(end + 1, rest.size())), how);
  return 0;
}
