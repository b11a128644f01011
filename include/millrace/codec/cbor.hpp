#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "millrace/base/buffer.hpp"

/// CBOR (RFC 8949) as AWS's `application/x-amz-cbor-1.1` uses it: a pull reader without a tree, and a writer.
namespace millrace::codec {

enum class CborType : std::uint8_t { integer, bytes, text, array, map, tag, boolean, null, real, error };

/// An integer of either sign; all that CBOR has room for.
struct CborInteger {
  bool negative = false;
  std::uint64_t magnitude = 0;  ///< of a negative one n: -1 - n
};

/// Everything it passes over is validated: lengths, nesting, UTF-8 of texts, breaks where they may stand. Containers
/// and strings may have indefinite lengths. undefined counts as null; other simple values are errors.
class CborReader {
 public:
  static constexpr std::size_t kDepthMax = 128;
  explicit CborReader(std::string_view bytes) noexcept
      : begin_(bytes.data()), at_(begin_), end_(begin_ + bytes.size()) {}

  /// What the next value is, without taking it; error once anything was wrong. A tag is a value before its content.
  CborType peek() noexcept;
  /// Take the next value, which must be of that type; false and failed() otherwise.
  bool read_integer(CborInteger& out) noexcept;
  /// A view into the bytes, or, where it came in pieces, into `scratch`.
  bool read_text(std::string_view& out, std::string& scratch) { return string(kText, out, scratch); }
  bool read_bytes(std::string_view& out, std::string& scratch) { return string(kBytes, out, scratch); }
  bool read_bool(bool& out) noexcept;
  bool read_null() noexcept;
  bool read_real(double& out) noexcept;  ///< of any precision
  /// Its content follows as the next value.
  bool read_tag(std::uint64_t& number) noexcept;
  /// Enters a map: then `while (next_member(key)) <take one value>`. Keys are texts. The view lives until the next
  /// call.
  bool begin_map() noexcept { return begin(kMap); }
  bool next_member(std::string_view& key) { return next_item(kMap) && read_text(key, key_); }
  bool begin_array() noexcept { return begin(kArray); }
  /// False at the array's end: check failed() after the loop.
  bool next_element() noexcept { return next_item(kArray); }
  /// Passes over one value of any type, with tags before it; its bytes are returned (empty on error).
  std::string_view skip_value();
  /// After the outermost value nothing may follow.
  bool at_end() noexcept { return !failed_ && depth_ == 0 && at_ == end_; }
  bool failed() const noexcept { return failed_; }
  std::size_t error_offset() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

 private:
  static constexpr std::uint8_t kBreak = 0xff;
  enum Major : std::uint8_t { kUnsigned, kNegative, kBytes, kText, kArray, kMap, kTag, kOther };
  struct Head {
    Major major;
    std::uint8_t info;
    std::uint64_t argument;  ///< the number, length or bits that follow; 0 for an indefinite length
    bool indefinite() const noexcept { return info == 31; }
  };
  struct Container {
    Major major;
    bool indefinite;
    std::uint64_t left;  ///< items or pairs
  };

  bool fail() noexcept {
    failed_ = true;
    end_ = at_;
    return false;
  }
  bool take_head(Head& out) noexcept {
    if (at_ != end_) {
      const auto first = static_cast<std::uint8_t>(*at_);
      if (const std::uint8_t info = first & 0x1f; info < 24) {
        out = {static_cast<Major>(first >> 5), info, info};
        ++at_;
        return true;
      } else if (info == 24 && end_ - at_ > 1) {
        out = {static_cast<Major>(first >> 5), info, static_cast<std::uint8_t>(at_[1])};
        at_ += 2;
        return true;
      }
    }
    return take_long_head(out);
  }
  bool take_long_head(Head& out) noexcept;
  /// The head of the next value, which must be of this kind.
  bool take(Major major, Head& out) noexcept {
    const char* const before = at_;
    if (take_head(out) && out.major == major) return true;
    at_ = before;
    return fail();
  }
  bool string(Major major, std::string_view& out, std::string& scratch) {
    Head head;
    if (!take(major, head)) return false;
    return head.indefinite() ? pieces(major, out, scratch) : piece(head, out);
  }
  bool pieces(Major major, std::string_view& out, std::string& scratch);
  bool piece(const Head& head, std::string_view& out) noexcept {
    if (head.argument > static_cast<std::uint64_t>(end_ - at_)) return fail();
    out = {at_, static_cast<std::size_t>(head.argument)};
    if (head.major == kText && !valid_text(out)) return fail();
    at_ += out.size();
    return true;
  }
  static bool valid_text(std::string_view text) noexcept;
  bool begin(Major major) noexcept;
  bool next_item(Major major) noexcept {
    if (failed_ || depth_ == 0 || containers_[depth_ - 1].major != major) return fail();
    Container& in = containers_[depth_ - 1];
    if (in.indefinite) {
      if (at_ == end_) return fail();
      if (static_cast<std::uint8_t>(*at_) != kBreak) return true;
      ++at_;
    } else if (in.left > 0) {
      --in.left;
      return true;
    }
    --depth_;
    return false;
  }

  const char* begin_;
  const char* at_;
  const char* end_;
  bool failed_ = false;
  std::size_t depth_ = 0;
  std::array<Container, kDepthMax> containers_;
  std::string key_;
};

enum class CborMajor : std::uint8_t { positive, negative, bytes, text, array, map, tag };

/// Bytes of a value's head, as short as it can be.
constexpr std::size_t cbor_head_size(std::uint64_t argument) noexcept {
  return argument < 24 ? 1 : argument <= 0xff ? 2 : argument <= 0xffff ? 3 : argument <= 0xffff'ffff ? 5 : 9;
}
/// Writes it; returns the end.
inline char* write_cbor_head(CborMajor major, std::uint64_t argument, char* out) noexcept {
  const int first = static_cast<int>(major) << 5;
  const std::size_t size = cbor_head_size(argument);
  if (size == 1) {
    *out = static_cast<char>(first | static_cast<int>(argument));
    return out + 1;
  }
  *out++ = static_cast<char>(first | (size == 2 ? 24 : size == 3 ? 25 : size == 5 ? 26 : 27));
  for (std::size_t left = size - 1; left > 0; --left) *out++ = static_cast<char>(argument >> (8 * (left - 1)));
  return out;
}

/// Appends values, lengths known in advance, each head as short as it can be.
class CborWriter {
 public:
  explicit CborWriter(Buffer& out) noexcept : out_(out) {}
  void integer(std::int64_t value);
  void text(std::string_view value);  ///< valid UTF-8
  void bytes(std::string_view value);
  void boolean(bool value);
  void null();
  void real(double value);
  void tag(std::uint64_t number);
  void begin_array(std::uint64_t items);
  /// Then a text and a value for each.
  void begin_map(std::uint64_t members);

 private:
  void head(CborMajor major, std::uint64_t argument);
  Buffer& out_;
};

}  // namespace millrace::codec
