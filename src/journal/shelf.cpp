#include "journal/shelf.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "journal/walk.hpp"

namespace millrace::journal {

namespace {

constexpr std::string_view kSparePrefix = "spare-";
constexpr std::string_view kUnfinishedSuffix = ".new";
constexpr std::uint64_t kProofBytes = 1u << 20;

Error gone(Generation file) { return {Errc::gone, "journal file " + std::to_string(file.get()) + " was dropped"}; }
Error unreadable(const FileError& failed) { return {Errc::unreadable, failed.detail}; }

}  // namespace

FileResult<> write_again(File& file, std::uint64_t from, std::uint64_t to) {
  while (from < to) {
    const auto bytes = file.read_at(from, std::min(to - from, kProofBytes));
    if (!bytes) return bytes.error();
    if (bytes->empty()) break;
    const std::array<ByteView, 1> pieces{*bytes};
    if (auto written = file.write_at(from, pieces); !written) return written;
    from += bytes->size();
  }
  return file.sync();
}

Error no_key(const std::filesystem::path& path, std::uint32_t key_id) {
  return {Errc::unreadable, path.native() + ": payloads are sealed by key " + std::to_string(key_id) +
                                ", which is not given: its line belongs into the file of storage.encryption_keys"};
}

Error other_key(const std::filesystem::path& path, std::uint32_t key_id) {
  return {Errc::unreadable, path.native() + ": payloads are sealed by a key " + std::to_string(key_id) +
                                " that is another one than is given under that id: give the old key this id, and a "
                                "new one a higher id"};
}

Error error_of(const FileError& failed) {
  const bool full = failed.error_number == ENOSPC || failed.error_number == EDQUOT;
  return {full ? Errc::full : Errc::write_failed, failed.detail};
}

Shelf::Shelf(Files& files, Options options, const Scanned& scanned) : files_(files), options_(std::move(options)) {
  adopt_spares();
  if (!scanned.found) return;
  for (const auto& [generation, found] : scanned.found->files) {
    Entry& entry = entries_[generation];
    entry.bytes = found.bytes;
    entry.synced = found.synced;
    entry.previous_end = found.previous_end;
    entry.follows = found.follows;
    entry.end = found.end;
    entry.frames = found.frames;
    entry.moved = found.moved;
    entry.index = found.index;
    disk_bytes_ += found.bytes;
    if (found.footer) entry.state = State::indexed;
    if (found.damaged) continue;  // the next start is to find the damage again
    if (found.frames == 0)
      entry.dropped = true;
    else if (entry.index && !found.footer)
      entry.state = State::due;
  }
}

void Shelf::adopt_spares() {
  const auto names = files_.list(options_.directory);
  if (!names) return;
  for (const std::string& name : *names) {
    const bool unfinished = name.ends_with(kUnfinishedSuffix);
    if (!unfinished && !name.starts_with(kSparePrefix) && !name.starts_with(kTakenPrefix)) continue;
    const std::filesystem::path path = options_.directory / name;
    std::uint64_t bytes = 0;
    if (auto file = files_.open(path))
      if (const auto size = (*file)->size()) bytes = *size;
    if (!unfinished && fits_again(bytes) && spares_.size() < options_.spares_max && !has_other_names(path)) {
      spares_.push_back({path, bytes});
      disk_bytes_ += bytes;
    } else {
      (void)files_.remove(path);
    }
  }
}

bool Shelf::fits_again(std::uint64_t bytes) const noexcept {
  return bytes >= options_.file_bytes && bytes <= options_.file_bytes + options_.file_bytes / 4;
}

void Shelf::begin(Generation file, std::uint64_t bytes, Lsn previous_end, Lsn follows, bool synced) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[file];
  entry.bytes = bytes;
  entry.state = State::open;
  entry.synced = synced;
  entry.previous_end = previous_end;
  entry.follows = follows;
  const auto keeps = options_.index ? FrameIndex::Keeps::records : FrameIndex::Keeps::counts;
  entry.index = std::make_shared<FrameIndex>(file, keeps);
  current_ = entry.index.get();
  disk_bytes_ += bytes;
}

void Shelf::add(std::span<const Frame> frames, std::span<const Lsn> places) {
  std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < frames.size(); ++i) current_->add(frames[i], places[i]);
}

