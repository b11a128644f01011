#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include "journal/head.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAlignment = 8;  // of every commit's and frame's place

struct Commit {
  std::uint64_t offset;
  CommitHead head;
};

struct JournalFile {
  fs::path path;
  bool headless = false;
  FileHead head;
};

Error unreadable(const FileError& failed) { return {Errc::unreadable, failed.detail}; }

std::optional<Generation> generation_in(std::string_view name) {
  constexpr std::string_view kPrefix = "journal-";
  constexpr std::size_t kDigits = 8;
  if (!name.starts_with(kPrefix) || name.size() != kPrefix.size() + kDigits) return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, failed] = std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), number, 16);
  if (failed != std::errc{} || end != name.data() + name.size() || number == 0) return std::nullopt;
  return Generation{number};
}

std::string what_of(const Frame& frame) {
  if (frame.kind != FrameKind::records) return "a change of state";
  const std::string last = std::to_string(frame.base + (frame.count ? frame.count - 1 : 0));
  return "records " + std::to_string(frame.base) + " to " + last + " of log " + std::to_string(frame.log);
}

/// One file's bytes, read whole: a commit's end is known only when all behind it was looked at.
class FileScan {
 public:
  FileScan(Generation generation, const fs::path& path, std::string bytes)
      : generation_(generation), path_(path), bytes_(std::move(bytes)) {
    for (std::uint64_t at = kFileHeadBytes; at + kCommitHeadBytes <= bytes_.size();) {
      const auto head = decode_commit_head(view().substr(at), make_lsn(generation_, at));
      if (!head) {
        at += kAlignment;  // the next one, behind what is torn or damaged
        continue;
      }
      commits_.push_back({at, *head});
      const std::uint64_t next = at + kCommitHeadBytes + head->bytes;
      at = next % kAlignment == 0 && next <= bytes_.size() ? next : at + kAlignment;
    }
  }

  const std::vector<Commit>& commits() const noexcept { return commits_; }
  ByteView view() const noexcept { return bytes_; }

  /// Visits what counts below `cut`. Gives where it ends: short of the last commit where a frame is bad that was not
  /// known to be on disk.
  Lsn visit(Lsn synced, Lsn cut, const std::function<void(const Frame&, ByteView, Lsn)>& visitor,
            std::vector<Damage>& damage) const {
    std::uint64_t expected = kFileHeadBytes;
    for (const Commit& commit : commits_) {
      const Lsn lsn = make_lsn(generation_, commit.offset);
      if (lsn >= cut) break;
      if (commit.offset != expected) {
        // Between two commits lies one whose head is bad.
        if (make_lsn(generation_, expected) >= synced) return make_lsn(generation_, expected);
        damage.push_back({path_, expected, commit.offset - expected, "commits that cannot be told"});
      }
      if (!visit_frames(commit, lsn < synced, visitor, damage)) return lsn;
      expected = commit.offset + kCommitHeadBytes + commit.head.bytes;
    }
    const Lsn end = std::min(make_lsn(generation_, expected), cut);
    if (end < std::min(synced, cut) && generation_of(synced) == generation_)
      damage.push_back({path_, expected, offset_of(std::min(synced, cut)) - expected, "commits that cannot be told"});
    return end;
  }

 private:
  /// False: not all of a commit is there that need not be.
  bool visit_frames(const Commit& commit, bool must_be_whole,
                    const std::function<void(const Frame&, ByteView, Lsn)>& visitor,
                    std::vector<Damage>& damage) const {
    std::uint64_t at = commit.offset + kCommitHeadBytes;
    const std::uint64_t end = at + commit.head.bytes;
    struct Found {
      Frame frame;
      ByteView payload;
      Lsn lsn;
    };
    std::vector<Found> found;
    std::vector<Damage> bad;
    for (std::uint32_t i = 0; i < commit.head.frames; ++i) {
      const Lsn lsn = make_lsn(generation_, at);
      const auto frame = at + kFrameHeadBytes <= std::min<std::uint64_t>(end, bytes_.size())
                             ? decode_frame_head(view().substr(at), lsn)
                             : std::nullopt;
      if (!frame) {
        // Without its length what follows cannot be found either.
        bad.push_back({path_, at, end - at, std::to_string(commit.head.frames - i) + " frames that cannot be told"});
        break;
      }
      const std::uint64_t payload_at = at + kFrameHeadBytes, payload_end = payload_at + frame->length;
      const bool there = payload_end <= std::min<std::uint64_t>(end, bytes_.size());
      const ByteView payload = there ? view().substr(payload_at, frame->length) : ByteView{};
      if (there && crc32c(payload) == frame->checksum)
        found.push_back({*frame, payload, lsn});
      else
        bad.push_back({path_, payload_at, frame->length, what_of(*frame)});
      at = (payload_end + kAlignment - 1) / kAlignment * kAlignment;
    }
    if (!bad.empty() && !must_be_whole) return false;
    for (const Found& one : found) visitor(one.frame, one.payload, one.lsn);
    damage.insert(damage.end(), bad.begin(), bad.end());
    return true;
  }

