#include "journal/walk.hpp"

#include <algorithm>
#include <array>

namespace millrace::journal {

namespace {

constexpr std::uint64_t kWindowBytes = 1u << 20;

constexpr std::uint64_t aligned(std::uint64_t offset) noexcept {
  return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

std::string what_of(const Frame& frame) {
  if (frame.kind != FrameKind::records) return "a change of state";
  const std::string last = std::to_string(frame.base + (frame.count ? frame.count - 1 : 0));
  return "records " + std::to_string(frame.base) + " to " + last + " of log " + std::to_string(frame.log);
}

Result<ByteView> Walk::view(std::uint64_t offset, std::uint64_t size) {
  size = offset < bytes_ ? std::min(size, bytes_ - offset) : 0;
  if (offset < window_at_ || offset + size > window_at_ + window_.size()) {
    window_.resize(std::min(std::max(size, kWindowBytes), bytes_ - offset));
    window_at_ = offset;
    const std::array<std::span<char>, 1> into{std::span(window_)};
    const auto got = file_.read_into(offset, into);
    if (!got) return Error{Errc::unreadable, got.error().detail};
    window_.resize(*got);
    size = std::min<std::uint64_t>(size, *got);
    file_.will_read(offset + *got, kWindowBytes);
  }
  return ByteView(window_).substr(offset - window_at_, size);
}

Result<bool> Walk::next() {
  expected_ = end_;
  for (std::uint64_t at = end_; at < limit_;) {
    auto bytes = view(at, kWindowBytes);
    if (!bytes) return bytes.error();
    if (bytes->size() < kCommitHeadBytes) break;
    std::uint64_t in = 0;
    for (; in + kCommitHeadBytes <= bytes->size() && at + in < limit_; in += kAlignment) {
      const auto head = decode_commit_head(bytes->substr(in), make_lsn(generation_, at + in));
      if (!head) continue;
      offset_ = at + in;
      head_ = *head;
      // One that says that it goes on behind the file's end was cut off: what follows it is not known.
      end_ = std::min(aligned(offset_ + kCommitHeadBytes + head_.bytes), bytes_);
      return true;
    }
    at += in;
  }
  return false;
}

Result<> Walk::load() {
  frames_.clear();
  bad_.clear();
  std::uint64_t at = offset_ + kCommitHeadBytes;
  const std::uint64_t end = at + head_.bytes;
  auto bytes = view(at, head_.bytes);
  if (!bytes) return bytes.error();
  for (std::uint32_t i = 0; i < head_.frames; ++i) {
    const Lsn lsn = make_lsn(generation_, at);
    const std::uint64_t in = at - offset_ - kCommitHeadBytes;
    auto frame = in + kFrameHeadBytes <= bytes->size() ? decode_frame_head(bytes->substr(in), lsn) : std::nullopt;
    if (frame && in + kFrameHeadBytes + frame->length > head_.bytes) frame.reset();
    if (!frame) {
      // Without its length what follows cannot be found either.
      at = std::min({at, end, bytes_});
      bad_.push_back({path_, at, end - at, std::to_string(head_.frames - i) + " frames that cannot be told"});
      break;
    }
    const std::uint64_t payload_in = in + kFrameHeadBytes;
    const bool there = payload_in + frame->length <= bytes->size();
    const ByteView payload = there ? bytes->substr(payload_in, frame->length) : ByteView{};
    if (there && crc32c(payload) == frame->checksum)
      frames_.push_back({*frame, payload, lsn});
    else
      bad_.push_back({path_, at + kFrameHeadBytes, frame->length, what_of(*frame)});
    at = aligned(at + kFrameHeadBytes + frame->length);
  }
  return {};
}

}  // namespace millrace::journal
