// The JSON reader against nlohmann::json: what is taken, and the events of the walk. The input is the text.
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "codec/exact_copy.hpp"
#include "codec/json_scan.hpp"
#include "fuzz/events.hpp"
#include "fuzz/fuzz.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::codec {
namespace {

using fuzz::Events, fuzz::require;

/// nlohmann's walk.
struct Listener final : nlohmann::json::json_sax_t {
  Events events;
  int depth = 0, depth_max = 0, error = 0;
  std::size_t error_position = 0;

  bool enter(char c) {
    events.mark(c);
    depth_max = std::max(depth_max, ++depth);
    return true;
  }
  bool leave(char c) {
    events.mark(c);
    --depth;
    return true;
  }
  bool null() override { return events.mark('n'), true; }
  bool boolean(bool value) override { return events.mark(value ? 't' : 'f'), true; }
  bool number_integer(std::int64_t value) override { return events.number('#', std::to_string(value)), true; }
  bool number_unsigned(std::uint64_t value) override { return events.number('#', std::to_string(value)), true; }
  bool number_float(double, const std::string& text) override { return events.number('#', text), true; }
  bool string(std::string& value) override { return events.string('"', value), true; }
  bool binary(nlohmann::json::binary_t&) override { return false; }
  bool start_object(std::size_t) override { return enter('{'); }
  bool key(std::string& value) override { return events.string('k', value), true; }
  bool end_object() override { return leave('}'); }
  bool start_array(std::size_t) override { return enter('['); }
  bool end_array() override { return leave(']'); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& what) override {
    error = what.id;
    error_position = position;
    return false;
  }
};

bool number_character(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/// What nlohmann makes of `text`; nothing: no JSON. A number beyond what a double holds, which it refuses, stands as 1.
std::optional<Listener> listened(std::string text) {
  constexpr int kNumberOverflow = 406;
  for (;;) {
    Listener listener;
    if (nlohmann::json::sax_parse(text, &listener)) return listener;
    if (listener.error != kNumberOverflow) return std::nullopt;
    std::size_t at = std::min(listener.error_position, text.size());
    while (at > 0 && !number_character(text[at - 1])) --at;
    while (at > 0 && number_character(text[at - 1])) text[--at] = ' ';
    text[at] = '1';
  }
}

/// Our number's text as nlohmann tells it.
std::string_view as_told(std::string_view number) {
  if (number == "-0") return "0";
  return std::isinf(std::strtod(std::string(number).c_str(), nullptr)) ? "1" : number;
}

/// Walks one value with the typed calls; `skip` makes it step over some values at once and walk their text apart.
bool walk(JsonReader& reader, Events& events, bool skip) {
  if (skip && reader.error_offset() % 3 == 0) {
    const std::string_view text = reader.skip_value();
    if (reader.failed()) return false;
    JsonReader inner(text);
    require(walk(inner, events, false) && inner.at_end(), "what was stepped over is one value");
    return true;
  }
  switch (reader.peek()) {
    case JsonType::object:
      if (!reader.begin_object()) return false;
      events.mark('{');
      for (std::string_view key; reader.next_member(key);) {
        events.string('k', key);
        if (!walk(reader, events, skip)) return false;
      }
      events.mark('}');
      return !reader.failed();
    case JsonType::array:
      if (!reader.begin_array()) return false;
      events.mark('[');
      while (reader.next_element())
        if (!walk(reader, events, skip)) return false;
      events.mark(']');
      return !reader.failed();
    case JsonType::string: {
      JsonString text;
      std::string scratch;
      if (!reader.read_string(text)) return false;
      events.string('"', json_text(text, scratch));
      return true;
    }
    case JsonType::number: {
      std::string_view text;
      if (!reader.read_number(text)) return false;
      events.number('#', as_told(text));
      return true;
    }
    case JsonType::boolean: {
      bool value = false;
      if (!reader.read_bool(value)) return false;
      events.mark(value ? 't' : 'f');
      return true;
    }
    case JsonType::null:
      if (!reader.read_null()) return false;
      events.mark('n');
      return true;
    case JsonType::error:
      return false;
  }
  return false;
}

std::optional<Events> walked(std::string_view text, bool skip) {
  JsonReader reader(text);
  Events events;
  const bool good = walk(reader, events, skip) && reader.at_end();
  require(good != reader.failed(), "a walk to the end has not failed, any other has");
  require(reader.error_offset() <= text.size(), "an error lies in the text");
  if (!good) return std::nullopt;
  return events;
}

bool skipped(std::string_view text) {
  JsonReader reader(text);
  const std::string_view value = reader.skip_value();
  require(value.empty() == reader.failed(), "a value has a text");
  return reader.at_end() && !reader.failed();
}

void check_document(std::string_view text) {
  const std::optional<Events> ours = walked(text, false);
  require(walked(text, true) == ours, "stepping over values changes nothing");
  require(skipped(text) == ours.has_value(), "stepping over the whole agrees");
  std::string compact;
  require(json_compact(text, compact) == ours.has_value(), "the compact form agrees");
  if (ours) {
    require(walked(compact, false) == ours, "the compact form says the same");
    require(compact.size() <= text.size(), "the compact form is no longer");
    std::string again;
    require(json_compact(compact, again) && again == compact, "the compact form is its own");
  } else {
    require(compact.empty(), "no compact form of what is no JSON");
  }

  // nlohmann takes a NUL for the end and passes over a byte order mark; RFC 8259 has neither.
  if (text.find('\0') != std::string_view::npos || text.starts_with('\xef')) {
    require(!ours, "NUL and byte order mark are no JSON");
    return;
  }
  const std::optional<Listener> theirs = listened(std::string(text));
  if (theirs && theirs->depth_max > JsonReader::kDepthMax) {
    require(!ours, "nesting has a limit");
    return;
  }
  require(theirs.has_value() == ours.has_value(), "what nlohmann takes is taken, nothing else");
  if (theirs) require(theirs->events == *ours, "the events are nlohmann's");
}

/// `bytes` as the value of a string.
void check_quote(std::string_view bytes) {
  std::string expected;
  bool utf8 = true;
  try {
    expected = nlohmann::json(bytes).dump();
  } catch (const nlohmann::json::type_error&) {
    utf8 = false;
  }
  require(valid_utf8(bytes) == utf8, "UTF-8 is what nlohmann says it is");
  if (!utf8) return;
  std::string quoted = "before";
  json_quote(bytes, quoted);
  require(quoted == "before" + expected, "a quoted text is nlohmann's");
  require(json_quoted_size(bytes) == expected.size(), "its size is foretold");
  JsonReader reader(expected);
  JsonString value;
  std::string scratch;
  require(reader.read_string(value) && reader.at_end() && json_text(value, scratch) == bytes, "and it is read back");
  std::size_t points = 0;
  for (const char c : bytes) points += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  require(code_points(bytes) == points, "code points are counted");
}

void check_scan(std::string_view text) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const std::size_t from_max = std::min<std::size_t>(text.size(), 20);
  for (std::size_t from = 0; from <= from_max; ++from) {
    const char* expected = begin + from;
    bool high = false;
    for (; expected != end && !json_scan::is_special(*expected); ++expected)
      high |= static_cast<signed char>(*expected) < 0;
    bool portable_high = false, chosen_high = false;
    require(json_scan::special_portable(begin + from, end, portable_high) == expected && portable_high == high,
            "the portable scan stops where it must");
    require(json_scan::special(begin + from, begin, end, chosen_high) == expected && chosen_high == high,
            "the chosen scan stops where it must");
  }
}

}  // namespace
}  // namespace millrace::codec

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const millrace::codec::ExactCopy text({reinterpret_cast<const char*>(data), size});
  millrace::codec::check_document(text.view());
  millrace::codec::check_quote(text.view());
  millrace::codec::check_scan(text.view());
  return 0;
}
