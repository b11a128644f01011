// The files of a journal, as they were written but for what the input changes, see journal_files.hpp: the ways to read
// them, from outside and by a journal that goes on with them.
#include "journal_files.hpp"
#include "millrace/journal/inspect.hpp"
#include "quiet.hpp"

namespace millrace::fuzz {
namespace {

using journal::Frame;
using journal::Part;
using journal::Place;

/// Frames by place, as they are stored.
using Frames = std::map<Lsn, std::pair<Frame, std::string>>;

/// Where in the directory's files something may be said to lie.
class Bounds {
 public:
  explicit Bounds(Files& files) : sizes_(sizes_of(files)) {}

  bool known(const std::filesystem::path& path) const { return sizes_.contains(path.filename().native()); }
  std::uint64_t size(Generation file) const {
    const auto found = sizes_.find(journal::file_path("", file).native());
    require(found != sizes_.end(), "a file that is told of is there");
    return found->second;
  }
  /// What is missing lies behind the file's end, but not anywhere.
  void check(const std::filesystem::path& path, std::uint64_t offset, std::uint64_t bytes) const {
    require(known(path), "damage is in a file that is there");
    require(offset <= sizes_.at(path.filename().native()), "damage begins in its file or at its end");
    require(bytes <= (std::uint64_t{1} << 32) - offset, "damage ends where a file can");
  }

