#include "services/forms.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "millrace/base/printable.hpp"
#include "millrace/codec/base64.hpp"

namespace millrace::services {
namespace {

using codec::CborReader;
using codec::CborType;
using codec::JsonReader;
using codec::JsonType;

std::int64_t floored(double value, std::int64_t min, std::int64_t max) {
  if (std::isnan(value)) return 0;  // as Java converts it
  value = std::floor(value);
  if (value >= static_cast<double>(max)) return max;
  if (value <= static_cast<double>(min)) return min;
  return static_cast<std::int64_t>(value);
}

constexpr std::int64_t kYear9999Ms = 253'402'300'799'999, kYear1Ms = -62'135'596'800'000;

TimePoint time_of(double ms) {
  const double rounded =
      std::isnan(ms) ? 0 : std::clamp(std::round(ms), static_cast<double>(kYear1Ms), static_cast<double>(kYear9999Ms));
  return TimePoint{std::chrono::milliseconds{static_cast<std::int64_t>(rounded)}};
}

// A reader at the value behind its tags.
CborReader untagged(std::string_view value) {
  CborReader reader(value);
  std::uint64_t tag = 0;
  while (reader.peek() == CborType::tag && reader.read_tag(tag)) {
  }
  return reader;
}

std::int64_t clamped(const codec::CborInteger& value, std::int64_t min, std::int64_t max) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (value.magnitude > kMax) return value.negative ? min : max;
  const auto magnitude = static_cast<std::int64_t>(value.magnitude);
  return std::clamp(value.negative ? -1 - magnitude : magnitude, min, max);
}

}  // namespace

std::optional<std::string> base64_error_or_bytes(std::string_view text, std::string& bytes) {
  bytes.resize(codec::base64::decoded_size_max(text.size()) + codec::base64::kSlack);
  const codec::base64::Decoded decoded = codec::base64::decode(text, bytes.data());
  bytes.resize(decoded.size);
  if (decoded.error == codec::base64::Errc::none) return std::nullopt;
  std::string out = "'" + std::string(first_bytes(text, kEchoBytesMax)) + "' can not be converted to a Blob: ";
  switch (decoded.error) {
    case codec::base64::Errc::none:
      break;
    case codec::base64::Errc::length:
      out += "Base64 encoded length is expected a multiple of 4 bytes but found: " + std::to_string(text.size());
      break;
    case codec::base64::Errc::character:
      out += "Invalid Base64 character: '" + std::string(first_character(text.substr(decoded.at))) + "'";
      break;
    case codec::base64::Errc::last_character:
      out += "Invalid last non-pad Base64 character dectected";  // AWS's spelling
      break;
  }
  return out;
}

std::optional<std::string_view> JsonForm::document(std::string_view body) {
  JsonReader reader(body);
  if (reader.peek() != JsonType::object) return std::nullopt;
  const std::string_view object = reader.skip_value();
  if (reader.failed() || !reader.at_end()) return std::nullopt;
  return object;
}

ValueType JsonForm::type_of(std::string_view value) {
  switch (JsonReader(value).peek()) {
    case JsonType::object:
      return ValueType::object;
    case JsonType::array:
      return ValueType::array;
    case JsonType::string:
      return ValueType::string;
    case JsonType::number:
      return ValueType::number;
    case JsonType::boolean:
      return ValueType::boolean;
    case JsonType::null:
      return ValueType::null;
    case JsonType::error:
      break;
  }
  return ValueType::error;
}

std::string JsonForm::text(std::string_view value) {
  JsonReader reader(value);
  codec::JsonString string;
  std::string out;
  if (!reader.read_string(string)) return out;
  if (string.escaped)
    codec::json_unescape(string.raw, out);
  else
    out.assign(string.raw);
  return out;
}

std::int64_t JsonForm::integer(std::string_view text, std::int64_t min, std::int64_t max) {
  std::int64_t whole = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), whole);
  if (error == std::errc::result_out_of_range && text.find_first_of(".eE") == text.npos)
    return text[0] == '-' ? min : max;
  if (error == std::errc{} && end == text.data() + text.size()) return std::clamp(whole, min, max);
  double value = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
  if (parsed.ec == std::errc::result_out_of_range) {
    // Too large or too small for a double; the exponent's sign tells which.
    const bool tiny = text.find("e-") != text.npos || text.find("E-") != text.npos;
    return tiny ? (text[0] == '-' ? -1 : 0) : (text[0] == '-' ? min : max);
  }
  return floored(value, min, max);
}

double JsonForm::real(std::string_view text) {
  double value = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc::result_out_of_range) return value;
  const bool tiny = text.find("e-") != text.npos || text.find("E-") != text.npos;
  const double far = tiny ? 0 : std::numeric_limits<double>::infinity();
  return text[0] == '-' ? -far : far;
}

