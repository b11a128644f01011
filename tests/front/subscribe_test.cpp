// SubscribeToShard from the request to the last byte, on the in-memory transport: windows of any size, peers that stall
// or go, and what is held for them.
#include <gtest/gtest.h>

#include <random>

#include "front/fakes.hpp"
#include "services/kinesis_world.hpp"
#include "support/event_frames.hpp"

namespace millrace::front {
namespace {

using namespace std::chrono_literals;
using test::EventFrames;
using test::Json;
using test::KinesisWorld;
using test::MemoryStream;
using test::MemoryTransport;

const std::string kShard = "shardId-000000000000";
constexpr std::size_t kKept = 16 * 1024;               // a subscription's own
constexpr std::size_t kPiece = 256 * 1024 + 8 * 1024;  // and an event's on its way, with records of 1 KiB

class Subscribing : public ::testing::Test {
 protected:
  explicit Subscribing(std::size_t memory = 256u << 20) : world({}, nullptr, memory) { world.create("s"); }

  std::string consumer(const std::string& name) {
    return world.ok("RegisterStreamConsumer", {{"StreamARN", "arn:aws:kinesis:us-east-1:000000000000:stream/s"},
                                               {"ConsumerName", name}})["Consumer"]["ConsumerARN"];
  }
  /// A subscription whose window is still closed.
  MemoryStream& subscribe(const std::string& arn, bool cbor = false, const std::string& type = "TRIM_HORIZON") {
    const Json request{{"ConsumerARN", arn}, {"ShardId", kShard}, {"StartingPosition", {{"Type", type}}}};
    const std::string body = cbor ? test::cbor_of(request) : request.dump();
    MemoryStream& stream = transport.open("POST", "/");
    stream.header("Host", "localhost")
        .header("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")
        .header("Content-Type", cbor ? "application/x-amz-cbor-1.1" : "application/x-amz-json-1.1")
        .header("X-Amz-Date", "20260101T000000Z")
        .header("Authorization", kAuthorization);
    stream.announce(body.size());
    stream.feed(body);
    stream.end_body();
    transport.begin(stream);
    transport.settle();
    return stream;
  }
  void put(std::size_t records, std::size_t bytes) {
    for (std::size_t done = 0; done < records;) {
      Json batch = Json::array();
      for (std::size_t i = 0; i < 100 && done < records; ++i, ++done)
        batch.push_back(
            {{"PartitionKey", std::to_string(put_++)}, {"Data", codec::base64::encode(std::string(bytes, 'd'))}});
      world.ok("PutRecords", {{"StreamName", "s"}, {"Records", batch}});
    }
    transport.settle();
  }
  void advance(std::chrono::milliseconds by) {
    world.clock.advance(by);
    transport.settle();
  }
  /// What the peer has read so far: the keys of its records must be 0, 1, 2...
  static std::size_t records_in_order(const MemoryStream& stream, bool cbor = false) {
    EventFrames frames(cbor);
    frames.take(stream.received);
    std::size_t next = 0;
    for (const Json& record : frames.records()) EXPECT_EQ(record["PartitionKey"], std::to_string(next++));
    return next;
  }
  std::size_t held() const { return world.budget.used(Account::replies); }

  KinesisWorld world;
  telemetry::Registry metrics;
  Cores cores{1};
  OperationsPtr operations = make_operations(world.environment, metrics, cores);
  FakeGateway gateway;
  std::unique_ptr<http::Handler> handler = make_aws_handler(
      *operations, gateway,
      [](http::Request&, http::ResponseWriter& writer) { return FakeGateway::answer(writer, ""); }, {});
  MemoryTransport transport{*handler};

