#include "journal/writer.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <new>

#include "journal/walk.hpp"
#include "millrace/base/random.hpp"

namespace millrace::journal {

namespace {

/// A commit that is synced begins in a sector of its own: rewriting a sector that holds an earlier one could tear it.
constexpr std::size_t kSyncedAlignment = 512;
constexpr std::size_t kZerosBytes = 256 * 1024;
constexpr std::uint64_t kZerosSyncedBytes = 8u << 20;  // written before the next sync: no long queue before a commit's

ByteView zeros() {
  alignas(kDirectMemory) static char bytes[kZerosBytes];
  return {bytes, kZerosBytes};
}

std::string file_head(Generation generation, Lsn previous_end, const FileSalt& salt, bool synced, std::int64_t now_ms) {
  FileHead head;
  head.generation = generation;
  head.synced = synced;
  head.previous_end = previous_end;
  head.salt = salt;
  head.created_ms = now_ms;
  std::string bytes(kFileHeadBytes, '\0');
  encode_file_head(head, bytes.data());
  return bytes;
}

/// The number of the next file; behind the last one, one that no file can have.
constexpr Generation after(Generation file) noexcept {
  return file > kGenerationMax ? file : Generation{file.get() + 1};
}
Error no_number_left() { return {Errc::write_failed, "the journal has no number left for another file"}; }

constexpr std::uint64_t aligned(std::uint64_t offset, std::size_t to) noexcept { return (offset + to - 1) / to * to; }

static_assert(kSyncedAlignment % kDirectBytes == 0 && kFileHeadBytes % kDirectBytes == 0);

/// A piece of a direct commit is written while the next one is put together.
constexpr std::size_t kBehindBytes = 512 * 1024;

/// Copies and sums up in turns: what was copied is still in the processor's memory.
std::uint32_t copied_checksum(std::span<const ByteView> pieces, char* to) noexcept {
  constexpr std::size_t kAtOnce = 32 * 1024;
  std::uint32_t checksum = 0;
  for (ByteView piece : pieces) {
    while (!piece.empty()) {
      const ByteView some = piece.substr(0, kAtOnce);
      std::memcpy(to, some.data(), some.size());
      checksum = crc32c({to, some.size()}, checksum);
      to += some.size();
      piece.remove_prefix(some.size());
    }
  }
  return checksum;
}

}  // namespace

char* AlignedBuffer::make(std::size_t bytes) {
  if (bytes <= bytes_) return memory_.get();
  // Few pages to be looked up for each write.
  constexpr std::size_t kHugePage = 2u << 20;
  const std::size_t to = bytes < kHugePage / 2 ? kDirectMemory : kHugePage;
  bytes_ = aligned(bytes, to);
  memory_.reset();
  memory_.reset(static_cast<char*>(std::aligned_alloc(to, bytes_)));
  if (!memory_) throw std::bad_alloc();
  if (to == kHugePage) (void)::madvise(memory_.get(), bytes_, MADV_HUGEPAGE);
  return memory_.get();
}

Result<> begin_behind(Files& files, const std::filesystem::path& directory, Generation last, std::int64_t now_ms) {
  const std::filesystem::path path = file_path(directory, last);
  std::filesystem::path unfinished = path;
  unfinished += ".new";
  auto file = files.create(unfinished);
  if (!file) return error_of(file.error());
  // Synced: that nothing is in it says nothing of what may be missing in others.
  const std::string head = file_head(last, Lsn{}, FileSalt{}, true, now_ms);
  const std::array<ByteView, 1> pieces{head};
  auto done = (*file)->append(pieces);
  if (done) done = (*file)->sync();
  if (done) done = files.rename(unfinished, path);
  if (done) done = files.sync_directory(directory);
  if (!done) return error_of(done.error());
  return {};
}

Writer::Writer(Files& files, Options options, Shelf& shelf, const Scanned& scanned)
    : files_(files),
      options_(std::move(options)),
      shelf_(shelf),
      reserve_(options_.file_bytes / 16),
      margin_(reserve_ + std::min<std::uint64_t>(options_.commit_bytes_max, options_.file_bytes / 8)),
      announced_(scanned.last),
      newest_(scanned.last) {
  if (offset_of(scanned.end) != 0) cut_ = kept_ = scanned.end;
}

Result<> Writer::begin(const Scanned& scanned, std::int64_t now_ms) {
  if (auto proven = prove(scanned); !proven) return proven;
  synced_ = scanned.end.get();
  newest_ = after(newest_);
  auto made = make_file(newest_, cut_, now_ms);
  if (!made && made.error().code == Errc::full && shelf_.spare_one_ahead()) made = make_file(newest_, cut_, now_ms);
  if (!made && made.error().code == Errc::full) {
    // On a full disk reads go on, and drops make room: it begins with a file that has none.
    blocked_ = true;
    made = make_short_file(newest_, cut_, now_ms);
  }
  if (!made) return made.error();
  cut_ = Lsn{};
  use(std::move(*made));
  return {};
}

Result<> Writer::prove(const Scanned& scanned) {
  if (!scanned.found) return {};
  for (const auto& [generation, file] : scanned.found->files) {
    const Lsn begin = make_lsn(generation, kFileHeadBytes), from = std::max(scanned.found->synced, begin);
    // Below what was synced it was tried at least; it costs little to make sure.
    if (file.footer || file.frames == 0) continue;
    auto opened = files_.open_writable(file_path(options_.directory, generation));
    if (!opened) return error_of(opened.error());
    if (auto written = write_again(**opened, offset_of(from), offset_of(file.end)); !written)
      return error_of(written.error());
  }
  return {};
}

Result<> Writer::prepare(std::int64_t now_ms) {
  std::lock_guard one_at_a_time(preparing_);
  Generation generation;
  {
    std::lock_guard lock(mutex_);
    if (next_) return {};
    generation = newest_ = after(newest_);
  }
  auto made = make_file(generation, Lsn{}, now_ms);
  blocked_ = !made && made.error().code == Errc::full;
  if (!made) return made.error();
  shelf_.account(static_cast<std::int64_t>(made->bytes));
  std::lock_guard lock(mutex_);
  next_ = std::move(*made);
  return {};
}

Result<Writer::Open> Writer::make_file(Generation generation, Lsn previous_end, std::int64_t now_ms) {
  if (generation > kGenerationMax) return no_number_left();
  Open made;
  made.generation = generation;
  made.previous_end = previous_end;
  std::filesystem::path unfinished = file_path(options_.directory, generation);
  unfinished += ".new";
  if (const auto spare = shelf_.take_spare()) {
    auto file = files_.open_writable(spare->path);
    if (!file) {
      shelf_.put_spare(*spare);
      return error_of(file.error());
    }
    shelf_.account(-static_cast<std::int64_t>(spare->bytes));
    made.bytes = spare->bytes;
    return fill(spare->path, std::move(*file), std::move(made), true, now_ms);
  }
  if (shelf_.disk_bytes() + options_.file_bytes > options_.disk_limit)
    return Error{Errc::full, "the journal's files have reached their limit of " + std::to_string(options_.disk_limit) +
                                 " bytes together"};
  made.bytes = options_.file_bytes;
  auto file = files_.create(unfinished);
  if (!file) return error_of(file.error());
  return fill(unfinished, std::move(*file), std::move(made), false, now_ms);
}

Result<Writer::Open> Writer::make_short_file(Generation generation, Lsn previous_end, std::int64_t now_ms) {
  Open made;
  made.generation = generation;
  made.previous_end = previous_end;
  made.bytes = kFileHeadBytes;
  std::filesystem::path unfinished = file_path(options_.directory, generation);
  unfinished += ".new";
  auto file = files_.create(unfinished);
  if (!file) return error_of(file.error());
  return fill(unfinished, std::move(*file), std::move(made), false, now_ms);
}

Result<Writer::Open> Writer::fill(const std::filesystem::path& unfinished, std::shared_ptr<File> file, Open made,
                                  bool recycled, std::int64_t now_ms) {
  const std::filesystem::path path = file_path(options_.directory, made.generation);
  if (options_.keys) options_.random->secret(made.salt);
  const auto failed = [&](const FileError& error) {
    (void)files_.remove(unfinished);  // what a full disk needs first is its room back
    return error_of(error);
  };
  const std::string head = file_head(made.generation, made.previous_end, made.salt, options_.sync, now_ms);
  const std::array<ByteView, 1> first{head};
  if (!recycled && made.bytes > kFileHeadBytes)
    if (auto allocated = file->allocate(made.bytes); !allocated) return failed(allocated.error());
  if (auto written = file->write_at(0, first); !written) return failed(written.error());
  if (auto synced = file->sync(); !synced) return failed(synced.error());
  if (auto renamed = files_.rename(unfinished, path); !renamed) return failed(renamed.error());
  // Until the directory is on disk nothing may count on the file.
  if (auto synced = files_.sync_directory(options_.directory); !synced) {
    (void)files_.remove(path);
    return error_of(synced.error());
  }
  made.file = std::move(file);
  if (made.bytes == kFileHeadBytes) return made;
  if (options_.direct_from != UINT64_MAX)
    if (auto direct = files_.open_direct(path)) made.direct = std::move(*direct);
  // What is written in whole sectors, past pages, reads nothing first.
  const bool nothing_ahead = recycled && made.direct;
  if (options_.sync && !nothing_ahead) {
    // By a handle of its own: a failure that this one is told, the committing one is told as well.
    if (auto zeroed = made.direct ? files_.open_direct(path) : files_.open_writable(path)) {
      auto ahead = std::make_shared<Ahead>();
      ahead->file = std::move(*zeroed);
      ahead->generation = made.generation;
      ahead->bytes = made.bytes;
      ahead->recycled = recycled;
      std::lock_guard lock(mutex_);
      ahead_ = std::move(ahead);
    }
  }
  return made;
}

bool Writer::work_ahead() {
  // From the look until the zeros are written, and what is wrong with them is known, the file does not come into use.
  std::unique_lock piece(zeroing_);
  const std::shared_ptr<Ahead> ahead = ahead_of_use();
  if (!ahead) return false;
  if (ahead->recycled) {
    ahead->file->will_read(ahead->done, kZerosBytes);
    ahead->done += kZerosBytes;
    return ahead->done < ahead->bytes;
  }
  FileResult<> done;
  if (ahead->done == ahead->bytes || ahead->done - ahead->synced >= kZerosSyncedBytes) {
    // Long, and told to the committing handle as well: it may come into use meanwhile.
    piece.unlock();
    done = ahead->file->sync(true);
    ahead->synced = ahead->done;
  } else {
    const std::uint64_t size = std::min<std::uint64_t>(kZerosBytes, ahead->bytes - ahead->done);
    const std::array<ByteView, 1> pieces{zeros().substr(0, size)};
    done = ahead->file->write_at(ahead->done, pieces);
    ahead->done += size;
  }
  if (done && ahead->synced < ahead->bytes) return true;
  std::lock_guard lock(mutex_);
  // What a failed write or sync leaves behind is not known: commits shall not go there.
  if (!done && next_ && next_->generation == ahead->generation) {
    shelf_.account(-static_cast<std::int64_t>(next_->bytes));
    (void)files_.remove(file_path(options_.directory, next_->generation));
    next_.reset();
  }
  if (ahead_ == ahead) ahead_.reset();
  return false;
}

std::shared_ptr<Writer::Ahead> Writer::ahead_of_use() {
  std::lock_guard lock(mutex_);
  if (ahead_ && (!next_ || next_->generation != ahead_->generation)) ahead_.reset();
  return ahead_;
}

Result<> Writer::begin_file(std::int64_t now_ms) {
  Open next;
  while (!next.file) {
    if (auto prepared = prepare(now_ms); !prepared) return prepared;
    std::lock_guard piece(zeroing_);
    std::lock_guard lock(mutex_);
    if (!next_) continue;  // its zeros could not be written: another one
    if (next_->generation >= announced_.load(std::memory_order_relaxed)) {
      next = std::move(*next_);
    } else {
      // It was being made when a failure announced a later one, by which sources may have numbered what they staged.
      shelf_.make_spare(file_path(options_.directory, next_->generation), next_->generation, next_->bytes);
    }
    next_.reset();
  }
  shelf_.account(-static_cast<std::int64_t>(next.bytes));
  if (current_.file) leave_file(false);
  if (offset_of(cut_) != 0) {
    next.previous_end = cut_;
    const std::string head = file_head(next.generation, cut_, next.salt, options_.sync, now_ms);
    const std::array<ByteView, 1> pieces{head};
    auto said = next.file->write_at(0, pieces);
    if (said) said = next.file->sync(true);
    if (!said) {
      // Nothing was committed to it.
      shelf_.begin(next.generation, next.bytes, Lsn{}, kept_, options_.sync);
      shelf_.fail(next.generation, make_lsn(next.generation, kFileHeadBytes));
      return error_of(said.error());
    }
    cut_ = Lsn{};
  }
  use(std::move(next));
  return {};
}

Result<> Writer::end_file(std::int64_t now_ms) {
  if (!current_.file || offset_ == kFileHeadBytes) return {};
  return begin_file(now_ms);
}

void Writer::use(Open file) {
  current_ = std::move(file);
  current_.follows = kept_;
  offset_ = kFileHeadBytes;
  shelf_.begin(current_.generation, current_.bytes, current_.previous_end, current_.follows, options_.sync);
  announced_.store(current_.generation, std::memory_order_release);
  left_ = current_.bytes - offset_;
  std::lock_guard lock(mutex_);
  suspect_ = false;
  written_file_ = current_.file;
  written_ = make_lsn(current_.generation, offset_);
}

void Writer::leave_file(bool failed) {
  const Lsn end = make_lsn(current_.generation, offset_);
  // Under the lock, so that a sync behind commits that fails is told of this file before it is finished or after.
  std::lock_guard lock(mutex_);
  if (failed || suspect_)
    shelf_.fail(current_.generation, end);
  else
    shelf_.finish(current_.generation, end, current_.file);
  current_.file.reset();
  written_file_.reset();
  left_ = 0;
}

void Writer::announce_next() {
  std::lock_guard lock(mutex_);
  // Not the number that an earlier failure told.
  if (!next_) newest_ = after(newest_);
  announced_.store(next_ ? next_->generation : after(newest_), std::memory_order_release);
}

Result<> Writer::room_for(std::span<const OutFrame> frames, std::uint64_t bytes, std::int64_t now_ms) {
  bytes += shelf_.footer_bytes(frames.size());
  if (current_.file && !suspect_) {
    // Whether there is a next file is to be known before records have come to the end of this one.
    if (left_ < margin_ && !blocked()) (void)prepare(now_ms);
    const bool records = std::any_of(frames.begin(), frames.end(),
                                     [](const OutFrame& out) { return out.frame.kind == FrameKind::records; });
    const bool fits = offset_ + bytes <= current_.bytes;
    if (fits && (!records || !blocked() || offset_ + bytes + reserve_ <= current_.bytes)) return {};
    // A commit larger than a file has one of its own, which grows.
    if (offset_ == kFileHeadBytes && current_.bytes >= options_.file_bytes && !fits) return {};
  }
  if (blocked()) return Error{Errc::full, "no room for the next file of the journal"};
  return begin_file(now_ms);
}

Result<> Writer::find_key(std::span<const OutFrame> frames) {
  std::uint32_t id = options_.keys ? options_.keys->current() : 0;
  seals_all_ = id != 0;
  if (!seals_all_ && std::any_of(frames.begin(), frames.end(),
                                 [](const OutFrame& out) { return (out.frame.flags & kSealFlag) != 0; })) {
    id = options_.keys ? options_.keys->newest() : 0;
    if (id == 0) return Error{Errc::write_failed, "there is no key to seal records with"};
  }
  if (id == 0) {
    key_id_ = 0;
    return {};
  }
  if (sealer_file_ != current_.generation) sealed_frames_ = 0;
  if (key_id_ == id && sealer_file_ == current_.generation) return {};
  const auto key = options_.keys->key(id);
  if (!key) return Error{Errc::write_failed, "key " + std::to_string(id) + ", which payloads are to be sealed with"};
  sealer_.emplace(*key, current_.generation, current_.salt);
  sealer_file_ = current_.generation;
  key_id_ = id;
  return {};
}

std::span<const ByteView> Writer::store(Frame& frame, Lsn lsn, const OutFrame& out, char* to) {
  const bool sealing = seals(frame);
  frame.key_id = sealing ? key_id_ : 0;
  frame.length = sealing ? kSealBytes : 0;
  for (const ByteView piece : out.payload) frame.length += static_cast<std::uint32_t>(piece.size());
  std::span<const ByteView> stored = out.payload;
  if (sealing) {
    char* const sealed = to ? to : sealed_.data() + sealed_bytes_;
    sealer_->seal(frame, lsn, sealed_frames_++, out.payload, sealed);
    if (!to) sealed_bytes_ += frame.length;
    stored_piece_ = {sealed, frame.length};
    stored = {&stored_piece_, 1};
  } else if (to) {
    frame.checksum = copied_checksum(out.payload, to);
    stored_piece_ = {to, frame.length};
    return {&stored_piece_, 1};
  }
  frame.checksum = 0;
  for (const ByteView piece : stored) frame.checksum = crc32c(piece, frame.checksum);
  return stored;
}

std::size_t Writer::alignment(bool direct) const noexcept {
  // A page that is written in part is not to be read first by who goes on in it through the system's memory.
  if (direct && mixes()) return kDirectMemory;
  return options_.sync || current_.direct ? kSyncedAlignment : kAlignment;
}

void Writer::put_commit_head(std::size_t frames, std::uint64_t end, std::int64_t now_ms, char* to) {
  commit_bytes_ = end - offset_;
  CommitHead commit;
  commit.synced = Lsn{synced_.load(std::memory_order_acquire)};
  commit.follows = current_.follows;
  commit.bytes = static_cast<std::uint32_t>(commit_bytes_ - kCommitHeadBytes);
  commit.frames = static_cast<std::uint32_t>(frames);
  commit.written_ms = now_ms;
  encode_commit_head(commit, make_lsn(current_.generation, offset_), to);
}

FileResult<> Writer::write_through(std::span<const OutFrame> frames, std::int64_t now_ms) {
  std::size_t payload_pieces = 0;
  std::size_t payload_bytes = 0;
  for (const OutFrame& out : frames) {
    payload_pieces += out.payload.size();
    for (const ByteView piece : out.payload) payload_bytes += piece.size();
  }
  // At once: views into it must stay good.
  if (key_id_) sealed_.resize(payload_bytes + frames.size() * kSealBytes);
  sealed_bytes_ = 0;
  heads_.resize(kCommitHeadBytes + frames.size() * kFrameHeadBytes);
  pieces_.clear();
  pieces_.reserve(2 + frames.size() * 3 + payload_pieces);

  pieces_.emplace_back(heads_.data(), kCommitHeadBytes);
  std::uint64_t at = offset_ + kCommitHeadBytes;
  char* head = heads_.data() + kCommitHeadBytes;
  for (const OutFrame& out : frames) {
    Frame& frame = frames_.emplace_back(out.frame);
    places_.push_back(make_lsn(current_.generation, at));
    const std::span<const ByteView> stored = store(frame, places_.back(), out, nullptr);
    encode_frame_head(frame, places_.back(), head);
    pieces_.emplace_back(head, kFrameHeadBytes);
    pieces_.insert(pieces_.end(), stored.begin(), stored.end());
    head += kFrameHeadBytes;
    const std::uint64_t end = at + kFrameHeadBytes + frame.length;
    at = aligned(end, kAlignment);
    if (at > end) pieces_.push_back(zeros().substr(0, at - end));
  }
  const std::uint64_t end = aligned(at, alignment(false));
  if (end > at) pieces_.push_back(zeros().substr(0, end - at));
  put_commit_head(frames.size(), end, now_ms, heads_.data());
  return current_.file->write_at(offset_, pieces_);
}

FileResult<> Writer::write_directly(std::span<const OutFrame> frames, std::uint64_t bytes, std::int64_t now_ms) {
  // Every commit of a file that can be written to so ends with a sector.
  assert(offset_ % kDirectBytes == 0);
  char* const image = image_.make(bytes);

  std::uint64_t end = kCommitHeadBytes;
  for (const OutFrame& out : frames) {
    end += kFrameHeadBytes + (seals(out.frame) ? kSealBytes : 0);
    for (const ByteView piece : out.payload) end += piece.size();
    end = aligned(end, kAlignment);
  }
  end = aligned(offset_ + end, alignment(true)) - offset_;
  put_commit_head(frames.size(), offset_ + end, now_ms, image);

  std::size_t written = 0;  // or on its way: bytes of the image
  std::uint64_t at = kCommitHeadBytes;
  for (const OutFrame& out : frames) {
    Frame& frame = frames_.emplace_back(out.frame);
    places_.push_back(make_lsn(current_.generation, offset_ + at));
    store(frame, places_.back(), out, image + at + kFrameHeadBytes);
    encode_frame_head(frame, places_.back(), image + at);
    const std::uint64_t frame_end = at + kFrameHeadBytes + frame.length;
    at = aligned(frame_end, kAlignment);
    std::memset(image + frame_end, 0, at - frame_end);
    const std::size_t whole = at / kDirectMemory * kDirectMemory;
    if (whole - written < kBehindBytes) continue;
    behind_.write(*current_.direct, offset_ + written, {image + written, whole - written});
    written = whole;
  }
  std::memset(image + at, 0, end - at);
  pieces_.assign({ByteView(image + written, end - written)});
  FileResult<> done;
  if (!pieces_[0].empty()) done = current_.direct->write_at(offset_ + written, pieces_);
  if (written > 0)
    if (auto others = behind_.end(); !others) done = std::move(others);
  pieces_.assign({ByteView(image, end)});
  if (done || done.error().error_number != EINVAL) return done;
  // A file system that does not say what it asks for.
  current_.direct.reset();
  return current_.file->write_at(offset_, pieces_);
}

Result<std::span<const Lsn>> Writer::commit(std::span<const OutFrame> frames, std::int64_t now_ms) {
  std::uint64_t bytes = kCommitHeadBytes + kSyncedAlignment;
  if (mixes()) bytes += kDirectMemory;
  for (const OutFrame& out : frames) {
    bytes += kFrameHeadBytes + kAlignment + kSealBytes;
    for (const ByteView piece : out.payload) bytes += piece.size();
  }
  auto ready = room_for(frames, bytes, now_ms);
  if (ready) ready = find_key(frames);
  if (!ready) {
    if (current_.file) leave_file(false);
    announce_next();
    return ready.error();
  }
  frames_.clear();
  places_.clear();
  const bool direct = current_.direct && bytes >= options_.direct_from;
  auto done = direct ? write_directly(frames, bytes, now_ms) : write_through(frames, now_ms);
  const bool written = static_cast<bool>(done);
  if (done && options_.sync) done = (direct && current_.direct ? *current_.direct : *current_.file).sync(true);
  if (!done) {
    // Whatever of it is on disk, or comes there late, counts for nothing. What a failed sync leaves behind in the page
    // cache is not known, so the file is not written to again; after a failed write what came before can be synced.
    const bool empty = offset_ == kFileHeadBytes && offset_of(current_.previous_end) != 0;
    cut_ = empty ? current_.previous_end : make_lsn(current_.generation, offset_);
    leave_file(written);
    announce_next();
    return error_of(done.error());
  }
  kept();
  return std::span<const Lsn>(places_);
}

void Writer::kept() {
  offset_ += commit_bytes_;
  if (offset_ > current_.bytes) {
    current_.bytes = offset_;
    shelf_.grow(current_.generation, offset_);
  }
  shelf_.add(frames_, places_);
  left_ = current_.bytes - offset_;
  kept_ = make_lsn(current_.generation, offset_);
  if (options_.sync) {
    synced_ = kept_.get();
    return;
  }
  std::lock_guard lock(mutex_);
  written_ = kept_;
}

bool Writer::sync_written() {
  std::shared_ptr<File> file;
  Lsn end;
  {
    std::lock_guard lock(mutex_);
    file = written_file_;
    end = written_;
  }
  // Files before this one come first: what is synced is said of all below a place. Where one of them is behind, so is
  // what can be said.
  const bool before = shelf_.write_footers();
  if (!file || end.get() <= synced_) return before;
  const auto done = file->sync(true);
  std::lock_guard lock(mutex_);
  if (done && before) synced_ = end.get();
  if (done) return before;
  if (file == written_file_)
    suspect_ = true;
  else
    shelf_.give_up(generation_of(end));
  return false;
}

void Writer::close(bool whole) {
  if (current_.file) {
    const Lsn end = make_lsn(current_.generation, offset_);
    const bool good = options_.sync || (!suspect_ && current_.file->sync(true));
    if (good && whole) (void)shelf_.close(current_.generation, end, current_.file);
  }
  std::lock_guard lock(mutex_);
  if (next_) shelf_.make_spare(file_path(options_.directory, next_->generation), next_->generation, next_->bytes);
  next_.reset();
}

}  // namespace millrace::journal