TimePoint JsonForm::timestamp(std::string_view text) {
  double seconds = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (parsed.ec == std::errc::result_out_of_range)
    seconds = static_cast<double>(integer(text, -kYear9999Ms, kYear9999Ms));
  return time_of(seconds * 1000.0);
}

std::optional<std::string> JsonForm::blob(std::string_view value, std::string& bytes) {
  return base64_error_or_bytes(text(value), bytes);
}

MembersOf<JsonReader> JsonForm::members(std::string_view object) {
  JsonReader reader(object);
  reader.begin_object();
  return MembersOf(reader);
}
ItemsOf<JsonReader> JsonForm::items(std::string_view array) {
  JsonReader reader(array);
  reader.begin_array();
  return ItemsOf(reader);
}

std::optional<std::string_view> CborForm::document(std::string_view body) {
  CborReader reader(body);
  const std::string_view value = reader.skip_value();
  if (reader.failed() || !reader.at_end() || type_of(value) != ValueType::object) return std::nullopt;
  return value;
}

ValueType CborForm::type_of(std::string_view value) {
  CborReader reader = untagged(value);
  switch (reader.peek()) {
    case CborType::map:
      return ValueType::object;
    case CborType::array:
      return ValueType::array;
    case CborType::text:
      return ValueType::string;
    case CborType::bytes:
      return ValueType::bytes;
    case CborType::integer:
    case CborType::real:
      return ValueType::number;
    case CborType::boolean:
      return ValueType::boolean;
    case CborType::null:
      return ValueType::null;
    case CborType::tag:
    case CborType::error:
      break;
  }
  return ValueType::error;
}

std::string CborForm::text(std::string_view value) {
  CborReader reader = untagged(value);
  std::string_view text;
  std::string scratch;
  if (!reader.read_text(text, scratch)) return {};
  return std::string(text);
}

std::int64_t CborForm::integer(std::string_view value, std::int64_t min, std::int64_t max) {
  CborReader reader = untagged(value);
  double real = 0;
  if (reader.peek() == CborType::real && reader.read_real(real)) return floored(real, min, max);
  codec::CborInteger integer;
  reader.read_integer(integer);
  return clamped(integer, min, max);
}

double CborForm::real(std::string_view value) {
  CborReader reader = untagged(value);
  double real = 0;
  if (reader.peek() == CborType::real && reader.read_real(real)) return real;
  codec::CborInteger integer;
  reader.read_integer(integer);
  const auto magnitude = static_cast<double>(integer.magnitude);
  return integer.negative ? -1 - magnitude : magnitude;
}

bool CborForm::truth(std::string_view value) {
  CborReader reader = untagged(value);
  bool out = false;
  return reader.read_bool(out) && out;
}

TimePoint CborForm::timestamp(std::string_view value) {
  CborReader reader = untagged(value);
  double real = 0;
  if (reader.peek() == CborType::real && reader.read_real(real)) return time_of(real);
  codec::CborInteger integer;
  reader.read_integer(integer);
  return TimePoint{std::chrono::milliseconds{clamped(integer, kYear1Ms, kYear9999Ms)}};
}

std::optional<std::string> CborForm::blob(std::string_view value, std::string& bytes) {
  if (type_of(value) == ValueType::string) return base64_error_or_bytes(text(value), bytes);
  CborReader reader = untagged(value);
  std::string_view view;
  std::string scratch;
  if (reader.read_bytes(view, scratch)) bytes.assign(view);
  return std::nullopt;
}

std::string CborForm::shown(std::string_view value) {
  switch (type_of(value)) {
    case ValueType::number:
      return std::to_string(
          integer(value, std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()));
    case ValueType::boolean:
      return truth(value) ? "true" : "false";
    case ValueType::bytes: {
      std::string bytes;
      blob(value, bytes);
      const std::string size = std::to_string(bytes.size());
      return "java.nio.HeapByteBuffer[pos=0 lim=" + size + " cap=" + size + "]";
    }
    case ValueType::object:
      return "{...}";
    case ValueType::array:
      return "[...]";
    case ValueType::string:
    case ValueType::null:
    case ValueType::error:
      break;
  }
  return "null";
}

MembersOf<CborReader> CborForm::members(std::string_view object) {
  CborReader reader = untagged(object);
  reader.begin_map();
  return MembersOf(reader);
}
ItemsOf<CborReader> CborForm::items(std::string_view array) {
  CborReader reader = untagged(array);
  reader.begin_array();
  return ItemsOf(reader);
}

}  // namespace millrace::services
