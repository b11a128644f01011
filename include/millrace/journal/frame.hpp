#pragma once
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "millrace/base/bytes.hpp"
#include "millrace/base/strong.hpp"

/// The unit in which records and changes of state are stored, sealed and sent: a head and a payload.
/// Format: docs/formats/journal.md.
namespace millrace::journal {

static_assert(std::endian::native == std::endian::little, "payloads are stored as they lie in memory");

/// The place of a commit or a frame in the journal: the generation of its file above, the offset in it below. Grows.
using Lsn = Strong<struct LsnTag, std::uint64_t>;
/// The number of a journal file, never given twice, also when a file is recycled. From 1.
using Generation = Strong<struct GenerationTag, std::uint32_t>;

constexpr Lsn make_lsn(Generation generation, std::uint64_t offset) noexcept {
  return Lsn{std::uint64_t{generation.get()} << 32 | offset};
}
constexpr Generation generation_of(Lsn lsn) noexcept { return Generation{static_cast<std::uint32_t>(lsn.get() >> 32)}; }
constexpr std::uint64_t offset_of(Lsn lsn) noexcept { return lsn.get() & 0xffffffffu; }

enum class FrameKind : std::uint8_t {
  records = 1,  ///< consecutive records of one shard, as they lie in a chunk
  change = 2,   ///< of state
  snapshot = 3  ///< of state
};

/// A flag: written again from an older file, so its positions may lie before those of earlier frames.
inline constexpr std::uint16_t kMovedFlag = 1;
/// A flag: its payload is sealed also where what is written is plain otherwise (Keys::current() is 0).
inline constexpr std::uint16_t kSealFlag = 2;

/// What a frame's head says of its payload.
struct Frame {
  FrameKind kind = FrameKind::records;
  std::uint16_t flags = 0;   ///< kMovedFlag, kSealFlag
  std::uint32_t key_id = 0;  ///< of the key that seals the payload; 0: it is plain
  std::uint64_t log = 0;     ///< id of the log
  std::uint64_t epoch = 0;
  std::uint64_t base = 0;      ///< position of the first record
  std::int64_t first_ms = 0;   ///< arrival of the first record
  std::int64_t last_ms = 0;    ///< arrival of the last one
  std::uint32_t count = 0;     ///< of records
  std::uint32_t length = 0;    ///< of the payload, bytes: as stored in a head, plain in all else
  std::uint32_t checksum = 0;  ///< CRC-32C of the payload as stored
  friend bool operator==(const Frame&, const Frame&) = default;
};

inline constexpr std::size_t kFrameHeadBytes = 64;
/// Keys that seal payloads: AES-256-GCM under a key made of one of them for each file. Thread-safe.
class Keys {
 public:
  using Key = std::array<std::byte, 32>;
  virtual ~Keys() = default;
  /// The one that seals what is written from now on; 0: nothing is sealed.
  virtual std::uint32_t current() const noexcept = 0;
  /// The one that seals frames with kSealFlag from now on; 0: there is none, and they cannot be written.
  virtual std::uint32_t newest() const noexcept { return current(); }
  /// Nothing: there is no such key here.
  virtual std::optional<Key> key(std::uint32_t id) const = 0;
};
/// None at all: nothing is sealed, and nothing that is sealed can be opened.
const Keys& no_keys() noexcept;

/// Positions and epochs end below this: what comes after those that are stored can always be counted on from them.
inline constexpr std::uint64_t kCountMax = std::uint64_t{1} << 63;

/// A frame is one record of the largest size, or many that together are no larger.
inline constexpr std::uint32_t kFramePayloadBytesMax = 16u << 20;

/// Writes kFrameHeadBytes to `out`. The head's own checksum covers `lsn` too, so that what a recycled file held at the
/// same place before is no frame of its new life.
void encode_frame_head(const Frame& frame, Lsn lsn, char* out) noexcept;
/// Nothing when `bytes`, kFrameHeadBytes of them, are no head of a frame at `lsn`.
std::optional<Frame> decode_frame_head(ByteView bytes, Lsn lsn) noexcept;

}  // namespace millrace::journal