void Shelf::grow(Generation file, std::uint64_t bytes) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[file];
  if (bytes <= entry.bytes) return;
  disk_bytes_ += bytes - entry.bytes;
  entry.bytes = bytes;
}

std::uint64_t Shelf::footer_bytes(std::uint64_t frames) const {
  std::lock_guard lock(mutex_);
  return current_ && options_.index ? current_->footer_bytes(frames) : kTrailerBytes;
}

Shelf::Entry& Shelf::ended(Generation file, Lsn end) {
  Entry& entry = entries_[file];
  entry.end = end;
  entry.frames = entry.index->frames();
  entry.moved = entry.index->moved();
  current_ = nullptr;
  if (entry.frames == 0) entry.dropped = true;
  return entry;
}

void Shelf::finish(Generation file, Lsn end, std::shared_ptr<File> handle) {
  std::lock_guard lock(mutex_);
  Entry& entry = ended(file, end);
  entry.state = !entry.dropped && (options_.index || !entry.synced) ? State::due : State::finished;
  if (entry.state == State::due) entry.handle = std::move(handle);
  if (!options_.index) entry.index.reset();
}

void Shelf::fail(Generation file, Lsn end) {
  std::lock_guard lock(mutex_);
  Entry& entry = ended(file, end);
  stop(entry);
  if (!options_.index) entry.index.reset();
}

FileResult<> Shelf::write_footer(const FrameIndex& index, const Entry& entry, File& handle, bool closed,
                                 std::uint64_t& bytes, std::optional<bool>& synced) {
  Trailer trailer;
  trailer.end = entry.end;
  trailer.previous_end = entry.previous_end;
  trailer.follows = entry.follows;
  trailer.synced = entry.synced;
  trailer.closed = closed;
  const Footer footer = make_footer(index, trailer, entry.bytes);
  const std::array<ByteView, 1> body{footer.body}, last{footer.trailer};
  // The trailer says that all before it is on disk: so it is.
  if (auto written = handle.write_at(footer.at, body); !written) return written;
  const auto body_synced = handle.sync();
  synced = static_cast<bool>(body_synced);
  if (!body_synced) return body_synced;
  if (auto written = handle.write_at(footer.at + footer.body.size(), last); !written) return written;
  bytes = std::max(bytes, footer.at + footer.body.size() + footer.trailer.size());
  return handle.sync();
}

void Shelf::give_up(Generation file) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(file);
  if (found != entries_.end() && found->second.state == State::due) stop(found->second);
}

bool Shelf::write_footers() {
  if (!sync_names()) return false;
  bool good = true;
  for (;;) {
    Generation file;
    Entry entry;
    {
      std::lock_guard lock(mutex_);
      const auto due = std::find_if(entries_.begin(), entries_.end(), [](const auto& one) {
        return one.second.state == State::due || one.second.state == State::behind;
      });
      if (due == entries_.end()) return good;
      file = due->first;
      entry = due->second;
      due->second.handle.reset();
    }
    const bool synced = entry.synced;
    const bool done = entry.state == State::behind ? write_behind(file, entry.end) : write_due(file, std::move(entry));
    if (!done && !synced) return false;
    good = good && done;
  }
}

bool Shelf::sync_names() {
  // A file that comes back may have lost what was in it, and others would then say that it was synced.
  if (names_behind_ && files_.sync_directory(options_.directory)) names_behind_ = false;
  return !names_behind_;
}

bool Shelf::write_behind(Generation file, Lsn end) {
  auto opened = files_.open_writable(file_path(options_.directory, file));
  if (!opened || !write_again(**opened, kFileHeadBytes, offset_of(end))) return false;
  std::lock_guard lock(mutex_);
  entries_[file].state = State::finished;
  return true;
}

bool Shelf::write_due(Generation file, Entry entry) {
  if (!entry.handle)
    if (auto opened = files_.open_writable(file_path(options_.directory, file))) entry.handle = std::move(*opened);
  std::uint64_t bytes = entry.bytes;
  // One that was dropped may come back by a loss of power, and others will then say that it was synced.
  const bool indexed = options_.index && !entry.dropped;
  std::optional<bool> synced;  // nothing: not tried; a sync that failed is not tried again
  const bool written =
      entry.handle && indexed && write_footer(*entry.index, entry, *entry.handle, false, bytes, synced);
  if (entry.handle && !synced) synced = static_cast<bool>(entry.handle->sync(true));
  std::lock_guard lock(mutex_);
  Entry& now = entries_[file];
  disk_bytes_ += bytes - now.bytes;
  now.bytes = bytes;
  if (written) {
    now.state = State::indexed;
    now.index.reset();
  } else if (synced.value_or(false)) {
    now.state = State::finished;
  } else {
    stop(now);
  }
  return synced.value_or(false);
}

