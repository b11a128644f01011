#include "millrace/codec/json_reader.hpp"

#include <cstring>

#include "codec/json_scan.hpp"

namespace millrace::codec {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

/// The four hex digits at `at`, or more than 0xffff.
std::uint32_t hex4(const char* at) noexcept {
  std::uint32_t value = 0;
  for (int i = 0; i < 4; ++i) {
    const auto c = static_cast<unsigned char>(at[i]);
    const auto letter = static_cast<unsigned char>(c | 0x20);
    std::uint32_t digit;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if (letter >= 'a' && letter <= 'f') {
      digit = letter - 'a' + 10u;
    } else {
      return 0x10000;
    }
    value = value << 4 | digit;
  }
  return value;
}

bool is_high_surrogate(std::uint32_t unit) noexcept { return (unit & 0xfffffc00) == 0xd800; }
bool is_low_surrogate(std::uint32_t unit) noexcept { return (unit & 0xfffffc00) == 0xdc00; }

char* put_utf8(std::uint32_t point, char* out) noexcept {
  const auto tail = [&](int shift) { return static_cast<char>(0x80 | (point >> shift & 0x3f)); };
  if (point < 0x80) {
    *out++ = static_cast<char>(point);
  } else if (point < 0x800) {
    *out++ = static_cast<char>(0xc0 | point >> 6);
    *out++ = tail(0);
  } else if (point < 0x10000) {
    *out++ = static_cast<char>(0xe0 | point >> 12);
    *out++ = tail(6);
    *out++ = tail(0);
  } else {
    *out++ = static_cast<char>(0xf0 | point >> 18);
    *out++ = tail(12);
    *out++ = tail(6);
    *out++ = tail(0);
  }
  return out;
}

/// The letter that stands for `c` after a backslash, or 0: it needs the \u form.
char short_escape(char c) noexcept {
  switch (c) {
    case '"':
    case '\\':
      return c;
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\t':
      return 't';
    default:
      return 0;
  }
}

/// Writes a special character in its shortest escaped form.
char* put_escaped(char c, char* out) noexcept {
  *out++ = '\\';
  if (const char letter = short_escape(c)) {
    *out++ = letter;
    return out;
  }
  const auto byte = static_cast<unsigned char>(c);
  std::memcpy(out, "u00", 3);
  out[3] = kHexDigits[byte >> 4];
  out[4] = kHexDigits[byte & 15];
  return out + 5;
}

char* put(const char* from, const char* end, char* out) noexcept {
  const auto size = static_cast<std::size_t>(end - from);
  if (size != 0) std::memcpy(out, from, size);
  return out + size;
}

/// Takes the valid escape at `at`, just behind the backslash; returns its code point.
std::uint32_t take_escape(const char*& at) noexcept {
  const char c = *at++;
  switch (c) {
    case 'b':
      return '\b';
    case 'f':
      return '\f';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'u':
      break;
    default:
      return static_cast<unsigned char>(c);
  }
  std::uint32_t point = hex4(at);
  at += 4;
  if (is_high_surrogate(point)) {
    point = 0x10000 + ((point & 0x3ff) << 10 | (hex4(at + 2) & 0x3ff));
    at += 6;
  }
  return point;
}

/// Undoes the escapes of a valid string; with `kQuoted` those that a JSON string needs are put back. Never writes more
/// than it reads.
template <bool kQuoted>
char* put_unescaped(std::string_view raw, char* out) noexcept {
  const char* at = raw.data();
  const char* const end = at + raw.size();
  while (const void* found = at == end ? nullptr : std::memchr(at, '\\', static_cast<std::size_t>(end - at))) {
    const char* backslash = static_cast<const char*>(found);
    out = put(at, backslash, out);
    at = backslash + 1;
    const std::uint32_t point = take_escape(at);
    if (kQuoted && point < 0x80 && json_scan::is_special(static_cast<char>(point))) {
      out = put_escaped(static_cast<char>(point), out);
    } else {
      out = put_utf8(point, out);
    }
  }
  return put(at, end, out);
}

struct NoSink {
  void mark(char) noexcept {}
  void string(const JsonString&) noexcept {}
  void scalar(const char*, const char*) noexcept {}
};

struct CompactSink {
  char* out;
  void mark(char c) noexcept { *out++ = c; }
  void string(const JsonString& value) noexcept {
    *out++ = '"';
    out = value.escaped ? put_unescaped<true>(value.raw, out)
                        : put(value.raw.data(), value.raw.data() + value.raw.size(), out);
    *out++ = '"';
  }
  void scalar(const char* from, const char* end) noexcept { out = put(from, end, out); }
};

}  // namespace

