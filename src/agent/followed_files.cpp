#include "agent/followed_files.hpp"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "millrace/base/log.hpp"
#include "millrace/codec/sigv4.hpp"

namespace millrace::agent {
namespace {

using std::chrono::seconds;

constexpr std::size_t kWindow = 1024, kChunk = 256 * 1024;
// A record of each destination, less what a partition key takes.
constexpr std::size_t kKinesisRecordMax = (1u << 20) - 64, kFirehoseRecordMax = 1'024'000;
// A file that nothing is written to for so long, and that its name does not stand for any more, is over; a part of a
// line in it is a record then.
constexpr seconds kQuiet{60};
// So long a file stays open that nothing is written to: who renames and deletes it does not hide what came before.
constexpr seconds kKeptOpen{300};
// A file that begins as another one, and is shorter than a window, is not waited for any longer.
constexpr seconds kHeld{60};

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  explicit operator bool() const noexcept { return fd_ >= 0; }
  std::string read(std::uint64_t offset, std::size_t bytes) const {
    std::string out(bytes, '\0');
    std::size_t have = 0;
    while (have < bytes) {
      const ssize_t came = ::pread(fd_, out.data() + have, bytes - have, static_cast<off_t>(offset + have));
      if (came < 0 && errno == EINTR) continue;
      if (came <= 0) break;
      have += static_cast<std::size_t>(came);
    }
    out.resize(have);
    return out;
  }
  bool stat(struct ::stat& out) const noexcept { return fd_ >= 0 && ::fstat(fd_, &out) == 0; }

 private:
  int fd_ = -1;
};

std::uint64_t number(auto value) { return static_cast<std::uint64_t>(value); }

}  // namespace

class Followed {
 public:
  Followed(std::string path_, std::uint64_t device_, std::uint64_t inode_, Splitter splitter_, TimePoint now)
      : path(std::move(path_)), device(device_), inode(inode_), splitter(std::move(splitter_)), grew_at(now) {}

  bool is(std::uint64_t of_device, std::uint64_t of_inode) const { return device == of_device && inode == of_inode; }
  /// Open, and still the file of that number.
  bool open() {
    if (!file) {
      Descriptor opened(path);
      struct ::stat status {};
      if (opened.stat(status) && is(number(status.st_dev), number(status.st_ino))) file = std::move(opened);
    }
    return static_cast<bool>(file);
  }
  /// What was read of it is not there any more.
  bool rewritten() const {
    struct ::stat status {};
    if (!file.stat(status)) return false;
    return number(status.st_size) < splitter.read() || file.read(0, head.size()) != head;
  }
  /// Whether another one holds what was read of this one: as much of it as there is.
  bool copied_to(const Descriptor& other, std::uint64_t other_size) const {
    const std::uint64_t same = std::min(other_size, splitter.read());
    if (same == 0) return false;
    const std::size_t begins = std::min<std::size_t>(head.size(), same);
    if (other.read(0, begins) != head.substr(0, begins)) return false;
    if (same == splitter.read()) return other.read(same - recent.size(), recent.size()) == recent;
    const std::size_t window = std::min<std::size_t>(kWindow, same);
    return !file || other.read(same - window, window) == file.read(same - window, window);
  }
  void was_read(std::string_view bytes) {
    if (head.size() < kWindow && splitter.read() == head.size()) head += bytes.substr(0, kWindow - head.size());
    recent += bytes.substr(bytes.size() - std::min(bytes.size(), kWindow));
    if (recent.size() > kWindow) recent.erase(0, recent.size() - kWindow);
  }
  void learn(std::uint64_t from) {
    head = file.read(0, std::min<std::size_t>(kWindow, from));
    recent = file.read(from - std::min<std::uint64_t>(kWindow, from), std::min<std::size_t>(kWindow, from));
  }

  std::string path;
  std::uint64_t device, inode;
  Splitter splitter;
  Descriptor file;
  std::string head, recent;  // what was read first and last, up to a window each
  TimePoint grew_at;
  bool named = true;   // by the pattern, under the name that it was found by
  bool moved = false;  // it has another name than it was found by
  bool over = false;   // nothing more is read of it
};

struct FollowedFiles::Found {
  std::string path;
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t changed_ns = 0;
  bool taken = false;
};

FollowedFiles::FollowedFiles(const Flow& flow, const std::vector<Mark>* marks)
    : flow_(flow), record_bytes_max_(record_bytes_max(flow)), first_run_(marks == nullptr) {
  if (!flow.start_pattern.empty()) start_.emplace(flow.start_pattern);
  if (marks) marks_ = *marks;
}
FollowedFiles::~FollowedFiles() = default;

std::size_t FollowedFiles::record_bytes_max(const Flow& flow) noexcept {
  return flow.firehose ? kFirehoseRecordMax : kKinesisRecordMax;
}

Splitter FollowedFiles::splitter(std::uint64_t from) const {
  return {start_ ? &*start_ : nullptr, from, flow_.skip_lines, record_bytes_max_, flow_.terminator};
}

