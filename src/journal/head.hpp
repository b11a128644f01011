#pragma once
#include <array>
#include <cstring>

#include "millrace/base/crc32c.hpp"
#include "millrace/journal/frame.hpp"

namespace millrace::journal {

/// Heads are 64 bytes, little-endian, and begin with the checksum of all that follows it.
inline constexpr std::size_t kChecksumBytes = 4;

template <class T>
void put(char* head, std::size_t at, T value) noexcept {
  std::memcpy(head + at, &value, sizeof value);
}
template <class T>
T get(ByteView head, std::size_t at) noexcept {
  T value;
  std::memcpy(&value, head.data() + at, sizeof value);
  return value;
}

inline std::uint32_t head_checksum(ByteView head, std::uint64_t salt) noexcept {
  const std::uint32_t salted = crc32c({reinterpret_cast<const char*>(&salt), sizeof salt});
  return crc32c(head.substr(kChecksumBytes), salted);
}

/// What sealing adds to a payload: a counter in front of it, a tag behind.
inline constexpr std::uint32_t kSealBytes = 8 + 16;
inline std::uint32_t stored_bytes(const Frame& plain) noexcept {
  return plain.length + (plain.key_id ? kSealBytes : 0);
}

/// Commit: what one write put into the journal at once.
struct CommitHead {
  Lsn synced;               ///< all below was on disk when this was written
  Lsn follows;              ///< the end of the last commit that counts in the files before; 0: there was none
  std::uint32_t bytes = 0;  ///< from the end of this head to the next one
  std::uint32_t frames = 0;
  std::int64_t written_ms = 0;
};
inline constexpr std::size_t kCommitHeadBytes = 64;
void encode_commit_head(const CommitHead& head, Lsn lsn, char* out) noexcept;
std::optional<CommitHead> decode_commit_head(ByteView bytes, Lsn lsn) noexcept;

/// File: stands at its front, in a block of its own.
inline constexpr std::uint32_t kFormatVersion = 3;
/// 1 knows neither flags nor footers, 2 does not know what a commit follows.
inline constexpr std::uint32_t kFormatVersionOldest = 1;
using FileSalt = std::array<std::byte, 16>;
struct FileHead {
  std::uint32_t version = kFormatVersion;
  Generation generation;
  bool synced = false;  ///< what is in this file is acknowledged only when it is on disk
  /// What the file before ends with: frames there at or above this place are none (a torn tail that was cut, or a
  /// commit that failed). Offset 0: nothing was cut.
  Lsn previous_end;
  std::int64_t created_ms = 0;
  FileSalt salt{};  ///< random, of the keys that seal payloads in this file; zeros: nothing is sealed
};
inline constexpr std::size_t kFileHeadBytes = 4096;
void encode_file_head(const FileHead& head, char* out) noexcept;
enum class HeadState { good, none, unknown_version };
HeadState decode_file_head(ByteView bytes, FileHead& out) noexcept;

}  // namespace millrace::journal
