#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <system_error>
#include <utility>

#include "millrace/base/files.hpp"

namespace millrace {
namespace {

namespace fs = std::filesystem;

// A file's bytes outlive its name, as an open file does on disk.
struct Content {
  std::mutex mutex;
  std::string bytes;
};
using Node = std::shared_ptr<Content>;  // null: a directory

struct Faults {
  std::mutex mutex;
  std::function<int(std::string_view, const fs::path&)> ask;

  int operator()(std::string_view call, const fs::path& path) {
    std::function<int(std::string_view, const fs::path&)> current;
    {
      std::lock_guard lock(mutex);
      current = ask;
    }
    return current ? current(call, path) : 0;
  }
};

FileError file_error(int error_number, std::string_view call, const fs::path& path) {
  return {error_number, std::string(call) + " " + path.native() + ": " + std::generic_category().message(error_number)};
}

class MemoryFile final : public File {
 public:
  MemoryFile(Node content, fs::path path, bool writable, std::shared_ptr<Faults> faults)
      : content_(std::move(content)), path_(std::move(path)), writable_(writable), faults_(std::move(faults)) {}

  FileResult<> append(std::span<const ByteView> pieces) override {
    if (const int fault = (*faults_)("write", path_)) return file_error(fault, "write", path_);
    if (!writable_) return file_error(EBADF, "write", path_);
    std::lock_guard lock(content_->mutex);
    for (const ByteView piece : pieces) {
      if (content_->bytes.size() < written_ + piece.size()) content_->bytes.resize(written_ + piece.size());
      content_->bytes.replace(written_, piece.size(), piece);
      written_ += piece.size();
    }
    return {};
  }
  FileResult<std::string> read_at(std::uint64_t offset, std::size_t size) override {
    std::lock_guard lock(content_->mutex);
    if (offset >= content_->bytes.size()) return std::string();
    return content_->bytes.substr(offset, size);
  }
  FileResult<> sync() override {
    if (const int fault = (*faults_)("fsync", path_)) return file_error(fault, "fsync", path_);
    return {};
  }

 private:
  Node content_;
  fs::path path_;
  bool writable_;
  std::shared_ptr<Faults> faults_;
  std::size_t written_ = 0;
};

class InMemory final : public MemoryFiles {
 public:
  void on_change(std::function<int(std::string_view, const fs::path&)> fault) override {
    std::lock_guard lock(faults_->mutex);
    faults_->ask = std::move(fault);
  }

