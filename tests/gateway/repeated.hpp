#pragma once
#include <string>
#include <string_view>

namespace millrace::gateway {

inline std::string repeated(std::string_view text, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) out += text;
  return out;
}

}  // namespace millrace::gateway
