#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// A pull reader for JSON (RFC 8259) for hot paths: no tree, no copy where a view will do. Everything it passes over is
/// validated: UTF-8, escapes, lone surrogates (an error), control characters, numbers, nesting depth.
namespace millrace::codec {

enum class JsonType : std::uint8_t { object, array, string, number, boolean, null, error };

/// One string value as it stands in the text.
struct JsonString {
  std::string_view raw;  ///< between the quotes, escapes not undone; a view into the text
  bool escaped = false;  ///< has at least one backslash: raw is not the value
};

class JsonReader {
 public:
  static constexpr int kDepthMax = 128;
  explicit JsonReader(std::string_view text) noexcept
      : at_(text.data()), begin_(text.data()), end_(text.data() + text.size()) {}

  /// What the next value is, without taking it; error once anything was wrong.
  JsonType peek() noexcept;
  /// Take the next value, which must be of that type; false and failed() otherwise.
  bool read_string(JsonString& out) noexcept;
  bool read_number(std::string_view& out) noexcept;  ///< the number's text
  bool read_bool(bool& out) noexcept;
  bool read_null() noexcept;
  /// Enters an object: then `while (next_member(key)) <take one value>`. Same for arrays with next_element().
  bool begin_object() noexcept;
  /// False at the object's end (check failed() after the loop). The key is unescaped when it had escapes (then the view
  /// lives until the next call), else a view into the text.
  bool next_member(std::string_view& key);
  bool begin_array() noexcept;
  bool next_element() noexcept;
  /// Passes over one value of any type, validating it; its text is returned (empty on error).
  std::string_view skip_value() noexcept;
  /// After the outermost value: only blanks may follow.
  bool at_end() noexcept;
  bool failed() const noexcept { return failed_; }
  /// Where the error is, in bytes from the start.
  std::size_t error_offset() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

 private:
  friend bool json_compact(std::string_view text, std::string& out);

  /// Nothing can be read after an error, because then the text ends where the error is.
  bool fail() noexcept {
    failed_ = true;
    end_ = at_;
    return false;
  }
  void skip_blanks() noexcept {
    while (at_ != end_ && (*at_ == ' ' || *at_ == '\n' || *at_ == '\r' || *at_ == '\t')) ++at_;
  }
  bool next_item(char close) noexcept;
  bool begin(char bracket) noexcept;
  bool string(JsonString& out) noexcept;
  bool escape() noexcept;
  bool number() noexcept;
  bool literal(std::string_view word) noexcept;
  bool name(JsonString& out) noexcept;
  template <class Sink>
  bool walk(Sink& sink) noexcept;

  const char* at_;
  const char* begin_;
  const char* end_;
  bool failed_ = false;
  bool fresh_ = false;  // just entered a container: no comma before the next item
  int depth_ = 0;
  std::string key_;
};

inline bool JsonReader::begin(char bracket) noexcept {
  skip_blanks();
  if (at_ == end_ || *at_ != bracket || depth_ == kDepthMax) return fail();
  ++at_;
  ++depth_;
  fresh_ = true;
  return true;
}

inline bool JsonReader::begin_object() noexcept { return begin('{'); }
inline bool JsonReader::begin_array() noexcept { return begin('['); }

inline bool JsonReader::next_element() noexcept { return next_item(']'); }

inline bool JsonReader::next_item(char close) noexcept {
  skip_blanks();
  if (at_ == end_) return fail();
  if (*at_ == close) {
    ++at_;
    --depth_;
    fresh_ = false;
    return false;
  }
  if (!fresh_) {
    if (*at_ != ',') return fail();
    ++at_;
  }
  fresh_ = false;
  return true;
}

/// Undoes the escapes of a JsonString known to be valid, as UTF-8, appending to `out`.
void json_unescape(std::string_view raw, std::string& out);
/// The value of a string: raw itself when nothing was escaped, else unescaped into `scratch`.
std::string_view json_text(const JsonString& value, std::string& scratch);

/// Appends `text` (valid UTF-8) as a JSON string with quotes: only `"`, `\` and control characters are escaped.
void json_quote(std::string_view text, std::string& out);
/// Bytes json_quote appends.
std::size_t json_quoted_size(std::string_view text) noexcept;
/// Writes what json_quote appends; returns the end.
char* json_quote(std::string_view text, char* out) noexcept;

/// Appends the one value in `text` compactly: members in their order, numbers' text unchanged, strings with `\u`
/// escapes undone (non-ASCII as UTF-8; `"`, `\` and control characters stay escaped). False: not valid JSON, `out` as
/// before.
bool json_compact(std::string_view text, std::string& out);

/// Whether `text` is well-formed UTF-8 (no surrogates, no overlong forms).
bool valid_utf8(std::string_view text) noexcept;
/// Code points in well-formed UTF-8.
std::size_t code_points(std::string_view utf8) noexcept;

}  // namespace millrace::codec
