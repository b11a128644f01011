#pragma once
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/splitter.hpp"
#include "millrace/base/clock.hpp"

namespace millrace::agent {

/// Up to where a file was sent, and what it is known by: its number on its device, and what stands at its beginning and
/// before that place, for where the number says nothing (a copy; a number that another file has by now).
struct Mark {
  std::string path;
  std::uint64_t device = 0, inode = 0, offset = 0;
  std::uint64_t head_bytes = 0, recent_bytes = 0;
  std::string head, recent;  ///< SHA-256 of those bytes
  friend bool operator==(const Mark&, const Mark&) = default;
};

/// A file's content, wherever it lies by now.
class Followed;

/// A record, and what it was.
struct FileRecord {
  std::string data;
  std::shared_ptr<Followed> file;
  Range range;
};

/// The files of one flow: those that its pattern names, and those that it named, until they are read. Rotation by
/// renaming, by a copy and truncation, and by deletion lose nothing that was written before it was noticed. Of one
/// thread.
class FollowedFiles {
 public:
  /// @param marks  of an earlier run; null: there was none, and the flow's initialPosition counts
  FollowedFiles(const Flow& flow, const std::vector<Mark>* marks);
  static std::size_t record_bytes_max(const Flow& flow) noexcept;
  ~FollowedFiles();

  using Take = std::function<void(FileRecord record)>;
  /// Looks for what is new, and reads up to about so many bytes of it.
  /// @return whether there was more
  bool poll(TimePoint now, std::size_t bytes, const Take& take);
  /// Of all there is to know; `begin_of` says where the first record of a file begins that was not sent yet, nothing
  /// where there is none.
  using BeginOf = std::function<std::optional<std::uint64_t>(const Followed& file)>;
  std::vector<Mark> marks(const BeginOf& begin_of) const;

 private:
  struct Found;
  std::vector<Found> look();
  void update(std::vector<Found>& found, TimePoint now, const Take& take);
  void adopt(Found& found, TimePoint now);
  bool resume(Found& found, TimePoint now);
  bool may_be_copy(const Found& found, TimePoint now) const;
  void replace(const std::shared_ptr<Followed>& file, std::vector<Found>& found, TimePoint now, const Take& take);
  bool read(const std::shared_ptr<Followed>& file, TimePoint now, std::size_t& bytes, const Take& take);
  void close_quiet(TimePoint now, const Take& take);
  Splitter splitter(std::uint64_t from) const;

  const Flow flow_;
  const std::size_t record_bytes_max_;
  std::optional<Pattern> start_;
  std::vector<Mark> marks_;  // of files that were not seen again yet
  bool first_run_;
  bool first_look_ = true;
  std::vector<std::shared_ptr<Followed>> files_;
};

}  // namespace millrace::agent