void Shelf::stop(Entry& entry) noexcept {
  entry.state = entry.synced || entry.frames == 0 ? State::finished : State::behind;
}

Result<> Shelf::close(Generation file, Lsn end, std::shared_ptr<File> handle) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[file];
  entry.end = end;
  current_ = nullptr;
  std::optional<bool> synced;
  if (auto written = write_footer(*entry.index, entry, *handle, true, entry.bytes, synced); !written)
    return error_of(written.error());
  entry.state = State::indexed;
  return {};
}

void Shelf::drop(Generation file) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(file);
  if (found != entries_.end() && found->second.state != State::open) found->second.dropped = true;
}

void Shelf::drop_before(Generation file) {
  std::lock_guard lock(mutex_);
  for (auto& [generation, entry] : entries_)
    if (generation < file && entry.state != State::open) entry.dropped = true;
}

bool Shelf::needed_by_another(std::map<Generation, Entry>::const_iterator file) const {
  // The newest is what keeps its number, and those of files before it, from being given again.
  const auto after = std::next(file);
  if (after == entries_.end()) return true;
  // Where the file before it ends may be said by this one's head alone, as long as that has no footer.
  if (file == entries_.begin()) return false;
  const auto before = std::prev(file);
  if (before->second.state == State::indexed) return false;
  const Lsn said = after->second.previous_end;
  return offset_of(said) == 0 || generation_of(said) > before->first;
}

bool Shelf::reap_one() {
  Generation file;
  std::uint64_t bytes = 0;
  {
    std::lock_guard lock(mutex_);
    if (held_) return false;
    // What is not on disk yet is missed only as long as files behind it are there to say so.
    const auto pending = [](const Entry& entry) {
      return !entry.synced && (entry.state == State::due || entry.state == State::behind);
    };
    auto at = entries_.begin();
    while (at != entries_.end() && !pending(at->second) && (!at->second.dropped || needed_by_another(at))) ++at;
    if (at == entries_.end() || pending(at->second)) return false;
    file = at->first;
    bytes = at->second.bytes;
    at->second.handle.reset();
  }
  if (!remove(file, bytes)) return false;
  std::lock_guard lock(mutex_);
  entries_.erase(file);
  return true;
}

void Shelf::reap() {
  while (reap_one()) {
  }
}

bool Shelf::remove(Generation file, std::uint64_t bytes) {
  bool read = false;
  {
    std::lock_guard lock(handles_mutex_);
    const auto open =
        std::find_if(handles_.begin(), handles_.end(), [&](const auto& one) { return one.first == file; });
    if (open != handles_.end()) {
      read = open->second.use_count() > 1;
      handles_.erase(open);
    }
  }
  const std::filesystem::path path = file_path(options_.directory, file);
  bool room = false;
  {
    std::lock_guard lock(mutex_);
    room = spares_.size() < options_.spares_max;
  }
  // Whoever reads the file goes on with the bytes that it had, and so does who has another name of it.
  if (room && !read && fits_again(bytes) && !has_other_names(path)) {
    const Spare spare{path_of_number(kSparePrefix, file), bytes};
    if (!files_.rename(path, spare.path)) return false;
    // Before it is written to, no loss of power may bring the old name back.
    if (files_.sync_directory(options_.directory)) {
      put_spare(spare);
      return true;
    }
    names_behind_ = true;
    (void)files_.remove(spare.path);
  } else {
    const auto removed = files_.remove(path);
    if (!removed && removed.error().error_number != ENOENT) return false;
    if (!files_.sync_directory(options_.directory)) names_behind_ = true;
  }
  disk_bytes_ -= bytes;
  return true;
}

bool Shelf::has_other_names(const std::filesystem::path& path) const {
  const auto names = files_.names_of(path);
  return !names || *names > 1;
}

std::vector<Generation> Shelf::wanted() const {
  std::lock_guard lock(mutex_);
  std::vector<Generation> out;
  for (const auto& [generation, entry] : entries_)
    if (entry.state != State::open && !entry.dropped) out.push_back(generation);
  return out;
}

