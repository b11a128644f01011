#include "gateway/vtl/value.hpp"

#include <charconv>
#include <cmath>
#include <unordered_map>
#include <vector>

#include "millrace/codec/json_reader.hpp"

namespace millrace::gateway::vtl {
namespace {

constexpr int kPrintDepthMax = 200;
constexpr std::size_t kIndexFrom = 16;  // members from which on a map is read with an index beside it

void quote(std::string_view text, Buffer& out) {
  char* to = out.prepare(codec::json_quoted_size(text));
  out.commit(static_cast<std::size_t>(codec::json_quote(text, to) - to));
}

void print_integer(std::int64_t value, Buffer& out) {
  char text[24];
  out.append({text, static_cast<std::size_t>(std::to_chars(text, text + sizeof text, value).ptr - text)});
}

void print_real(double value, Buffer& out) {
  char text[40];
  std::string_view shown(text, static_cast<std::size_t>(std::to_chars(text, text + sizeof text, value).ptr - text));
  out.append(shown);
  if (shown.find_first_not_of("-0123456789") == std::string_view::npos) out.append(".0");
}

void print_json_at(const Value& value, Buffer& out, Budget& budget, int depth) {
  if (depth > kPrintDepthMax) throw TooDeep{};
  budget.spend_bytes(value.is(Value::Kind::string) ? value.as_text().size() : 0);
  switch (value.kind()) {
    case Value::Kind::null:
      return out.append("null");
    case Value::Kind::boolean:
      return out.append(value.as_boolean() ? "true" : "false");
    case Value::Kind::integer:
      return print_integer(value.as_integer(), out);
    case Value::Kind::real:
      return std::isfinite(value.as_real()) ? print_real(value.as_real(), out) : out.append("null");
    case Value::Kind::number:
      return out.append(value.as_text());
    case Value::Kind::string:
      return quote(value.as_text(), out);
    case Value::Kind::list: {
      out.append("[");
      bool first = true;
      for (const Value& item : value.as_list().items) {
        if (!first) out.append(",");
        first = false;
        print_json_at(item, out, budget, depth + 1);
      }
      return out.append("]");
    }
    case Value::Kind::map: {
      out.append("{");
      bool first = true;
      for (const Member& member : value.as_map().members) {
        if (!first) out.append(",");
        first = false;
        quote(member.key, out);
        out.append(":");
        print_json_at(member.value, out, budget, depth + 1);
      }
      return out.append("}");
    }
  }
}

void print_at(const Value& value, Buffer& out, Budget& budget, int depth) {
  if (depth > kPrintDepthMax) throw TooDeep{};
  budget.spend_bytes(value.is(Value::Kind::string) ? value.as_text().size() : 0);
  switch (value.kind()) {
    case Value::Kind::null:
      if (depth > 0) out.append("null");
      return;
    case Value::Kind::boolean:
      return out.append(value.as_boolean() ? "true" : "false");
    case Value::Kind::integer:
      return print_integer(value.as_integer(), out);
    case Value::Kind::real:
      return print_real(value.as_real(), out);
    case Value::Kind::number:
    case Value::Kind::string:
      return out.append(value.as_text());
    case Value::Kind::list: {
      if (value.as_list().json) return print_json_at(value, out, budget, depth);
      out.append("[");
      bool first = true;
      for (const Value& item : value.as_list().items) {
        if (!first) out.append(", ");
        first = false;
        print_at(item, out, budget, depth + 1);
      }
      return out.append("]");
    }
    case Value::Kind::map: {
      out.append("{");
      bool first = true;
      for (const Member& member : value.as_map().members) {
        if (!first) out.append(", ");
        first = false;
        out.append(member.key);
        out.append("=");
        print_at(member.value, out, budget, depth + 1);
      }
      return out.append("}");
    }
  }
}

/// Reads containers through one shared stack, so that each array in the arena is as long as it must be.
class TreeReader {
 public:
  TreeReader(std::string_view text, Arena& arena) : reader_(text), arena_(arena) {}

  bool read(Value& out) { return read_value(out) && reader_.at_end(); }
  std::size_t error_offset() const noexcept { return reader_.error_offset(); }

 private:
  std::string_view kept(const codec::JsonString& string) {
    if (!string.escaped) return string.raw;
    unescaped_.clear();
    codec::json_unescape(string.raw, unescaped_);
    return arena_.copy(unescaped_);
  }

  bool read_value(Value& out) {
    switch (reader_.peek()) {
      case codec::JsonType::object:
        return read_object(out);
      case codec::JsonType::array:
        return read_array(out);
      case codec::JsonType::string: {
        codec::JsonString string;
        if (!reader_.read_string(string)) return false;
        out = Value::string(kept(string));
        return true;
      }
      case codec::JsonType::number: {
        std::string_view text;
        if (!reader_.read_number(text)) return false;
        out = Value::number(text);
        return true;
      }
      case codec::JsonType::boolean: {
        bool b = false;
        if (!reader_.read_bool(b)) return false;
        out = Value::boolean(b);
        return true;
      }
      case codec::JsonType::null:
        out = Value();
        return reader_.read_null();
      case codec::JsonType::error:
        return false;
    }
    return false;
  }

