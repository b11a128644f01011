#include "log/chunk_pool.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <new>

#include "millrace/base/log.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace millrace::log {
namespace {

constexpr std::size_t kHugePage = 2 * 1024 * 1024;
// A few small streams live in the first region, in small pages; only what grows beyond it takes huge ones.
constexpr std::size_t kFirstRegionBytes = kHugePage;
constexpr std::size_t kRegionBytes = 32 * 1024 * 1024;
// Blocks over kChunkBytesMax have mappings of their own; so much of them is kept for the next ones.
constexpr std::size_t kLargeKeptBytesMax = 64 * 1024 * 1024;

// Chunks are reused without going through an allocator that a sanitizer knows: tell it what nobody may read.
void poison([[maybe_unused]] char* at, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_POISON_MEMORY_REGION(at, bytes);
#endif
}
void unpoison([[maybe_unused]] char* at, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(__SANITIZE_ADDRESS__)
  ASAN_UNPOISON_MEMORY_REGION(at, bytes);
#endif
}

char* map(std::size_t bytes) noexcept {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return at == MAP_FAILED ? nullptr : static_cast<char*>(at);
}

/// `granules` ones (1..64).
std::uint64_t granules_mask(std::uint32_t granules) noexcept { return ~std::uint64_t{0} >> (64 - granules); }

void touch(char* at, std::size_t bytes) noexcept {
#ifdef MADV_POPULATE_WRITE
  if (::madvise(at, bytes, MADV_POPULATE_WRITE) == 0) return;
#endif
  for (std::size_t i = 0; i < bytes; i += 4096) *static_cast<volatile char*>(at + i) = 0;
}

}  // namespace

void Block::shrink(std::size_t bytes) noexcept {
  const std::size_t kept = std::max((bytes + kGranuleBytes - 1) / kGranuleBytes * kGranuleBytes, kGranuleBytes);
  if (!bytes_ || id_ == ChunkPool::kLargeId || kept >= size_) return;
  pool_->give_back_tail(id_, kept, size_, account_);
  size_ = kept;
}

void Block::release() noexcept {
  if (!bytes_) return;
  pool_->give_back(id_, std::exchange(bytes_, nullptr), std::exchange(size_, 0), account_);
  pool_.reset();
}

ChunkPool::ChunkPool(MemoryBudget& budget) : budget_(budget) {
  large_.reserve(kLargeKeptBytesMax / kChunkBytesMax);  // so that giving back never allocates
}

ChunkPool::~ChunkPool() {
  for (Region& r : regions_) {
    unpoison(r.base, r.granules * kGranuleBytes);
    ::munmap(r.base, r.granules * kGranuleBytes);
  }
  for (Large& l : large_) {
    unpoison(l.bytes, l.size);
    ::munmap(l.bytes, l.size);
  }
}

