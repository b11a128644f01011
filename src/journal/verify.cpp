#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <unordered_map>
#include <utility>

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

Part part_of(const Frame& frame, Generation file) {
  Part part;
  part.file = file;
  part.log = frame.log;
  part.epoch = frame.epoch;
  part.base = frame.base;
  part.count = frame.count;
  part.first_ms = frame.first_ms;
  part.last_ms = frame.last_ms;
  part.bytes = frame.length;
  return part;
}

std::uint64_t end_of(const Part& part) noexcept { return part.base + part.count; }

/// One verification: what the scan visits is held against what the files say of themselves. A file's findings are put
/// together when it was read; the first ones are kept, of the others it is known what they count and whose records they
/// hide last.
class Verification {
 public:
  using Visit = std::function<void(const Frame& frame, ByteView payload, Lsn lsn)>;
  Verification(Files& files, const fs::path& directory, const Visit& visit, const Keys& keys, std::size_t kept)
      : files_(files), directory_(directory), visit_(visit), opener_(keys), kept_max_(kept) {}

  Result<Verified> run() {
    const auto look = [this](const Frame& frame, ByteView payload, Lsn lsn) { take(frame, payload, lsn); };
    const auto read = [this](Generation file, const FoundFile& found, std::span<const Damage> damage) {
      finish_file(file, found, damage);
    };
    auto scanned = scan_by_file(files_, directory_, look, read);
    if (!scanned) return scanned.error();
    if (failed_) return *failed_;
    out_.unfinished_bytes = scanned->cut_bytes;
    out_.gone.clear();  // more may be by now
    for (const Generation file : there_)
      if (is_gone(files_, file_path(directory_, file))) out_.gone.push_back(file_path(directory_, file));
    for (Found& found : kept_) {
      if (gone(found.finding.file)) continue;
      if (found.finding.hidden.empty()) found.finding.what += found.hides;
      out_.findings.push_back(std::move(found.finding));
    }
    return std::move(out_);
  }

 private:
  struct Tail {
    std::uint64_t epoch, end;
    Lsn lsn;
  };
  /// Positions that no frame holds, between two places.
  struct Hole {
    Part part;
    Lsn before, at;
  };
  /// A frame that a footer tells of and that was not come across.
  struct Missing {
    Part part;
    std::uint64_t offset, end;
  };
  struct FooterCheck {
    std::vector<Finding> findings;
    std::vector<Missing> missing;
  };
  struct Found {
    Lsn lsn;
    Finding finding;
    bool damage = false;     // as the scan told it
    std::string hides = {};  // in its words, where nothing else is known of it
  };

  void take(const Frame& frame, ByteView payload, Lsn lsn) {
    if (!index_) {
      index_.emplace(generation_of(lsn));
      salt_ = salt_of(generation_of(lsn));
    }
    index_->add(frame, lsn);
    ++out_.frames;
    if (frame.kind == FrameKind::records && !(frame.flags & kMovedFlag)) check_position(frame, lsn);
    give(frame, payload, lsn);
  }

  void give(Frame frame, ByteView payload, Lsn lsn) {
    if (frame.key_id == 0) return visit_(frame, payload, lsn);
    switch (opener_.open(salt_, frame, lsn, payload, plain_)) {
      case Opener::Outcome::opened:
        frame.key_id = 0;
        frame.length = static_cast<std::uint32_t>(plain_.size());
        return visit_(frame, plain_, lsn);
      case Opener::Outcome::no_key:
        return visit_(frame, payload, lsn);
      case Opener::Outcome::not_this_key:
        wrong(lsn, kFrameHeadBytes + frame.length,
              "does not open with the key " + std::to_string(frame.key_id) + " that is given, which hides",
              {part_of(frame, generation_of(lsn))});
    }
  }
  /// Zeros, with which nothing opens, where the file has no head: the scan tells that.
  FileSalt salt_of(Generation generation) {
    FileHead head;
    auto file = files_.open(file_path(directory_, generation));
    const auto bytes = file ? (*file)->read_at(0, kFileHeadBytes) : FileResult<std::string>(file.error());
    if (bytes) (void)decode_file_head(*bytes, head);
    return head.salt;
  }

