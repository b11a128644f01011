#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/vtl/value.hpp"

namespace millrace::gateway::vtl {

/// A definite JSONPath: `$`, `.name`, `['name']`, `[0]`, `[-1]`. What can name several values (`..`, `*`, slices,
/// filters, functions) is refused.
class JsonPath {
 public:
  /// @param problem  says what is wrong or not supported, when nothing is returned
  static std::optional<JsonPath> parse(std::string_view text, std::string& problem);
  /// Null when nothing is there.
  Value find(Value from, Budget& budget) const;
  bool is_root() const noexcept { return steps_.empty(); }

 private:
  struct Step {
    bool is_index = false;
    std::int64_t index = 0;
    std::string name;
  };
  std::vector<Step> steps_;
};

}  // namespace millrace::gateway::vtl
