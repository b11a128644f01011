#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

/// The members of an operation's input as its decoder knows them, so that whoever writes such an input by hand (the
/// config file) can be told what is wrong with which member before the operation is called.
namespace millrace::services {

enum class Kind : std::uint8_t {
  string,
  integer,
  long_integer,
  real,
  boolean,
  timestamp,
  blob,
  list,
  map,
  structure,
  json,
  refused
};

/// A regular expression as AWS prints it, and the same thing as code.
struct Pattern {
  std::string_view text;
  bool (*matches)(std::string_view value) noexcept;
};

/// What one value must satisfy. Bounds are lengths (code points, bytes, items) or, for numbers, values.
struct Constraint {
  static constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::min();
  std::int64_t min = kNone;
  std::int64_t max = kNone;
  Pattern pattern{};                           ///< strings only
  std::span<const std::string_view> values{};  ///< enumerations, in the order AWS prints
};

struct Field {
  std::string_view name;
  Kind kind{};
  bool required = false;
  bool sensitive = false;            ///< its value is not repeated in error texts
  Constraint own;                    ///< of the value itself
  Constraint item;                   ///< of each list item or map value
  Constraint key;                    ///< of each map key
  Kind item_kind{};                  ///< lists
  std::span<const Field> members{};  ///< of a structure, or of each structure in a list
  std::string_view text;  ///< structures in lists: AWS's class name in error texts; refused members: the error text
  // The way to the C++ member.
  void* (*emplace)(void* object) = nullptr;          ///< makes it present
  const void* (*get)(const void* object) = nullptr;  ///< null when absent
  void* (*append)(void* list) = nullptr;             ///< lists: one more item
  std::size_t (*count)(const void* list) = nullptr;
  const void* (*at)(const void* list, std::size_t index) = nullptr;
};

}  // namespace millrace::services
