#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "millrace/base/awaitable.hpp"
#include "millrace/base/bytes.hpp"
#include "millrace/base/files.hpp"
#include "millrace/base/result.hpp"

/// The S3-like tree: <root>/<bucket>/<key>. The tree is the user's: ls, cat and DuckDB read it.
namespace millrace::objects {

enum class Errc {
  invalid_bucket_name = 1,
  invalid_key,  ///< empty, over 1,024 bytes, or not UTF-8
  no_such_bucket,
  write_failed,  ///< the file system refused; detail says how
};
using Error = ErrorOf<Errc>;
template <class T = void>
using Result = ResultOf<T, Error>;

/// S3's rule: 3 to 63 of a-z 0-9 . -, first and last a letter or digit, no "..", not an IPv4 address.
bool valid_bucket_name(std::string_view name) noexcept;

/// Path of a key below its bucket: injective, stays below, equal to the key where the key is a plain path. Segments
/// that cannot be file names ("", ".", "..", over 255 bytes, NUL, what the encoding itself uses) are encoded; see
/// docs/objects.md.
std::filesystem::path path_of_key(std::string_view key);

/// One object being written: invisible until commit(), gone when dropped. Blocking work runs on file threads.
class Upload {
 public:
  virtual ~Upload() = default;
  virtual awaitable<Result<>> append(std::span<const Slice> pieces) = 0;
  /// Visible under its key from here on, replacing what was there.
  virtual awaitable<Result<>> commit() = 0;
};

class Tree {
 public:
  virtual ~Tree() = default;
  virtual awaitable<Result<>> create_bucket(std::string bucket) = 0;
  virtual awaitable<Result<std::unique_ptr<Upload>>> begin_upload(std::string bucket, std::string key,
                                                                  bool create_bucket) = 0;
  /// Removes all buckets and objects (reset with objects).
  virtual awaitable<Result<>> clear() = 0;
};

/// @param root  <data_dir>/s3; made on the first write. Temporary files live in <root>/../tmp, the same file system.
/// @param sync  fsync file and directory before commit() returns (durable mode)
std::unique_ptr<Tree> make_tree(Files& files, FileThreads& threads, std::filesystem::path root, bool sync);

}  // namespace millrace::objects
