#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "journal/head.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

/// Of every commit's and frame's place.
inline constexpr std::size_t kAlignment = 8;

/// "records 3 to 7 of log 1"
std::string what_of(const Frame& frame);

/// Goes through the commits of one file, in pieces.
class Walk {
 public:
  struct FoundFrame {
    Frame frame;
    ByteView payload;  ///< checked; until the next call
    Lsn lsn;
  };

  /// @param limit  what begins at or behind this offset does not count
  Walk(File& file, const std::filesystem::path& path, Generation generation, std::uint64_t bytes, std::uint64_t limit)
      : file_(file), path_(path), generation_(generation), bytes_(bytes), limit_(std::min(limit, bytes)) {}

  /// Moves to the next commit, behind what is torn or damaged; false: there is none.
  Result<bool> next();
  const CommitHead& head() const noexcept { return head_; }
  Lsn at() const noexcept { return make_lsn(generation_, offset_); }
  /// Where the commit was expected: before at() when what lies between cannot be told.
  Lsn expected() const noexcept { return make_lsn(generation_, expected_); }
  /// Where the next one is expected.
  Lsn end() const noexcept { return make_lsn(generation_, end_); }

  /// Reads the commit's frames: the good ones, and what is bad.
  Result<> load();
  const std::vector<FoundFrame>& frames() const noexcept { return frames_; }
  const std::vector<Damage>& bad() const noexcept { return bad_; }

 private:
  /// Up to `size` bytes from `offset`, fewer at the end of the file; until the next call.
  Result<ByteView> view(std::uint64_t offset, std::uint64_t size);

  File& file_;
  const std::filesystem::path& path_;
  const Generation generation_;
  const std::uint64_t bytes_, limit_;
  std::uint64_t offset_ = 0, expected_ = kFileHeadBytes, end_ = kFileHeadBytes;
  CommitHead head_;
  std::vector<FoundFrame> frames_;
  std::vector<Damage> bad_;
  std::string window_;
  std::uint64_t window_at_ = 0;
};

}  // namespace millrace::journal
