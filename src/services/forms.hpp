#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/base/clock.hpp"
#include "millrace/codec/cbor.hpp"
#include "millrace/codec/json_reader.hpp"

/// What the table-driven decoder asks of a value, on either wire. A value is the bytes of one valid JSON or CBOR value;
/// the typed calls want one of that type.
namespace millrace::services {

enum class ValueType : std::uint8_t { object, array, string, bytes, number, boolean, null, error };

// AWS repeats a whole offending value; a reply to hostile input stays small here.
inline constexpr std::size_t kEchoBytesMax = 64 * 1024;

/// Base64 text as bytes; otherwise AWS's words for what is wrong with it.
std::optional<std::string> base64_error_or_bytes(std::string_view text, std::string& bytes);

/// The members of an object that a reader has entered, and the items of an array.
template <class Reader>
class MembersOf {
 public:
  explicit MembersOf(const Reader& entered) : reader_(entered) {}
  /// The name lives until the next call.
  bool next(std::string_view& name, std::string_view& value) {
    if (!reader_.next_member(name)) return false;
    value = reader_.skip_value();
    return true;
  }

 private:
  Reader reader_;
};
template <class Reader>
class ItemsOf {
 public:
  explicit ItemsOf(const Reader& entered) : reader_(entered) {}
  bool next(std::string_view& value) {
    if (!reader_.next_element()) return false;
    value = reader_.skip_value();
    return true;
  }

 private:
  Reader reader_;
};

struct JsonForm {
  /// The one object that `body` is; nothing: it is none, or not valid.
  static std::optional<std::string_view> document(std::string_view body);
  static ValueType type_of(std::string_view value);
  static std::string text(std::string_view value);
  /// Fractions are floored, what does not fit is clamped.
  static std::int64_t integer(std::string_view value, std::int64_t min, std::int64_t max);
  /// What no double holds is an infinity, or 0.
  static double real(std::string_view value);
  static bool truth(std::string_view value) { return value[0] == 't'; }
  /// Epoch seconds with a fraction.
  static TimePoint timestamp(std::string_view value);
  /// Of a string. AWS's words when it is not well-formed.
  static std::optional<std::string> blob(std::string_view value, std::string& bytes);
  /// As AWS prints an item that is neither a text nor a structure.
  static std::string shown(std::string_view value) { return std::string(value); }

  static MembersOf<codec::JsonReader> members(std::string_view object);
  static ItemsOf<codec::JsonReader> items(std::string_view array);
};

/// Tags do not count but for what they stand before.
struct CborForm {
  static std::optional<std::string_view> document(std::string_view body);
  static ValueType type_of(std::string_view value);
  static std::string text(std::string_view value);
  static std::int64_t integer(std::string_view value, std::int64_t min, std::int64_t max);
  static double real(std::string_view value);
  static bool truth(std::string_view value);
  /// Epoch milliseconds, also without the tag 1 and as a float: AWS differs from RFC 8949, whose unit is the second.
  static TimePoint timestamp(std::string_view value);
  /// Bytes as they are, a text as JSON's base64.
  static std::optional<std::string> blob(std::string_view value, std::string& bytes);
  static std::string shown(std::string_view value);

  static MembersOf<codec::CborReader> members(std::string_view object);
  static ItemsOf<codec::CborReader> items(std::string_view array);
};

}  // namespace millrace::services
