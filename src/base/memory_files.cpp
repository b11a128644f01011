#include <algorithm>
#include <cerrno>
#include <map>
#include <mutex>
#include <set>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "millrace/base/files.hpp"
#include "millrace/base/random.hpp"

namespace millrace {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSectorBytes = 512;

// By this thread, in pages as a system does; it has no memory of them.
thread_local std::uint64_t fetched = 0;
void fetch(std::uint64_t offset, std::uint64_t bytes) noexcept {
  constexpr std::uint64_t kPageBytes = 4096;
  if (bytes) fetched += ((offset + bytes - 1) / kPageBytes - offset / kPageBytes + 1) * kPageBytes;
}

// A file's bytes outlive its name, as an open file does on disk.
struct Content {
  struct Write {
    std::uint64_t offset;
    std::string bytes;
  };
  std::mutex mutex;
  std::string bytes;
  // Kept where power may be lost:
  std::string synced;
  std::vector<Write> unsynced;
  bool lost = false;  // power was: open files see errors

  static void put(std::string& to, std::uint64_t offset, std::string_view bytes) {
    if (bytes.empty()) return;
    if (to.size() < offset + bytes.size()) to.resize(offset + bytes.size());
    to.replace(offset, bytes.size(), bytes);
  }
  void sync() {
    for (const Write& write : unsynced) put(synced, write.offset, write.bytes);
    unsynced.clear();
  }
  /// Each sector of each write since the last sync is there or not.
  void lose_power(Random& random) {
    std::string left = std::move(synced);
    for (const Write& write : unsynced) {
      for (std::size_t at = 0; at < write.bytes.size();) {
        const std::size_t to_boundary = kSectorBytes - (write.offset + at) % kSectorBytes;
        const std::size_t size = std::min(to_boundary, write.bytes.size() - at);
        if (random.next() % 2 == 0) put(left, write.offset + at, std::string_view(write.bytes).substr(at, size));
        at += size;
      }
    }
    unsynced.clear();
    synced = left;
    bytes = std::move(left);
  }
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
  MemoryFile(Node content, fs::path path, bool writable, bool keeps_synced, std::shared_ptr<Faults> faults)
      : content_(std::move(content)),
        path_(std::move(path)),
        writable_(writable),
        keeps_synced_(keeps_synced),
        faults_(std::move(faults)) {}

  FileResult<> append(std::span<const ByteView> pieces) override {
    auto written = write(written_, pieces);
    if (!written) return written.error();
    written_ += *written;
    return {};
  }
  FileResult<> write_at(std::uint64_t offset, std::span<const ByteView> pieces) override {
    if (auto written = write(offset, pieces); !written) return written.error();
    return {};
  }
  FileResult<std::string> read_at(std::uint64_t offset, std::size_t size) override {
    std::lock_guard lock(content_->mutex);
    if (content_->lost) return file_error(EIO, "read", path_);
    if (offset >= content_->bytes.size()) return std::string();
    std::string bytes = content_->bytes.substr(offset, size);
    fetch(offset, bytes.size());
    return bytes;
  }
  FileResult<std::uint64_t> read_into(std::uint64_t offset, std::span<const std::span<char>> pieces) override {
    std::lock_guard lock(content_->mutex);
    if (content_->lost) return file_error(EIO, "read", path_);
    std::uint64_t got = 0;
    for (const std::span<char> piece : pieces) {
      if (offset + got >= content_->bytes.size()) break;
      got += content_->bytes.copy(piece.data(), piece.size(), offset + got);
    }
    fetch(offset, got);
    return {boost::system::in_place_value, got};
  }
  void will_read(std::uint64_t, std::uint64_t) noexcept override {}
  FileResult<> allocate(std::uint64_t size) override {
    if (const int fault = (*faults_)("allocate", path_)) return file_error(fault, "allocate", path_);
    if (!writable_) return file_error(EBADF, "allocate", path_);
    std::lock_guard lock(content_->mutex);
    if (content_->lost) return file_error(EIO, "allocate", path_);
    const std::uint64_t had = content_->bytes.size();
    if (size <= had) return {};
    content_->bytes.resize(size);
    if (keeps_synced_) content_->unsynced.push_back({had, std::string(size - had, '\0')});
    return {};
  }
  FileResult<std::uint64_t> size() override {
    std::lock_guard lock(content_->mutex);
    return {boost::system::in_place_value, content_->bytes.size()};
  }
  FileResult<> sync(bool) override {
    if (const int fault = (*faults_)("fsync", path_)) return file_error(fault, "fsync", path_);
    std::lock_guard lock(content_->mutex);
    if (content_->lost) return file_error(EIO, "fsync", path_);
    content_->sync();
    return {};
  }

