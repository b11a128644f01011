#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "gateway/vtl/value.hpp"

namespace millrace::gateway::vtl {

class Evaluation;

/// Methods of texts, lists and maps. One name can mean something for several kinds of value.
enum class Method {
  add,
  add_all,
  char_at,
  concat,
  contains,
  contains_key,
  contains_value,
  ends_with,
  entry_set,
  equals,
  get,
  get_key,
  get_or_default,
  get_value,
  index_of,
  is_empty,
  key_set,
  last_index_of,
  length,
  put,
  put_all,
  remove,
  replace,
  replace_all,
  size,
  split,
  starts_with,
  substring,
  to_string,
  trim,
  values,
  int_value
};

struct MethodShape {
  std::string_view name;
  Method method;
  std::size_t arguments_min, arguments_max;
};
const MethodShape* find_method(std::string_view name) noexcept;

/// Patterns of replaceAll and split that mean one text, with their escapes undone; nothing for real patterns.
std::optional<std::string> literal_pattern(std::string_view pattern);
/// The replacement of replaceAll without group references, with its escapes undone.
std::optional<std::string> literal_replacement(std::string_view replacement);

/// Null when `of` has no such method, as the language does.
Value call_method(Evaluation& e, const Value& of, Method method, std::span<const Value> arguments);

}  // namespace millrace::gateway::vtl
