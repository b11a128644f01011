// Wide decimals against OpenSSL's big numbers, and sequence numbers there and back. The first byte says what the rest
// is.
#include <openssl/bn.h>

#include <memory>
#include <optional>
#include <string>

#include "codec/exact_copy.hpp"
#include "fuzz/fuzz.hpp"
#include "millrace/codec/decimal.hpp"
#include "millrace/streams/sequence_number.hpp"

namespace millrace {
namespace {

using codec::Decimal56;
using codec::Uint256;
using fuzz::require;

struct Free {
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(char* text) const { OPENSSL_free(text); }
};
using Big = std::unique_ptr<BIGNUM, Free>;

Big big(const Uint256& value) {
  unsigned char bytes[32];
  for (int i = 0; i < 32; ++i) bytes[i] = static_cast<unsigned char>(value.words[3 - i / 8] >> (56 - i % 8 * 8));
  return Big(BN_bin2bn(bytes, sizeof bytes, nullptr));
}

std::string text_of(const Big& number) { return std::unique_ptr<char, Free>(BN_bn2dec(number.get())).get(); }

std::string padded(std::string digits) {
  return digits.size() < Decimal56::kDigits ? std::string(Decimal56::kDigits - digits.size(), '0') + digits : digits;
}

/// Decimal text of any kind.
void check_digits(std::string_view text) {
  bool digits = !text.empty();
  for (const char c : text) digits &= c >= '0' && c <= '9';
  std::optional<Uint256> expected;
  if (digits) {
    BIGNUM* raw = nullptr;
    BN_dec2bn(&raw, std::string(text).c_str());
    const Big number(raw);
    if (BN_num_bits(number.get()) <= 256) {
      unsigned char bytes[32];
      BN_bn2binpad(number.get(), bytes, sizeof bytes);
      expected.emplace();
      for (int i = 0; i < 32; ++i) expected->words[3 - i / 8] = expected->words[3 - i / 8] << 8 | bytes[i];
    }
  }
  require(codec::parse_uint256(text) == expected, "256 bits are read as OpenSSL reads them");
  const bool plain = text.size() == 1 || !text.starts_with('0');
  const bool narrow = expected && plain && expected->words[2] == 0 && expected->words[3] == 0;
  const std::optional<Uint128> small = codec::parse_uint128(text);
  require(small.has_value() == narrow, "128 bits are read where they fit, without leading zeros");
  if (small) {
    require((*small == Uint128{expected->words[1], expected->words[0]}), "128 bits have the value");
    require(codec::to_decimal(*small) == text, "128 bits are written as they were read");
  }
  if (!expected) require(!streams::decode_sequence_number(text), "what is no number is no sequence number");
}

void check_value(const Uint256& value) {
  const std::string text = text_of(big(value));
  require(codec::to_decimal(value) == text, "256 bits are written as OpenSSL writes them");
  require(codec::parse_uint256(text) == value, "and are read back");
}

Uint256 take_wide(fuzz::Input& input) {
  Uint256 value;
  for (std::uint64_t& word : value.words) word = input.number();
  return value;
}

/// Below 10^56, which has 187 bits.
Uint256 take_56(fuzz::Input& input) {
  Uint256 value = take_wide(input);
  value.words[3] = 0;
  value.words[2] &= (std::uint64_t{1} << 57) - 1;
  return value;
}

void check_sum(const Uint256& left, const Uint256& right) {
  Decimal56 sum(left);
  std::string out(Decimal56::kDigits, '?');
  sum.write(out.data());
  require(out == padded(text_of(big(left))), "56 digits are written");
  sum += Decimal56(right);
  sum.write(out.data());
  const Big expected(BN_new());
  BN_add(expected.get(), big(left).get(), big(right).get());
  std::string text = padded(text_of(expected));
  require(out == text.substr(text.size() - Decimal56::kDigits), "a sum is made modulo 10^56");
}

/// A sequence number from its parts.
void check_parts(fuzz::Input& input) {
  constexpr std::uint64_t kTimeLimitS = 16'025'175'000;
  const auto index = static_cast<std::uint32_t>(input.number(4));
  const auto created = static_cast<std::int64_t>(input.number(5) % kTimeLimitS);
  const streams::SequenceNumbers numbers(index, created);
  const std::uint64_t first = input.number() % (streams::kEndingCounter - 300);
  std::int64_t arrival_ms = static_cast<std::int64_t>(input.number(5) % kTimeLimitS) * 1000;
  streams::SequenceNumbers::Run run = numbers.run(log::Position{first}, arrival_ms);
  const std::string starting = numbers.starting(), ending = numbers.ending(arrival_ms / 1000);
  std::string before = starting;
  for (std::uint64_t i = 0; i < 1 || (i < 250 && !input.empty()); ++i) {
    const std::string text = numbers.text(log::Position{first + i}, arrival_ms);
    std::string stepped(Decimal56::kDigits, '?');
    run.write(stepped.data());
    require(stepped == text, "a run says what each number alone says");
    require(before < text && text < ending, "order of numbers is order of records, between start and end");
    const auto fields = streams::decode_sequence_number(text);
    require(fields && fields->version == 2 && fields->shard_index == index && fields->shard_created_s == created &&
                fields->counter == first + i + 1 && fields->record_s == arrival_ms / 1000,
            "a sequence number says what it was made of");
    before = text;
    arrival_ms = std::min<std::int64_t>(arrival_ms + static_cast<std::int64_t>(input.number(2)),
                                        static_cast<std::int64_t>(kTimeLimitS) * 1000 - 1);
    run.next(arrival_ms);
  }
  require(streams::decode_sequence_number(starting)->counter == 0, "the start counts zero");
  require(streams::decode_sequence_number(ending)->counter == streams::kEndingCounter, "the end counts all");
}

/// Any 256 bits taken for a sequence number.
void check_fields(const Uint256& value) {
  const std::string text = codec::to_decimal(value);
  const auto fields = streams::decode_sequence_number(text);
  if (!fields || fields->version != 2) return;
  require(fields->counter <= streams::kEndingCounter, "no counter is beyond the last");
  const streams::SequenceNumbers numbers(fields->shard_index, fields->shard_created_s);
  if (fields->counter == 0) return;  // starting() takes its time from the shard
  require(numbers.text(log::Position{fields->counter - 1}, fields->record_s * 1000) == text,
          "a number that is taken is the one its parts make");
}

}  // namespace
}  // namespace millrace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace;
  fuzz::Input input(data, size);
  switch (input.byte() % 5) {
    case 0:
      check_digits(codec::ExactCopy(input.rest()).view());
      break;
    case 1:
      check_value(take_wide(input));
      break;
    case 2: {
      const Uint256 left = take_56(input);
      check_sum(left, take_56(input));
      break;
    }
    case 3:
      check_parts(input);
      break;
    case 4: {
      Uint256 value = take_wide(input);
      if (input.byte() % 2 == 0) {
        // The fixed parts set, so that the checks behind them are reached.
        value.words[3] = 0;
        value.words[2] = (value.words[2] & ~(std::uint64_t{0xff} << 56)) | std::uint64_t{2} << 56;
        value.words[1] &= ~(std::uint64_t{0xff} << 8);
        value.words[0] = (value.words[0] & ~std::uint64_t{0xf}) | 2;
      }
      check_fields(value);
      break;
    }
  }
  return 0;
}
