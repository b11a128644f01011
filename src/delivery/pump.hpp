#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "delivery/batch_planner.hpp"
#include "delivery/checkpoint.hpp"
#include "delivery/shard_watch.hpp"
#include "delivery/writer_slots.hpp"
#include "millrace/base/guarded.hpp"
#include "millrace/base/task_group.hpp"
#include "millrace/delivery/delivery.hpp"

namespace millrace::delivery {

/// Moves the records of one delivery stream from its source to its bucket. One coroutine on one core decides and
/// writes; the other members are for any thread. Its owner joins stop() before it lets go.
class Pump {
 public:
  /// @param revision  of `stored` as it lies in the state store
  Pump(const Dependencies& dependencies, std::shared_ptr<WriterSlots> slots, Executor executor, Stored stored,
       state::Revision revision);

  void start();
  void request_stop() { tasks_.stop(); }
  /// No record is delivered after it returns.
  awaitable<void> stop();

  DeliveryStreamInfo info() const;
  std::uint64_t undelivered_records() const;
  /// True once: the caller is the one that removes it.
  bool begin_deleting();
  /// It could not be removed.
  void end_deleting();
  bool deleting() const;
  bool creating() const;

  /// Everything below these positions is wanted delivered, at once.
  struct Flush {
    std::map<std::uint32_t, log::Position> targets;
    std::function<void()> done;  ///< called once, on the pump's core, when it is, or never will be
  };
  std::shared_ptr<const Flush> flush(std::function<void()> done);
  /// Its `done` is not called any more. Nothing when it is reached, else why not.
  std::optional<std::string> end_flush(const std::shared_ptr<const Flush>& flush);

 private:
  /// A source shard with its cursor. Totals are the log's, as they stood at the cursor.
  struct Source {
    std::shared_ptr<log::Log> log;
    std::shared_ptr<ShardWatch> watch;
    std::uint64_t records_at = 0, data_bytes_at = 0;
    bool counted = false;  // the totals are known: all beyond them that is not read is lost
    bool exact = false;    // all beyond them can be read; a look at all that is left makes it so
    bool ended = false;
    std::int64_t not_before_ms = 0;         // its records follow those of its parents, the last of which came then
    bool over = false;                      // wholly delivered and ended, or gone
    std::optional<std::int64_t> oldest_ms;  // arrival of the record at the cursor, when known
  };
  struct PublishedShard {
    std::shared_ptr<log::Log> log;
    log::Position next;
    std::uint64_t records_at = 0, data_bytes_at = 0;
    bool over = false;
  };
  /// What other threads see.
  struct Published {
    std::map<std::uint32_t, PublishedShard> shards;
    std::uint64_t objects = 0, records = 0, bytes = 0, failures = 0;
    std::optional<TimePoint> oldest;
    std::string last_error;
    std::vector<std::shared_ptr<const Flush>> flushes;
    std::uint64_t flushes_asked = 0;
    bool deleting = false, ended = false;
  };
  using Snapshot = std::map<std::uint32_t, log::Progress>;
  struct Written {
    std::map<std::uint32_t, BatchPlanner::Count> by_shard;
    std::uint64_t records = 0, bytes = 0;  // of the object: aggregated user records count each
    std::vector<std::uint32_t> with_gaps;  // shards that lost records, or whose epoch changed inside the range
  };
  /// Records of one or several shards that go to the file together: many small ranges do not cost a write each.
  struct Gathered {
    std::vector<Slice> pieces;
    std::vector<log::ReadBatch> batches;  // what the pieces point into
    std::size_t bytes = 0;                // of the batches
  };

  awaitable<void> run();
  /// One decision; false when nothing will ever be left to do.
  awaitable<bool> step();
  bool stopping() const { return tasks_.stop_token().stop_requested(); }

  /// Looks the source up: shards that a reshard made are taken up from their beginning, once their parents' ends are
  /// known: no record of theirs can come between.
  void look_up_shards();
  static bool parents_ended(const streams::Stream& stream, const streams::Shard& shard);
  Snapshot look_at_shards();
  log::Position next(std::uint32_t shard) { return stored_.shards[shard].next(); }
  void skip_to(std::uint32_t shard, log::Position position);
  /// Nothing that is not yet delivered can be read any more.
  void skip_all(std::uint32_t shard, const log::Progress& progress);
  void give_up(std::uint32_t shard);
  void warn_of_loss(std::uint32_t shard, std::uint64_t records) const;
  awaitable<std::optional<TimePoint>> find_oldest(const Snapshot& snapshot);
  /// At most: data and delimiters not yet delivered; nothing when it is not known.
  std::optional<std::uint64_t> buffered(const Snapshot& snapshot) const;
  void wait_for_any(const Snapshot& snapshot);
  void wait_for_share(const Snapshot& snapshot, std::uint64_t missing_bytes);

  /// @param partial  also when the size is not reached
  awaitable<std::optional<Plan>> make_plan(const Snapshot& snapshot, bool partial);
  /// Until it is written or the pump stops.
  awaitable<void> deliver(Plan plan);
  awaitable<std::optional<std::string>> write(const Plan& plan, Written& written);
  awaitable<std::optional<std::string>> write_range(const ShardRange& range, objects::Upload& upload, Written& written,
                                                    Gathered& gathered);
  static awaitable<std::optional<std::string>> append(objects::Upload& upload, Gathered& gathered);
  awaitable<std::optional<std::string>> persist();
  void failed(const std::string& why);
  /// False when the pump stops. A flush cuts it short.
  awaitable<bool> back_off();

  void publish(std::optional<TimePoint> oldest);
  std::uint64_t flushes_asked() const;  ///< since the start
  bool flush_wanted() const;
  void answer_flushes();
  static bool reached(const Published& published, const Flush& flush);

  const Dependencies dependencies_;
  const std::shared_ptr<WriterSlots> slots_;
  const DeliveryStreamSpec spec_;
  const std::uint64_t bytes_max_;
  const std::string delimiter_;
  TaskGroup tasks_;
  WakeUp wake_;
  const Executor executor_;

  // Touched by the coroutine only.
  Stored stored_;
  state::Revision revision_;
  std::map<std::uint32_t, Source> sources_;
  bool source_gone_ = false;
  bool some_ended_ = false;  // since the source was looked up
  unsigned failures_in_a_row_ = 0;

  // Of stored_, for any thread.
  const std::uint64_t source_incarnation_;
  const TimePoint created_, active_at_;
  const std::uint32_t version_;
  Guarded<Published> published_;
};

}  // namespace millrace::delivery
