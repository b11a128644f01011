#include <cerrno>
#include <utility>

#include "millrace/journal/inspect.hpp"

namespace millrace::journal {

namespace {

namespace fs = std::filesystem;

FileError refused(const fs::path& path) { return {EROFS, path.native() + " is opened for reading only"}; }

/// Reads as `file` does; as an empty one without it.
class OnlookingFile final : public File {
 public:
  OnlookingFile(std::unique_ptr<File> file, fs::path path) : file_(std::move(file)), path_(std::move(path)) {}

  FileResult<> append(std::span<const ByteView>) override { return refused(path_); }
  FileResult<> write_at(std::uint64_t, std::span<const ByteView>) override { return refused(path_); }
  FileResult<> allocate(std::uint64_t) override { return refused(path_); }
  FileResult<> sync(bool) override { return refused(path_); }
  FileResult<std::string> read_at(std::uint64_t offset, std::size_t size) override {
    return file_ ? file_->read_at(offset, size) : std::string();
  }
  FileResult<std::uint64_t> read_into(std::uint64_t offset, std::span<const std::span<char>> pieces) override {
    if (!file_) return {boost::system::in_place_value, 0u};
    return file_->read_into(offset, pieces);
  }
  void will_read(std::uint64_t offset, std::uint64_t size) noexcept override {
    if (file_) file_->will_read(offset, size);
  }
  FileResult<std::uint64_t> size() override {
    if (!file_) return {boost::system::in_place_value, 0u};
    return file_->size();
  }

 private:
  const std::unique_ptr<File> file_;
  const fs::path path_;
};

class OnlookingFiles final : public Files {
 public:
  explicit OnlookingFiles(Files& files) : files_(files) {}

  FileResult<std::unique_ptr<File>> create(const fs::path& path) override { return refused(path); }
  FileResult<std::unique_ptr<File>> open_writable(const fs::path& path) override { return refused(path); }
  FileResult<std::unique_ptr<File>> open_direct(const fs::path& path) override { return refused(path); }
  FileResult<> rename(const fs::path& from, const fs::path&) override { return refused(from); }
  FileResult<> link(const fs::path&, const fs::path& to) override { return refused(to); }
  FileResult<std::uint64_t> names_of(const fs::path& path) override { return files_.names_of(path); }
  FileResult<> remove(const fs::path& path) override { return refused(path); }
  FileResult<> remove_all(const fs::path& path) override { return refused(path); }
  FileResult<> make_directories(const fs::path& path) override { return refused(path); }
  FileResult<> sync_directory(const fs::path& path) override { return refused(path); }

  FileResult<std::unique_ptr<File>> open(const fs::path& path) override {
    auto file = files_.open(path);
    if (!file && file.error().error_number != ENOENT) return file.error();
    return std::unique_ptr<File>(std::make_unique<OnlookingFile>(file ? std::move(*file) : nullptr, path));
  }
  FileResult<Kind> kind(const fs::path& path) override { return files_.kind(path); }
  FileResult<std::vector<std::string>> list(const fs::path& path) override { return files_.list(path); }
  FileResult<std::string> read_all(const fs::path& path, std::size_t bytes_max) override {
    return files_.read_all(path, bytes_max);
  }
  FileResult<std::uint64_t> free_bytes(const fs::path& directory) override { return files_.free_bytes(directory); }
  std::uint64_t fetched_here() const noexcept override { return files_.fetched_here(); }

 private:
  Files& files_;
};

}  // namespace

std::unique_ptr<Files> make_onlooking_files(Files& files) { return std::make_unique<OnlookingFiles>(files); }

}  // namespace millrace::journal
