#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "journal/footer.hpp"
#include "journal/found.hpp"
#include "journal/head.hpp"
#include "journal/key_check.hpp"
#include "journal/shelf.hpp"
#include "journal/walk.hpp"
#include "millrace/journal/journal.hpp"

namespace millrace::journal {

std::filesystem::path file_path(const std::filesystem::path& directory, Generation generation) {
  std::array<char, 32> name;
  std::snprintf(name.data(), name.size(), "journal-%08x", generation.get());
  return directory / name.data();
}

namespace {

std::optional<Generation> generation_behind(std::string_view prefix, std::string_view name) noexcept {
  constexpr std::size_t kDigits = 8;
  if (!name.starts_with(prefix) || name.size() != prefix.size() + kDigits) return std::nullopt;
  std::uint32_t number = 0;
  const auto [end, failed] = std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number, 16);
  if (failed != std::errc{} || end != name.data() + name.size()) return std::nullopt;
  if (number == 0 || Generation{number} > kGenerationMax) return std::nullopt;
  return Generation{number};
}

}  // namespace

std::optional<Generation> generation_in(std::string_view name) noexcept { return generation_behind("journal-", name); }
std::optional<Generation> generation_taken_in(std::string_view name) noexcept {
  return generation_behind(kTakenPrefix, name);
}

namespace {

namespace fs = std::filesystem;

using Visit = std::function<void(const Frame& frame, ByteView payload, Lsn lsn)>;

Error unreadable(const FileError& failed) { return {Errc::unreadable, failed.detail}; }

/// One scan of a directory: what there is, how far all is known to be on disk, then file by file what counts.
class Scan {
 public:
  Scan(Files& files, fs::path directory, const Visit* visit, const Keys* keys, const FileRead* read = nullptr)
      : files_(files),
        directory_(std::move(directory)),
        visit_(visit),
        keys_(keys),
        read_(read),
        opener_(keys ? *keys : no_keys()),
        found_(std::make_shared<Found>()) {
    found_->indexed = visit_ == nullptr;
  }

  Result<Scanned> run() {
    if (auto looked = look(); !looked) return looked.error();
    if (auto read = read_synced(); !read) return read.error();
    for (auto& [generation, file] : seen_) {
      if (auto read = read_file(generation, file); !read) return read.error();
      if (read_) tell_read(generation, file);
    }
    if (!opened_nothing_.empty()) return std::move(opened_nothing_.begin()->second);
    settle_end();
    if (keys_ && !visit_)
      if (auto checked = check_keys(files_, directory_, *keys_, *found_); !checked) return checked.error();
    scanned_.found = std::move(found_);
    return std::move(scanned_);
  }

 private:
  struct File {
    fs::path path;
    bool headless = false;
    bool synced = false, closed = false;
    FileSalt salt{};
    std::optional<FileFooter> footer;
    Lsn cut;                                    // what begins at or above it does not count
    Lsn written;                                // the end of the last commit below that
    std::vector<std::pair<Frame, Lsn>> frames;  // of a file without a footer, until it is known whether they count
    std::vector<std::pair<Lsn, Damage>> bad;    // with the commit it is in
  };

  Result<> look() {
    const auto names = files_.list(directory_);
    if (!names) return unreadable(names.error());
    for (const std::string& name : *names)
      if (const auto generation = generation_in(name)) seen_[*generation].path = directory_ / name;
    for (auto& [generation, file] : seen_)
      if (auto looked = look_at(generation, file); !looked) return looked;
    for (const std::string& name : *names)
      if (const auto generation = generation_taken_in(name)) scanned_.last = std::max(scanned_.last, *generation);
    std::vector<std::pair<Lsn, Generation>> cuts;
    for (const auto& [generation, told] : found_->files)
      if (offset_of(told.previous_end) != 0) cuts.emplace_back(told.previous_end, generation);
    for (auto& [generation, file] : seen_) {
      const Lsn begin = make_lsn(generation, 0);
      file.cut = make_lsn(Generation{generation.get() + 1}, 0);
      for (const auto& [from, to] : cuts)
        if (from < file.cut && to > generation) file.cut = std::max(from, begin);
    }
    return {};
  }

