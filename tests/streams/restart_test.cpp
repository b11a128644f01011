#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "millrace/streams/control.hpp"
#include "support/run.hpp"

namespace millrace::streams {
namespace {

using namespace std::chrono_literals;

/// Streams whose state lies in files: restart() makes store and streams again; the logs' engine stays.
class StreamsRestart : public testing::Test {
 protected:
  StreamsRestart() { restart(); }

  void restart() {
    end_life();
    auto made = state::make_journal_store(*files, clock, {.directory = "data/state"});
    ASSERT_TRUE(made) << made.error().detail;
    store = std::move(made->store);
    streams = run(make_streams(clock, *random, *store, *engine, options));
  }
  /// As after a crash: what was not synced is lost by chance.
  void crash() {
    end_life();
    files->lose_power(*random);
    restart();
  }
  /// What still waits on the context of this life never goes on.
  void end_life() {
    contexts.push_back(std::make_unique<test::SharedContext>());
    if (streams) earlier.push_back(std::move(streams));
    store.reset();
  }
  template <class T>
  T run(awaitable<T> task) {
    return test::run(**contexts.back(), std::move(task));
  }
  StreamRef create(std::string name, std::uint32_t shards = 1) {
    CreateStream spec;
    spec.name = std::move(name);
    spec.shard_count = shards;
    spec.tags = {{"team", "web"}};
    auto made = run(streams->create(spec));
    EXPECT_TRUE(made) << made.error().detail;
    return made ? *made : nullptr;
  }
  static void put(log::Log& log, std::string_view data) {
    log::BatchBuilder batch;
    batch.reset(log::batch_bytes_needed(1, data.size() + 1));
    batch.begin_batch();
    batch.add("k", data);
    ASSERT_TRUE(log.stage(log.epoch(), batch.batch()));
  }
  std::vector<std::string> records(const Stream& stream) {
    std::vector<std::string> found;
    auto batch = run(stream.shards[0]->log->read({}));
    EXPECT_TRUE(batch);
    for (const log::RecordRun& run : batch->runs) {
      const char* at = run.bytes.data();
      for (std::uint32_t i = 0; i < run.count; ++i) {
        log::RecordView record;
        at = log::read_record(at, record);
        found.emplace_back(record.data);
      }
    }
    return found;
  }

