#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "millrace/base/random.hpp"
#include "millrace/journal/journal.hpp"
#include "millrace/log/engine.hpp"
#include "support/keys.hpp"
#include "support/run.hpp"

namespace millrace::log {
namespace {

using namespace std::chrono_literals;

struct Stored {
  std::uint64_t position;
  std::int64_t arrival_ms;
  std::string data;
  bool operator==(const Stored&) const = default;
};
void PrintTo(const Stored& r, std::ostream* out) {
  *out << r.position << " @" << r.arrival_ms << " " << r.data.substr(0, 12) << " (" << r.data.size() << ")";
}

/// One data directory and the lives of an engine on it.
class DurableEngine : public testing::Test {
 protected:
  void start(std::size_t budget_bytes = std::size_t{64} << 20) {
    engine_.reset();
    logs_.clear();
    budget_.emplace(budget_bytes);
    threads_.emplace(2);
    auto made = make_durable_engine(clock_, *budget_, *files_, *threads_, options_);
    ASSERT_TRUE(made.has_value()) << made.error().detail;
    engine_ = std::move(*made);
    if (std::exchange(first_start_, false)) engine_->forget_unopened();
  }
  /// The process is gone, what it had not written too.
  void stop() {
    logs_.clear();
    engine_.reset();
    threads_.reset();
  }
  void lose_power(Random& random) {
    files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });  // nothing more arrives
    stop();
    files_->lose_power(random);
    files_->on_change(nullptr);
  }

  Log& log(std::uint64_t id = 1, LogOptions options = {.retention = 24h}) {
    auto& held = logs_[id];
    if (!held) {
      if (auto opened = test::run(io_, engine_->open(LogId{id}))) {
        held = *opened;
        held->set_retention(options.retention);
      } else {
        held = *test::run(io_, engine_->create(LogId{id}, options));
      }
    }
    return *held;
  }
  Result<Staged> stage(Log& log, const std::vector<std::string>& data) {
    builder_.reset(0);
    builder_.begin_batch();
    for (const std::string& each : data) builder_.add("key", each, flags_);
    return log.stage(log.epoch(), builder_.batch());
  }
  Result<std::vector<Stored>> put(Log& log, const std::vector<std::string>& data) {
    auto staged = stage(log, data);
    if (!staged) return staged.error();
    EXPECT_FALSE(staged->ticket.committed);
    const Ticket tickets[] = {staged->ticket};
    if (auto done = test::run(io_, engine_->committed(tickets)); !done) return done.error();
    std::vector<Stored> stored;
    std::uint64_t position = staged->first.get();
    for (const std::string& each : data) stored.push_back({position++, staged->arrival_ms, each});
    return stored;
  }
  std::vector<Stored> all(Log& log, std::uint64_t from = 0, std::size_t bytes_max = 10u << 20) {
    std::vector<Stored> out;
    Position next{from};
    for (;;) {
      auto batch = test::run(io_, log.read({.from = next, .bytes_max = bytes_max}));
      EXPECT_TRUE(batch.has_value()) << "from " << next.get() << ": " << batch.error().detail;
      if (!batch || batch->records == 0) return out;
      for (const RecordRun& run : batch->runs) {
        const char* at = run.bytes.data();
        for (std::uint32_t i = 0; i < run.count; ++i) {
          RecordView record;
          at = read_record(at, record);
          out.push_back({run.first.get() + i, record.arrival_ms, std::string(record.data)});
        }
      }
      EXPECT_GT(batch->next, next);
      next = batch->next;
    }
  }

  /// Files go as their long-lived records are in newer ones; each step is a job of the file threads and a commit.
  void rewrite_until_files_take(std::uint64_t bytes) {
    const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
    while (engine_->status().file_bytes > bytes) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << engine_->status().file_bytes << " bytes";
      clock_.advance(1s);
      test::settle(io_);
      ASSERT_TRUE(put(log(1), {"x"}).has_value());  // commits go on beside it
    }
  }

  boost::asio::io_context io_{1};
  ManualClock clock_;
  std::unique_ptr<MemoryFiles> files_ = make_memory_files({.loses_unsynced = true});
  DurableEngineOptions options_{.directory = "log", .file_bytes = 1u << 20};
  std::optional<MemoryBudget> budget_;
  std::optional<FileThreads> threads_;
  std::unique_ptr<Engine> engine_;
  std::map<std::uint64_t, std::shared_ptr<Log>> logs_;
  BatchBuilder builder_;
  std::uint16_t flags_ = 0;  // of records that are put
  bool first_start_ = true;
};

std::string filler(std::uint32_t number, std::size_t size) {
  std::string data = std::to_string(number) + ":";
  data.resize(std::max(size, data.size()), static_cast<char>('a' + number % 26));
  return data;
}