 private:
  FileResult<std::size_t> write(std::uint64_t offset, std::span<const ByteView> pieces) {
    const int fault = (*faults_)("write", path_);
    if (!writable_) return file_error(EBADF, "write", path_);
    std::string bytes;
    for (const ByteView piece : pieces) bytes += piece;
    if (fault) bytes.resize(bytes.size() / 2);
    {
      std::lock_guard lock(content_->mutex);
      if (content_->lost) return file_error(EIO, "write", path_);
      Content::put(content_->bytes, offset, bytes);
      if (keeps_synced_) content_->unsynced.push_back({offset, bytes});
    }
    if (fault) return file_error(fault, "write", path_);
    return {boost::system::in_place_value, bytes.size()};
  }

  Node content_;
  fs::path path_;
  bool writable_, keeps_synced_;
  std::shared_ptr<Faults> faults_;
  std::uint64_t written_ = 0;
};

/// Asks for what a system asks for.
class DirectFile final : public File {
 public:
  DirectFile(std::unique_ptr<File> file, fs::path path) : file_(std::move(file)), path_(std::move(path)) {}

  FileResult<> append(std::span<const ByteView>) override { return file_error(EINVAL, "write", path_); }
  FileResult<> write_at(std::uint64_t offset, std::span<const ByteView> pieces) override {
    const bool aligned = pieces.size() == 1 && offset % kDirectBytes == 0 && pieces[0].size() % kDirectBytes == 0 &&
                         reinterpret_cast<std::uintptr_t>(pieces[0].data()) % kDirectMemory == 0;
    if (!aligned) return file_error(EINVAL, "write", path_);
    return file_->write_at(offset, pieces);
  }
  FileResult<std::string> read_at(std::uint64_t offset, std::size_t size) override {
    return file_->read_at(offset, size);
  }
  FileResult<std::uint64_t> read_into(std::uint64_t offset, std::span<const std::span<char>> pieces) override {
    return file_->read_into(offset, pieces);
  }
  void will_read(std::uint64_t offset, std::uint64_t size) noexcept override { file_->will_read(offset, size); }
  FileResult<> allocate(std::uint64_t size) override { return file_->allocate(size); }
  FileResult<std::uint64_t> size() override { return file_->size(); }
  FileResult<> sync(bool data_only) override { return file_->sync(data_only); }

 private:
  const std::unique_ptr<File> file_;
  const fs::path path_;
};

class InMemory final : public MemoryFiles {
 public:
  explicit InMemory(MemoryFilesOptions options) : options_(options) {}

