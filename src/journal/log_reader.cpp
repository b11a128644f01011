#include <algorithm>
#include <array>
#include <tuple>

#include "journal/footer.hpp"
#include "journal/found.hpp"
#include "journal/head.hpp"
#include "journal/onlooking.hpp"
#include "journal/seal.hpp"
#include "journal/walk.hpp"
#include "millrace/journal/inspect.hpp"

namespace millrace::journal {

namespace {

namespace fs = std::filesystem;

Error unreadable(const FileError& failed) { return {Errc::unreadable, failed.detail}; }

}  // namespace

struct LogReader::OpenFile {
  Generation generation;
  fs::path path;
  std::unique_ptr<File> file;
  std::optional<FileFooter> footer;
  FileSalt salt{};
  bool gone = false;
};

/// One read() under way.
struct LogReader::Step {
  const Wanted& wanted;
  const Visit& visit;
  std::vector<Finding>& damage;
  Opener& opener;
  std::uint64_t next = 0;  // positions below were read
  bool stopped = false;
  std::string frame = {};  // head and payload
  std::string plain = {};

  Result<> take(OpenFile& open, const Place& place) {
    if (place.frame.base < next) return {};
    next = place.frame.base + place.frame.count;
    if (!wanted(place.frame)) return {};
    frame.resize(kFrameHeadBytes + stored_bytes(place.frame));
    const std::array<std::span<char>, 1> into{std::span(frame)};
    const auto got = open.file->read_into(offset_of(place.lsn), into);
    if (!got) return unreadable(got.error());
    const ByteView payload = ByteView(frame).substr(kFrameHeadBytes);
    const auto head = decode_frame_head(frame, place.lsn);
    if (*got == frame.size() && head && is(*head, place.frame) && crc32c(payload) == place.frame.checksum) {
      if (give(open, *head, payload, place.lsn)) return {};
      return tell(open, place, "does not open with the key that is given, hides");
    }
    return tell(open, place, "damaged, hides");
  }

