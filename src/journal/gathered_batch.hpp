#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "journal/writer.hpp"

namespace millrace::journal {

/// Views of what one commit takes; used for one after the other, so that a commit needs no memory of its own.
class GatheredBatch final : public Batch {
 public:
  explicit GatheredBatch(std::size_t bytes_max) noexcept : bytes_max_(bytes_max) {}

  /// Empty, for the next commit.
  void begin() noexcept {
    bytes_ = 0;
    pieces_.clear();
    counts_.clear();
    frames_.clear();
  }
  bool full() const noexcept override { return bytes_ >= bytes_max_; }
  void add(const Frame& frame, std::span<const ByteView> payload) override {
    pieces_.insert(pieces_.end(), payload.begin(), payload.end());
    counts_.push_back(payload.size());
    frames_.push_back({frame, {}});
    for (const ByteView piece : payload) bytes_ += piece.size();
  }
  std::size_t size() const noexcept { return frames_.size(); }
  /// Of all that was added; until something is.
  std::span<const OutFrame> frames() noexcept {
    std::span<const ByteView> left = pieces_;
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      frames_[i].payload = left.first(counts_[i]);
      left = left.subspan(counts_[i]);
    }
    return frames_;
  }

 private:
  const std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  std::vector<ByteView> pieces_;
  std::vector<std::size_t> counts_;  // of a frame's pieces
  std::vector<OutFrame> frames_;
};

}  // namespace millrace::journal