FileResult<> Shelf::put_one(const std::filesystem::path& directory, Generation file, SnapshotFiles& out) {
  std::uint64_t bytes = 0;
  bool indexed = false;
  {
    std::lock_guard lock(mutex_);
    const Entry& entry = entries_.at(file);
    indexed = entry.state == State::indexed;
    // Where it ends may be said by the head of the next file, which is not there; and what is behind is not wanted.
    bytes = indexed ? entry.bytes : offset_of(entry.end);
  }
  const std::filesystem::path from = file_path(options_.directory, file), to = file_path(directory, file);
  bool linked = false;
  if (indexed) {
    const auto put = link_or_copy(files_, from, to);
    if (!put) return put.error();
    linked = *put;
  } else if (auto copied = copy_file(files_, from, to, bytes); !copied) {
    return copied;
  }
  ++out.files;
  out.bytes += bytes;
  if (!linked) out.copied += bytes;
  return {};
}

Result<SnapshotFiles> Shelf::put_into(const std::filesystem::path& directory, std::span<const Generation> wanted) {
  const auto there = files_.kind(directory);
  if (!there) return error_of(there.error());
  if (*there != Files::Kind::none) return Error{Errc::write_failed, directory.native() + " is there already"};
  if (auto made = files_.make_directories(directory); !made) return error_of(made.error());
  SnapshotFiles out;
  FileResult<> put;
  for (const Generation file : wanted)
    if (put = put_one(directory, file, out); !put) break;
  if (put) put = files_.sync_directory(directory);
  if (put) return out;
  (void)files_.remove_all(directory);
  return error_of(put.error());
}

std::filesystem::path Shelf::path_of_number(std::string_view prefix, Generation file) const {
  std::array<char, 16> number;
  std::snprintf(number.data(), number.size(), "%08x", file.get());
  return options_.directory / (std::string(prefix) + number.data());
}

std::optional<Shelf::Spare> Shelf::take_spare() {
  std::lock_guard lock(mutex_);
  if (spares_.empty()) return std::nullopt;
  Spare spare = std::move(spares_.back());
  spares_.pop_back();
  return spare;
}

void Shelf::put_spare(Spare spare) {
  std::lock_guard lock(mutex_);
  spares_.push_back(std::move(spare));
}

bool Shelf::spare_one_ahead() {
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    const auto& [file, entry] = *at;
    // One that was begun may say where the file before it ends.
    const bool ahead = entry.dropped && entry.frames == 0 && offset_of(entry.previous_end) == 0;
    const std::filesystem::path path = file_path(options_.directory, file);
    if (!ahead || !fits_again(entry.bytes) || has_other_names(path)) continue;
    const Spare spare{path_of_number(kTakenPrefix, file), entry.bytes};
    if (!files_.rename(path, spare.path)) return false;
    entries_.erase(at);
    if (!files_.sync_directory(options_.directory)) return false;
    put_spare(spare);
    return true;
  }
  return false;
}

void Shelf::make_spare(const std::filesystem::path& path, Generation file, std::uint64_t bytes) {
  const Spare spare{path_of_number(kSparePrefix, file), bytes};
  if (options_.spares_max == 0) return (void)files_.remove(path);
  if (!files_.rename(path, spare.path)) return;
  if (files_.sync_directory(options_.directory)) put_spare(spare);
}

Result<std::shared_ptr<Shelf::OpenFile>> Shelf::open(Generation file) {
  std::lock_guard lock(handles_mutex_);
  {
    std::lock_guard entries_lock(mutex_);
    const auto found = entries_.find(file);
    if (found == entries_.end() || found->second.dropped) return gone(file);
  }
  const auto known = std::find_if(handles_.begin(), handles_.end(), [&](const auto& one) { return one.first == file; });
  if (known != handles_.end()) {
    handles_.splice(handles_.begin(), handles_, known);
    return known->second;
  }
  auto open = std::make_shared<OpenFile>();
  open->path = file_path(options_.directory, file);
  auto opened = files_.open(open->path);
  if (!opened) return unreadable(opened.error());
  open->file = std::move(*opened);
  handles_.emplace_front(file, open);
  if (handles_.size() > options_.handles_max) handles_.pop_back();
  return open;
}