 private:
  std::size_t put_ = 0;
};

TEST_F(Subscribing, TheHeadIsAnEventStreamsAndHasNoLength) {
  MemoryStream& stream = subscribe(consumer("c"));
  EXPECT_EQ(stream.status, 200);
  EXPECT_EQ(stream.header("content-type"), "application/vnd.amazon.eventstream");
  EXPECT_EQ(stream.header("x-amzn-requestid").size(), 36u);
  EXPECT_EQ(stream.header("x-amz-id-2").size(), 96u);
  EXPECT_FALSE(stream.handled);
  EXPECT_EQ(held(), kKept);
}

TEST_F(Subscribing, WindowsOfAnySizeChangeNothing) {
  std::mt19937 random(5);
  std::vector<std::pair<MemoryStream*, bool>> streams;
  for (int i = 0; i < 6; ++i) streams.emplace_back(&subscribe(consumer("c" + std::to_string(i)), i % 2), i % 2);
  constexpr std::size_t kRecords = 600;
  for (std::size_t put_so_far = 0, turn = 0;; ++turn) {
    if (put_so_far < kRecords) {
      const std::size_t more = std::min<std::size_t>(1 + random() % 40, kRecords - put_so_far);
      put(more, random() % 3000);
      put_so_far += more;
    }
    for (const auto& [stream, cbor] : streams)
      if (random() % 3) stream->grant(1 + random() % (put_so_far < kRecords ? 20'000 : 400'000));
    transport.settle();
    if (put_so_far < kRecords || turn % 8 != 0) continue;
    if (std::all_of(streams.begin(), streams.end(),
                    [](const auto& one) { return records_in_order(*one.first, one.second) == kRecords; }))
      break;
  }
  for (const auto& [stream, cbor] : streams) {
    EXPECT_EQ(stream->misuse, "");
    EXPECT_FALSE(stream->handled);
  }
}

TEST_F(Subscribing, APeerThatStallsHoldsAPieceAndNobodyElse) {
  MemoryStream& stalled = subscribe(consumer("stalled"));
  MemoryStream& reads = subscribe(consumer("reads"));
  reads.grant(std::size_t{1} << 40);
  stalled.grant(2000);  // its first event, and some of a later one
  for (int round = 0; round < 10; ++round) {
    put(500, 1024);
    advance(1s);
    EXPECT_LE(held(), 2 * kKept + kPiece) << round;
    EXPECT_GT(reads.received.size(), (round + 1) * 500 * 1024u) << round;
  }
  EXPECT_EQ(records_in_order(reads), 5000u);
  EXPECT_EQ(stalled.received.size(), 2000u);
  stalled.grant(std::size_t{1} << 40);
  transport.settle();
  EXPECT_EQ(records_in_order(stalled), 5000u);
  EXPECT_EQ(held(), 2 * kKept);  // both have caught up
}

TEST_F(Subscribing, WhoCatchesUpLetsOthersHaveTheirTurn) {
  put(8000, 1024);
  MemoryStream& stream = subscribe(consumer("c"));
  stream.grant(std::size_t{1} << 40);
  std::size_t turns = 0;
  for (std::size_t before = 0; transport.io().poll_one();) {
    if (stream.received.size() == before) continue;
    ++turns;
    EXPECT_LE(stream.received.size() - before, 2 * kPiece);
    before = stream.received.size();
  }
  EXPECT_GT(turns, 20u);
  EXPECT_EQ(records_in_order(stream), 8000u);
}

TEST_F(Subscribing, APeerThatGoesIsLetGoOf) {
  const std::string arn = consumer("goes");
  MemoryStream& stays = subscribe(consumer("stays"));
  stays.grant(std::size_t{1} << 40);
  for (const std::size_t window : {0u, 100u, 700u, 100'000u}) {
    advance(5s);
    const std::size_t before = held();
    MemoryStream& stream = subscribe(arn);
    ASSERT_EQ(stream.status, 200) << window;
    stream.grant(window);
    put(200, 1024);
    stream.reset();
    transport.settle();
    EXPECT_TRUE(stream.handled) << window;
    EXPECT_FALSE(stream.failure) << window;
    EXPECT_EQ(held(), before) << window;
    EXPECT_EQ(world.streams->subscriptions().active(), 1u) << window;
    // Nobody takes over so early, though it has gone.
    MemoryStream& early = subscribe(arn);
    early.grant(std::size_t{1} << 40);
    transport.settle();
    EXPECT_EQ(early.status, 400) << window;
    EXPECT_TRUE(early.received.find("Another active subscription exists for this consumer") != std::string::npos);
  }
  // While it waits, too.
  advance(5s);
  MemoryStream& idle = subscribe(arn, false, "LATEST");
  idle.grant(std::size_t{1} << 40);
  transport.settle();
  idle.reset();
  transport.settle();
  EXPECT_TRUE(idle.handled);
  EXPECT_EQ(records_in_order(stays), 800u);
  EXPECT_EQ(held(), kKept);
}

TEST_F(Subscribing, AStopEndsAllInOrder) {
  MemoryStream& reads = subscribe(consumer("reads"));
  MemoryStream& waits = subscribe(consumer("waits"), true);
  reads.grant(std::size_t{1} << 40);
  put(10, 100);
  world.streams->subscriptions().stop();
  transport.settle();
  EXPECT_TRUE(reads.finished);
  EXPECT_EQ(records_in_order(reads), 10u);
  EXPECT_FALSE(waits.finished);  // what it has begun to send is waited for
  waits.grant(std::size_t{1} << 40);
  transport.settle();
  EXPECT_TRUE(waits.finished);
  EXPECT_EQ(held(), 0u);
  MemoryStream& late = subscribe(consumer("late"));
  EXPECT_EQ(late.status, 500);
}

TEST_F(Subscribing, IsNotForCallsInProcess) {
  const auto caller = make_service_caller(*operations);
  EXPECT_TRUE(caller->has("kinesis", "GetRecords"));
  EXPECT_FALSE(caller->has("kinesis", "SubscribeToShard"));
  for (const std::string_view action : caller->actions("kinesis")) EXPECT_NE(action, "SubscribeToShard");
  const gateway::ServiceCall call{"kinesis", "SubscribeToShard", "{}", "id"};
  const auto reply = test::run(caller->call(call));
  EXPECT_EQ(reply.status, 400);
  EXPECT_NE(reply.body.find("UnknownOperationException"), std::string::npos);
}

TEST_F(Subscribing, ALongRequestIsNotHeldForAsLong) {
  MemoryStream& stream = transport.open("POST", "/");
  stream.header("Host", "localhost")
      .header("X-Amz-Target", "Kinesis_20131202.SubscribeToShard")
      .header("Content-Type", "application/x-amz-json-1.1")
      .header("X-Amz-Date", "20260101T000000Z")
      .header("Authorization", kAuthorization);
  transport.exchange(stream, "{\"x\":\"" + std::string(70'000, 'x') + "\"}");
  EXPECT_EQ(stream.status, 413);
}

class SubscribingInLittleMemory : public Subscribing {
 protected:
  SubscribingInLittleMemory() : Subscribing(64u << 20) {}
};

TEST_F(SubscribingInLittleMemory, PartsOfLargeRecordsAreReservedForAndWaitedFor) {
  world.ok("UpdateMaxRecordSize",
           {{"StreamARN", "arn:aws:kinesis:us-east-1:000000000000:stream/s"}, {"MaxRecordSizeInKiB", 10'240}});
  MemoryStream& stream = subscribe(consumer("c"));
  MemoryStream& other = subscribe(consumer("other"));
  put(1, 9u << 20);
  stream.grant(1000);
  transport.settle();
  EXPECT_GT(held(), 256u << 10);
  EXPECT_LT(held(), 544u << 10);
  // The other one's does not fit beside what is taken now.
  Reservation rest =
      Reservation::take(world.budget, Account::delivery, world.budget.bytes_max() - world.budget.used() - (256u << 10));
  ASSERT_TRUE(rest);
  other.grant(std::size_t{1} << 40);
  advance(1s);
  EXPECT_EQ(records_in_order(other), 0u);
  rest.release();
  advance(100ms);
  EXPECT_EQ(records_in_order(other), 1u);
  stream.grant(std::size_t{1} << 40);
  transport.settle();
  EXPECT_EQ(records_in_order(stream), 1u);
  EXPECT_EQ(held(), 2 * kKept);
}

TEST_F(SubscribingInLittleMemory, WithoutMemoryItEndsAndSaysSo) {
  MemoryStream& stream = subscribe(consumer("c"));
  stream.grant(std::size_t{1} << 40);
  put(30, 1024);
  transport.settle();
  put(1, 900'000);
  EXPECT_EQ(records_in_order(stream), 31u);
  Reservation rest =
      Reservation::take(world.budget, Account::delivery, world.budget.bytes_max() - world.budget.used() - 2000);
  ASSERT_TRUE(rest);
  // In a chunk that is there already.
  world.ok("PutRecord",
           {{"StreamName", "s"}, {"PartitionKey", "31"}, {"Data", codec::base64::encode(std::string(30'000, 'x'))}});
  transport.settle();
  advance(6s);
  EXPECT_TRUE(stream.finished);
  EventFrames frames;
  frames.take(stream.received);
  EXPECT_EQ(frames.all.back()["exception"], "InternalFailureException");
  // There is no memory for another one either.
  rest.release();
  rest = Reservation::take(world.budget, Account::delivery, world.budget.bytes_max() - world.budget.used() - 2000);
  const std::string arn = consumer("late");
  MemoryStream& late = subscribe(arn);
  EXPECT_EQ(late.status, 400);
}

}  // namespace
}  // namespace millrace::front
