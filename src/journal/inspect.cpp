#include "millrace/journal/inspect.hpp"

#include <algorithm>
#include <array>
#include <map>

#include "journal/footer.hpp"
#include "journal/found.hpp"
#include "journal/head.hpp"
#include "journal/onlooking.hpp"
#include "journal/walk.hpp"

namespace millrace::journal {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kHopBytes = 64 * 1024;

/// Goes from commit head to commit head without what lies between, where that is longer than a read.
class CommitHeads {
 public:
  CommitHeads(File& file, Generation generation) : file_(file), generation_(generation), window_(kHopBytes, '\0') {}

  /// Up to `end`; behind a bad head it goes on at the next good one.
  FileResult<> count(std::uint64_t end, FileReport& out) {
    for (std::uint64_t at = kFileHeadBytes; at + kCommitHeadBytes <= end;) {
      if (auto there = fetch(at); !there) return there.error();
      if (at + kCommitHeadBytes > window_at_ + window_bytes_) return {};
      const auto head = decode_commit_head(ByteView(window_).substr(at - window_at_), make_lsn(generation_, at));
      if (!head) {
        at += kAlignment;
        continue;
      }
      if (out.commits++ == 0) out.first_commit_ms = head->written_ms;
      out.last_commit_ms = head->written_ms;
      at = (at + kCommitHeadBytes + head->bytes + kAlignment - 1) / kAlignment * kAlignment;
    }
    return {};
  }

 private:
  FileResult<> fetch(std::uint64_t at) {
    if (at >= window_at_ && at + kCommitHeadBytes <= window_at_ + window_bytes_) return {};
    const std::array<std::span<char>, 1> into{std::span(window_)};
    const auto got = file_.read_into(at, into);
    if (!got) return got.error();
    window_at_ = at;
    window_bytes_ = *got;
    return {};
  }

  File& file_;
  const Generation generation_;
  std::string window_;
  std::uint64_t window_at_ = 0, window_bytes_ = 0;
};

/// What the file says of itself.
void look_at(Files& files, FileReport& report) {
  const auto unreadable = [&](std::string why) {
    report.state = FileReport::State::unreadable;
    report.trouble = std::move(why);
  };
  auto file = files.open(report.path);
  if (!file) return unreadable(file.error().detail);
  auto size = (*file)->size();
  if (!size) return unreadable(size.error().detail);
  report.bytes = *size;
  auto footer = read_footer(**file, report.generation, *size);
  if (!footer) return unreadable(footer.error().detail);
  if (*footer) {
    report.state = FileReport::State::full;
    report.closed = (*footer)->trailer.closed;
  }
  auto bytes = (*file)->read_at(0, kFileHeadBytes);
  if (!bytes) return unreadable(bytes.error().detail);
  FileHead head;
  const HeadState state = decode_file_head(*bytes, head);
  if (state == HeadState::unknown_version) return unreadable(unknown_version(head));
  if (*footer) return;
  if (state == HeadState::none || head.generation != report.generation) unreadable("it has no head");
}

/// A footer does not tell the keys of changes of state: their heads do.
Result<> add_key_ids(File& file, FileReport& report) {
  auto footer = read_footer(file, report.generation, report.bytes);
  if (!footer) return footer.error();
  if (!*footer || (*footer)->trailer.other_frames == 0) return {};
  Walk walk(file, report.path, report.generation, report.bytes, report.end);
  for (;;) {
    const auto more = walk.next();
    if (!more) return more.error();
    if (!*more) return {};
    if (auto loaded = walk.load(); !loaded) return loaded;
    for (const Walk::FoundFrame& found : walk.frames())
      if (found.frame.key_id) report.key_ids.insert(found.frame.key_id);
  }
}

void fill(Files& files, const FoundFile& found, FileReport& report) {
  report.damaged = found.damaged;
  report.end = offset_of(found.end);
  report.frames = found.frames;
  report.key_ids = found.key_ids;
  auto file = files.open(report.path);
  if (!file) return;  // it was there a moment ago, so it is gone
  if (auto counted = CommitHeads(**file, report.generation).count(report.end, report); !counted) {
    report.state = FileReport::State::unreadable;
    report.trouble = counted.error().detail;
  } else if (auto added = add_key_ids(**file, report); !added) {
    report.state = FileReport::State::unreadable;
    report.trouble = added.error().detail;
  }
}

void add_part(const Part& part, FileReport& report) {
  if (report.records == 0 || part.first_ms < report.first_ms) report.first_ms = part.first_ms;
  report.last_ms = std::max(report.last_ms, part.last_ms);
  report.records += part.count;
  report.payload_bytes += part.bytes;
}

void count_spares(Files& files, const fs::path& directory, Report& out) {
  const auto names = files.list(directory);
  if (!names) return;
  for (const std::string& name : *names) {
    if (generation_in(name) ||
        (!name.starts_with("spare-") && !name.starts_with(kTakenPrefix) && !name.ends_with(".new")))
      continue;
    auto file = files.open(directory / name);
    auto size = file ? (*file)->size() : FileResult<std::uint64_t>(file.error());
    if (!size) continue;
    ++out.spare_files;
    out.spare_bytes += *size;
  }
}

}  // namespace

fs::path path_of(const fs::path& directory, Generation file) { return file_path(directory, file); }

std::string unknown_version(const FileHead& head) {
  return "format version " + std::to_string(head.version) + ", which is not known here";
}

bool is_gone(Files& files, const fs::path& path) {
  const auto kind = files.kind(path);
  return kind && *kind == Files::Kind::none;
}

Report inspect(Files& files, const fs::path& directory) {
  Report out;
  std::map<Generation, FileReport> reports;
  const auto report_of = [&](Generation generation) {
    FileReport report;
    report.generation = generation;
    report.path = file_path(directory, generation);
    look_at(files, report);
    return report;
  };
  if (auto scanned = scan_index(files, directory)) {
    out.scanned = std::move(*scanned);
    for (const auto& [generation, found] : out.scanned.found->files) {
      FileReport report = report_of(generation);
      if (report.state != FileReport::State::unreadable) fill(files, found, report);
      reports.emplace(generation, std::move(report));
    }
    for (const Part& part : out.scanned.parts)
      if (const auto at = reports.find(part.file); at != reports.end()) add_part(part, at->second);
  } else {
    out.error = scanned.error();
    if (const auto names = files.list(directory))
      for (const std::string& name : *names)
        if (const auto generation = generation_in(name)) reports.emplace(*generation, report_of(*generation));
  }
  count_spares(files, directory, out);
  for (auto& [generation, report] : reports) {
    if (is_gone(files, report.path))
      out.gone.push_back(std::move(report.path));
    else
      out.files.push_back(std::move(report));
  }
  std::erase_if(out.scanned.damage, [&](const Damage& damage) {
    return std::find(out.gone.begin(), out.gone.end(), damage.file) != out.gone.end();
  });
  return out;
}

}  // namespace millrace::journal
