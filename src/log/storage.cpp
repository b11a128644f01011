#include "log/storage.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "log/local_log.hpp"
#include "millrace/base/log.hpp"

namespace millrace::log {

/// Takes closed chunks to files, the oldest first, while memory is short. All on the committer's thread but the
/// announcing.
class Storage::Spiller final : public journal::Source {
 public:
  explicit Spiller(Storage& storage) noexcept : storage_(storage) {}

  bool gather(journal::Batch& batch) override {
    std::size_t taken = 0;
    bool closed_more = false;
    while (!batch.full() && storage_.pool_->used_by_all() > kLowWater.of(storage_.pool_->bytes_max()) + taken) {
      std::optional<Closed> next = storage_.take_closed();
      if (!next) {
        if (closed_more || !storage_.close_more_) return false;
        closed_more = true;
        storage_.close_more_();
        continue;
      }
      const auto log = next->log.lock();
      if (!log) continue;
      Spilled spilled = log->spill_next(next->base);
      if (!spilled.chunk) continue;
      const std::array<ByteView, 1> payload{spilled.payload};
      batch.add(spilled.frame, payload);
      taken += spilled.chunk->bytes_held();
      in_flight_.push_back({*std::move(next), std::move(spilled)});
    }
    return batch.full();
  }

  void settled(const journal::Result<>& outcome, std::span<const journal::Lsn> places) noexcept override {
    if (outcome) {
      storage_.count_success();
    } else {
      storage_.count_failure();
      logging::warn("records could not be moved from memory to files", {{"error", outcome.error().detail}});
      std::lock_guard lock(storage_.closed_mutex_);
      for (auto at = in_flight_.rbegin(); at != in_flight_.rend(); ++at)
        storage_.closed_.push_front(std::move(at->closed));
    }
    for (std::size_t i = 0; i < in_flight_.size(); ++i) {
      const auto log = in_flight_[i].closed.log.lock();
      if (log && outcome) log->spilled(in_flight_[i].spilled, places[i]);
      if (log && outcome) storage_.count_evicted();
      if (log && !outcome) log->not_spilled();
    }
    in_flight_.clear();
  }

