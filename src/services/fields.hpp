#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "millrace/base/buffer.hpp"
#include "millrace/base/clock.hpp"
#include "millrace/services/field.hpp"
#include "millrace/services/operation.hpp"

/// Members as data. An operation declares plain structs and, beside each, a table of its members:
///
///     struct Input { std::string name; std::optional<std::int32_t> limit; std::vector<Entry> entries; };
///     constexpr auto kInput = fields(                      // in the order in which violations are reported
///         field<&Input::limit>("Limit", within(1, 10000)),
///         field<&Input::entries>("Entries", length(1, 500), of(kEntry)),
///         field<&Input::name>("StreamName", length(1, 128), pattern(kNamePattern)));
///
/// From the table come decoding, AWS's type errors, AWS's validation errors and, for outputs, encoding, on both wires.
/// A member is required because its type is no std::optional. Member types and what they are on the wire:
///
///     std::string    string          bool          boolean         std::vector<T>                      list
///     std::int32_t   integer         TimePoint     timestamp       std::map<std::string, std::string>  map
///     std::int64_t   long            Blob          blob            a struct, with of(its fields)       structure
///     double         double        JsonText      any value, kept as its JSON text
///
/// A blob is base64 text in JSON, a byte string in CBOR. A timestamp is epoch seconds with a fraction in JSON, tag 1
/// before integer epoch milliseconds in CBOR.
namespace millrace::services {

struct Blob {
  std::string bytes;
};
struct JsonText {
  std::string text;
};

template <std::size_t N>
struct FieldList {
  std::array<Field, N> items;
  constexpr operator std::span<const Field>() const noexcept { return items; }
};
inline constexpr std::size_t kFieldsMax = 32;  ///< of one structure

// Rules, the arguments of field<>() after the name.
namespace rules {
struct Bounds {
  std::int64_t min, max;
};
struct Items {
  Constraint constraint;
};
struct Keys {
  Constraint constraint;
};
struct Values {
  std::span<const std::string_view> values;
};
struct Members {
  std::span<const Field> members;
  std::string_view class_name;
};
struct Sensitive {};
constexpr void apply(Constraint& c, Bounds b) { c.min = b.min, c.max = b.max; }
constexpr void apply(Constraint& c, Pattern p) { c.pattern = p; }
constexpr void apply(Constraint& c, Values v) { c.values = v.values; }
constexpr void apply(Field& f, Bounds b) { apply(f.own, b); }
constexpr void apply(Field& f, Pattern p) { apply(f.own, p); }
constexpr void apply(Field& f, Values v) { apply(f.own, v); }
constexpr void apply(Field& f, Items i) { f.item = i.constraint; }
constexpr void apply(Field& f, Keys k) { f.key = k.constraint; }
constexpr void apply(Field& f, Members m) { f.members = m.members, f.text = m.class_name; }
constexpr void apply(Field& f, Sensitive) { f.sensitive = true; }
}  // namespace rules

constexpr rules::Bounds length(std::int64_t min, std::int64_t max) { return {min, max}; }
constexpr rules::Bounds within(std::int64_t min, std::int64_t max) { return {min, max}; }
constexpr rules::Bounds at_least(std::int64_t min) { return {min, Constraint::kNone}; }
constexpr Pattern pattern(Pattern p) { return p; }
/// `values` is a constexpr array of string_view at namespace scope.
constexpr rules::Values one_of(std::span<const std::string_view> values) { return {values}; }
/// Constraints of list items or map values, and of map keys.
template <class... Rules>
constexpr rules::Items items(Rules... all) {
  rules::Items out{};
  (rules::apply(out.constraint, all), ...);
  return out;
}
template <class... Rules>
constexpr rules::Keys keys(Rules... all) {
  rules::Keys out{};
  (rules::apply(out.constraint, all), ...);
  return out;
}
/// The members of a structure or of a list's structures; `fields` is a constexpr fields(...) at namespace scope.
constexpr rules::Members of(std::span<const Field> fields, std::string_view class_name = {}) {
  return {fields, class_name};
}
inline constexpr rules::Sensitive sensitive;

namespace detail {
template <class T>
struct OptionalOf : std::false_type {
  using Value = T;
};
template <class T>
struct OptionalOf<std::optional<T>> : std::true_type {
  using Value = T;
};
template <class T>
struct ListOf : std::false_type {};
template <class T>
struct ListOf<std::vector<T>> : std::true_type {
  using Item = T;
};

template <class T>
constexpr Kind kind_of() {
  if constexpr (std::is_same_v<T, std::string>)
    return Kind::string;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return Kind::integer;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return Kind::long_integer;
  else if constexpr (std::is_same_v<T, double>)
    return Kind::real;
  else if constexpr (std::is_same_v<T, bool>)
    return Kind::boolean;
  else if constexpr (std::is_same_v<T, TimePoint>)
    return Kind::timestamp;
  else if constexpr (std::is_same_v<T, Blob>)
    return Kind::blob;
  else if constexpr (std::is_same_v<T, JsonText>)
    return Kind::json;
  else if constexpr (std::is_same_v<T, std::map<std::string, std::string>>)
    return Kind::map;
  else if constexpr (ListOf<T>::value)
    return Kind::list;
  else {
    static_assert(std::is_class_v<T>, "no wire form for this member type");
    return Kind::structure;
  }
}

template <class T>
struct MemberPointer;
template <class Object, class Member>
struct MemberPointer<Member Object::*> {
  using ObjectType = Object;
  using MemberType = Member;
};

// The object's type is a parameter beside the pointers: an operation's Input is in an unnamed namespace, and GCC 12
// gives functions internal linkage for a type argument from there, but not for a member pointer.
template <class Object, auto First, auto... Rest>
struct Path {
  static auto& reach(auto& object) {
    if constexpr (sizeof...(Rest) == 0) {
      return object.*First;
    } else {
      using Inner = typename MemberPointer<decltype(First)>::MemberType;
      return Path<Inner, Rest...>::reach(object.*First);
    }
  }
  using Member = std::remove_reference_t<decltype(reach(std::declval<Object&>()))>;
  using Value = typename OptionalOf<Member>::Value;
  static constexpr bool kOptional = OptionalOf<Member>::value;