  void check_position(const Frame& frame, Lsn lsn) {
    const auto [at, fresh] = tails_.try_emplace(frame.log, Tail{frame.epoch, frame.base, lsn});
    Tail& tail = at->second;
    if (frame.epoch < tail.epoch || frame.base < tail.end) {
      Part behind = part_of(frame, generation_of(lsn));
      wrong(lsn, kFrameHeadBytes + frame.length, "positions or epoch go back behind what was written before, in",
            {behind});
      return;
    }
    if (!fresh && frame.epoch == tail.epoch && frame.base > tail.end) {
      Hole hole{part_of(frame, generation_of(lsn)), tail.lsn, lsn};
      hole.part.base = tail.end;
      hole.part.count = frame.base - tail.end;
      holes_.push_back(hole);
    }
    tail = {frame.epoch, frame.base + frame.count, lsn};
  }

  void wrong(Lsn lsn, std::uint64_t bytes, std::string what, std::vector<Part> hidden = {}) {
    found_.push_back(
        {lsn, {file_path(directory_, generation_of(lsn)), offset_of(lsn), bytes, std::move(what), std::move(hidden)}});
  }
  void wrong_footer(Lsn lsn, std::uint64_t bytes, std::string what, std::vector<Part> hidden = {}) {
    footer_.findings.push_back(
        {file_path(directory_, generation_of(lsn)), offset_of(lsn), bytes, std::move(what), std::move(hidden)});
  }

  /// All of a file was read.
  void finish_file(Generation file, const FoundFile& told, std::span<const Damage> damage) {
    const FrameIndex index = index_ ? *std::exchange(index_, std::nullopt) : FrameIndex(file);
    footer_ = {};
    if (auto checked = check_footer(index); !checked && !failed_) failed_ = checked.error();
    ++out_.files;
    there_.insert(file);
    // What was found of a footer counts for a file that had one when the scan began.
    if (told.footer) {
      ++out_.footers;
      for (Finding& finding : footer_.findings) {
        const Lsn lsn = make_lsn(file, finding.offset);
        found_.push_back({lsn, std::move(finding)});
      }
    }
    for (const Damage& each : damage) tell(file, each);
    if (told.footer) explain_missing(file);
    if (is_gone(files_, file_path(directory_, file))) {
      out_.gone.push_back(file_path(directory_, file));
      found_.clear();
    }
    explain_holes();
    keep();
  }