 private:
  static bool is(Frame stored, const Frame& told) {
    stored.length = plain_bytes(stored);
    stored.flags = told.flags;  // which a footer does not have
    return stored == told;
  }
  bool give(const OpenFile& open, Frame head, ByteView payload, Lsn lsn) {
    const auto opened =
        head.key_id ? opener.open(open.salt, head, lsn, payload, plain) : Opener::Outcome::no_key;  // as it is
    if (opened == Opener::Outcome::not_this_key) return false;
    if (opened == Opener::Outcome::opened) {
      head.key_id = 0;
      head.length = static_cast<std::uint32_t>(plain.size());
      payload = plain;
    }
    stopped = !visit(head, payload, lsn);
    return true;
  }
  Result<> tell(const OpenFile& open, const Place& place, std::string what) {
    Finding finding{open.path, offset_of(place.lsn), frame.size(), std::move(what), {}};
    Part part;
    part.file = open.generation;
    part.log = place.frame.log;
    part.epoch = place.frame.epoch;
    part.base = place.frame.base;
    part.count = place.frame.count;
    finding.hidden.push_back(part);
    damage.push_back(std::move(finding));
    return {};
  }
};

LogReader::LogReader(Files& files, fs::path directory, const Scanned& scanned, const Keys& keys)
    : files_(files),
      directory_(std::move(directory)),
      scanned_(scanned),
      opener_(std::make_unique<Opener>(keys)),
      parts_(scanned.parts) {
  std::sort(parts_.begin(), parts_.end(),
            [](const Part& a, const Part& b) { return std::tie(a.log, a.base) < std::tie(b.log, b.base); });
}
LogReader::~LogReader() = default;

Result<> LogReader::open(Generation generation) {
  if (open_ && open_->generation == generation) return {};
  auto next = std::make_unique<OpenFile>();
  next->generation = generation;
  next->path = file_path(directory_, generation);
  auto file = files_.open(next->path);
  if (!file) return unreadable(file.error());
  next->file = std::move(*file);
  auto size = next->file->size();
  if (!size) return unreadable(size.error());
  auto head = next->file->read_at(0, kFileHeadBytes);
  if (!head) return unreadable(head.error());
  if (FileHead told; decode_file_head(*head, told) == HeadState::unknown_version)
    return Error{Errc::unknown_format, next->path.native() + ": " + unknown_version(told)};
  else
    next->salt = told.salt;
  if (const auto found = scanned_.found->files.find(generation);
      found != scanned_.found->files.end() && found->second.footer) {
    auto footer = read_footer(*next->file, generation, *size);
    if (!footer) return footer.error();
    next->footer = std::move(*footer);
  }
  open_ = std::move(next);
  return {};
}

bool LogReader::is_gone() {
  if (!open_->gone && journal::is_gone(files_, open_->path)) {
    open_->gone = true;
    gone_.push_back(open_->path);
  }
  return open_->gone;
}

Result<> LogReader::read(std::uint64_t log, const Wanted& wanted, const Visit& visit, std::vector<Finding>& damage) {
  Step step{wanted, visit, damage, *opener_};
  const auto earlier = [](const Part& part, std::uint64_t than) { return part.log < than; };
  for (auto at = std::lower_bound(parts_.begin(), parts_.end(), log, earlier);
       at != parts_.end() && at->log == log && !step.stopped; ++at) {
    const std::size_t known = damage.size();
    if (auto opened = open(at->file); !opened) return opened;
    if (auto read = read_part(*at, step); !read) return read;
    if (damage.size() > known && is_gone()) damage.resize(known);
  }
  return {};
}

template <class Entries>
Result<> LogReader::read_entries(const Part& part, const Entries& entries, Step& step) {
  for (const IndexEntry& entry : entries) {
    if (auto taken = step.take(*open_, place_of(part, entry)); !taken) return taken;
    if (step.stopped) break;
  }
  return {};
}

Result<> LogReader::read_part(const Part& part, Step& step) {
  const auto found = scanned_.found->files.find(part.file);
  if (found != scanned_.found->files.end() && found->second.index) return read_lists(*found->second.index, part, step);
  if (open_->footer) {
    const auto same = [&](const TableRow& row) { return row.part == part; };
    const auto row = std::find_if(open_->footer->table.begin(), open_->footer->table.end(), same);
    if (row != open_->footer->table.end()) {
      auto bytes = open_->file->read_at(row->offset, std::uint64_t{row->frames} * sizeof(IndexEntry));
      if (!bytes) return unreadable(bytes.error());
      if (const auto entries = decode_list(*bytes, *row)) return read_entries(part, *entries, step);
    }
  }
  // The footer is damaged now, or gone with its file: what is there is found without it.
  const std::size_t known = step.damage.size();
  auto walked = walk(part);
  if (!walked) return walked.error();
  if (auto read = read_lists(*walked, part, step); !read || step.stopped) return read;
  if (step.damage.size() == known && step.next < part.base + part.count)
    step.damage.push_back({open_->path, 0, 0, "the footer and frames are damaged, which hides some of", {part}});
  return {};
}

Result<FrameIndex> LogReader::walk(const Part& part) {
  FrameIndex index(part.file);
  auto size = open_->file->size();
  if (!size) return unreadable(size.error());
  const auto found = scanned_.found->files.find(part.file);
  const std::uint64_t end = found == scanned_.found->files.end() ? *size : offset_of(found->second.end);
  Walk walk(*open_->file, open_->path, part.file, *size, end);
  for (;;) {
    const auto more = walk.next();
    if (!more) return more.error();
    if (!*more) return index;
    if (auto loaded = walk.load(); !loaded) return loaded.error();
    for (const Walk::FoundFrame& one : walk.frames())
      if (one.frame.log == part.log) index.add(one.frame, one.lsn);
  }
}

Result<> LogReader::read_lists(const FrameIndex& index, const Part& part, Step& step) {
  const auto lists = index.logs().find(part.log);
  if (lists == index.logs().end()) return {};
  for (const FrameIndex::List& list : lists->second) {
    if (list.part.epoch != part.epoch || list.part.base < part.base || list.part.base >= part.base + part.count)
      continue;
    if (auto read = read_entries(list.part, list.entries, step); !read || step.stopped) return read;
  }
  return {};
}

}  // namespace millrace::journal
