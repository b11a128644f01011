#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "millrace/codec/decimal.hpp"
#include "millrace/log/record.hpp"

/// AWS's sequence numbers, version 2: 186 bits, always 56 decimal digits. Bits, lowest first: 0-3 version (2), 4-35
/// shard index, 36-71 record time in epoch seconds, 80-143 counter, 144-147 low nibble of the shard index, 148-183
/// shard creation time in epoch seconds, 184-187 the constant 2. The counter is position + 1; 0 is the shard's starting
/// number, 0x7fffffffffffffff its ending number. Numeric order is record order, because the counter precedes the time.
namespace millrace::streams {

inline constexpr std::uint64_t kEndingCounter = 0x7fff'ffff'ffff'ffff;

/// What a number says. Versions 0 and 1 decode to their shard index and time with counter 0 (legacy forms clients
/// send).
struct SequenceFields {
  int version = 2;
  std::int64_t shard_created_s = 0;
  std::uint64_t counter = 0;
  std::int64_t record_s = 0;
  std::uint32_t shard_index = 0;
};
/// Nothing when `digits` is not a number or not a sequence number (bad version, times beyond 16025175000 s).
std::optional<SequenceFields> decode_sequence_number(std::string_view digits) noexcept;

/// The numbers of one shard.
class SequenceNumbers {
 public:
  SequenceNumbers(std::uint32_t shard_index, std::int64_t shard_created_s) noexcept;
  std::string starting() const;
  std::string ending(std::int64_t ended_s) const;
  std::string text(log::Position position, std::int64_t arrival_ms) const;
  /// 56 characters.
  void write(log::Position position, std::int64_t arrival_ms, char* out) const noexcept;

  /// A run of numbers made by addition: for batches and pages.
  class Run {
   public:
    /// The number of the current record.
    void write(char* out) const noexcept { now_.write(out); }
    /// On to the next position, whose record arrived at `arrival_ms`.
    void next(std::int64_t arrival_ms) noexcept;

   private:
    friend class SequenceNumbers;
    codec::Decimal56 now_;
    std::int64_t second_ = 0;
  };
  Run run(log::Position first, std::int64_t arrival_ms) const noexcept;

 private:
  std::uint32_t shard_index_;
  std::int64_t shard_created_s_;
};

}  // namespace millrace::streams
