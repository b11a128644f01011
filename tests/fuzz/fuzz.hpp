#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <source_location>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace millrace::fuzz {

/// Ends the program, which the fuzzer and the replay take for a finding, unless `holds`.
inline void require(bool holds, std::string_view what, std::source_location where = std::source_location::current()) {
  if (holds) return;
  std::fprintf(stderr, "%s:%u: does not hold: %.*s\n", where.file_name(), static_cast<unsigned>(where.line()),
               static_cast<int>(what.size()), what.data());
  std::abort();
}

/// The bytes of one run, taken from the front; after the end come zeros and empty texts.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) noexcept : left_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const noexcept { return left_.empty(); }
  std::uint8_t byte() noexcept { return static_cast<std::uint8_t>(number(1)); }
  std::uint64_t number(std::size_t bytes = 8) noexcept {
    std::uint64_t value = 0;
    for (const char c : text(bytes)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }
  std::string_view text(std::size_t bytes_max) noexcept {
    const std::string_view taken = left_.substr(0, bytes_max);
    left_.remove_prefix(taken.size());
    return taken;
  }
  /// Up to the next `end`, which is taken too, or all.
  std::string_view until(char end) noexcept {
    const std::string_view taken = text(left_.find(end));
    if (!left_.empty()) left_.remove_prefix(1);
    return taken;
  }
  std::string_view rest() noexcept { return text(left_.size()); }

 private:
  std::string_view left_;
};

}  // namespace millrace::fuzz
