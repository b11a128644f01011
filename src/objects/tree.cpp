#include "millrace/objects/tree.hpp"

#include <unistd.h>

#include <atomic>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "millrace/base/guarded.hpp"

namespace millrace::objects {
namespace {

using Path = std::filesystem::path;

constexpr std::size_t kKeyBytesMax = 1024;
/// Beside a name that is taken by the other kind (a file where a directory is needed, or the reverse): what clashed
/// lies below this. No key encodes to it.
constexpr std::string_view kClashDirectory = "%!";
constexpr std::string_view kTemporaryPrefix = "upload-";
constexpr std::size_t kLastingMax = 4096;

bool valid_utf8(std::string_view text) noexcept {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  while (at < end) {
    const unsigned lead = *at++;
    if (lead < 0x80) continue;
    const int more = lead >= 0xC2 && lead <= 0xDF   ? 1
                     : lead >= 0xE0 && lead <= 0xEF ? 2
                     : lead >= 0xF0 && lead <= 0xF4 ? 3
                                                    : 0;
    if (more == 0 || end - at < more) return false;
    const unsigned low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;   // no overlong forms
    const unsigned high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;  // no surrogates, nothing past U+10FFFF
    if (at[0] < low || at[0] > high) return false;
    for (int i = 1; i < more; ++i)
      if ((at[i] & 0xC0) != 0x80) return false;
    at += more;
  }
  return true;
}

/// Without the number of a temporary file: the same trouble reads the same at every attempt.
Error write_error(const FileError& error, const Path& temporary = {}) {
  std::string detail = error.detail;
  const std::string& name = temporary.native();
  if (const std::size_t at = detail.find(name); !name.empty() && at != std::string::npos)
    detail.replace(at, name.size(), (temporary.parent_path() / "upload").native());
  return {Errc::write_failed, std::move(detail)};
}

/// A temporary file nobody wants any more. Removed by the next job on a file thread: a dropped upload never blocks.
struct Discarded {
  std::unique_ptr<File> file;
  Path path;
};

struct Shared {
  Shared(Files& f, FileThreads& t, Path r, bool s)
      : files(f), threads(t), root(std::move(r)), temporary(root.parent_path() / "tmp"), sync(s) {}

  Files& files;
  FileThreads& threads;
  const Path root;
  const Path temporary;
  const bool sync;
  Guarded<std::vector<Discarded>> discarded;
  /// Choosing a place, making its directories and the rename are one step: two keys never race for one name.
  std::mutex placing;
  std::set<Path> lasting;  // directories whose names are on disk, as far as this knows
  std::once_flag leftovers_once;

  void remove_discarded() {
    auto list = discarded.with([](auto& all) { return std::exchange(all, {}); });
    for (Discarded& each : list) {
      each.file.reset();
      (void)files.remove(each.path);  // a leftover is removed at the next start
    }
  }

  /// What a killed daemon left half written.
  void remove_leftovers() {
    auto names = files.list(temporary);
    if (!names) return;
    for (const std::string& name : *names)
      if (name.starts_with(kTemporaryPrefix)) (void)files.remove(temporary / name);
  }

  Path bucket_path(const std::string& bucket) const { return root / bucket; }

  /// Where an object lies, or would: its key's path unless a name on the way is taken by the other kind.
  FileResult<Path> place(const Path& bucket, const Path& key_path) {
    Path at = bucket;
    for (auto part = key_path.begin(); part != key_path.end();) {
      const Path& name = *part;
      const bool last = ++part == key_path.end();
      const auto wanted = last ? Files::Kind::file : Files::Kind::directory;
      const auto other = last ? Files::Kind::directory : Files::Kind::file;
      Path aside = at / kClashDirectory / name;
      auto kind_aside = files.kind(aside);  // once aside always aside, so that a key has one place only
      if (!kind_aside) return kind_aside.error();
      if (*kind_aside != wanted) {
        auto kind_there = files.kind(at / name);
        if (!kind_there) return kind_there.error();
        if (*kind_there != other) aside = at / name;
      }
      at = std::move(aside);
    }
    return at;
  }

  /// A key of slashes goes deeper than std::filesystem makes directories in one call.
  FileResult<> make_directories(const Path& path) {
    constexpr int kDepthMax = 500;
    Path upto;
    int depth = 0;
    for (const Path& name : path) {
      upto /= name;
      if (++depth % kDepthMax != 0) continue;
      if (auto made = files.make_directories(upto); !made) return made;
    }
    return files.make_directories(path);
  }

  FileResult<> put_in_place(const Path& from, const Path& bucket, const Path& key_path) {
    std::vector<Path> changed, fresh;  // directories that got an entry, and that may have no lasting name; lowest first
    {
      std::lock_guard lock(placing);
      auto to = place(bucket, key_path);
      if (!to) return to.error();
      Path parent = to->parent_path();
      if (sync) {
        changed.push_back(parent);
        // A directory that is there may have been made by an attempt that failed before its name was on disk, and one
        // whose name was may be gone: the tree is the user's.
        for (Path made = parent; made != root.parent_path(); made = made.parent_path()) {
          auto kind = files.kind(made);
          if (!kind) return kind.error();
          if (*kind == Files::Kind::directory && lasting.contains(made)) break;
          fresh.push_back(made);
          changed.push_back(made.parent_path());
        }
      }
      if (auto made = make_directories(parent); !made) return made;
      if (auto renamed = files.rename(from, *to); !renamed) return renamed;
    }
    for (const Path& directory : changed)
      if (auto synced = files.sync_directory(directory); !synced) return synced;
    if (fresh.empty()) return {};
    std::lock_guard lock(placing);
    if (lasting.size() > kLastingMax) lasting.clear();
    lasting.insert(fresh.begin(), fresh.end());
    return {};
  }
};

class FileUpload final : public Upload {
 public:
  FileUpload(std::shared_ptr<Shared> shared, std::unique_ptr<File> file, Path temporary, Path bucket, Path key_path)
      : shared_(std::move(shared)),
        file_(std::move(file)),
        temporary_(std::move(temporary)),
        bucket_(std::move(bucket)),
        key_path_(std::move(key_path)) {}