/// At a backslash: passes over one escape, both halves of a surrogate pair.
bool JsonReader::escape() noexcept {
  if (end_ - at_ < 2) return fail();
  switch (at_[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
      at_ += 2;
      return true;
    case 'u':
      break;
    default:
      return fail();
  }
  if (end_ - at_ < 6) return fail();
  const std::uint32_t unit = hex4(at_ + 2);
  if (unit > 0xffff || is_low_surrogate(unit)) return fail();
  if (is_high_surrogate(unit)) {
    if (end_ - at_ < 12 || at_[6] != '\\' || at_[7] != 'u' || !is_low_surrogate(hex4(at_ + 8))) return fail();
    at_ += 6;
  }
  at_ += 6;
  return true;
}

/// At a quote: takes the string.
[[gnu::always_inline]] inline bool JsonReader::string(JsonString& out) noexcept {
  const char* const first = ++at_;
  bool non_ascii = false;
  out.escaped = false;
  for (;;) {
    at_ = json_scan::special(at_, begin_, end_, non_ascii);
    if (at_ == end_) return fail();
    if (*at_ == '"') [[likely]]
      break;
    if (*at_ != '\\') return fail();
    out.escaped = true;
    if (!escape()) return false;
  }
  if (non_ascii) [[unlikely]] {
    const char* bad = json_scan::invalid_utf8(first, at_);
    if (bad != at_) {
      at_ = bad;
      return fail();
    }
  }
  out.raw = {first, static_cast<std::size_t>(at_ - first)};
  ++at_;
  return true;
}

/// A member's name and its colon.
[[gnu::always_inline]] inline bool JsonReader::name(JsonString& out) noexcept {
  skip_blanks();
  if (at_ == end_ || *at_ != '"') return fail();
  if (!string(out)) return false;
  skip_blanks();
  if (at_ == end_ || *at_ != ':') return fail();
  ++at_;
  return true;
}

bool JsonReader::number() noexcept {
  const auto digits = [this] {
    if (at_ == end_ || !is_digit(*at_)) return fail();
    while (at_ != end_ && is_digit(*at_)) ++at_;
    return true;
  };
  if (*at_ == '-') ++at_;
  if (at_ != end_ && *at_ == '0') {
    ++at_;
    if (at_ != end_ && is_digit(*at_)) return fail();
  } else if (!digits()) {
    return false;
  }
  if (at_ != end_ && *at_ == '.') {
    ++at_;
    if (!digits()) return false;
  }
  if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
    ++at_;
    if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
    if (!digits()) return false;
  }
  return true;
}

bool JsonReader::literal(std::string_view word) noexcept {
  if (static_cast<std::size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0)
    return fail();
  at_ += word.size();
  return true;
}

JsonType JsonReader::peek() noexcept {
  skip_blanks();
  if (at_ != end_) {
    switch (*at_) {
      case '{':
        return JsonType::object;
      case '[':
        return JsonType::array;
      case '"':
        return JsonType::string;
      case 't':
      case 'f':
        return JsonType::boolean;
      case 'n':
        return JsonType::null;
      default:
        if (*at_ == '-' || is_digit(*at_)) return JsonType::number;
    }
  }
  fail();
  return JsonType::error;
}

bool JsonReader::read_string(JsonString& out) noexcept {
  skip_blanks();
  if (at_ == end_ || *at_ != '"') return fail();
  return string(out);
}

bool JsonReader::read_number(std::string_view& out) noexcept {
  skip_blanks();
  if (at_ == end_ || (*at_ != '-' && !is_digit(*at_))) return fail();
  const char* const first = at_;
  if (!number()) return false;
  out = {first, static_cast<std::size_t>(at_ - first)};
  return true;
}

bool JsonReader::read_bool(bool& out) noexcept {
  skip_blanks();
  out = at_ != end_ && *at_ == 't';
  return literal(out ? "true" : "false");
}

bool JsonReader::read_null() noexcept {
  skip_blanks();
  return literal("null");
}

bool JsonReader::next_member(std::string_view& key) {
  if (!next_item('}')) return false;
  JsonString text;
  if (!name(text)) return false;
  if (text.escaped) {
    key_.clear();
    json_unescape(text.raw, key_);
    key = key_;
  } else {
    key = text.raw;
  }
  return true;
}