Result<std::vector<TableRow>> Shelf::rows(OpenFile& open, Generation file, std::uint64_t log) {
  std::lock_guard lock(open.mutex);
  if (!open.table) {
    const auto size = open.file->size();
    if (!size) return unreadable(size.error());
    auto footer = read_footer(*open.file, file, *size);
    if (!footer) return footer.error();
    if (!*footer)
      return Error{Errc::damaged, open.path.native() + ": its footer, at " + std::to_string(*size) + " and before"};
    open.table = std::move((*footer)->table);
  }
  const auto first = std::partition_point(open.table->begin(), open.table->end(),
                                          [&](const TableRow& row) { return row.part.log < log; });
  const auto last =
      std::partition_point(first, open.table->end(), [&](const TableRow& row) { return row.part.log <= log; });
  return std::vector<TableRow>(first, last);
}

Result<std::shared_ptr<const FileSealer>> Shelf::sealer_of(OpenFile& open, Generation file, std::uint32_t key_id) {
  std::lock_guard lock(open.mutex);
  std::shared_ptr<const FileSealer>& sealer = open.sealers[key_id];
  if (sealer) return sealer;
  const auto key = options_.keys ? options_.keys->key(key_id) : std::nullopt;
  if (!key) return no_key(open.path, key_id);
  const auto bytes = open.file->read_at(0, kFileHeadBytes);
  if (!bytes) return unreadable(bytes.error());
  FileHead head;
  if (decode_file_head(*bytes, head) != HeadState::good || head.generation != file)
    return Error{Errc::damaged,
                 open.path.native() + ": offset 0, 4096 bytes: its head, without which nothing is opened"};
  sealer = std::make_shared<const FileSealer>(*key, file, head.salt);
  return sealer;
}

Result<Shelf::List> Shelf::list_of(OpenFile& open, const TableRow& row) {
  const Lsn at = make_lsn(row.part.file, row.offset);
  {
    std::lock_guard lock(lists_mutex_);
    const auto kept = std::find_if(lists_.begin(), lists_.end(), [&](const KeptList& one) { return one.at == at; });
    if (kept != lists_.end()) {
      lists_.splice(lists_.begin(), lists_, kept);
      return kept->list;
    }
  }
  const std::size_t size = std::size_t{row.frames} * sizeof(IndexEntry);
  auto bytes = open.file->read_at(row.offset, size);
  if (!bytes) return unreadable(bytes.error());
  auto entries = decode_list(*bytes, row);
  if (!entries)
    return Error{Errc::damaged, open.path.native() + ": offset " + std::to_string(row.offset) + ", " +
                                    std::to_string(size) + " bytes: where the records of log " +
                                    std::to_string(row.part.log) + " lie"};
  const auto list = std::make_shared<const std::vector<IndexEntry>>(std::move(*entries));
  std::lock_guard lock(lists_mutex_);
  lists_.push_front({at, list});
  list_bytes_ += size;
  while (list_bytes_ > options_.list_bytes_max && lists_.size() > 1) {
    list_bytes_ -= lists_.back().list->size() * sizeof(IndexEntry);
    lists_.pop_back();
  }
  return list;
}

template <class FromIndex, class FromFooter>
auto Shelf::look(Generation file, FromIndex&& from_index, FromFooter&& from_footer)
    -> decltype(from_index(std::declval<const FrameIndex&>())) {
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(file);
    if (found == entries_.end() || found->second.dropped) return gone(file);
    if (found->second.index) return from_index(*found->second.index);
    if (found->second.state != State::indexed) return gone(file);
  }
  auto opened = open(file);
  if (!opened) return opened.error();
  return from_footer(**opened);
}

Result<std::vector<Place>> Shelf::places(Generation file, std::uint64_t log, std::uint64_t from,
                                         std::uint64_t bytes_max) {
  using Answer = Result<std::vector<Place>>;
  const auto from_index = [&](const FrameIndex& index) -> Answer { return index.places(log, from, bytes_max); };
  const auto from_footer = [&](OpenFile& open) -> Answer {
    const auto parts = rows(open, file, log);
    if (!parts) return parts.error();
    std::vector<Place> out;
    std::uint64_t bytes = 0;
    for (const TableRow& row : *parts) {
      if (row.part.base + row.part.count <= from) continue;
      if (!out.empty() && bytes >= bytes_max) break;
      auto list = list_of(open, row);
      if (!list) return list.error();
      if (!take_places(row.part, **list, from, bytes_max, bytes, out)) break;
    }
    return out;
  };
  return look(file, from_index, from_footer);
}

