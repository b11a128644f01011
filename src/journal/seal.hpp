#pragma once
#include <map>
#include <span>
#include <string>

#include "journal/head.hpp"
#include "millrace/base/digest.hpp"

namespace millrace::journal {

/// Seals the payloads of one file by one key: counter (8 bytes), what is hidden, tag (16). The counter is the nonce and
/// is never given twice in a file; all of the frame's head but its checksums is bound to the payload, and so is its
/// place.
class FileSealer {
 public:
  FileSealer(const Keys::Key& key, Generation file, const FileSalt& salt);

  /// @param stored  the frame as its head will say, but for the checksum
  /// @param out     room for what `plain` is together and kSealBytes
  void seal(const Frame& stored, Lsn lsn, std::uint64_t counter, std::span<const ByteView> plain, char* out) const;
  /// False: it was not sealed by this key, as this frame, at this place.
  [[nodiscard]] bool open(const Frame& stored, Lsn lsn, ByteView sealed, char* out) const;

 private:
  Sealer sealer_;
};

/// Opens payloads of many files, one after the other.
class Opener {
 public:
  enum class Outcome { opened, no_key, not_this_key };
  /// @param keys  outlive this
  explicit Opener(const Keys& keys) noexcept : keys_(keys) {}
  /// @param salt   of the frame's file
  /// @param plain  what was hidden, when it is opened
  Outcome open(const FileSalt& salt, const Frame& stored, Lsn lsn, ByteView sealed, std::string& plain);

 private:
  const Keys& keys_;
  Generation file_;  // that the sealers are for, with its salt
  FileSalt salt_{};
  std::map<std::uint32_t, FileSealer> sealers_;  // by key
};

}  // namespace millrace::journal
