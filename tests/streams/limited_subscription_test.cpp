#include <gtest/gtest.h>

#include "millrace/streams/control.hpp"
#include "millrace/streams/subscription.hpp"
#include "support/run.hpp"

namespace millrace::streams {
namespace {

using namespace std::chrono_literals;

TEST(LimitedSubscription, GivesTwoMebibytesASecondAndIsNeverSilentForLong) {
  ManualClock clock;
  MemoryBudget budget{64u << 20};
  const auto random = make_seeded_random(1);
  const auto store = state::make_memory_store();
  const auto engine = log::make_memory_engine(clock, budget);
  boost::asio::io_context io{1};
  Options options;
  options.limits.enforce = true;
  auto streams = test::run(io, make_streams(clock, *random, *store, *engine, options));
  CreateStream spec;
  spec.name = "s";
  ASSERT_TRUE(test::run(io, streams->create(spec)));
  ASSERT_TRUE(test::run(io, register_consumer(*streams, "s", "reader", {})));
  const StreamRef stream = streams->find("s");
  log::Log& log = *stream->shards[0]->log;
  const auto put = [&](std::size_t bytes) {
    const std::string data(bytes - 1, 'x');
    log::BatchBuilder batch;
    batch.reset(log::batch_bytes_needed(1, bytes));
    batch.begin_batch();
    batch.add("k", data);
    ASSERT_TRUE(log.stage(log.epoch(), batch.batch()));
  };
  for (int i = 0; i < 5; ++i) put(1u << 20);
  put(10u << 20);
  put(1);

  const std::int64_t created_s = stream->consumers.find("reader", clock.now())->created_s;
  auto made = streams->subscriptions().begin({stream, 0, "reader", created_s, {}});
  ASSERT_TRUE(made);
  Subscription& subscription = **made;
  // How long the next event takes, to 100 ms; how large its first record is.
  const auto next = [&]() -> std::pair<std::chrono::milliseconds, std::size_t> {
    auto event = test::start(io, subscription.next());
    std::chrono::milliseconds took{0};
    for (test::settle(io); !event.done() && took < 10s; took += 100ms) {
      clock.advance(100ms);
      test::settle(io);
    }
    auto came = event.result();
    const log::ReadBatch& batch = std::get<SubscriptionEvent>(came).batch;
    return {took, log::record_bytes(batch)};
  };
  using Event = std::pair<std::chrono::milliseconds, std::size_t>;
  const std::size_t mebibyte = 1u << 20;
  for (int i = 0; i < 3; ++i) EXPECT_EQ(next(), Event(0ms, mebibyte)) << "a second's worth comes at once, and one more";
  EXPECT_EQ(next(), Event(500ms, mebibyte));
  EXPECT_EQ(next(), Event(500ms, mebibyte));
  EXPECT_EQ(next(), Event(500ms, 10 * mebibyte));
  EXPECT_EQ(next(), Event(3s, 1)) << "with the sign of life, though 10 MiB take five seconds";
  EXPECT_EQ(next(), Event(3s, 0));

  // What ends it does not wait either.
  put(1u << 20);
  put(8u << 20);
  EXPECT_EQ(next().second, mebibyte);
  EXPECT_EQ(next().second, 8 * mebibyte);
  put(1);
  auto waiting = test::start(io, subscription.next());
  test::settle(io);
  EXPECT_FALSE(waiting.done());
  streams->subscriptions().stop();
  test::settle(io);
  ASSERT_TRUE(waiting.done());
  auto ended = waiting.result();
  EXPECT_TRUE(std::holds_alternative<SubscriptionEnd>(ended));
}

}  // namespace
}  // namespace millrace::streams