  Result<> look_at(Generation generation, File& file) {
    scanned_.last = generation;
    auto opened = files_.open(file.path);
    if (!opened) return unreadable(opened.error());
    auto size = (*opened)->size();
    if (!size) return unreadable(size.error());
    FoundFile& told = found_->files[generation];
    told.bytes = *size;
    auto footer = read_footer(**opened, generation, *size);
    if (!footer) return footer.error();
    if (*footer) {
      const Trailer& trailer = (*footer)->trailer;
      told.footer = true;
      told.previous_end = trailer.previous_end;
      file.synced = told.synced = trailer.synced;
      file.closed = trailer.closed;
      told.moved = trailer.moved;
      // Written when all of the file was on disk, and all before it or it is lost.
      tell_synced(trailer.end);
      tell_follows(told, trailer.follows);
      file.footer = std::move(*footer);
    }
    auto bytes = (*opened)->read_at(0, kFileHeadBytes);
    if (!bytes) return unreadable(bytes.error());
    FileHead head;
    const HeadState state = decode_file_head(*bytes, head);
    if (state == HeadState::unknown_version)
      return Error{Errc::unknown_format, file.path.native() + ": format version " + std::to_string(head.version) +
                                             "; this program knows versions " + std::to_string(kFormatVersionOldest) +
                                             " to " + std::to_string(kFormatVersion)};
    file.headless = state == HeadState::none || head.generation != generation;
    file.salt = head.salt;
    if (file.headless || file.footer) return {};
    told.previous_end = head.previous_end;
    file.synced = told.synced = head.synced;
    return {};
  }

  /// How far all is known to be on disk, and where files end, is said by what was written later: before frames are
  /// visited, all commits must have been seen. Those that do not count know it too. Where nothing is visited, the
  /// others are seen in time.
  Result<> read_synced() {
    for (const auto& [generation, file] : seen_) {
      FoundFile& told = found_->files[generation];
      if (file.headless || file.footer) continue;
      if (!visit_ && file.cut >= make_lsn(generation, told.bytes)) continue;
      auto opened = files_.open(file.path);
      if (!opened) return unreadable(opened.error());
      Walk walk(**opened, file.path, generation, told.bytes, UINT64_MAX);
      for (;;) {
        const auto more = walk.next();
        if (!more) return more.error();
        if (!*more) break;
        tell(told, walk.head());
      }
    }
    return {};
  }

  void tell(FoundFile& file, const CommitHead& head) {
    tell_synced(head.synced);
    tell_follows(file, head.follows);
  }
  void tell_synced(Lsn synced) {
    found_->synced = std::max(found_->synced, synced);
    tell_reach(synced);
  }
  void tell_follows(FoundFile& file, Lsn follows) {
    file.follows = std::max(file.follows, follows);
    tell_reach(follows);
  }
  void tell_reach(Lsn end) {
    Lsn& in_file = reach_of_[generation_of(end)];
    in_file = std::max(in_file, end);
  }

  Result<> read_file(Generation generation, File& file) {
    const Lsn begin = make_lsn(generation, 0);
    FoundFile& told = found_->files[generation];
    told.end = file.written = make_lsn(generation, kFileHeadBytes);
    if (file.headless) {
      if (file.cut == begin) return {};
      told.damaged = true;
      scanned_.damage.push_back({file.path, 0, told.bytes, hidden_without_head(file)});
      if (!file.footer) return {};
    }
    if (file.footer) {
      file.written = told.end = file.footer->trailer.end;
      told.frames = file.footer->trailer.other_frames;
      for (const TableRow& row : file.footer->table) {
        told.frames += row.frames;
        if (row.key_id) told.key_ids.insert(row.key_id);
        if (!visit_) scanned_.parts.push_back(row.part);
      }
      if (!visit_) return {};
    }
    auto opened = files_.open(file.path);
    if (!opened) return unreadable(opened.error());
    const Lsn limit = std::min(file.footer ? told.end : file.cut, make_lsn(generation, UINT32_MAX));
    Walk walk(**opened, file.path, generation, told.bytes, offset_of(limit));
    if (auto walked = walk_file(walk, generation, file); !walked) return walked;
    if (visit_) check_reach(generation, file);
    return {};
  }