  const Generation generation_;
  const fs::path& path_;
  const std::string bytes_;
  std::vector<Commit> commits_;
};

Result<std::string> read_whole(Files& files, const fs::path& path) {
  auto file = files.open(path);
  if (!file) return unreadable(file.error());
  auto size = (*file)->size();
  if (!size) return unreadable(size.error());
  auto bytes = (*file)->read_at(0, *size);
  if (!bytes) return unreadable(bytes.error());
  return std::move(*bytes);
}

}  // namespace

Result<Scanned> scan(Files& files, const fs::path& directory,
                     const std::function<void(const Frame& frame, ByteView payload, Lsn lsn)>& visit) {
  const auto names = files.list(directory);
  if (!names) return unreadable(names.error());
  std::map<Generation, JournalFile> found;
  for (const std::string& name : *names)
    if (const auto generation = generation_in(name)) found[*generation].path = directory / name;

  Scanned out;
  std::vector<std::pair<Lsn, Lsn>> cuts;  // from, to: nothing in between counts
  for (auto& [generation, file] : found) {
    out.last = generation;
    auto opened = files.open(file.path);
    if (!opened) return unreadable(opened.error());
    auto head = (*opened)->read_at(0, kFileHeadBytes);
    if (!head) return unreadable(head.error());
    const HeadState state = decode_file_head(*head, file.head);
    if (state == HeadState::unknown_version)
      return Error{Errc::unknown_format, file.path.native() + ": format version " + std::to_string(file.head.version) +
                                             "; this program knows version " + std::to_string(kFormatVersion)};
    file.headless = state == HeadState::none || file.head.generation != generation;
    if (!file.headless && offset_of(file.head.previous_end) != 0)
      cuts.emplace_back(file.head.previous_end, make_lsn(generation, 0));
  }

  // How far all is known to be on disk is said by what was written later.
  Lsn synced;
  for (const auto& [generation, file] : found) {
    if (file.headless) continue;
    auto bytes = read_whole(files, file.path);
    if (!bytes) return bytes.error();
    const FileScan one(generation, file.path, std::move(*bytes));
    for (const Commit& commit : one.commits()) synced = std::max(synced, commit.head.synced);
  }

  bool ended = false;
  for (const auto& [generation, file] : found) {
    const Lsn begin = make_lsn(generation, 0), next = make_lsn(Generation{generation.get() + 1}, 0);
    Lsn cut = next;
    for (const auto& [from, to] : cuts)
      if (from < next && to > begin) cut = std::min(cut, std::max(from, begin));
    if (cut == begin) continue;
    auto bytes = read_whole(files, file.path);
    if (!bytes) return bytes.error();
    if (file.headless) {
      out.damage.push_back({file.path, 0, bytes->size(), "all of the file: it has no head"});
      continue;
    }
    const FileScan one(generation, file.path, std::move(*bytes));
    std::uint64_t written = kFileHeadBytes;
    for (const Commit& commit : one.commits())
      if (make_lsn(generation, commit.offset) < cut) written = commit.offset + kCommitHeadBytes + commit.head.bytes;
    if (ended) {
      out.cut_bytes += written - kFileHeadBytes;
      continue;
    }
    const Lsn end = one.visit(synced, cut, visit, out.damage);
    if (offset_of(end) > kFileHeadBytes || offset_of(out.end) == 0) out.end = end;
    if (offset_of(end) < written) {
      ended = true;
      out.end = end;
      out.cut_bytes += written - offset_of(end);
    }
  }
  return out;
}

}  // namespace millrace::journal
