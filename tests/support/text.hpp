#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

namespace millrace::test {

inline std::string repeated(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

/// Each line without what all of them must begin with.
inline std::string without_prefix(std::string_view lines, std::string_view prefix) {
  std::string out;
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(std::min(line.size() + 1, lines.size()));
    EXPECT_TRUE(line.starts_with(prefix)) << line;
    out.append(out.empty() ? "" : "\n").append(line.substr(std::min(prefix.size(), line.size())));
  }
  return out;
}

}  // namespace millrace::test
