#include "gateway/vtl/methods.hpp"

#include <array>
#include <string>

#include "gateway/vtl/nodes.hpp"

namespace millrace::gateway::vtl {
namespace {

constexpr std::array kMethods{
    MethodShape{"add", Method::add, 1, 1},
    MethodShape{"addAll", Method::add_all, 1, 1},
    MethodShape{"charAt", Method::char_at, 1, 1},
    MethodShape{"concat", Method::concat, 1, 1},
    MethodShape{"contains", Method::contains, 1, 1},
    MethodShape{"containsKey", Method::contains_key, 1, 1},
    MethodShape{"containsValue", Method::contains_value, 1, 1},
    MethodShape{"endsWith", Method::ends_with, 1, 1},
    MethodShape{"entrySet", Method::entry_set, 0, 0},
    MethodShape{"equals", Method::equals, 1, 1},
    MethodShape{"get", Method::get, 1, 1},
    MethodShape{"getKey", Method::get_key, 0, 0},
    MethodShape{"getOrDefault", Method::get_or_default, 2, 2},
    MethodShape{"getValue", Method::get_value, 0, 0},
    MethodShape{"indexOf", Method::index_of, 1, 1},
    MethodShape{"intValue", Method::int_value, 0, 0},
    MethodShape{"isEmpty", Method::is_empty, 0, 0},
    MethodShape{"keySet", Method::key_set, 0, 0},
    MethodShape{"lastIndexOf", Method::last_index_of, 1, 1},
    MethodShape{"length", Method::length, 0, 0},
    MethodShape{"put", Method::put, 2, 2},
    MethodShape{"putAll", Method::put_all, 1, 1},
    MethodShape{"remove", Method::remove, 1, 1},
    MethodShape{"replace", Method::replace, 2, 2},
    MethodShape{"replaceAll", Method::replace_all, 2, 2},
    MethodShape{"size", Method::size, 0, 0},
    MethodShape{"split", Method::split, 1, 1},
    MethodShape{"startsWith", Method::starts_with, 1, 1},
    MethodShape{"substring", Method::substring, 1, 2},
    MethodShape{"toString", Method::to_string, 0, 0},
    MethodShape{"trim", Method::trim, 0, 0},
    MethodShape{"values", Method::values, 0, 0},
};

// As elements are compared: a number is a number however it came, but no text is one.
bool same_element(const Value& a, const Value& b, Budget& budget) {
  return (a.kind() == b.kind() || (a.is_number() && b.is_number())) && equal(a, b, budget);
}

// Lengths and places in a text are counted in UTF-16 units, as the language's strings do.
std::size_t unit_size(unsigned char lead) noexcept { return lead >= 0xF0 ? 2 : 1; }
bool is_lead(char c) noexcept { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

bool is_identifier_like(char c) noexcept {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

std::size_t utf16_length(std::string_view text) noexcept {
  std::size_t units = 0;
  for (char c : text)
    if (is_lead(c)) units += unit_size(static_cast<unsigned char>(c));
  return units;
}

// Units [from, to) of `text`; a pair cut in two leaves a `?`, as writing half a pair does.
std::string substring_utf16(std::string_view text, std::size_t from, std::size_t to) {
  std::string out;
  std::size_t unit = 0;
  for (std::size_t i = 0; i < text.size() && unit < to;) {
    std::size_t next = i + 1;
    while (next < text.size() && !is_lead(text[next])) ++next;
    const std::size_t size = unit_size(static_cast<unsigned char>(text[i]));
    if (unit >= from && unit + size <= to)
      out += text.substr(i, next - i);
    else if (unit + size > from)
      out += '?';
    unit += size;
    i = next;
  }
  return out;
}

std::string_view trimmed(std::string_view text) noexcept {
  while (!text.empty() && static_cast<unsigned char>(text.front()) <= ' ') text.remove_prefix(1);
  while (!text.empty() && static_cast<unsigned char>(text.back()) <= ' ') text.remove_suffix(1);
  return text;
}

Value string_method(Evaluation& e, std::string_view text, Method method, std::span<const Value> arguments) {
  e.budget.spend_bytes(text.size());
  auto argument = [&](std::size_t i) { return e.text_of(arguments[i]); };
  auto place = [&](std::size_t at) {
    return Value::integer(at == std::string_view::npos ? -1
                                                       : static_cast<std::int64_t>(utf16_length(text.substr(0, at))));
  };
  switch (method) {
    case Method::length:
      return Value::integer(static_cast<std::int64_t>(utf16_length(text)));
    case Method::is_empty:
      return Value::boolean(text.empty());
    case Method::to_string:
      return Value::string(text);
    case Method::trim:
      return Value::string(trimmed(text));
    case Method::concat:
      return Value::string(e.arena.join(text, argument(0)));
    case Method::equals:
      return Value::boolean(arguments[0].is(Value::Kind::string) && arguments[0].as_text() == text);
    case Method::contains:
      return Value::boolean(text.find(argument(0)) != std::string_view::npos);
    case Method::starts_with:
      return Value::boolean(text.starts_with(argument(0)));
    case Method::ends_with:
      return Value::boolean(text.ends_with(argument(0)));
    case Method::index_of:
      return place(text.find(argument(0)));
    case Method::last_index_of:
      return place(text.rfind(argument(0)));
    case Method::char_at:
    case Method::substring: {
      const auto length = static_cast<std::int64_t>(utf16_length(text));
      for (const Value& value : arguments)
        if (!value.is_number() || !numeric(value).exact) return {};
      const std::int64_t from = numeric(arguments[0]).integer;
      std::int64_t to = length;
      if (method == Method::char_at) {
        if (from >= length) return {};
        to = from + 1;
      } else if (arguments.size() == 2) {
        to = numeric(arguments[1]).integer;
      }
      if (from < 0 || from > to || to > length) return {};
      return Value::string(
          e.arena.copy(substring_utf16(text, static_cast<std::size_t>(from), static_cast<std::size_t>(to))));
    }
    case Method::replace:
    case Method::replace_all: {
      std::string_view from = argument(0), to = argument(1);
      if (from.empty()) return Value::string(text);
      std::string out;
      std::size_t at = 0;
      for (std::size_t found; (found = text.find(from, at)) != std::string_view::npos; at = found + from.size()) {
        out.append(text, at, found - at).append(to);
        e.budget.spend_bytes(to.size());
        if (out.size() > Template::kOutputBytesMax) fail("a text grew too large in replace()");
      }
      out.append(text, at);
      return Value::string(e.arena.copy(out));
    }
    case Method::split: {
      std::string_view separator = argument(0);
      List* list = e.arena.make<List>();
      std::size_t at = 0;
      for (std::size_t found; !separator.empty() && (found = text.find(separator, at)) != std::string_view::npos;
           at = found + separator.size())
        list->items.push(e.arena, Value::string(text.substr(at, found - at)));
      list->items.push(e.arena, Value::string(text.substr(at)));
      // Empty texts at the end are dropped, but not the only one.
      while (list->items.size() > 1 && list->items[list->items.size() - 1].as_text().empty())
        list->items.erase(list->items.size() - 1);
      return Value::list(list);
    }
    default:
      return {};
  }
}

Value list_method(Evaluation& e, List& list, Method method, std::span<const Value> arguments) {
  auto& items = list.items;
  auto place = [&](std::size_t i) -> std::optional<std::size_t> {
    if (!arguments[i].is_number()) return std::nullopt;
    Numeric n = numeric(arguments[i]);
    if (!n.exact || n.integer < 0 || static_cast<std::uint64_t>(n.integer) >= items.size()) return std::nullopt;
    return static_cast<std::size_t>(n.integer);
  };
  auto find = [&](const Value& wanted) {
    for (std::size_t i = 0; i < items.size(); ++i) {
      e.budget.spend(1);
      if (same_element(items[i], wanted, e.budget)) return static_cast<std::int64_t>(i);
    }
    return std::int64_t{-1};
  };
  switch (method) {
    case Method::size:
      return Value::integer(static_cast<std::int64_t>(items.size()));
    case Method::is_empty:
      return Value::boolean(items.empty());
    case Method::get: {
      auto at = place(0);
      return at ? items[*at] : Value();
    }
    case Method::contains:
      return Value::boolean(find(arguments[0]) >= 0);
    case Method::index_of:
      return Value::integer(find(arguments[0]));
    case Method::add:
      items.push(e.arena, arguments[0]);
      return Value::boolean(true);
    case Method::add_all: {
      if (!arguments[0].is(Value::Kind::list)) return {};
      const ArenaVector<Value> more = arguments[0].as_list().items;  // a list may be added to itself
      e.budget.spend(more.size());
      for (const Value& item : more) items.push(e.arena, item);
      return Value::boolean(!more.empty());
    }
    case Method::remove: {
      auto at = place(0);
      if (!at) return {};
      e.budget.spend(1 + items.size() / 4);
      Value removed = items[*at];
      items.erase(*at);
      return removed;
    }
    case Method::equals:
      return Value::boolean(arguments[0].is(Value::Kind::list) && equal(Value::list(&list), arguments[0], e.budget));
    case Method::to_string:
      return Value::string(e.text_of(Value::list(&list)));
    default:
      return {};
  }
}

Value map_method(Evaluation& e, Map& map, Method method, std::span<const Value> arguments) {
  auto& members = map.members;
  e.budget.spend(1 + members.size() / 4);
  switch (method) {
    case Method::size:
      return Value::integer(static_cast<std::int64_t>(members.size()));
    case Method::is_empty:
      return Value::boolean(members.empty());
    case Method::get: {
      const Member* member = map.find(e.text_of(arguments[0]));
      return member ? member->value : Value();
    }
    case Method::get_or_default: {
      const Member* member = map.find(e.text_of(arguments[0]));
      return member ? member->value : arguments[1];
    }
    case Method::contains_key:
      return Value::boolean(map.find(e.text_of(arguments[0])) != nullptr);
    case Method::contains_value:
      for (const Member& member : members)
        if (same_element(member.value, arguments[0], e.budget)) return Value::boolean(true);
      return Value::boolean(false);
    case Method::put: {
      std::string_view key = e.text_of(arguments[0]);
      const Member* member = map.find(key);
      Value before = member ? member->value : Value();
      map.set(e.arena, key, arguments[1]);
      return before;
    }
    case Method::put_all: {
      if (!arguments[0].is(Value::Kind::map)) return {};
      const ArenaVector<Member> more = arguments[0].as_map().members;
      for (const Member& member : more) {
        e.budget.spend(1 + members.size() / 4);
        map.set(e.arena, member.key, member.value);
      }
      return {};
    }
    case Method::remove: {
      Member* member = map.find(e.text_of(arguments[0]));
      if (!member) return {};
      Value removed = member->value;
      members.erase(static_cast<std::size_t>(member - members.begin()));
      return removed;
    }
    case Method::key_set:
    case Method::values:
    case Method::entry_set: {
      List* list = e.arena.make<List>();
      list->items.reserve(e.arena, members.size());
      for (const Member& member : members) {
        Value item = method == Method::key_set ? Value::string(member.key) : member.value;
        if (method == Method::entry_set) {
          Map* entry = e.arena.make<Map>();
          entry->members.reserve(e.arena, 2);
          entry->members.push(e.arena, {"key", Value::string(member.key)});
          entry->members.push(e.arena, {"value", member.value});
          item = Value::map(entry);
        }
        list->items.push(e.arena, item);
      }
      return Value::list(list);
    }
    // Of what entrySet() gave.
    case Method::get_key: {
      const Member* member = map.find("key");
      return member ? member->value : Value();
    }
    case Method::get_value: {
      const Member* member = map.find("value");
      return member ? member->value : Value();
    }
    case Method::equals:
      return Value::boolean(arguments[0].is(Value::Kind::map) && equal(Value::map(&map), arguments[0], e.budget));
    case Method::to_string:
      return Value::string(e.text_of(Value::map(&map)));
    default:
      return {};
  }
}

}  // namespace

const MethodShape* find_method(std::string_view name) noexcept {
  for (const MethodShape& shape : kMethods)
    if (shape.name == name) return &shape;
  return nullptr;
}

std::optional<std::string> literal_pattern(std::string_view pattern) {
  std::string text;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    char c = pattern[i];
    if (std::string_view("[](){}.*+?^$|").find(c) != std::string_view::npos) return std::nullopt;
    if (c == '\\') {
      if (++i == pattern.size() || is_identifier_like(pattern[i])) return std::nullopt;
      c = pattern[i];
    }
    text += c;
  }
  if (text.empty()) return std::nullopt;
  return text;
}

std::optional<std::string> literal_replacement(std::string_view replacement) {
  std::string text;
  for (std::size_t i = 0; i < replacement.size(); ++i) {
    if (replacement[i] == '$') return std::nullopt;
    if (replacement[i] == '\\' && ++i == replacement.size()) return std::nullopt;
    text += replacement[i];
  }
  return text;
}

Value call_method(Evaluation& e, const Value& of, Method method, std::span<const Value> arguments) {
  switch (of.kind()) {
    case Value::Kind::null:
      return {};
    case Value::Kind::string:
      return string_method(e, of.as_text(), method, arguments);
    case Value::Kind::list:
      return list_method(e, of.as_list(), method, arguments);
    case Value::Kind::map:
      return map_method(e, of.as_map(), method, arguments);
    case Value::Kind::boolean:
    case Value::Kind::integer:
    case Value::Kind::real:
    case Value::Kind::number:
      if (method == Method::to_string) return Value::string(e.text_of(of));
      if (method == Method::equals) return Value::boolean(same_element(of, arguments[0], e.budget));
      if (method == Method::int_value && of.is_number() && numeric(of).exact)
        return Value::integer(numeric(of).integer);
      return {};
  }
  return {};
}

}  // namespace millrace::gateway::vtl
