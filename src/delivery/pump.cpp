#include "delivery/pump.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <limits>
#include <utility>

#include "delivery/object_name.hpp"
#include "delivery/user_records.hpp"
#include "millrace/base/log.hpp"
#include "millrace/state/keys.hpp"

namespace millrace::delivery {
namespace {

using log::Position;
using namespace std::chrono_literals;

constexpr std::size_t kPageBytesMax = 1u << 20;
constexpr std::size_t kPageBytesMin = 64u << 10;
constexpr std::size_t kPageRecordsMax = 10'000;
/// Records of one gather write: two slices each, within WriterSlots::kWriterBytes with the views made of them.
constexpr std::size_t kGatherRecordsMax = 1024;
/// Small ranges of several shards are written together, up to so many bytes of them.
constexpr std::size_t kGatherBytesMax = 64u << 10;
/// A shard's share of what is missing is not cut finer than this, nor than kShareStep for each shard there is: few
/// shards reach the size to the record, many do not wake the pump for crumbs.
constexpr std::uint64_t kShareStep = 16, kShareMin = 4096;
/// The least a stored record takes beside its data: head and a key of one byte.
constexpr std::uint64_t kRecordOverheadMin = sizeof(log::RecordHead) + 1;
/// "Zero buffering" delivers within about a second, not an object a record.
constexpr std::chrono::seconds kIntervalMin{1};
constexpr std::chrono::milliseconds kBackOffFirst = 1s, kBackOffMax = 60s;

std::string store_key(const std::string& name) { return std::string(state::keys::kDelivery) + name; }

}  // namespace

Pump::Pump(const Dependencies& dependencies, std::shared_ptr<WriterSlots> slots, Executor executor, Stored stored,
           state::Revision revision)
    : dependencies_(dependencies),
      slots_(std::move(slots)),
      spec_(stored.spec),
      bytes_max_(std::uint64_t{spec_.s3.size_mib} << 20),
      delimiter_(spec_.s3.append_delimiter ? spec_.s3.delimiter : std::string()),
      executor_(executor),
      stored_(std::move(stored)),
      revision_(revision),
      source_incarnation_(stored_.source_incarnation),
      created_(stored_.created),
      active_at_(stored_.active_at),
      version_(stored_.version) {}

void Pump::start() {
  look_up_shards();
  publish(std::nullopt);
  tasks_.spawn(executor_, "delivery " + spec_.name, run());
}

awaitable<void> Pump::stop() {
  tasks_.stop();
  co_await tasks_.join();
}

// ---- what other threads ask

DeliveryStreamInfo Pump::info() const {
  DeliveryStreamInfo info;
  info.spec = spec_;
  info.version = version_;
  info.created = created_;
  info.delivery_start = active_at_;
  const TimePoint now = dependencies_.clock.now();
  published_.with([&](const Published& published) {
    info.status = published.deleting ? Status::deleting : now < active_at_ ? Status::creating : Status::active;
    info.objects = published.objects;
    info.records = published.records;
    info.bytes = published.bytes;
    info.failures = published.failures;
    info.last_error = published.last_error;
    if (published.oldest && now > *published.oldest) info.freshness = now - *published.oldest;
    for (const auto& [index, shard] : published.shards) {
      if (shard.over) continue;
      const std::uint64_t total = shard.log->progress().data_bytes_total;
      if (total > shard.data_bytes_at) info.buffered_bytes += total - shard.data_bytes_at;
    }
  });
  return info;
}

std::uint64_t Pump::undelivered_records() const {
  return published_.with([&](const Published& published) {
    std::uint64_t records = 0;
    if (published.deleting) return records;
    for (const auto& [index, shard] : published.shards) {
      if (shard.over) continue;
      const std::uint64_t total = shard.log->progress().records_total;
      if (total > shard.records_at) records += total - shard.records_at;
    }
    return records;
  });
}

bool Pump::begin_deleting() {
  return published_.with([](Published& published) { return !std::exchange(published.deleting, true); });
}

void Pump::end_deleting() {
  published_.with([](Published& published) { published.deleting = false; });
}

bool Pump::deleting() const {
  return published_.with([](const Published& published) { return published.deleting; });
}

bool Pump::creating() const { return dependencies_.clock.now() < active_at_; }

bool Pump::reached(const Published& published, const Flush& flush) {
  if (published.ended) return true;
  for (const auto& [index, target] : flush.targets) {
    const auto shard = published.shards.find(index);
    if (shard == published.shards.end() || (!shard->second.over && shard->second.next < target)) return false;
  }
  return true;
}

std::shared_ptr<const Pump::Flush> Pump::flush(std::function<void()> done) {
  auto wanted = std::make_shared<Flush>();
  wanted->done = std::move(done);
  if (auto stream = dependencies_.streams.find_incarnation(source_incarnation_))
    for (const auto& shard : stream->shards) wanted->targets.emplace(shard->index, shard->log->progress().tip);
  const bool at_once = published_.with([&](Published& published) {
    for (const auto& [index, shard] : published.shards) wanted->targets.try_emplace(index, shard.log->progress().tip);
    if (reached(published, *wanted)) return true;
    published.flushes.push_back(wanted);
    ++published.flushes_asked;
    return false;
  });
  if (at_once)
    wanted->done();
  else
    wake_.notify();
  return wanted;
}

std::optional<std::string> Pump::end_flush(const std::shared_ptr<const Flush>& flush) {
  return published_.with([&](Published& published) -> std::optional<std::string> {
    std::erase(published.flushes, flush);
    if (reached(published, *flush)) return std::nullopt;
    return published.last_error.empty() ? "not delivered within the time given" : published.last_error;
  });
}

// ---- the coroutine

awaitable<void> Pump::run() {
  while (!stopping()) {
    std::string bug;
    try {
      if (!co_await step()) {
        logging::info("delivery stream ended: its source stream is gone and all of it is delivered",
                      {{"delivery_stream", spec_.name}, {"stream", spec_.source_stream}});
        break;
      }
    } catch (const std::exception& error) {
      bug = error.what();
    }
    if (!bug.empty()) {
      failed(bug);
      co_await back_off();
    }
  }
  for (auto& [index, source] : sources_) source.watch->close();
  published_.with([&](Published& published) { published.ended = !stopping(); });
  answer_flushes();
}

awaitable<bool> Pump::step() {
  if (stored_.planned) {  // its write was cut off by a stop: the same records under the same name
    const Plan plan = *stored_.planned;
    co_await deliver(plan);
    co_return true;
  }
  const std::uint64_t asked = flushes_asked();
  look_up_shards();
  const Snapshot snapshot = look_at_shards();
  if (std::exchange(some_ended_, false)) co_return true;  // there may be shards now that follow it
  const bool pending = std::any_of(snapshot.begin(), snapshot.end(),
                                   [&](const auto& shard) { return shard.second.tip > next(shard.first); });
  if (!pending) {
    publish(std::nullopt);
    answer_flushes();
    if (snapshot.empty() && source_gone_) co_return false;
    wait_for_any(snapshot);
    // Without an open shard: between the end of the shards and what the stream's snapshot says of it.
    const TimePoint until = snapshot.empty() ? dependencies_.clock.now() + 1s : TimePoint::max();
    co_await wake_.wait(dependencies_.clock, until, tasks_.stop_token());
    co_return true;
  }

  const std::optional<TimePoint> oldest = co_await find_oldest(snapshot);
  if (!oldest) co_return true;  // there was less than it seemed, or it cannot be read now
  publish(oldest);
  answer_flushes();
  const TimePoint due = *oldest + std::max(spec_.s3.interval, kIntervalMin);
  // It may want records that came after the look: one object of all of them, not two.
  const bool flush = flush_wanted();
  if (flush && flushes_asked() != asked) co_return true;
  const bool partial = flush || source_gone_ || dependencies_.clock.now() >= due;
  const std::optional<std::uint64_t> have = buffered(snapshot);
  if (partial || !have || *have >= bytes_max_) {
    std::optional<Plan> plan = co_await make_plan(snapshot, partial);
    if (plan) co_await deliver(std::move(*plan));
    co_return true;
  }
  wait_for_share(snapshot, bytes_max_ - *have);
  co_await wake_.wait(dependencies_.clock, due, tasks_.stop_token());
  co_return true;
}

void Pump::look_up_shards() {
  const streams::StreamRef stream = dependencies_.streams.find_incarnation(stored_.source_incarnation);
  if (!stream || stream->deleting) {
    source_gone_ = true;
    return;
  }
  for (const auto& shard : stream->shards) {
    if (sources_.contains(shard->index) || !parents_ended(*stream, *shard)) continue;
    const log::Progress progress = shard->log->progress();
    const auto cursor = stored_.shards.try_emplace(shard->index, progress.horizon).first;
    Source source;
    source.log = shard->log;
    // Until a key's records in the parents are planned, none of those that followed is, whatever the clock did.
    for (const auto& parent : {shard->parent, shard->adjacent_parent})
      if (const auto at = parent ? sources_.find(*parent) : sources_.end(); at != sources_.end())
        source.not_before_ms =
            std::max({source.not_before_ms, at->second.not_before_ms, at->second.log->progress().tip_arrival_ms});
    source.watch = std::make_shared<ShardWatch>(shard->log, wake_);
    // Positions are dense but for epochs: near enough for a count until the first look.
    const std::uint64_t ahead =
        progress.tip > cursor->second.next() ? progress.tip.get() - cursor->second.next().get() : 0;
    source.records_at = progress.records_total - std::min(progress.records_total, ahead);
    source.data_bytes_at =
        progress.data_bytes_total - (ahead ? std::min(progress.data_bytes_total, progress.stored_bytes) : 0);
    tasks_.spawn(executor_, "delivery watch " + spec_.name, ShardWatch::run(source.watch, dependencies_.clock));
    sources_.emplace(shard->index, std::move(source));
  }
}

bool Pump::parents_ended(const streams::Stream& stream, const streams::Shard& shard) {
  for (const auto& index : {shard.parent, shard.adjacent_parent})
    if (const streams::Shard* const parent = index ? stream.shard(*index) : nullptr)
      if (!parent->log->progress().ended) return false;
  return true;
}

Pump::Snapshot Pump::look_at_shards() {
  Snapshot snapshot;
  for (auto& [index, source] : sources_) {
    if (source.over) continue;
    const log::Progress progress = source.log->progress();
    const bool none_left =
        progress.tip <= next(index) || (source.counted && progress.records_total == source.records_at);
    if (none_left) {
      stored_.shards[index].skip_to(progress.tip);  // a new epoch begins beyond the last record
      source.records_at = progress.records_total;
      source.data_bytes_at = progress.data_bytes_total;
      source.counted = source.exact = true;
      if (progress.ended) {
        source.over = true;
        source.watch->close();
        some_ended_ = true;
        continue;
      }
    }
    snapshot.emplace(index, progress);
  }
  return snapshot;
}

void Pump::skip_to(std::uint32_t shard, Position position) {
  if (position <= next(shard)) return;
  stored_.shards[shard].skip_to(position);
  Source& source = sources_.at(shard);
  source.exact = false;
  source.oldest_ms.reset();
}

void Pump::skip_all(std::uint32_t shard, const log::Progress& progress) {
  stored_.shards[shard].skip_to(progress.tip);
  Source& source = sources_.at(shard);
  if (source.counted) warn_of_loss(shard, progress.records_total - source.records_at);
  source.records_at = progress.records_total;
  source.data_bytes_at = progress.data_bytes_total;
  source.counted = source.exact = true;
  source.oldest_ms.reset();
}

void Pump::give_up(std::uint32_t shard) {
  Source& source = sources_.at(shard);
  skip_all(shard, source.log->progress());
  source.over = true;
  source.watch->close();
}

void Pump::warn_of_loss(std::uint32_t shard, std::uint64_t records) const {
  if (records == 0) return;
  logging::warn(
      "records left the source stream before they were delivered",
      {{"delivery_stream", spec_.name}, {"stream", spec_.source_stream}, {"shard", shard}, {"records", records}});
}

awaitable<std::optional<TimePoint>> Pump::find_oldest(const Snapshot& snapshot) {
  std::optional<std::int64_t> oldest;
  for (const auto& [index, progress] : snapshot) {
    if (progress.tip <= next(index)) continue;
    Source& source = sources_.at(index);
    if (!source.oldest_ms) {
      log::ReadRequest request;
      request.from = next(index);
      request.records_max = 1;
      auto batch = co_await source.log->read(request);
      if (!batch) {
        if (batch.error().code == log::Errc::not_found) {
          give_up(index);
          continue;
        }
        failed("shard " + std::to_string(index) + " cannot be read: " + batch.error().detail);
        co_await back_off();
        co_return std::nullopt;
      }
      if (batch->runs.empty()) {
        skip_all(index, progress);
        continue;
      }
      skip_to(index, batch->runs.front().first);
      log::RecordView record;
      log::read_record(batch->runs.front().bytes.data(), record);
      source.oldest_ms = record.arrival_ms;
    }
    oldest = std::min(oldest.value_or(std::numeric_limits<std::int64_t>::max()), *source.oldest_ms);
  }
  if (!oldest) co_return std::nullopt;
  co_return TimePoint{std::chrono::milliseconds{*oldest}};
}

std::optional<std::uint64_t> Pump::buffered(const Snapshot& snapshot) const {
  std::uint64_t bytes = 0;
  for (const auto& [index, progress] : snapshot) {
    const Source& source = sources_.at(index);
    if (!source.exact) return std::nullopt;
    bytes += progress.data_bytes_total - source.data_bytes_at;
    bytes += (progress.records_total - source.records_at) * delimiter_.size();
  }
  return bytes;
}

void Pump::wait_for_any(const Snapshot& snapshot) {
  for (const auto& [index, progress] : snapshot) sources_.at(index).watch->arm(progress.stored_bytes_total + 1);
}

void Pump::wait_for_share(const Snapshot& snapshot, std::uint64_t missing_bytes) {
  const auto open = static_cast<std::uint64_t>(
      std::count_if(snapshot.begin(), snapshot.end(), [](const auto& shard) { return !shard.second.ended; }));
  if (open == 0) return;
  // Whatever reaches the size, one shard at least brings its share. A long delimiter makes an object grow faster than
  // the log does.
  std::uint64_t share = std::max(missing_bytes / open, std::min(kShareStep * open, kShareMin));
  if (delimiter_.size() > kRecordOverheadMin)
    share = std::max<std::uint64_t>(share * kRecordOverheadMin / delimiter_.size(), 1);
  for (const auto& [index, progress] : snapshot) {
    if (progress.ended) continue;
    ShardWatch& watch = *sources_.at(index).watch;
    const std::uint64_t armed = watch.target().value_or(0);
    const std::uint64_t left = armed > progress.stored_bytes_total ? armed - progress.stored_bytes_total : 0;
    if (left < share / 2 || left > share) watch.arm(progress.stored_bytes_total + share);
  }
}

awaitable<std::optional<Plan>> Pump::make_plan(const Snapshot& snapshot, bool partial) {
  BatchPlanner planner(bytes_max_, delimiter_.size());
  std::vector<std::uint32_t> shards;
  for (const auto& [index, progress] : snapshot) {
    if (progress.tip <= next(index) || sources_.at(index).over) continue;
    planner.add_shard(index, next(index), progress.tip, sources_.at(index).not_before_ms);
    shards.push_back(index);
  }
  if (shards.empty()) co_return std::nullopt;
  const std::size_t page_bytes = std::clamp<std::size_t>(bytes_max_ / shards.size(), kPageBytesMin, kPageBytesMax);
  while (auto wanted = planner.advance()) {
    if (stopping()) co_return std::nullopt;
    const std::uint32_t shard = shards[wanted->slot];
    log::ReadRequest request;
    request.from = wanted->from;
    request.records_max = kPageRecordsMax;
    request.bytes_max = page_bytes;
    auto batch = co_await sources_.at(shard).log->read(request);
    if (batch) {
      planner.page(wanted->slot, std::move(*batch));
    } else if (batch.error().code == log::Errc::not_found) {
      planner.gone(wanted->slot);
      give_up(shard);
    } else {
      failed("shard " + std::to_string(shard) + " cannot be read: " + batch.error().detail);
      co_await back_off();
      co_return std::nullopt;
    }
    co_await boost::asio::post(executor_, use_awaitable);  // a large batch is looked through in turns with other work
  }
  for (std::size_t slot = 0; slot < shards.size(); ++slot) {
    const log::Progress& progress = snapshot.at(shards[slot]);
    Source& source = sources_.at(shards[slot]);
    if (auto first = planner.first_readable(slot)) skip_to(shards[slot], std::min(*first, progress.tip));
    if (!planner.exhausted(slot) || source.over) continue;
    if (source.counted)
      warn_of_loss(shards[slot], progress.records_total - source.records_at - planner.taken(slot).records);
    source.counted = true;
    source.records_at = progress.records_total - planner.taken(slot).records;
    source.data_bytes_at = progress.data_bytes_total - planner.taken(slot).data_bytes;
    source.exact = true;
  }
  if (!partial && !planner.full()) co_return std::nullopt;
  co_return planner.plan(version_);
}

awaitable<void> Pump::deliver(Plan plan) {
  stored_.planned = plan;
  while (auto why = co_await persist()) {
    failed(*why);
    if (!co_await back_off()) co_return;
  }
  Written written;
  while (auto why = co_await write(plan, written)) {
    if (stopping()) co_return;
    failed(*why);
    if (!co_await back_off()) co_return;
  }
  for (const ShardRange& range : plan.ranges) {
    stored_.shards[range.shard].finish(range.from, range.to);
    const auto found = sources_.find(range.shard);
    if (found == sources_.end()) continue;
    Source& source = found->second;
    const BatchPlanner::Count& count = written.by_shard[range.shard];
    source.records_at += count.records;
    source.data_bytes_at += count.data_bytes;
    source.oldest_ms.reset();
  }
  for (std::uint32_t shard : written.with_gaps)
    if (const auto found = sources_.find(shard); found != sources_.end()) found->second.exact = false;
  stored_.planned.reset();
  while (auto why = co_await persist()) {
    failed(*why);
    if (!co_await back_off()) co_return;
  }
  const bool recovered = published_.with([&](Published& published) {
    published.objects += written.records > 0 ? 1 : 0;
    published.records += written.records;
    published.bytes += written.bytes;
    return !std::exchange(published.last_error, {}).empty();
  });
  if (recovered) logging::info("delivery goes on", {{"delivery_stream", spec_.name}, {"failures", failures_in_a_row_}});
  failures_in_a_row_ = 0;
  publish(std::nullopt);
  answer_flushes();
}

awaitable<std::optional<std::string>> Pump::write(const Plan& plan, Written& written) {
  written = {};
  WriterSlots::Slot slot = co_await slots_->acquire(dependencies_.clock, tasks_.stop_token());
  if (!slot) co_return "stopped";
  const std::string key =
      object_key(spec_.s3.prefix, spec_.name, plan.version, plan.instant, object_uuid(stored_.incarnation, plan));
  auto upload = co_await dependencies_.objects.begin_upload(spec_.s3.bucket, key, true);
  if (!upload) co_return upload.error().detail;
  Gathered gathered;
  for (const ShardRange& range : plan.ranges) {
    auto why = co_await write_range(range, **upload, written, gathered);
    if (why) co_return why;
  }
  if (auto why = co_await append(**upload, gathered)) co_return why;
  if (written.records == 0) co_return std::nullopt;  // all of it left the source: no empty object
  if (stopping()) co_return "stopped";
  auto committed = co_await (*upload)->commit();
  if (!committed) co_return committed.error().detail;
  co_return std::nullopt;
}

awaitable<std::optional<std::string>> Pump::append(objects::Upload& upload, Gathered& gathered) {
  if (!gathered.pieces.empty()) {
    auto appended = co_await upload.append(gathered.pieces);
    if (!appended) co_return appended.error().detail;
  }
  gathered.pieces.clear();
  gathered.batches.clear();
  gathered.bytes = 0;
  co_return std::nullopt;
}

awaitable<std::optional<std::string>> Pump::write_range(const ShardRange& range, objects::Upload& upload,
                                                        Written& written, Gathered& gathered) {
  const auto found = sources_.find(range.shard);
  BatchPlanner::Count& count = written.by_shard[range.shard];
  Position at = range.from;
  bool gap = found == sources_.end() || !found->second.exact;
  while (found != sources_.end() && at < range.to) {
    log::ReadRequest request;
    request.from = at;
    request.records_max = kPageRecordsMax;
    request.bytes_max = kPageBytesMax;
    auto batch = co_await found->second.log->read(request);
    if (!batch && batch.error().code != log::Errc::not_found)
      co_return "shard " + std::to_string(range.shard) + " cannot be read: " + batch.error().detail;
    if (!batch || batch->runs.empty() || batch->runs.front().first >= range.to) break;
    for (const log::RecordRun& run : batch->runs) {
      const char* next_record = run.bytes.data();
      for (std::uint32_t i = 0; i < run.count; ++i) {
        const Position position{run.first.get() + i};
        if (position >= range.to) break;
        gap = gap || position != at;
        at = Position{position.get() + 1};
        log::RecordView record;
        next_record = log::read_record(next_record, record);
        ++count.records;
        count.data_bytes += record.data.size();
        UserRecords user_records(record.data);
        for (std::string_view data; user_records.next(data);) {
          gathered.pieces.push_back({data, {}});  // `batch` outlives them
          if (!delimiter_.empty()) gathered.pieces.push_back({delimiter_, {}});
          ++written.records;
          written.bytes += data.size() + delimiter_.size();
          if (gathered.pieces.size() < 2 * kGatherRecordsMax) continue;
          auto why = co_await append(upload, gathered);
          if (why) co_return why;
        }
      }
      gathered.bytes += run.bytes.size();
    }
    at = std::max(at, batch->next);
    gathered.batches.push_back(std::move(*batch));
    if (gathered.bytes >= kGatherBytesMax) {
      auto why = co_await append(upload, gathered);
      if (why) co_return why;
    }
    if (stopping()) co_return "stopped";
  }
  if (gap || at < range.to) written.with_gaps.push_back(range.shard);
  co_return std::nullopt;
}

awaitable<std::optional<std::string>> Pump::persist() {
  auto put = co_await dependencies_.store.put(store_key(spec_.name), write_stored(stored_), revision_);
  if (!put) co_return "the checkpoint cannot be stored: " + put.error().detail;
  revision_ = *put;
  co_return std::nullopt;
}

void Pump::failed(const std::string& why) {
  ++failures_in_a_row_;
  if (deleting()) return;  // a checkpoint finds no key
  const bool changed = published_.with([&](Published& published) {
    ++published.failures;
    return std::exchange(published.last_error, why) != why;
  });
  if (changed) logging::warn("delivery failed and is tried again", {{"delivery_stream", spec_.name}, {"reason", why}});
}

awaitable<bool> Pump::back_off() {
  const unsigned doublings = std::min(failures_in_a_row_ > 0 ? failures_in_a_row_ - 1 : 0, 6u);
  const std::chrono::milliseconds longest = std::min(kBackOffFirst * (1 << doublings), kBackOffMax);
  const auto jitter =
      static_cast<std::int64_t>(dependencies_.random.next() % static_cast<std::uint64_t>(longest.count() / 2));
  const TimePoint until = dependencies_.clock.now() + longest / 2 + std::chrono::milliseconds{jitter};
  const std::uint64_t asked_before = flushes_asked();
  while (!stopping()) {
    if (co_await wake_.wait(dependencies_.clock, until, tasks_.stop_token()) == WakeUp::Why::deadline) break;
    if (flushes_asked() != asked_before) break;
  }
  co_return !stopping();
}

void Pump::publish(std::optional<TimePoint> oldest) {
  std::map<std::uint32_t, PublishedShard> shards;
  for (const auto& [index, source] : sources_)
    shards.emplace(index,
                   PublishedShard{source.log, next(index), source.records_at, source.data_bytes_at, source.over});
  published_.with([&](Published& published) {
    published.shards.swap(shards);
    published.oldest = oldest;
  });
}

std::uint64_t Pump::flushes_asked() const {
  return published_.with([](const Published& published) { return published.flushes_asked; });
}

bool Pump::flush_wanted() const {
  return published_.with([&](const Published& published) {
    return std::any_of(published.flushes.begin(), published.flushes.end(),
                       [&](const auto& flush) { return !reached(published, *flush); });
  });
}

void Pump::answer_flushes() {
  std::vector<std::shared_ptr<const Flush>> reached_now;
  published_.with([&](Published& published) {
    std::erase_if(published.flushes, [&](const auto& flush) {
      const bool answer = reached(published, *flush) || stopping();
      if (answer) reached_now.push_back(flush);
      return answer;
    });
  });
  for (const auto& flush : reached_now) flush->done();
}

}  // namespace millrace::delivery