  Result<> walk_file(Walk& walk, Generation generation, File& file) {
    for (;;) {
      const auto more = walk.next();
      if (!more) return more.error();
      const Lsn at = *more ? walk.at() : walk.end();
      // Between two commits lies one whose head is bad.
      if (*more && walk.expected() != at) add_bad(file, walk.expected(), gap(file, walk.expected(), at));
      if (!*more) break;
      file.written = walk.end();
      if (!visit_) tell(found_->files[generation], walk.head());
      if (auto loaded = walk.load(); !loaded) return loaded.error();
      for (const Damage& bad : walk.bad()) add_bad(file, at, bad);
      for (const Walk::FoundFrame& found : walk.frames()) {
        if (!visit_)
          file.frames.emplace_back(found.frame, found.lsn);
        else if (counts(found.lsn))
          if (auto given = give(generation, file, found); !given) return given;
      }
    }
    return {};
  }

  static Damage gap(const File& file, Lsn from, Lsn to) {
    return {file.path, offset_of(from), to.get() - from.get(), "commits that cannot be told"};
  }
  void add_bad(File& file, Lsn commit, Damage bad) {
    // What is bad at or above what was synced is a write that did not end: there the journal does.
    if (visit_ && commit >= found_->synced && !ended_) ended_ = commit;
    file.bad.emplace_back(commit, std::move(bad));
  }
  /// What came later says where this file ends: is all of it there?
  void check_reach(Generation generation, File& file) {
    const Lsn said = std::min(file.cut, reach_of_[generation]);
    const Lsn end = std::max(file.written, make_lsn(generation, kFileHeadBytes));
    if (said > end) add_bad(file, end, gap(file, end, said));
  }
  bool counts(Lsn lsn) const { return !ended_ || lsn < *ended_; }
  static std::string hidden_without_head(const File& file) {
    if (!file.footer) return "all of the file: it has no head";
    const Table& table = file.footer->table;
    const bool sealed = std::any_of(table.begin(), table.end(), [](const TableRow& row) { return row.key_id != 0; });
    return sealed ? "the sealed records of the file: what opens them stood in its head"
                  : "nothing: its head is damaged, its footer is not";
  }
  Result<> give(Generation generation, File& file, const Walk::FoundFrame& found) {
    FoundFile& told = found_->files[generation];
    if (!file.footer) ++told.frames;
    const std::uint32_t key_id = found.frame.key_id;
    if (key_id) told.key_ids.insert(key_id);
    if (!keys_ || key_id == 0) {
      (*visit_)(found.frame, found.payload, found.lsn);
      return {};
    }
    Frame frame = found.frame;
    frame.length = plain_bytes(found.frame);
    switch (opener_.open(file.salt, found.frame, found.lsn, found.payload, plain_)) {
      case Opener::Outcome::opened:
        good_keys_.insert(key_id);
        opened_nothing_.erase(key_id);
        (*visit_)(frame, plain_, found.lsn);
        return {};
      case Opener::Outcome::no_key:
        return no_key(file.path, key_id);
      case Opener::Outcome::not_this_key:
        break;
    }
    // Its checksum is right: it was written like this, and is no write that did not end. A key that opens nothing at
    // all is another one.
    if (!file.headless && !good_keys_.contains(key_id))
      opened_nothing_.try_emplace(key_id, other_key(file.path, key_id));
    told.damaged = true;
    scanned_.damage.push_back({file.path, offset_of(found.lsn), kFrameHeadBytes + found.frame.length,
                               what_of(found.frame) + ", not sealed by key " + std::to_string(key_id)});
    return {};
  }

