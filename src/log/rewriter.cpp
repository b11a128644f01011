#include "log/rewriter.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <utility>

#include "millrace/base/log.hpp"

namespace millrace::log {
namespace {

// 40 MiB a second at most: what the disk does beside is for those who wait.
constexpr std::uint64_t kPieceBytes = 4u << 20;
constexpr std::chrono::milliseconds kPause{100};
// Small frames that follow each other become one of up to that: still little to read for a single record.
constexpr std::uint32_t kTogetherBytes = 64 * 1024;

std::uint64_t end_of(const journal::Part& part) noexcept { return part.base + part.count; }
std::uint64_t end_of(const journal::Frame& frame) noexcept { return frame.base + frame.count; }

/// Whether some of a frame's records lie sealed wherever they lie. An index does not tell why a frame was sealed. The
/// bytes are those that were written, whoever wrote them.
bool any_sealed(ByteView records) noexcept {
  RecordHead head;
  while (records.size() >= sizeof head) {
    std::memcpy(&head, records.data(), sizeof head);
    if (head.flags & kSealedRecord) return true;
    records.remove_prefix(std::min(records.size(), sizeof head + head.key_bytes + head.data_bytes));
  }
  return false;
}

/// The frames of consecutive places of one part as they will be written.
void put_together(std::span<const journal::Place> places, std::vector<journal::Frame>& out) {
  bool first = true;
  for (const journal::Place& place : places) {
    const journal::Frame& frame = place.frame;
    if (!std::exchange(first, false) && end_of(out.back()) == frame.base &&
        out.back().length + frame.length <= kTogetherBytes) {
      out.back().count += frame.count;
      out.back().last_ms = frame.last_ms;
      out.back().length += frame.length;
      continue;
    }
    out.push_back(frame);
    out.back().flags |= journal::kMovedFlag;
    out.back().key_id = 0;
  }
}

}  // namespace

bool Rewriter::at_work() {
  const std::unique_lock lock(mutex_, std::try_to_lock);  // held while files are read
  return !lock || !moves_.empty() || !unsynced_.empty();
}

bool Rewriter::begin(std::deque<Move> moves, std::deque<journal::Generation> whole_files) {
  {
    std::lock_guard lock(mutex_);
    if (stopped_ || !moves_.empty() || !unsynced_.empty() || moves.empty()) return false;
    moves_ = std::move(moves);
    whole_files_ = std::move(whole_files);
    ahead_ = 0;
    next_ = moves_.front().part.base;
  }
  go_on();
  return true;
}

void Rewriter::stop() {
  {
    std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  give_up();
}

void Rewriter::go_on() {
  storage_->threads().post([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->work();
  });
}

void Rewriter::work() {
  const Storage::Reading reading(*storage_);
  if (!reading) return;
  finish();
  {
    std::unique_lock lock(mutex_);
    if (piece_.bytes) return;  // one is on its way, and what follows it comes here again
    if (moves_.empty() || read_ahead()) {
      lock.unlock();
      pause();  // for what is not on the disk yet, or not read from it
      return;
    }
    if (storage_->journal().full() || !load()) {
      lock.unlock();
      give_up();
      return;
    }
  }
  storage_->journal().announce(shared_from_this());
}

// The old place goes only when the new one is on the disk, whatever a put is acknowledged for.
void Rewriter::finish() {
  const journal::Lsn synced = storage_->journal().synced();
  for (;;) {
    std::optional<Written> done;
    {
      std::lock_guard lock(mutex_);
      if (unsynced_.empty() || unsynced_.front().end > synced) return;
      done = std::move(unsynced_.front());
      unsynced_.pop_front();
    }
    done->move.log->moved(done->move.part, done->to);
  }
}

void Rewriter::pause() {
  {
    std::lock_guard lock(mutex_);
    if (stopped_ || (moves_.empty() && unsynced_.empty())) return;
  }
  clock_.call_at(clock_.now() + kPause, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->go_on();
  });
}

// The next sweep sees it again.
void Rewriter::give_up() {
  std::vector<journal::Part> written;
  {
    std::lock_guard lock(mutex_);
    moves_.clear();
    whole_files_.clear();
    written = std::exchange(written_, {});
    piece_ = {};
  }
  if (!written.empty()) storage_->unuse(written);
  pause();
}

// With mutex_ held. A file is read from one end to the other, before its records are from place to place: that is why
// it is rewritten.
bool Rewriter::read_ahead() {
  while (!whole_files_.empty()) {
    if (storage_->journal().will_read(whole_files_.front(), ahead_, kPieceBytes)) {
      ahead_ += kPieceBytes;
      return true;
    }
    whole_files_.pop_front();
    ahead_ = 0;
  }
  return false;
}

// With mutex_ held. What comes next of the moves, by file. Empty: it cannot be found now.
std::vector<std::vector<journal::Place>> Rewriter::places_of_piece() {
  std::vector<std::vector<journal::Place>> out;
  const std::uint64_t bytes_max = std::min<std::uint64_t>(kPieceBytes, storage_->pool().bytes_max() / 8);
  std::uint64_t bytes = 0, from = next_;
  for (const Move& move : moves_) {
    if (!out.empty()) from = move.part.base;
    auto places = places_in(storage_->journal(), move.part, from, bytes_max - std::min(bytes, bytes_max));
    if (!places || places->empty()) break;
    std::uint64_t more = 0;
    for (const journal::Place& place : *places) more += place.frame.length;
    if (!out.empty() && bytes + more > bytes_max) break;
    bytes += more;
    out.push_back(std::move(*places));
    if (end_of(out.back().back().frame) < end_of(move.part)) break;
  }
  return out;
}

// With mutex_ held. False: it cannot be read now.
bool Rewriter::load() {
  std::vector<std::vector<journal::Place>> places = places_of_piece();
  if (places.empty()) return false;
  std::size_t size = 0;
  Piece piece;
  for (const auto& of_part : places) {
    storage_->journal().will_read(of_part);
    for (const journal::Place& place : of_part) size += place.frame.length;
  }
  piece.bytes = storage_->cold_memory(size);
  if (!piece.bytes) return false;
  std::span<char> to(piece.bytes.get(), size);
  for (const auto& of_part : places) {
    std::size_t whole = 0, filled = 0;
    for (const journal::Place& place : of_part) filled += place.frame.length;
    if (auto read = storage_->journal().read(of_part, to.first(filled), &whole); !read) {
      if (!piece.frames.empty()) break;  // what comes before it is moved, and then it is come to again
      // It stays where it is, for whoever repairs the file; the next sweep comes to other files.
      if (read.error().code == journal::Errc::damaged) storage_->leave_alone(moves_.front().part.file);
      logging::warn("records are not moved out of a file", {{"error", read.error().detail}});
      return false;
    }
    const std::size_t before = piece.frames.size();
    put_together(of_part, piece.frames);
    const char* at = to.data();
    for (std::size_t i = before; i < piece.frames.size(); ++i) {
      journal::Frame& frame = piece.frames[i];
      if (any_sealed({at, frame.length})) frame.flags |= journal::kSealFlag;
      at += frame.length;
    }
    to = to.subspan(filled);
  }
  piece_ = std::move(piece);
  return true;
}

bool Rewriter::gather(journal::Batch& batch) {
  std::lock_guard lock(mutex_);
  in_flight_ = piece_.bytes;
  const char* at = piece_.bytes.get();
  for (const journal::Frame& frame : piece_.frames) {
    const std::array<ByteView, 1> payload{ByteView(at, frame.length)};
    at += frame.length;
    batch.add(frame, payload);
  }
  return false;
}

void Rewriter::settled(const journal::Result<>& outcome, std::span<const journal::Lsn> places) noexcept {
  in_flight_.reset();
  if (!outcome) return give_up();
  {
    std::lock_guard lock(mutex_);
    const Piece piece = std::exchange(piece_, {});
    if (moves_.empty() || piece.frames.size() != places.size()) return;  // given up meanwhile
    for (std::size_t i = 0; i < piece.frames.size(); ++i) {
      add_to(piece.frames[i], places[i]);
      storage_->count_rewritten(piece.frames[i].length);
      next_ = end_of(piece.frames[i]);
      if (next_ < end_of(moves_.front().part)) continue;
      unsynced_.push_back({std::move(moves_.front()), std::exchange(written_, {}), journal::Lsn{places[i].get() + 1}});
      moves_.pop_front();
      if (!moves_.empty()) next_ = moves_.front().part.base;
    }
  }
  pause();
}

// With mutex_ held.
void Rewriter::add_to(const journal::Frame& frame, journal::Lsn place) {
  const journal::Generation file = journal::generation_of(place);
  if (!written_.empty() && written_.back().file == file && end_of(written_.back()) == frame.base) {
    journal::Part& last = written_.back();
    last.count += frame.count;
    last.last_ms = frame.last_ms;
    last.bytes += frame.length;
    storage_->grow(file, frame.length);
    return;
  }
  storage_->use(file, frame.length);
  written_.push_back(
      {file, frame.log, frame.epoch, frame.base, frame.count, frame.first_ms, frame.last_ms, frame.length});
}

}  // namespace millrace::log