  FileResult<std::unique_ptr<File>> create(const fs::path& path) override {
    if (const int fault = (*faults_)("create", path)) return file_error(fault, "create", path);
    std::lock_guard lock(mutex_);
    const std::string key = key_of(path);
    if (const int missing = parent_error(key)) return file_error(missing, "create", path);
    auto found = nodes_.find(key);
    if (is_root(key) || (found != nodes_.end() && !found->second)) return file_error(EISDIR, "create", path);
    if (found == nodes_.end()) {
      found = nodes_.emplace(key, std::make_shared<Content>()).first;
    } else {
      std::lock_guard content_lock(found->second->mutex);
      found->second->bytes.clear();
    }
    return std::unique_ptr<File>(std::make_unique<MemoryFile>(found->second, path, true, faults_));
  }
  FileResult<std::unique_ptr<File>> open(const fs::path& path) override {
    std::lock_guard lock(mutex_);
    const auto found = find_file(path);
    if (!found.first) return file_error(found.second, "open", path);
    return std::unique_ptr<File>(std::make_unique<MemoryFile>(found.first, path, false, faults_));
  }
  FileResult<> rename(const fs::path& from, const fs::path& to) override {
    if (const int fault = (*faults_)("rename", to)) return file_error(fault, "rename", from);
    std::lock_guard lock(mutex_);
    const std::string source = key_of(from), target = key_of(to);
    const auto moved = nodes_.find(source);
    if (moved == nodes_.end()) return file_error(ENOENT, "rename", from);
    if (const int missing = parent_error(target)) return file_error(missing, "rename", to);
    if (source == target) return {};
    if (target.starts_with(source + "/")) return file_error(EINVAL, "rename", from);
    if (const auto replaced = nodes_.find(target); replaced != nodes_.end()) {
      if (moved->second && !replaced->second) return file_error(EISDIR, "rename", to);
      if (!moved->second && replaced->second) return file_error(ENOTDIR, "rename", to);
      if (!replaced->second && has_children(target)) return file_error(ENOTEMPTY, "rename", to);
    }
    std::vector<std::pair<std::string, Node>> subtree;
    for (auto at = moved; at != nodes_.end();) {
      if (at->first == source || at->first.starts_with(source + "/")) {
        subtree.emplace_back(target + at->first.substr(source.size()), at->second);
        at = nodes_.erase(at);
      } else {
        ++at;
      }
    }
    for (auto& [key, node] : subtree) nodes_.insert_or_assign(key, std::move(node));
    return {};
  }
  FileResult<> remove(const fs::path& path) override {
    if (const int fault = (*faults_)("remove", path)) return file_error(fault, "remove", path);
    std::lock_guard lock(mutex_);
    const std::string key = key_of(path);
    const auto found = nodes_.find(key);
    if (found == nodes_.end()) return file_error(ENOENT, "remove", path);
    if (!found->second && has_children(key)) return file_error(ENOTEMPTY, "remove", path);
    nodes_.erase(found);
    return {};
  }
  FileResult<> remove_all(const fs::path& path) override {
    if (const int fault = (*faults_)("remove", path)) return file_error(fault, "remove", path);
    std::lock_guard lock(mutex_);
    const std::string key = key_of(path);
    std::erase_if(nodes_, [&](const auto& node) { return node.first == key || node.first.starts_with(key + "/"); });
    return {};
  }
  FileResult<> make_directories(const fs::path& path) override {
    if (const int fault = (*faults_)("mkdir", path)) return file_error(fault, "mkdir", path);
    std::lock_guard lock(mutex_);
    const std::string key = key_of(path);
    std::vector<std::string> missing;
    for (std::string at = key; !is_root(at); at = parent_of(at)) {
      const auto found = nodes_.find(at);
      if (found == nodes_.end()) {
        missing.push_back(at);
      } else if (found->second) {
        return file_error(ENOTDIR, "mkdir", path);
      }
    }
    for (const std::string& directory : missing) nodes_.emplace(directory, nullptr);
    return {};
  }
  FileResult<> sync_directory(const fs::path& path) override {
    if (const int fault = (*faults_)("fsync", path)) return file_error(fault, "fsync", path);
    std::lock_guard lock(mutex_);
    if (const int error_number = directory_error(key_of(path))) return file_error(error_number, "open", path);
    return {};
  }
  FileResult<Kind> kind(const fs::path& path) override {
    std::lock_guard lock(mutex_);
    const std::string key = key_of(path);
    if (is_root(key)) return Kind::directory;
    const auto found = nodes_.find(key);
    if (found == nodes_.end()) return Kind::none;
    return found->second ? Kind::file : Kind::directory;
  }
  FileResult<std::vector<std::string>> list(const fs::path& path) override {
    std::lock_guard lock(mutex_);
    const std::string key = key_of(path);
    if (const int error_number = directory_error(key)) return file_error(error_number, "opendir", path);
    std::vector<std::string> names;
    for (const auto& [child, node] : nodes_)
      if (parent_of(child) == key) names.push_back(fs::path(child).filename().native());
    return names;
  }
  FileResult<std::string> read_all(const fs::path& path, std::size_t bytes_max) override {
    std::lock_guard lock(mutex_);
    const auto found = find_file(path);
    if (!found.first) return file_error(found.second, "read", path);
    std::lock_guard content_lock(found.first->mutex);
    if (found.first->bytes.size() > bytes_max) return file_error(EFBIG, "read", path);
    return found.first->bytes;
  }

 private:
  // The roots: "" for relative paths, "/" for absolute ones. They are always there.
  static bool is_root(const std::string& key) { return key.empty() || key == "/"; }
  static std::string key_of(const fs::path& path) {
    std::string key = path.lexically_normal().native();
    while (key.size() > 1 && key.back() == '/') key.pop_back();
    return key == "." ? "" : key;
  }
  static std::string parent_of(const std::string& key) {
    const std::size_t slash = key.rfind('/');
    if (slash == std::string::npos) return "";
    return slash == 0 ? "/" : key.substr(0, slash);
  }
  int directory_error(const std::string& key) const {
    if (is_root(key)) return 0;
    const auto found = nodes_.find(key);
    if (found == nodes_.end()) return ENOENT;
    return found->second ? ENOTDIR : 0;
  }
  int parent_error(const std::string& key) const { return is_root(key) ? 0 : directory_error(parent_of(key)); }
  bool has_children(const std::string& key) const {
    const auto next = nodes_.lower_bound(key + "/");
    return next != nodes_.end() && next->first.starts_with(key + "/");
  }
  std::pair<Node, int> find_file(const fs::path& path) const {
    const std::string key = key_of(path);
    if (is_root(key)) return {nullptr, EISDIR};
    const auto found = nodes_.find(key);
    if (found == nodes_.end()) return {nullptr, ENOENT};
    return {found->second, found->second ? 0 : EISDIR};
  }

  std::mutex mutex_;
  std::map<std::string, Node> nodes_;
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
};

}  // namespace

std::unique_ptr<MemoryFiles> make_memory_files() { return std::make_unique<InMemory>(); }

}  // namespace millrace