  ~FileUpload() override {
    if (!file_) return;
    shared_->discarded.with([&](auto& all) { all.push_back({std::move(file_), std::move(temporary_)}); });
  }

  awaitable<Result<>> append(std::span<const Slice> pieces) override {
    if (failed_) co_return *failed_;
    FileResult<> done;
    auto work = [&] {
      views_.clear();
      for (const Slice& piece : pieces)
        if (!piece.bytes.empty()) views_.push_back(piece.bytes);
      done = file_->append(views_);
    };
    co_await shared_->threads.run(work);
    co_return outcome(done);
  }

  awaitable<Result<>> commit() override {
    if (failed_) co_return *failed_;
    FileResult<> done;
    auto work = [&] {
      if (shared_->sync) done = file_->sync();
      if (done) done = shared_->put_in_place(temporary_, bucket_, key_path_);
      if (done) file_.reset();
    };
    co_await shared_->threads.run(work);
    co_return outcome(done);
  }

 private:
  Result<> outcome(const FileResult<>& done) {
    if (done) return {};
    failed_ = write_error(done.error(), temporary_);
    return *failed_;
  }

  std::shared_ptr<Shared> shared_;
  std::unique_ptr<File> file_;  // none once committed
  Path temporary_, bucket_, key_path_;
  std::vector<ByteView> views_;
  std::optional<Error> failed_;
};

class FileTree final : public Tree {
 public:
  FileTree(Files& files, FileThreads& threads, Path root, bool sync)
      : shared_(std::make_shared<Shared>(files, threads, std::move(root), sync)) {}
  ~FileTree() override { shared_->remove_discarded(); }

  awaitable<Result<>> create_bucket(std::string bucket) override {
    if (!valid_bucket_name(bucket)) co_return Error{Errc::invalid_bucket_name, bucket};
    FileResult<> done;
    auto work = [&] {
      done = shared_->files.make_directories(shared_->bucket_path(bucket));
      if (!shared_->sync) return;
      if (done) done = shared_->files.sync_directory(shared_->root);
      if (done) done = shared_->files.sync_directory(shared_->root.parent_path());
    };
    co_await shared_->threads.run(work);
    if (!done) co_return write_error(done.error());
    co_return Result<>{};
  }

  awaitable<Result<std::unique_ptr<Upload>>> begin_upload(std::string bucket, std::string key,
                                                          bool create_bucket) override {
    if (!valid_bucket_name(bucket)) co_return Error{Errc::invalid_bucket_name, bucket};
    if (key.empty() || key.size() > kKeyBytesMax || !valid_utf8(key))
      co_return Error{Errc::invalid_key, "not a key S3 takes"};
    std::optional<Error> refused;
    std::unique_ptr<Upload> upload;
    auto work = [&] {
      auto begun = begin(bucket, key, create_bucket);
      if (begun)
        upload = std::move(*begun);
      else
        refused = begun.error();
    };
    co_await shared_->threads.run(work);
    if (refused) co_return *refused;
    co_return std::move(upload);
  }

  awaitable<Result<>> clear() override {
    FileResult<> done;
    auto work = [&] {
      shared_->remove_discarded();
      std::lock_guard lock(shared_->placing);
      done = shared_->files.remove_all(shared_->root);
    };
    co_await shared_->threads.run(work);
    if (!done) co_return write_error(done.error());
    co_return Result<>{};
  }

 private:
  Result<std::unique_ptr<Upload>> begin(const std::string& bucket, const std::string& key, bool create_bucket) {
    Shared& shared = *shared_;
    std::call_once(shared.leftovers_once, [&] { shared.remove_leftovers(); });
    shared.remove_discarded();
    const Path bucket_path = shared.bucket_path(bucket);
    if (!create_bucket) {
      auto kind = shared.files.kind(bucket_path);
      if (!kind) return write_error(kind.error());
      if (*kind != Files::Kind::directory) return Error{Errc::no_such_bucket, bucket};
    }
    if (auto made = shared.files.make_directories(shared.temporary); !made) return write_error(made.error());
    // The process id keeps a second daemon on the same directory, which is a mistake, from mixing two objects into one.
    static std::atomic<std::uint64_t> uploads{0};
    Path temporary = shared.temporary / (std::string(kTemporaryPrefix) + std::to_string(::getpid()) + "-" +
                                         std::to_string(uploads.fetch_add(1, std::memory_order_relaxed)));
    auto file = shared.files.create(temporary);
    if (!file) return write_error(file.error(), temporary);
    return std::unique_ptr<Upload>(
        std::make_unique<FileUpload>(shared_, std::move(*file), std::move(temporary), bucket_path, path_of_key(key)));
  }

  std::shared_ptr<Shared> shared_;
};

}  // namespace

std::unique_ptr<Tree> make_tree(Files& files, FileThreads& threads, std::filesystem::path root, bool sync) {
  return std::make_unique<FileTree>(files, threads, std::move(root), sync);
}

}  // namespace millrace::objects
