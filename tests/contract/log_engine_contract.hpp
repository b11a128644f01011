#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "millrace/log/engine.hpp"
#include "support/run.hpp"

/// What every log engine does. A factory makes the engine under test:
///   struct Factory { static std::unique_ptr<log::Engine> make(Clock& clock, MemoryBudget& budget); };
///   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, LogEngineContract, Factory);
namespace millrace::test {

struct StoredRecord {
  std::uint64_t position;
  std::int64_t arrival_ms;
  std::string key, data;
  bool operator==(const StoredRecord&) const = default;
};
inline void PrintTo(const StoredRecord& r, std::ostream* out) {
  *out << r.position << " @" << r.arrival_ms << " " << r.key << "=" << r.data.substr(0, 20) << " (" << r.data.size()
       << " bytes)";
}

inline std::vector<StoredRecord> records_of(const log::ReadBatch& batch) {
  std::vector<StoredRecord> out;
  for (const log::RecordRun& run : batch.runs) {
    const char* at = run.bytes.data();
    for (std::uint32_t i = 0; i < run.count; ++i) {
      log::RecordView record;
      at = log::read_record(at, record);
      out.push_back({run.first.get() + i, record.arrival_ms, std::string(record.key), std::string(record.data)});
    }
    EXPECT_EQ(at, run.bytes.data() + run.bytes.size()) << "a run is exactly its records";
  }
  EXPECT_EQ(out.size(), batch.records);
  return out;
}

template <class Factory>
class LogEngineContract : public testing::Test {
 protected:
  using Records = std::vector<StoredRecord>;
  using KeysAndData = std::vector<std::pair<std::string, std::string>>;

  std::shared_ptr<log::Log> create(log::LogOptions options = {}, std::uint64_t id = 1) {
    auto log = run(io_, engine_->create(log::LogId{id}, options));
    EXPECT_TRUE(log.has_value());
    return *log;
  }
  log::Result<log::Staged> stage(log::Log& log, const KeysAndData& records,
                                 std::optional<log::Position> expected = {}) {
    builder_.reset(0);
    builder_.begin_batch();
    for (const auto& [key, data] : records) builder_.add(key, data);
    return log.stage(log.epoch(), builder_.batch(), expected);
  }
  /// Stages and waits for the commit; what it must read back as.
  Records put(log::Log& log, const KeysAndData& records) {
    const auto staged = stage(log, records);
    EXPECT_TRUE(staged.has_value());
    const log::Ticket tickets[] = {staged->ticket};
    EXPECT_EQ(tickets[0].end.get(), staged->first.get() + records.size());
    if (!staged->ticket.committed) {
      EXPECT_TRUE(run(io_, engine_->committed(tickets)).has_value());
    }
    Records stored;
    std::uint64_t position = staged->first.get();
    for (const auto& [key, data] : records) stored.push_back({position++, staged->arrival_ms, key, data});
    return stored;
  }
  Records put_one(log::Log& log, std::string data) { return put(log, {{"key", std::move(data)}}); }
  log::ReadBatch read(log::Log& log, log::ReadRequest request) {
    auto batch = run(io_, log.read(request));
    EXPECT_TRUE(batch.has_value());
    return std::move(*batch);
  }
  log::ReadBatch read_from(log::Log& log, std::uint64_t from, std::size_t records_max = 10'000) {
    return read(log, {.from = log::Position{from}, .records_max = records_max});
  }
  Records all(log::Log& log) {
    Records out;
    log::Position next{0};
    for (;;) {
      const log::ReadBatch batch = read(log, {.from = next});
      const Records page = records_of(batch);
      out.insert(out.end(), page.begin(), page.end());
      next = batch.next;
      if (page.empty()) return out;
    }
  }
  std::uint64_t seek(log::Log& log, TimePoint at) {
    auto position = run(io_, log.seek(at));
    EXPECT_TRUE(position.has_value());
    return position->get();
  }
  TimePoint after(std::chrono::milliseconds time) const { return clock_.now() + time; }
  void advance(std::chrono::milliseconds by) {
    clock_.advance(by);
    settle(io_);
  }

