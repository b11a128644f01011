#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "agent/conversions.hpp"

namespace millrace::agent {

/// Where a record stood in its file.
struct Range {
  std::uint64_t begin = 0, end = 0;
};
using Emit = std::function<void(std::string record, Range range)>;

/// A file's bytes, in order, as records: lines with their end, or a line that begins like a record and those behind it.
/// Holds what is not whole yet, at most a record of the largest size and a line.
class Splitter {
 public:
  /// @param start       of a record's first line; null: each line is a record. Outlives it
  /// @param from        where in the file the first byte stands, which is a record's first one
  /// @param skip_lines  before the first record, where `from` is the beginning
  /// @param bytes_max   a record that is longer is cut, and ends with `terminator` then
  Splitter(const Pattern* start, std::uint64_t from, std::uint64_t skip_lines, std::size_t bytes_max,
           std::string terminator);

  void feed(std::string_view bytes, const Emit& emit);
  /// Nothing follows: what there is, is a record.
  void end(const Emit& emit);

  /// The first byte that was not given in a record: from here the file is to be read again.
  std::uint64_t begun() const noexcept { return skip_ > 0 ? 0 : record_.begin; }
  std::uint64_t read() const noexcept { return at_; }
  /// Whether there are lines that may be a record, and no part of a line.
  bool between_lines() const noexcept { return line_.text.empty() && !record_.text.empty(); }
  bool empty() const noexcept { return line_.text.empty() && record_.text.empty(); }

 private:
  struct Part {
    std::uint64_t begin;
    std::string text;
    bool cut = false;
  };
  void append(Part& to, std::string_view text, bool cut) const;
  void line_is_whole(const Emit& emit);
  void give(const Emit& emit, std::uint64_t end);

  const Pattern* const start_;
  const std::size_t bytes_max_;
  const std::string terminator_;
  std::uint64_t skip_;
  std::uint64_t at_;
  Part record_, line_;
};

/// At most `bytes_max` bytes, of which the last are the terminator where it was longer.
void cut(std::string& record, std::size_t bytes_max, std::string_view terminator);

}  // namespace millrace::agent