template <class Sink>
bool JsonReader::walk(Sink& sink) noexcept {
  std::uint8_t open[kDepthMax];  // the closing brackets that are due
  int depth = depth_;            // items below the reader's own depth are not ours
  const int floor = depth_;
  JsonString text;
  for (;;) {
    skip_blanks();
    if (at_ == end_) return fail();
    const char* const first = at_;
    switch (*first) {
      case '"':
        if (!string(text)) return false;
        sink.string(text);
        break;
      case '{':
      case '[': {
        if (depth == kDepthMax) return fail();
        const char close = *at_++ == '{' ? '}' : ']';
        sink.mark(*first);
        skip_blanks();
        if (at_ != end_ && *at_ == close) {
          sink.mark(close);
          ++at_;
          break;
        }
        open[depth++] = static_cast<std::uint8_t>(close);
        if (close == '}') {
          if (!name(text)) return false;
          sink.string(text);
          sink.mark(':');
        }
        continue;
      }
      case 't':
        if (!literal("true")) return false;
        sink.scalar(first, at_);
        break;
      case 'f':
        if (!literal("false")) return false;
        sink.scalar(first, at_);
        break;
      case 'n':
        if (!literal("null")) return false;
        sink.scalar(first, at_);
        break;
      default:
        if (*first != '-' && !is_digit(*first)) return fail();
        if (!number()) return false;
        sink.scalar(first, at_);
    }
    for (;;) {  // after a value: what may follow depends on what is open
      if (depth == floor) return true;
      const char close = static_cast<char>(open[depth - 1]);
      skip_blanks();
      if (at_ == end_) return fail();
      if (*at_ == ',') {
        ++at_;
        sink.mark(',');
        if (close == '}') {
          if (!name(text)) return false;
          sink.string(text);
          sink.mark(':');
        }
        break;
      }
      if (*at_ != close) return fail();
      ++at_;
      --depth;
      sink.mark(close);
    }
  }
}

std::string_view JsonReader::skip_value() noexcept {
  skip_blanks();
  const char* const first = at_;
  NoSink none;
  if (!walk(none)) return {};
  return {first, static_cast<std::size_t>(at_ - first)};
}

bool JsonReader::at_end() noexcept {
  if (failed_) return false;
  skip_blanks();
  return at_ == end_ || fail();
}

void json_unescape(std::string_view raw, std::string& out) {
  const std::size_t before = out.size();
  out.resize(before + raw.size());
  char* const end = put_unescaped<false>(raw, out.data() + before);
  out.resize(static_cast<std::size_t>(end - out.data()));
}

std::string_view json_text(const JsonString& value, std::string& scratch) {
  if (!value.escaped) return value.raw;
  scratch.clear();
  json_unescape(value.raw, scratch);
  return scratch;
}

char* json_quote(std::string_view text, char* out) noexcept {
  const char* at = text.data();
  const char* const begin = at;
  const char* const end = at + text.size();
  *out++ = '"';
  while (at != end) {
    bool ignored = false;
    const char* const stop = json_scan::special(at, begin, end, ignored);
    out = put(at, stop, out);
    if (stop == end) break;
    out = put_escaped(*stop, out);
    at = stop + 1;
  }
  *out++ = '"';
  return out;
}

std::size_t json_quoted_size(std::string_view text) noexcept {
  std::size_t size = text.size() + 2;
  const char* at = text.data();
  const char* const begin = at;
  const char* const end = at + text.size();
  while (at != end) {
    bool ignored = false;
    at = json_scan::special(at, begin, end, ignored);
    if (at == end) break;
    size += short_escape(*at) != 0 ? 1 : 5;
    ++at;
  }
  return size;
}

void json_quote(std::string_view text, std::string& out) {
  const std::size_t before = out.size();
  out.resize(before + json_quoted_size(text));
  json_quote(text, out.data() + before);
}

bool json_compact(std::string_view text, std::string& out) {
  const std::size_t before = out.size();
  out.resize(before + text.size());  // no form written here is longer than the one read
  JsonReader reader(text);
  CompactSink sink{out.data() + before};
  const bool good = reader.walk(sink) && reader.at_end();
  out.resize(good ? static_cast<std::size_t>(sink.out - out.data()) : before);
  return good;
}

bool valid_utf8(std::string_view text) noexcept {
  const char* const end = text.data() + text.size();
  return json_scan::invalid_utf8(text.data(), end) == end;
}

std::size_t code_points(std::string_view utf8) noexcept {
  std::size_t count = 0;
  for (const char c : utf8) count += static_cast<signed char>(c) >= -64;
  return count;
}

}  // namespace millrace::codec