  bool read_array(Value& out) {
    if (!reader_.begin_array()) return false;
    const std::size_t base = values_.size();
    while (reader_.next_element()) {
      Value item;
      if (!read_value(item)) return false;
      values_.push_back(item);
    }
    if (reader_.failed()) return false;
    List* list = arena_.make<List>();
    list->json = true;
    list->items.reserve(arena_, values_.size() - base);
    for (std::size_t i = base; i < values_.size(); ++i) list->items.push(arena_, values_[i]);
    values_.resize(base);
    out = Value::list(list);
    return true;
  }

  bool read_object(Value& out) {
    if (!reader_.begin_object()) return false;
    const std::size_t base = members_.size();
    std::unordered_map<std::string_view, std::size_t> index;
    std::string_view key;
    while (reader_.next_member(key)) {
      // An escaped key is a view that the next call overwrites.
      std::string_view own = in_text(key) ? key : arena_.copy(key);
      Value value;
      if (!read_value(value)) return false;
      add(base, own, value, index);
    }
    if (reader_.failed()) return false;
    Map* map = arena_.make<Map>();
    map->members.reserve(arena_, members_.size() - base);
    for (std::size_t i = base; i < members_.size(); ++i) map->members.push(arena_, members_[i]);
    members_.resize(base);
    out = Value::map(map);
    return true;
  }

  // A name sent twice keeps its first place and its last value.
  void add(std::size_t base, std::string_view key, Value value,
           std::unordered_map<std::string_view, std::size_t>& index) {
    if (members_.size() - base < kIndexFrom) {
      for (std::size_t i = base; i < members_.size(); ++i)
        if (members_[i].key == key) {
          members_[i].value = value;
          return;
        }
      members_.push_back({key, value});
      return;
    }
    if (index.empty())
      for (std::size_t i = base; i < members_.size(); ++i) index.emplace(members_[i].key, i);
    auto [at, added] = index.emplace(key, members_.size());
    if (added)
      members_.push_back({key, value});
    else
      members_[at->second].value = value;
  }

  bool in_text(std::string_view view) const noexcept {
    return std::less_equal<>{}(text_begin_, view.data()) && std::less<>{}(view.data(), text_end_);
  }

 public:
  void text(std::string_view text) noexcept {
    text_begin_ = text.data();
    text_end_ = text.data() + text.size();
  }

 private:
  codec::JsonReader reader_;
  Arena& arena_;
  const char* text_begin_ = nullptr;
  const char* text_end_ = nullptr;
  std::string unescaped_;
  std::vector<Value> values_;
  std::vector<Member> members_;
};

}  // namespace

void print(const Value& value, Buffer& out, Budget& budget) { print_at(value, out, budget, 0); }
void print_json(const Value& value, Buffer& out, Budget& budget) { print_json_at(value, out, budget, 0); }

Numeric numeric(const Value& number) noexcept {
  Numeric result;
  switch (number.kind()) {
    case Value::Kind::integer:
      result = {true, number.as_integer(), static_cast<double>(number.as_integer())};
      break;
    case Value::Kind::real:
      result.real = number.as_real();
      break;
    case Value::Kind::number: {
      std::string_view text = number.as_text();
      const char* end = text.data() + text.size();
      auto whole = std::from_chars(text.data(), end, result.integer);
      if (whole.ec == std::errc{} && whole.ptr == end) {
        result.exact = true;
        result.real = static_cast<double>(result.integer);
        break;
      }
      result.integer = 0;
      auto real = std::from_chars(text.data(), end, result.real);
      // Too large or too small for a double: from_chars leaves the value alone.
      if (real.ec == std::errc::result_out_of_range) result.real = text.front() == '-' ? -HUGE_VAL : HUGE_VAL;
      break;
    }
    default:
      break;
  }
  return result;
}

bool equal(const Value& a, const Value& b, Budget& budget) {
  if (a.is_number() && b.is_number()) {
    Numeric left = numeric(a), right = numeric(b);
    if (left.exact && right.exact) return left.integer == right.integer;
    return left.real == right.real;
  }
  if (a.is(Value::Kind::string) && b.is(Value::Kind::string)) return a.as_text() == b.as_text();
  if (a.is(Value::Kind::boolean) && b.is(Value::Kind::boolean)) return a.as_boolean() == b.as_boolean();
  if (a.is_null() || b.is_null()) {
    const Value& other = a.is_null() ? b : a;
    return other.is_null() || (other.is(Value::Kind::string) && other.as_text().empty());
  }
  Buffer left, right;
  if (a.is(b.kind())) {
    print_json(a, left, budget);
    print_json(b, right, budget);
  } else {
    print(a, left, budget);
    print(b, right, budget);
  }
  return left.view() == right.view();
}

bool parse_json(std::string_view text, Arena& arena, Value& out, std::size_t& error_offset) {
  TreeReader reader(text, arena);
  reader.text(text);
  if (reader.read(out)) return true;
  error_offset = reader.error_offset();
  return false;
}

}  // namespace millrace::gateway::vtl
