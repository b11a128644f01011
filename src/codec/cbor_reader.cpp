#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "millrace/codec/cbor.hpp"
#include "millrace/codec/json_reader.hpp"

namespace millrace::codec {

namespace {

constexpr std::uint8_t kFalse = 20, kTrue = 21, kNull = 22, kUndefined = 23, kHalf = 25, kSingle = 26, kDouble = 27;

template <class Word>
bool ascii_words(const char* at, const char* end) noexcept {
  constexpr auto kHighBits = static_cast<Word>(0x8080'8080'8080'8080);
  Word seen = 0, word = 0;
  for (; end - at > static_cast<std::ptrdiff_t>(sizeof word); at += sizeof word) {
    std::memcpy(&word, at, sizeof word);
    seen |= word;
  }
  std::memcpy(&word, end - sizeof word, sizeof word);  // some of it again
  return ((seen | word) & kHighBits) == 0;
}

// Names and keys nearly always are.
bool is_ascii(std::string_view text) noexcept {
  const char* const end = text.data() + text.size();
  if (text.size() >= 8) return ascii_words<std::uint64_t>(text.data(), end);
  if (text.size() >= 4) return ascii_words<std::uint32_t>(text.data(), end);
  return text.empty() || ascii_words<std::uint8_t>(text.data(), end);
}

double half_of(std::uint16_t bits) noexcept {
  const int exponent = bits >> 10 & 0x1f;
  const double fraction = bits & 0x3ff;
  const double size = exponent == 0    ? std::ldexp(fraction, -24)
                      : exponent != 31 ? std::ldexp(fraction + 1024, exponent - 25)
                      : fraction == 0  ? std::numeric_limits<double>::infinity()
                                       : std::numeric_limits<double>::quiet_NaN();
  return bits & 0x8000 ? -size : size;
}

}  // namespace

// Nothing is taken when it fails.
bool CborReader::take_long_head(Head& out) noexcept {
  if (at_ == end_) return false;
  const auto first = static_cast<std::uint8_t>(*at_);
  out.major = static_cast<Major>(first >> 5);
  out.info = first & 0x1f;
  if (out.info == 31) {
    const bool may = out.major == kBytes || out.major == kText || out.major == kArray || out.major == kMap;
    if (!may) return false;  // a break is looked for before a head is taken
    out.argument = 0;
    ++at_;
    return true;
  }
  if (out.info > 27) return false;
  const std::size_t size = std::size_t{1} << (out.info - 24);
  if (static_cast<std::size_t>(end_ - at_) < 1 + size) return false;
  out.argument = 0;
  for (std::size_t i = 1; i <= size; ++i) out.argument = out.argument << 8 | static_cast<std::uint8_t>(at_[i]);
  at_ += 1 + size;
  return true;
}

CborType CborReader::peek() noexcept {
  const char* const before = at_;
  Head head;
  const bool good = take_head(head);
  at_ = before;
  if (!good) {
    fail();
    return CborType::error;
  }
  switch (head.major) {
    case kUnsigned:
    case kNegative:
      return CborType::integer;
    case kBytes:
      return CborType::bytes;
    case kText:
      return CborType::text;
    case kArray:
      return CborType::array;
    case kMap:
      return CborType::map;
    case kTag:
      return CborType::tag;
    case kOther:
      break;
  }
  switch (head.info) {
    case kFalse:
    case kTrue:
      return CborType::boolean;
    case kNull:
    case kUndefined:
      return CborType::null;
    case kHalf:
    case kSingle:
    case kDouble:
      return CborType::real;
    default:
      fail();
      return CborType::error;
  }
}

bool CborReader::read_integer(CborInteger& out) noexcept {
  const char* const before = at_;
  Head head;
  if (!take_head(head) || head.major > kNegative) {
    at_ = before;
    return fail();
  }
  out = {head.major == kNegative, head.argument};
  return true;
}

bool CborReader::read_bool(bool& out) noexcept {
  Head head;
  const char* const before = at_;
  if (!take(kOther, head)) return false;
  if (head.info != kFalse && head.info != kTrue) {
    at_ = before;
    return fail();
  }
  out = head.info == kTrue;
  return true;
}

bool CborReader::read_null() noexcept {
  Head head;
  const char* const before = at_;
  if (!take(kOther, head)) return false;
  if (head.info == kNull || head.info == kUndefined) return true;
  at_ = before;
  return fail();
}

bool CborReader::read_real(double& out) noexcept {
  Head head;
  const char* const before = at_;
  if (!take(kOther, head)) return false;
  if (head.info == kHalf) {
    out = half_of(static_cast<std::uint16_t>(head.argument));
  } else if (head.info == kSingle) {
    out = static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(head.argument)));
  } else if (head.info == kDouble) {
    out = std::bit_cast<double>(head.argument);
  } else {
    at_ = before;
    return fail();
  }
  return true;
}

bool CborReader::read_tag(std::uint64_t& number) noexcept {
  Head head;
  if (!take(kTag, head)) return false;
  number = head.argument;
  return true;
}

bool CborReader::valid_text(std::string_view text) noexcept { return is_ascii(text) || valid_utf8(text); }

// Of a text or byte string whose head, which gave no length, has been taken.
bool CborReader::pieces(Major major, std::string_view& out, std::string& scratch) {
  Head head;
  scratch.clear();
  while (at_ != end_ && static_cast<std::uint8_t>(*at_) != kBreak) {
    std::string_view next;
    if (!take(major, head)) return false;
    if (head.indefinite() || !piece(head, next)) return fail();
    scratch += next;
  }
  if (at_ == end_) return fail();
  ++at_;
  out = scratch;
  return true;
}

bool CborReader::begin(Major major) noexcept {
  Head head;
  if (!take(major, head)) return false;
  // An item takes a byte at least, a pair two: a length that cannot be is not counted down.
  const auto room = static_cast<std::uint64_t>(end_ - at_) / (major == kMap ? 2 : 1);
  if (depth_ == kDepthMax || head.argument > room) return fail();
  containers_[depth_++] = {major, head.indefinite(), head.argument};
  return true;
}

// Without calling itself: what a peer nests costs no stack.
std::string_view CborReader::skip_value() {
  const char* const from = at_;
  const std::size_t outside = depth_;
  std::string scratch;
  std::string_view text;
  do {
    if (depth_ > outside) {
      const bool map = containers_[depth_ - 1].major == kMap;
      if (!(map ? next_member(text) : next_element())) {
        if (failed_) return {};
        continue;
      }
    }
    std::uint64_t tag = 0;
    CborType type = peek();
    while (type == CborType::tag && read_tag(tag)) type = peek();
    CborInteger integer;
    double real = 0;
    bool boolean = false;
    switch (type) {
      case CborType::integer:
        read_integer(integer);
        break;
      case CborType::bytes:
        read_bytes(text, scratch);
        break;
      case CborType::text:
        read_text(text, scratch);
        break;
      case CborType::array:
        begin_array();
        break;
      case CborType::map:
        begin_map();
        break;
      case CborType::boolean:
        read_bool(boolean);
        break;
      case CborType::null:
        read_null();
        break;
      case CborType::real:
        read_real(real);
        break;
      case CborType::tag:
      case CborType::error:
        break;
    }
    if (failed_) return {};
  } while (depth_ > outside);
  return {from, static_cast<std::size_t>(at_ - from)};
}

}  // namespace millrace::codec