Result<std::optional<Place>> Shelf::place_at(Generation file, std::uint64_t log, std::int64_t at_ms) {
  using Answer = Result<std::optional<Place>>;
  const auto from_index = [&](const FrameIndex& index) -> Answer { return index.place_at(log, at_ms); };
  const auto from_footer = [&](OpenFile& open) -> Answer {
    const auto parts = rows(open, file, log);
    if (!parts) return parts.error();
    for (const TableRow& row : *parts) {
      if (row.part.last_ms < at_ms) continue;
      auto list = list_of(open, row);
      if (!list) return list.error();
      if (auto place = place_arrived(row.part, **list, at_ms)) return place;
    }
    return std::optional<Place>();
  };
  return look(file, from_index, from_footer);
}

namespace {

constexpr std::uint64_t kGapBytesMax = 32 * 1024;  // what lies between two frames is read along, up to this
constexpr std::uint64_t kReadBytesMax = 4u << 20;  // at once
// What a disk could read in one piece while it goes to another place: 20 KiB where many are asked for at once and 130
// KiB where one is, of a fast one; 40 KiB of a rented one, a MiB of one that turns.
constexpr std::uint64_t kPlaceBytes = 64 * 1024;
constexpr std::uint64_t kPageBytes = 4096;

std::uint64_t begin_of(const Place& place) noexcept { return offset_of(place.lsn); }
std::uint64_t end_of(const Place& place) noexcept {
  return offset_of(place.lsn) + kFrameHeadBytes + stored_bytes(place.frame);
}

/// How many of `places` are read at once.
std::size_t run_of(std::span<const Place> places) noexcept {
  std::size_t count = 1;
  while (count < places.size()) {
    const std::uint64_t before = end_of(places[count - 1]), next = begin_of(places[count]);
    if (next < before || next - before > kGapBytesMax) break;
    if (end_of(places[count]) - begin_of(places[0]) > kReadBytesMax) break;
    ++count;
  }
  return count;
}

/// The frame as its head says, when that and the payload are what `place` tells of.
std::optional<Frame> whole_frame(const Place& place, ByteView head, ByteView stored) noexcept {
  auto frame = decode_frame_head(head, place.lsn);
  const bool same = frame && frame->log == place.frame.log && frame->base == place.frame.base &&
                    frame->length == stored.size() && frame->checksum == place.frame.checksum &&
                    frame->key_id == place.frame.key_id;
  if (!same || crc32c(stored) != frame->checksum) frame.reset();
  return frame;
}

}  // namespace

/// Reads of one call: how many, and of what pages of the disk.
struct Shelf::Reads {
  std::uint64_t count = 0, bytes = 0;
  void add(std::span<const Place> run) noexcept {
    ++count;
    bytes += (end_of(run.back()) + kPageBytes - 1) / kPageBytes * kPageBytes -
             begin_of(run.front()) / kPageBytes * kPageBytes;
  }
};

// The first place of a call would be gone to anyhow. Of a call for which the disk was needed in part, a part counts.
void Shelf::count(Generation file, const Reads& reads, std::uint64_t fetched_before, std::uint64_t wanted) noexcept {
  if (!options_.index || reads.count == 0) return;
  const std::uint64_t fetched = std::min(files_.fetched_here() - fetched_before, reads.bytes);
  const double share = static_cast<double>(fetched) / static_cast<double>(reads.bytes);
  const auto places = static_cast<std::uint64_t>(static_cast<double>((reads.count - 1) * kPlaceBytes) * share);
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(file);
  if (found == entries_.end()) return;
  std::uint64_t& excess = found->second.excess_bytes;
  excess += fetched + places;
  excess -= std::min(excess, wanted);
}

std::vector<Scattered> Shelf::scattered() const {
  std::vector<Scattered> out;
  std::lock_guard lock(mutex_);
  for (const auto& [generation, entry] : entries_)
    if (entry.state != State::open && !entry.dropped && !entry.moved && entry.excess_bytes)
      out.push_back({generation, entry.excess_bytes});
  return out;
}

