#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/vtl/arena.hpp"
#include "millrace/base/buffer.hpp"

namespace millrace::gateway::vtl {

struct List;
struct Map;

/// A template's value: 16 bytes, copied freely. Texts, lists and maps are views into the body, the template or the
/// arena of the evaluation; lists and maps are shared when copied, as objects are in the language.
class Value {
 public:
  /// number is a JSON number with its text as sent; integer and real are computed.
  enum class Kind : std::uint8_t { null, boolean, integer, real, number, string, list, map };

  Value() = default;
  static Value boolean(bool b) noexcept {
    return Value(Kind::boolean, [&](Value& v) { v.integer_ = b; });
  }
  static Value integer(std::int64_t i) noexcept {
    return Value(Kind::integer, [&](Value& v) { v.integer_ = i; });
  }
  static Value real(double d) noexcept {
    return Value(Kind::real, [&](Value& v) { v.real_ = d; });
  }
  static Value number(std::string_view text) noexcept { return Value(Kind::number, text); }
  static Value string(std::string_view text) noexcept { return Value(Kind::string, text); }
  static Value list(List* list) noexcept {
    return Value(Kind::list, [&](Value& v) { v.list_ = list; });
  }
  static Value map(Map* map) noexcept {
    return Value(Kind::map, [&](Value& v) { v.map_ = map; });
  }

  Kind kind() const noexcept { return kind_; }
  bool is(Kind kind) const noexcept { return kind_ == kind; }
  bool is_null() const noexcept { return kind_ == Kind::null; }
  bool is_number() const noexcept { return kind_ == Kind::integer || kind_ == Kind::real || kind_ == Kind::number; }
  bool as_boolean() const noexcept { return integer_ != 0; }
  std::int64_t as_integer() const noexcept { return integer_; }
  double as_real() const noexcept { return real_; }
  /// Of a string or a number.
  std::string_view as_text() const noexcept { return {text_, size_}; }
  List& as_list() const noexcept { return *list_; }
  Map& as_map() const noexcept { return *map_; }

 private:
  template <class Set>
  Value(Kind kind, Set set) noexcept : kind_(kind) {
    set(*this);
  }
  Value(Kind kind, std::string_view text) noexcept
      : text_(text.data()), size_(static_cast<std::uint32_t>(text.size())), kind_(kind) {}

  union {
    std::int64_t integer_ = 0;
    double real_;
    const char* text_;
    List* list_;
    Map* map_;
  };
  std::uint32_t size_ = 0;
  Kind kind_ = Kind::null;
};
static_assert(sizeof(Value) == 16);

struct List {
  ArenaVector<Value> items;
  bool json = false;  ///< came from a JSON text: prints as JSON, others print as `[a, b]`
};

struct Member {
  std::string_view key;
  Value value;
};

/// Members in their order.
struct Map {
  ArenaVector<Member> members;
  Member* find(std::string_view key) const noexcept {
    for (Member& member : members)
      if (member.key == key) return &member;
    return nullptr;
  }
  void set(Arena& arena, std::string_view key, Value value) {
    if (Member* member = find(key))
      member->value = value;
    else
      members.push(arena, Member{key, value});
  }
};

/// A value nests deeper than can be printed (it may hold itself); caught where an evaluation begins.
struct TooDeep {};

/// The work of one evaluation, about one unit a node, a member looked at or some tens of bytes, so that neither a
/// template nor a body can hold a core for long. Lists and maps can be shared inside each other: a print is work too.
class Budget {
 public:
  struct Spent {};  ///< thrown when nothing is left; caught where an evaluation begins
  explicit Budget(std::size_t units) noexcept : left_(units) {}
  void spend(std::size_t units) {
    if (units > left_) throw Spent{};
    left_ -= units;
  }
  void spend_bytes(std::size_t bytes) { spend(1 + bytes / 32); }

 private:
  std::size_t left_;
};

/// As the language prints it: null as nothing, a map as `{a=b}`, a JSON list as JSON.
void print(const Value& value, Buffer& out, Budget& budget);
/// As compact JSON.
void print_json(const Value& value, Buffer& out, Budget& budget);
/// Null equals the empty text; numbers compare by value; values of two kinds by what they print.
bool equal(const Value& a, const Value& b, Budget& budget);
/// The value of any number; exact is false when it is not an integer that fits.
struct Numeric {
  bool exact = false;
  std::int64_t integer = 0;
  double real = 0;
};
Numeric numeric(const Value& number) noexcept;

/// A tree of `text`; its strings are views into it where nothing was escaped. False: not JSON, `error_offset` says
/// where.
bool parse_json(std::string_view text, Arena& arena, Value& out, std::size_t& error_offset);

}  // namespace millrace::gateway::vtl
