#include "log/local_log.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstddef>
#include <string>

#include "log/first_of_epoch.hpp"
#include "millrace/base/log.hpp"

namespace millrace::log {
namespace {

Error error(Errc code) { return {code, {}}; }

/// The smallest block for a batch: a power of two of granules, or exact when one record needs more than the largest
/// chunk.
std::size_t block_bytes(std::size_t batch_bytes) noexcept {
  return batch_bytes > kChunkBytesMax ? batch_bytes : std::max(std::bit_ceil(batch_bytes), kGranuleBytes);
}

/// Sets every record's arrival time; returns the bytes of data.
std::uint64_t stamp(const BatchView& batch, std::int64_t arrival_ms) noexcept {
  std::uint64_t data_bytes = 0;
  std::uint32_t at = 0;
  for (const std::uint32_t end : batch.ends) {
    RecordHead head;
    std::memcpy(&head, batch.bytes + at, sizeof head);
    std::memcpy(batch.bytes + at, &arrival_ms, sizeof arrival_ms);
    data_bytes += head.data_bytes;
    at = end;
  }
  return data_bytes;
}
static_assert(offsetof(RecordHead, arrival_ms) == 0);

/// What a frame of these records says of them; and their bytes of data.
journal::Frame frame_of(ByteView records, std::uint64_t count, std::uint64_t& data_bytes) noexcept {
  journal::Frame frame;
  frame.count = static_cast<std::uint32_t>(count);
  RecordView record{};
  const char* at = records.data();
  for (std::uint64_t i = 0; i < count; ++i) {
    at = read_record(at, record);
    if (i == 0) frame.first_ms = record.arrival_ms;
    data_bytes += record.data.size();
    if (record.flags & kSealedRecord) frame.flags |= journal::kSealFlag;
  }
  frame.last_ms = record.arrival_ms;
  return frame;
}

constexpr std::size_t kPartsAtOnce = 4;     // that one read of files looks into
constexpr int kColdLooksMax = 64;           // that came upon nothing, before a read gives up
constexpr std::size_t kEpochEndsKept = 64;  // for tickets that are still asked about

}  // namespace

LocalLog::LocalLog(LogId id, const LogOptions& options, Clock& clock, std::shared_ptr<Storage> storage,
                   std::weak_ptr<Expiry> expiry)
    : id_(id),
      clock_(clock),
      storage_(std::move(storage)),
      expiry_(std::move(expiry)),
      horizon_(options.first.get()),
      retention_ms_(options.retention.count()),
      counted_from_(options.first.get()),
      gather_cursor_(options.first.get()),
      tail_(options.first.get()),
      committed_(options.first.get()) {}

void LocalLog::restore(std::vector<journal::Part> parts, Epoch epoch, Position first) {
  std::uint64_t records = 0, bytes = 0;
  for (const journal::Part& part : parts) {
    records += part.count;
    bytes += part.bytes;
  }
  std::lock_guard tail(tail_mutex_);
  std::lock_guard lock(list_mutex_);
  if (!parts.empty()) {
    horizon_ = parts.front().base;
    newest_arrival_.store(parts.back().last_ms, std::memory_order_relaxed);
    committed_arrival_.store(parts.back().last_ms, std::memory_order_relaxed);
  } else {
    horizon_ = first.get();
  }
  parts_.assign(parts.begin(), parts.end());
  epoch_.store(epoch.get(), std::memory_order_relaxed);
  counted_from_ = first.get() - records;
  gather_cursor_ = first.get();
  tail_.store(first.get(), std::memory_order_relaxed);
  committed_.store(first.get(), std::memory_order_relaxed);
  stored_bytes_total_.store(bytes, std::memory_order_relaxed);
  // What is data and what is key was counted by the life before; it was for that life's readers.
  data_bytes_total_.store(bytes - records * sizeof(RecordHead), std::memory_order_relaxed);
}

Result<Staged> LocalLog::stage(Epoch epoch, const BatchView& batch, std::optional<Position> expected) {
  assert(!batch.ends.empty());
  if (epoch.get() != epoch_.load(std::memory_order_relaxed)) return error(Errc::stale_epoch);
  if (ended_.load(std::memory_order_relaxed)) return error(Errc::ended);
  const bool durable = this->durable();
  if (durable && storage_->journal().full()) return error(Errc::full);
  const std::size_t size = batch.size();
  const auto count = static_cast<std::uint32_t>(batch.ends.size());
  // Stamped before the lock with what will nearly always be right; a batch that came in between corrects it.
  std::int64_t arrival = std::max(now_ms(), newest_arrival_.load(std::memory_order_relaxed));
  const std::uint64_t data_bytes = stamp(batch, arrival);

  std::shared_ptr<Chunk> fresh;  // in hand before the lock; given back after it when not needed
  std::shared_ptr<Chunk> closed;
  std::uint64_t first = 0, stored = 0;
  for (;;) {
    if (!fresh && size > room_.load(std::memory_order_relaxed)) {
      fresh = make_chunk(size);
      if (!fresh) return error(ended_.load(std::memory_order_relaxed) ? Errc::ended : Errc::full);
    }
    std::lock_guard lock(tail_mutex_);
    if (ended_.load(std::memory_order_relaxed)) return error(Errc::ended);
    if (epoch.get() != epoch_.load(std::memory_order_relaxed)) return error(Errc::stale_epoch);
    first = tail_.load(std::memory_order_relaxed);
    if (expected && expected->get() != first) return error(Errc::conflict);
    const std::uint32_t room = room_.load(std::memory_order_relaxed);
    if (size > room && !fresh) continue;

    if (const std::int64_t newest = newest_arrival_.load(std::memory_order_relaxed); newest > arrival) {
      arrival = newest;
      stamp(batch, arrival);
    }
    if (size <= room) {
      tail_chunk_->append(batch.bytes, size, batch.ends, 0, arrival);
      room_.store(room - static_cast<std::uint32_t>(size), std::memory_order_relaxed);
    } else {
      const auto here =
          static_cast<std::size_t>(std::upper_bound(batch.ends.begin(), batch.ends.end(), room) - batch.ends.begin());
      const std::uint32_t bytes_here = here ? batch.ends[here - 1] : 0;
      if (here) tail_chunk_->append(batch.bytes, bytes_here, batch.ends.first(here), 0, arrival);
      const std::uint64_t base = first + here;
      Chunk& next = *fresh;
      next.set_base(base);
      next.append(batch.bytes + bytes_here, size - bytes_here, batch.ends.subspan(here), bytes_here, arrival);
      {
        std::lock_guard list(list_mutex_);
        if (!chunks_.empty()) closed = chunks_.back();
        chunks_.push_back(std::move(fresh));
      }
      tail_chunk_ = &next;
      room_.store(next.capacity() - static_cast<std::uint32_t>(size - bytes_here), std::memory_order_relaxed);
      if (next.capacity() <= kChunkBytesMax) {  // a single large record says nothing about what comes
        next_chunk_bytes_.store(
            static_cast<std::uint32_t>(std::min<std::size_t>(next.capacity() * std::size_t{2}, kChunkBytesMax)),
            std::memory_order_relaxed);
      }
    }
    newest_arrival_.store(arrival, std::memory_order_relaxed);
    if (durable) {
      tail_.store(first + count, std::memory_order_release);
      break;
    }
    data_bytes_total_.store(data_bytes_total_.load(std::memory_order_relaxed) + data_bytes, std::memory_order_relaxed);
    tail_.store(first + count, std::memory_order_release);
    stored = stored_bytes_total_.load(std::memory_order_relaxed) + size;
    stored_bytes_total_.store(stored, std::memory_order_seq_cst);  // before the look at the waiters' marks
    break;
  }
  if (closed) {
    closed->close();
    if (storage_->may_have_files()) storage_->chunk_closed(shared_from_this(), closed->base());
  }
  Ticket ticket{id_, epoch, Position{first + count}, !durable, 0, nullptr};
  if (durable) {
    ticket.holder = shared_from_this();
    ticket.turn = storage_->journal().announce(shared_from_this(), size);
  } else if (waiters_.due(stored)) {
    waiters_.wake(stored);
  }
  return Staged{Position{first}, arrival, std::move(ticket)};
}

std::shared_ptr<Chunk> LocalLog::make_chunk(std::size_t batch_bytes) {
  const std::size_t least = block_bytes(batch_bytes);
  const std::size_t wanted = std::max<std::size_t>(least, next_chunk_bytes_.load(std::memory_order_relaxed));
  ChunkPool& pool = storage_->pool();
  storage_->make_room(wanted);
  Block block = pool.allocate(wanted);
  if (!block) {
    if (const auto expiry = expiry_.lock()) expiry->expire_all();
    block = pool.allocate(wanted);
    if (!block && least < wanted) block = pool.allocate(least);  // the last of the budget
    if (!block) {
      pool.tell_refused(now_ms());
      return nullptr;
    }
  }
  auto chunk = std::make_shared<Chunk>(std::move(block), batch_bytes > kChunkBytesMax ? batch_bytes : kChunkBytesMax);
  // Room in the list for this chunk and those that other threads have in hand.
  std::lock_guard lock(list_mutex_);
  chunks_.reserve(8);
  return chunk;
}

std::optional<Result<>> LocalLog::outcome(const Ticket& ticket) const {
  // In this order: what a later epoch has committed is only seen together with that epoch.
  const std::uint64_t committed = committed_.load(std::memory_order_acquire);
  if (epoch_.load(std::memory_order_acquire) == ticket.epoch.get()) {
    if (committed >= ticket.end.get()) return Result<>{};
    if (removed_.load(std::memory_order_acquire)) return Result<>{error(Errc::not_found)};
    return std::nullopt;
  }
  std::lock_guard lock(list_mutex_);
  for (const EpochEnd& past : epoch_ends_)
    if (past.epoch == ticket.epoch.get() && ticket.end.get() <= past.end) return Result<>{};
  return Result<>{Error{Errc::write_failed, "log " + std::to_string(id_.get())}};
}

bool LocalLog::gather(journal::Batch& batch) {
  std::vector<std::shared_ptr<Chunk>> chunks;
  {
    std::lock_guard lock(list_mutex_);
    if (removed_.load(std::memory_order_relaxed) || chunks_.empty()) return false;
    for (std::size_t i = chunk_holding(gather_cursor_); i < chunks_.size(); ++i) chunks.push_back(chunks_[i]);
  }
  for (std::shared_ptr<Chunk>& chunk : chunks) {
    const Chunk::Published seen = chunk->published();
    const std::uint64_t from = std::max(gather_cursor_, chunk->base()), end = chunk->base() + seen.count;
    if (from >= end) continue;
    if (batch.full()) return true;
    const auto index = static_cast<std::uint32_t>(from - chunk->base());
    const std::uint32_t offset = index ? chunk->offset_of(index) : 0;
    const std::array<ByteView, 1> payload{ByteView(chunk->bytes() + offset, seen.bytes - offset)};
    Gathered gathered;
    gathered.frame = frame_of(payload[0], end - from, gathered.data_bytes);
    gathered.frame.log = id_.get();
    gathered.frame.epoch = epoch_.load(std::memory_order_relaxed);
    gathered.frame.base = from;
    gathered.bytes = payload[0].size();
    gathered.chunk = std::move(chunk);
    batch.add(gathered.frame, payload);
    gathered_.push_back(std::move(gathered));
    gather_cursor_ = end;
  }
  return false;
}

void LocalLog::settled(const journal::Result<>& outcome, std::span<const journal::Lsn> places) noexcept {
  if (!outcome) {
    gathered_.clear();
    fail(outcome.error());
    return;
  }
  if (gathered_.empty()) return;
  storage_->count_success();
  std::uint64_t stored = 0;
  {
    std::lock_guard lock(list_mutex_);
    if (!removed_.load(std::memory_order_relaxed)) {
      std::uint64_t bytes = 0, data_bytes = 0;
      for (std::size_t i = 0; i < gathered_.size(); ++i) {
        const Gathered& gathered = gathered_[i];
        add_part(gathered.frame, gathered.bytes, places[i]);
        bytes += gathered.bytes;
        data_bytes += gathered.data_bytes;
      }
      committed_arrival_.store(gathered_.back().frame.last_ms, std::memory_order_relaxed);
      data_bytes_total_.store(data_bytes_total_.load(std::memory_order_relaxed) + data_bytes,
                              std::memory_order_relaxed);
      committed_.store(gather_cursor_, std::memory_order_release);
      stored = stored_bytes_total_.load(std::memory_order_relaxed) + bytes;
      stored_bytes_total_.store(stored, std::memory_order_seq_cst);  // before the look at the waiters' marks
    }
  }
  gathered_.clear();
  if (waiters_.due(stored)) waiters_.wake(stored);
}

// Nothing that was staged and is not committed will ever be: it is as if it had not been staged. Positions are not
// given again, and the next ones belong to the file that the journal goes on in.
void LocalLog::fail(const journal::Error& failed) {
  storage_->count_failure();
  std::vector<std::shared_ptr<Chunk>> dropped;
  std::uint64_t lost = 0;
  {
    std::lock_guard tail(tail_mutex_);
    std::lock_guard lock(list_mutex_);
    const std::uint64_t committed = committed_.load(std::memory_order_relaxed);
    const std::uint64_t staged = tail_.load(std::memory_order_relaxed);
    lost = staged - committed;
    while (!chunks_.empty() && chunks_.back()->base() >= committed) dropped.push_back(chunks_.pop_back());
    if (!chunks_.empty() && chunks_.back()->end() > committed)
      chunks_.back()->cut(static_cast<std::uint32_t>(committed - chunks_.back()->base()));
    tail_chunk_ = nullptr;
    room_.store(0, std::memory_order_relaxed);
    const std::uint64_t epoch = epoch_.load(std::memory_order_relaxed),
                        next_file = storage_->journal().generation().get();
    const std::uint64_t first = std::max(staged, first_of_epoch(committed, next_file));
    epoch_ends_.push_back({epoch, committed});
    if (epoch_ends_.size() > kEpochEndsKept) epoch_ends_.pop_front();
    counted_from_ += first - committed;
    gather_cursor_ = first;
    tail_.store(first, std::memory_order_relaxed);
    epoch_.store(std::max(epoch + 1, next_file), std::memory_order_release);
    committed_.store(first, std::memory_order_release);
  }
  logging::error("records could not be written and were refused",
                 {{"log", id_.get()}, {"records", lost}, {"error", failed.detail}});
}

Evicted LocalLog::evict_front(std::uint64_t base) {
  std::shared_ptr<Chunk> evicted;
  std::lock_guard lock(list_mutex_);
  if (chunks_.empty() || chunks_.front()->base() > base) return Evicted::nothing;
  if (chunks_.front()->end() > committed_.load(std::memory_order_relaxed)) return Evicted::not_yet;
  evicted = chunks_.pop_front();
  return Evicted::yes;
}

Spilled LocalLog::spill_next(std::uint64_t base) {
  Spilled out;
  {
    std::lock_guard lock(list_mutex_);
    if (chunks_.empty() || removed_.load(std::memory_order_relaxed)) return out;
    std::size_t i = chunk_holding(std::max(spill_cursor_, chunks_.front()->base()));
    if (chunks_[i]->end() <= spill_cursor_) ++i;
    if (i == chunks_.size() || chunks_[i]->base() > base) return out;
    out.chunk = chunks_[i];
    spill_cursor_ = out.chunk->end();
  }
  const Chunk::Published seen = out.chunk->published();
  std::uint64_t data_bytes = 0;
  out.payload = {out.chunk->bytes(), seen.bytes};
  out.frame = frame_of(out.payload, seen.count, data_bytes);
  out.frame.log = id_.get();
  out.frame.epoch = epoch_.load(std::memory_order_relaxed);
  out.frame.base = out.chunk->base();
  return out;
}

void LocalLog::spilled(const Spilled& spilled, journal::Lsn place) {
  std::shared_ptr<Chunk> moved;
  std::lock_guard lock(list_mutex_);
  if (chunks_.empty() || chunks_.front() != spilled.chunk) return;  // expired meanwhile
  moved = chunks_.pop_front();
  add_part(spilled.frame, spilled.payload.size(), place);
}

void LocalLog::not_spilled() {
  std::lock_guard lock(list_mutex_);
  spill_cursor_ = 0;
}

bool LocalLog::close_tail() {
  std::shared_ptr<Chunk> closed;
  {
    std::lock_guard tail(tail_mutex_);
    if (!tail_chunk_) return false;
    std::lock_guard lock(list_mutex_);
    tail_chunk_ = nullptr;
    room_.store(0, std::memory_order_relaxed);
    next_chunk_bytes_.store(kGranuleBytes, std::memory_order_relaxed);
    closed = chunks_.back();
  }
  closed->close();
  storage_->chunk_closed(shared_from_this(), closed->base());
  return true;
}

std::uint64_t LocalLog::tip() const noexcept {
  if (durable()) return committed_.load(std::memory_order_acquire);
  const std::uint64_t tail = tail_.load(std::memory_order_acquire);
  return chunks_.empty() ? tail : std::max(tail, chunks_.back()->end());
}

Chunk::Published LocalLog::readable(const Chunk& chunk) const noexcept {
  Chunk::Published seen = chunk.published();
  if (!durable()) return seen;
  const std::uint64_t committed = committed_.load(std::memory_order_relaxed);
  if (chunk.base() + seen.count <= committed) return seen;
  const auto count = static_cast<std::uint32_t>(committed - std::min(committed, chunk.base()));
  return {count, count ? chunk.offset_of(count) : 0};
}

std::uint64_t LocalLog::readable_end() const noexcept {
  if (!durable()) return tip();
  const std::uint64_t in_files = parts_.empty() ? 0 : parts_.back().base + parts_.back().count;
  if (chunks_.empty()) return in_files;
  const Chunk& last = *chunks_.back();
  return std::max(in_files, last.base() + readable(last).count);
}

std::uint64_t LocalLog::memory_begin() const noexcept { return chunks_.empty() ? UINT64_MAX : chunks_.front()->base(); }

void LocalLog::add_part(const journal::Frame& frame, std::uint64_t bytes, journal::Lsn place) {
  const journal::Generation file = journal::generation_of(place);
  if (!parts_.empty()) {
    journal::Part& last = parts_.back();
    if (last.file == file && last.epoch == frame.epoch && last.base + last.count == frame.base) {
      last.count += frame.count;
      last.last_ms = frame.last_ms;
      last.bytes += bytes;
      storage_->grow(file, bytes);
      return;
    }
  }
  storage_->use(file, bytes);
  parts_.push_back({file, frame.log, frame.epoch, frame.base, frame.count, frame.first_ms, frame.last_ms, bytes});
}

std::size_t LocalLog::chunk_holding(std::uint64_t position) const noexcept {
  std::size_t low = 0, high = chunks_.size() - 1;
  while (low < high) {
    const std::size_t middle = (low + high + 1) / 2;
    if (chunks_[middle]->base() <= position) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

std::size_t LocalLog::part_holding(std::uint64_t position) const noexcept {
  const auto ends_behind = [position](const journal::Part& part) { return part.base + part.count <= position; };
  return static_cast<std::size_t>(std::partition_point(parts_.begin(), parts_.end(), ends_behind) - parts_.begin());
}

LocalLog::Found LocalLog::position_at(std::int64_t arrival_ms) const noexcept {
  const std::uint64_t end = tip();
  const bool in_memory = !chunks_.empty() && readable(*chunks_.front()).count > 0;
  if (!parts_.empty() && !(in_memory && chunks_.front()->first_arrival() < arrival_ms)) {
    const auto too_old = [arrival_ms](const journal::Part& part) { return part.last_ms < arrival_ms; };
    const auto part = std::partition_point(parts_.begin(), parts_.end(), too_old);
    if (part != parts_.end() && part->base < memory_begin()) return {part->base, part->first_ms >= arrival_ms};
  }
  if (!in_memory) return {end};
  if (chunks_.front()->first_arrival() >= arrival_ms) return {chunks_.front()->base()};
  std::size_t low = 0, high = chunks_.size() - 1;
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (chunks_[middle]->last_arrival() < arrival_ms) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  const Chunk& chunk = *chunks_[low];
  const Chunk::Published seen = readable(chunk);
  const std::uint32_t index = chunk.first_at_or_after(arrival_ms, seen);
  if (index < seen.count) return {chunk.base() + index};
  // Behind the last one that can be read of this chunk: the next one begins there, or after a jump, or there is none.
  const bool last = low + 1 == chunks_.size() || readable(*chunks_[low + 1]).count == 0;
  return {last ? end : chunks_[low + 1]->base()};
}

LocalLog::Found LocalLog::horizon_at(std::int64_t now) const noexcept {
  const Found found = position_at(now - retention_ms_);
  if (found.position >= horizon_) return found;
  return {horizon_, found.exact};
}

LocalLog::Look LocalLog::look(const ReadRequest& request) const {
  Look out;
  ReadBatch& batch = out.batch;
  const bool ended = ended_.load(std::memory_order_acquire);  // before the records: nothing comes after those then seen
  const std::int64_t now = now_ms();
  std::uint64_t from = 0;
  std::int64_t hidden_before = 0;
  if (request.from.get() < tail_.load(std::memory_order_relaxed)) batch.runs.reserve(4);
  {
    std::lock_guard lock(list_mutex_);
    hidden_before = now - retention_ms_;
    batch.horizon = Position{horizon_at(now).position};
    batch.tip = Position{tip()};
    out.readable_end = readable_end();
    from = std::max(request.from, batch.horizon).get();
    if (!parts_.empty() && from < memory_begin()) {
      const std::size_t first = part_holding(from);
      for (std::size_t i = first; i < parts_.size() && i < first + kPartsAtOnce && parts_[i].base < memory_begin();
           ++i) {
        if (!out.cold) out.cold.emplace();
        out.cold->parts.push_back(parts_[i]);
      }
    }
    if (!out.cold) reference_chunks(request, from, batch);
  }
  if (out.cold) {
    out.cold->from = from;
    out.cold->hidden_before_ms = hidden_before;
    out.cold->records_max = std::max<std::size_t>(request.records_max, 1);
    out.cold->bytes_max = request.bytes_max;
    return out;
  }
  trim_runs(request, from, batch);
  finish(batch, out.readable_end, ended);
  return out;
}

// References only; how much of them fits is found out without the lock. All but the first count in full.
void LocalLog::reference_chunks(const ReadRequest& request, std::uint64_t from, ReadBatch& batch) const {
  if (chunks_.empty() || from >= chunks_.back()->end()) return;
  const std::size_t records_max = std::max<std::size_t>(request.records_max, 1);
  std::size_t records = 0, bytes = 0;
  for (std::size_t i = chunk_holding(from); i < chunks_.size() && records < records_max && bytes <= request.bytes_max;
       ++i) {
    const std::shared_ptr<Chunk>& chunk = chunks_[i];
    const Chunk::Published seen = readable(*chunk);
    const std::uint64_t skipped = from > chunk->base() ? from - chunk->base() : 0;
    if (skipped >= seen.count) {
      if (seen.count == 0) return;
      continue;  // `from` is in the gap between two epochs
    }
    if (!batch.runs.empty()) bytes += seen.bytes - seen.count * sizeof(RecordHead);
    records += seen.count - skipped;
    batch.runs.push_back({chunk, Position{chunk->base()}, seen.count, {chunk->bytes(), seen.bytes}});
  }
}

void LocalLog::trim_runs(const ReadRequest& request, std::uint64_t from, ReadBatch& batch) {
  std::size_t records_left = std::max<std::size_t>(request.records_max, 1);
  std::size_t bytes_left = request.bytes_max;
  std::uint64_t next = from;
  std::size_t used = 0;
  for (RecordRun& run : batch.runs) {
    const Chunk& chunk = *static_cast<const Chunk*>(run.owner.get());
    const Chunk::Published seen{run.count, static_cast<std::uint32_t>(run.bytes.size())};
    next = std::max(next, run.first.get());
    const auto index = static_cast<std::uint32_t>(next - run.first.get());
    const std::uint32_t offset = index ? chunk.offset_of(index) : 0;
    const Chunk::Taken taken = chunk.take(seen, index, offset, records_left, bytes_left, used == 0);
    if (taken.records == 0) break;
    run = {std::move(run.owner), Position{next}, taken.records, {chunk.bytes() + offset, taken.bytes}};
    ++used;
    next += taken.records;
    batch.records += taken.records;
    records_left -= taken.records;
    const std::size_t payload = taken.bytes - taken.records * sizeof(RecordHead);
    bytes_left -= std::min(bytes_left, payload);
    if (records_left == 0 || index + taken.records < seen.count) break;
  }
  batch.runs.resize(used);
  batch.next = Position{next};
}

void LocalLog::finish(ReadBatch& batch, std::uint64_t readable_end, bool ended) const {
  const bool durable = this->durable();
  const std::uint64_t tail = tail_.load(std::memory_order_acquire);
  const std::uint64_t committed = durable ? committed_.load(std::memory_order_acquire) : tail;
  const std::uint64_t tip = std::max({committed, batch.horizon.get(), batch.records ? batch.next.get() : 0});
  // Over the gap between the last record and the epoch that has none yet.
  if (durable && batch.next.get() >= readable_end) batch.next = std::max(batch.next, batch.tip);
  if (ended && committed == tail && batch.next.get() >= tip) {
    batch.next = Position{tip};
    batch.ended = true;
  }
  batch.tip = Position{tip};
  batch.tip_arrival_ms = (durable ? committed_arrival_ : newest_arrival_).load(std::memory_order_relaxed);
}

awaitable<Result<std::optional<ReadBatch>>> LocalLog::read_files(ColdRequest request, bool last_look,
                                                                 std::uint64_t& from) {
  const bool ended = ended_.load(std::memory_order_acquire);
  ColdRecords got;
  auto work = [&] { got = read_cold(*storage_, request); };
  co_await storage_->threads().run(work);
  ReadBatch batch;
  std::uint64_t end = 0;
  {
    std::lock_guard lock(list_mutex_);
    if (got.horizon) horizon_ = std::max(horizon_, *got.horizon);
    batch.horizon = Position{horizon_at(now_ms()).position};
    batch.tip = Position{tip()};
    end = readable_end();
  }
  from = std::max(from, got.next);
  if (got.records > 0) {
    batch.runs = std::move(got.runs);
    batch.records = got.records;
    batch.next = Position{got.next};
    finish(batch, end, ended);
    co_return std::optional(std::move(batch));
  }
  if (got.error && (got.error->code != Errc::not_found || last_look)) {
    // A file that stays listed and is gone is no longer one that was dropped meanwhile.
    if (last_look) got.error->code = Errc::damaged;
    co_return std::move(*got.error);
  }
  co_return std::optional<ReadBatch>();
}

awaitable<Result<ReadBatch>> LocalLog::read(ReadRequest request) {
  const auto self = shared_from_this();
  WakeUp wake;
  for (int cold_looks = 0;;) {
    const std::uint64_t stored = stored_bytes_total_.load(std::memory_order_seq_cst);
    if (removed_.load(std::memory_order_acquire)) co_return error(Errc::not_found);
    Look seen = look(request);
    if (seen.cold) {
      std::uint64_t from = seen.cold->from;
      auto page = co_await read_files(std::move(*seen.cold), ++cold_looks > kColdLooksMax, from);
      if (!page) co_return page.error();
      if (*page) co_return std::move(**page);
      // Nothing that is shown was there, or it went while it was sought.
      request.from = Position{from};
      continue;
    }
    ReadBatch& batch = seen.batch;
    if (batch.records || batch.ended || request.wait_until <= clock_.now()) co_return std::move(batch);
    if (request.stop.stop_requested()) co_return error(Errc::stopped);
    Waiters::Registration registration(waiters_, stored + 1, wake);
    if (stored_bytes_total_.load(std::memory_order_seq_cst) != stored || over()) continue;
    const WakeUp::Why why = co_await wake.wait(clock_, request.wait_until, request.stop);
    if (why == WakeUp::Why::stopped) co_return error(Errc::stopped);
  }
}

awaitable<Result<bool>> LocalLog::wait_stored(std::uint64_t stored_bytes_total, TimePoint deadline,
                                              std::stop_token stop) {
  const auto self = shared_from_this();
  const auto reached = [this, stored_bytes_total] {
    return stored_bytes_total_.load(std::memory_order_seq_cst) >= stored_bytes_total || over();
  };
  WakeUp wake;
  for (;;) {
    if (reached()) co_return true;
    if (deadline <= clock_.now()) co_return false;
    if (stop.stop_requested()) co_return error(Errc::stopped);
    Waiters::Registration registration(waiters_, stored_bytes_total, wake);
    if (reached()) co_return true;
    const WakeUp::Why why = co_await wake.wait(clock_, deadline, stop);
    if (why == WakeUp::Why::stopped) co_return error(Errc::stopped);
  }
}

awaitable<Result<Position>> LocalLog::seek(TimePoint at) {
  const auto self = shared_from_this();
  for (int looks = 0; looks <= kColdLooksMax; ++looks) {
    if (removed_.load(std::memory_order_acquire)) co_return error(Errc::not_found);
    std::int64_t sought = at.time_since_epoch().count();
    std::optional<journal::Part> part;
    {
      std::lock_guard lock(list_mutex_);
      sought = std::max(sought, now_ms() - retention_ms_);
      const Found found = position_at(sought);
      if (found.exact) co_return Position{std::max(horizon_, found.position)};
      part = parts_[part_holding(found.position)];
    }
    Result<std::uint64_t> position = error(Errc::not_found);
    auto work = [&] { position = seek_cold(*storage_, *part, sought); };
    co_await storage_->threads().run(work);
    if (position) {
      std::lock_guard lock(list_mutex_);
      co_return Position{std::max(horizon_, *position)};
    }
    if (position.error().code != Errc::not_found) co_return position.error();
  }
  co_return Error{Errc::damaged, "log " + std::to_string(id_.get())};
}

Progress LocalLog::progress() const noexcept {
  Progress p{};
  std::lock_guard tail(tail_mutex_);  // tip and totals are of one moment: who counts on from them misses no record
  p.ended = over();                   // before the tip: nothing comes after that
  std::lock_guard lock(list_mutex_);
  const std::uint64_t horizon = horizon_at(now_ms()).position;
  const std::uint64_t tip = std::max(this->tip(), horizon);
  p.horizon = Position{horizon};
  p.tip = Position{tip};
  p.tip_arrival_ms = (durable() ? committed_arrival_ : newest_arrival_).load(std::memory_order_relaxed);
  p.records_total = tip - counted_from_;
  p.data_bytes_total = data_bytes_total_.load(std::memory_order_relaxed);
  p.stored_bytes_total = stored_bytes_total_.load(std::memory_order_relaxed);
  p.stored_bytes = p.stored_bytes_total - std::min(dropped_bytes_, p.stored_bytes_total);
  return p;
}

bool LocalLog::droppable(const Chunk& chunk, std::int64_t cutoff_ms) const noexcept {
  if (durable() && chunk.end() > committed_.load(std::memory_order_relaxed)) return false;
  return chunk.last_arrival() < cutoff_ms || chunk.end() <= horizon_;
}

void LocalLog::drop_front(Dropped& dropped) {
  std::shared_ptr<Chunk> chunk = chunks_.pop_front();
  horizon_ = std::max(horizon_, chunk->end());
  if (!durable()) dropped_bytes_ += chunk->published().bytes;
  dropped.chunks.push_back(std::move(chunk));
}

void LocalLog::drop_parts(std::int64_t cutoff_ms, Dropped& dropped) {
  while (!parts_.empty()) {
    const journal::Part& part = parts_.front();
    const std::uint64_t end = part.base + part.count;
    if (part.last_ms >= cutoff_ms && end > horizon_) return;
    horizon_ = std::max(horizon_, end);
    dropped_bytes_ += part.bytes;
    dropped.parts.push_back(part);
    parts_.pop_front();
  }
}

void LocalLog::drop_unreadable(std::int64_t now) {
  Dropped dropped;  // chunks end after the locks: memory goes back outside them
  bool tail_too = false;
  {
    std::lock_guard lock(list_mutex_);
    const std::int64_t cutoff = now - retention_ms_;
    drop_parts(cutoff, dropped);
    while (chunks_.size() > 1 && droppable(*chunks_.front(), cutoff)) drop_front(dropped);
    tail_too = chunks_.size() == 1 && droppable(*chunks_.front(), cutoff);
  }
  if (tail_too) {
    // The tail chunk may be written to: only its writers' lock says that nothing is being added.
    dropped.chunks.reserve(dropped.chunks.size() + 4);
    std::lock_guard tail(tail_mutex_);
    std::lock_guard lock(list_mutex_);
    const std::int64_t cutoff = now - retention_ms_;
    while (!chunks_.empty() && droppable(*chunks_.front(), cutoff)) drop_front(dropped);
    if (chunks_.empty()) {
      tail_chunk_ = nullptr;
      room_.store(0, std::memory_order_relaxed);
      next_chunk_bytes_.store(kGranuleBytes, std::memory_order_relaxed);
    }
  }
  if (!dropped.parts.empty()) storage_->unuse(dropped.parts);
}

std::vector<journal::Part> LocalLog::parts_in(journal::Generation file) const {
  std::vector<journal::Part> out;
  std::lock_guard lock(list_mutex_);
  for (const journal::Part& part : parts_)
    if (part.file == file) out.push_back(part);
  return out;
}

void LocalLog::moved(const journal::Part& from, std::span<const journal::Part> to) {
  std::span<const journal::Part> unwanted = to;
  {
    std::lock_guard lock(list_mutex_);
    const auto at = std::find(parts_.begin(), parts_.end(), from);
    if (at != parts_.end()) {
      parts_.insert(parts_.erase(at), to.begin(), to.end());
      unwanted = {&from, 1};
    }
  }
  storage_->unuse(unwanted);
}

std::int64_t LocalLog::expire() {
  const std::int64_t now = now_ms();
  drop_unreadable(now);
  std::lock_guard lock(list_mutex_);
  const std::int64_t oldest = !parts_.empty()    ? parts_.front().last_ms
                              : !chunks_.empty() ? chunks_.front()->last_arrival()
                                                 : now;
  // Expired is what is older than the retention, not what is as old; saturating for retentions without end.
  return retention_ms_ > INT64_MAX - std::max<std::int64_t>(oldest, 0) - 1 ? INT64_MAX : oldest + retention_ms_ + 1;
}

void LocalLog::set_retention(std::chrono::milliseconds retention) {
  const std::int64_t now = now_ms();
  {
    std::lock_guard lock(list_mutex_);
    horizon_ = horizon_at(now).position;
    retention_ms_ = retention.count();
    horizon_ = horizon_at(now).position;
  }
  drop_unreadable(now);
  if (const auto expiry = expiry_.lock()) expiry->reconsider(id_);
}

awaitable<Result<>> LocalLog::trim(Position position) {
  if (removed_.load(std::memory_order_acquire)) co_return error(Errc::not_found);
  {
    std::lock_guard lock(list_mutex_);
    horizon_ = std::max(horizon_, std::min(position.get(), tip()));
  }
  drop_unreadable(now_ms());
  co_return Result<>{};
}

std::uint64_t LocalLog::end_now() {
  std::shared_ptr<Chunk> last;
  std::uint64_t position = 0;
  {
    std::lock_guard tail(tail_mutex_);
    position = tail_.load(std::memory_order_relaxed);
    if (ended_.exchange(true, std::memory_order_seq_cst)) return position;
    tail_chunk_ = nullptr;
    room_.store(0, std::memory_order_relaxed);
    std::lock_guard lock(list_mutex_);
    if (!chunks_.empty()) last = chunks_.back();
  }
  waiters_.wake_all();
  if (last) last->close();
  return position;
}

awaitable<Result<Position>> LocalLog::end(Epoch epoch) {
  if (epoch.get() != epoch_.load(std::memory_order_acquire)) co_return error(Errc::stale_epoch);
  const auto self = shared_from_this();
  std::uint64_t position = end_now();
  if (!durable()) co_return Position{position};
  // What is staged comes before the end, or is lost and does not.
  while (!removed_.load(std::memory_order_acquire)) {
    position = committed_.load(std::memory_order_acquire);
    if (position == tail_.load(std::memory_order_acquire)) break;
    co_await storage_->journal().over(storage_->journal().announce(self));
  }
  waiters_.wake_all();
  co_return Position{position};
}

bool LocalLog::over() const noexcept {
  if (stopped_.load(std::memory_order_seq_cst)) return true;
  if (!ended_.load(std::memory_order_seq_cst)) return false;
  return !durable() || committed_.load(std::memory_order_seq_cst) == tail_.load(std::memory_order_seq_cst);
}

void LocalLog::stop() {
  stopped_.store(true, std::memory_order_seq_cst);
  end_now();
}

void LocalLog::remove() {
  removed_.store(true, std::memory_order_seq_cst);
  stop();
  Dropped dropped;
  {
    std::lock_guard lock(list_mutex_);
    while (!chunks_.empty()) drop_front(dropped);
    dropped.parts.assign(parts_.begin(), parts_.end());
    parts_.clear();
  }
  waiters_.wake_all();
  if (!dropped.parts.empty()) storage_->unuse(dropped.parts);
}

void LocalLog::close() {
  removed_.store(true, std::memory_order_seq_cst);
  stop();
  Dropped dropped;
  {
    std::lock_guard lock(list_mutex_);
    while (!chunks_.empty()) drop_front(dropped);
    parts_.clear();
  }
  waiters_.wake_all();
}

}  // namespace millrace::log