  /// What was found of a file, in order, goes to what was found before.
  void keep() {
    std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) { return a.lsn < b.lsn; });
    for (Found& found : found_) {
      if (kept_.size() < kept_max_) {
        kept_.push_back(std::move(found));
        continue;
      }
      ++out_.more_findings;
      last_counted_ = found.lsn;
      for (const Part& part : found.finding.hidden) {
        out_.more_hidden += part.count;
        counted_[part.log] = part;
      }
    }
    found_.clear();
  }

  Result<> check_footer(const FrameIndex& index) {
    const fs::path path = file_path(directory_, index.file());
    auto file = files_.open(path);
    if (!file) return unreadable(file.error());
    auto size = (*file)->size();
    if (!size) return unreadable(size.error());
    auto footer = read_footer(**file, index.file(), *size);
    if (!footer) return footer.error();
    if (!*footer) return check_no_footer(**file, index.file(), *size);
    for (const TableRow& row : (*footer)->table) {
      auto bytes = (*file)->read_at(row.offset, std::uint64_t{row.frames} * sizeof(IndexEntry));
      if (!bytes) return unreadable(bytes.error());
      const auto list = decode_list(*bytes, row);
      if (list)
        compare(index, row, *list);
      else
        wrong_footer(make_lsn(index.file(), row.offset), std::uint64_t{row.frames} * sizeof(IndexEntry),
                     "the footer's list is damaged of", {row.part});
    }
    compare_logs(index, **footer);
    return {};
  }

  /// A file ends with no footer, or with one that is damaged.
  Result<> check_no_footer(File& file, Generation generation, std::uint64_t size) {
    if (size < kFileHeadBytes + kTrailerBytes) return {};
    const Lsn lsn = make_lsn(generation, size - kTrailerBytes);
    auto bytes = file.read_at(size - kTrailerBytes, kTrailerBytes);
    if (!bytes) return unreadable(bytes.error());
    if (bytes->size() < kTrailerBytes) return {};
    // The place that it says is its own: no record and no earlier life holds that here.
    if (get<std::uint64_t>(*bytes, 16) != lsn.get()) return {};
    auto again = read_footer(file, generation, size);
    if (!again) return again.error();
    if (!*again) wrong(lsn, kTrailerBytes, "the footer is damaged; the file is read without it");
    return {};
  }

  /// Entries of a row and frames that were visited, both in order of place.
  void compare(const FrameIndex& index, const TableRow& row, const std::vector<IndexEntry>& told) {
    static const std::vector<FrameIndex::List> kNone;
    const auto found = index.logs().find(row.part.log);
    const auto& lists = found == index.logs().end() ? kNone : found->second;
    auto list = lists.begin();
    std::size_t in = 0;
    for (const IndexEntry& entry : told) {
      const Place place = place_of(row.part, entry);
      const auto seen = [&] { return place_of(list->part, list->entries[in]); };
      while (list != lists.end() && (in == list->entries.size() || list->entries[in].offset < entry.offset)) {
        if (in < list->entries.size() && ++in < list->entries.size()) continue;
        ++list;
        in = 0;
      }
      if (list == lists.end() || list->entries[in].offset != entry.offset)
        footer_.missing.push_back({part_of(place.frame, index.file()), entry.offset,
                                   std::uint64_t{entry.offset} + kFrameHeadBytes + entry.length});
      else if (seen().frame != place.frame)
        wrong_footer(place.lsn, kFrameHeadBytes,
                     "the footer tells of other frames than are there:", {part_of(place.frame, index.file())});
    }
  }

  /// Whether the footer knows all frames that are there: as many of each log.
  void compare_logs(const FrameIndex& index, const FileFooter& footer) {
    std::map<std::uint64_t, std::uint64_t> told;
    for (const TableRow& row : footer.table) told[row.part.log] += row.frames;
    const Lsn lsn = footer.trailer.end;
    for (const auto& [log, lists] : index.logs()) {
      std::uint64_t there = 0;
      for (const FrameIndex::List& list : lists) there += list.entries.size();
      if (there > told[log])
        wrong_footer(lsn, footer.trailer.footer_bytes, "the footer leaves out frames among", {lists[0].part});
    }
    if (index.other_frames() > footer.trailer.other_frames)
      wrong_footer(lsn, footer.trailer.footer_bytes, "the footer leaves out changes of state");
  }

  void tell(Generation file, const Damage& damage) {
    Finding finding{damage.file, damage.offset, damage.bytes, "damaged, hides", {}};
    if (const auto frame = head_before(damage)) finding.hidden.push_back(*frame);
    // What is known of it by name is told when all is known.
    found_.push_back({make_lsn(file, damage.offset), std::move(finding), true, " " + damage.hides});
  }

  /// The frame whose payload the damage is, when its head is good.
  std::optional<Part> head_before(const Damage& damage) {
    const auto generation = generation_in(damage.file.filename().native());
    if (!generation || damage.offset < kFileHeadBytes + kFrameHeadBytes) return std::nullopt;
    auto file = files_.open(damage.file);
    if (!file) return std::nullopt;
    const std::uint64_t at = damage.offset - kFrameHeadBytes;
    const auto bytes = (*file)->read_at(at, kFrameHeadBytes);
    if (!bytes) return std::nullopt;
    const auto frame = decode_frame_head(*bytes, make_lsn(*generation, at));
    if (!frame || frame->kind != FrameKind::records || frame->length != damage.bytes) return std::nullopt;
    return part_of(*frame, *generation);
  }

  void explain_missing(Generation file) {
    std::vector<Found> unexplained;
    for (const Missing& missing : footer_.missing) {
      bool explained = false;
      for (Found& found : found_) {
        Finding& finding = found.finding;
        if (!found.damage || finding.offset >= missing.end || finding.offset + finding.bytes <= missing.offset)
          continue;
        hide(finding, missing.part);
        explained = true;
        break;
      }
      if (!explained)
        unexplained.push_back({make_lsn(file, missing.offset),
                               {file_path(directory_, file),
                                missing.offset,
                                missing.end - missing.offset,
                                "the footer tells of frames that are not there:",
                                {missing.part}}});
    }
    found_.insert(found_.end(), std::make_move_iterator(unexplained.begin()),
                  std::make_move_iterator(unexplained.end()));
  }

  /// The holes before frames of the file that was read.
  void explain_holes() {
    std::vector<Hole> unexplained;
    for (const Hole& hole : holes_) {
      Found* between = nullptr;
      bool named = false;
      const auto look = [&](Found& found) {
        if (found.lsn < hole.before || hole.at < found.lsn) return;
        named = named || hides(found.finding, hole.part);
        if (!between || found.lsn < between->lsn) between = &found;
      };
      const auto before = [&](const Found& found) { return found.lsn < hole.before; };
      for (auto at = std::partition_point(kept_.begin(), kept_.end(), before); at != kept_.end(); ++at) look(*at);
      for (Found& found : found_) look(found);
      const auto counted = counted_.find(hole.part.log);
      named = named || (counted != counted_.end() && meet(counted->second, hole.part));
      if (named) continue;
      if (between)
        hide(between->finding, hole.part);
      else if (hole.before <= last_counted_)
        out_.more_hidden += hole.part.count;
      else if (!dropped_between(hole))
        unexplained.push_back(hole);
    }
    holes_.clear();
    for (const Hole& hole : unexplained) wrong(hole.at, 0, "before this frame are missing", {hole.part});
  }

  static bool hides(const Finding& finding, const Part& part) {
    return std::any_of(finding.hidden.begin(), finding.hidden.end(), [&](const Part& one) { return meet(one, part); });
  }
  static bool meet(const Part& a, const Part& b) { return a.log == b.log && a.base < end_of(b) && b.base < end_of(a); }
  static void hide(Finding& finding, const Part& part) {
    if (hides(finding, part)) return;
    for (Part& one : finding.hidden) {
      if (one.log != part.log || one.epoch != part.epoch || end_of(one) != part.base) continue;
      one.count += part.count;
      one.last_ms = part.last_ms;
      return;
    }
    finding.hidden.push_back(part);
  }

  /// Retention takes whole files: between two that others still want, one may be gone.
  bool dropped_between(const Hole& hole) const {
    const std::uint32_t last = generation_of(hole.at).get();
    for (std::uint32_t i = generation_of(hole.before).get() + 1; i < last; ++i)
      if (!there_.contains(Generation{i}) || gone(file_path(directory_, Generation{i}))) return true;
    return false;
  }
  bool gone(const fs::path& path) const {
    return std::find(out_.gone.begin(), out_.gone.end(), path) != out_.gone.end();
  }

  Files& files_;
  const fs::path& directory_;
  const Visit& visit_;
  Opener opener_;
  FileSalt salt_{};  // of the file under way
  std::string plain_;
  std::optional<FrameIndex> index_;                // of the file under way
  std::unordered_map<std::uint64_t, Tail> tails_;  // by log
  std::vector<Hole> holes_;                        // before frames of that file
  FooterCheck footer_;                             // of it
  std::vector<Found> found_;                       // in it
  std::set<Generation> there_;                     // files that were read
  const std::size_t kept_max_;
  std::vector<Found> kept_;                          // of them, by place
  Lsn last_counted_;                                 // of those that are not kept
  std::unordered_map<std::uint64_t, Part> counted_;  // by log: what they hide last
  std::optional<Error> failed_;
  Verified out_;
};

}  // namespace

Result<Verified> verify(Files& files, const fs::path& directory,
                        const std::function<void(const Frame& frame, ByteView payload, Lsn lsn)>& visit,
                        const Keys& keys, std::size_t findings_kept) {
  return Verification(files, directory, visit, keys, findings_kept).run();
}

}  // namespace millrace::journal