TEST_F(DurableEngine, TenTimesTheMemoryReadsBack) {
  start(4u << 20);
  std::vector<Stored> expected;
  for (std::uint32_t i = 0; i < 400; ++i) {
    auto put = this->put(log(), {filler(2 * i, 50'000), filler(2 * i + 1, 50'000)});
    ASSERT_TRUE(put.has_value()) << put.error().detail;
    expected.insert(expected.end(), put->begin(), put->end());
    clock_.advance(10ms);
    ASSERT_LE(budget_->used(), budget_->bytes_max());
  }
  EXPECT_EQ(all(log()), expected);
  EXPECT_EQ(all(log(), expected[100].position), std::vector(expected.begin() + 100, expected.end()));
  EXPECT_EQ(all(log(), 0, 1'000), expected) << "a record a page";
  const Progress progress = log().progress();
  EXPECT_EQ(progress.records_total, 800u);
  EXPECT_EQ(progress.stored_bytes, 800u * (50'000 + 3 + 16));
  for (std::size_t i = 0; i < 800; i += 37) {
    const TimePoint at{std::chrono::milliseconds(expected[i].arrival_ms)};
    EXPECT_EQ(test::run(io_, log().seek(at))->get(), expected[i / 2 * 2].position);
  }
}

TEST_F(DurableEngine, ACleanStopAndAStartGoOnWhereItWas) {
  start();
  auto expected = *put(log(1), {"1", "2"});
  const auto other = *put(log(2), {"other"});
  stop();
  start();
  EXPECT_EQ(all(log(1)), expected);
  EXPECT_EQ(all(log(2)), other);
  EXPECT_EQ(test::run(io_, engine_->open(LogId{3})).error().code, Errc::not_found);
  const auto more = *put(log(1), {"3"});
  EXPECT_GT(more[0].position, expected.back().position);
  expected.push_back(more[0]);
  EXPECT_EQ(all(log(1)), expected);
  EXPECT_EQ(log(1).progress().records_total, 3u);
}

TEST_F(DurableEngine, ArrivalDoesNotGoBackAcrossAStart) {
  start();
  const auto before = *put(log(), {"1"});
  stop();
  ManualClock earlier(clock_.now() - 1h);
  budget_.emplace(64u << 20);
  threads_.emplace(2);
  engine_ = *make_durable_engine(earlier, *budget_, *files_, *threads_, options_);
  EXPECT_EQ((*put(log(), {"2"}))[0].arrival_ms, before[0].arrival_ms);
  stop();
}

TEST_F(DurableEngine, RetentionHidesExactlyAndGivesFilesBack) {
  start(4u << 20);
  std::vector<Stored> expected;
  for (std::uint32_t i = 0; i < 100; ++i) {
    const auto put = *this->put(log(1, {.retention = 1h}), {filler(i, 90'000)});
    expected.insert(expected.end(), put.begin(), put.end());
    clock_.advance(1min);
    test::settle(io_);
  }
  const std::int64_t oldest = clock_.now().time_since_epoch().count() - std::chrono::milliseconds(1h).count();
  std::erase_if(expected, [&](const Stored& r) { return r.arrival_ms < oldest; });
  EXPECT_EQ(all(log()), expected);
  EXPECT_EQ(test::run(io_, log().read({.from = Position{0}}))->horizon.get(), expected[0].position);
  EXPECT_EQ(test::run(io_, log().seek(TimePoint{}))->get(), expected[0].position);
  const std::uint64_t full = engine_->status().file_bytes;
  clock_.advance(2h);
  test::settle(io_);
  (void)put(log(), {"new"});
  EXPECT_TRUE(all(log()).size() == 1);
  EXPECT_LE(engine_->status().file_bytes, full) << "files are used again";
}

TEST_F(DurableEngine, AFailedWriteIsToldAndNothingOfItIsEverSeen) {
  start();
  auto expected = *put(log(), {"1"});
  files_->on_change([](std::string_view call, const std::filesystem::path&) { return call == "fsync" ? EIO : 0; });
  const auto a = stage(log(), {"lost"}), b = stage(log(), {"lost too"});
  for (const Ticket& ticket : {a->ticket, b->ticket}) {
    const Ticket tickets[] = {ticket};
    EXPECT_EQ(test::run(io_, engine_->committed(tickets)).error().code, Errc::write_failed);
  }
  EXPECT_EQ(all(log()), expected);
  files_->on_change(nullptr);
  const auto later = *put(log(), {"2", "3"});
  EXPECT_GT(later[0].position, b->ticket.end.get());
  expected.insert(expected.end(), later.begin(), later.end());
  EXPECT_EQ(all(log()), expected);
  EXPECT_EQ(all(log(), a->first.get()), later) << "a reader that stands in the gap goes on behind it";
  EXPECT_EQ(log().progress().records_total, 3u);
  stop();
  start();
  EXPECT_EQ(all(log()), expected);
}

TEST_F(DurableEngine, AnEndWaitsForWhatIsStaged) {
  start();
  (void)stage(log(), {"1", "2"});
  auto waiting = test::start(io_, log().wait_stored(1 << 20, TimePoint::max(), {}));
  auto reading = test::start(io_, log().read({.from = Position{2}, .wait_until = TimePoint::max()}));
  EXPECT_EQ(*test::run(io_, log().end(log().epoch())), Position{2});
  EXPECT_TRUE(log().progress().ended);
  EXPECT_EQ(log().progress().tip, Position{2});
  test::run_until(io_, [&] { return waiting.done() && reading.done(); });
  EXPECT_TRUE(reading.result()->ended);
  const auto batch = *test::run(io_, log().read({.from = Position{0}}));
  EXPECT_EQ(batch.records, 2u);
  EXPECT_TRUE(test::run(io_, log().read({.from = batch.next}))->ended);
  stop();
  start();
  EXPECT_EQ(all(log()).size(), 2u);
}

TEST_F(DurableEngine, LogsThatNobodyOpensAreForgotten) {
  start();
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(put(log(1), {filler(i, 100'000)}).has_value());
  const auto kept = *put(log(2), {"kept"});
  stop();
  start();
  EXPECT_EQ(all(log(2)), kept);
  engine_->forget_unopened();
  EXPECT_EQ(test::run(io_, engine_->open(LogId{1})).error().code, Errc::not_found);
  EXPECT_TRUE(test::run(io_, engine_->create(LogId{1}, {})).has_value());
  EXPECT_EQ(all(log(2)), kept);
}

TEST_F(DurableEngine, ADeletedLogsFilesAreUsedAgain) {
  start(4u << 20);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(put(log(1), {filler(i, 100'000)}).has_value());
  const std::uint64_t full = engine_->status().file_bytes;
  logs_.clear();
  ASSERT_TRUE(test::run(io_, engine_->remove(LogId{1})).has_value());
  for (int i = 0; i < 80; ++i) ASSERT_TRUE(put(log(2), {filler(i, 100'000)}).has_value());
  EXPECT_LT(engine_->status().file_bytes, 2 * full);
}

// One call of the file system fails, each in its turn, from the first start to the last read: what was acknowledged is
// kept, and the engine goes on.
TEST_F(DurableEngine, AFailureAtAnyCallLosesNothingThatWasAcknowledged) {
  for (const int error : {EIO, ENOSPC}) {
    for (int failing = 0, calls = failing + 1; failing < calls; failing += 3) {
      SCOPED_TRACE("call " + std::to_string(failing) + " fails with " + std::to_string(error));
      stop();
      files_ = make_memory_files({.loses_unsynced = true});
      first_start_ = true;
      std::atomic<int> call{0};
      files_->on_change([&](std::string_view, const std::filesystem::path&) { return call++ == failing ? error : 0; });
      std::map<std::uint64_t, std::vector<Stored>> acknowledged;
      for (int life = 0; life < 2; ++life) {
        budget_.emplace(3u << 20);
        threads_.emplace(2);
        auto made = make_durable_engine(clock_, *budget_, *files_, *threads_, options_);
        if (!made) continue;  // told, and nothing is served
        engine_ = std::move(*made);
        if (std::exchange(first_start_, false)) engine_->forget_unopened();
        for (int i = 0; i < 40; ++i) {
          const std::uint64_t id = 1 + i % 2;
          if (auto stored = put(log(id), {filler(i, 60'000)}))
            acknowledged[id].insert(acknowledged[id].end(), stored->begin(), stored->end());
        }
        stop();
      }
      files_->on_change(nullptr);
      start(3u << 20);
      for (const auto& [id, expected] : acknowledged) {
        const std::vector<Stored> there = all(log(id));
        for (const Stored& record : expected) EXPECT_EQ(std::count(there.begin(), there.end(), record), 1);
      }
      EXPECT_TRUE(put(log(1), {"goes on"}).has_value());
      calls = call;
    }
  }
}

TEST_F(DurableEngine, WhatIsKeptLongDoesNotKeepTheFilesOfWhatIsNot) {
  start(4u << 20);
  log(1, {.retention = 1h});
  log(2, {.retention = 365 * 24h});
  std::vector<Stored> expected;
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(put(log(1), {filler(i, 90'000)}).has_value());
    const auto kept = *put(log(2), {filler(i, 5'000)});
    expected.insert(expected.end(), kept.begin(), kept.end());
    clock_.advance(1s);
  }
  const std::uint64_t full = engine_->status().file_bytes;
  EXPECT_GT(full, 25u << 20);
  clock_.advance(2h);
  rewrite_until_files_take(12u << 20);
  EXPECT_EQ(all(log(2)), expected);
  stop();
  start(4u << 20);
  EXPECT_EQ(all(log(2), 0, 50'000), expected);
  const auto at = expected[200];
  EXPECT_EQ(test::run(io_, log(2).seek(TimePoint{std::chrono::milliseconds{at.arrival_ms}}))->get(), at.position);
}

TEST_F(DurableEngine, ADamagedFileIsNotRewrittenAndOthersAre) {
  start(4u << 20);
  log(1, {.retention = 1h});
  log(2, {.retention = 365 * 24h});
  std::vector<Stored> expected;
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(put(log(1), {filler(i, 90'000)}).has_value());
    const auto kept = *put(log(2), {filler(i, 5'000)});
    expected.insert(expected.end(), kept.begin(), kept.end());
  }
  {
    const std::filesystem::path file = options_.directory / "journal-00000001";
    const std::string bytes = *files_->read_all(file, 2u << 20);
    auto opened = *files_->open_writable(file);
    const ByteView wrong[] = {"wrong"};
    // The other log has a longer one that begins so, before it.
    ASSERT_TRUE(opened->write_at(bytes.rfind(filler(3, 5'000)), wrong));
  }
  const std::uint64_t full = engine_->status().file_bytes;
  clock_.advance(2h);
  rewrite_until_files_take(full / 2);
  const auto read = test::run(io_, log(2).read({.from = Position{0}}));
  ASSERT_TRUE(read.has_value());
  EXPECT_EQ(read->records, 3u) << "those before the damage are where they were";
  EXPECT_EQ(all(log(2), expected[100].position), std::vector(expected.begin() + 100, expected.end()));
}

// A file of which some logs' records had been written again, and others' not, when the process ended.
TEST_F(DurableEngine, AFileStaysAsLongAsOneLogHasNotItsRecordsElsewhere) {
  constexpr std::uint64_t kLong = 12;
  options_.file_bytes = 4u << 20;
  start(8u << 20);
  std::map<std::uint64_t, std::vector<Stored>> expected;
  log(1, {.retention = 1h});
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(put(log(1), {filler(i, 90'000)}).has_value());
    for (std::uint64_t id = 2; id < 2 + kLong; ++id) {
      const auto put = *this->put(log(id, {.retention = 365 * 24h}), {filler(i, 5'000)});
      expected[id].insert(expected[id].end(), put.begin(), put.end());
    }
  }
  clock_.advance(2h);
  bool moved = false;
  const auto look = [&](const journal::Frame& frame, ByteView, journal::Lsn) {
    moved = moved || (frame.flags & journal::kMovedFlag);
  };
  const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
  while (journal::scan(*files_, options_.directory, look) && !moved) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline);
    clock_.advance(1s);
    test::settle(io_);
  }
  files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
  stop();
  files_->on_change(nullptr);
  for (int life = 0; life < 2; ++life) {
    start(8u << 20);
    for (std::uint64_t id = 2; id < 2 + kLong; ++id) EXPECT_TRUE(all(log(id)) == expected[id]) << id;
    stop();
  }
}

class ScatteredRecords : public DurableEngine {
 protected:
  static constexpr std::uint64_t kShards = 24;
  ScatteredRecords() { options_.file_bytes = 8u << 20; }
  Log& shard(std::uint64_t id) { return log(id, {.retention = 365 * 24h}); }
  /// About that many files, in which a log's records lie far from each other.
  void fill(std::size_t files) {
    for (std::size_t i = 0; i < files * 175; ++i) {
      for (std::uint64_t id = 1; id <= kShards; ++id) {
        const auto put = *this->put(shard(id), {filler(number_++, 1'900)});
        expected_[id].insert(expected_[id].end(), put.begin(), put.end());
      }
      clock_.advance(1ms);
    }
  }
  void read_all() {
    for (std::uint64_t id = 1; id <= kShards; ++id) ASSERT_TRUE(all(shard(id)) == expected_[id]) << id;
  }
  /// Sweeps, and what comes of them.
  void let_rewrite(std::uint64_t bytes) {
    const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
    clock_.advance(1min);
    while (engine_->status().rewritten_bytes < bytes) {
      ASSERT_LT(std::chrono::steady_clock::now(), deadline) << engine_->status().rewritten_bytes << " bytes";
      clock_.advance(1s);
      test::settle(io_);
    }
    for (int i = 0; i < 50; ++i) {  // and are in their place
      clock_.advance(1s);
      test::settle(io_);
      (void)*put(shard(kShards + 1), {"x"});
    }
  }
  struct Written {
    std::uint64_t frames = 0, bytes = 0, longest = 0, jumps = 0;  // from one log to another
  };
  /// The frames that were written again.
  Written written_again() {
    Written out;
    std::uint64_t log = 0;
    const auto visit = [&](const journal::Frame& frame, ByteView payload, journal::Lsn) {
      if (!(frame.flags & journal::kMovedFlag)) return;
      ++out.frames;
      out.bytes += payload.size();
      out.longest = std::max<std::uint64_t>(out.longest, payload.size());
      out.jumps += std::exchange(log, frame.log) != frame.log;
    };
    EXPECT_TRUE(journal::scan(*files_, options_.directory, visit, options_.keys));
    return out;
  }

  std::map<std::uint64_t, std::vector<Stored>> expected_;
  std::uint32_t number_ = 0;
};

TEST_F(ScatteredRecords, ArePutTogetherWhereTheyAreReadColdAndOnlyOnce) {
  start(6u << 20);
  fill(3);
  const std::uint64_t full = engine_->status().file_bytes;
  for (int i = 0; i < 3; ++i) read_all();
  let_rewrite(8u << 20);
  read_all();
  const std::uint64_t rewritten = engine_->status().rewritten_bytes;
  // Files of what was written again go, when the file threads come to it.
  const auto deadline = std::chrono::steady_clock::now() + test::kPatience;
  while (engine_->status().file_bytes >= full + (24u << 20)) {
    ASSERT_LT(std::chrono::steady_clock::now(), deadline) << engine_->status().file_bytes << " bytes";
    clock_.advance(1s);
    test::settle(io_);
    (void)*put(shard(kShards + 1), {"x"});
  }
  for (int i = 0; i < 5; ++i) {
    read_all();
    clock_.advance(5min);
    test::settle(io_);
  }
  const std::uint64_t stored = expected_[1].size() * kShards * (1'900 + 3 + 16);
  EXPECT_LE(rewritten, stored);
  stop();
  const Written written = written_again();
  EXPECT_GE(written.bytes, 8u << 20);
  EXPECT_LE(written.bytes, stored);
  EXPECT_LE(written.longest, std::uint64_t{64 * 1024});
  EXPECT_GT(written.bytes / written.frames, std::uint64_t{20'000}) << "small ones became larger ones";
  EXPECT_LT(written.bytes / written.jumps * 2, written.bytes) << "several logs";
  EXPECT_GT(written.bytes / written.jumps, std::uint64_t{100'000}) << "one log's records lie together";
  // Another life does not begin again.
  start(6u << 20);
  for (int i = 0; i < 5; ++i) {
    read_all();
    clock_.advance(5min);
    test::settle(io_);
  }
  EXPECT_LE(engine_->status().rewritten_bytes + rewritten, stored) << "no byte twice";
}

TEST_F(ScatteredRecords, StayWhereTheyAreWhileThereIsLittleRoom) {
  options_.disk_limit = 45u << 20;
  start(6u << 20);
  fill(3);
  for (int i = 0; i < 4; ++i) read_all();
  for (int i = 0; i < 20; ++i) {
    clock_.advance(1min);
    test::settle(io_);
  }
  EXPECT_EQ(engine_->status().rewritten_bytes, 0u);
  EXPECT_FALSE(engine_->status().full);
}

TEST_F(ScatteredRecords, AreReadBackAfterAFailureAmidst) {
  start(6u << 20);
  fill(3);
  for (int i = 0; i < 3; ++i) read_all();
  let_rewrite(1);
  files_->on_change([](std::string_view call, const std::filesystem::path&) { return call == "write" ? EIO : 0; });
  clock_.advance(1s);
  test::settle(io_);
  files_->on_change(nullptr);
  read_all();
  start(6u << 20);
  read_all();
}

class SealedEngine : public DurableEngine {
 protected:
  SealedEngine() {
    options_.keys = &keys_;
    options_.random = random_.get();
  }
  ~SealedEngine() override { stop(); }
  std::string refusal() {
    stop();
    budget_.emplace(std::size_t{64} << 20);
    threads_.emplace(2);
    const auto made = make_durable_engine(clock_, *budget_, *files_, *threads_, options_);
    return made ? "no error" : made.error().detail;
  }
  /// Some files of records that say `text`.
  std::vector<Stored> fill(const std::string& text) {
    std::vector<Stored> out;
    for (int i = 0; i < 30; ++i) {
      std::string data = text + std::to_string(i);
      data.resize(100'000, '.');
      const auto put = *this->put(log(), {data});
      out.insert(out.end(), put.begin(), put.end());
    }
    return out;
  }
  void flip_bit(const std::string& file, std::uint64_t offset) {
    auto opened = *files_->open_writable(options_.directory / file);
    std::string byte = *opened->read_at(offset, 1);
    byte[0] ^= 1;
    const ByteView pieces[] = {byte};
    ASSERT_TRUE(opened->write_at(offset, pieces));
  }

  std::unique_ptr<Random> random_ = make_seeded_random(1);
  test::SealingKeys keys_{{1, 'a'}};
};

TEST_F(SealedEngine, ReadsBackAfterAStartAndHoldsNoPlainText) {
  start(4u << 20);
  const auto expected = fill("a secret ");
  EXPECT_EQ(all(log()), expected);
  EXPECT_EQ(test::files_with(*files_, options_.directory, "a secret "), std::vector<std::string>());
  stop();
  EXPECT_EQ(test::files_with(*files_, options_.directory, "a secret "), std::vector<std::string>());
  start(4u << 20);
  EXPECT_EQ(all(log()), expected);
  EXPECT_GT(engine_->status().file_reads, 0u);
  // Turned off: what is new is plain, what is there is read.
  keys_.seals = false;
  start(4u << 20);
  const auto plain = fill("no secret ");
  EXPECT_FALSE(test::files_with(*files_, options_.directory, "no secret ").empty()) << "this does find texts";
  auto both = expected;
  both.insert(both.end(), plain.begin(), plain.end());
  EXPECT_EQ(all(log()), both);
}

TEST_F(SealedEngine, SealsRecordsThatAskForItWhereverTheyAreWritten) {
  keys_.seals = false;
  start(4u << 20);
  log(1, {.retention = 1h});
  log(2, {.retention = 365 * 24h});
  std::vector<Stored> expected;
  for (int i = 0; i < 300; ++i) {
    (void)*put(log(1), {"no secret " + filler(i, 90'000)});
    flags_ = i % 3 ? kSealedRecord : 0;
    const auto kept = *put(log(2), {(flags_ ? "a secret " : "no secret ") + filler(i, 5'000)});
    flags_ = 0;
    expected.insert(expected.end(), kept.begin(), kept.end());
    clock_.advance(1s);
  }
  EXPECT_EQ(all(log(2)), expected);
  EXPECT_EQ(test::files_with(*files_, options_.directory, "a secret "), std::vector<std::string>());
  EXPECT_FALSE(test::files_with(*files_, options_.directory, "no secret ").empty());
  // Also when they move out of files whose other records have expired.
  const std::uint64_t full = engine_->status().file_bytes;
  clock_.advance(2h);
  rewrite_until_files_take(full / 2);
  EXPECT_EQ(test::files_with(*files_, options_.directory, "a secret "), std::vector<std::string>());
  EXPECT_EQ(all(log(2)), expected);
  stop();
  start(4u << 20);
  EXPECT_EQ(all(log(2), 0, 50'000), expected);
}

TEST_F(SealedEngine, WithoutAKeyWhatIsToBeSealedIsNotWritten) {
  keys_.bytes.clear();
  keys_.seals = false;
  start(4u << 20);
  const auto plain = *put(log(), {"plain"});
  flags_ = kSealedRecord;
  EXPECT_EQ(put(log(), {"a secret "}).error().code, Errc::write_failed);
  EXPECT_EQ(test::files_with(*files_, options_.directory, "a secret "), std::vector<std::string>());
  keys_.bytes = {{1, 'a'}};
  auto expected = plain;
  const auto sealed = *put(log(), {"a secret "});
  expected.insert(expected.end(), sealed.begin(), sealed.end());
  EXPECT_EQ(all(log()), expected);
  EXPECT_EQ(test::files_with(*files_, options_.directory, "a secret "), std::vector<std::string>());
}

TEST_F(SealedEngine, IsSealedByTheNewestKeyAndReadWithTheOlderOnes) {
  start(4u << 20);
  auto expected = fill("old ");
  keys_.bytes = {{1, 'a'}, {7, 'b'}};
  start(4u << 20);
  EXPECT_EQ(all(log()), expected);
  const auto more = fill("new ");
  expected.insert(expected.end(), more.begin(), more.end());
  EXPECT_EQ(all(log()), expected);
  start(4u << 20);
  EXPECT_EQ(all(log()), expected);
  for (const bool closed : {true, false}) {
    if (!closed) files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
    stop();
    files_->on_change(nullptr);
    keys_.bytes = {{7, 'b'}};
    EXPECT_NE(refusal().find("log/journal-"), std::string::npos);
    EXPECT_NE(refusal().find("payloads are sealed by key 1, which is not given"), std::string::npos) << refusal();
    keys_.bytes = {{1, 'a'}};
    EXPECT_NE(refusal().find("payloads are sealed by key 7, which is not given"), std::string::npos) << refusal();
    options_.keys = nullptr;
    EXPECT_NE(refusal().find("which is not given"), std::string::npos) << refusal();
    options_.keys = &keys_;
    options_.serve_damaged = true;
    EXPECT_NE(refusal().find("key 7, which is not given"), std::string::npos) << "a key can be found again";
    options_.serve_damaged = false;
    keys_.bytes = {{1, 'a'}, {7, 'b'}};
    start(4u << 20);
    EXPECT_EQ(all(log()), expected);
  }
  // When nothing in the files needs it, the old key can go.
  test::run(io_, log().trim(Position{more.front().position}));
  (void)fill("newer ");
  stop();
  keys_.bytes = {{7, 'b'}};
  EXPECT_EQ(refusal(), "no error");
}

TEST_F(SealedEngine, AnotherKeyUnderTheSameIdIsRefused) {
  start(4u << 20);
  const auto expected = fill("text ");
  stop();
  keys_.bytes = {{1, 'z'}};
  EXPECT_NE(refusal().find("payloads are sealed by a key 1 that is another one than is given"), std::string::npos)
      << refusal();
  options_.serve_damaged = true;
  EXPECT_NE(refusal().find("that is another one than is given"), std::string::npos) << "nothing is damaged";
  keys_.bytes = {{1, 'a'}};
  start(4u << 20);
  EXPECT_EQ(all(log()), expected);
}

TEST_F(SealedEngine, AFlippedBitIsDamage) {
  start();
  const auto expected = *put(log(), {"one"});
  (void)*put(log(), {"two"});
  files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
  stop();
  files_->on_change(nullptr);
  // The first commit lies behind the file's head; its payload behind two heads.
  flip_bit("journal-00000001", 4096 + 128 + 10);
  EXPECT_NE(refusal().find("journal-00000001: "), std::string::npos) << refusal();
  EXPECT_NE(refusal().find("are damaged and hide records 0 to 0 of log 1"), std::string::npos) << refusal();
  options_.serve_damaged = true;
  start();
  EXPECT_EQ(all(log()).size(), 1u);
}

/// One frame of records of the test's own making.
class OneFrame final : public journal::Source {
 public:
  OneFrame(journal::Frame frame, std::string payload) : frame_(frame), payload_(std::move(payload)) {}
  bool gather(journal::Batch& batch) override {
    const ByteView payload = payload_;
    if (!std::exchange(given_, true)) batch.add(frame_, std::span(&payload, 1));
    return false;
  }
  void settled(const journal::Result<>&, std::span<const journal::Lsn>) noexcept override {}

 private:
  const journal::Frame frame_;
  const std::string payload_;
  bool given_ = false;
};

/// A life before the first one, which wrote frames of one record each: an empty one.
class FoundFrames : public DurableEngine {
 protected:
  static journal::Frame frame_of(std::uint64_t log, std::uint64_t base) {
    journal::Frame frame;
    frame.log = log;
    frame.base = base;
    frame.epoch = frame.count = 1;
    return frame;
  }
  void write(std::vector<journal::Frame> frames) {
    ASSERT_TRUE(files_->make_directories(options_.directory));
    journal::Options options;
    options.directory = options_.directory;
    options.index = true;
    auto journal = journal::make_journal(*files_, clock_, options, {});
    ASSERT_TRUE(journal);
    for (journal::Frame& frame : frames) {
      const RecordHead head{frame.first_ms, 0, 0, 0};
      (*journal)->announce(std::make_shared<OneFrame>(
          frame, std::string(reinterpret_cast<const char*>(&head), frame.count ? sizeof head : 0)));
    }
    first_start_ = false;
  }
};

TEST_F(FoundFrames, ThatHoldNoRecordMakeNoLog) {
  journal::Frame none = frame_of(1, 0);
  none.count = 0;
  write({none, frame_of(2, 0)});
  start();
  EXPECT_EQ(test::run(io_, engine_->open(LogId{1})).error().code, Errc::not_found);
  EXPECT_TRUE(test::run(io_, engine_->open(LogId{2})));
  EXPECT_TRUE(put(log(1), {"text"}));
}

TEST_F(FoundFrames, ThatCameBefore1970AreKeptAsOthers) {
  journal::Frame frame = frame_of(1, 0);
  frame.first_ms = frame.last_ms = -5;
  write({frame});
  start();
  const auto log = *test::run(io_, engine_->open(LogId{1}));
  EXPECT_EQ(all(*log), (std::vector<Stored>{{0, -5, ""}}));
  log->set_retention(24h * 365 * 100);
  clock_.advance(2min);  // what has expired is looked for
  EXPECT_EQ(all(*log).size(), 1u);
}

TEST_F(FoundFrames, ThatLeaveALogNoPositionsKeepItFromBeingOpened) {
  write({frame_of(1, journal::kCountMax / 2 - 1), frame_of(2, journal::kCountMax / 2)});
  start();
  EXPECT_TRUE(test::run(io_, engine_->open(LogId{1})));
  const auto refused = test::run(io_, engine_->open(LogId{2}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::damaged);
}

TEST_F(DurableEngine, WhatTheStartFoundDamagedIsToldInItsStatus) {
  start();
  EXPECT_EQ(engine_->status().damage_found, 0u);
  std::vector<Stored> expected;
  for (int i = 0; i < 15; ++i) expected.push_back((*put(log(), {"text " + std::to_string(i)}))[0]);
  files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
  stop();
  files_->on_change(nullptr);
  const std::filesystem::path file = options_.directory / "journal-00000001";
  const std::string bytes = *files_->read_all(file, 2u << 20);
  {
    auto opened = *files_->open_writable(file);
    for (int i = 0; i < 12; ++i) {
      const ByteView wrong[] = {"TEXT"};
      ASSERT_TRUE(opened->write_at(bytes.find("text " + std::to_string(i)), wrong));
    }
  }
  options_.serve_damaged = true;
  start();
  const EngineStatus status = engine_->status();
  EXPECT_EQ(status.damage_found, 12u);
  ASSERT_EQ(status.damage.size(), 10u) << "no more than a person reads";
  EXPECT_TRUE(status.damage[3].starts_with(file.string() + ": ")) << status.damage[3];
  EXPECT_TRUE(status.damage[3].ends_with("are damaged and hide records 3 to 3 of log 1")) << status.damage[3];
  EXPECT_EQ(all(log()), std::vector(expected.begin() + 12, expected.end()));
}

// Everything at once, against a model: what was acknowledged is there, at its place, whatever happened in between, and
// what was refused never is. Even seeds sync each commit, odd ones only write it.
TEST_F(DurableEngine, ASnapshotHoldsWhatWasCommittedAndPositionsBehindItAreNew) {
  start();
  std::vector<Stored> then;
  for (std::uint32_t i = 0; i < 60; ++i) {
    auto put = this->put(log(), {filler(i, 50'000)});
    ASSERT_TRUE(put.has_value());
    then.insert(then.end(), put->begin(), put->end());
  }
  const auto made = engine_->snapshot("snapshot");
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_GE(made->bytes, 60u * 50'000);
  EXPECT_EQ(made->copied, 0u);
  std::uint64_t highest = 0;
  for (int life = 0; life < 5; ++life) {
    auto put = this->put(log(), {filler(1, 50'000)});
    ASSERT_TRUE(put.has_value());
    highest = put->back().position;
    start();
  }
  stop();
  options_.directory = "snapshot";
  ASSERT_TRUE(journal::begin_behind(*files_, "snapshot", journal::Generation{50}, 0));
  start();
  EXPECT_EQ(all(log()), then);
  const auto put = this->put(log(), {"new"});
  ASSERT_TRUE(put.has_value());
  EXPECT_GE(put->front().position, std::uint64_t{51} << 32);
  EXPECT_GT(put->front().position, highest);
}

TEST(EngineInMemory, HasNoSnapshot) {
  ManualClock clock;
  MemoryBudget budget(1 << 20);
  EXPECT_EQ(make_memory_engine(clock, budget)->snapshot("snapshot").error().error_number, ENOTSUP);
}

class DurableEngineModel : public DurableEngine, public testing::WithParamInterface<std::uint32_t> {
 protected:
  static constexpr std::uint64_t kLogs = 3;
  // Different ones, so that files hold what is wanted beside what is not, and are rewritten.
  std::chrono::hours retention(std::uint64_t id) const { return alike_ || id == 3 ? 30h : 1h; }
  using Records = std::map<std::uint64_t, Stored>;  // by position

  struct Model {
    Records records;
    Records pending;  // staged when the machine stopped, or refused just before it did: there or not
    std::uint64_t given_to = 0;
  };

  void live();
  void begin() {
    was_full_ = false;
    late_failures_ = 0;
    start(3u << 20);
    for (std::uint64_t id = 1; id <= kLogs; ++id) (void)log(id, {.retention = retention(id)});
    engine_->forget_unopened();
  }
  std::vector<std::string> batch() {
    std::vector<std::string> out;
    const std::size_t size_max = std::size_t{1} << (alike_ ? 13 : random_() % 16);
    for (std::size_t i = 1 + random_() % (alike_ ? 2 : 6); i > 0; --i)
      out.push_back(filler(number_++, random_() % size_max));
    return out;
  }
  void put_some(std::uint64_t id) {
    Model& model = models_[id];
    const auto staged = stage_some(id);
    if (!staged) {
      // A full disk is looked at again now and then, not at each put.
      EXPECT_TRUE(failing_ || was_full_) << static_cast<int>(staged.error().code) << " " << staged.error().detail;
      return;
    }
    EXPECT_GE(staged->first.get(), model.given_to) << "no position names two records";
    const Ticket tickets[] = {staged->ticket};
    if (const auto done = test::run(io_, engine_->committed(tickets)); !done) {
      // What the file threads had begun before may still be told of its failure, once.
      EXPECT_TRUE(failing_ || late_failures_-- > 0) << done.error().detail;
      return;
    }
    for (auto at = model.pending.lower_bound(staged->first.get()); at != model.pending.end(); ++at) {
      model.given_to = at->first + 1;
      model.records.insert(*at);
    }
    // Where a failed write ends is on disk before anything is acknowledged after it.
    for (auto& [each, other] : models_) other.pending.clear();
  }
  Result<Staged> stage_some(std::uint64_t id) {
    const std::vector<std::string> data = batch();
    auto staged = stage(log(id), data);
    if (!staged) return staged;
    for (std::size_t i = 0; i < data.size(); ++i)
      models_[id].pending.insert_or_assign(staged->first.get() + i,
                                           Stored{staged->first.get() + i, staged->arrival_ms, data[i]});
    return staged;
  }
  void fail_some_calls() {
    failing_ = true;
    const int error = random_() % 2 ? EIO : ENOSPC;
    const std::string_view call = random_() % 2 ? "fsync" : "write";
    files_->on_change([=](std::string_view now, const std::filesystem::path&) { return now == call ? error : 0; });
    for (std::size_t i = 1 + random_() % 3; i > 0; --i) put_some(1 + random_() % kLogs);
    files_->on_change(nullptr);
    failing_ = false;
    late_failures_ = 1;
    was_full_ = was_full_ || error == ENOSPC;
  }
  /// What is there must be what was acknowledged; of what was on its way some may be.
  void recover(bool may_lose) {
    begin();
    for (std::uint64_t id = 1; id <= kLogs; ++id) {
      Model& model = models_[id];
      Records there;
      for (Stored& record : all(log(id))) there.emplace(record.position, std::move(record));
      const std::int64_t oldest =
          clock_.now().time_since_epoch().count() - std::chrono::milliseconds(retention(id)).count();
      std::erase_if(model.records, [&](const auto& r) { return r.second.arrival_ms < oldest; });
      for (const auto& [position, record] : there) {
        const auto known = model.records.find(position);
        const auto pending = model.pending.find(position);
        ASSERT_TRUE(known != model.records.end() || pending != model.pending.end()) << "invented: " << position;
        EXPECT_EQ(record, known != model.records.end() ? known->second : pending->second);
      }
      if (!may_lose) {
        for (const auto& [position, record] : model.records) ASSERT_TRUE(there.contains(position)) << position;
      } else if (!there.empty()) {
        // Lost is a tail.
        for (auto at = model.records.begin(); at != model.records.end() && at->first < there.rbegin()->first; ++at)
          ASSERT_TRUE(there.contains(at->first)) << at->first;
      }
      if (!there.empty()) model.given_to = std::max(model.given_to, there.rbegin()->first + 1);
      model.records = std::move(there);
      model.pending.clear();
    }
  }
  /// What an engine finds that begins with a snapshot is what is acknowledged now, whatever is being written again.
  void look_at_snapshot() {
    // One that was removed may be there again after a loss of power.
    const std::string directory = "snapshot" + std::to_string(number_++);
    const auto made = engine_->snapshot(directory);
    if (!made) {
      EXPECT_TRUE(was_full_ || late_failures_ > 0) << made.error().detail;
      return;
    }
    {
      MemoryBudget budget(3u << 20);
      FileThreads threads(1);
      DurableEngineOptions options = options_;
      options.directory = directory;
      auto engine = make_durable_engine(clock_, budget, *files_, threads, options);
      ASSERT_TRUE(engine) << engine.error().detail;
      for (std::uint64_t id = 1; id <= kLogs; ++id) {
        const auto opened = test::run(io_, (*engine)->open(LogId{id}));
        std::vector<Stored> there;
        if (opened) {
          (*opened)->set_retention(retention(id));
          there = all(**opened);
        }
        const std::vector<Stored> expected = readable(id);
        for (const Stored& record : there)
          if (models_[id].records.count(record.position) == 0) {
            ASSERT_TRUE(models_[id].pending.contains(record.position)) << "invented: " << record.position;
          }
        std::erase_if(there, [&](const Stored& record) { return models_[id].records.count(record.position) == 0; });
        ASSERT_EQ(there, expected);
      }
    }
    ASSERT_TRUE(files_->remove_all(directory));
  }
  std::vector<Stored> readable(std::uint64_t id, std::uint64_t from = 0) {
    const std::int64_t oldest =
        clock_.now().time_since_epoch().count() - std::chrono::milliseconds(retention(id)).count();
    std::vector<Stored> out;
    for (const auto& [position, record] : models_[id].records)
      if (position >= from && record.arrival_ms >= oldest) out.push_back(record);
    return out;
  }
  void check(std::uint64_t id) {
    Model& model = models_[id];
    const std::uint64_t from = random_() % 3 && !model.records.empty()
                                   ? std::next(model.records.begin(), random_() % model.records.size())->first
                                   : 0;
    const std::vector<Stored> expected = readable(id, from);
    ASSERT_EQ(all(log(id), from, 1 + random_() % 100'000), expected);
    if (!expected.empty() && from == 0) {
      const std::int64_t at = expected[random_() % expected.size()].arrival_ms;
      const auto first =
          std::find_if(expected.begin(), expected.end(), [&](const Stored& r) { return r.arrival_ms >= at; });
      ASSERT_EQ(test::run(io_, log(id).seek(TimePoint{std::chrono::milliseconds{at}}))->get(), first->position);
    }
  }

  std::mt19937 random_;
  std::map<std::uint64_t, Model> models_;
  std::uint32_t number_ = 0;
  bool alike_ = false;  // retention: files are not rewritten for what is not wanted, but as reads are scattered
  std::uint64_t rewritten_ = 0;
  bool failing_ = false, was_full_ = false;  // in this life
  int late_failures_ = 0;
};

void DurableEngineModel::live() {
  const std::uint32_t seed = GetParam();
  SCOPED_TRACE("seed " + std::to_string(seed));
  random_.seed(seed);
  const auto chance = make_seeded_random(seed);
  options_.sync = seed % 2 == 0;
  const auto secrets = make_seeded_random(seed);
  test::SealingKeys keys{{1, 'a'}};
  if (seed % 5 == 0) {
    options_.keys = &keys;
    options_.random = secrets.get();
  }
  begin();
  for (int step = 0; step < (alike_ ? 600 : 300) && !HasFatalFailure(); ++step) {
    const std::uint64_t id = 1 + random_() % kLogs;
    if (alike_ && step % 10 == 0) {  // a sweep, and what it begins
      clock_.advance(1min);
      for (int i = 0; i < 3; ++i) {
        clock_.advance(100ms);
        test::settle(io_);
      }
    }
    const std::uint64_t rewritten = engine_->status().rewritten_bytes;
    switch (random_() % 40) {
      case 0:
        rewritten_ += rewritten;
        stop();
        recover(/*may_lose=*/false);
        break;
      case 1:  // the process is gone in the middle of its writes
        rewritten_ += rewritten;
        for (std::uint64_t each = 1; each <= kLogs; ++each) (void)stage_some(each);
        files_->on_change([](std::string_view, const std::filesystem::path&) { return EIO; });
        stop();
        files_->on_change(nullptr);
        recover(/*may_lose=*/false);
        break;
      case 2:  // the machine is
        rewritten_ += rewritten;
        for (std::uint64_t each = 1; each <= kLogs; ++each) (void)stage_some(each);
        lose_power(*chance);
        recover(/*may_lose=*/!options_.sync);
        break;
      case 3:
        fail_some_calls();
        break;
      case 4:
        clock_.advance(std::chrono::minutes(random_() % 20));
        test::settle(io_);
        break;
      case 5:
      case 6:
      case 7:
      case 8:
        check(id);
        break;
      case 9:
        look_at_snapshot();
        break;
      default:
        clock_.advance(std::chrono::milliseconds(random_() % 3));
        put_some(id);
    }
  }
  if (!HasFatalFailure())
    for (std::uint64_t id = 1; id <= kLogs; ++id) check(id);
  rewritten_ += engine_->status().rewritten_bytes;
  stop();
}

TEST_P(DurableEngineModel, WhatIsAcknowledgedIsKept) { live(); }

TEST_P(DurableEngineModel, WhatIsPutTogetherIsKept) {
  alike_ = true;
  live();
  RecordProperty("rewritten_bytes", std::to_string(rewritten_));
}

INSTANTIATE_TEST_SUITE_P(Seeds, DurableEngineModel, testing::Range(1u, 11u));

}  // namespace
}  // namespace millrace::log