bool ChunkPool::take(Account account, std::size_t bytes) noexcept {
  if (!budget_.try_take(account, bytes)) return false;
  if (account != Account::chunks) elsewhere_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

void ChunkPool::give_to_budget(Account account, std::size_t bytes) noexcept {
  if (account != Account::chunks) elsewhere_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
  budget_.give_back(account, bytes);
}

Block ChunkPool::allocate(std::size_t bytes, Account account) {
  if (bytes > kChunkBytesMax) return allocate_large(bytes, account);
  const std::uint32_t granules =
      std::bit_ceil(static_cast<std::uint32_t>((std::max<std::size_t>(bytes, 1) + kGranuleBytes - 1) / kGranuleBytes));
  const unsigned order = static_cast<unsigned>(std::countr_zero(granules));
  const std::size_t size = granules * kGranuleBytes;
  if (!take(account, size)) return {};

  std::uint32_t id = kNone;
  char* at = nullptr;
  std::uint64_t untouched = 0;  // from its first granule on
  bool over = false;
  for (;;) {
    std::unique_lock lock(mutex_);
    id = take_block(order);
    if (id != kNone) {
      Region& r = region(id);
      const std::uint32_t first = granule(id), shift = first % kGranulesATop;
      at = r.base + first * kGranuleBytes;
      const std::uint64_t all = granules_mask(granules);
      untouched = all & ~(r.touched[first / kGranulesATop] >> shift);
      r.touched[first / kGranulesATop] |= all << shift;
      touched_granules_ += static_cast<std::size_t>(std::popcount(untouched));
      over = untouched != 0 && holds_too_much();
      break;
    }
    const bool first = regions_.empty();
    lock.unlock();
    // Two threads may map at the same time: the second region is only addresses until it is used.
    Region fresh = map_region(first);
    if (!fresh.base) {
      give_to_budget(account, size);
      return {};
    }
    lock.lock();
    regions_.push_back(std::move(fresh));
  }
  if (over) trim();
  unpoison(at, size);
  if (untouched) {
    const auto from = static_cast<std::size_t>(std::countr_zero(untouched));
    const auto to = static_cast<std::size_t>(std::bit_width(untouched));
    touch(at + from * kGranuleBytes, (to - from) * kGranuleBytes);
  }
  Block block;
  block.pool_ = shared_from_this();
  block.bytes_ = at;
  block.size_ = size;
  block.id_ = id;
  block.account_ = account;
  return block;
}

Block ChunkPool::allocate_large(std::size_t bytes, Account account) {
  std::size_t size = (bytes + kGranuleBytes - 1) / kGranuleBytes * kGranuleBytes;
  char* at = nullptr;
  {
    std::lock_guard lock(mutex_);
    auto best = large_.end();
    for (auto it = large_.begin(); it != large_.end(); ++it) {
      if (it->size >= size && it->size <= size + size / 8 && (best == large_.end() || it->size < best->size)) best = it;
    }
    if (best != large_.end()) {
      if (!take(account, best->size)) return {};
      at = best->bytes;
      size = best->size;
      large_bytes_ -= size;
      large_used_bytes_ += size;
      *best = large_.back();
      large_.pop_back();
    }
  }
  if (at) {
    unpoison(at, size);
  } else {
    if (!take(account, size)) return {};
    at = map(size);
    if (!at) {
      give_to_budget(account, size);
      return {};
    }
    bool over = false;
    {
      std::lock_guard lock(mutex_);
      large_used_bytes_ += size;
      over = holds_too_much();
    }
    if (over) trim();
    touch(at, size);
  }
  Block block;
  block.pool_ = shared_from_this();
  block.bytes_ = at;
  block.size_ = size;
  block.id_ = kLargeId;
  block.account_ = account;
  return block;
}

ChunkPool::Region ChunkPool::map_region(bool first) const {
  Region r;
  const std::size_t size = first ? kFirstRegionBytes : kRegionBytes;
  char* at = map(size + kHugePage);
  if (!at) return r;
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  const std::size_t before = (kHugePage - address % kHugePage) % kHugePage;
  if (before) ::munmap(at, before);
  ::munmap(at + before + size, kHugePage - before);
  r.base = at + before;
  ::madvise(r.base, size, first ? MADV_NOHUGEPAGE : MADV_HUGEPAGE);
  r.granules = static_cast<std::uint32_t>(size / kGranuleBytes);
  r.free_as.resize(r.granules);
  r.next.resize(r.granules);
  r.previous.resize(r.granules);
  r.touched.resize(r.granules / kGranulesATop);
  poison(r.base, size);
  return r;
}

std::uint32_t ChunkPool::take_block(unsigned order) noexcept {
  unsigned from = kOrders;
  std::uint32_t id = kNone;
  for (const FreeLists* lists : {&warm_, &cold_}) {
    for (from = order; from < kOrders && (*lists)[from] == kNone;) ++from;
    if (from == kOrders) continue;
    id = (*lists)[from];
    unlink(id, from);
    break;
  }
  if (id == kNone) {
    // Regions are used up in the order they came, so only the last few can have something left.
    for (std::size_t i = regions_.size(); i-- > 0 && regions_[i].carved < regions_[i].granules;) {
      id = static_cast<std::uint32_t>(i << kGranuleBits) + regions_[i].carved;
    }
    if (id == kNone) return kNone;
    region(id).carved += kGranulesATop;
    from = kOrders - 1;
  }
  while (from > order) {
    --from;
    link(id + (1u << from), from);
  }
  return id;
}

void ChunkPool::trim() {
  std::unique_lock lock(mutex_);
  while (holds_too_much()) {
    if (!large_.empty()) {
      const Large large = large_.back();
      large_.pop_back();
      large_bytes_ -= large.size;
      lock.unlock();
      unpoison(large.bytes, large.size);
      ::munmap(large.bytes, large.size);
      lock.lock();
      continue;
    }
    unsigned order = kOrders - 1;
    while (order > 0 && warm_[order] == kNone) --order;
    const std::uint32_t id = warm_[order];
    if (id == kNone) return;  // all of it is in use
    unlink(id, order);
    const std::uint64_t touched = touched_in(id, 1u << order);
    region(id).touched[granule(id) / kGranulesATop] &= ~touched;
    touched_granules_ -= static_cast<std::size_t>(std::popcount(touched));
    char* const at = region(id).base + granule(id) * kGranuleBytes;
    lock.unlock();
    ::madvise(at, kGranuleBytes << order, MADV_DONTNEED);  // neither free nor in use: nobody touches it meanwhile
    lock.lock();
    free_block(id, order);
  }
}

void ChunkPool::free_range(std::uint32_t id, std::uint32_t granules) noexcept {
  while (granules) {
    const unsigned aligned = granule(id) ? static_cast<unsigned>(std::countr_zero(granule(id))) : kOrders - 1;
    const unsigned fits = static_cast<unsigned>(std::bit_width(granules)) - 1;
    const unsigned order = std::min({aligned, fits, kOrders - 1});
    free_block(id, order);
    id += 1u << order;
    granules -= 1u << order;
  }
}

void ChunkPool::free_block(std::uint32_t id, unsigned order) noexcept {
  while (order < kOrders - 1) {
    const std::uint32_t buddy = id ^ (1u << order);
    if (region(id).free_as[granule(buddy)] != order + 1) break;
    unlink(buddy, order);
    id = std::min(id, buddy);
    ++order;
  }
  link(id, order);
}

void ChunkPool::link(std::uint32_t id, unsigned order) noexcept {
  Region& r = region(id);
  const std::uint32_t g = granule(id);
  r.free_as[g] = static_cast<std::uint8_t>(order + 1);
  std::uint32_t& head = list_of(id, order)[order];
  r.previous[g] = kNone;
  r.next[g] = head;
  if (head != kNone) region(head).previous[granule(head)] = id;
  head = id;
}

void ChunkPool::unlink(std::uint32_t id, unsigned order) noexcept {
  Region& r = region(id);
  const std::uint32_t g = granule(id);
  const std::uint32_t next = r.next[g], previous = r.previous[g];
  r.free_as[g] = 0;
  if (next != kNone) region(next).previous[granule(next)] = previous;
  if (previous != kNone) {
    region(previous).next[granule(previous)] = next;
  } else {
    list_of(id, order)[order] = next;
  }
}

std::uint64_t ChunkPool::touched_in(std::uint32_t id, std::uint32_t granules) noexcept {
  const std::uint32_t first = granule(id);
  return region(id).touched[first / kGranulesATop] & granules_mask(granules) << first % kGranulesATop;
}

ChunkPool::FreeLists& ChunkPool::list_of(std::uint32_t id, unsigned order) noexcept {
  return touched_in(id, 1u << order) ? warm_ : cold_;
}

void ChunkPool::give_back(std::uint32_t id, char* bytes, std::size_t size, Account account) noexcept {
  poison(bytes, size);
  bool kept = true;
  {
    std::lock_guard lock(mutex_);
    if (id != kLargeId) {
      free_range(id, static_cast<std::uint32_t>(size / kGranuleBytes));
    } else {
      large_used_bytes_ -= size;
      kept = large_bytes_ + size <= kLargeKeptBytesMax && large_.size() < large_.capacity();
      if (kept) {
        large_.push_back({bytes, size});
        large_bytes_ += size;
      }
    }
  }
  if (!kept) {
    unpoison(bytes, size);
    ::munmap(bytes, size);
  }
  give_to_budget(account, size);
}

void ChunkPool::give_back_tail(std::uint32_t id, std::size_t kept, std::size_t size, Account account) noexcept {
  {
    std::lock_guard lock(mutex_);
    poison(region(id).base + granule(id) * kGranuleBytes + kept, size - kept);
    free_range(id + static_cast<std::uint32_t>(kept / kGranuleBytes),
               static_cast<std::uint32_t>((size - kept) / kGranuleBytes));
  }
  give_to_budget(account, size - kept);
}

void ChunkPool::tell_refused(std::int64_t now_ms) {
  constexpr std::int64_t kMinute = 60'000;
  std::int64_t due = tell_again_at_.load(std::memory_order_relaxed);
  if (now_ms < due || !tell_again_at_.compare_exchange_strong(due, now_ms + kMinute, std::memory_order_relaxed)) return;
  logging::warn("the memory limit is reached: puts are refused until retention or a delete frees some",
                {{"limit_bytes", budget_.bytes_max()},
                 {"used_bytes", budget_.used()},
                 {"records_bytes", budget_.used(Account::chunks)}});
}

ChunkPool::Stats ChunkPool::stats() const {
  std::lock_guard lock(mutex_);
  return {touched_granules_ * kGranuleBytes, regions_.size(), large_bytes_};
}

}  // namespace millrace::log