namespace {

bool holds(const Mark& mark, const Descriptor& file, std::uint64_t size) {
  return size >= mark.offset && codec::sigv4::hash_text(file.read(0, mark.head_bytes)) == mark.head &&
         codec::sigv4::hash_text(file.read(mark.offset - mark.recent_bytes, mark.recent_bytes)) == mark.recent;
}

bool still_there(const Mark& mark) {
  const Descriptor file(mark.path);
  struct ::stat status {};
  return file.stat(status) && number(status.st_dev) == mark.device && number(status.st_ino) == mark.inode &&
         holds(mark, file, number(status.st_size));
}

template <class Found>
void add_found(std::vector<Found>& all, const std::string& path) {
  struct ::stat status {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  Found one;
  one.path = path;
  one.device = number(status.st_dev);
  one.inode = number(status.st_ino);
  one.size = number(status.st_size);
  one.changed_ns = status.st_mtim.tv_sec * 1'000'000'000LL + status.st_mtim.tv_nsec;
  all.push_back(std::move(one));
}

template <class Found>
std::vector<Found> beside(const std::string& path) {
  std::vector<Found> all;
  std::error_code failed;
  for (std::filesystem::directory_iterator at(std::filesystem::path(path).parent_path(), failed), end;
       !failed && at != end; at.increment(failed))
    add_found(all, at->path().string());
  return all;
}

}  // namespace

// Oldest first: what was rotated away is read before what came after it.
std::vector<FollowedFiles::Found> FollowedFiles::look() {
  std::vector<Found> all;
  ::glob_t names{};
  if (::glob(flow_.file_pattern.c_str(), GLOB_NOSORT, nullptr, &names) == 0)
    for (std::size_t i = 0; i < names.gl_pathc; ++i) add_found(all, names.gl_pathv[i]);
  ::globfree(&names);
  std::sort(all.begin(), all.end(), [](const Found& a, const Found& b) {
    return std::tie(a.changed_ns, a.path) < std::tie(b.changed_ns, b.path);
  });
  // One file under two names is one.
  std::set<std::pair<std::uint64_t, std::uint64_t>> seen;
  std::erase_if(all, [&seen](const Found& found) { return !seen.emplace(found.device, found.inode).second; });
  return all;
}

bool FollowedFiles::poll(TimePoint now, std::size_t bytes, const Take& take) {
  std::vector<Found> found = look();
  update(found, now, take);
  for (Found& one : found)
    if (!one.taken && one.size > 0) adopt(one, now);
  if (first_look_) {
    // What has no mark by now was renamed so that the pattern does not name it any more.
    for (const Mark& mark : std::exchange(marks_, {})) {
      std::vector<Found> all = beside<Found>(mark.path);
      marks_ = {mark};
      for (Found& one : all)
        if (std::none_of(files_.begin(), files_.end(), [&](const auto& f) { return f->is(one.device, one.inode); }) &&
            resume(one, now)) {
          files_.back()->named = false;
          break;
        }
    }
    marks_.clear();
  }
  first_look_ = false;
  bool more = false;
  for (const auto& file : files_) more = read(file, now, bytes, take) || more;
  close_quiet(now, take);
  return more;
}

void FollowedFiles::update(std::vector<Found>& found, TimePoint now, const Take& take) {
  std::map<std::pair<std::uint64_t, std::uint64_t>, Found*> by_number;
  for (Found& one : found) by_number.emplace(std::pair(one.device, one.inode), &one);
  for (const auto& file : files_) {
    const auto at = by_number.find({file->device, file->inode});
    file->named = !file->over && at != by_number.end();
    if (!file->named) continue;
    Found& one = *at->second;
    one.taken = true;
    if (file->path != one.path) file->moved = true;
    file->path = one.path;
  }
  const std::vector<std::shared_ptr<Followed>> all = files_;
  for (const auto& file : all)
    if (!file->over && file->open() && file->rewritten()) replace(file, found, now, take);
}

// The content lies in a copy now, or nowhere; the file begins anew.
void FollowedFiles::replace(const std::shared_ptr<Followed>& file, std::vector<Found>& found, TimePoint now,
                            const Take& take) {
  auto fresh = std::make_shared<Followed>(file->path, file->device, file->inode, splitter(0), now);
  fresh->file = std::move(file->file);
  fresh->named = file->named;
  file->file = {};
  std::vector<Found> others = beside<Found>(file->path);
  for (Found& one : others) {
    if (one.size < file->splitter.read() || one.inode == file->inode) continue;
    if (std::any_of(files_.begin(), files_.end(), [&](const auto& f) { return f->is(one.device, one.inode); }))
      continue;
    Descriptor opened(one.path);
    if (!opened || !file->copied_to(opened, one.size)) continue;
    file->path = one.path;
    file->device = one.device;
    file->inode = one.inode;
    file->file = std::move(opened);
    file->named = file->moved = true;
    for (Found& listed : found)
      if (listed.device == one.device && listed.inode == one.inode) listed.taken = true;
    break;
  }
  if (!file->file) {
    const std::uint64_t read = file->splitter.read();
    logging::warn("a file was truncated: what was written since it was last read is gone, unless it was copied",
                  {{"file", file->path}, {"read", read}});
    file->splitter.end([&](std::string record, Range range) { take({std::move(record), file, range}); });
    file->over = true;
  }
  files_.push_back(std::move(fresh));
}

void FollowedFiles::adopt(Found& found, TimePoint now) {
  if (resume(found, now)) return;
  if (may_be_copy(found, now)) return;
  const bool at_end = first_look_ && first_run_ && !flow_.from_start;
  const std::uint64_t from = at_end ? found.size : 0;
  auto file = std::make_shared<Followed>(found.path, found.device, found.inode, splitter(from), now);
  if (!file->open()) {
    if (first_look_) logging::warn("a file cannot be read", {{"file", found.path}});
    return;
  }
  file->learn(from);
  files_.push_back(std::move(file));
}

// By its number and what stands in it; where no file has the number, by what stands in it alone.
bool FollowedFiles::resume(Found& found, TimePoint now) {
  if (marks_.empty()) return false;
  Descriptor opened(found.path);
  if (!opened) return false;
  auto mark = std::find_if(marks_.begin(), marks_.end(), [&](const Mark& one) {
    return one.device == found.device && one.inode == found.inode && holds(one, opened, found.size);
  });
  if (mark == marks_.end())
    mark = std::find_if(marks_.begin(), marks_.end(), [&](const Mark& one) {
      return one.offset > 0 && holds(one, opened, found.size) && !still_there(one);
    });
  if (mark == marks_.end()) return false;
  auto file = std::make_shared<Followed>(found.path, found.device, found.inode, splitter(mark->offset), now);
  file->file = std::move(opened);
  file->learn(mark->offset);
  marks_.erase(mark);
  files_.push_back(std::move(file));
  return true;
}

// What a rotation has copied, or is copying, from a file that it is about to truncate.
bool FollowedFiles::may_be_copy(const Found& found, TimePoint now) const {
  Descriptor opened(found.path);
  return std::any_of(files_.begin(), files_.end(), [&](const auto& file) {
    if (file->over || file->moved || !file->named || !file->copied_to(opened, found.size)) return false;
    if (std::min(found.size, file->splitter.read()) >= kWindow) return true;
    const auto age = now.time_since_epoch() - std::chrono::milliseconds{found.changed_ns / 1'000'000};
    return age < kHeld;
  });
}

bool FollowedFiles::read(const std::shared_ptr<Followed>& file, TimePoint now, std::size_t& bytes, const Take& take) {
  if (file->over || !file->open()) return false;
  const Emit emit = [&](std::string record, Range range) { take({std::move(record), file, range}); };
  while (bytes > 0) {
    const std::string chunk = file->file.read(file->splitter.read(), std::min(kChunk, bytes));
    if (chunk.empty()) return false;
    bytes -= chunk.size();
    file->grew_at = now;
    file->was_read(chunk);
    file->splitter.feed(chunk, emit);
  }
  return true;
}

void FollowedFiles::close_quiet(TimePoint now, const Take& take) {
  for (const auto& file : files_) {
    if (file->over) continue;
    const auto quiet = now - file->grew_at;
    const Emit emit = [&](std::string record, Range range) { take({std::move(record), file, range}); };
    // Nobody says that the last of several lines has come but the next record, or time.
    if (start_ && file->splitter.between_lines() && quiet >= flow_.age_max) file->splitter.end(emit);
    if (quiet >= kQuiet && (!file->named || file->moved)) {
      file->splitter.end(emit);
      if (!file->named) file->over = true;
    }
    if (quiet >= kKeptOpen || file->over) file->file = {};
  }
  // Others may still wait to be sent.
  std::erase_if(files_, [](const auto& file) { return file->over && file.use_count() == 1; });
}

std::vector<Mark> FollowedFiles::marks(const BeginOf& begin_of) const {
  std::vector<Mark> all;
  for (const auto& file : files_) {
    const std::uint64_t offset = begin_of(*file).value_or(file->splitter.begun());
    if (file->over && offset == file->splitter.begun()) continue;
    Mark mark{file->path, file->device, file->inode, offset, 0, 0, {}, {}};
    mark.head_bytes = std::min<std::uint64_t>(file->head.size(), offset);
    mark.head = codec::sigv4::hash_text(std::string_view(file->head).substr(0, mark.head_bytes));
    std::string recent;
    if (offset == file->splitter.read()) {
      recent = file->recent;
    } else if (file->open()) {
      const std::uint64_t window = std::min<std::uint64_t>(kWindow, offset);
      recent = file->file.read(offset - window, window);
    }
    mark.recent_bytes = recent.size();
    mark.recent = codec::sigv4::hash_text(recent);
    all.push_back(std::move(mark));
  }
  // What was not looked for yet stays as it was.
  if (first_look_) all.insert(all.end(), marks_.begin(), marks_.end());
  return all;
}

}  // namespace millrace::agent