void Shelf::forget_reads(Generation file) {
  std::lock_guard lock(mutex_);
  const auto found = entries_.find(file);
  if (found != entries_.end()) found->second.excess_bytes = 0;
}

bool Shelf::will_read(Generation file, std::uint64_t offset, std::uint64_t bytes) noexcept {
  {
    std::lock_guard lock(mutex_);
    const auto found = entries_.find(file);
    if (found == entries_.end() || offset >= found->second.bytes) return false;
  }
  const auto opened = open(file);
  if (opened) (*opened)->file->will_read(offset, bytes);
  return opened.has_value();
}

void Shelf::will_read(std::span<const Place> places) noexcept {
  if (places.empty()) return;
  const Generation generation = generation_of(places[0].lsn);
  const auto opened = open(generation);
  if (!opened) return;
  Reads reads;
  const std::uint64_t fetched_before = files_.fetched_here();
  while (!places.empty()) {
    const std::span<const Place> run = places.first(run_of(places));
    const std::uint64_t begin = begin_of(run.front());
    (*opened)->file->will_read(begin, end_of(run.back()) - begin);
    reads.add(run);
    places = places.subspan(run.size());
  }
  count(generation, reads, fetched_before, 0);
}

Result<> Shelf::read(std::span<const Place> places, std::span<char> to, std::size_t* whole) {
  *whole = 0;
  if (places.empty()) return {};
  const Generation generation = generation_of(places[0].lsn);
  auto opened = open(generation);
  if (!opened) return opened.error();
  OpenFile& file = **opened;
  Reads reads;
  std::uint64_t wanted = 0;
  const std::uint64_t fetched_before = files_.fetched_here();
  std::string heads, gap(kGapBytesMax, '\0'), sealed;
  std::vector<std::span<char>> pieces, stored;
  while (!places.empty()) {
    const std::span<const Place> run = places.first(run_of(places));
    heads.resize(run.size() * kFrameHeadBytes);
    std::size_t filled = 0, sealed_bytes = 0;
    for (const Place& place : run) sealed_bytes += place.frame.key_id ? stored_bytes(place.frame) : 0;
    sealed.resize(sealed_bytes);
    sealed_bytes = 0;
    pieces.clear();
    stored.clear();
    std::uint64_t at = begin_of(run[0]);
    for (std::size_t i = 0; i < run.size(); ++i) {
      const Frame& frame = run[i].frame;
      if (begin_of(run[i]) > at) pieces.emplace_back(gap.data(), begin_of(run[i]) - at);
      pieces.emplace_back(heads.data() + i * kFrameHeadBytes, kFrameHeadBytes);
      if (frame.key_id)
        stored.emplace_back(sealed.data() + std::exchange(sealed_bytes, sealed_bytes + stored_bytes(frame)),
                            stored_bytes(frame));
      else
        stored.push_back(to.subspan(filled, frame.length));
      pieces.push_back(stored.back());
      filled += frame.length;
      at = end_of(run[i]);
    }
    const auto got = file.file->read_into(begin_of(run[0]), pieces);
    if (!got) return unreadable(got.error());
    reads.add(run);
    filled = 0;
    for (std::size_t i = 0; i < run.size(); ++i) {
      const ByteView head = ByteView(heads).substr(i * kFrameHeadBytes, kFrameHeadBytes);
      const ByteView bytes(stored[i].data(), stored[i].size());
      const auto frame = end_of(run[i]) - begin_of(run[0]) <= *got ? whole_frame(run[i], head, bytes) : std::nullopt;
      bool good = frame.has_value();
      if (good && frame->key_id) {
        const auto sealer = sealer_of(file, generation_of(run[i].lsn), frame->key_id);
        if (!sealer) return sealer.error();
        good = (*sealer)->open(*frame, run[i].lsn, bytes, to.data() + filled);
      }
      if (!good)
        return Error{Errc::damaged, file.path.native() + ": offset " + std::to_string(begin_of(run[i])) + ", " +
                                        std::to_string(end_of(run[i]) - begin_of(run[i])) +
                                        " bytes: " + what_of(run[i].frame)};
      filled += run[i].frame.length;
      ++*whole;
    }
    to = to.subspan(filled);
    wanted += filled;
    places = places.subspan(run.size());
  }
  count(generation, reads, fetched_before, wanted);
  return {};
}

}  // namespace millrace::journal
