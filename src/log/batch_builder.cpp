#include <algorithm>

#include "millrace/log/record.hpp"

namespace millrace::log {
namespace {
constexpr std::size_t kEndsKeptMax = 256 * 1024;
}

void BatchBuilder::reset(std::size_t bytes) {
  used_ = batch_start_ = batch_first_ = 0;
  ends_.clear();
  if (ends_.capacity() > kEndsKeptMax) std::vector<std::uint32_t>().swap(ends_);
  if (bytes > capacity_ || (capacity_ > kKeptBytesMax && bytes <= kKeptBytesMax)) {
    buffer_.reset();  // before the new one: both together would pass the bound
    capacity_ = 0;
    buffer_.reset(new char[bytes]);
    capacity_ = bytes;
  }
}

void BatchBuilder::grow(std::size_t needed) {
  const std::size_t grown = std::max(capacity_ * 2, used_ + needed);
  std::unique_ptr<char[]> fresh(new char[grown]);
  if (used_) std::memcpy(fresh.get(), buffer_.get(), used_);
  buffer_ = std::move(fresh);
  capacity_ = grown;
}

void BatchBuilder::grow_ends() { ends_.reserve(std::max<std::size_t>(ends_.capacity() * 2, 64)); }

}  // namespace millrace::log
