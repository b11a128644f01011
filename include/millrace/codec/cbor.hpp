#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

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
  bool next_member(std::string_view& key);
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
  bool take_head(Head& out) noexcept;
  /// The head of the next value, which must be of this kind.
  bool take(Major major, Head& out) noexcept;
  bool string(Major major, std::string_view& out, std::string& scratch);
  bool piece(const Head& head, std::string_view& out) noexcept;
  bool begin(Major major) noexcept;
  bool next_item(Major major) noexcept;

  const char* begin_;
  const char* at_;
  const char* end_;
  bool failed_ = false;
  std::size_t depth_ = 0;
  std::array<Container, kDepthMax> containers_;
  std::string key_;
};

/// Appends values to a text, lengths known in advance, each head as short as it can be.
class CborWriter {
 public:
  explicit CborWriter(std::string& out) noexcept : out_(out) {}
  void integer(std::int64_t value);
  void text(std::string_view value);
  void bytes(std::string_view value);
  void boolean(bool value);
  void null();
  void real(double value);
  void tag(std::uint64_t number);
  void begin_array(std::uint64_t items);
  /// Then a text and a value for each.
  void begin_map(std::uint64_t members);

 private:
  void head(std::uint8_t major, std::uint64_t argument);
  std::string& out_;
};

}  // namespace millrace::codec