  static void* emplace(void* object) {
    auto& member = reach(*static_cast<Object*>(object));
    if constexpr (kOptional)
      return &member.emplace();
    else
      return &member;
  }
  static const void* get(const void* object) {
    const auto& member = reach(*static_cast<const Object*>(object));
    if constexpr (kOptional)
      return member ? &*member : nullptr;
    else
      return &member;
  }
};

template <class List>
struct ListDoors {
  static void* append(void* list) { return &static_cast<List*>(list)->emplace_back(); }
  static std::size_t count(const void* list) { return static_cast<const List*>(list)->size(); }
  static const void* at(const void* list, std::size_t index) { return &(*static_cast<const List*>(list))[index]; }
};

template <class T>
struct FieldCount : std::integral_constant<std::size_t, 1> {};
template <std::size_t N>
struct FieldCount<FieldList<N>> : std::integral_constant<std::size_t, N> {};
}  // namespace detail

/// A member: field<&Input::name>("Name", rules...). A path of several pointers reaches into a nested C++ struct whose
/// members stand in the same JSON object.
template <auto First, auto... Rest, class... Rules>
constexpr Field field(std::string_view name, Rules... all) {
  using Path = detail::Path<typename detail::MemberPointer<decltype(First)>::ObjectType, First, Rest...>;
  Field out;
  out.name = name;
  out.kind = detail::kind_of<typename Path::Value>();
  out.required = !Path::kOptional;
  out.emplace = Path::emplace;
  out.get = Path::get;
  if constexpr (detail::ListOf<typename Path::Value>::value) {
    using List = typename Path::Value;
    out.item_kind = detail::kind_of<typename detail::ListOf<List>::Item>();
    out.append = detail::ListDoors<List>::append;
    out.count = detail::ListDoors<List>::count;
    out.at = detail::ListDoors<List>::at;
  }
  (rules::apply(out, all), ...);
  return out;
}

/// A member that AWS has and Millrace does not serve yet: anything but absent or null is an InvalidArgumentException,
/// said after all type and constraint checks. Without `text` it reads "<path> is not supported yet."
constexpr Field refused(std::string_view name, std::string_view text = {}) {
  Field out;
  out.name = name;
  out.kind = Kind::refused;
  out.text = text;
  return out;
}

template <class... Items>
constexpr auto fields(const Items&... all) {
  constexpr std::size_t kCount = (std::size_t{0} + ... + detail::FieldCount<Items>::value);
  static_assert(kCount <= kFieldsMax);
  FieldList<kCount> out{};
  std::size_t at = 0;
  [[maybe_unused]] auto add = [&](const auto& item) {
    if constexpr (std::is_same_v<std::remove_cvref_t<decltype(item)>, Field>)
      out.items[at++] = item;
    else
      for (const Field& one : item.items) out.items[at++] = one;
  };
  (add(all), ...);
  return out;
}

/// How a service's words differ.
struct Dialect {
  bool echo_values = true;         ///< "Value 'x' at 'y' failed", else "Value at 'y' failed"
  bool braces_when_empty = false;  ///< operations without output answer {} instead of nothing
};

/// Decodes `body`, a JSON object or a CBOR map, into `object`, whose members `members` lists. Nothing: decoded and
/// valid. Unknown members are ignored, null is absent, of duplicate members the last counts. What is no such document,
/// has bad UTF-8 or a nesting over 128 is a SerializationException without text; a wrong type one with text; then up to
/// 10 violations in one ValidationException. Both wires give the same words for the same mistake.
std::optional<ServiceError> decode(std::string_view body, std::span<const Field> members, void* object,
                                   const Dialect& dialect = {}, Wire wire = Wire::json);

/// Appends `object` as a JSON object or CBOR map; absent optionals are left out.
void encode(std::span<const Field> members, const void* object, Buffer& out, Wire wire = Wire::json);

/// The tag before a timestamp in CBOR.
inline constexpr std::uint64_t kEpochTag = 1;

/// A time as it stands in JSON: epoch seconds with three places, 1767225600.123. Returns the characters written to
/// `out`, which has room for kTimestampChars.
inline constexpr std::size_t kTimestampChars = 32;
std::size_t write_timestamp(TimePoint at, char* out) noexcept;

}  // namespace millrace::services
