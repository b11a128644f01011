#include "journal/head.hpp"

namespace millrace::journal {

namespace {

constexpr std::uint8_t kHeadVersion = 1;
constexpr std::uint8_t kCommitKind = 0x43;  // 'C': no kind of frame
constexpr std::uint32_t kSyncedFlag = 1;
constexpr char kMagic[8] = {'M', 'I', 'L', 'L', 'J', 'R', 'N', 'L'};

}  // namespace

// Frame: 0 checksum, 4 version, 5 kind, 6 flags, 8 key id, 12 payload's checksum, 16 log, 24 epoch, 32 base,
// 40 first ms, 48 last ms, 56 count, 60 length.
void encode_frame_head(const Frame& frame, Lsn lsn, char* out) noexcept {
  put(out, 4, kHeadVersion);
  put(out, 5, frame.kind);
  put(out, 6, frame.flags);
  put(out, 8, frame.key_id);
  put(out, 12, frame.checksum);
  put(out, 16, frame.log);
  put(out, 24, frame.epoch);
  put(out, 32, frame.base);
  put(out, 40, frame.first_ms);
  put(out, 48, frame.last_ms);
  put(out, 56, frame.count);
  put(out, 60, frame.length);
  put(out, 0, head_checksum({out, kFrameHeadBytes}, lsn.get()));
}

std::optional<Frame> decode_frame_head(ByteView bytes, Lsn lsn) noexcept {
  if (bytes.size() < kFrameHeadBytes) return std::nullopt;
  bytes = bytes.substr(0, kFrameHeadBytes);
  if (get<std::uint32_t>(bytes, 0) != head_checksum(bytes, lsn.get())) return std::nullopt;
  if (get<std::uint8_t>(bytes, 4) != kHeadVersion) return std::nullopt;
  Frame frame;
  frame.kind = get<FrameKind>(bytes, 5);
  if (frame.kind < FrameKind::records || frame.kind > FrameKind::snapshot) return std::nullopt;
  frame.flags = get<std::uint16_t>(bytes, 6);
  frame.key_id = get<std::uint32_t>(bytes, 8);
  frame.checksum = get<std::uint32_t>(bytes, 12);
  frame.log = get<std::uint64_t>(bytes, 16);
  frame.epoch = get<std::uint64_t>(bytes, 24);
  frame.base = get<std::uint64_t>(bytes, 32);
  frame.first_ms = get<std::int64_t>(bytes, 40);
  frame.last_ms = get<std::int64_t>(bytes, 48);
  frame.count = get<std::uint32_t>(bytes, 56);
  frame.length = get<std::uint32_t>(bytes, 60);
  const std::uint32_t seal = frame.key_id ? kSealBytes : 0;
  if (frame.length < seal || frame.length > kFramePayloadBytesMax + seal) return std::nullopt;
  if (frame.base >= kCountMax - frame.count || frame.epoch >= kCountMax) return std::nullopt;
  return frame;
}

// Commit: 0 checksum, 4 version, 5 kind, 8 frames, 12 bytes, 16 LSN, 24 synced, 32 written ms, 40 follows; the rest is
// zero.
void encode_commit_head(const CommitHead& head, Lsn lsn, char* out) noexcept {
  std::memset(out, 0, kCommitHeadBytes);
  put(out, 4, kHeadVersion);
  put(out, 5, kCommitKind);
  put(out, 8, head.frames);
  put(out, 12, head.bytes);
  put(out, 16, lsn.get());
  put(out, 24, head.synced.get());
  put(out, 32, head.written_ms);
  put(out, 40, head.follows.get());
  put(out, 0, head_checksum({out, kCommitHeadBytes}, lsn.get()));
}

std::optional<CommitHead> decode_commit_head(ByteView bytes, Lsn lsn) noexcept {
  if (bytes.size() < kCommitHeadBytes) return std::nullopt;
  bytes = bytes.substr(0, kCommitHeadBytes);
  if (get<std::uint8_t>(bytes, 5) != kCommitKind || get<std::uint64_t>(bytes, 16) != lsn.get()) return std::nullopt;
  if (get<std::uint32_t>(bytes, 0) != head_checksum(bytes, lsn.get())) return std::nullopt;
  if (get<std::uint8_t>(bytes, 4) != kHeadVersion) return std::nullopt;
  CommitHead head;
  head.frames = get<std::uint32_t>(bytes, 8);
  head.bytes = get<std::uint32_t>(bytes, 12);
  head.synced = Lsn{get<std::uint64_t>(bytes, 24)};
  head.written_ms = get<std::int64_t>(bytes, 32);
  head.follows = Lsn{get<std::uint64_t>(bytes, 40)};
  // It knows of what was before it only, and lies in its file.
  if (head.synced > lsn || head.follows >= make_lsn(generation_of(lsn), 0)) return std::nullopt;
  if (offset_of(lsn) + kCommitHeadBytes + head.bytes > UINT32_MAX) return std::nullopt;
  if (std::uint64_t{head.frames} * kFrameHeadBytes > head.bytes) return std::nullopt;
  return head;
}

// File: 0 checksum, 4 version, 8 magic, 16 generation, 20 flags, 24 previous end, 32 created ms, 40 salt; the rest
// of the block is zero.
void encode_file_head(const FileHead& head, char* out) noexcept {
  std::memset(out, 0, kFileHeadBytes);
  put(out, 4, head.version);
  std::memcpy(out + 8, kMagic, sizeof kMagic);
  put(out, 16, head.generation.get());
  put(out, 20, head.synced ? kSyncedFlag : std::uint32_t{0});
  put(out, 24, head.previous_end.get());
  put(out, 32, head.created_ms);
  std::memcpy(out + 40, head.salt.data(), head.salt.size());
  put(out, 0, head_checksum({out, kFileHeadBytes}, 0));
}

HeadState decode_file_head(ByteView bytes, FileHead& out) noexcept {
  if (bytes.size() < kFileHeadBytes) return HeadState::none;
  bytes = bytes.substr(0, kFileHeadBytes);
  if (bytes.substr(8, sizeof kMagic) != ByteView(kMagic, sizeof kMagic)) return HeadState::none;
  // The checksum and the version stand where they are in every version.
  if (get<std::uint32_t>(bytes, 0) != head_checksum(bytes, 0)) return HeadState::none;
  out.version = get<std::uint32_t>(bytes, 4);
  if (out.version < kFormatVersionOldest || out.version > kFormatVersion) return HeadState::unknown_version;
  out.generation = Generation{get<std::uint32_t>(bytes, 16)};
  out.synced = (get<std::uint32_t>(bytes, 20) & kSyncedFlag) != 0;
  out.previous_end = Lsn{get<std::uint64_t>(bytes, 24)};
  out.created_ms = get<std::int64_t>(bytes, 32);
  std::memcpy(out.salt.data(), bytes.data() + 40, out.salt.size());
  if (out.previous_end >= make_lsn(out.generation, 0)) return HeadState::none;
  return HeadState::good;
}

}  // namespace millrace::journal
