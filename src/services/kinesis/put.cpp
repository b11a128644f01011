#include "services/kinesis/put.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "millrace/codec/base64.hpp"
#include "millrace/codec/decimal.hpp"

namespace millrace::services::kinesis {
namespace {

constexpr int kRouteAttempts = 4;
constexpr std::uint32_t kNone = ~std::uint32_t{0};

// Which lane a shard has in the request under way, by shard index. Entries of earlier requests are told by their stamp,
// so that nothing is cleared.
struct LaneTable {
  struct Slot {
    std::uint32_t stamp = 0, lane = 0;
  };
  std::vector<Slot> slots;
  std::uint32_t stamp = 0;

  void begin() {
    if (++stamp == 0) {
      slots.assign(slots.size(), Slot{});
      stamp = 1;
    }
  }
  // The lane of `shard`; a new one when it has none yet.
  std::uint32_t lane_of(const streams::Shard& shard, std::vector<PutScratch::Lane>& lanes) {
    if (shard.index >= slots.size()) slots.resize(shard.index + std::size_t{1});
    Slot& slot = slots[shard.index];
    if (slot.stamp != stamp) {
      slot = {stamp, static_cast<std::uint32_t>(lanes.size())};
      lanes.push_back({&shard, kNone, kNone, {}, std::nullopt});
    }
    return slot.lane;
  }
};
LaneTable& lane_table() {
  thread_local LaneTable table;
  return table;
}

// Hash keys of all entries. False: an explicit one is out of range.
bool hash_all(PutScratch& s) {
  s.keys.clear();
  bool any_explicit = false;
  for (const PutEntry& entry : s.entries) {
    s.keys.push_back(entry.explicit_hash.empty() ? entry.key : std::string_view{});
    any_explicit |= !entry.explicit_hash.empty();
  }
  s.hashes.resize(s.entries.size());
  md5_many(s.keys, s.hashes);
  if (!any_explicit) return true;
  for (std::size_t i = 0; i < s.entries.size(); ++i) {
    if (s.entries[i].explicit_hash.empty()) continue;
    const std::optional<Uint128> hash = codec::parse_uint128(s.entries[i].explicit_hash);
    if (!hash) {
      s.offending_hash = s.entries[i].explicit_hash;
      return false;
    }
    s.hashes[i] = *hash;
  }
  return true;
}

void route_all(const streams::Stream& stream, PutScratch& s) {
  s.lanes.clear();
  s.next_in_lane.assign(s.entries.size(), kNone);
  LaneTable& table = lane_table();
  table.begin();
  for (std::uint32_t i = 0; i < s.entries.size(); ++i) {
    const streams::Shard& shard = stream.route(s.hashes[i]);
    const std::uint32_t number = table.lane_of(shard, s.lanes);
    PutScratch::Lane& lane = s.lanes[number];
    if (lane.first == kNone)
      lane.first = i;
    else
      s.next_in_lane[lane.last] = i;
    lane.last = i;
    s.placed[i].shard = &shard;
    s.placed[i].lane = number;
  }
}

// Lays all records out in batches, lane by lane. False: bad base64.
bool build_batches(PutScratch& s) {
  const std::uint16_t flags = s.sealed ? log::kSealedRecord : 0;
  std::size_t bytes = 0;
  for (const PutEntry& entry : s.entries)
    bytes +=
        entry.key.size() + (entry.is_base64 ? codec::base64::decoded_size_max(entry.data.size()) : entry.data.size());
  s.builder.reset(log::batch_bytes_needed(s.entries.size(), bytes));
  s.batches.clear();
  s.ends.clear();
  s.ends.reserve(s.entries.size());
  for (const PutScratch::Lane& lane : s.lanes) {
    bool open = false;
    for (std::uint32_t i = lane.first; i != kNone; i = s.next_in_lane[i]) {
      const PutEntry& entry = s.entries[i];
      const std::size_t data_max =
          entry.is_base64 ? codec::base64::decoded_size_max(entry.data.size()) : entry.data.size();
      if (!open ||
          s.builder.batch_bytes() + sizeof(log::RecordHead) + entry.key.size() + data_max > log::kBatchBytesMax) {
        s.builder.begin_batch();
        s.batches.push_back({s.builder.batch().bytes, static_cast<std::uint32_t>(s.ends.size()), 0, i});
        open = true;
      }
      char* const at = s.builder.begin_record(entry.key, data_max);
      std::size_t size = entry.data.size();
      if (entry.is_base64) {
        const codec::base64::Decoded decoded = codec::base64::decode(entry.data, at);
        if (decoded.error != codec::base64::Errc::none) return false;
        size = decoded.size;
      } else if (size != 0) {
        std::memcpy(at, entry.data.data(), size);
      }
      s.builder.finish_record(size, flags);
      ++s.batches.back().count;
      s.ends.push_back(static_cast<std::uint32_t>(s.builder.batch_bytes()));
    }
  }
  return true;
}

// Records that their shards' limits refuse leave their lanes. False: there are none.
bool refuse_over_limits(PutScratch& s, TimePoint now) {
  bool any = false;
  for (PutScratch::Lane& lane : s.lanes) {
    streams::ShardLimits& limits = *lane.shard->limits;
    std::uint64_t records = 0, bytes = 0;
    for (std::uint32_t i = lane.first; i != kNone; i = s.next_in_lane[i], ++records) bytes += entry_bytes(s.entries[i]);
    if (limits.take_write(now, records, bytes)) continue;
    any = true;
    std::uint64_t refused = 0;
    std::uint32_t rest = std::exchange(lane.first, kNone);
    for (lane.last = kNone; rest != kNone;) {
      const std::uint32_t i = rest;
      rest = std::exchange(s.next_in_lane[i], kNone);
      if (records == 1 || !limits.take_write(now, 1, entry_bytes(s.entries[i]))) {
        s.placed[i].error = log::Errc::full;
        ++refused;
        continue;
      }
      (lane.first == kNone ? lane.first : s.next_in_lane[lane.last]) = i;
      lane.last = i;
    }
    limits.count_refused_writes(refused);
  }
  return any;
}

void keep_ticket(PutScratch& s, const log::Ticket& ticket) {
  if (!ticket.committed) s.open.push_back(ticket);
}

// A record whose shard's log has ended since it was routed: look the stream up again and route again. True: staged.
bool put_again(const Environment& environment, const std::string& name, PutScratch& s,
               const PutScratch::Ended& record) {
  Placed& placed = s.placed[record.entry];
  for (int attempt = 0; attempt < kRouteAttempts; ++attempt) {
    streams::StreamRef stream = environment.streams.find(name);
    if (!stream) return false;
    const streams::Shard& shard = stream->route(s.hashes[record.entry]);
    const std::uint32_t ends[] = {record.size};
    const log::Result<log::Staged> staged = shard.log->stage(shard.log->epoch(), log::BatchView{record.bytes, ends});
    if (!staged && staged.error().code == log::Errc::ended) continue;
    s.held.push_back(std::move(stream));
    placed.shard = &shard;
    placed.lane = static_cast<std::uint32_t>(s.lanes.size());
    s.lanes.push_back({&shard, record.entry, record.entry, {}, std::nullopt});
    if (!staged) {
      placed.error = staged.error().code;
      return false;
    }
    placed.error.reset();
    placed.position = staged->first;
    placed.arrival_ms = staged->arrival_ms;
    keep_ticket(s, staged->ticket);
    return true;
  }
  return false;
}

}  // namespace

PutSession::PutSession()
    : scratch_([]() -> PutScratch& {
        thread_local PutScratch scratch;
        return scratch;
      }()) {
  scratch_.entries.clear();
}

std::optional<PutFailure> put_all(const Environment& environment, streams::StreamRef stream, PutScratch& s) {
  s.placed.assign(s.entries.size(), Placed{});
  s.open.clear();
  s.held.clear();
  s.ended.clear();
  if (!hash_all(s)) return PutFailure::bad_hash;
  s.sealed = stream->settings.key_id && stream->settings.encrypts(environment.clock.now());
  route_all(*stream, s);
  if (!build_batches(s)) return PutFailure::bad_base64;
  // All or none of a stream's shards have limits. What they leave is laid out once more.
  if (stream->limits && refuse_over_limits(s, environment.clock.now())) build_batches(s);

  bool any_staged = false;
  for (const PutScratch::Batch& batch : s.batches) {
    const streams::Shard& shard = *s.placed[batch.first_entry].shard;
    const std::span<const std::uint32_t> ends = std::span(s.ends).subspan(batch.first_end, batch.count);
    const log::Result<log::Staged> staged = shard.log->stage(shard.log->epoch(), log::BatchView{batch.bytes, ends});
    std::uint32_t i = batch.first_entry;
    if (staged) {
      any_staged = true;
      keep_ticket(s, staged->ticket);
      std::uint64_t position = staged->first.get();
      for (std::uint32_t k = 0; k < batch.count; ++k, i = s.next_in_lane[i]) {
        s.placed[i].position = log::Position{position++};
        s.placed[i].arrival_ms = staged->arrival_ms;
      }
      continue;
    }
    const log::Errc error = staged.error().code;
    const bool ended = error == log::Errc::ended || error == log::Errc::not_found;
    std::uint32_t begin = 0;
    for (std::uint32_t k = 0; k < batch.count; begin = ends[k++], i = s.next_in_lane[i]) {
      s.placed[i].error = error;
      if (ended) s.ended.push_back({batch.bytes + begin, ends[k] - begin, i});
    }
  }
  // In the request's order again, across the old lanes: two of them may have become one shard.
  std::sort(s.ended.begin(), s.ended.end(), [](const auto& a, const auto& b) { return a.entry < b.entry; });
  for (const PutScratch::Ended& record : s.ended) any_staged |= put_again(environment, stream->name, s, record);
  const bool gone = !s.ended.empty() && !any_staged && !environment.streams.find(stream->name);
  s.held.push_back(std::move(stream));
  if (gone) return PutFailure::no_stream;
  return std::nullopt;
}

void write_sequence_number(PutScratch& s, std::size_t index, char* out) {
  const Placed& placed = s.placed[index];
  PutScratch::Lane& lane = s.lanes[placed.lane];
  if (lane.next == placed.position)
    lane.numbers.next(placed.arrival_ms);
  else
    lane.numbers = placed.shard->numbers.run(placed.position, placed.arrival_ms);
  lane.next = log::Position{placed.position.get() + 1};
  lane.numbers.write(out);
}

streams::StreamRef StreamView::find(const Environment& environment) const {
  std::string_view name = name_;
  if (arn_.data()) {
    const std::optional<std::string_view> resource = arn_.size() <= 2048 ? arn_resource_name(arn_) : std::nullopt;
    if (!resource || (name_.data() && name_ != *resource)) return nullptr;
    name = *resource;
  }
  streams::StreamRef stream = name.empty() ? nullptr : environment.streams.find(name);
  if (stream && stream->status(environment.clock.now()) == streams::Status::creating) return nullptr;
  return stream;
}

Outcome<streams::StreamRef> find_stream_to_put(Context& context, const StreamSelector& selector) {
  Outcome<streams::StreamRef> stream = find_stream(context, selector);
  if (stream && (*stream)->status(context.environment.clock.now()) == streams::Status::creating)
    return stream_not_found(context.environment, (*stream)->name);
  return stream;
}

ServiceError explicit_hash_error(std::string_view hash) {
  return invalid_argument(
      "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, 2^128-1]. Specified value was " +
      std::string(hash));
}

ServiceError record_too_large(std::string_view path, std::size_t data_bytes, std::size_t bytes_max) {
  const std::string size = std::to_string(data_bytes);
  return {"ValidationException", 400,
          "1 validation error detected: Value 'java.nio.HeapByteBuffer[pos=0 lim=" + size + " cap=" + size + "]' at '" +
              std::string(path) + "' failed to satisfy constraint: Member must have length less than or equal to " +
              std::to_string(bytes_max)};
}

awaitable<void> await_commits(Context& context, std::span<const log::Ticket> open, Reply& reply) {
  const log::Result<> committed = co_await context.environment.streams.engine().committed(open);
  if (committed) co_return;
  reply.clear();
  reply.error = ServiceError{"InternalFailure", 500, ""};
}

}  // namespace millrace::services::kinesis
