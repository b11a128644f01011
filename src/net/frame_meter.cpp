#include "net/frame_meter.hpp"

#include <algorithm>
#include <cstring>

namespace millrace::net {

namespace {

// RFC 9113, sections 4.1 and 6.
enum : unsigned char { kData = 0, kHeaders = 1, kPushPromise = 5, kContinuation = 9 };
enum : unsigned char { kEndStream = 0x1, kEndHeaders = 0x4, kPadded = 0x8 };
constexpr std::size_t kLengthBytes = 3, kTypeAt = 3, kFlagsAt = 4;

}  // namespace

bool FrameMeter::charge(std::uint64_t frames) noexcept {
  if (frames > store_) {
    store_ = 0;
    return false;
  }
  store_ -= frames;
  return true;
}

void FrameMeter::earn(std::uint64_t frames) noexcept { store_ = std::min(kStore, store_ + frames); }

bool FrameMeter::settle() noexcept {
  // The last one may have begun only.
  const std::uint64_t known = carriers_ - (between_frames() || carriers_ == 0 ? 0 : 1);
  const std::uint64_t lost = known > taken_ ? known - taken_ : 0;
  if (lost <= settled_) return true;
  const std::uint64_t more = lost - settled_;
  settled_ = lost;
  return charge(more);
}

/// The nine bytes of a frame's head are there.
void FrameMeter::begin(bool& costs) noexcept {
  left_ = 0;
  for (std::size_t i = 0; i < kLengthBytes; ++i) left_ = left_ << 8 | head_[i];
  const unsigned char type = head_[kTypeAt], flags = head_[kFlagsAt];
  if (!in_head_) ++frames_;
  if (type == kHeaders || type == kPushPromise || type == kContinuation) in_head_ = (flags & kEndHeaders) == 0;
  costs = type != kHeaders && (type != kData || (left_ == 0 && (flags & kEndStream) == 0));
  pad_comes_ = type == kData && (flags & kPadded) != 0 && left_ > 0;
  if (!costs) ++carriers_;
}

bool FrameMeter::see(std::string_view bytes, SteadyTime now) noexcept {
  if (const auto seconds = std::chrono::floor<std::chrono::seconds>(now - filled_); seconds.count() > 0) {
    filled_ += seconds;
    earn(static_cast<std::uint64_t>(seconds.count()) * kPerSecond);
  }
  while (!bytes.empty()) {
    if (left_ == 0) {
      const std::size_t more = std::min(head_.size() - head_size_, bytes.size());
      std::memcpy(head_.data() + head_size_, bytes.data(), more);
      bytes.remove_prefix(more);
      head_size_ += static_cast<std::uint32_t>(more);
      if (head_size_ < head_.size()) return true;
      head_size_ = 0;
      bool costs = false;
      begin(costs);
      if (costs && !charge(1)) return false;
      continue;
    }
    if (pad_comes_) {
      // Padding and nothing else is an empty frame too.
      pad_comes_ = false;
      const auto padding = static_cast<unsigned char>(bytes.front());
      if (padding + 1u >= left_ && (head_[kFlagsAt] & kEndStream) == 0 && !charge(1)) return false;
    }
    const std::size_t skipped = std::min<std::size_t>(left_, bytes.size());
    bytes.remove_prefix(skipped);
    left_ -= static_cast<std::uint32_t>(skipped);
  }
  return true;
}

}  // namespace millrace::net
