#include "services/fields.hpp"

#include <algorithm>
#include <charconv>

#include "millrace/base/printable.hpp"
#include "millrace/codec/base64.hpp"
#include "services/forms.hpp"

namespace millrace::services {
namespace {

constexpr std::size_t kViolationsMax = 10;

std::string_view capped(std::string_view text) { return first_bytes(text, kEchoBytesMax); }

std::string lower_camel(std::string_view name) {
  std::string out(name);
  if (!out.empty() && out[0] >= 'A' && out[0] <= 'Z') out[0] = static_cast<char>(out[0] - 'A' + 'a');
  return out;
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

template <class Form>
class Decoder {
 public:
  explicit Decoder(const Dialect& dialect) : dialect_(dialect) {}

  /// False after a type error; violations are collected beside.
  bool structure(std::string_view text, std::span<const Field> members, void* object) {
    std::array<std::string_view, kFieldsMax> texts{};
    auto given = Form::members(text);
    for (std::string_view name, value; given.next(name, value);) {
      std::size_t at = 0;
      while (at < members.size() && members[at].name != name) ++at;
      if (at < members.size()) texts[at] = Form::type_of(value) == ValueType::null ? std::string_view{} : value;
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
    const ValueType type = Form::type_of(text);
    const bool container = kind == Kind::list || kind == Kind::map || kind == Kind::structure;
    if (kind == Kind::json) return true;
    if (type == ValueType::array) return kind == Kind::list || fail("Start of list found where not expected");
    if (type == ValueType::object)
      return kind == Kind::map || kind == Kind::structure ||
             fail("Start of structure or map found where not expected.");
    if (container)
      return fail(kind == Kind::list  ? "Expected list or null"
                  : kind == Kind::map ? "Expected map or null"
                                      : "Expected null");
    const std::string_view java = type == ValueType::boolean ? "class java.lang.Boolean"
                                  : type == ValueType::number
                                      ? "class com.amazon.coral.value.json.numbers.TruncatingBigNumber"
                                  : type == ValueType::bytes ? "class java.nio.HeapByteBuffer"
                                                             : "class java.lang.String";
    auto refuse = [&](std::string_view to) {
      return fail(std::string(java) + " can not be converted to " + std::string(to));
    };
    switch (kind) {
      case Kind::string:
        return type == ValueType::string || refuse("an String");
      case Kind::integer:
        return type == ValueType::number || refuse("an Integer");
      case Kind::long_integer:
        return type == ValueType::number || refuse("an Long");
      case Kind::real:
        return type == ValueType::number || refuse("an Double");
      case Kind::timestamp:
        return type == ValueType::number || refuse("milliseconds since epoch");
      case Kind::blob:
        return type == ValueType::string || type == ValueType::bytes || refuse("a Blob");
      case Kind::boolean: {
        if (type == ValueType::boolean) return true;
        if (type != ValueType::string) return refuse("an Boolean");
        std::string upper = Form::text(text);
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
        value = Form::text(text);
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
            Form::integer(text, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max()));
        check_bounds(value, "value", [&] { return "'" + std::to_string(value) + "'"; });
        return true;
      }
      case Kind::long_integer: {
        auto& value = *static_cast<std::int64_t*>(place);
        value =
            Form::integer(text, std::numeric_limits<std::int64_t>::min() + 1, std::numeric_limits<std::int64_t>::max());
        check_bounds(value, "value", [&] { return "'" + std::to_string(value) + "'"; });
        return true;
      }
      case Kind::real:
        *static_cast<double*>(place) = Form::real(text);
        return true;
      case Kind::boolean:
        *static_cast<bool*>(place) =
            Form::type_of(text) == ValueType::string ? (Form::text(text)[0] | 0x20) == 't' : Form::truth(text);
        return true;
      case Kind::timestamp:
        *static_cast<TimePoint*>(place) = Form::timestamp(text);
        return true;
      case Kind::blob: {
        auto& bytes = static_cast<Blob*>(place)->bytes;
        if (std::optional<std::string> wrong = Form::blob(text, bytes)) return fail(std::move(*wrong));
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
    std::string_view item;
    for (auto counted = Form::items(text); counted.next(item);) ++count;
    check_size(field, text, count);
    // What is beyond the limit is refused as a whole; it is not kept, so that memory stays near the limit.
    std::size_t kept = count;
    if (field.own.max != Constraint::kNone) kept = std::min(kept, static_cast<std::size_t>(field.own.max));
    bool items_hold = true;
    auto given = Form::items(text);
    for (std::size_t i = 0; i < kept && given.next(item); ++i) {
      const std::size_t parent = path_.size();
      path_ += '.' + std::to_string(i + 1) + ".member";
      bool good = true;
      if (Form::type_of(item) == ValueType::null)
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
    auto given = Form::members(text);
    for (std::string_view key, item; given.next(key, item);) {
      std::string name(key);
      if (Form::type_of(item) == ValueType::null) {
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
    bool first = true;
    auto separate = [&] {
      if (!first) out += ", ";
      first = false;
    };
    auto add = [&](std::string_view item) {
      if (Form::type_of(item) == ValueType::string)
        out += Form::text(item);
      else if (field.item_kind == Kind::structure && !is_map) {
        std::uint32_t hash = 2166136261u;
        for (char c : item) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
        char hex[8];
        auto end = std::to_chars(hex, hex + sizeof hex, hash, 16).ptr;
        out.append(field.text).append("@").append(hex, end);
      } else
        out += Form::shown(item);
    };
    std::string_view key, item;
    if (is_map) {
      auto given = Form::members(text);
      while (out.size() < kEchoBytesMax && given.next(key, item)) {
        separate();
        (out += key) += '=';
        add(item);
      }
    } else {
      auto given = Form::items(text);
      while (out.size() < kEchoBytesMax && given.next(item)) {
        separate();
        add(item);
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

// A writer a wire, with the same calls.
class JsonOut {
 public:
  explicit JsonOut(Buffer& out) noexcept : out_(out) {}
  void text(std::string_view text) {
    const std::size_t size = codec::json_quoted_size(text);
    codec::json_quote(text, out_.prepare(size));
    out_.commit(size);
  }
  void integer(std::int64_t value) { out_.append(std::to_string(value)); }
  void real(double value) {
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    out_.append({digits, static_cast<std::size_t>(end - digits)});
  }
  void boolean(bool value) { out_.append(value ? "true" : "false"); }
  void timestamp(TimePoint at) { out_.commit(write_timestamp(at, out_.prepare(kTimestampChars))); }
  void blob(std::string_view bytes) {
    char* at = out_.prepare(codec::base64::encoded_size(bytes.size()) + codec::base64::kSlack + 2);
    *at = '"';
    const std::size_t size = codec::base64::encode(bytes, at + 1);
    at[1 + size] = '"';
    out_.commit(size + 2);
  }
  void json(std::string_view text) { out_.append(text); }
  void begin_map(std::size_t) { out_.append("{"); }
  void name(std::string_view name, bool first) {
    if (!first) out_.append(",");
    text(name);
    out_.append(":");
  }
  void end_map() { out_.append("}"); }
  void begin_list(std::size_t) { out_.append("["); }
  void item(bool first) {
    if (!first) out_.append(",");
  }
  void end_list() { out_.append("]"); }

 private:
  Buffer& out_;
};

class CborOut {
 public:
  explicit CborOut(Buffer& out) noexcept : writer_(out) {}
  void text(std::string_view text) { writer_.text(text); }
  void integer(std::int64_t value) { writer_.integer(value); }
  void real(double value) { writer_.real(value); }
  void boolean(bool value) { writer_.boolean(value); }
  void timestamp(TimePoint at) {
    writer_.tag(kEpochTag);
    writer_.integer(at.time_since_epoch().count());
  }
  void blob(std::string_view bytes) { writer_.bytes(bytes); }
  void json(std::string_view text) { writer_.text(text); }  // of no service that speaks CBOR
  void begin_map(std::size_t members) { writer_.begin_map(members); }
  void name(std::string_view name, bool) { writer_.text(name); }
  void end_map() {}
  void begin_list(std::size_t items) { writer_.begin_array(items); }
  void item(bool) {}
  void end_list() {}

 private:
  codec::CborWriter writer_;
};

template <class Out>
void write_structure(std::span<const Field> members, const void* object, Out& out);

template <class Out>
void write_value(Kind kind, std::span<const Field> members, const void* value, Out& out) {
  switch (kind) {
    case Kind::string:
      return out.text(*static_cast<const std::string*>(value));
    case Kind::integer:
      return out.integer(*static_cast<const std::int32_t*>(value));
    case Kind::long_integer:
      return out.integer(*static_cast<const std::int64_t*>(value));
    case Kind::real:
      return out.real(*static_cast<const double*>(value));
    case Kind::boolean:
      return out.boolean(*static_cast<const bool*>(value));
    case Kind::timestamp:
      return out.timestamp(*static_cast<const TimePoint*>(value));
    case Kind::blob:
      return out.blob(static_cast<const Blob*>(value)->bytes);
    case Kind::json:
      return out.json(static_cast<const JsonText*>(value)->text);
    case Kind::structure:
      return write_structure(members, value, out);
    case Kind::map: {
      const auto& map = *static_cast<const std::map<std::string, std::string>*>(value);
      out.begin_map(map.size());
      bool first = true;
      for (const auto& [name, text] : map) {
        out.name(name, std::exchange(first, false));
        out.text(text);
      }
      return out.end_map();
    }
    case Kind::list:
    case Kind::refused:
      return;
  }
}

template <class Out>
void write_structure(std::span<const Field> members, const void* object, Out& out) {
  std::array<const void*, kFieldsMax> values;
  std::size_t present = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    values[i] = members[i].get ? members[i].get(object) : nullptr;
    present += values[i] != nullptr;
  }
  out.begin_map(present);
  bool first = true;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (!values[i]) continue;
    const Field& field = members[i];
    out.name(field.name, std::exchange(first, false));
    if (field.kind != Kind::list) {
      write_value(field.kind, field.members, values[i], out);
      continue;
    }
    const std::size_t count = field.count(values[i]);
    out.begin_list(count);
    for (std::size_t k = 0; k < count; ++k) {
      out.item(k == 0);
      write_value(field.item_kind, field.members, field.at(values[i], k), out);
    }
    out.end_list();
  }
  out.end_map();
}

template <class Form>
std::optional<ServiceError> decode_as(std::string_view body, std::span<const Field> members, void* object,
                                      const Dialect& dialect) {
  const std::optional<std::string_view> document = Form::document(body);
  if (!document) return ServiceError{"SerializationException", 400, ""};
  Decoder<Form> decoder(dialect);
  const bool good = decoder.structure(*document, members, object);
  return decoder.result(good);
}

}  // namespace

std::optional<ServiceError> decode(std::string_view body, std::span<const Field> members, void* object,
                                   const Dialect& dialect, Wire wire) {
  return wire == Wire::json ? decode_as<JsonForm>(body, members, object, dialect)
                            : decode_as<CborForm>(body, members, object, dialect);
}

void encode(std::span<const Field> members, const void* object, Buffer& out, Wire wire) {
  if (wire == Wire::json) {
    JsonOut json(out);
    write_structure(members, object, json);
  } else {
    CborOut cbor(out);
    write_structure(members, object, cbor);
  }
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
