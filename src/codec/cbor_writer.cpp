#include <bit>

#include "millrace/codec/cbor.hpp"

namespace millrace::codec {

namespace {

constexpr std::uint8_t kUnsigned = 0, kNegative = 1, kBytes = 2, kText = 3, kArray = 4, kMap = 5, kTag = 6;
constexpr char kFalse = '\xf4', kTrue = '\xf5', kNull = '\xf6', kDouble = '\xfb';

void append_big_endian(std::uint64_t value, int bytes, std::string& out) {
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
}

}  // namespace

void CborWriter::head(std::uint8_t major, std::uint64_t argument) {
  const auto first = static_cast<std::uint8_t>(major << 5);
  if (argument < 24) {
    out_ += static_cast<char>(first | argument);
    return;
  }
  const int power = argument <= 0xff ? 0 : argument <= 0xffff ? 1 : argument <= 0xffff'ffff ? 2 : 3;
  out_ += static_cast<char>(first | (24 + power));
  append_big_endian(argument, 1 << power, out_);
}

void CborWriter::integer(std::int64_t value) {
  if (value >= 0)
    head(kUnsigned, static_cast<std::uint64_t>(value));
  else
    head(kNegative, static_cast<std::uint64_t>(-1 - value));
}
void CborWriter::text(std::string_view value) {
  head(kText, value.size());
  out_ += value;
}
void CborWriter::bytes(std::string_view value) {
  head(kBytes, value.size());
  out_ += value;
}
void CborWriter::boolean(bool value) { out_ += value ? kTrue : kFalse; }
void CborWriter::null() { out_ += kNull; }
void CborWriter::real(double value) {
  out_ += kDouble;
  append_big_endian(std::bit_cast<std::uint64_t>(value), 8, out_);
}
void CborWriter::tag(std::uint64_t number) { head(kTag, number); }
void CborWriter::begin_array(std::uint64_t items) { head(kArray, items); }
void CborWriter::begin_map(std::uint64_t members) { head(kMap, members); }

}  // namespace millrace::codec