  boost::asio::io_context io_{1};
  ManualClock clock_;
  MemoryBudget budget_{std::size_t{256} << 20};
  std::unique_ptr<log::Engine> engine_ = Factory::make(clock_, budget_);
  log::BatchBuilder builder_;
};
TYPED_TEST_SUITE_P(LogEngineContract);

using namespace std::chrono_literals;

TYPED_TEST_P(LogEngineContract, RecordsReadBackInOrderAtDensePositions) {
  auto log = this->create({.first = log::Position{100}});
  auto expected = this->put(*log, {{"a", "1"}, {"b", ""}, {"", "3"}});
  this->clock_.advance(5ms);
  const auto more = this->put(*log, {{"a", std::string(1000, 'x')}});
  expected.insert(expected.end(), more.begin(), more.end());
  EXPECT_EQ(expected.front().position, 100u);
  EXPECT_EQ(expected.back().position, 103u);
  EXPECT_EQ(expected.back().arrival_ms, this->clock_.now().time_since_epoch().count());

  const log::ReadBatch batch = this->read_from(*log, 0);
  EXPECT_EQ(records_of(batch), expected);
  EXPECT_EQ(batch.next, log::Position{104});
  EXPECT_EQ(batch.tip, log::Position{104});
  EXPECT_EQ(batch.horizon, log::Position{100});
  EXPECT_EQ(batch.tip_arrival_ms, expected.back().arrival_ms);
  EXPECT_FALSE(batch.ended);
}

TYPED_TEST_P(LogEngineContract, EmptyLogReadsNothing) {
  auto log = this->create({.first = log::Position{7}});
  const log::ReadBatch batch = this->read_from(*log, 7);
  EXPECT_EQ(batch.records, 0u);
  EXPECT_EQ(batch.next, log::Position{7});
  EXPECT_EQ(batch.tip, log::Position{7});
  const log::Progress progress = log->progress();
  EXPECT_EQ(progress.horizon, log::Position{7});
  EXPECT_EQ(progress.tip, log::Position{7});
  EXPECT_EQ(progress.tip_arrival_ms, 0);
  EXPECT_EQ(progress.records_total, 0u);
}

TYPED_TEST_P(LogEngineContract, LimitsAreKeptButOneRecordAlwaysComes) {
  auto log = this->create();
  typename TestFixture::Records expected;
  for (int i = 0; i < 400; ++i) {
    const auto one = this->put_one(*log, std::string(i % 97, 'd'));
    expected.push_back(one[0]);
  }
  for (std::size_t records_max :
       {std::size_t{1}, std::size_t{31}, std::size_t{32}, std::size_t{33}, std::size_t{399}, std::size_t{400}}) {
    for (std::uint64_t from : {0, 1, 31, 32, 200, 399}) {
      const log::ReadBatch batch = this->read_from(*log, from, records_max);
      const std::size_t count = std::min<std::size_t>(records_max, 400 - from);
      EXPECT_EQ(records_of(batch),
                (typename TestFixture::Records(expected.begin() + from, expected.begin() + from + count)));
      EXPECT_EQ(batch.next.get(), from + count);
    }
  }
  for (std::size_t bytes_max : {0, 1, 50, 99, 100, 1000, 5000, 20'000, 100'000}) {
    for (std::uint64_t from : {0, 1, 31, 32, 96, 250}) {
      const log::ReadBatch batch = this->read(*log, {.from = log::Position{from}, .bytes_max = bytes_max});
      std::size_t count = 0, bytes = 0;
      while (from + count < 400) {
        bytes += expected[from + count].key.size() + expected[from + count].data.size();
        if (count && bytes > bytes_max) break;
        ++count;
      }
      EXPECT_EQ(batch.records, count) << "from " << from << " within " << bytes_max;
      EXPECT_EQ(records_of(batch),
                (typename TestFixture::Records(expected.begin() + from, expected.begin() + from + count)));
    }
  }
}

TYPED_TEST_P(LogEngineContract, MegabytesReadBackPageByPage) {
  auto log = this->create();
  std::mt19937 random(7);
  typename TestFixture::Records expected;
  for (int i = 0; i < 120; ++i) {
    typename TestFixture::KeysAndData batch;
    for (int j = 0; j < 40; ++j)
      batch.emplace_back("k" + std::to_string(j), std::string(random() % 1500, static_cast<char>('a' + j % 26)));
    const auto stored = this->put(*log, batch);
    expected.insert(expected.end(), stored.begin(), stored.end());
  }
  typename TestFixture::Records got;
  log::Position next{0};
  while (got.size() < expected.size()) {
    const log::ReadBatch page = this->read(*log, {.from = next, .records_max = 700, .bytes_max = 300'000});
    ASSERT_GT(page.records, 0u);
    const auto records = records_of(page);
    got.insert(got.end(), records.begin(), records.end());
    next = page.next;
  }
  EXPECT_EQ(got, expected);
  for (std::uint64_t from = 0; from < expected.size(); from += 37) {
    EXPECT_EQ(records_of(this->read_from(*log, from, 1))[0], expected[from]);
  }
}

TYPED_TEST_P(LogEngineContract, LargestRecordIsTaken) {
  auto log = this->create();
  typename TestFixture::Records expected = this->put_one(*log, "before");
  const std::string data(log::kRecordBytesMax - 1024, 'L');
  for (const auto& records : {this->put(*log, {{std::string(1024, 'k'), data}}), this->put_one(*log, "after")}) {
    expected.insert(expected.end(), records.begin(), records.end());
  }
  EXPECT_EQ(this->all(*log), expected);
}

TYPED_TEST_P(LogEngineContract, SlicesOutliveTheLog) {
  auto log = this->create();
  const auto expected = this->put(*log, {{"a", "1"}, {"b", "2"}});
  const log::ReadBatch batch = this->read_from(*log, 0);
  EXPECT_TRUE(run(this->io_, this->engine_->remove(log::LogId{1})).has_value());
  log.reset();
  this->engine_.reset();
  EXPECT_EQ(records_of(batch), expected);
}

TYPED_TEST_P(LogEngineContract, OpenGivesTheSameRecords) {
  auto log = this->create();
  const auto expected = this->put_one(*log, "1");
  auto again = run(this->io_, this->engine_->open(log::LogId{1}));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ((*again)->id(), log::LogId{1});
  EXPECT_EQ(this->all(**again), expected);
  EXPECT_EQ(run(this->io_, this->engine_->open(log::LogId{2})).error().code, log::Errc::not_found);
  EXPECT_EQ(run(this->io_, this->engine_->create(log::LogId{1}, {})).error().code, log::Errc::conflict);
}

TYPED_TEST_P(LogEngineContract, StaleEpochIsRefused) {
  auto log = this->create();
  this->builder_.reset(0);
  this->builder_.begin_batch();
  this->builder_.add("key", "data");
  const auto staged = log->stage(log::Epoch{log->epoch().get() + 1}, this->builder_.batch());
  ASSERT_TRUE(staged.has_error());
  EXPECT_EQ(staged.error().code, log::Errc::stale_epoch);
  EXPECT_EQ(run(this->io_, log->end(log::Epoch{log->epoch().get() + 1})).error().code, log::Errc::stale_epoch);
  EXPECT_TRUE(this->all(*log).empty());
}

TYPED_TEST_P(LogEngineContract, ExpectedPositionIsTheTailOrNothingIsStaged) {
  auto log = this->create();
  EXPECT_TRUE(this->stage(*log, {{"k", "1"}}, log::Position{0}).has_value());
  const auto refused = this->stage(*log, {{"k", "2"}}, log::Position{0});
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, log::Errc::conflict);
  const auto staged = this->stage(*log, {{"k", "3"}}, log::Position{1});
  ASSERT_TRUE(staged.has_value());
  const log::Ticket tickets[] = {staged->ticket};
  EXPECT_TRUE(run(this->io_, this->engine_->committed(tickets)).has_value());
  const auto stored = this->all(*log);
  ASSERT_EQ(stored.size(), 2u);
  EXPECT_EQ(stored[1].data, "3");
}

TYPED_TEST_P(LogEngineContract, OneAwaitCoversTicketsOfManyLogs) {
  auto a = this->create({}, 1), b = this->create({}, 2);
  const auto in_a = this->stage(*a, {{"k", "a"}}), in_b = this->stage(*b, {{"k", "b"}, {"k", "c"}});
  const log::Ticket tickets[] = {in_a->ticket, in_b->ticket};
  EXPECT_TRUE(run(this->io_, this->engine_->committed(tickets)).has_value());
  EXPECT_EQ(this->all(*a).size(), 1u);
  EXPECT_EQ(this->all(*b).size(), 2u);
}

TYPED_TEST_P(LogEngineContract, ReadAtTheTipWaitsForTheNextRecord) {
  auto log = this->create();
  this->put_one(*log, "before");
  auto reading = start(this->io_, log->read({.from = log::Position{1}, .wait_until = this->after(10s)}));
  settle(this->io_);
  EXPECT_FALSE(reading.done());
  const auto expected = this->put_one(*log, "next");
  settle(this->io_);
  ASSERT_TRUE(reading.done());
  EXPECT_EQ(records_of(*reading.result()), expected);
}

TYPED_TEST_P(LogEngineContract, WaitingReadGivesUpAtItsTime) {
  auto log = this->create();
  auto reading = start(this->io_, log->read({.from = log::Position{0}, .wait_until = this->after(10s)}));
  this->advance(9'999ms);
  EXPECT_FALSE(reading.done());
  this->advance(1ms);
  ASSERT_TRUE(reading.done());
  const auto batch = reading.result();
  ASSERT_TRUE(batch.has_value());
  EXPECT_EQ(batch->records, 0u);
  EXPECT_EQ(batch->next, log::Position{0});
}

TYPED_TEST_P(LogEngineContract, WaitsEndAtStop) {
  auto log = this->create();
  std::stop_source stop;
  auto reading =
      start(this->io_, log->read({.from = log::Position{0}, .wait_until = this->after(10s), .stop = stop.get_token()}));
  auto waiting = start(this->io_, log->wait_stored(1, this->after(10s), stop.get_token()));
  settle(this->io_);
  EXPECT_FALSE(reading.done());
  stop.request_stop();
  settle(this->io_);
  ASSERT_TRUE(reading.done() && waiting.done());
  EXPECT_EQ(reading.result().error().code, log::Errc::stopped);
  EXPECT_EQ(waiting.result().error().code, log::Errc::stopped);
}

TYPED_TEST_P(LogEngineContract, WaitsEndWhenTheirCoroutineIsCancelled) {
  auto log = this->create();
  boost::asio::cancellation_signal gone;
  std::optional<log::Errc> ended;
  const auto note = [&](std::exception_ptr failure, const log::Result<log::ReadBatch>& result) {
    EXPECT_FALSE(failure);
    if (result.has_error()) ended = result.error().code;
  };
  boost::asio::co_spawn(this->io_, log->read({.from = log::Position{0}, .wait_until = this->after(10s)}),
                        boost::asio::bind_cancellation_slot(gone.slot(), note));
  settle(this->io_);
  EXPECT_FALSE(ended);
  gone.emit(boost::asio::cancellation_type::terminal);
  settle(this->io_);
  EXPECT_EQ(ended, log::Errc::stopped);
}

TYPED_TEST_P(LogEngineContract, WaitStoredEndsAtItsMarkOrItsTime) {
  auto log = this->create();
  auto reached = start(this->io_, log->wait_stored(2 * (16 + 3 + 10), TimePoint::max(), {}));
  auto late = start(this->io_, log->wait_stored(1000, this->after(5s), {}));
  settle(this->io_);
  this->put_one(*log, std::string(10, 'x'));
  settle(this->io_);
  EXPECT_FALSE(reached.done());
  this->put_one(*log, std::string(10, 'x'));
  settle(this->io_);
  ASSERT_TRUE(reached.done());
  EXPECT_TRUE(*reached.result());
  this->advance(5s);
  ASSERT_TRUE(late.done());
  EXPECT_FALSE(*late.result());
  EXPECT_TRUE(*run(this->io_, log->wait_stored(58, this->clock_.now(), {})));
}

TYPED_TEST_P(LogEngineContract, EndedLogTakesNothingMoreAndSaysSoAtItsEnd) {
  auto log = this->create();
  this->put(*log, {{"k", "1"}, {"k", "2"}});
  auto reading = start(this->io_, log->read({.from = log::Position{2}, .wait_until = this->after(1h)}));
  auto waiting = start(this->io_, log->wait_stored(1 << 20, this->after(1h), {}));
  settle(this->io_);
  EXPECT_EQ(*run(this->io_, log->end(log->epoch())), log::Position{2});
  EXPECT_EQ(*run(this->io_, log->end(log->epoch())), log::Position{2}) << "idempotent";
  settle(this->io_);
  ASSERT_TRUE(reading.done() && waiting.done());
  EXPECT_TRUE(reading.result()->ended);
  EXPECT_TRUE(*waiting.result());

  const auto refused = this->stage(*log, {{"k", "3"}});
  ASSERT_TRUE(refused.has_error());
  EXPECT_EQ(refused.error().code, log::Errc::ended);
  const log::ReadBatch first = this->read_from(*log, 0, 1);
  EXPECT_FALSE(first.ended) << "more follows";
  const log::ReadBatch second = this->read_from(*log, first.next.get());
  EXPECT_EQ(second.records, 1u);
  EXPECT_TRUE(second.ended);
  EXPECT_EQ(second.next, log::Position{2});
  EXPECT_TRUE(log->progress().ended);
}

TYPED_TEST_P(LogEngineContract, RemovedLogWakesItsWaitersAndIsGone) {
  auto log = this->create();
  this->put_one(*log, "1");
  auto reading = start(this->io_, log->read({.from = log::Position{1}, .wait_until = this->after(1h)}));
  auto waiting = start(this->io_, log->wait_stored(1 << 20, this->after(1h), {}));
  settle(this->io_);
  EXPECT_TRUE(run(this->io_, this->engine_->remove(log::LogId{1})).has_value());
  settle(this->io_);
  ASSERT_TRUE(reading.done() && waiting.done());
  EXPECT_EQ(reading.result().error().code, log::Errc::not_found);
  EXPECT_TRUE(*waiting.result());
  EXPECT_EQ(this->stage(*log, {{"k", "2"}}).error().code, log::Errc::ended);
  EXPECT_EQ(run(this->io_, log->read({.from = log::Position{0}})).error().code, log::Errc::not_found);
  EXPECT_EQ(run(this->io_, log->seek(this->clock_.now())).error().code, log::Errc::not_found);
  EXPECT_EQ(run(this->io_, this->engine_->open(log::LogId{1})).error().code, log::Errc::not_found);
  EXPECT_EQ(run(this->io_, this->engine_->remove(log::LogId{1})).error().code, log::Errc::not_found);
}

TYPED_TEST_P(LogEngineContract, RetentionIsExact) {
  auto log = this->create({.retention = 1h});
  const auto first = this->put_one(*log, "1");
  this->clock_.advance(1ms);
  const auto second = this->put_one(*log, "2");
  this->clock_.advance(1h - 1ms);
  EXPECT_EQ(this->read_from(*log, 0).records, 2u) << "as old as the retention, not older";
  this->clock_.advance(1ms);
  const log::ReadBatch batch = this->read_from(*log, 0);
  EXPECT_EQ(records_of(batch), second);
  EXPECT_EQ(batch.horizon, log::Position{1});
  EXPECT_EQ(log->progress().horizon, log::Position{1});
  this->clock_.advance(1ms);
  const log::ReadBatch none = this->read_from(*log, 0);
  EXPECT_EQ(none.records, 0u);
  EXPECT_EQ(none.next, log::Position{2});
  EXPECT_EQ(none.horizon, log::Position{2});
  EXPECT_EQ(none.tip, log::Position{2});
  EXPECT_EQ(log->progress().records_total, 2u);
  const auto third = this->put_one(*log, "3");
  EXPECT_EQ(third[0].position, 2u);
  EXPECT_EQ(this->all(*log), third);
}

TYPED_TEST_P(LogEngineContract, ShorteningDropsAtOnceAndLengtheningRevivesNothing) {
  auto log = this->create({.retention = 24h});
  this->put_one(*log, "old");
  this->clock_.advance(2h);
  const auto young = this->put_one(*log, "young");
  log->set_retention(1h);
  EXPECT_EQ(this->all(*log), young);
  log->set_retention(48h);
  EXPECT_EQ(this->all(*log), young) << "not revived";
  this->clock_.advance(24h + 1h);
  log->set_retention(72h);
  EXPECT_EQ(this->all(*log), young);
}

TYPED_TEST_P(LogEngineContract, LengtheningDoesNotReviveWhatHadExpired) {
  auto log = this->create({.retention = 1h});
  this->put_one(*log, "old");
  this->clock_.advance(1h);
  const auto young = this->put_one(*log, "young");
  this->clock_.advance(1ms);
  log->set_retention(24h);
  EXPECT_EQ(this->all(*log), young);
}

TYPED_TEST_P(LogEngineContract, SeekFindsTheFirstRecordAtOrAfterATime) {
  auto log = this->create({.retention = 1h});
  const TimePoint start_time = this->clock_.now();
  EXPECT_EQ(this->seek(*log, start_time), 0u);
  for (int i = 0; i < 100; ++i) {
    this->put(*log, {{"a", "1"}, {"b", "2"}});
    this->clock_.advance(10ms);
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(this->seek(*log, start_time + i * 10ms), 2u * i);
    EXPECT_EQ(this->seek(*log, start_time + i * 10ms - 9ms), 2u * i);
  }
  EXPECT_EQ(this->seek(*log, start_time + 991ms), 200u) << "none: the tip";
  EXPECT_EQ(this->seek(*log, TimePoint{}), 0u);
  this->clock_.advance(1h - 1s + 5ms);
  EXPECT_EQ(this->seek(*log, TimePoint{}), 2u) << "not below the horizon";
}

TYPED_TEST_P(LogEngineContract, TrimHidesForGood) {
  auto log = this->create();
  auto expected = this->put(*log, {{"a", "1"}, {"b", "2"}, {"c", "3"}});
  EXPECT_TRUE(run(this->io_, log->trim(log::Position{2})).has_value());
  expected.erase(expected.begin(), expected.begin() + 2);
  EXPECT_EQ(this->all(*log), expected);
  EXPECT_EQ(log->progress().horizon, log::Position{2});
  EXPECT_TRUE(run(this->io_, log->trim(log::Position{1})).has_value()) << "nothing comes back";
  EXPECT_EQ(this->all(*log), expected);
  EXPECT_TRUE(run(this->io_, log->trim(log::Position{1'000})).has_value()) << "at most to the tip";
  EXPECT_TRUE(this->all(*log).empty());
  const auto next = this->put_one(*log, "4");
  EXPECT_EQ(next[0].position, 3u);
  EXPECT_EQ(this->all(*log), next);
}

TYPED_TEST_P(LogEngineContract, ProgressCountsWhatWasCommitted) {
  auto log = this->create();
  this->put(*log, {{"ab", "1234"}, {"c", ""}});
  this->clock_.advance(3ms);
  this->put(*log, {{"", "56"}});
  const log::Progress progress = log->progress();
  EXPECT_EQ(progress.horizon, log::Position{0});
  EXPECT_EQ(progress.tip, log::Position{3});
  EXPECT_EQ(progress.tip_arrival_ms, this->clock_.now().time_since_epoch().count());
  EXPECT_EQ(progress.records_total, 3u);
  EXPECT_EQ(progress.data_bytes_total, 6u);
  EXPECT_EQ(progress.stored_bytes_total, 3u * 16 + 3 + 6);
  EXPECT_EQ(progress.stored_bytes, progress.stored_bytes_total);
  EXPECT_FALSE(progress.ended);
}

TYPED_TEST_P(LogEngineContract, AgreesWithAModelUnderRandomUse) {
  for (std::uint32_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    auto log = this->create({.retention = 1000ms}, 100 + seed);
    std::deque<StoredRecord> model;
    std::int64_t retention = 1000;
    std::uint64_t tail = 0, horizon = 0;
    const auto hide = [&] {  // what the retention hides now; for good only when it changes
      std::uint64_t at = horizon;
      for (const StoredRecord& r : model) {
        if (r.position >= horizon && r.arrival_ms >= this->clock_.now().time_since_epoch().count() - retention)
          return r.position;
        at = r.position + 1;
      }
      return std::max(at, horizon);
    };
    for (int step = 0; step < 700; ++step) {
      switch (random() % 10) {
        case 0:
        case 1:
        case 2:
        case 3: {
          typename TestFixture::KeysAndData batch;
          const std::size_t size_max = std::size_t{1} << (random() % 12);
          for (std::size_t i = 1 + random() % 25; i > 0; --i) {
            batch.emplace_back(std::string(random() % 20, 'k'),
                               std::string(random() % size_max, static_cast<char>('a' + step % 26)));
          }
          for (auto& record : this->put(*log, batch)) model.push_back(std::move(record));
          ASSERT_EQ(model.back().position, tail + batch.size() - 1);
          tail += batch.size();
          break;
        }
        case 4:
          this->clock_.advance(std::chrono::milliseconds(random() % 150));
          break;
        case 5: {
          const std::int64_t changed = 300 + random() % 1500;
          horizon = hide();
          retention = changed;
          horizon = hide();
          log->set_retention(std::chrono::milliseconds(changed));
          break;
        }
        case 6:
          if (random() % 4 == 0) {
            const std::uint64_t to = random() % (tail + 5);
            horizon = std::max(horizon, std::min(to, tail));
            ASSERT_TRUE(run(this->io_, log->trim(log::Position{to})).has_value());
          }
          break;
        case 7: {
          const TimePoint at = this->clock_.now() - std::chrono::milliseconds(random() % 1500);
          const std::uint64_t readable = hide();
          std::uint64_t expected = tail;
          for (const StoredRecord& r : model) {
            if (r.position >= readable && r.arrival_ms >= at.time_since_epoch().count()) {
              expected = r.position;
              break;
            }
          }
          ASSERT_EQ(this->seek(*log, at), expected);
          break;
        }
        default: {
          const std::uint64_t from = random() % (tail + 3);
          const std::size_t records_max = 1 + random() % 200, bytes_max = random() % 30'000;
          const std::uint64_t first = std::max(from, hide());
          typename TestFixture::Records expected;
          std::size_t bytes = 0;
          for (const StoredRecord& r : model) {
            if (r.position < first) continue;
            bytes += r.key.size() + r.data.size();
            if (!expected.empty() && (expected.size() == records_max || bytes > bytes_max)) break;
            expected.push_back(r);
          }
          const log::ReadBatch batch =
              this->read(*log, {.from = log::Position{from}, .records_max = records_max, .bytes_max = bytes_max});
          ASSERT_EQ(records_of(batch), expected);
          ASSERT_EQ(batch.next.get(), first + expected.size());
          ASSERT_EQ(batch.horizon.get(), hide());
          ASSERT_EQ(batch.tip.get(), tail);
        }
      }
    }
    ASSERT_TRUE(run(this->io_, this->engine_->remove(log::LogId{100 + seed})).has_value());
  }
}

REGISTER_TYPED_TEST_SUITE_P(LogEngineContract, RecordsReadBackInOrderAtDensePositions, EmptyLogReadsNothing,
                            LimitsAreKeptButOneRecordAlwaysComes, MegabytesReadBackPageByPage, LargestRecordIsTaken,
                            SlicesOutliveTheLog, OpenGivesTheSameRecords, StaleEpochIsRefused,
                            ExpectedPositionIsTheTailOrNothingIsStaged, OneAwaitCoversTicketsOfManyLogs,
                            ReadAtTheTipWaitsForTheNextRecord, WaitingReadGivesUpAtItsTime, WaitsEndAtStop,
                            WaitsEndWhenTheirCoroutineIsCancelled, WaitStoredEndsAtItsMarkOrItsTime,
                            EndedLogTakesNothingMoreAndSaysSoAtItsEnd, RemovedLogWakesItsWaitersAndIsGone,
                            RetentionIsExact, ShorteningDropsAtOnceAndLengtheningRevivesNothing,
                            LengtheningDoesNotReviveWhatHadExpired, SeekFindsTheFirstRecordAtOrAfterATime,
                            TrimHidesForGood, ProgressCountsWhatWasCommitted, AgreesWithAModelUnderRandomUse);

}  // namespace millrace::test
