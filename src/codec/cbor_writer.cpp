#include <bit>

#include "millrace/codec/cbor.hpp"

namespace millrace::codec {

namespace {

constexpr std::size_t kHeadBytesMax = 9;

}  // namespace

void CborWriter::head(CborMajor major, std::uint64_t argument) {
  char* const at = out_.prepare(kHeadBytesMax);
  out_.commit(static_cast<std::size_t>(write_cbor_head(major, argument, at) - at));
}

void CborWriter::integer(std::int64_t value) {
  if (value >= 0)
    head(CborMajor::positive, static_cast<std::uint64_t>(value));
  else
    head(CborMajor::negative, static_cast<std::uint64_t>(-1 - value));
}
void CborWriter::text(std::string_view value) {
  head(CborMajor::text, value.size());
  out_.append(value);
}
void CborWriter::bytes(std::string_view value) {
  head(CborMajor::bytes, value.size());
  out_.append(value);
}
void CborWriter::boolean(bool value) { out_.append(value ? "\xf5" : "\xf4"); }
void CborWriter::null() { out_.append("\xf6"); }
void CborWriter::real(double value) {
  char bytes[9] = {'\xfb'};
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int i = 0; i < 8; ++i) bytes[1 + i] = static_cast<char>(bits >> (8 * (7 - i)));
  out_.append({bytes, sizeof bytes});
}
void CborWriter::tag(std::uint64_t number) { head(CborMajor::tag, number); }
void CborWriter::begin_array(std::uint64_t items) { head(CborMajor::array, items); }
void CborWriter::begin_map(std::uint64_t members) { head(CborMajor::map, members); }

}  // namespace millrace::codec
