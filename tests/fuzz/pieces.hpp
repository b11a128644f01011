#pragma once
#include <cstddef>
#include <string_view>

namespace millrace::fuzz {

/// Sizes of the pieces that `sizes` makes of a stream, over and over: each byte stands for itself plus one.
class Pieces {
 public:
  explicit Pieces(std::string_view sizes) : sizes_(sizes) {}
  std::size_t next() {
    if (sizes_.empty()) return std::string_view::npos;
    return std::size_t{static_cast<unsigned char>(sizes_[at_++ % sizes_.size()])} + 1;
  }

 private:
  std::string_view sizes_;
  std::size_t at_ = 0;
};

}  // namespace millrace::fuzz