  ManualClock clock;
  MemoryBudget budget{64u << 20};
  std::unique_ptr<Random> random = make_seeded_random(1);
  std::unique_ptr<MemoryFiles> files = make_memory_files({.loses_unsynced = true});
  std::unique_ptr<log::Engine> engine = log::make_memory_engine(clock, budget);
  Options options;
  std::vector<std::unique_ptr<test::SharedContext>> contexts;
  std::vector<std::unique_ptr<Streams>> earlier;
  std::unique_ptr<state::Store> store;
  std::unique_ptr<Streams> streams;
};

TEST_F(StreamsRestart, KeepsShardsTagsRetentionAndStatus) {
  options.create_delay = 10s;
  options.update_delay = 20s;
  restart();
  const StreamRef before = create("kept", 3);
  crash();
  EXPECT_EQ(streams->find("kept")->status(clock.now()), Status::creating);
  clock.advance(10s);
  EXPECT_EQ(streams->find("kept")->status(clock.now()), Status::active);
  ASSERT_TRUE(run(streams->add_tags("kept", {{"stage", "test"}})));
  ASSERT_TRUE(run(streams->remove_tags("kept", {"team"})));
  ASSERT_TRUE(run(streams->set_retention("kept", 72h, Streams::RetentionChange::increase)));
  crash();
  const StreamRef after = streams->find("kept");
  ASSERT_TRUE(after);
  EXPECT_EQ(after->status(clock.now()), Status::updating);
  EXPECT_EQ(after->retention, 72h);
  EXPECT_EQ(after->tags, (Tags{{"stage", "test"}}));
  EXPECT_EQ(after->incarnation, before->incarnation);
  EXPECT_EQ(after->created, before->created);
  ASSERT_EQ(after->shards.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(after->shards[i]->id, before->shards[i]->id);
    EXPECT_EQ(after->shards[i]->range.first, before->shards[i]->range.first);
    EXPECT_EQ(after->shards[i]->range.last, before->shards[i]->range.last);
    EXPECT_EQ(after->shards[i]->numbers.starting(), before->shards[i]->numbers.starting());
    EXPECT_EQ(after->shards[i]->log->id(), before->shards[i]->log->id());
  }
  EXPECT_EQ(streams->open_shards(), 3u);
}

TEST_F(StreamsRestart, KeepsSettings) {
  create("set");
  ASSERT_TRUE(run(streams->account().commit(true)));
  ASSERT_TRUE(run(set_mode(*streams, "set", Mode::on_demand, 7)));
  ASSERT_TRUE(run(set_warm_throughput(*streams, "set", 9)));
  ASSERT_TRUE(run(set_record_size(*streams, "set", 2048)));
  ASSERT_TRUE(run(set_metrics(*streams, "set", 0b101, true)));
  ASSERT_TRUE(run(start_encryption(*streams, "set", "alias/aws/kinesis")));
  ASSERT_TRUE(run(stop_encryption(*streams, "set")));
  ASSERT_TRUE(run(set_policy(*streams, "set", "{\"a\": 1}")));
  const Settings before = streams->find("set")->settings;
  const Commitment committed = streams->account().commitment();
  EXPECT_TRUE(before.key_until);
  EXPECT_TRUE(committed.started);
  crash();
  EXPECT_EQ(streams->find("set")->settings, before);
  EXPECT_EQ(streams->account().commitment(), committed);
  ASSERT_TRUE(run(streams->account().commit(false)));
  crash();
  EXPECT_EQ(streams->account().commitment().end, *committed.started + Commitment::kLeast);
  clock.advance(24h);
  EXPECT_FALSE(streams->account().committed());
}

TEST_F(StreamsRestart, KeepsConsumersAndThatTheyComeAndGo) {
  options.create_delay = 10s;
  options.delete_delay = 20s;
  restart();
  create("read");
  clock.advance(10s);
  const auto made = run(register_consumer(*streams, "read", "a", {{"team", "web"}}));
  ASSERT_TRUE(made);
  ASSERT_TRUE(run(register_consumer(*streams, "read", "b", {})));
  const Consumers before = streams->find("read")->consumers;
  crash();
  EXPECT_EQ(streams->find("read")->consumers, before);
  EXPECT_EQ(streams->find("read")->consumers.find("a", clock.now())->status(clock.now()), ConsumerStatus::creating);
  clock.advance(10s);
  EXPECT_EQ(streams->find("read")->consumers.find("a", clock.now())->status(clock.now()), ConsumerStatus::active);
  ASSERT_TRUE(run(set_policy(*streams, "read", "a", made->created_s, "{}")));
  ASSERT_TRUE(run(deregister_consumer(*streams, "read", "a", made->created_s)));
  crash();
  EXPECT_EQ(streams->find("read")->consumers.find("a", clock.now())->status(clock.now()), ConsumerStatus::deleting);
  EXPECT_EQ(streams->find("read")->consumers.count(clock.now()), 2u);
  clock.advance(20s);
  EXPECT_EQ(streams->find("read")->consumers.find("a", clock.now()), nullptr);
  EXPECT_EQ(streams->find("read")->consumers.count(clock.now()), 1u);
}

TEST_F(StreamsRestart, AConsumersArnIsNotGivenAgainToOneOfItsName) {
  create("read");
  std::set<std::int64_t> seconds;
  for (int i = 0; i < 5; ++i) {
    const auto made = run(register_consumer(*streams, "read", "a", {}));
    ASSERT_TRUE(made);
    EXPECT_TRUE(seconds.insert(made->created_s).second);
    ASSERT_TRUE(run(deregister_consumer(*streams, "read", "a", made->created_s)));
    EXPECT_EQ(run(deregister_consumer(*streams, "read", "a", made->created_s)).error().code, Errc::consumer_not_found);
    crash();
  }
}

TEST_F(StreamsRestart, SettingsAndConsumersGoWithTheirStream) {
  create("going");
  ASSERT_TRUE(run(set_record_size(*streams, "going", 4096)));
  ASSERT_TRUE(run(set_policy(*streams, "going", "{}")));
  ASSERT_TRUE(run(register_consumer(*streams, "going", "a", {})));
  ASSERT_TRUE(run(streams->remove("going")));
  create("going");
  crash();
  EXPECT_EQ(streams->find("going")->settings, Settings{});
  EXPECT_EQ(streams->find("going")->consumers, Consumers{});
}

TEST_F(StreamsRestart, AResetForgetsWhatIsSetOfTheAccount) {
  ASSERT_TRUE(run(streams->account().commit(true)));
  ASSERT_TRUE(run(streams->clear()));
  EXPECT_FALSE(streams->account().committed());
  crash();
  EXPECT_EQ(streams->account().commitment(), Commitment{});
}

TEST_F(StreamsRestart, ChangesAtOnceAreAllKept) {
  create("busy");
  std::vector<test::Started<void>> all;
  auto& context = **contexts.back();
  const auto registered = [](Streams& of, std::string name) -> awaitable<void> {
    const auto made = co_await register_consumer(of, "busy", std::move(name), {});
    EXPECT_TRUE(made);
  };
  const auto measured = [](Streams& of, int bit) -> awaitable<void> {
    const auto made = co_await set_metrics(of, "busy", static_cast<ShardMetrics>(1 << bit), true);
    EXPECT_TRUE(made);
  };
  for (int i = 0; i < 7; ++i) {
    all.push_back(test::start(context, registered(*streams, "c" + std::to_string(i))));
    all.push_back(test::start(context, measured(*streams, i)));
  }
  test::run_until(context, [&] { return std::all_of(all.begin(), all.end(), [](auto& one) { return one.done(); }); });
  for (auto& one : all) one.result();
  crash();
  EXPECT_EQ(streams->find("busy")->consumers.count(clock.now()), 7u);
  EXPECT_EQ(streams->find("busy")->settings.metrics, kAllShardMetrics);
}

TEST_F(StreamsRestart, ReadsIteratorsOfAnEarlierRunAndRepeatsNone) {
  std::set<std::string> tokens;
  IteratorFields fields;
  fields.incarnation = 5;
  for (int start = 0; start < 5; ++start) {
    for (int i = 0; i < 3; ++i) {
      std::string token(IteratorCodec::kChars, ' ');
      streams->iterators().write(fields, token.data());
      EXPECT_TRUE(tokens.insert(token).second);
    }
    crash();
    for (const std::string& token : tokens) {
      const auto read = streams->iterators().read(token);
      ASSERT_TRUE(read);
      EXPECT_EQ(read->incarnation, 5u);
    }
  }
}

TEST_F(StreamsRestart, ADeletedStreamStaysDeletedAndItsNameBeginsALaterSecond) {
  std::set<std::int64_t> seconds;
  std::set<std::uint64_t> incarnations;
  for (int i = 0; i < 5; ++i) {
    const StreamRef stream = create("again");
    EXPECT_TRUE(seconds.insert(stream->shards[0]->created_s).second);
    EXPECT_TRUE(incarnations.insert(stream->incarnation).second);
    ASSERT_TRUE(run(streams->remove("again")));
    crash();
    EXPECT_EQ(streams->find("again"), nullptr);
  }
}

TEST_F(StreamsRestart, TombstonesOfAnEarlierRunDoNotPileUp) {
  for (int i = 0; i < 10; ++i) {
    create("short-lived-" + std::to_string(i));
    ASSERT_TRUE(run(streams->remove("short-lived-" + std::to_string(i))));
    restart();
    clock.advance(5s);
  }
  EXPECT_LT(run(store->list("stream-seconds/"))->size(), 5u);
}

TEST_F(StreamsRestart, CompletesADeletionThatWasUnderWay) {
  options.delete_delay = 60s;
  restart();
  const StreamRef stream = create("going");
  ASSERT_TRUE(run(streams->remove("going")));
  EXPECT_EQ(streams->find("going")->status(clock.now()), Status::deleting);
  crash();
  EXPECT_EQ(streams->find("going"), nullptr);
  EXPECT_EQ(run(engine->open(stream->shards[0]->log->id())).error().code, log::Errc::not_found);
  EXPECT_EQ(streams->open_shards(), 0u);
}

TEST_F(StreamsRestart, RecordsPastAShorterRetentionDoNotComeBack) {
  const StreamRef stream = create("aging");
  ASSERT_TRUE(run(streams->set_retention("aging", 48h, Streams::RetentionChange::increase)));
  // An engine that still has on disk, at the next start, what retention has hidden.
  auto on_disk = log::make_memory_engine(clock, budget);
  log::LogOptions unlimited;
  unlimited.retention = 8760h;
  auto log = run(on_disk->create(stream->shards[0]->log->id(), unlimited));
  put(**log, "old");
  clock.advance(30h);
  put(**log, "young");
  ASSERT_TRUE(run(streams->set_retention("aging", 24h, Streams::RetentionChange::decrease)));
  ASSERT_TRUE(run(streams->set_retention("aging", 72h, Streams::RetentionChange::increase)));
  const auto before = std::exchange(engine, std::move(on_disk));
  restart();
  EXPECT_EQ(records(*streams->find("aging")), std::vector<std::string>{"young"});
}

TEST_F(StreamsRestart, AValueOfALaterVersionIsRefusedByItsKey) {
  ASSERT_TRUE(run(store->put("streams/x", R"({"form":2})", std::nullopt)));
  try {
    restart();
    FAIL() << "it started";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("'streams/x' cannot be understood"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace millrace::streams
