#pragma once
#include <algorithm>
#include <cstddef>
#include <memory>
#include <string_view>

namespace millrace::codec {

/// A copy of `text` in memory of exactly that size, so that a sanitizer sees any read outside it.
class ExactCopy {
 public:
  explicit ExactCopy(std::string_view text) : bytes_(new char[text.size()]), size_(text.size()) {
    std::copy(text.begin(), text.end(), bytes_.get());
  }
  std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

}  // namespace millrace::codec
