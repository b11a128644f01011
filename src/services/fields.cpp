#include "services/fields.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "millrace/base/printable.hpp"
#include "millrace/codec/base64.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::services {
namespace {

using codec::JsonReader;
using codec::JsonType;

constexpr std::size_t kViolationsMax = 10;
// AWS repeats a whole offending value; a reply to hostile input stays small here.
constexpr std::size_t kEchoBytesMax = 64 * 1024;

std::string_view capped(std::string_view text) { return first_bytes(text, kEchoBytesMax); }

std::string lower_camel(std::string_view name) {
  std::string out(name);
  if (!out.empty() && out[0] >= 'A' && out[0] <= 'Z') out[0] = static_cast<char>(out[0] - 'A' + 'a');
  return out;
}

JsonType type_of(std::string_view text) { return JsonReader(text).peek(); }

std::string string_value(std::string_view text) {
  JsonReader reader(text);
  codec::JsonString value;
  std::string out;
  if (!reader.read_string(value)) return out;
  if (value.escaped)
    codec::json_unescape(value.raw, out);
  else
    out.assign(value.raw);
  return out;
}

// A number's text as an integer: fractions floored, what does not fit clamped.
std::int64_t integer_value(std::string_view text, std::int64_t min, std::int64_t max) {
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
  value = std::floor(value);
  if (value >= static_cast<double>(max)) return max;
  if (value <= static_cast<double>(min)) return min;
  return static_cast<std::int64_t>(value);
}

TimePoint timestamp_value(std::string_view text) {
  constexpr double kYear9999 = 253'402'300'799'999.0;
  double seconds = 0;
  auto parsed = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (parsed.ec == std::errc::result_out_of_range)
    seconds = static_cast<double>(integer_value(text, -kYear9999, kYear9999));
  const double ms = std::clamp(std::round(seconds * 1000.0), -62'135'596'800'000.0, kYear9999);
  return TimePoint{std::chrono::milliseconds{static_cast<std::int64_t>(ms)}};
}

std::string at_least_text(std::string_view what, std::int64_t bound) {
  return "Member must have " + std::string(what) + " greater than or equal to " + std::to_string(bound);
}
std::string at_most_text(std::string_view what, std::int64_t bound) {
  return "Member must have " + std::string(what) + " less than or equal to " + std::to_string(bound);
}
std::string values_text(std::span<const std::string_view> values) {
  std::string out = "Member must satisfy enum value set: [";
  for (std::size_t i = 0; i < values.size(); ++i) (out += i ? ", " : "") += values[i];
  return out += ']';
}
std::string pattern_text(const Pattern& pattern) {
  return "Member must satisfy regular expression pattern: " + std::string(pattern.text);
}

bool holds(const Constraint& c, std::string_view value) {
  const auto size = static_cast<std::int64_t>(codec::code_points(value));
  return !(c.min != Constraint::kNone && size < c.min) && !(c.max != Constraint::kNone && size > c.max) &&
         !(c.pattern.matches && !c.pattern.matches(value)) &&
         (c.values.empty() || std::find(c.values.begin(), c.values.end(), value) != c.values.end());
}
// The bracketed list AWS prints for constraints of items, keys and values.
std::string bracketed(const Constraint& c) {
  std::string out = "[";
  auto add = [&](const std::string& text) { (out += out.size() > 1 ? ", " : "") += text; };
  if (c.max != Constraint::kNone) add(at_most_text("length", c.max));
  if (c.min != Constraint::kNone) add(at_least_text("length", c.min));
  if (c.pattern.matches) add(pattern_text(c.pattern));
  if (!c.values.empty()) add(values_text(c.values));
  return out += ']';
}

std::string base64_error(std::string_view text, const codec::base64::Decoded& decoded) {
  std::string out = "'" + std::string(capped(text)) + "' can not be converted to a Blob: ";
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

class Decoder {
 public:
  explicit Decoder(const Dialect& dialect) : dialect_(dialect) {}

  /// False after a type error; violations are collected beside.
  bool structure(std::string_view text, std::span<const Field> members, void* object) {
    std::array<std::string_view, kFieldsMax> texts{};
    JsonReader reader(text);
    std::string_view key;
    if (!reader.begin_object()) return false;
    while (reader.next_member(key)) {
      std::size_t at = 0;
      while (at < members.size() && members[at].name != key) ++at;
      const std::string_view value = reader.skip_value();
      if (at < members.size()) texts[at] = type_of(value) == JsonType::null ? std::string_view{} : value;
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
      const std::size_t parent = path_.size();
      if (!path_.empty()) path_ += '.';
      path_ += lower_camel(members[i].name);
      const bool good = member(members[i], texts[i], object);
      path_.resize(parent);
      if (!good) return false;
    }
    return true;
  }

  std::optional<ServiceError> result(bool good) {
    if (!good) return ServiceError{"SerializationException", 400, std::move(type_error_)};
    if (!violations_.empty()) {
      std::string text = std::to_string(violations_.size()) + " validation error" +
                         (violations_.size() > 1 ? "s" : "") + " detected: ";
      for (std::size_t i = 0; i < violations_.size(); ++i) (text += i ? "; " : "") += violations_[i];
      return ServiceError{"ValidationException", 400, std::move(text)};
    }
    if (!refused_.empty()) return ServiceError{"InvalidArgumentException", 400, std::move(refused_)};
    return std::nullopt;
  }

 private:
  bool member(const Field& field, std::string_view text, void* object) {
    if (text.empty()) {
      if (field.required) violation("null", "Member must not be null");
      return true;
    }
    if (field.kind == Kind::refused) {
      if (refused_.empty()) refused_ = field.text.empty() ? path_ + " is not supported yet." : std::string(field.text);
      return true;
    }
    void* place = field.emplace(object);
    switch (field.kind) {
      case Kind::list:
        return list(field, text, place);
      case Kind::map:
        return map(field, text, place);
      case Kind::structure:
        if (!has_type(Kind::structure, text)) return false;
        return structure(text, field.members, place);
      default:
        return scalar(field.kind, field.own, field.sensitive, text, place);
    }
  }

  // Whether `text` can be read as `kind`; keeps AWS's words when not.
  bool has_type(Kind kind, std::string_view text) {
    const JsonType type = type_of(text);
    const bool container = kind == Kind::list || kind == Kind::map || kind == Kind::structure;
    if (kind == Kind::json) return true;
    if (type == JsonType::array) return kind == Kind::list || fail("Start of list found where not expected");
    if (type == JsonType::object)
      return kind == Kind::map || kind == Kind::structure ||
             fail("Start of structure or map found where not expected.");
    if (container)
      return fail(kind == Kind::list  ? "Expected list or null"
                  : kind == Kind::map ? "Expected map or null"
                                      : "Expected null");
    const std::string_view java = type == JsonType::boolean ? "class java.lang.Boolean"
                                  : type == JsonType::number
                                      ? "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
                                      : "class java.lang.String";
    auto refuse = [&](std::string_view to) {
      return fail(std::string(java) + " can not be converted to " + std::string(to));
    };
    switch (kind) {
      case Kind::string:
        return type == JsonType::string || refuse("an String");
      case Kind::integer:
        return type == JsonType::number || refuse("an Integer");
      case Kind::long_integer:
        return type == JsonType::number || refuse("an Long");
      case Kind::timestamp:
        return type == JsonType::number || refuse("milliseconds since epoch");
      case Kind::blob:
        return type == JsonType::string || refuse("a Blob");
      case Kind::boolean: {
        if (type == JsonType::boolean) return true;
        if (type == JsonType::number) return refuse("an Boolean");
        std::string upper = string_value(text);
        upper.resize(capped(upper).size());
        for (char& c : upper)
          if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
        return upper == "TRUE" || upper == "FALSE" || fail("'" + upper + "' can not be converted to an Boolean");
      }
      default:
        return true;
    }
  }

  bool scalar(Kind kind, const Constraint& own, bool hidden, std::string_view text, void* place) {
    if (!has_type(kind, text)) return false;
    auto check_bounds = [&](std::int64_t value, std::string_view what, auto&& shown) {
      if (own.min != Constraint::kNone && value < own.min) violation(shown(), at_least_text(what, own.min), hidden);
      if (own.max != Constraint::kNone && value > own.max) violation(shown(), at_most_text(what, own.max), hidden);
    };
    switch (kind) {
      case Kind::string: {
        auto& value = *static_cast<std::string*>(place);
        value = string_value(text);
        auto shown = [&] { return "'" + std::string(capped(value)) + "'"; };
        if (own.pattern.matches && !own.pattern.matches(value)) violation(shown(), pattern_text(own.pattern), hidden);
        check_bounds(static_cast<std::int64_t>(codec::code_points(value)), "length", shown);
        if (!own.values.empty() && std::find(own.values.begin(), own.values.end(), value) == own.values.end())
          violation(shown(), values_text(own.values), hidden);
        return true;
      }
      case Kind::integer: {
        auto& value = *static_cast<std::int32_t*>(place);
        value = static_cast<std::int32_t>(
            integer_value(text, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()));
        check_bounds(value, "value", [&] { return "'" + std::to_string(value) + "'"; });
        return true;
      }
      case Kind::long_integer: {
        auto& value = *static_cast<std::int64_t*>(place);
        value =
            integer_value(text, std::numeric_limits<std::int64_t>::min() + 1, std::numeric_limits<std::int64_t>::max());
        check_bounds(value, "value", [&] { return "'" + std::to_string(value) + "'"; });
        return true;
      }
      case Kind::boolean:
        *static_cast<bool*>(place) = text[0] == 't' || (text[0] == '"' && (string_value(text)[0] | 0x20) == 't');
        return true;
      case Kind::timestamp:
        *static_cast<TimePoint*>(place) = timestamp_value(text);
        return true;
      case Kind::blob: {
        const std::string encoded = string_value(text);
        auto& bytes = static_cast<Blob*>(place)->bytes;
        bytes.resize(codec::base64::decoded_size_max(encoded.size()) + codec::base64::kSlack);
        const codec::base64::Decoded decoded = codec::base64::decode(encoded, bytes.data());
        if (decoded.error != codec::base64::Errc::none) return fail(base64_error(encoded, decoded));
        bytes.resize(decoded.size);
        const std::string size = std::to_string(bytes.size());
        check_bounds(static_cast<std::int64_t>(bytes.size()), "length",
                     [&] { return "'java.nio.HeapByteBuffer[pos=0 lim=" + size + " cap=" + size + "]'"; });
        return true;
      }
      case Kind::json:
        static_cast<JsonText*>(place)->text.assign(text);
        return true;
      default:
        return true;
    }
  }

  bool list(const Field& field, std::string_view text, void* place) {
    if (!has_type(Kind::list, text)) return false;
    std::size_t count = 0;
    JsonReader counter(text);
    for (counter.begin_array(); counter.next_element(); ++count) counter.skip_value();
    check_size(field, text, count);
    // What is beyond the limit is refused as a whole; it is not kept, so that memory stays near the limit.
    std::size_t kept = count;
    if (field.own.max != Constraint::kNone) kept = std::min(kept, static_cast<std::size_t>(field.own.max));
    bool items_hold = true;
    JsonReader reader(text);
    reader.begin_array();
    for (std::size_t i = 0; i < kept && reader.next_element(); ++i) {
      const std::string_view item = reader.skip_value();
      const std::size_t parent = path_.size();
      path_ += '.' + std::to_string(i + 1) + ".member";
      bool good = true;
      if (type_of(item) == JsonType::null)
        violation("null", "Member must not be null");
      else if (field.item_kind == Kind::structure)
        good = has_type(Kind::structure, item) && structure(item, field.members, field.append(place));
      else {
        void* value = field.append(place);
        good = scalar(field.item_kind, Constraint{}, field.sensitive, item, value);
        if (good && field.item_kind == Kind::string && !holds(field.item, *static_cast<std::string*>(value)))
          items_hold = false;
      }
      path_.resize(parent);
      if (!good) return false;
    }
    if (!items_hold)
      violation(echo(field, text), "Member must satisfy constraint: " + bracketed(field.item), field.sensitive);
    return true;
  }

  bool map(const Field& field, std::string_view text, void* place) {
    if (!has_type(Kind::map, text)) return false;
    auto& values = *static_cast<std::map<std::string, std::string>*>(place);
    bool keys_hold = true, values_hold = true;
    JsonReader reader(text);
    reader.begin_object();
    std::string_view key;
    while (reader.next_member(key)) {
      std::string name(key);
      const std::string_view item = reader.skip_value();
      if (type_of(item) == JsonType::null) {
        const std::size_t parent = path_.size();
        path_ += '.' + std::string(capped(name)) + ".member";
        violation("null", "Member must not be null");
        path_.resize(parent);
        continue;
      }
      std::string value;
      if (!scalar(Kind::string, Constraint{}, field.sensitive, item, &value)) return false;
      if (!holds(field.key, name)) keys_hold = false;
      if (!holds(field.item, value)) values_hold = false;
      values.insert_or_assign(std::move(name), std::move(value));
    }
    check_size(field, text, values.size());
    if (!keys_hold)
      violation(echo(field, text), "Map keys must satisfy constraint: " + bracketed(field.key), field.sensitive);
    if (!values_hold)
      violation(echo(field, text), "Map value must satisfy constraint: " + bracketed(field.item), field.sensitive);
    return true;
  }

  void check_size(const Field& field, std::string_view text, std::size_t size) {
    const auto count = static_cast<std::int64_t>(size);
    if (field.own.min != Constraint::kNone && count < field.own.min)
      violation(echo(field, text), at_least_text("length", field.own.min), field.sensitive);
    if (field.own.max != Constraint::kNone && count > field.own.max)
      violation(echo(field, text), at_most_text("length", field.own.max), field.sensitive);
  }

  // A list or map as Java prints it: [a, b] or {k=v, l=w}; structures by class and hash.
  std::string echo(const Field& field, std::string_view text) const {
    const bool is_map = field.kind == Kind::map;
    std::string out = is_map ? "'{" : "'[";
    JsonReader reader(text);
    bool first = true;
    auto separate = [&] {
      if (!first) out += ", ";
      first = false;
    };
    auto add = [&](std::string_view item) {
      if (type_of(item) == JsonType::string)
        out += string_value(item);
      else if (field.item_kind == Kind::structure && !is_map) {
        std::uint32_t hash = 2166136261u;
        for (char c : item) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
        char hex[8];
        auto end = std::to_chars(hex, hex + sizeof hex, hash, 16).ptr;
        out.append(field.text).append("@").append(hex, end);
      } else
        out += item;
    };
    std::string_view key;
    if (is_map) {
      reader.begin_object();
      while (out.size() < kEchoBytesMax && reader.next_member(key)) {
        separate();
        (out += key) += '=';
        add(reader.skip_value());
      }
    } else {
      reader.begin_array();
      while (out.size() < kEchoBytesMax && reader.next_element()) {
        separate();
        add(reader.skip_value());
      }
    }
    out.resize(capped(out).size());
    return out += is_map ? "}'" : "]'";
  }

  void violation(std::string_view shown, std::string_view rule, bool hidden = false) {
    if (violations_.size() >= kViolationsMax) return;
    std::string text = "Value ";
    if (dialect_.echo_values && !hidden) (text += shown) += ' ';
    ((text += "at '") += path_) += "' failed to satisfy constraint: ";
    violations_.push_back(text += rule);
  }
  bool fail(std::string text) {
    type_error_ = std::move(text);
    return false;
  }

  const Dialect& dialect_;
  std::string path_, type_error_, refused_;
  std::vector<std::string> violations_;
};

void append_quoted(std::string_view text, Buffer& out) {
  const std::size_t size = codec::json_quoted_size(text);
  codec::json_quote(text, out.prepare(size));
  out.commit(size);
}

void encode_value(Kind kind, std::span<const Field> members, const void* value, Buffer& out) {
  switch (kind) {
    case Kind::string:
      return append_quoted(*static_cast<const std::string*>(value), out);
    case Kind::integer:
      return out.append(std::to_string(*static_cast<const std::int32_t*>(value)));
    case Kind::long_integer:
      return out.append(std::to_string(*static_cast<const std::int64_t*>(value)));
    case Kind::boolean:
      return out.append(*static_cast<const bool*>(value) ? "true" : "false");
    case Kind::timestamp:
      return out.commit(write_timestamp(*static_cast<const TimePoint*>(value), out.prepare(kTimestampChars)));
    case Kind::blob: {
      const std::string& bytes = static_cast<const Blob*>(value)->bytes;
      char* at = out.prepare(codec::base64::encoded_size(bytes.size()) + codec::base64::kSlack + 2);
      *at = '"';
      const std::size_t size = codec::base64::encode(bytes, at + 1);
      at[1 + size] = '"';
      return out.commit(size + 2);
    }
    case Kind::json:
      return out.append(static_cast<const JsonText*>(value)->text);
    case Kind::structure:
      return encode(members, value, out);
    case Kind::map: {
      std::string_view separator = "{";
      for (const auto& [name, text] : *static_cast<const std::map<std::string, std::string>*>(value)) {
        out.append(separator);
        append_quoted(name, out);
        out.append(":");
        append_quoted(text, out);
        separator = ",";
      }
      return out.append(separator == "{" ? "{}" : "}");
    }
    case Kind::list:
    case Kind::refused:
      return;
  }
}

}  // namespace

std::optional<ServiceError> decode(std::string_view body, std::span<const Field> members, void* object,
                                   const Dialect& dialect) {
  JsonReader reader(body);
  std::string_view text;
  if (reader.peek() == JsonType::object) text = reader.skip_value();
  if (text.empty() || reader.failed() || !reader.at_end()) return ServiceError{"SerializationException", 400, ""};
  Decoder decoder(dialect);
  const bool good = decoder.structure(text, members, object);
  return decoder.result(good);
}

void encode(std::span<const Field> members, const void* object, Buffer& out) {
  std::string_view separator = "{";
  for (const Field& field : members) {
    const void* value = field.get ? field.get(object) : nullptr;
    if (!value) continue;
    out.append(separator);
    append_quoted(field.name, out);
    out.append(":");
    separator = ",";
    if (field.kind != Kind::list) {
      encode_value(field.kind, field.members, value, out);
      continue;
    }
    out.append("[");
    for (std::size_t i = 0, count = field.count(value); i < count; ++i) {
      if (i) out.append(",");
      encode_value(field.item_kind, field.members, field.at(value, i), out);
    }
    out.append("]");
  }
  out.append(separator == "{" ? "{}" : "}");
}

std::size_t write_timestamp(TimePoint at, char* out) noexcept {
  const std::int64_t signed_ms = at.time_since_epoch().count();
  const std::uint64_t ms =
      signed_ms < 0 ? 0 - static_cast<std::uint64_t>(signed_ms) : static_cast<std::uint64_t>(signed_ms);
  char* end = out;
  if (signed_ms < 0) *end++ = '-';
  end = std::to_chars(end, out + kTimestampChars, ms / 1000).ptr;
  const auto rest = static_cast<int>(ms % 1000);
  *end++ = '.';
  *end++ = static_cast<char>('0' + rest / 100);
  *end++ = static_cast<char>('0' + rest / 10 % 10);
  *end++ = static_cast<char>('0' + rest % 10);
  return static_cast<std::size_t>(end - out);
}

}  // namespace millrace::services