  void lose_power(Random& random) override {
    if (!options_.loses_unsynced) throw std::logic_error("these files keep nothing for a loss of power");
    std::lock_guard lock(mutex_);
    std::map<std::string, Node> left;
    // Names in order: a directory comes before what is in it, and what is in none is gone.
    std::set<std::string> names;
    for (const auto* nodes : {&nodes_, &synced_nodes_})
      for (const auto& [name, node] : *nodes) names.insert(name);
    std::set<Content*> synced_contents;
    for (const auto& [name, node] : synced_nodes_)
      if (node) synced_contents.insert(node.get());
    for (const std::string& name : names) {
      const auto now = nodes_.find(name), then = synced_nodes_.find(name);
      const bool same = now != nodes_.end() && then != synced_nodes_.end() && now->second == then->second;
      bool as_it_became = same || random.next() % 2 == 0;
      // What is in a directory goes with it when that is renamed, under the one name or the other.
      const bool was_elsewhere = now != nodes_.end() && now->second && synced_contents.contains(now->second.get());
      const bool in_directory = !is_root(parent_of(name));
      if (in_directory && !synced_nodes_.contains(parent_of(name)) && was_elsewhere) as_it_became = true;
      if (in_directory && !nodes_.contains(parent_of(name)) && then != synced_nodes_.end()) as_it_became = false;
      if (as_it_became ? now == nodes_.end() : then == synced_nodes_.end()) continue;
      const std::string parent = parent_of(name);
      const auto directory = left.find(parent);
      if (!is_root(parent) && (directory == left.end() || directory->second)) continue;
      left.emplace(name, as_it_became ? now->second : then->second);
    }
    // Both names of a rename may be there: each is then a file of its own. Names that were links of one file stay so.
    std::map<Content*, Node> after;
    std::set<Content*> linked;
    for (const auto* nodes : {&nodes_, &synced_nodes_}) {
      std::set<Content*> once;
      for (const auto& [name, node] : *nodes)
        if (node && !once.insert(node.get()).second) linked.insert(node.get());
    }
    for (auto& [name, node] : left) {
      if (!node) continue;
      Node& fresh = after[node.get()];
      if (!fresh) {
        std::lock_guard content_lock(node->mutex);
        node->lose_power(random);
        fresh = std::make_shared<Content>();
        fresh->bytes = fresh->synced = node->bytes;
        node->lost = true;
      }
      if (linked.contains(node.get())) {
        node = fresh;
        continue;
      }
      node = std::make_shared<Content>();
      node->bytes = node->synced = fresh->bytes;
    }
    for (const auto& [name, node] : nodes_) {
      if (!node) continue;
      std::lock_guard content_lock(node->mutex);
      node->lost = true;
    }
    nodes_ = left;
    synced_nodes_ = std::move(left);
  }

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
      found->second->synced.clear();  // the simplest of what a disk may do: an emptied file is empty at once
      found->second->unsynced.clear();
    }
    return file(found->second, path, true);
  }
  FileResult<std::unique_ptr<File>> open(const fs::path& path) override { return open_as(path, false); }
  FileResult<std::unique_ptr<File>> open_writable(const fs::path& path) override { return open_as(path, true); }
  FileResult<std::unique_ptr<File>> open_direct(const fs::path& path) override {
    auto file = open_as(path, true);
    if (!file) return file.error();
    return std::unique_ptr<File>(std::make_unique<DirectFile>(std::move(*file), path));
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
    if (options_.loses_unsynced) take_along(source, target);
    return {};
  }
  FileResult<> link(const fs::path& from, const fs::path& to) override {
    if (const int fault = (*faults_)("link", to)) return file_error(fault, "link", to);
    std::lock_guard lock(mutex_);
    const auto found = find_file(from);
    if (!found.first) return file_error(found.second == EISDIR ? EPERM : found.second, "link", to);
    const std::string key = key_of(to);
    if (const int missing = parent_error(key)) return file_error(missing, "link", to);
    if (is_root(key) || nodes_.contains(key)) return file_error(EEXIST, "link", to);
    nodes_.emplace(key, found.first);
    return {};
  }
  FileResult<std::uint64_t> names_of(const fs::path& path) override {
    std::lock_guard lock(mutex_);
    const auto found = find_file(path);
    if (!found.first) return file_error(found.second, "stat", path);
    const auto names =
        std::count_if(nodes_.begin(), nodes_.end(), [&](const auto& node) { return node.second == found.first; });
    return {boost::system::in_place_value, static_cast<std::uint64_t>(names)};
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
    const std::string key = key_of(path);
    if (const int error_number = directory_error(key)) return file_error(error_number, "open", path);
    if (!options_.loses_unsynced) return {};
    std::erase_if(synced_nodes_, [&](const auto& node) { return parent_of(node.first) == key; });
    for (const auto& [name, node] : nodes_)
      if (parent_of(name) == key) synced_nodes_.insert_or_assign(name, node);
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
  FileResult<std::uint64_t> free_bytes(const fs::path&) override { return {boost::system::in_place_value, UINT64_MAX}; }
  std::uint64_t fetched_here() const noexcept override { return fetched; }
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
  /// Names in a directory that were synced stay so under its new name, if that is there.
  void take_along(const std::string& source, const std::string& target) {
    std::erase_if(synced_nodes_, [&](const auto& node) { return node.first.starts_with(target + "/"); });
    std::vector<std::pair<std::string, Node>> inside;
    for (const auto& [name, node] : synced_nodes_)
      if (name.starts_with(source + "/")) inside.emplace_back(target + name.substr(source.size()), node);
    for (auto& [name, node] : inside) synced_nodes_.emplace(std::move(name), std::move(node));
  }
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

  std::unique_ptr<File> file(Node node, const fs::path& path, bool writable) const {
    return std::make_unique<MemoryFile>(std::move(node), path, writable, options_.loses_unsynced, faults_);
  }
  FileResult<std::unique_ptr<File>> open_as(const fs::path& path, bool writable) {
    std::lock_guard lock(mutex_);
    const auto found = find_file(path);
    if (!found.first) return file_error(found.second, "open", path);
    return file(found.first, path, writable);
  }

  const MemoryFilesOptions options_;
  std::mutex mutex_;
  std::map<std::string, Node> nodes_;
  std::map<std::string, Node> synced_nodes_;  // what a loss of power leaves at least
  std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
};

}  // namespace

std::unique_ptr<MemoryFiles> make_memory_files(MemoryFilesOptions options) {
  return std::make_unique<InMemory>(options);
}

}  // namespace millrace
