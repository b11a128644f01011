#include "millrace/streams/sequence_number.hpp"

namespace millrace::streams {
namespace {

using codec::Decimal56;
using codec::Uint256;

constexpr std::int64_t kTimeLimitS = 16'025'175'000;  // AWS refuses times from here on
constexpr unsigned kShardShift = 4, kTimeShift = 36, kZeroShift = 72, kCounterShift = 80, kNibbleShift = 144,
                   kCreatedShift = 148, kTopShift = 184;

void place(Uint256& number, std::uint64_t value, unsigned shift) {
  const unsigned word = shift / 64, bit = shift % 64;
  number.words[word] |= value << bit;
  if (bit && word + 1 < number.words.size()) number.words[word + 1] |= value >> (64 - bit);
}

std::uint64_t take(const Uint256& number, unsigned shift, unsigned bits) {
  const unsigned word = shift / 64, bit = shift % 64;
  std::uint64_t value = number.words[word] >> bit;
  if (bit && word + 1 < number.words.size()) value |= number.words[word + 1] << (64 - bit);
  return bits == 64 ? value : value & ((std::uint64_t{1} << bits) - 1);
}

Uint256 compose(std::uint32_t index, std::int64_t created_s, std::uint64_t counter, std::int64_t record_s) {
  Uint256 number;
  place(number, 2, 0);
  place(number, index, kShardShift);
  place(number, static_cast<std::uint64_t>(record_s), kTimeShift);
  place(number, counter, kCounterShift);
  place(number, index & 0xf, kNibbleShift);
  place(number, static_cast<std::uint64_t>(created_s), kCreatedShift);
  place(number, 2, kTopShift);
  return number;
}

std::string text_of(const Uint256& number) {
  std::string text(Decimal56::kDigits, '0');
  Decimal56(number).write(text.data());
  return text;
}

}  // namespace

std::optional<SequenceFields> decode_sequence_number(std::string_view digits) noexcept {
  const auto number = codec::parse_uint256(digits);
  if (!number) return std::nullopt;
  SequenceFields fields;
  const bool legacy = number->words[2] == 0 && number->words[3] == 0 && number->words[1] < (std::uint64_t{1} << 60);
  if (legacy) {
    fields.version = 0;
    fields.shard_index = static_cast<std::uint32_t>(take(*number, 0, 16));
    return fields;
  }
  if (number->words[3] != 0 || take(*number, kTopShift, 8) != 2 || take(*number, 0, 4) != 2) return std::nullopt;
  fields.shard_index = static_cast<std::uint32_t>(take(*number, kShardShift, 32));
  fields.record_s = static_cast<std::int64_t>(take(*number, kTimeShift, 36));
  fields.counter = take(*number, kCounterShift, 64);
  fields.shard_created_s = static_cast<std::int64_t>(take(*number, kCreatedShift, 36));
  if (fields.record_s >= kTimeLimitS || fields.shard_created_s >= kTimeLimitS || fields.counter > kEndingCounter)
    return std::nullopt;
  if (take(*number, kZeroShift, 8) != 0 || take(*number, kNibbleShift, 4) != (fields.shard_index & 0xf))
    return std::nullopt;
  return fields;
}

SequenceNumbers::SequenceNumbers(std::uint32_t shard_index, std::int64_t shard_created_s) noexcept
    : shard_index_(shard_index), shard_created_s_(shard_created_s) {}

std::string SequenceNumbers::starting() const {
  return text_of(compose(shard_index_, shard_created_s_, 0, shard_created_s_));
}

std::string SequenceNumbers::ending(std::int64_t ended_s) const {
  return text_of(compose(shard_index_, shard_created_s_, kEndingCounter, ended_s));
}

std::string SequenceNumbers::text(log::Position position, std::int64_t arrival_ms) const {
  std::string text(Decimal56::kDigits, '0');
  write(position, arrival_ms, text.data());
  return text;
}

void SequenceNumbers::write(log::Position position, std::int64_t arrival_ms, char* out) const noexcept {
  Decimal56(compose(shard_index_, shard_created_s_, position.get() + 1, arrival_ms / 1000)).write(out);
}

SequenceNumbers::Run SequenceNumbers::run(log::Position first, std::int64_t arrival_ms) const noexcept {
  Run run;
  run.second_ = arrival_ms / 1000;
  run.now_ = Decimal56(compose(shard_index_, shard_created_s_, first.get() + 1, run.second_));
  return run;
}

void SequenceNumbers::Run::next(std::int64_t arrival_ms) noexcept {
  static const Decimal56 counter_step = [] {
    Uint256 one;
    place(one, 1, kCounterShift);
    return Decimal56(one);
  }();
  now_ += counter_step;
  const std::int64_t second = arrival_ms / 1000;
  if (second == second_) return;
  Uint256 later;
  place(later, static_cast<std::uint64_t>(second - second_), kTimeShift);  // arrival never decreases inside a shard
  now_ += Decimal56(later);
  second_ = second;
}

}  // namespace millrace::streams
