#include "log/memory_log.hpp"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstddef>

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

}  // namespace

MemoryLog::MemoryLog(LogId id, const LogOptions& options, Clock& clock, std::shared_ptr<ChunkPool> pool,
                     std::weak_ptr<Expiry> expiry)
    : id_(id),
      clock_(clock),
      pool_(std::move(pool)),
      expiry_(std::move(expiry)),
      first_(options.first.get()),
      horizon_(options.first.get()),
      retention_ms_(options.retention.count()),
      tail_(options.first.get()) {}

Result<Staged> MemoryLog::stage(Epoch epoch, const BatchView& batch, std::optional<Position> expected) {
  assert(!batch.ends.empty());
  if (epoch != kEpoch) return error(Errc::stale_epoch);
  if (ended_.load(std::memory_order_relaxed)) return error(Errc::ended);
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
    data_bytes_total_.store(data_bytes_total_.load(std::memory_order_relaxed) + data_bytes, std::memory_order_relaxed);
    tail_.store(first + count, std::memory_order_release);
    stored = stored_bytes_total_.load(std::memory_order_relaxed) + size;
    stored_bytes_total_.store(stored, std::memory_order_seq_cst);  // before the look at the waiters' marks
    break;
  }
  if (waiters_.due(stored)) waiters_.wake(stored);
  if (closed) closed->close();
  return Staged{Position{first}, arrival, Ticket{id_, kEpoch, Position{first + count}, true}};
}

std::shared_ptr<Chunk> MemoryLog::make_chunk(std::size_t batch_bytes) {
  const std::size_t least = block_bytes(batch_bytes);
  const std::size_t wanted = std::max<std::size_t>(least, next_chunk_bytes_.load(std::memory_order_relaxed));
  Block block = pool_->allocate(wanted);
  if (!block) {
    if (const auto expiry = expiry_.lock()) expiry->expire_all();
    block = pool_->allocate(wanted);
    if (!block && least < wanted) block = pool_->allocate(least);  // the last of the budget
    if (!block) {
      pool_->tell_refused(now_ms());
      return nullptr;
    }
  }
  auto chunk = std::make_shared<Chunk>(std::move(block), batch_bytes > kChunkBytesMax ? batch_bytes : kChunkBytesMax);
  // Room in the list for this chunk and those that other threads have in hand.
  std::lock_guard lock(list_mutex_);
  chunks_.reserve(8);
  return chunk;
}

std::uint64_t MemoryLog::tip_listed() const noexcept {
  const std::uint64_t tail = tail_.load(std::memory_order_acquire);
  return chunks_.empty() ? tail : std::max(tail, chunks_.back()->end());
}