  /// All was seen: what is bad above what was synced ends the journal, what is bad below is damage.
  void settle_end() {
    for (auto& [generation, file] : seen_) {
      if (!visit_ && !file.headless) check_reach(generation, file);
      for (const auto& [commit, bad] : file.bad)
        if (commit >= found_->synced && (!ended_ || commit < *ended_)) ended_ = commit;
    }
    if (!read_)
      for (auto& [generation, file] : seen_) settle_file(generation, file);
    std::sort(scanned_.parts.begin(), scanned_.parts.end(), [](const Part& a, const Part& b) {
      return std::tie(a.file, a.log, a.epoch, a.base) < std::tie(b.file, b.log, b.epoch, b.base);
    });
    if (!seen_.empty()) {
      const File& newest = seen_.rbegin()->second;
      scanned_.complete = newest.synced || newest.closed;
    }
  }

  /// Where frames are visited, what ends the journal is come upon in order: of this file all is known.
  void tell_read(Generation generation, File& file) {
    settle_file(generation, file);
    (*read_)(generation, found_->files[generation], scanned_.damage);
    scanned_.damage.clear();
    file.bad = {};
  }

  void settle_file(Generation generation, File& file) {
    FoundFile& told = found_->files[generation];
    if (!file.footer && !file.headless) {
      const Lsn begin = make_lsn(generation, kFileHeadBytes);
      const Lsn end = ended_ ? std::min(file.written, std::max(*ended_, begin)) : file.written;
      told.end = std::max(end, begin);
      scanned_.cut_bytes += file.written.get() - std::min(file.written, told.end).get();
      if (!visit_) index(generation, file);
    }
    for (auto& [commit, bad] : file.bad) {
      if (!counts(commit)) continue;
      told.damaged = true;
      scanned_.damage.push_back(std::move(bad));
    }
    if (file.cut <= make_lsn(generation, kFileHeadBytes) || (ended_ && *ended_ < make_lsn(generation, 0))) return;
    if (offset_of(told.end) > kFileHeadBytes || offset_of(scanned_.end) == 0) scanned_.end = told.end;
    if (ended_ && generation_of(*ended_) == generation) scanned_.end = told.end;
  }

  void index(Generation generation, File& file) {
    FoundFile& told = found_->files[generation];
    told.index = std::make_shared<FrameIndex>(generation);
    for (const auto& [frame, lsn] : file.frames)
      if (counts(lsn)) {
        told.index->add(frame, lsn);
        if (frame.key_id) told.key_ids.insert(frame.key_id);
      }
    file.frames = {};
    told.frames = told.index->frames();
    told.moved = told.index->moved();
    const std::vector<Part> parts = told.index->parts();
    scanned_.parts.insert(scanned_.parts.end(), parts.begin(), parts.end());
  }

  Files& files_;
  const fs::path directory_;
  const Visit* const visit_;  // null: of a journal with an index
  const Keys* const keys_;
  const FileRead* const read_;
  Opener opener_;
  std::string plain_;
  std::set<std::uint32_t> good_keys_;              // that have opened a frame
  std::map<std::uint32_t, Error> opened_nothing_;  // of what they are said to have sealed
  std::shared_ptr<Found> found_;
  std::map<Generation, File> seen_;
  std::map<Generation, Lsn> reach_of_;  // the greatest place in this file that is said to have been written
  std::optional<Lsn> ended_;            // a write that did not end: what counts lies below
  Scanned scanned_;
};

}  // namespace

Result<Scanned> scan(Files& files, const fs::path& directory, const Visit& visit, const Keys* keys) {
  return Scan(files, directory, &visit, keys).run();
}

Result<Scanned> scan_by_file(Files& files, const fs::path& directory, const Visit& visit, const FileRead& read) {
  return Scan(files, directory, &visit, nullptr, &read).run();
}

Result<Scanned> scan_index(Files& files, const fs::path& directory, const Keys* keys) {
  return Scan(files, directory, nullptr, keys).run();
}

}  // namespace millrace::journal
