#include "millrace/delivery/delivery.hpp"

#include <sstream>

#include "delivery/world.hpp"
#include "support/kpl.hpp"

namespace millrace::delivery {
namespace {

std::string only_name(const Objects& objects) {
  return objects.size() == 1 ? objects.begin()->first : "not one object";
}
std::string only(const Objects& objects) { return objects.size() == 1 ? objects.begin()->second : "not one object"; }

// ---- buffering

TEST(Buffering, DeliversWhenTheIntervalHasPassedSinceTheFirstRecord) {
  World world;
  world.begin(1, 1, 60s);
  world.advance(100s);  // an empty buffer's time does not count
  world.put("a");
  world.settle();
  world.advance(30s);
  world.put("b");
  world.advance(29'999ms);
  EXPECT_TRUE(world.objects().empty());
  world.advance(1ms);
  EXPECT_EQ(only(world.objects()), "ab");
  EXPECT_EQ(world.temporaries(), 0u);
}

TEST(Buffering, DeliversWhenTheSizeIsReachedBeforeTheInterval) {
  World world;
  world.begin(1, 1, 900s);
  world.put_kib(1023);
  world.settle();
  EXPECT_TRUE(world.objects().empty());
  world.put_kib(1, 1023);
  world.settle();
  EXPECT_EQ(only(world.objects()).size(), 1u << 20);
}

TEST(Buffering, CountsDelimitersAsPartOfTheSize) {
  World world;
  world.begin(1, 1, 900s, true);
  world.put_kib(1022);
  world.settle();
  EXPECT_TRUE(world.objects().empty());
  world.put_kib(1, 1022);  // 1023 records of 1025 bytes and one byte short of 1 MiB
  world.put("");
  world.settle();
  EXPECT_EQ(only(world.objects()).size(), 1023u * 1025 + 1);
}

TEST(Buffering, TheNextIntervalBeginsWithTheFirstRecordLeft) {
  World world;
  world.begin(1, 1, 60s);
  world.put_kib(1000);
  world.advance(30s);
  world.put_kib(48, 1000);
  world.settle();
  ASSERT_EQ(world.objects().size(), 1u);
  EXPECT_EQ(only(world.objects()).size(), 1u << 20);
  world.advance(59'999ms);
  EXPECT_EQ(world.objects().size(), 1u);
  world.advance(1ms);
  ASSERT_EQ(world.objects().size(), 2u);
}

TEST(Buffering, CutsABacklogIntoObjectsOfTheSize) {
  World world;
  world.begin(1, 1, 60s);
  world.put_kib(3 * 1024 + 512);
  world.settle();
  Objects objects = world.objects();
  ASSERT_EQ(objects.size(), 3u);
  world.advance(60s);
  ASSERT_EQ(world.objects().size(), 4u);
  std::vector<std::vector<int>> all;
  for (const auto& [name, content] : world.objects()) all.push_back(numbers(content));
  std::sort(all.begin(), all.end());
  std::vector<int> in_order;
  for (const auto& each : all) in_order.insert(in_order.end(), each.begin(), each.end());
  ASSERT_EQ(in_order.size(), 3u * 1024 + 512);
  EXPECT_TRUE(std::is_sorted(in_order.begin(), in_order.end()));
  EXPECT_EQ(all[0].size(), 1024u);
  EXPECT_EQ(all[3].size(), 512u);
}

TEST(Buffering, OneBufferCoversAllShards) {
  World world;
  world.begin(4, 1, 900s);
  for (std::uint32_t shard = 0; shard < 4; ++shard) {
    world.put_kib(255, 0, shard);
    world.settle();
  }
  world.put_kib(3, 255, 2);
  world.settle();
  EXPECT_TRUE(world.objects().empty());
  world.put_kib(1, 255, 3);
  world.settle();
  EXPECT_EQ(only(world.objects()).size(), 1u << 20);
}

TEST(Buffering, AHotShardAmongIdleOnesReachesTheSizeToo) {
  World world;
  world.begin(16, 1, 900s);
  for (int i = 0; i < 1024; ++i) {
    world.put_kib(1, i, 5);
    if (i % 7 == 0) world.settle();
  }
  world.settle();
  EXPECT_EQ(only(world.objects()).size(), 1u << 20);
}

TEST(Buffering, ALongDelimiterReachesTheSizeBeforeTheLogHoldsIt) {
  World world;
  world.create_stream("events", 1);
  DeliveryStreamSpec spec = World::spec("F", "events", 1, 900s);
  spec.s3.append_delimiter = true;
  spec.s3.delimiter = std::string(4096, '-');
  world.create(spec);
  for (int i = 0; i < 256; ++i) {
    world.put("");
    world.settle();
  }
  EXPECT_EQ(only(world.objects()).size(), 1u << 20);
}

TEST(Buffering, WithoutAnIntervalRecordsArriveWithinASecond) {
  World world;
  world.begin(1, 1, 0s);
  world.put("a");
  world.settle();
  world.put("b");
  world.advance(1s);
  EXPECT_EQ(only(world.objects()), "ab");
}

// ---- what an object is

TEST(DeliveredObject, IsNamedByTheOldestRecordsHourAndTheDeliveryStream) {
  World world;
  world.begin(2, 1, 60s);
  world.clock.advance(59min + 59s + 999ms);
  world.put("old", 1);
  world.settle();
  world.advance(2ms);
  world.put("new", 0);
  world.advance(60s);
  const std::string name = only_name(world.objects());
  EXPECT_EQ(name.substr(0, name.size() - 36), "lake/raw/2026/01/01/00/F-1-2026-01-01-00-59-59-");
  EXPECT_EQ(only(world.objects()), "newold") << "shard by shard";
  world.put("next");
  world.advance(60s);
  EXPECT_EQ(world.objects().size(), 2u);
  EXPECT_TRUE(world.objects().rbegin()->first.starts_with("lake/raw/2026/01/01/01/F-1-2026-01-01-01-01-00-"));
}

TEST(DeliveredObject, KeepsEveryShardsOrderAndEndsEachRecordWithTheDelimiter) {
  World world;
  world.begin(3, 1, 60s, true);
  std::map<std::uint32_t, std::string> by_shard;
  for (int i = 0; i < 6000; ++i) {
    const auto shard = static_cast<std::uint32_t>(i * 7 % 3);
    const std::string data = std::to_string(shard) + ":" + std::to_string(i);
    world.put(data, shard);
    by_shard[shard] += data + "\n";
    if (i % 500 == 0) world.advance(1ms);
  }
  world.advance(60s);
  EXPECT_EQ(only(world.objects()), by_shard[0] + by_shard[1] + by_shard[2]);
}

TEST(DeliveredObject, HoldsRecordsAsTheyAreWithoutADelimiter) {
  World world;
  world.begin();
  using namespace std::string_literals;
  world.put("\0\xff\n"s);
  world.put("");
  world.put("{}");
  world.advance(60s);
  EXPECT_EQ(only(world.objects()), "\0\xff\n{}"s);
}

TEST(DeliveredObject, LargeRecordsArriveWhole) {
  World world;
  world.begin(1, 1, 900s);
  const std::string large(10u << 20, 'L');
  world.put("small");
  world.put(large);
  world.put("after");
  world.settle();
  EXPECT_EQ(only(world.objects()), "small" + large);
}

TEST(DeliveredObject, HoldsEachUserRecordOfAnAggregate) {
  World world;
  world.begin(1, 1, 60s, true);
  world.put("before");
  world.put(test::kpl::aggregated({"one", "", "two"}));
  const std::string damaged = test::kpl::aggregated({"three"}) + "!";
  world.put(damaged);
  world.put(test::kpl::aggregated({}));
  const std::vector<std::string> many(5000, "many");  // more than one write gathers
  world.put(test::kpl::aggregated(many));
  world.put("after");
  world.advance(60s);
  std::string expected = "before\none\n\ntwo\n" + damaged + "\n";
  for (const std::string& each : many) expected += each + "\n";
  EXPECT_EQ(only(world.objects()), expected + "after\n");
  EXPECT_EQ(world.info().records, 1u + 3u + 1u + 5000u + 1u);
  EXPECT_EQ(world.info().bytes, expected.size() + 6);
  EXPECT_EQ(world.info().buffered_bytes, 0u) << "records of the stream are what is counted there";
  world.put(test::kpl::aggregated({}));
  world.advance(60s);
  EXPECT_EQ(world.objects().size(), 1u) << "nothing to deliver makes no object";
  EXPECT_EQ(world.info().buffered_bytes, 0u);
}

TEST(DeliveredObject, GathersWhatManyShardsHaveIntoFewWrites) {
  constexpr std::uint32_t kMany = 300;
  World world;
  world.begin(kMany, 1, 60s, true);
  std::string expected;
  for (std::uint32_t shard = 0; shard < kMany; ++shard) {
    // Most have a little; two have more than goes to one write.
    for (int i = 0; i < (shard % 150 == 7 ? 1'500 : 1); ++i) {
      const std::string data = std::to_string(shard) + ":" + std::to_string(i) + std::string(100, 'x');
      world.put(data, shard);
      expected += data + "\n";
    }
  }
  std::size_t writes = 0;
  world.files->on_change([&](std::string_view call, const fs::path&) { return writes += call == "write", 0; });
  world.advance(60s);
  EXPECT_EQ(only(world.objects()), expected);
  EXPECT_GE(writes, 1u);
  EXPECT_LE(writes, 20u);
}

// ---- failures

TEST(DeliveryFailure, AFaultAtAnyFileCallLosesNothingAndRepeatsNothing) {
  std::size_t calls = 0;
  for (std::size_t failing = 0; failing <= calls; ++failing) {
    World world;
    world.begin(2, 1, 60s, true);
    std::atomic<std::size_t> call{0};
    if (failing == 0)
      world.files->on_change([&](std::string_view, const fs::path&) { return ++call, 0; });
    else
      world.fail_file_change(failing);
    for (int i = 0; i < 3000; ++i)
      world.put(std::to_string(i) + std::string(500, '.'), static_cast<std::uint32_t>(i % 2));
    world.settle();
    world.pass_seconds(70);
    if (failing == 0) calls = call;
    ASSERT_EQ(world.objects().size(), 2u) << "call " << failing;
    std::vector<std::pair<int, std::string>> ordered;
    for (const auto& [name, content] : world.objects()) ordered.emplace_back(std::stoi(content), content);
    std::sort(ordered.begin(), ordered.end());
    std::vector<int> even, odd;
    for (const auto& [first, content] : ordered)
      for (std::size_t at = 0; at < content.size(); at = content.find('\n', at) + 1) {
        const int number = std::stoi(content.substr(at, 10));
        (number % 2 ? odd : even).push_back(number);
      }
    ASSERT_EQ(even.size() + odd.size(), 3000u) << "call " << failing;
    EXPECT_TRUE(std::is_sorted(even.begin(), even.end()) && std::is_sorted(odd.begin(), odd.end()));
    EXPECT_EQ(world.info().failures, failing == 0 ? 0u : 1u) << "call " << failing;
    EXPECT_EQ(world.info().last_error, "");
    EXPECT_EQ(world.info().buffered_bytes, 0u);
    world.files_work_again();
    world.put("x");
    world.pass_seconds(61);
    EXPECT_EQ(world.temporaries(), 0u);
  }
  EXPECT_GE(calls, 8u);
}

TEST(DeliveryFailure, AFaultAtAnyStateCallLosesNothingAndRepeatsNothing) {
  for (std::size_t failing = 1; failing <= 4; ++failing) {
    World world;
    world.begin(1, 1, 60s);
    std::size_t call = 0;
    world.store.fail_put = [&](const std::string&) { return ++call == failing; };
    world.put_kib(1024 + 100);
    world.settle();
    world.pass_seconds(70);
    ASSERT_GE(call, 4u);
    const Objects objects = world.objects();
    ASSERT_EQ(objects.size(), 2u);
    std::vector<int> all;
    for (const auto& [name, content] : objects)
      for (int number : numbers(content)) all.push_back(number);
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all.size(), 1124u);
    EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
    EXPECT_EQ(world.info().failures, 1u);
  }
}

TEST(DeliveryFailure, IsTriedAgainUnderTheSameNameWithTheSameRecordsAtGrowingTimes) {
  World world;
  world.begin(1, 1, 60s);
  std::vector<std::pair<TimePoint, std::string>> renames;
  world.files->on_change([&](std::string_view call, const fs::path& path) {
    if (call != "rename") return 0;
    renames.emplace_back(world.clock.now(), path.native());
    return EACCES;
  });
  world.put("first");
  world.pass_seconds(62);
  world.put("second");
  world.pass_seconds(300);
  ASSERT_GE(renames.size(), 7u);
  ASSERT_LE(renames.size(), 15u);
  for (std::size_t i = 1; i < renames.size(); ++i) {
    EXPECT_EQ(renames[i].second, renames[0].second);
    const auto waited = renames[i].first - renames[i - 1].first;
    const auto longest = std::min<std::chrono::milliseconds>(1s * (1 << std::min<std::size_t>(i - 1, 6)), 60s);
    EXPECT_GE(waited, longest / 2);
    EXPECT_LE(waited, longest + 1s);
  }
  EXPECT_NE(world.info().last_error.find("Permission denied"), std::string::npos);
  EXPECT_EQ(world.info().failures, renames.size());
  EXPECT_EQ(world.info().buffered_bytes, 11u);
  EXPECT_GE(world.info().freshness, 300s);
  world.files_work_again();
  world.pass_seconds(61);
  const Objects objects = world.objects();
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects.begin()->second, "first");
  EXPECT_EQ("data/s3/" + objects.begin()->first, renames[0].second);
  EXPECT_EQ(world.info().last_error, "");
  EXPECT_EQ(world.info().freshness, 0ms);
}

TEST(DeliveryFailure, LastsNoLongerThanTheSourcesRetention) {
  World world;
  world.begin(1, 1, 60s);
  world.fail_all_files(EIO);
  world.put("too old");
  world.advance(61s);
  for (int hour = 0; hour < 23; ++hour) world.advance(1h);
  world.put("kept");
  for (int hour = 0; hour < 2; ++hour) world.advance(1h);
  world.files_work_again();
  world.pass_seconds(130);
  EXPECT_EQ(only(world.objects()), "kept");
  EXPECT_EQ(world.delivery->undelivered_records(), 0u);
  EXPECT_EQ(world.info().buffered_bytes, 0u);
  world.put("and on");
  world.advance(60s);
  EXPECT_EQ(world.objects().size(), 2u);
}

TEST(DeliveryFailure, OfOneDeliveryStreamDoesNotTouchAnother) {
  World world;
  world.begin(1, 1, 60s);
  DeliveryStreamSpec other = World::spec("G", "events", 1, 60s);
  other.s3.bucket = "pond";
  world.create(other);
  world.files->on_change([](std::string_view call, const fs::path& path) {
    return call == "mkdir" && path.native().find("/lake") != std::string::npos ? ENOTDIR : 0;
  });
  world.put("a");
  world.pass_seconds(61);
  EXPECT_TRUE(only_name(world.objects()).starts_with("pond/raw/2026/01/01/00/G-1-"));
  EXPECT_EQ(world.info("G").failures, 0u);
  EXPECT_GE(world.info("F").failures, 1u);
}

// ---- flush, stop, restart

TEST(Flush, DeliversEverythingAcknowledgedBeforeItAlsoWhatWasNotReadYet) {
  World world;
  world.begin(4, 1, 900s);
  for (std::uint32_t shard = 0; shard < 4; ++shard) world.put_kib(700, 0, shard);  // nothing has run since
  EXPECT_TRUE(world.flush().empty());
  std::size_t bytes = 0;
  for (const auto& [name, content] : world.objects()) bytes += content.size();
  EXPECT_EQ(bytes, 2800u * 1024);
  EXPECT_EQ(world.objects().size(), 3u);
  EXPECT_EQ(world.delivery->undelivered_records(), 0u);
  EXPECT_TRUE(world.flush().empty()) << "with nothing to do";
  EXPECT_EQ(world.objects().size(), 3u);
}

TEST(Flush, TakesWhatCameWhileTheDeliveryStreamLookedIntoTheSameObject) {
  World world;
  world.begin();
  std::optional<test::Started<std::vector<FlushFailure>>> flush;
  world.before_next_read([&] {
    world.put("second");
    flush.emplace(test::start(world.io(), world.delivery->flush(std::chrono::steady_clock::now() + 20s)));
  });
  world.put("first.");
  world.settle();
  ASSERT_TRUE(flush && flush->done());
  ASSERT_EQ(world.objects().size(), 1u);
  EXPECT_EQ(world.objects().begin()->second, "first.second");
}

TEST(Flush, WaitsForAWriteUnderWayAndEndsABackOff) {
  World world;
  world.begin(1, 1, 60s);
  world.put("a");
  world.fail_file_change(1);
  world.advance(60s);
  EXPECT_EQ(world.info().failures, 1u);
  EXPECT_TRUE(world.flush().empty()) << "the clock stands still: only the flush can have ended the back-off";
  EXPECT_EQ(only(world.objects()), "a");
}

TEST(Flush, NamesWhatCouldNotBeDeliveredInTime) {
  World world;
  world.begin(1, 1, 60s);
  world.create(World::spec("G", "events"));
  world.put("a");
  world.files->on_change([](std::string_view call, const fs::path& path) {
    return call == "rename" && path.native().find("/F-") != std::string::npos ? EROFS : 0;
  });
  const auto failures = world.flush(200ms);
  ASSERT_EQ(failures.size(), 1u);
  EXPECT_EQ(failures[0].delivery_stream, "F");
  EXPECT_NE(failures[0].reason.find("Read-only file system"), std::string::npos) << failures[0].reason;
  EXPECT_EQ(world.objects().size(), 1u);
  world.files_work_again();
  EXPECT_TRUE(world.flush().empty());
  EXPECT_EQ(world.objects().size(), 2u);
}

TEST(Stop, SaysHowManyRecordsWereNotDelivered) {
  World world;
  world.begin(2, 1, 60s);
  world.put("a", 0);
  world.put("b", 1);
  world.advance(60s);
  world.put("c", 0);
  world.put("d", 1);
  world.put("e", 1);
  world.settle();
  EXPECT_EQ(world.delivery->undelivered_records(), 3u);
  EXPECT_EQ(world.info().buffered_bytes, 3u);
  world.run(world.delivery->stop());
  EXPECT_EQ(world.delivery->undelivered_records(), 3u);
  world.advance(600s);
  EXPECT_EQ(world.objects().size(), 1u);
}

TEST(Restart, GoesOnAtTheCheckpoint) {
  World world;
  world.begin(2, 1, 60s, true);
  world.put("a", 0);
  world.advance(60s);
  world.put("b", 0);
  world.put("c", 1);
  world.settle();
  world.stop_delivery();
  world.put("d", 1);
  world.start_delivery_again();
  EXPECT_EQ(world.delivery->undelivered_records(), 3u);
  EXPECT_EQ(world.info().buffered_bytes, 3u);
  world.advance(60s);
  const Objects objects = world.objects();
  ASSERT_EQ(objects.size(), 2u);
  EXPECT_EQ(objects.rbegin()->second, "b\nc\nd\n");
  EXPECT_EQ(world.info().spec.s3.prefix, "raw/");
}

TEST(Restart, WritesAnInterruptedObjectAgainUnderItsName) {
  for (const std::string cut_off_at : {"create", "write", "rename", "after"}) {
    World world;
    world.begin(2, 1, 60s);
    std::string name;
    bool broken = false;
    world.files->on_change([&](std::string_view call, const fs::path& path) {
      if (call == "rename") name = path.native();
      broken = broken || call == cut_off_at;
      return broken ? EIO : 0;
    });
    if (cut_off_at == "after")  // the object is there, the checkpoint is not
      world.store.fail_put = [&](const std::string&) { return !name.empty(); };
    world.put("a", 0);
    world.put("b", 1);
    world.advance(60s);
    EXPECT_EQ(world.objects().size(), cut_off_at == "after" ? 1u : 0u);
    world.stop_delivery();
    world.files->on_change([&](std::string_view call, const fs::path& path) {
      if (call == "rename" && name.empty()) name = path.native();
      return 0;
    });
    world.store.fail_put = {};
    world.put("later", 0);
    world.start_delivery_again();
    EXPECT_EQ(only(world.objects()), "ab") << "at once, and without the record that came later";
    EXPECT_EQ("data/s3/" + only_name(world.objects()), name);
    world.advance(60s);
    EXPECT_EQ(world.objects().size(), 2u);
    EXPECT_EQ(world.delivery->undelivered_records(), 0u);
    EXPECT_EQ(world.temporaries(), 0u);
  }
}

// ---- life of a delivery stream

TEST(Reshard, DeliversEachKeysRecordsInOrderAndOnce) {
  World world;
  world.begin(2, 1, 60s, true);
  std::map<std::string, std::vector<std::string>> sent;
  int number = 0;
  for (const std::uint32_t target : {4u, 3u, 6u, 3u, 2u, 1u, 2u, 4u, 7u, 5u}) {
    for (int second = 0; second < 3; ++second) {
      for (int i = 0; i < 20; ++i) {
        const std::string key = "key-" + std::to_string(number % 13), value = std::to_string(number);
        const streams::StreamRef stream = world.streams->find("events");
        world.put(key + ":" + value + ":" + std::string(12'000, 'x'), stream->route(md5(key)).index);
        sent[key].push_back(value);
        ++number;
      }
      if (second == 1) {
        ASSERT_TRUE(world.run(world.streams->set_shard_count("events", target)));
      }
      world.advance(1s);
    }
    if (target == 3) world.pass_seconds(60);  // all is delivered, and its shards are over
    if (target == 6) {
      world.stop_delivery();
      world.start_delivery_again();
    }
  }
  world.pass_seconds(61);
  const Objects objects = world.objects();
  EXPECT_GT(objects.size(), 6u);
  std::map<std::string, std::vector<std::string>> delivered;
  for (const auto& [name, content] : objects) {  // a name begins with the second of its oldest record
    std::istringstream lines(content);
    for (std::string key, value, rest; std::getline(lines, key, ':') && std::getline(lines, value, ':');) {
      delivered[key].push_back(value);
      std::getline(lines, rest);
    }
  }
  EXPECT_EQ(delivered, sent);
}

TEST(DeliveryStream, BeginsAtTheTipsOfItsSource) {
  World world;
  world.create_stream("events", 2);
  world.put("before", 0);
  ASSERT_TRUE(world.run(world.delivery->create(World::spec("F", "events"))));
  world.put("after", 0);  // before its coroutine ran
  world.put("after", 1);
  world.settle();
  world.advance(60s);
  EXPECT_EQ(only(world.objects()), "afterafter");
}

TEST(DeliveryStream, IsOneOfItsNameAndNeedsASource) {
  World world;
  world.begin();
  EXPECT_EQ(world.run(world.delivery->create(World::spec("F", "events"))).error().code, Errc::exists);
  EXPECT_EQ(world.run(world.delivery->create(World::spec("G", "nowhere"))).error().code, Errc::source_not_found);
  EXPECT_EQ(world.delivery->find("G"), nullptr);
  EXPECT_TRUE(world.run(world.delivery->create(World::spec("G", "events")))) << "the name is free again";
  EXPECT_EQ(world.run(world.delivery->remove("H")).error().code, Errc::not_found);
  for (const std::string name : {"a", "z"}) world.create(World::spec(name, "events"));
  std::vector<std::string> names;
  for (const auto& info : world.delivery->list("F", 2)) names.push_back(info->spec.name);
  EXPECT_EQ(names, (std::vector<std::string>{"G", "a"}));
}

TEST(DeliveryStream, RemovedDropsWhatItHasBuffered) {
  World world;
  world.begin();
  world.put("a");
  world.settle();
  ASSERT_TRUE(world.run(world.delivery->remove("F")));
  EXPECT_EQ(world.delivery->find("F"), nullptr);
  EXPECT_EQ(world.delivery->undelivered_records(), 0u);
  world.advance(600s);
  EXPECT_TRUE(world.objects().empty());
  EXPECT_TRUE(world.flush().empty());
  world.create(World::spec("F", "events"));
  world.put("b");
  world.advance(60s);
  EXPECT_EQ(only(world.objects()), "b");
}

TEST(DeliveryStream, ThatCannotBeRemovedGoesOn) {
  World world;
  world.begin();
  world.put("a");
  world.store.fail_remove = true;
  EXPECT_EQ(world.run(world.delivery->remove("F")).error().code, Errc::failed);
  EXPECT_EQ(world.info().status, Status::active);
  world.advance(60s);
  EXPECT_EQ(only(world.objects()), "a");
  world.store.fail_remove = false;
  EXPECT_TRUE(world.run(world.delivery->remove("F")));
  EXPECT_EQ(world.delivery->find("F"), nullptr);
}

TEST(DeliveryStream, PassesThroughCreatingAndDeletingWhenDelaysAreSet) {
  World world({}, Options{10s, 20s});
  world.begin(1, 1, 60s);
  EXPECT_EQ(world.info().status, Status::creating);
  EXPECT_EQ(world.run(world.delivery->remove("F")).error().code, Errc::not_deletable);
  EXPECT_EQ(world.run(world.delivery->remove("F")).error().detail, "CREATING");
  world.put("a");
  world.advance(10s);
  EXPECT_EQ(world.info().status, Status::active);
  EXPECT_EQ(world.info().delivery_start, world.info().created + 10s);
  world.advance(50s);
  EXPECT_EQ(only(world.objects()), "a");
  ASSERT_TRUE(world.run(world.delivery->remove("F")));
  EXPECT_EQ(world.info().status, Status::deleting);
  EXPECT_TRUE(world.run(world.delivery->remove("F"))) << "AWS takes a delete in DELETING";
  EXPECT_EQ(world.run(world.delivery->create(World::spec("F", "events"))).error().code, Errc::exists);
  world.advance(19'999ms);
  ASSERT_NE(world.delivery->find("F"), nullptr);
  world.advance(1ms);
  EXPECT_EQ(world.delivery->find("F"), nullptr);
}

TEST(DeliveryStream, ClearedIsGoneFromTheStoreToo) {
  World world;
  world.begin();
  world.create(World::spec("G", "events"));
  world.put("a");
  world.settle();
  world.run(world.delivery->clear());
  EXPECT_TRUE(world.delivery->list("", 10).empty());
  world.stop_delivery();
  world.start_delivery_again();
  EXPECT_TRUE(world.delivery->list("", 10).empty());
  world.advance(600s);
  EXPECT_TRUE(world.objects().empty());
}

TEST(DeliveryStream, DeliversWhatIsLeftOfADeletedSourceAndStopsQuietly) {
  streams::Options options;
  options.delete_delay = 100s;
  World world(options);
  world.begin(2, 1, 60s);
  world.put("a", 1);
  world.settle();
  ASSERT_TRUE(world.run(world.streams->remove("events")));
  world.advance(60s);
  EXPECT_EQ(only(world.objects()), "a");
  world.advance(40s);
  EXPECT_EQ(world.streams->find("events"), nullptr);
  EXPECT_EQ(world.info().status, Status::active);
  EXPECT_EQ(world.info().buffered_bytes, 0u);
  EXPECT_TRUE(world.flush().empty());
  EXPECT_EQ(world.advance(24h), 0u) << "nothing runs any more";
  EXPECT_TRUE(world.run(world.delivery->remove("F")));
}

TEST(DeliveryStream, OutlivesASourceThatGoesWithRecordsUndelivered) {
  World world;
  world.begin(2, 1, 60s);
  world.put("a", 1);
  world.settle();
  ASSERT_TRUE(world.run(world.streams->remove("events")));
  world.settle();
  EXPECT_EQ(world.info().status, Status::active);
  EXPECT_EQ(world.delivery->undelivered_records(), 0u);
  EXPECT_TRUE(world.flush().empty());
  world.create_stream("events", 1);
  world.put("of another stream");
  EXPECT_EQ(world.advance(600s), 0u);
  EXPECT_TRUE(world.objects().empty());
  world.stop_delivery();
  world.start_delivery_again();
  EXPECT_EQ(world.advance(600s), 0u);
  EXPECT_TRUE(world.objects().empty());
}

TEST(DeliveryStream, CountsWhatItDelivered) {
  World world;
  world.begin(1, 1, 60s, true);
  world.put("abc");
  world.put("de");
  world.settle();
  world.advance(10s);
  EXPECT_EQ(world.info().buffered_bytes, 5u);
  EXPECT_EQ(world.info().freshness, 10s);
  world.advance(50s);
  EXPECT_EQ(world.info().objects, 1u);
  EXPECT_EQ(world.info().records, 2u);
  EXPECT_EQ(world.info().bytes, 7u);
  EXPECT_EQ(world.info().buffered_bytes, 0u);
  EXPECT_EQ(world.info().freshness, 0ms);
}

// ---- cost

TEST(DeliveryCost, IdleDeliveryStreamsRunNothing) {
  World world;
  world.create_stream("events", 16);
  for (int i = 0; i < 64; ++i) world.create(World::spec("F" + std::to_string(i), "events", 1, 1s));
  world.put("a");
  world.advance(1s);
  ASSERT_EQ(world.objects().size(), 64u);
  const std::size_t timers = world.clock.pending();
  const std::size_t puts = world.store.puts;
  std::size_t ran = 0;
  for (int minute = 0; minute < 60; ++minute) ran += world.advance(1min);
  EXPECT_EQ(ran, 0u);
  EXPECT_EQ(world.clock.pending(), timers);
  EXPECT_EQ(world.store.puts, puts);
}

TEST(DeliveryCost, AFillingBufferWakesItsDeliveryStreamSeldom) {
  World world;
  world.begin(1, 1, 900s);
  world.put_kib(1);
  world.settle();
  std::size_t ran = 0;
  for (int i = 1; i < 1024; ++i) {
    world.put_kib(1, i);
    ran += world.settle();
  }
  ASSERT_EQ(world.objects().size(), 1u);
  EXPECT_LE(ran, 400u) << "not a wake-up a record";
}

TEST(DeliveryCost, MemoryForWritingIsReservedOnceAndBounded) {
  World world;
  const std::size_t reserved = world.budget.used(Account::delivery);
  EXPECT_GT(reserved, 0u);
  EXPECT_LE(reserved, 2u << 20);
  world.create_stream("events", 1);
  for (int i = 0; i < 20; ++i) world.create(World::spec("F" + std::to_string(i), "events", 1, 1s));
  world.put("a");
  world.advance(1s);
  EXPECT_EQ(world.objects().size(), 20u) << "more than write at once";
  EXPECT_EQ(world.budget.used(Account::delivery), reserved);
}

}  // namespace
}  // namespace millrace::delivery