 private:
  struct InFlight {
    Closed closed;
    Spilled spilled;
  };
  Storage& storage_;
  std::vector<InFlight> in_flight_;
};

Storage::Storage(std::shared_ptr<ChunkPool> pool, std::unique_ptr<journal::Journal> journal, FileThreads& threads,
                 bool serve_damaged)
    : pool_(std::move(pool)),
      owned_journal_(std::move(journal)),
      journal_(owned_journal_.get()),
      threads_(&threads),
      keeping_(Keeping::durable),
      serve_damaged_(serve_damaged),
      newest_(owned_journal_->generation().get()) {}

Storage::Storage(std::shared_ptr<ChunkPool> pool, MakeJournal make_journal, FileThreads& threads)
    : pool_(std::move(pool)),
      threads_(&threads),
      keeping_(Keeping::spill),
      spiller_(std::make_shared<Spiller>(*this)),
      make_journal_(std::move(make_journal)) {}

void Storage::begin_files() {
  {
    std::lock_guard lock(beginning_mutex_);
    if (beginning_) return;
    beginning_ = true;
  }
  threads_->post([self = shared_from_this()] {
    const Reading until_made(*self);
    if (until_made) self->make_files();
    std::lock_guard lock(self->beginning_mutex_);
    self->beginning_ = self->has_files();
    self->begun_.notify_all();
  });
}

void Storage::make_files() {
  auto made = make_journal_();
  if (!made) {
    count_failure();
    logging::warn("memory is short and records cannot go to files", {{"error", made.error().detail}});
    return;
  }
  owned_journal_ = std::move(*made);
  journal_.store(owned_journal_.get(), std::memory_order_release);
  journal().announce(spiller_);
}

Storage::~Storage() { close(); }

void Storage::use(journal::Generation file, std::uint64_t bytes) {
  std::vector<journal::Generation> unwanted;
  {
    std::lock_guard lock(files_mutex_);
    InFile& in_file = in_files_[file.get()];
    ++in_file.parts;
    in_file.bytes += bytes;
    in_file.bytes_ever += bytes;
    unwanted_.erase(file.get());
    if (file.get() <= newest_) return;
    newest_ = file.get();
    while (!unwanted_.empty() && *unwanted_.begin() < newest_) {
      unwanted.emplace_back(*unwanted_.begin());
      unwanted_.erase(unwanted_.begin());
    }
  }
  for (const journal::Generation each : unwanted) journal().drop(each);
}

void Storage::grow(journal::Generation file, std::uint64_t bytes) {
  std::lock_guard lock(files_mutex_);
  InFile& in_file = in_files_[file.get()];
  in_file.bytes += bytes;
  in_file.bytes_ever += bytes;
}

void Storage::unuse(std::span<const journal::Part> parts) {
  std::vector<journal::Generation> unwanted;
  {
    std::lock_guard lock(files_mutex_);
    for (const journal::Part& part : parts) {
      const auto found = in_files_.find(part.file.get());
      if (found == in_files_.end()) continue;
      found->second.bytes -= part.bytes;
      if (--found->second.parts > 0) continue;
      in_files_.erase(found);
      if (part.file.get() < newest_)
        unwanted.push_back(part.file);
      else
        unwanted_.insert(part.file.get());  // perhaps still written to: when a later one is begun
    }
  }
  if (!has_files()) return;
  for (const journal::Generation each : unwanted) journal().drop(each);
}

std::vector<journal::Generation> Storage::sparse_files() {
  std::vector<std::pair<std::uint64_t, std::uint32_t>> sparse;
  {
    std::lock_guard lock(files_mutex_);
    for (const auto& [file, in_file] : in_files_)
      if (file < newest_ && !in_file.left_alone && in_file.bytes < in_file.bytes_ever / 2)
        sparse.emplace_back(in_file.bytes, file);
  }
  std::sort(sparse.begin(), sparse.end());
  std::vector<journal::Generation> files;
  for (const auto& [bytes, file] : sparse) files.emplace_back(file);
  return files;
}

void Storage::leave_alone(journal::Generation file) {
  std::lock_guard lock(files_mutex_);
  if (const auto found = in_files_.find(file.get()); found != in_files_.end()) found->second.left_alone = true;
}

std::vector<Storage::WantedFile> Storage::scattered_files() {
  std::vector<WantedFile> out;
  const std::vector<journal::Scattered> scattered = journal().scattered();
  std::lock_guard lock(files_mutex_);
  for (const journal::Scattered& one : scattered) {
    const auto found = in_files_.find(one.file.get());
    if (found == in_files_.end() || found->second.left_alone || one.file.get() >= newest_) continue;
    // To be read once more, and written.
    if (one.excess_bytes / 2 >= found->second.bytes) out.push_back({one.file, found->second.bytes});
  }
  return out;
}

void Storage::chunk_closed(const std::shared_ptr<LocalLog>& log, std::uint64_t base) {
  if (!may_have_files()) return;
  {
    std::lock_guard lock(closed_mutex_);
    closed_.push_back({log, base});
  }
  if (spiller_) spill_when_high();
}

void Storage::spill_when_high() {
  if (pool_->used_by_all() <= kHighWater.of(pool_->bytes_max())) return;
  if (!has_files())
    begin_files();
  else if (!journal().full())
    journal().announce(spiller_);
}

std::optional<Storage::Closed> Storage::take_closed() {
  std::lock_guard lock(closed_mutex_);
  if (closed_.empty()) return std::nullopt;
  std::optional<Closed> oldest(std::move(closed_.front()));
  closed_.pop_front();
  return oldest;
}

bool Storage::evict_one() {
  while (std::optional<Closed> oldest = take_closed()) {
    const auto log = oldest->log.lock();
    if (!log) continue;
    const Evicted evicted = log->evict_front(oldest->base);
    if (evicted == Evicted::yes) {
      count_evicted();
      return true;
    }
    if (evicted == Evicted::nothing) continue;
    // What is not in a file yet is the newest there is, and so is all behind it.
    std::lock_guard lock(closed_mutex_);
    closed_.push_front(*std::move(oldest));
    return false;
  }
  return false;
}

void Storage::make_room(std::size_t bytes) {
  if (spiller_) spill_when_high();
  if (!durable()) return;
  while (!pool_->fits(bytes) && evict_one()) {
  }
  if (pool_->fits(bytes) || !close_more_) return;
  close_more_();
  while (!pool_->fits(bytes) && evict_one()) {
  }
}

awaitable<void> Storage::wait_for_room() {
  if (!has_files()) {
    // Stands behind what makes them in the queue of the file threads.
    auto until_begun = [this] {
      std::unique_lock lock(beginning_mutex_);
      begun_.wait(lock, [this] { return !beginning_ || has_files(); });
    };
    co_await threads_->run(until_begun);
  }
  if (has_files()) co_await journal().over(journal().announce(spiller_));
}

std::shared_ptr<char> Storage::cold_memory(std::size_t bytes) {
  struct ColdMemory {
    ColdMemory(std::shared_ptr<Storage> of, Block taken) : storage(std::move(of)), block(std::move(taken)) {
      storage->cold_bytes_.fetch_add(block.size(), std::memory_order_relaxed);
    }
    ~ColdMemory() { storage->cold_bytes_.fetch_sub(block.size(), std::memory_order_relaxed); }
    const std::shared_ptr<Storage> storage;
    const Block block;
  };
  make_room(bytes);
  // From what records leave to others: when they have taken all of theirs, reads still go on.
  Block block = pool_->allocate(bytes, Account::replies);
  if (!block) return nullptr;
  auto memory = std::make_shared<ColdMemory>(shared_from_this(), std::move(block));
  char* const at = memory->block.data();
  return {std::move(memory), at};
}

bool Storage::many_cold() const noexcept {
  if (cold_bytes_.load(std::memory_order_relaxed) > kColdShare.of(pool_->bytes_max())) return true;
  // Replies and bodies need some of what records leave, too.
  return pool_->used_by_all() > pool_->bytes_max() + kColdShare.of(pool_->kept_from_records());
}

void Storage::count_damage(const std::string& detail) {
  damaged_.fetch_add(1, std::memory_order_relaxed);
  logging::error("stored records cannot be read", {{"damage", detail}, {"served_on", serve_damaged_}});
}

bool Storage::begin_reading() noexcept {
  std::lock_guard lock(reading_mutex_);
  if (closing_) return false;
  ++reading_;
  return true;
}

void Storage::end_reading() noexcept {
  std::lock_guard lock(reading_mutex_);
  if (--reading_ == 0) read_.notify_all();
}

void Storage::close() {
  {
    std::unique_lock lock(reading_mutex_);
    closing_ = true;
    read_.wait(lock, [this] { return reading_ == 0; });
  }
  owned_journal_.reset();
  journal_ = nullptr;
}

}  // namespace millrace::log