 private:
  static std::map<std::string, std::uint64_t> sizes_of(Files& files) {
    std::map<std::string, std::uint64_t> sizes;
    for (const auto& [name, bytes] : image_of(files)) sizes[name] = bytes.size();
    return sizes;
  }
  const std::map<std::string, std::uint64_t> sizes_;
};

void check_scanned(const journal::Scanned& scanned, const Bounds& bounds) {
  for (const journal::Damage& damage : scanned.damage) bounds.check(damage.file, damage.offset, damage.bytes);
  if (scanned.end != Lsn{}) require(bounds.size(journal::generation_of(scanned.end)) > 0, "the end is in a file");
  for (const auto& [generation, file] : scanned.found->files)
    require(journal::generation_of(file.end) == generation &&
                journal::offset_of(file.end) <= std::max(bounds.size(generation), journal::kFileHeadBytes),
            "a file ends in itself");
  for (const Part& part : scanned.parts) require(bounds.size(part.file) > 0, "a part is in a file");
}

struct Read {
  bool done = false;
  bool damaged = false;
  Frames frames;
};
/// All that counts.
Read scan_all(Files& files) {
  const Bounds bounds(files);
  Read read;
  Lsn last;
  const auto visit = [&](const Frame& frame, ByteView payload, Lsn lsn) {
    require(last < lsn, "frames come in the order in which they lie");
    last = lsn;
    require(payload.size() == frame.length && crc32c(payload) == frame.checksum, "a payload is what its head says");
    require(
        journal::offset_of(lsn) + journal::kFrameHeadBytes + frame.length <= bounds.size(journal::generation_of(lsn)),
        "a frame lies in its file");
    read.frames.emplace(lsn, std::pair(frame, payload));
  };
  const auto scanned = journal::scan(files, kDirectory, visit);
  if (!scanned) {
    require(!scanned.error().detail.empty(), "an error says what is wrong");
    return read;
  }
  read.done = true;
  read.damaged = !scanned->damage.empty();
  check_scanned(*scanned, bounds);
  // With keys payloads come plain, or nothing does.
  (void)journal::scan(
      files, kDirectory,
      [&](const Frame& frame, ByteView payload, Lsn lsn) {
        require(payload.size() == frame.length, "a payload is as long as is said");
        require(read.frames.contains(lsn), "keys change nothing of what counts");
      },
      &keys());
  return read;
}

/// Payloads by the index, a few at a time as a log reads them.
void read_places(journal::Shelf& shelf, const Part& part, std::uint64_t file_bytes) {
  std::uint64_t from = part.base;
  for (int page = 0; page < 50; ++page) {
    const auto places = shelf.places(part.file, part.log, from, 1'000);
    if (!places || places->empty()) return;
    std::size_t bytes = 0, whole = 0;
    for (const Place& place : *places) {
      require(journal::generation_of(place.lsn) == part.file, "a place is in the file that was asked");
      require(
          journal::offset_of(place.lsn) + journal::kFrameHeadBytes + journal::stored_bytes(place.frame) <= file_bytes,
          "a place lies in its file");
      bytes += place.frame.length;
    }
    require(bytes <= places->size() * file_bytes, "what is to be read is no more than there is");
    std::string to(bytes, '\0');
    shelf.will_read(*places);
    const auto read = shelf.read(*places, to, &whole);
    require(read ? whole == places->size() : whole < places->size(), "what was read is counted");
    const Frame& last = places->back().frame;
    require(last.base + last.count > from, "places go on");
    from = last.base + last.count;
  }
}

void look_on(Files& files, const Read& read) {
  const Bounds bounds(files);
  const auto report = journal::inspect(files, kDirectory);
  for (const journal::FileReport& file : report.files)
    if (file.state != journal::FileReport::State::unreadable)
      require(file.end <= file.bytes && file.bytes == bounds.size(file.generation), "a file ends in itself");
  for (const journal::Damage& damage : report.scanned.damage) bounds.check(damage.file, damage.offset, damage.bytes);

  std::uint64_t visited = 0;
  const auto verified = journal::verify(
      files, kDirectory,
      [&](const Frame& frame, ByteView payload, Lsn) {
        ++visited;
        require(payload.size() == frame.length, "a payload is as long as is said");
      },
      keys());
  if (verified) {
    require(read.done && verified->frames == read.frames.size() && visited <= verified->frames,
            "a verification looks at all that counts");
    for (const journal::Finding& finding : verified->findings)
      bounds.check(finding.file, finding.offset, finding.bytes);
    require(!read.damaged || !verified->findings.empty(), "a verification finds what a scan does");
  }

  const auto scanned = journal::scan_index(files, kDirectory);
  if (!scanned) return;
  check_scanned(*scanned, bounds);
  (void)journal::scan_index(files, kDirectory, &keys());
  journal::LogReader reader(files, kDirectory, *scanned, keys());
  std::set<std::uint64_t> logs;
  for (const Part& part : scanned->parts) logs.insert(part.log);
  for (const std::uint64_t log : logs) {
    std::vector<journal::Finding> damage;
    std::uint64_t next = 0;
    (void)reader.read(
        log, [](const Frame&) { return true; },
        [&](const Frame& frame, ByteView payload, Lsn) {
          require(frame.log == log && frame.base >= next, "records of a log come in order");
          next = frame.base;
          require(payload.size() == frame.length, "a payload is as long as is said");
          return true;
        },
        damage);
    for (const journal::Finding& finding : damage) bounds.check(finding.file, finding.offset, finding.bytes);
  }
}

void clone(Files& files, const Read& read) {
  const std::filesystem::path to = "/copy";
  const auto done = journal::clone(files, kDirectory, to);
  require(static_cast<bool>(done), "files are cloned");
  std::uint64_t frames = 0;
  const auto scanned = journal::scan(files, to, [&](auto&&...) { ++frames; });
  require(static_cast<bool>(scanned) == read.done && (!scanned || frames == read.frames.size()),
          "a clone holds what the files do");
  (void)journal::highest_given(files, kDirectory);
}

/// What is promised of a disk that has lost or changed bytes.
void check_kept(const Journal& journal, const Read& read) {
  static std::map<const Image*, Frames> written;
  const auto [known, fresh] = written.try_emplace(&journal.before);
  if (fresh) known->second = scan_all(*files_of(journal.before)).frames;
  for (const auto& [lsn, stored] : read.frames) {
    const auto found = known->second.find(lsn);
    require(found != known->second.end() && found->second == stored, "what is given was written");
  }
  // As long as the newest file is whole, it knows what was before it.
  const auto& [name, bytes] = *journal.before.rbegin();
  const auto there = journal.image.find(name);
  if (!read.done || read.damaged || there == journal.image.end() || there->second != bytes) return;
  Lsn synced;
  std::string newest = bytes;
  each_site(newest, [&](Site site) {
    if (site.kind == Site::Kind::commit)
      synced = std::max(synced, Lsn{journal::get<std::uint64_t>(newest, site.at + 24)});
  });
  for (const auto& [lsn, stored] : known->second)
    if (lsn < synced && journal.image.contains(journal::file_path("", journal::generation_of(lsn)).native()))
      require(read.frames.contains(lsn), "what was on disk and is missing is told of");
}

/// A journal that goes on with the files, in another order of them.
void go_on(Files& files, bool index, const Read& read, bool repaired) {
  Written written(files, {true, index, index ? &keys() : nullptr});
  if (!written.begin()) return;
  const Bounds bounds(files);
  if (const auto scanned = journal::scan_index(files, kDirectory))
    for (const Part& part : scanned->parts) {
      read_places(written.shelf(), part, bounds.size(part.file));
      if (const auto place = written.shelf().place_at(part.file, part.log, part.last_ms); place && *place)
        require(journal::generation_of((*place)->lsn) == part.file, "a place is in the file that was asked");
    }
  const std::pair<Frame, std::string> frames[] = {record_frame(9, 0, 1, 2'000, 10)};
  const std::vector<Lsn> places = written.commit(frames);
  written.reap();
  written.close();
  const Read again = scan_all(files);
  require(again.done && again.frames.contains(places.front()), "what is written is there at the next start");
  if (repaired) return;
  for (const auto& [lsn, stored] : read.frames) {
    const auto found = again.frames.find(lsn);
    require(found != again.frames.end() && found->second == stored, "what counted counts at the next start");
  }
}

}  // namespace
}  // namespace millrace::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace millrace::fuzz;
  quiet();
  Input input(data, size);
  const Journal journal = read_journal(input);
  const auto files = files_of(journal.image);
  const Read read = scan_all(*files);
  if (!journal.repaired) check_kept(journal, read);
  look_on(*files, read);
  clone(*files, read);
  const bool index = (size & 1) != 0;
  go_on(*files, index, read, journal.repaired);
  return 0;
}
