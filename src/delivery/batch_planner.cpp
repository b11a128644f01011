#include "delivery/batch_planner.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <utility>

namespace millrace::delivery {

using log::Position;

std::size_t BatchPlanner::add_shard(std::uint32_t shard, Position from, Position to, std::int64_t not_before_ms) {
  Shard added{};
  added.shard = shard;
  added.position = from;
  added.to = to;
  added.not_before_ms = not_before_ms;
  shards_.push_back(std::move(added));
  without_head_.push_back(shards_.size() - 1);
  return shards_.size() - 1;
}

bool BatchPlanner::peek(Shard& shard, log::RecordView& record) {
  while (shard.run < shard.batch.runs.size()) {
    const log::RecordRun& run = shard.batch.runs[shard.run];
    if (shard.in_run < run.count) {
      if (!shard.at) shard.at = run.bytes.data();
      shard.position = Position{run.first.get() + shard.in_run};
      if (shard.position >= shard.to) return false;
      log::read_record(shard.at, record);
      return true;
    }
    ++shard.run;
    shard.in_run = 0;
    shard.at = nullptr;
  }
  return false;
}

std::optional<BatchPlanner::PageWanted> BatchPlanner::advance() {
  while (!full()) {
    while (!without_head_.empty()) {
      const std::size_t slot = without_head_.back();
      Shard& shard = shards_[slot];
      log::RecordView head;
      if (peek(shard, head))
        heads_.push({std::max(head.arrival_ms, shard.not_before_ms), slot});
      else if (shard.position < shard.to)
        return PageWanted{slot, shard.position};
      without_head_.pop_back();
    }
    if (heads_.empty()) return std::nullopt;
    const Head oldest = heads_.top();
    heads_.pop();
    take_while_oldest(oldest.slot, heads_.empty() ? std::numeric_limits<std::int64_t>::max() : heads_.top().arrival_ms);
    without_head_.push_back(oldest.slot);
  }
  return std::nullopt;
}

void BatchPlanner::take_while_oldest(std::size_t slot, std::int64_t until_ms) {
  Shard& shard = shards_[slot];
  log::RecordView record;
  while (!full() && peek(shard, record) && std::max(record.arrival_ms, shard.not_before_ms) <= until_ms) {
    if (!shard.range_from) shard.range_from = shard.position;
    if (!oldest_ms_ || record.arrival_ms < *oldest_ms_) oldest_ms_ = record.arrival_ms;
    ++shard.taken.records;
    shard.taken.data_bytes += record.data.size();
    bytes_ += record.data.size() + delimiter_bytes_;
    shard.at = record.data.data() + record.data.size();
    ++shard.in_run;
    shard.position = Position{shard.position.get() + 1};
    if (shard.in_run == shard.batch.runs[shard.run].count && shard.run + 1 == shard.batch.runs.size())
      shard.position = shard.batch.next;  // may be in a later epoch
  }
}

void BatchPlanner::page(std::size_t slot, log::ReadBatch batch) {
  if (batch.runs.empty()) return gone(slot);
  Shard& shard = shards_[slot];
  if (!shard.first_readable) shard.first_readable = batch.runs.front().first;
  shard.batch = std::move(batch);
  shard.run = 0;
  shard.in_run = 0;
  shard.at = nullptr;
}

void BatchPlanner::gone(std::size_t slot) {
  Shard& shard = shards_[slot];
  if (!shard.first_readable) shard.first_readable = shard.to;
  shard.batch = {};
  shard.position = shard.to;
}

std::optional<Plan> BatchPlanner::plan(std::uint32_t version) const {
  if (!oldest_ms_) return std::nullopt;
  Plan plan{TimePoint{std::chrono::milliseconds{*oldest_ms_}}, version, {}};
  for (const Shard& shard : shards_)
    if (shard.range_from) plan.ranges.push_back({shard.shard, *shard.range_from, std::min(shard.position, shard.to)});
  return plan;
}

}  // namespace millrace::delivery
