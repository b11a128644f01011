#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "net/tuning.hpp"

namespace millrace::net {

/// What the frames of one HTTP/2 connection cost their peer. A frame that brings neither a request nor bytes of a body
/// (PING, SETTINGS, WINDOW_UPDATE, RST_STREAM, PRIORITY, CONTINUATION, empty DATA, unknown ones) takes one of a store
/// that fills again with time and with replies sent: a client that is well never runs short, and a flood of any kind
/// has had little work done for it when it does. Looks at the bytes before anything acts on them.
class FrameMeter {
 public:
  static constexpr std::uint64_t kStore = 1000, kPerSecond = 100;

  explicit FrameMeter(SteadyTime now) noexcept : filled_(now) {}

  /// Walks over what comes next from the peer, in pieces of any size; false when the store is empty.
  bool see(std::string_view bytes, SteadyTime now) noexcept;
  /// False when the store is empty.
  bool charge(std::uint64_t frames) noexcept;
  void earn(std::uint64_t frames) noexcept;

  /// A request's head or a piece of a body was taken for one: what see() has counted as such beyond these is charged by
  /// settle(), since it belongs to no request.
  void taken() noexcept { ++taken_; }
  bool settle() noexcept;

  /// Whether the last byte seen ends a frame, and a request's head with all its CONTINUATIONs.
  bool between_frames() const noexcept { return head_size_ == 0 && left_ == 0 && !in_head_; }
  /// Frames begun, a request's head counted as one.
  std::uint64_t frames() const noexcept { return frames_; }

 private:
  void begin(bool& costs) noexcept;

  std::uint64_t store_ = kStore, frames_ = 0, carriers_ = 0, taken_ = 0, settled_ = 0;
  SteadyTime filled_;
  std::array<unsigned char, 9> head_{};
  std::uint32_t head_size_ = 0, left_ = 0;
  bool in_head_ = false, pad_comes_ = false;
};

}  // namespace millrace::net