std::size_t MemoryLog::chunk_holding(std::uint64_t position) const noexcept {
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

std::uint64_t MemoryLog::position_at(std::int64_t arrival_ms) const noexcept {
  if (chunks_.empty()) return tail_.load(std::memory_order_acquire);
  if (chunks_.front()->first_arrival() >= arrival_ms) return chunks_.front()->base();
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
  return chunk.base() + chunk.first_at_or_after(arrival_ms, chunk.published());
}

std::uint64_t MemoryLog::horizon_at(std::int64_t now) const noexcept {
  return std::max(horizon_, position_at(now - retention_ms_));
}

ReadBatch MemoryLog::read_now(const ReadRequest& request) const {
  ReadBatch out;
  const bool ended = ended_.load(std::memory_order_acquire);  // before the records: nothing comes after those then seen
  std::size_t records_left = std::max<std::size_t>(request.records_max, 1);
  std::size_t bytes_left = request.bytes_max;
  std::uint64_t horizon = 0, from = 0;
  const std::int64_t now = now_ms();
  if (request.from.get() < tail_.load(std::memory_order_relaxed)) out.runs.reserve(4);
  {
    std::lock_guard lock(list_mutex_);
    horizon = horizon_at(now);
    from = std::max(request.from.get(), horizon);
    if (!chunks_.empty() && from < chunks_.back()->end()) {
      // References only; how much of them fits is found out without the lock. All but the first count in full.
      std::size_t records = 0, bytes = 0;
      for (std::size_t i = chunk_holding(from); i < chunks_.size() && records < records_left && bytes <= bytes_left;
           ++i) {
        const std::shared_ptr<Chunk>& chunk = chunks_[i];
        const Chunk::Published seen = chunk->published();
        const std::uint64_t skipped = out.runs.empty() ? from - chunk->base() : 0;
        if (!out.runs.empty()) bytes += seen.bytes - seen.count * sizeof(RecordHead);
        records += seen.count - skipped;
        out.runs.push_back({chunk, Position{chunk->base()}, seen.count, {chunk->bytes(), seen.bytes}});
      }
    }
  }
  std::uint64_t next = from;
  std::size_t used = 0;
  for (RecordRun& run : out.runs) {
    const Chunk& chunk = *static_cast<const Chunk*>(run.owner.get());
    const Chunk::Published seen{run.count, static_cast<std::uint32_t>(run.bytes.size())};
    const auto index = static_cast<std::uint32_t>(next - run.first.get());
    const std::uint32_t offset = index ? chunk.offset_of(index) : 0;
    const Chunk::Taken taken = chunk.take(seen, index, offset, records_left, bytes_left, used == 0);
    if (taken.records == 0) break;
    run = {std::move(run.owner), Position{next}, taken.records, {chunk.bytes() + offset, taken.bytes}};
    ++used;
    next += taken.records;
    out.records += taken.records;
    records_left -= taken.records;
    const std::size_t payload = taken.bytes - taken.records * sizeof(RecordHead);
    bytes_left -= std::min(bytes_left, payload);
    if (records_left == 0 || index + taken.records < seen.count) break;
  }
  out.runs.resize(used);
  const std::uint64_t tail = std::max({tail_.load(std::memory_order_acquire), horizon, out.records ? next : 0});
  if (ended && next >= tail) {
    next = tail;
    out.ended = true;
  }
  out.next = Position{next};
  out.horizon = Position{horizon};
  out.tip = Position{tail};
  out.tip_arrival_ms = newest_arrival_.load(std::memory_order_relaxed);
  return out;
}

awaitable<Result<ReadBatch>> MemoryLog::read(ReadRequest request) {
  const auto self = shared_from_this();
  WakeUp wake;
  for (;;) {
    const std::uint64_t stored = stored_bytes_total_.load(std::memory_order_seq_cst);
    if (removed_.load(std::memory_order_acquire)) co_return error(Errc::not_found);
    ReadBatch batch = read_now(request);
    if (batch.records || batch.ended || request.wait_until <= clock_.now()) co_return std::move(batch);
    if (request.stop.stop_requested()) co_return error(Errc::stopped);
    Waiters::Registration registration(waiters_, stored + 1, wake);
    if (stored_bytes_total_.load(std::memory_order_seq_cst) != stored || ended_.load(std::memory_order_seq_cst))
      continue;
    const WakeUp::Why why = co_await wake.wait(clock_, request.wait_until, request.stop);
    if (why == WakeUp::Why::stopped) co_return error(Errc::stopped);
  }
}

awaitable<Result<bool>> MemoryLog::wait_stored(std::uint64_t stored_bytes_total, TimePoint deadline,
                                               std::stop_token stop) {
  const auto self = shared_from_this();
  const auto reached = [this, stored_bytes_total] {
    return stored_bytes_total_.load(std::memory_order_seq_cst) >= stored_bytes_total ||
           ended_.load(std::memory_order_seq_cst);
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

awaitable<Result<Position>> MemoryLog::seek(TimePoint at) {
  if (removed_.load(std::memory_order_acquire)) co_return error(Errc::not_found);
  std::lock_guard lock(list_mutex_);
  co_return Position{std::max(horizon_at(now_ms()), position_at(at.time_since_epoch().count()))};
}

Progress MemoryLog::progress() const noexcept {
  Progress p{};
  std::lock_guard tail(tail_mutex_);  // tip and totals are of one moment: who counts on from them misses no record
  p.ended = ended_.load(std::memory_order_acquire);
  std::lock_guard lock(list_mutex_);
  const std::uint64_t horizon = horizon_at(now_ms());
  const std::uint64_t tip = std::max(tip_listed(), horizon);
  p.horizon = Position{horizon};
  p.tip = Position{tip};
  p.tip_arrival_ms = newest_arrival_.load(std::memory_order_relaxed);
  p.records_total = tip - first_;
  p.data_bytes_total = data_bytes_total_.load(std::memory_order_relaxed);
  p.stored_bytes_total = stored_bytes_total_.load(std::memory_order_relaxed);
  p.stored_bytes = p.stored_bytes_total - std::min(dropped_bytes_, p.stored_bytes_total);
  return p;
}

bool MemoryLog::droppable(const Chunk& chunk, std::int64_t cutoff_ms) const noexcept {
  return chunk.last_arrival() < cutoff_ms || chunk.end() <= horizon_;
}

void MemoryLog::drop_front(std::vector<std::shared_ptr<Chunk>>& dropped) {
  std::shared_ptr<Chunk> chunk = chunks_.pop_front();
  horizon_ = std::max(horizon_, chunk->end());
  dropped_bytes_ += chunk->published().bytes;
  dropped.push_back(std::move(chunk));
}

void MemoryLog::drop_unreadable(std::int64_t now) {
  std::vector<std::shared_ptr<Chunk>> dropped;  // ends after the locks: memory goes back outside them
  bool tail_too = false;
  {
    std::lock_guard lock(list_mutex_);
    const std::int64_t cutoff = now - retention_ms_;
    while (chunks_.size() > 1 && droppable(*chunks_.front(), cutoff)) drop_front(dropped);
    tail_too = chunks_.size() == 1 && droppable(*chunks_.front(), cutoff);
  }
  if (!tail_too) return;
  // The tail chunk may be written to: only its writers' lock says that nothing is being added.
  dropped.reserve(dropped.size() + 4);
  std::lock_guard tail(tail_mutex_);
  std::lock_guard lock(list_mutex_);
  const std::int64_t cutoff = now - retention_ms_;
  while (!chunks_.empty() && droppable(*chunks_.front(), cutoff)) drop_front(dropped);
  if (!chunks_.empty()) return;
  tail_chunk_ = nullptr;
  room_.store(0, std::memory_order_relaxed);
  next_chunk_bytes_.store(kGranuleBytes, std::memory_order_relaxed);
}

std::int64_t MemoryLog::expire() {
  const std::int64_t now = now_ms();
  drop_unreadable(now);
  std::lock_guard lock(list_mutex_);
  const std::int64_t oldest = chunks_.empty() ? now : chunks_.front()->last_arrival();
  // Expired is what is older than the retention, not what is as old; saturating for retentions without end.
  return retention_ms_ > INT64_MAX - oldest - 1 ? INT64_MAX : oldest + retention_ms_ + 1;
}

void MemoryLog::set_retention(std::chrono::milliseconds retention) {
  const std::int64_t now = now_ms();
  {
    std::lock_guard lock(list_mutex_);
    horizon_ = horizon_at(now);
    retention_ms_ = retention.count();
    horizon_ = horizon_at(now);
  }
  drop_unreadable(now);
  if (const auto expiry = expiry_.lock()) expiry->reconsider(id_);
}

awaitable<Result<>> MemoryLog::trim(Position position) {
  if (removed_.load(std::memory_order_acquire)) co_return error(Errc::not_found);
  {
    std::lock_guard lock(list_mutex_);
    horizon_ = std::max(horizon_, std::min(position.get(), tip_listed()));
  }
  drop_unreadable(now_ms());
  co_return Result<>{};
}

std::uint64_t MemoryLog::end_now() {
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

awaitable<Result<Position>> MemoryLog::end(Epoch epoch) {
  if (epoch != kEpoch) co_return error(Errc::stale_epoch);
  co_return Position{end_now()};
}

void MemoryLog::remove() {
  removed_.store(true, std::memory_order_seq_cst);
  end_now();
  std::vector<std::shared_ptr<Chunk>> dropped;
  {
    std::lock_guard lock(list_mutex_);
    while (!chunks_.empty()) drop_front(dropped);
  }
  waiters_.wake_all();
}

}  // namespace millrace::log
